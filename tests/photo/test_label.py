"""Labels of one's own: cropped, written as Kaggle writes them, read back."""

import numpy as np
import pandas as pd
import pytest

import hglib
from hglib.data import EYES, LANDMARKS
from hglib.datasets.synthetic.collage import draw_collage
from hglib.photo.crop import DISTANCE
from hglib.photo.label import crop_faces, write_labels

SCENES = [draw_collage((200, 260), sides=[150], seed=seed) for seed in range(3)]
PHOTOS = [scene.image for scene in SCENES]
MARKED = np.concatenate([scene.eyes for scene in SCENES])  # (3, 2, 2)


def test_crops_have_their_eyes_at_the_mean_distance():
    faces = crop_faces(PHOTOS, MARKED)
    assert faces.images.shape == (3, 96, 96) and faces.landmarks == EYES
    apart = np.hypot(*np.moveaxis(faces.points[:, 0] - faces.points[:, 1], -1, 0))
    np.testing.assert_allclose(apart, DISTANCE, rtol=1e-5)


def test_images_move_with_their_points():
    """The network that ships finds the eyes of the crops near the moved marks."""
    faces = crop_faces(PHOTOS, MARKED)
    off = np.hypot(*np.moveaxis(hglib.find_eyes(faces.images) - faces.points, -1, 0))
    assert np.median(off) < 1.5


def test_load_reads_what_was_written(tmp_path):
    faces = crop_faces(PHOTOS, MARKED)
    back = hglib.load(write_labels(tmp_path / "mine", faces), verbose=False)
    np.testing.assert_array_equal(back.images, faces.images)
    np.testing.assert_allclose(back.points, faces.points, atol=1e-4)


def test_the_file_counts_from_one_and_has_all_columns(tmp_path):
    faces = crop_faces(PHOTOS, MARKED)
    table = pd.read_csv(write_labels(tmp_path, faces) / "facial_keypoints.csv")
    assert list(table.columns) == [f"{name}_{axis}" for name in LANDMARKS for axis in "xy"]
    np.testing.assert_allclose(table["left_eye_center_x"], faces.points[:, 0, 0] + 1, atol=1e-4)
    np.testing.assert_allclose(table["right_eye_center_y"], faces.points[:, 1, 1] + 1, atol=1e-4)
    assert table["nose_tip_x"].isna().all()


@pytest.mark.parametrize(
    "eyes, words",
    [
        (MARKED[:2], r"\(2, 2, 2\); expected \(3, 2, 2\)"),
        (MARKED[:, ::-1], "photo 0: .*left eye, which is the one further right"),
        (np.where(np.arange(3)[:, None, None] == 1, np.nan, MARKED), "photo 1"),
    ],
)
def test_wrong_marks_are_named(eyes, words):
    with pytest.raises(ValueError, match=words):
        crop_faces(PHOTOS, eyes)
