"""What is compared is compared fairly, and the ways of going faster compute the same.

Nothing here asserts how fast anything is.
"""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from hglib.augment import Augment
from hglib.commands.experiment import run_one
from hglib.datasets.synthetic.exact import exact_faces
from hglib.experiments import speed
from hglib.experiments.record import read
from hglib.experiments.speed import OURS, SETTINGS, Batches, Learner, Setting
from hglib.experiments.timing import CPU, Unavailable
from hglib.losses import total_loss


@pytest.fixture(scope="module")
def faces():
    torch.set_num_threads(1)
    return exact_faces(64)


def test_a_ratio_is_taken_within_the_rounds():
    """A machine that slows down tenfold in the middle changes times, but not ratios."""
    seconds = {"slow": [9, 4.0, 40.0, 4.0], "fast": [9, 2.0, 20.0, 2.0]}
    makers = {name: lambda v=values: iter(v).__next__ for name, values in seconds.items()}
    slow, fast = speed.compare(makers, rounds=3, group="g")
    assert slow["ratio"] == 1 and fast["ratio"] == 2 and fast["group"] == "g"
    assert (fast["ms"], fast["low"], fast["high"]) == (2000, 2000, 11000)


def test_what_cannot_run_has_a_row_with_the_reason(capsys):
    def make():
        raise Unavailable("no compiler")

    rows = speed.compare({"a": lambda: lambda: 1.0, "b": make, "c": lambda: lambda: 2.0}, rounds=1)
    assert [row["name"] for row in rows] == ["a", "b", "c"]
    assert rows[1]["note"] == "no compiler" and np.isnan(rows[1]["ratio"])
    assert rows[2]["ratio"] == 0.5
    speed.print_table(rows)
    assert capsys.readouterr().out.splitlines()[2].endswith("no compiler")


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
    assert "both, plain Adam" not in alone and "both, BatchNorms fused" in alone
    assert len(groups["a training step with its loading"]) == 3


def test_the_command_measures_one_group_and_saves_it(tmp_path, monkeypatch, capsys):
    def one(device, faces):
        return {"a": {"x": lambda: lambda: 1.0}, "b": {"y": lambda: lambda: 2.0}}

    monkeypatch.setattr(speed, "groups", one)
    path = tmp_path / "speed.json"
    run_one("speed", ["--budget", "tiny", "--only", "b", "--save", str(path)])
    assert read(path).figures["b"]["y"]["ms"] == 2000 and list(read(path).figures) == ["b"]
    assert "2,000.00" in capsys.readouterr().out
    assert {row["group"] for row in speed.rows(read("speed"))} >= {"a training step, 32 faces"}
