"""Crops: the way there and back, and that pixels and points move together."""

import numpy as np
import pytest

from hglib.datasets.synthetic import Style
from hglib.photo.crop import (
    DISTANCE,
    MIDDLE,
    Box,
    box_of_eyes,
    cut,
    resample,
    square,
    to_crop,
    to_photo,
)

BOXES = [Box(0, 0, 96), Box(12, 30, 192), Box(-20.5, 7.25, 61.7), Box(100.2, 40, 333)]


@pytest.mark.parametrize("box", BOXES)
def test_there_and_back(box):
    points = np.random.default_rng(0).uniform(-50, 400, (7, 2, 2))
    np.testing.assert_allclose(to_photo(to_crop(points, box), box), points, atol=1e-9)
    assert abs(to_crop(points, box) - points).max() > 1 or box == BOXES[0]


@pytest.mark.parametrize("box", BOXES)
def test_corners_of_the_box_are_the_outer_edges_of_the_crop(box):
    """Edges lie half a pixel outside the first and the last pixel centre."""
    corners = np.array([[box.left, box.top], [box.left + box.side, box.top + box.side]]) - 0.5
    np.testing.assert_allclose(to_crop(corners, box), [[-0.5, -0.5], [95.5, 95.5]], atol=1e-9)


def spot(x, y, sigma, shape=(260, 300)):
    rows, columns = np.indices(shape)
    return 20 + 200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))


def centre(image):
    weight = image.astype(float) - image.min()
    rows, columns = np.indices(image.shape)
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


@pytest.mark.parametrize("side", [60.0, 96.0, 150.0, 231.5])
def test_a_bright_spot_lands_where_to_crop_says(side):
    """The oracle is the centre of mass of the pixels: no coordinate formula is involved."""
    at = np.array([141.3, 117.8])
    photo = spot(*at, sigma=side / 20).round().astype(np.uint8)
    box = Box(at[0] - 0.4 * side, at[1] - 0.55 * side, side)
    np.testing.assert_allclose(centre(cut(photo, box)), to_crop(at, box), atol=0.05)


def test_whole_pixel_crops_are_slices():
    photo = np.random.default_rng(0).integers(0, 256, (120, 130), np.uint8)
    np.testing.assert_array_equal(cut(photo, Box(5, 9, 96)), photo[9:105, 5:101])


def test_beyond_the_photo_its_edge_is_repeated():
    photo = np.random.default_rng(0).integers(0, 256, (100, 110), np.uint8)
    crop = cut(photo, Box(-10, 50, 96))
    padded = np.pad(photo, 100, mode="edge")
    np.testing.assert_array_equal(crop, padded[150:246, 90:186])


def test_shrinking_averages_over_the_pixels():
    """A chessboard of single pixels turns grey; picking every fourth pixel would keep it."""
    photo = (np.indices((384, 384)).sum(axis=0) % 2 * 255).astype(np.uint8)
    crop = cut(photo, Box(0, 0, 384))
    assert abs(crop[2:-2, 2:-2].astype(float) - 127.5).max() < 2


def test_resample_agrees_with_cut_for_every_part():
    photo = spot(140, 120, 40).astype(np.uint8)
    level = resample(photo, (10.0, 20.0), 2.0, (128, 96))  # (96, 128)
    assert level.shape == (96, 128)
    np.testing.assert_allclose(level[:, 32:], cut(photo, Box(10 + 64, 20, 192)), atol=1)


def test_eyes_land_at_the_mean_place_of_the_drawn_faces():
    eyes = np.array([[231.0, 99.0], [162.0, 104.0]])
    inside = to_crop(eyes, box_of_eyes(eyes))
    np.testing.assert_allclose(inside.mean(axis=0), MIDDLE, atol=1e-9)
    assert np.hypot(*(inside[0] - inside[1])) == pytest.approx(DISTANCE)
    style = Style()
    assert (style.eyes_x, style.eyes_y) == MIDDLE and abs(DISTANCE - style.distance) < 1


@pytest.mark.parametrize("box", [(10, 20, 30, 50), (3, 4, 9, 2), (0, 0, 5, 5)])
def test_square_holds_the_box_about_the_same_centre(box):
    x, y, width, height = box
    found = square(*box)
    assert found.left <= x and found.left + found.side >= x + width
    assert found.top <= y and found.top + found.side >= y + height
    assert found.left + found.side / 2 == x + width / 2
    assert found.top + found.side / 2 == y + height / 2
    assert found.side == max(width, height)


@pytest.mark.parametrize("width, height", [(0, 10), (10, -1)])
def test_an_empty_box_is_refused(width, height):
    with pytest.raises(ValueError, match=f"width {width:g} and height {height:g}"):
        square(0, 0, width, height)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_box_that_is_not_finite_is_refused(place, value):
    box = [1.0, 2.0, 30.0, 40.0]
    box[place] = value
    with pytest.raises(ValueError, match="is not finite"):
        square(*box)


def test_a_rectangle_far_larger_than_the_photo_takes_no_more_memory():
    """Cut in strips: the same as cutting a photo that was made larger by hand."""
    photo = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    padded = np.pad(photo, 400, mode="edge")
    box = Box(-300.0, -310.0, 700.0)
    by_hand = cut(padded, Box(100.0, 90.0, 700.0))
    assert abs(cut(photo, box).astype(int) - by_hand).max() <= 1
    assert cut(photo, Box(-5e5, -5e5, 1e6)).shape == (96, 96)
