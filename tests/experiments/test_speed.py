"""The measurement compares fairly; what it measures are the steps that training makes.

Nothing here asserts how fast anything is: times come from a clock that the test moves itself.
"""

import json
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from hglib.augment import Augment
from hglib.experiments import speed
from hglib.experiments.pretrain import drawn
from hglib.experiments.speed import OURS, SETTINGS, Batches, Learner, Row, Setting, Unavailable
from hglib.losses import total_loss

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces():
    torch.set_num_threads(1)
    return drawn(64)


def test_tasks_take_turns_and_the_first_round_does_not_count():
    calls = []

    def task(name):
        def run():
            calls.append(name)
            return 100.0 if len(calls) <= 3 else 1.0  # the first round is slow

        return run

    rows = speed.side_by_side({name: task(name) for name in "abc"}, rounds=2)
    assert "".join(calls) == "abcbcacab"  # everyone goes first once
    assert [row.ms for row in rows] == [1000.0] * 3


def test_a_ratio_is_taken_within_the_rounds():
    """A machine that slows down tenfold in the middle changes times, but not ratios."""
    seconds = {"slow": [9, 4.0, 40.0, 4.0], "fast": [9, 2.0, 20.0, 2.0]}
    tasks = {name: iter(values).__next__ for name, values in seconds.items()}
    slow_row, fast_row = speed.side_by_side(tasks, rounds=3, group="g")
    assert slow_row.ratio == 1 and fast_row.ratio == 2 and fast_row.group == "g"
    assert (fast_row.ms, fast_row.low, fast_row.high) == (2000, 2000, 11000)


def test_what_cannot_run_has_a_row_with_the_reason():
    def make():
        raise Unavailable("no compiler")

    rows = speed.compare({"a": lambda: lambda: 1.0, "b": make, "c": lambda: lambda: 2.0}, rounds=1)
    assert [row.name for row in rows] == ["a", "b", "c"]
    assert rows[1].note == "no compiler" and np.isnan(rows[1].ratio) and rows[2].ratio == 0.5


def test_only_compiling_may_be_unavailable():
    def fails():
        raise RuntimeError("InductorError: no C++ compiler\nand a long story")

    with pytest.raises(Unavailable, match=r"^does not run here: InductorError: no C\+\+ compiler$"):
        speed.timed(fails, Setting(compiled=True), CPU, times=1)
    with pytest.raises(RuntimeError, match="InductorError"):
        speed.timed(fails, Setting(), CPU, times=1)


def test_threads_are_set_for_the_task_and_put_back():
    seen = []
    torch.set_num_threads(1)
    run = lambda: seen.append(torch.get_num_threads())  # noqa: E731
    speed.timed(run, Setting(threads=2), CPU, times=3)
    speed.timed(run, Setting(), CPU, times=1)
    assert seen == [2, 2, 2, 1] and torch.get_num_threads() == 1


def test_a_task_gives_the_seconds_of_one_run(monkeypatch):
    clock = iter([0.0, 1.0, 10.0, 16.0])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(clock))
    task = speed.timed(lambda: None, Setting(), CPU, times=3)
    assert task() == 2.0


@pytest.mark.parametrize("name", [n for n, s in SETTINGS.items() if not s.compiled])
def test_every_setting_makes_the_same_step(faces, name):
    """The tricks change the speed, not what is computed, to the precision they work in."""
    setting = replace(SETTINGS[name], threads=None)
    images = speed.as_input(faces.images[:4])
    points = torch.from_numpy(faces.points[:4])
    learner, plain = Learner(setting, CPU), Learner(Setting(), CPU)
    for one in (learner, plain):
        one.step(images, points)
    least = 0.9 if setting.precision != "float32" else 0.9999  # bfloat16 has 8 binary digits
    for mine, other in zip(learner.model.parameters(), plain.model.parameters(), strict=True):
        assert mine.dtype == torch.float32
        if other.grad.norm() > 1e-4:  # not the bias before the softmax, which has none
            assert torch.cosine_similarity(mine.grad.flatten(), other.grad.flatten(), dim=0) > least


def test_a_learner_learns(faces):
    learner = Learner(OURS, CPU)
    images, points = speed.as_input(faces.images[:4]), torch.from_numpy(faces.points[:4])

    def loss():
        with torch.no_grad():
            return total_loss(learner.model(images), points, (96, 96)).item()

    before = loss()
    for _ in range(5):
        learner.step(images, points)
    assert loss() < before
    kernels = [p for p in learner.model.parameters() if p.ndim == 4]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)


def test_batches_end_and_are_the_same_from_a_worker(faces):
    batches = Batches(faces, Augment(), steps=2)
    assert len(batches) == len(list(batches)) == 2
    loader = torch.utils.data.DataLoader(batches, None, num_workers=1)
    for (images, points), (theirs, others) in zip(batches, loader, strict=True):
        assert images.shape == (speed.BATCH, 1, 96, 96)
        torch.testing.assert_close(images, theirs)
        torch.testing.assert_close(points, others, equal_nan=True)
    first, second = (images for images, _ in islice(batches, 2))
    assert not torch.equal(first, second)


def test_the_table_has_every_group_and_setting(faces):
    groups = speed.groups(CPU, faces)
    assert len(groups) == 4
    assert list(groups["a training step, 32 faces"]) == list(SETTINGS)
    alone = groups["finding, one face at a time"]
    assert "both, plain Adam" not in alone and "both, BatchNorms folded" in alone
    assert len(groups["a training step with its loading"]) == 3


def test_rows_print_and_are_saved_without_nan(tmp_path, capsys):
    nan = float("nan")
    rows = [Row("g", "plain", 4.0, 3.0, 5.0, 1.0), Row("g", "x", nan, nan, nan, nan, "no compiler")]
    speed.print_rows(rows)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3 and "1.00" in said[1] and said[2].endswith("no compiler")
    path = tmp_path / "new" / "speed.json"
    speed.save(path, rows, CPU, rounds=3)
    kept = json.loads(path.read_text())
    assert kept["rows"][1]["ratio"] is None and kept["rows"][0]["ratio"] == 1.0
    assert kept["device"] == "cpu" and kept["rounds"] == 3


def test_the_command_measures_one_group_and_saves_it(tmp_path, monkeypatch, capsys):
    def one(device, faces):
        return {"a": {"x": lambda: lambda: 1.0}, "b": {"y": lambda: lambda: 2.0}}

    monkeypatch.setattr(speed, "groups", one)
    monkeypatch.setattr(speed, "drawn", lambda count: None)
    path = tmp_path / "speed.json"
    command = ["--only", "b", "--rounds", "1", "--device", "cpu", "--save", str(path)]
    assert speed.main(command) == 0
    assert [row["name"] for row in json.loads(path.read_text())["rows"]] == ["y"]
    assert "2000.0" in capsys.readouterr().out
