"""Fifteen points: the three ways with missing labels, what is measured, and the results file."""

import json
from pathlib import Path

import numpy as np
import pytest

from hglib.data import Faces
from hglib.datasets import load
from hglib.datasets.synthetic import LANDMARKS
from hglib.experiments import landmarks15 as study
from hglib.metrics import kaggle_rmse

RESULTS = Path(study.RESULTS)


@pytest.fixture
def faces():
    """Four faces with all points, six without most of them."""
    rng = np.random.default_rng(0)
    points = rng.uniform(20, 70, (10, 15, 2)).astype(np.float32)
    points[4:, 2:10] = np.nan
    images = rng.integers(0, 255, (10, 96, 96), dtype=np.uint8)
    return Faces(images, points, LANDMARKS, np.arange(10), "noise")


def test_the_three_ways_differ_in_the_missing_labels_only(faces):
    masked, complete, zeros = (way(faces) for way in study.WAYS.values())
    assert masked is faces
    assert complete.rows.tolist() == [0, 1, 2, 3]
    assert zeros.present.all() and np.array_equal(zeros.images, faces.images)
    assert (zeros.points[~faces.present] == 0).all()
    assert np.array_equal(zeros.points[faces.present], faces.points[faces.present])
    assert not faces.present.all()  # the faces themselves were not filled


def test_figures_of_points_that_are_off_by_a_known_amount(faces):
    points = faces.points.copy()
    points[:4] += (3, 0)  # complete faces
    points[4:] += (0, 1)
    found = study.figures(points, faces)
    assert found["rmse_complete"] == pytest.approx((9 / 2) ** 0.5, abs=1e-4)
    assert found["rmse_gaps"] == pytest.approx((1 / 2) ** 0.5, abs=1e-4)
    assert found["rmse"] == pytest.approx(kaggle_rmse(points, faces.points), abs=1e-4)
    assert found["by_landmark"][0] == pytest.approx(((4 * 9 + 6) / 20) ** 0.5, abs=1e-4)
    assert found["by_landmark"][5] == pytest.approx((9 / 2) ** 0.5, abs=1e-4)
    assert found["corner"] == 0


def test_points_in_the_corner_are_counted(faces):
    points = faces.points.copy()
    points[:2] = 1.0
    labelled = faces.present.sum()
    assert study.figures(points, faces)["corner"] == pytest.approx(30 / labelled, abs=1e-4)


def test_the_command_measures_each_way_once_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HGLIB_CACHE", str(tmp_path / "cache"))
    small = load("synthetic", "all", n_synthetic=60, verbose=False)
    monkeypatch.setattr(study, "load", lambda source, landmarks: small)
    command = ["--pictures", "33", "--save", "out.json"]
    assert study.main([*command, "--only", "gaps as zeros"]) == 0
    assert [row["way"] for row in json.loads(Path("out.json").read_text())["rows"]] == [
        "every row, gaps as zeros"
    ]
    assert study.main(command) == 0
    kept = json.loads(Path("out.json").read_text())
    assert sorted(row["way"] for row in kept["rows"]) == sorted(study.WAYS)
    assert kept["train_complete"] < kept["train_faces"] and kept["data"].startswith("synthetic")
    monkeypatch.setattr(study, "train_one", lambda *given: pytest.fail("measured twice"))
    assert study.main(command) == 0


def test_the_file_that_comes_with_hglib():
    kept = json.loads(RESULTS.read_text())
    assert kept["landmarks"] == list(LANDMARKS) and kept["data"].startswith("Kaggle")
    assert {row["way"] for row in kept["rows"]} == set(study.WAYS)
    assert kept["published"] == study.PUBLISHED
    for row in kept["rows"]:
        assert len(row["by_landmark"]) == 15 and row["rmse"] > 0
