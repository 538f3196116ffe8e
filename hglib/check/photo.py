"""Self-checks of notebook 07: from a crop back to the photo, and a square around a box.

The readers' functions take and return numpy arrays or plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hglib.check.verdict import compare, self_check
from hglib.photo.crop import Box, square, to_photo


@self_check
def back_to_photo(fn: Callable[[np.ndarray, float, float, float], np.ndarray]) -> str:
    """Check `fn(points, left, top, side)`: points (N, 2) of a crop of 96 pixels, in the photo.

    The crop was cut from the square whose edges start at left and top.
    """
    rng = np.random.default_rng(0)
    for left, top, side in ((154.0, 103.0, 221.0), (-7.5, 30.0, 48.0)):
        points = rng.uniform(0, 95, (5, 2))
        right = to_photo(points, Box(left, top, side))
        value = fn(points.copy(), left, top, side)
        if isinstance(value, np.ndarray):
            value = np.ascontiguousarray(value)  # torch takes no reversed views
        compare(value, torch.tensor(right), _wrong_ways_back(points, left, top, side))
    return "to the photo and back, to the last half pixel"


def _wrong_ways_back(points: np.ndarray, left: float, top: float, side: float) -> dict[str, Tensor]:
    scale, corner, half = side / 96, np.array([left, top]), 0.5
    wrong = {
        "off by half a pixel: p * scale would be right for edges; a point counts from the middle "
        "of a pixel, so add 0.5 before you scale, and take 0.5 away after": points * scale + corner,
        "the last 0.5 is missing: in the photo too, points count from the middle of a pixel": (
            (points + half) * scale + corner
        ),
        "the first 0.5 is missing: add it before you scale": points * scale - half + corner,
        "the signs of the two halves are swapped": (points - half) * scale + half + corner,
        "multiply by side / 96: photo pixels per crop pixel": (
            (points + half) / scale - half + corner
        ),
        "this goes from the photo to the crop; turn it round": (
            (points + half - corner) / scale - half
        ),
        "the corner is missing: add left and top": (points + half) * scale - half,
        "left belongs to x, and top to y": (points + half) * scale - half + corner[::-1],
        "the corner is in photo pixels already: add it after you scale": (
            (points + half + corner) * scale - half
        ),
        "x and y are swapped": ((points + half) * scale - half + corner)[:, ::-1],
        "rounded to whole pixels: keep the fractions": (
            np.rint((points + half) * scale - half + corner)
        ),
    }
    return {words: torch.tensor(np.ascontiguousarray(value)) for words, value in wrong.items()}


BOXES = ((10.0, 20.0, 30.0, 50.0), (100.0, 7.0, 80.0, 80.0), (40.0, 60.0, 90.0, 31.0))


@self_check
def boxed(fn: Callable[[float, float, float, float], tuple[float, float, float]]) -> str:
    """Check `fn(x, y, width, height)`: (left, top, side) of the smallest square around that box,
    about the same centre.
    """
    for box in BOXES:
        compare(fn(*box), torch.tensor(square(*box)), _wrong_squares(*box))
    return "a square around the box, about the same centre"


def _wrong_squares(x: float, y: float, width: float, height: float) -> dict[str, Tensor]:
    side, least = max(width, height), min(width, height)
    middle_x, middle_y = x + width / 2, y + height / 2
    wrong = {
        "the side is the shorter one: the square cuts the box": (
            middle_x - least / 2,
            middle_y - least / 2,
            least,
        ),
        "the corner has not moved: the square has the box in its corner, not in its middle": (
            x,
            y,
            side,
        ),
        "this is the centre; the corner lies half a side up and to the left": (
            middle_x,
            middle_y,
            side,
        ),
        "the corner has moved the wrong way": (
            x - (width - side) / 2,
            y - (height - side) / 2,
            side,
        ),
        "the corner has moved by the whole difference: half of it goes to each side": (
            x + width - side,
            y + height - side,
            side,
        ),
        "left and top are swapped": (middle_y - side / 2, middle_x - side / 2, side),
        "the side is the mean of both: the square cuts the box": (
            middle_x - (width + height) / 4,
            middle_y - (width + height) / 4,
            (width + height) / 2,
        ),
    }
    return {words: torch.tensor(value) for words, value in wrong.items()}
