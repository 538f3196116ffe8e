"""Two processes make the run that one makes: weights, metrics, resuming, and a killed process.

The processes are started by torchrun, as a reader starts them; `several_processes.py` is what they
run.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import several_processes as small
import torch
import torch.distributed as dist
from torch import nn

from hglib import checkpoint, commands
from hglib.env import check_env, choose_device
from hglib.parallel import Group, SyncedBatchNorm, joined, synchronise
from hglib.train import BLOCK, Alone, Trainer, step_rng

torch.set_num_threads(1)
pytestmark = pytest.mark.skipif(
    not dist.is_available() or not dist.is_gloo_available(), reason="torch without gloo"
)


def torchrun(*command: str, processes: int = 2) -> subprocess.CompletedProcess:
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    # A port that is free, so that two test runs do not meet.
    return subprocess.run(
        [*start, "--rdzv-endpoint", "localhost:0", "--rdzv-backend", "c10d", *command],
        capture_output=True,
        text=True,
        timeout=300,
    )


SCRIPT = str(Path(small.__file__).resolve())


def read(folder: Path, name: str = "last") -> tuple[dict, dict]:
    tensors, header = checkpoint.read(folder / f"{name}.safetensors")
    return tensors, header["about"]


def assert_close(first: dict, second: dict, atol: float = 5e-5) -> None:
    """The same tensors to float tolerance. One step moves a weight by up to 1e-3, and Adam makes
    the last bit of a small gradient (sums in another order) a few per cent of a step."""
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=1e-4, atol=atol)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    small.compare(folder, Alone())
    return folder


@pytest.fixture(scope="module")
def together(alone, tmp_path_factory) -> Path:
    """The same runs in two processes; "from_one" goes on from the half of one process."""
    folder = tmp_path_factory.mktemp("together")
    shutil.copytree(alone / "half", folder / "from_one")
    done = torchrun(SCRIPT, str(folder), "compare")
    assert done.returncode == 0, done.stderr
    return folder


# --- The same run --------------------------------------------------------------------------------


@pytest.mark.parametrize("run", ["whole", "summed"])
def test_two_processes_end_in_the_weights_of_one(alone, together, run):
    ours, about = read(together / run)
    theirs, expected = read(alone / run)
    assert about["state"]["step"] == expected["state"]["step"] == 6
    assert_close(theirs, ours)
    start = small.network().state_dict()
    moved = [(theirs[f"model/{n}"] - t).abs().max() for n, t in start.items() if "weight" in n]
    assert min(moved) > 1e-3  # they have learnt something that could differ


def test_loss_peak_and_validation_are_those_of_the_whole(alone, together):
    ours, theirs = (read(folder / "whole")[1]["state"]["rows"] for folder in (together, alone))
    assert len(ours) == 6
    for row, expected in zip(ours, theirs, strict=True):
        assert row.keys() == expected.keys()
        for name in set(row) - {"seconds"}:
            assert row[name] == pytest.approx(expected[name], rel=1e-3), name
    assert "val_mean_px" in ours[-1]


def test_the_best_network_is_saved_once(together):
    names = sorted(path.name for path in (together / "whole").iterdir())
    assert names == ["best.safetensors", "last.safetensors"]


# --- Other numbers of processes ------------------------------------------------------------------


def test_two_processes_go_on_where_one_stopped(alone, together):
    assert read(alone / "half")[1]["state"]["step"] == 3
    assert_close(read(alone / "whole")[0], read(together / "from_one")[0])


def test_one_process_goes_on_where_two_were_interrupted(alone, together, tmp_path):
    """Ctrl-C came in process 0 only, and both stopped after the same step."""
    assert read(together / "half")[1]["state"]["step"] == 3
    shutil.copytree(together / "half", tmp_path / "run")
    small.run(tmp_path / "run", seed=5, resume=True)
    assert_close(read(alone / "whole")[0], read(tmp_path / "run")[0])


# --- A process that dies -------------------------------------------------------------------------


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_run_and_leaves_a_good_checkpoint(alone, tmp_path, victim):
    said = f"process {1 - victim} of 2 lost touch with the others after step 4"
    for _ in range(3):  # on a busy machine torchrun may end the other process before it notices
        shutil.rmtree(tmp_path / "killed", ignore_errors=True)
        done = torchrun(SCRIPT, str(tmp_path), str(victim))
        assert done.returncode != 0
        if said in done.stderr:
            break
    assert said in done.stderr
    assert "--resume and any number of processes" in done.stderr
    assert read(tmp_path / "killed")[1]["state"]["step"] == small.KILLED_AT
    small.run(tmp_path / "killed", seed=5, resume=True)
    assert_close(read(alone / "whole")[0], read(tmp_path / "killed")[0])


# --- The command line ----------------------------------------------------------------------------


def test_the_command_line_under_torchrun(tmp_path, monkeypatch):
    monkeypatch.setenv("HGLIB_CACHE", str(tmp_path / "cache"))
    data = ["--data", "synthetic", "--synthetic-faces", "60", "--device", "cpu"]
    train = ["train", *data, "--epochs", "0.7", "--batch", "16", "--precision", "float32"]
    done = torchrun("-m", "hglib", *train, "--out", str(tmp_path / "two"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Data: ") == 1 and done.stdout.count("done: 2 steps") == 1
    assert commands.main([*train, "--out", str(tmp_path / "one")]) == 0
    ours, theirs = read(tmp_path / "two")[0], read(tmp_path / "one")[0]
    assert ours.keys() == theirs.keys()
    gradients = [name for name in theirs if name.endswith("/exp_avg") and theirs[name].any()]
    for name in gradients:  # Adam's mean of them; sums in another order, and weights that follow
        largest = theirs[name].abs().max()
        if largest > 1e-6:  # not the bias before a softmax: see several_processes.network
            assert (ours[name] - theirs[name]).abs().max() < 0.1 * largest, name
    assert len(gradients) > 30
    moved = [(ours[n] - theirs[n]).abs() > 1e-4 for n in theirs if n.endswith("weight")]
    assert torch.cat([each.flatten() for each in moved]).float().mean() < 0.01  # Adam's flips


# --- The parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_shares_are_even_and_leave_nothing_out(world):
    shares = [
        list(range(20))[(Group(rank, world) if world > 1 else Alone()).share(20)]
        for rank in range(world)
    ]
    assert [number for share in shares for number in share] == list(range(20))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("world", [2, 3, 5])
@pytest.mark.parametrize("batch", [20, 2 * BLOCK, 2 * BLOCK + 5])
def test_the_shares_of_a_batch_are_the_whole_batch(world, batch):
    """Images, points and every random change, whoever loads them."""
    config = replace(small.CONFIG, batch=batch)
    trainer = Trainer(small.network(), small.TRAIN, None, config)
    index = np.arange(batch)
    whole = trainer.get_batch(index)
    parts = []
    for rank in range(world):
        trainer.group = Group(rank, world)
        parts.append(trainer.get_batch(index))
    for expected, *shares in zip(whole, *parts, strict=True):
        assert torch.equal(torch.cat(shares).nan_to_num(-1), expected.nan_to_num(-1))


def test_every_block_has_a_generator_of_its_own_and_block_0_the_steps():
    first = [torch.rand(2, generator=step_rng(3, 8, block)).tolist() for block in (0, 1, 2)]
    assert len({tuple(numbers) for numbers in first}) == 3
    assert torch.rand(2, generator=step_rng(3, 8)).tolist() == first[0]


def test_a_batch_smaller_than_the_processes_is_refused():
    with pytest.raises(ValueError, match="a batch of 2 is too small for 3 processes"):
        config = replace(small.CONFIG, batch=2)
        Trainer(small.network(), small.TRAIN, None, config, Group(0, 3))


def test_processes_that_start_elsewhere_are_told_so(monkeypatch):
    other = {False: 3.0, True: -3.0}  # another process stands at step 3
    monkeypatch.setattr(Group, "maximum", lambda self, value: max(value, other[value <= 0]))
    Group(0, 2).agree(3.0, "the step")
    with pytest.raises(ValueError, match="disagree about the step to start from: 3 in one, 5 in"):
        Group(0, 2).agree(5.0, "the step to start from")


def test_a_synchronised_network_of_one_process_is_the_ordinary_one(monkeypatch):
    """Same outputs, gradients, running statistics and names as torch's own BatchNorm."""
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: None)  # a sum over one process
    ours, theirs = small.network(), small.network()
    x = torch.rand(5, 1, 16, 16)
    synchronise(ours, torch.device("cpu"))
    assert sum(isinstance(layer, SyncedBatchNorm) for layer in ours.modules()) == 5
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for model in (ours, theirs):
        for _ in range(3):
            model(x)[-1].scores.square().mean().backward()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-6, msg=name)
    for (name, mine), other in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine, other, msg=name)
    torch.testing.assert_close(ours.eval()(x)[-1].scores, theirs.eval()(x)[-1].scores)


def test_replacing_keeps_the_very_same_tensors():
    model = small.network().eval()
    before = [*model.parameters(), *model.buffers()]
    synchronise(model, torch.device("cpu"))
    after = [*model.parameters(), *model.buffers()]
    assert all(a is b for a, b in zip(before, after, strict=True))
    assert not any(layer.training for layer in model.modules())
    assert not any(type(layer) is nn.BatchNorm2d for layer in model.modules())


def test_alone_nothing_is_wrapped_or_joined(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    with joined("cpu") as group:
        assert group == Alone() and group.writer
        assert not dist.is_initialized()
    model = small.network()
    assert Alone().wrap(model) is model
    assert Alone().maximum(2.5) == 2.5


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="torch sees no GPU here"):
        choose_device("cuda")
    with pytest.raises(ValueError, match="device 'tpu' is not one of auto, cpu, cuda, mps"):
        choose_device("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert choose_device("auto") == torch.device("cuda", 0)
    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("cuda") == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="process 2 of this machine has no GPU: torch sees 2"):
        choose_device("auto")


def test_apples_device_is_taken_on_request_only_and_named(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="torch sees no Apple GPU"):
        choose_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("mps") == torch.device("mps")
    assert choose_device("auto") == torch.device("cpu")
    check_env()
    assert "device cpu (mps is there, but not measured" in capsys.readouterr().out


def test_all_landmarks_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HGLIB_CACHE", str(tmp_path / "cache"))
    data = ["--data", "synthetic", "--synthetic-faces", "60", "--device", "cpu"]
    out = str(tmp_path / "run")
    assert (
        commands.main(["train", *data, "--landmarks", "all", "--epochs", "0.5", "--out", out]) == 0
    )
    last = f"{out}/last.safetensors"
    assert checkpoint.load_model(last).settings["landmarks"] == 15
    capsys.readouterr()
    judge = ["evaluate", *data, "--part", "train", "--flip", last]
    assert commands.main([*judge, "--landmarks", "all", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["results"][last]
    assert said["mean_px"] > 0 and said["e05"] is not None
    assert commands.main(judge) == 1
    assert "finds 15 points, but 2 were asked for" in capsys.readouterr().err
