"""Faces: indexing, what is labelled, what they refuse, the order of mirrored channels."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from kaggle_files import noise

from hglib.data import EYES, LANDMARKS, Faces


def faces_of(images, rows=None):
    points = np.full((len(images), 2, 2), 40, np.float32)
    rows = np.arange(len(images)) if rows is None else rows
    return Faces(images, points, EYES, rows, "test")


# --- Faces -------------------------------------------------------------------------------------


def test_indexing_keeps_images_points_and_rows_together():
    images = noise(6)
    points = np.arange(24, dtype=np.float32).reshape(6, 2, 2)
    faces = Faces(images, points, EYES, np.arange(10, 16), "here")
    mask = np.array([False, True, False, False, False, True])
    for index, rows in (
        (slice(1, 4), [1, 2, 3]),
        (np.array([4, 0]), [4, 0]),
        (mask, [1, 5]),
        (3, [3]),
        (-1, [5]),
        (np.array([], int), []),
    ):
        part = faces[index]
        assert part.rows.tolist() == [10 + row for row in rows]
        assert np.array_equal(part.images, images[rows])
        assert np.array_equal(part.points, points[rows])
        assert part.landmarks == EYES and part.source == "here" and len(part) == len(rows)
    assert [len(face) for face in faces] == [1] * 6  # a loop over faces ends
    with pytest.raises(FrozenInstanceError):
        faces.source = "elsewhere"


def test_present_needs_both_coordinates():
    points = np.array([[[1, 2], [np.nan, 2]], [[1, np.nan], [np.nan, np.nan]]], np.float32)
    faces = Faces(noise(2), points, EYES, np.arange(2), "test")
    assert faces.present.tolist() == [[True, False], [False, False]]
    assert "3 of 4 points missing" in repr(faces)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("images", np.zeros((2, 96, 96, 1), np.uint8)),
        ("images", np.zeros((2, 96, 96), np.float32)),
        ("points", np.zeros((3, 2, 2), np.float32)),
        ("points", np.zeros((2, 3, 2), np.float32)),
        ("points", np.zeros((2, 2), np.float32)),
        ("points", np.zeros((2, 2, 2), np.float64)),
        ("rows", np.arange(3)),
        ("rows", np.zeros(2)),
        ("points", np.full((2, 2, 2), np.inf, np.float32)),
        ("points", np.ma.masked_less(np.zeros((2, 2, 2), np.float32), 1)),
        ("images", np.ma.masked_less(np.zeros((2, 96, 96), np.uint8), 1)),
        ("images", [[0]]),
        ("landmarks", EYES[:1] * 2),
    ],
)
def test_faces_check_their_shapes(field, value):
    good = {
        "images": noise(2),
        "points": np.zeros((2, 2, 2), np.float32),
        "landmarks": EYES,
        "rows": np.arange(2),
        "source": "test",
    }
    Faces(**good)
    with pytest.raises(ValueError, match=f"Faces.{field}: ") as caught:
        Faces(**{**good, field: value})
    if type(value) is np.ndarray and not np.isinf(value).any():
        assert str(value.shape) in str(caught.value) and str(value.dtype) in str(caught.value)


def test_mirror_order_swaps_left_and_right():
    assert faces_of(noise(1)).mirror_order.tolist() == [1, 0]
    points = np.zeros((1, 15, 2), np.float32)
    faces = Faces(noise(1), points, LANDMARKS, np.arange(1), "test")
    order = faces.mirror_order
    for name, partner in zip(LANDMARKS, order, strict=True):
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert LANDMARKS[partner] == swapped
    assert order[order].tolist() == list(range(15))  # twice is none
    assert order[[10, 13, 14]].tolist() == [10, 13, 14]  # nose and lips stay
    alone = Faces(noise(1), points[:, :1], ("left_eye_center",), np.arange(1), "test")
    with pytest.raises(ValueError, match="left_eye_center into right_eye_center"):
        _ = alone.mirror_order
