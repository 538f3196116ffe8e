"""Square crops of a photograph: cutting them out, and taking points there and back.

A `Box` is measured between pixels, as array slices are: the box with left 10 and side 4 holds the
pixel columns 10, 11, 12 and 13. A point is measured at pixel centres, which are whole numbers. Half
a pixel lies between the two, in the photo and in the crop.

Axes: H rows and W columns of a photo, `size` rows and columns of a crop.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

STRIP = 2**24  # pixels that are resampled at a time
FARTHEST = 1e7  # photo pixels: no edge of a crop lies beyond
SIZE = 96  # pixels: the side of the faces that the networks are trained on
# Where the eyes of an average face lie in such an image, 0-based: measured on Kaggle's faces, and
# what `hglib.datasets.synthetic.Style` draws. The mid-point between the eyes, and the distance.
MIDDLE = (47.3, 36.8)
DISTANCE = 36.2


class Box(NamedTuple):
    """A square of a photo, in photo pixels: its left and top edge, and its side."""

    left: float
    top: float
    side: float


def to_crop(points: np.ndarray, box: Box, size: int = SIZE) -> np.ndarray:
    """Photo pixels to crop pixels, (..., 2): (p + 0.5 - corner) * size / side - 0.5.

    >>> to_crop(np.array([10.0, 20.0]), Box(left=10, top=20, side=192)).tolist()
    [-0.25, -0.25]
    """
    corner = np.array([box.left, box.top])
    return (np.asarray(points) + 0.5 - corner) * (size / box.side) - 0.5


def to_photo(points: np.ndarray, box: Box, size: int = SIZE) -> np.ndarray:
    """Crop pixels to photo pixels, (..., 2), the inverse of `to_crop`.

    >>> to_photo(np.array([-0.25, -0.25]), Box(left=10, top=20, side=192)).tolist()
    [10.0, 20.0]
    """
    corner = np.array([box.left, box.top])
    return (np.asarray(points) + 0.5) * (box.side / size) - 0.5 + corner


def square(x: float, y: float, width: float, height: float) -> Box:
    """The smallest square around a rectangle, about the same centre.

    Args:
        x, y: the upper left corner, in photo pixels.
        width, height: in photo pixels.

    Raises:
        ValueError: a number that is not finite, or a side that is not positive.

    >>> square(10, 20, 30, 50)
    Box(left=0.0, top=20.0, side=50)
    """
    if not np.isfinite([x, y, width, height]).all():
        raise ValueError(f"the box {x:g} {y:g} {width:g} {height:g} is not finite; give x y w h")
    if not (width > 0 and height > 0):
        raise ValueError(f"a box of width {width:g} and height {height:g} is empty; give x y w h")
    side = max(width, height)
    return Box(x + (width - side) / 2, y + (height - side) / 2, side)


def box_of_eyes(eyes: np.ndarray) -> Box:
    """The square in which these eyes (2, 2) lie where an average face has them.

    Their mid-point lands on `MIDDLE` of a crop of 96 pixels, and their distance becomes `DISTANCE`.

    >>> box = box_of_eyes(np.array([[65.4, 36.8], [29.2, 36.8]]))
    >>> [round(float(value), 6) for value in box]
    [0.0, 0.0, 96.0]
    """
    scale = max(float(np.hypot(*(eyes[0] - eyes[1]))), 1e-6) / DISTANCE  # photo px per crop px
    left, top = eyes.mean(axis=0) + 0.5 - (np.array(MIDDLE) + 0.5) * scale
    return Box(float(left), float(top), SIZE * scale)


def cut(grey: np.ndarray, box: Box, size: int = SIZE) -> np.ndarray:
    """The crop (size, size) uint8 of a grey photo (H, W) uint8.

    Shrinking averages over all photo pixels that fall into a crop pixel, enlarging interpolates
    linearly. Beyond the photo its last pixels are repeated.

    >>> photo = np.arange(0, 192, dtype=np.uint8)[None].repeat(192, axis=0)
    >>> cut(photo, Box(0, 0, 192))[0, 40:44].tolist()
    [81, 83, 85, 87]
    """
    return resample(grey, (box.left, box.top), box.side / size, (size, size))


def resample(
    grey: np.ndarray, corner: tuple[float, float], step: float, size: tuple[int, int]
) -> np.ndarray:
    """A rectangle of `size` (columns, rows) cells, each `step` photo pixels wide, from `corner`.

    As `cut`, which calls it. First along the rows, some at a time, then along the columns: a
    rectangle far larger than the photo takes no more memory than the photo.
    """
    if not max(map(abs, (*corner, step * max(size)))) < FARTHEST:  # NaN too
        raise ValueError(f"a crop of {step * max(size):g} px from {corner} is far from any photo")
    columns, left, right = _reach(corner[0], size[0], step, grey.shape[1])
    rows, top, bottom = _reach(corner[1], size[1], step, grey.shape[0])
    first, last = int(rows[0]), int(rows[-1]) + 1
    height = max(1, STRIP // len(columns))
    narrow = [
        _resize(part[:, columns], (size[0], len(part)), (left, 0, right, len(part)))
        for part in (grey[n : min(n + height, last)] for n in range(first, last, height))
    ]
    return _resize(np.concatenate(narrow)[rows - first], size, (0, top, size[0], bottom))


def _reach(start: float, count: int, step: float, limit: int) -> tuple[np.ndarray, float, float]:
    """The pixels of one axis that `count` cells need, the last ones repeated beyond the `limit`;
    and where among them the first cell begins and the last one ends."""
    margin = int(np.ceil(step)) + 2  # what the filter reaches beyond the rectangle
    first, last = int(np.floor(start)) - margin, int(np.ceil(start + count * step)) + margin
    index = np.clip(np.arange(first, last), 0, limit - 1)
    return index, start - first, start - first + count * step


def _resize(
    part: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float]
) -> np.ndarray:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(part))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))
