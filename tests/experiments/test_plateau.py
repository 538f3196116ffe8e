"""The long run of 2019: what it is held against, how it starts dark, and that it can be resumed."""

import math
from argparse import Namespace

import numpy as np
import pytest
import torch

from hglib.data import EYES, Faces
from hglib.datasets.split import Split
from hglib.experiments import plateau
from hglib.experiments.record import read
from hglib.hourglass import build
from hglib.losses import OBJECTIVE_2019, Objective, targets, total_loss
from hglib.recipes import recipe
from hglib.train import Trainer

POINTS = torch.tensor([[[65.0, 37.0], [29.4, 36.0]], [[60.0, 40.0], [math.nan, math.nan]]])


def faces(count: int = 24) -> Faces:
    rng = np.random.default_rng(0)
    points = rng.uniform(25, 70, (count, 2, 2)).astype(np.float32)
    images = rng.integers(0, 255, (count, 96, 96), dtype=np.uint8)
    return Faces(images, points, EYES, np.arange(count), "test")


@pytest.mark.parametrize("objective", [OBJECTIVE_2019, Objective("mean_squared_error")])
def test_all_zero_loss_is_the_loss_of_maps_of_zeros(objective):
    levels = targets(POINTS, (96, 96), [16, 1], objective)
    mask = POINTS.isfinite().all(dim=-1)
    energies = [level.square().sum(dim=(-2, -1))[mask] for level in levels]
    found = plateau.all_zero_loss(POINTS, objective, [16, 1])
    if objective.loss == "sum_of_squares":
        wanted = sum(energy.sum() for energy in energies)
    else:
        sizes = [level[0, 0].numel() for level in levels]
        wanted = sum(e.mean() / n for e, n in zip(energies, sizes, strict=True))
    assert found == pytest.approx(float(wanted) / len(POINTS), rel=1e-5)


def test_start_dark_answers_the_mean_target_on_every_level():
    torch.manual_seed(0)
    model = build("original")
    points = POINTS[:1]
    before = model(torch.rand(2, 1, 96, 96))
    plateau.start_dark(model, points, OBJECTIVE_2019)
    after = model(torch.rand(2, 1, 96, 96))
    maps = targets(points, (96, 96), [16, 1], OBJECTIVE_2019)
    for level, old, target in zip(after, before, maps, strict=True):
        wanted = target.mean().item()
        assert level.maps.mean().item() == pytest.approx(wanted, rel=0.1)
        assert old.maps.mean().item() > 1.5 * wanted  # as it was


def test_start_dark_moves_the_loss_near_that_of_all_zero_maps():
    torch.manual_seed(0)
    model, images = build("original"), torch.rand(1, 1, 96, 96)
    zero = plateau.all_zero_loss(POINTS[:1], OBJECTIVE_2019, [16, 1])
    with torch.no_grad():
        bright = total_loss(model(images), POINTS[:1], (96, 96), OBJECTIVE_2019) / zero
        plateau.start_dark(model, POINTS, OBJECTIVE_2019)
        dark = total_loss(model(images), POINTS[:1], (96, 96), OBJECTIVE_2019) / zero
    assert bright > 5 and dark < 1


def test_the_gradient_is_that_of_all_weights_in_one_row():
    run = Trainer(build("original"), faces(), faces(4), recipe("original", epochs=1))
    row = plateau.stretch(run, [np.arange(8)], 1.0)
    weights = torch.cat([p.grad.flatten() for p in run.model.parameters()])
    assert row["gradient"] == pytest.approx(float(weights.norm()), rel=1e-5)


def options(folder, stretch=2):
    return Namespace(save=folder / "plateau.json", stretch=stretch)


def parts():
    return Split(faces(), faces(4), faces(4))


def test_an_interrupted_run_goes_on_to_the_same_rows(tmp_path, monkeypatch):
    given = (3, 48, parts())  # 48 images: 6 steps, 3 rows
    whole = plateau.run_once(*given, options(tmp_path / "whole"))
    assert whole["images"] == [16, 32, 48]
    rows, real = [], plateau.stretch

    def once(*args):
        if rows:
            raise KeyboardInterrupt
        rows.append(real(*args))
        return rows[0]

    monkeypatch.setattr(plateau, "stretch", once)
    with pytest.raises(KeyboardInterrupt):
        plateau.run_once(*given, options(tmp_path / "cut"))
    monkeypatch.setattr(plateau, "stretch", real)
    assert plateau.run_once(*given, options(tmp_path / "cut")) == whole


def test_a_dark_run_differs_in_its_start_alone(tmp_path):
    given = (0, 8, parts(), options(tmp_path, stretch=1))
    bright, dark = plateau.run_once(*given), plateau.run_once(*given, dark=True)
    assert bright["loss_ratio"][0] > 2 > dark["loss_ratio"][0]


def test_the_published_runs_are_those_that_the_notebook_speaks_of():
    runs = read("plateau").figures
    assert set(runs) == {"seed 0", "seed 1", "seed 0, starts dark"}
    for name, columns in runs.items():
        shown = plateau.OPTIONS["images"].full // (2 if "dark" in name else 1)
        assert columns["images"] == list(range(1000, shown + 1, 1000))
        assert all(len(values) == len(columns["images"]) for values in columns.values())
