"""Scenes: the eyes are where they are said to be, faces do not overlap, turns turn both."""

import numpy as np
import pytest

from hglib.datasets.synthetic import draw_faces
from hglib.datasets.synthetic.collage import draw_collage
from hglib.photo.crop import box_of_eyes, cut


def test_the_face_in_the_scene_is_the_drawn_one():
    """Cut out again around its eyes, a pasted face looks like the one that was drawn."""
    scene = draw_collage((300, 400), sides=[192], seed=4)
    face = draw_faces([0], seed=10_004)
    points = face.points[0, :2].astype(float)
    here = cut(scene.image, box_of_eyes(scene.eyes[0]))[25:60, 25:70].ravel()
    there = cut(face.images[0], box_of_eyes(points))[25:60, 25:70].ravel()
    assert np.corrcoef(here, there)[0, 1] > 0.97


def test_faces_stay_inside_and_apart():
    scene = draw_collage((400, 500), sides=[150, 120, 100, 80], seed=1)
    middles = scene.eyes.mean(axis=1)
    assert ((middles > 0) & (middles < [500, 400])).all()
    gaps = np.linalg.norm(middles[:, None] - middles[None], axis=-1)
    assert gaps[np.triu_indices(4, 1)].min() > 70


def test_a_seed_gives_the_same_scene_and_another_seed_another():
    a, b, c = (draw_collage((120, 160), sides=[80], seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.eyes, b.eyes)
    assert (a.image != c.image).mean() > 0.5


@pytest.mark.parametrize("turns", [1, 2, 3, 4])
def test_turns_turn_image_and_eyes(turns):
    plain = draw_collage((120, 160), sides=[90], seed=1)
    turned = draw_collage((120, 160), sides=[90], seed=1, turns=turns)
    np.testing.assert_array_equal(turned.image, np.rot90(plain.image, turns))
    for before, after in zip(plain.eyes[0], turned.eyes[0], strict=True):
        marked = np.zeros((120, 160))
        column, row = before.round().astype(int)
        marked[row, column] = 1
        rows, columns = np.nonzero(np.rot90(marked, turns))
        assert abs(after - [columns[0], rows[0]]).max() < 1


def test_no_room_is_said():
    with pytest.raises(ValueError, match="no room for a face of 200 pixels in 100 x 300"):
        draw_collage((100, 300), sides=[200])
