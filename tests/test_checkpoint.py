"""Checkpoints: what is read back is what was written, to the last bit, or one clear error."""

import math
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors.torch import save_file
from torch import nn

import hglib
from hglib import checkpoint
from hglib.hourglass import build

torch.set_num_threads(1)


def network(seed: int = 0, **options) -> nn.Module:
    torch.manual_seed(seed)
    return build("lean", **({"widths": (4, 8)} | options))


def trained(seed: int = 0, steps: int = 3) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A network after a few steps, in the channels_last layout that training uses."""
    model = network(seed).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(steps):
        step(model, optimizer, seed=7)
    return model, optimizer


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    x = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    model(x)[-1].scores.square().mean().backward()
    optimizer.step()


def assert_same_tensors(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype, name
        assert torch.equal(tensor, second[name]), name


# --- Round trips ---------------------------------------------------------------------------------


def test_weights_and_buffers_come_back_bit_for_bit(tmp_path):
    model, _ = trained()
    model.stem[1].running_var[0] = 1e-42  # a denormal number survives too
    checkpoint.save(tmp_path / "a.safetensors", model)
    tensors, _ = checkpoint.read(tmp_path / "a.safetensors")
    other = network(seed=1)
    checkpoint.restore(tensors, other)
    assert_same_tensors(model.state_dict(), other.state_dict())


def test_training_goes_on_as_if_it_had_not_been_stored(tmp_path):
    model, optimizer = trained()
    checkpoint.save(tmp_path / "a.safetensors", model, optimizer=optimizer)
    other, other_optimizer = trained(seed=1, steps=1)
    tensors, _ = checkpoint.read(tmp_path / "a.safetensors")
    checkpoint.restore(tensors, other, other_optimizer)
    ours, theirs = (o.state_dict()["state"] for o in (optimizer, other_optimizer))
    assert ours.keys() == theirs.keys() and len(ours) == len(list(model.parameters()))
    for index, state in ours.items():
        assert_same_tensors(state, theirs[index])
        for key in ("exp_avg", "exp_avg_sq"):  # the layout too: another one is slower
            assert state[key].stride() == theirs[index][key].stride()
    for seed in (8, 9):
        step(model, optimizer, seed)
        step(other, other_optimizer, seed)
    assert_same_tensors(model.state_dict(), other.state_dict())


def test_a_fresh_optimiser_takes_the_stored_state(tmp_path):
    """As after a restart: Adam has no state of its own yet."""
    model, optimizer = trained()
    checkpoint.save(tmp_path / "a.safetensors", model, optimizer=optimizer)
    other = network(seed=1)
    fresh = torch.optim.Adam(other.parameters(), 0.01)
    checkpoint.restore(checkpoint.read(tmp_path / "a.safetensors")[0], other, fresh)
    step(model, optimizer, 8)
    step(other, fresh, 8)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor)


def test_the_header_keeps_what_json_can_hold(tmp_path):
    about = {"step": 12, "best": float("inf"), "rows": [{"loss": 0.1 + 0.2}], "text": "é, ₂"}
    checkpoint.save(tmp_path / "a.safetensors", network(), about)
    _, header = checkpoint.read(tmp_path / "a.safetensors")
    assert header["about"] == about and header["format"] == checkpoint.FORMAT
    checkpoint.save(tmp_path / "b.safetensors", network())
    assert checkpoint.read(tmp_path / "b.safetensors")[1]["about"] == {}


def test_load_model_rebuilds_the_network_from_the_file_alone(tmp_path):
    model, _ = trained()
    checkpoint.save(tmp_path / "a.safetensors", model)
    again = checkpoint.load_model(str(tmp_path / "a.safetensors"))
    assert type(again) is type(model) and not again.training
    x = torch.rand(2, 1, 16, 16)
    assert_same_tensors(again.state_dict(), model.state_dict())
    torch.testing.assert_close(again(x)[-1].scores, model.eval()(x)[-1].scores)
    assert again(x)[-1].activation == "softmax"
    checkpoint.save(tmp_path / "b.safetensors", network(activation="sigmoid", landmarks=3))
    other = checkpoint.load_model(tmp_path / "b.safetensors")
    assert other(x)[-1].activation == "sigmoid" and other(x)[-1].scores.shape[1] == 3


# --- Writing in one step -------------------------------------------------------------------------


def test_a_new_folder_is_made_and_the_file_is_an_ordinary_one(tmp_path):
    path = tmp_path / "runs" / "one" / "a.safetensors"
    checkpoint.save(path, network())
    assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, network(), {"step": 1})
    old = path.read_bytes()

    def disk_full(tensors, filename, metadata):
        Path(filename).write_bytes(b"half a fi")
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", disk_full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(path, network(seed=1), {"step": 2})
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_failing_rename_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, network(), {"step": 1})
    old = path.read_bytes()

    def refuse(source, target):
        assert safetensors.torch.load_file(source)  # it was complete by then
        raise PermissionError("in use")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match=r"a\.safetensors: could not be saved \(in use\)"):
        checkpoint.save(path, network(seed=1), {"step": 2})
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def sync(number):
        # Windows flushes only what is open for writing: os.write of nothing raises otherwise.
        events.append(("fsync", os.write(number, b"")))
        fsync(number)

    def rename(source, target):
        events.append(("replace", Path(target).name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", rename)
    checkpoint.save(tmp_path / "a.safetensors", network())
    assert events == [("fsync", 0), ("replace", "a.safetensors")]


# --- Bad files -----------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors: no such checkpoint"):
        checkpoint.read(tmp_path / "nothing.safetensors")
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        checkpoint.load_model(tmp_path)  # a folder is no checkpoint either


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_named_at_every_length(tmp_path, keep):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, network())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(ValueError, match=r"a\.safetensors: not a whole safetensors file"):
        checkpoint.read(path)


def test_a_pickle_in_disguise_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    torch.save(network().state_dict(), path)
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        checkpoint.load_model(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_a_foreign_safetensors_file_is_refused(tmp_path, metadata):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(2)}, path, metadata=metadata)
    with pytest.raises(ValueError, match=r"a\.safetensors: .*not written by hglib"):
        checkpoint.read(path)


def test_a_file_of_another_format_says_both_numbers(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    monkeypatch.setattr(checkpoint, "FORMAT", 7)
    checkpoint.save(path, network())
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"a\.safetensors: format 7.*reads format 1"):
        checkpoint.read(path)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"widths": (6, 8)}, ["stem.0.weight", "(6, 1, 4, 4)", "(4, 1, 4, 4)"]),
        ({"landmarks": 3}, ["heads.0.weight", "(3, 4, 1, 1)", "(2, 4, 1, 1)"]),
        ({"widths": (4, 8, 8)}, ["skips.1.0.weight", "absent in the checkpoint"]),
    ],
)
def test_a_network_that_does_not_fit_is_told_where(tmp_path, options, words):
    checkpoint.save(tmp_path / "a.safetensors", network())
    model = network(**options)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError) as caught:
        checkpoint.restore(checkpoint.read(tmp_path / "a.safetensors")[0], model)
    assert all(word in str(caught.value) for word in words)
    assert_same_tensors(before, model.state_dict())  # nothing was half restored


def test_a_network_that_has_less_than_the_file_is_told_what(tmp_path):
    checkpoint.save(tmp_path / "a.safetensors", nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3)))
    tensors, _ = checkpoint.read(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"1\.bias is absent in the network but \(3,\)"):
        checkpoint.restore(tensors, nn.Sequential(nn.Linear(2, 2)))


def test_load_model_lays_kernels_out_as_training_does(tmp_path):
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, build("lean", widths=[4, 8]))
    kernels = [p for p in checkpoint.load_model(path).parameters() if p.ndim == 4]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)


def test_load_model_needs_to_know_the_network(tmp_path):
    checkpoint.save(tmp_path / "a.safetensors", nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"a\.safetensors: does not say which network"):
        checkpoint.load_model(tmp_path / "a.safetensors")
    layer = nn.Linear(2, 2)
    checkpoint.restore(checkpoint.read(tmp_path / "a.safetensors")[0], layer)  # still readable


def test_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, network())
    whole = bytearray(path.read_bytes())
    whole[-9] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"a\.safetensors: damaged"):
        checkpoint.read(path)


@pytest.mark.parametrize(
    "text", ["no json", "[]", "null", '{"format": 1}', '{"format": 1, "network": 3, "about": {}}']
)
def test_a_header_of_another_kind_is_named(tmp_path, text):
    path = tmp_path / "a.safetensors"
    save_file({"model/x": torch.zeros(2)}, path, metadata={"hglib": text})
    with pytest.raises(ValueError, match=r"a\.safetensors: its header"):
        checkpoint.read(path)


@pytest.mark.parametrize(
    "options", [{"landmarks": 1e9}, {"landmarks": 10**9}, {"widths": [1] * 10000}, {"newer": 1}]
)
def test_a_header_that_asks_for_too_much_is_refused_at_once(tmp_path, options):
    path, model = tmp_path / "a.safetensors", network()
    model.settings = {**model.settings, **options}
    checkpoint.save(path, model)
    with pytest.raises(ValueError, match=r"a\.safetensors: "):
        checkpoint.load_model(path)


@pytest.mark.parametrize("spoil", [torch.Tensor.int, torch.Tensor.bool, lambda t: t * math.nan])
def test_weights_of_another_kind_are_refused(tmp_path, spoil):
    checkpoint.save(tmp_path / "a.safetensors", network())
    tensors, _ = checkpoint.read(tmp_path / "a.safetensors")
    tensors["model/stem.0.weight"] = spoil(tensors["model/stem.0.weight"])
    with pytest.raises(ValueError, match=r"stem\.0\.weight"):
        checkpoint.restore(tensors, network(seed=1))


# --- No pickle -----------------------------------------------------------------------------------


def test_nothing_in_the_library_can_unpickle():
    folder = Path(hglib.__file__).parent
    forbidden = re.compile(
        r"import pickle|from pickle|torch\.load\(|torch\.save\(|allow_pickle=True"
    )
    files = list(folder.rglob("*.py"))
    assert len(files) > 10
    for file in files:
        found = forbidden.search(file.read_text(encoding="utf-8"))
        assert found is None, f"{file.name}: {found.group()}"


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 200 kB: a file system in memory, where we may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no leave to mount a file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_one_sentence_and_the_older_checkpoint_stays(tiny_disk):
    path = tiny_disk / "last.safetensors"
    small, large = build("lean", widths=[4, 8]), build("lean", widths=[16, 32, 64])
    checkpoint.save(path, small, {"step": 1})
    with pytest.raises(OSError, match=r"last\.safetensors: could not be saved .*make room") as said:
        checkpoint.save(path, large, {"step": 2})
    assert "\n" not in str(said.value)
    assert checkpoint.read(path)[1]["about"] == {"step": 1}
    checkpoint.load_model(path)
    assert [file.name for file in tiny_disk.iterdir()] == ["last.safetensors"]


@pytest.mark.parametrize("lost", ["optimizer/0/exp_avg", "optimizer/1/", "optimizer/"])
def test_missing_tensors_of_the_optimizer_are_noticed(lost):
    model = build("lean", widths=[4, 8])
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.rand(2, 1, 16, 16))[-1].scores.sum().backward()
    optimizer.step()
    tensors = {f"model/{name}": t for name, t in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": t for key, t in state.items()}
    checkpoint.restore(tensors, model, optimizer, steps=1)
    rest = {name: t for name, t in tensors.items() if not name.startswith(lost)}
    with pytest.raises(ValueError, match="optimizer"):
        checkpoint.restore(rest, model, optimizer, steps=1)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("optimizer/0/exp_avg", lambda t: t * math.nan),
        ("optimizer/1/exp_avg", lambda t: t[:-1]),
        ("optimizer/0/exp_avg_sq", lambda t: -1 - t),
        ("optimizer/2/step", lambda t: t + 1),
        ("optimizer/2/step", lambda t: -t),
        ("optimizer/2/step", torch.Tensor.int),
    ],
)
def test_tensors_that_no_adam_could_have_left_are_named(name, spoil, tmp_path):
    model, optimizer = trained(steps=2)
    checkpoint.save(tmp_path / "a.safetensors", model, optimizer=optimizer)
    tensors, _ = checkpoint.read(tmp_path / "a.safetensors")
    checkpoint.restore(tensors, model, optimizer, steps=2)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    for key in list(before):
        tensors[f"model/{key}"] = tensors[f"model/{key}"] * 2
    with pytest.raises(ValueError, match=name):
        checkpoint.restore(tensors | {name: spoil(tensors[name])}, model, optimizer, steps=2)
    assert_same_tensors(before, model.state_dict())


# --- a run's folder ------------------------------------------------------------------------------


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path):
    pytest.importorskip("fcntl", reason="no locks on this system")
    folder = tmp_path / "runs" / "one"  # made with its parent
    with checkpoint.own_folder(folder):
        assert folder.is_dir()
        with pytest.raises(OSError, match="another run is training there"):  # noqa: SIM117
            with checkpoint.own_folder(folder):
                pass
        with checkpoint.own_folder(tmp_path / "runs" / "two"):
            pass  # the parent is there already, and another folder is free
    with checkpoint.own_folder(folder):
        pass  # given back


def test_half_written_files_go_and_all_others_stay(tmp_path):
    kept = ["last.safetensors", "best.safetensors", "notes.part", "last.safetensors.part"]
    for name in [*kept, "last.safetensors1a2b3c4d.part"]:
        (tmp_path / name).write_bytes(b"x")
    with checkpoint.own_folder(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
    with checkpoint.own_folder(None):
        pass  # no folder, nothing to own


def test_a_half_written_file_may_go_by_itself(tmp_path, monkeypatch):
    gone = tmp_path / "last.safetensors1a2b3c4d.part"  # listed, and deleted by somebody else
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [gone])
    with checkpoint.own_folder(tmp_path):
        pass


def test_an_earlier_run_is_moved_aside_whole_and_kept(tmp_path):
    last, best, other = (tmp_path / name for name in ("last", "best", "other"))
    assert checkpoint.move_aside(last, best) is None, "nothing was there"
    other.write_text("stays")
    for number in (1, 2):
        for path in (last, best):
            path.write_text(f"{path.name} of run {number}")
        assert checkpoint.move_aside(last, best) == tmp_path / f"previous-{number}"
        assert not last.exists() and not best.exists()
    for number in (1, 2):
        folder = tmp_path / f"previous-{number}"
        texts = {path.name: path.read_text() for path in folder.iterdir()}
        assert texts == {name: f"{name} of run {number}" for name in ("last", "best")}
    assert other.read_text() == "stays"
