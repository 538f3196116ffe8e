"""Fifteen points: the three ways with missing labels, what is measured, and the results file."""

import numpy as np
import pytest

from hglib.data import Faces
from hglib.datasets.synthetic import LANDMARKS
from hglib.experiments import landmarks15 as study
from hglib.experiments.record import read
from hglib.metrics import kaggle_rmse


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


def test_the_published_results():
    kept = read("landmarks15")
    assert kept.about["landmarks"] == list(LANDMARKS) and kept.data.startswith("Kaggle")
    assert {row["way"] for row in kept.figures.values()} == set(study.WAYS)
    assert {"system", "rmse", "board", "url"} == set(kept.about["published"][0])
    assert kept.about["train_complete"] < kept.about["train_faces"]
    for row in kept.figures.values():
        assert len(row["by_landmark"]) == 15 and row["rmse"] > 0
