"""The long run of 2019: what it is held against, how it starts dark, and that it can be resumed."""

import json
import math

import numpy as np
import pytest
import torch

from hglib.data import EYES, Faces
from hglib.experiments import plateau
from hglib.hourglass import build
from hglib.losses import OBJECTIVE_2019, Objective, targets, total_loss

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
    model, pictures = build("original"), torch.rand(1, 1, 96, 96)
    zero = plateau.all_zero_loss(POINTS[:1], OBJECTIVE_2019, [16, 1])
    with torch.no_grad():
        bright = total_loss(model(pictures), POINTS[:1], (96, 96), OBJECTIVE_2019) / zero
        plateau.start_dark(model, POINTS, OBJECTIVE_2019)
        dark = total_loss(model(pictures), POINTS[:1], (96, 96), OBJECTIVE_2019) / zero
    assert bright > 5 and dark < 1


def test_gradient_norm_is_that_of_all_weights_in_one_row():
    model = torch.nn.Linear(3, 2)
    model(torch.rand(4, 3)).square().sum().backward()
    row = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert plateau.gradient_norm(model) == pytest.approx(float(row.norm()), rel=1e-5)


def test_an_interrupted_run_goes_on_to_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(plateau, "STRETCH", 2)
    given = (48, faces(), faces(4))  # 48 pictures: 6 steps, 3 rows
    whole = plateau.run_once("3", *given, tmp_path / "whole")
    assert [row["pictures"] for row in whole] == [16, 32, 48]
    rows, real = [], plateau.stretch

    def once(*args):
        if rows:
            raise KeyboardInterrupt
        rows.append(real(*args))
        return rows[0]

    monkeypatch.setattr(plateau, "stretch", once)
    with pytest.raises(KeyboardInterrupt):
        plateau.run_once("3", *given, tmp_path / "cut")
    monkeypatch.setattr(plateau, "stretch", real)
    assert plateau.run_once("3", *given, tmp_path / "cut") == whole


def test_a_dark_run_differs_in_its_start_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(plateau, "STRETCH", 1)
    given = (8, faces(), faces(4), tmp_path)
    (bright,), (dark,) = plateau.run_once("0", *given), plateau.run_once("0 dark", *given)
    assert bright["loss_ratio"] > 2 > dark["loss_ratio"]
    assert (tmp_path / "0_dark.safetensors").exists()


def test_save_keeps_the_other_runs(tmp_path):
    path = tmp_path / "new" / "plateau.json"
    plateau.save(path, "drawn", "1", [{"pictures": 8, "peak": 0.5}])
    plateau.save(path, "drawn", "0", [{"pictures": 8, "peak": 0.25}, {"pictures": 16, "peak": 0.1}])
    saved = json.loads(path.read_text())
    assert saved["runs"] == {
        "0": {"pictures": [8, 16], "peak": [0.25, 0.1]},
        "1": {"pictures": [8], "peak": [0.5]},
    }
    assert saved["data"] == "drawn" and "hglib.experiments.plateau" in saved["command"]


def test_the_course_has_the_runs_that_its_notebook_speaks_of():
    saved = json.loads(plateau.RESULTS.read_text())
    assert list(saved["runs"]) == ["0", "0 dark", "1"]
    for name, columns in saved["runs"].items():
        assert columns["pictures"] == list(range(1000, plateau.PICTURES[name] + 1, 1000))
        assert all(len(values) == len(columns["pictures"]) for values in columns.values())
