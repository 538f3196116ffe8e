"""Finding faces in a photograph with a network that only knows how to find eyes in a face.

The network is asked about many overlapping windows of the photo, small and large. It never says
"there is no face": it always answers with two points. But where a face is, windows that lie a
little differently give the same two points of the *photo*; elsewhere their answers scatter. So
every window votes for a pair of eyes, and a pair that many windows agree on is a face.

Axes: H, W rows and columns of a photo; N windows, each 96 x 96; eyes are (2, 2), (x, y) of the
subject's left eye, then of the right one. Points and boxes are in photo pixels, see
`hglib.photo.crop`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from hglib.inference import predict
from hglib.photo.crop import (
    DISTANCE,
    MIDDLE,
    SIZE,
    Box,
    box_of_eyes,
    cut,
    resample,
    square,
    to_photo,
)

STEP = 32  # window pixels from one window to the next: half of that is the most a face can be off
OVERHANG = 16  # window pixels by which windows may reach over the photo's edge
ZOOM = math.sqrt(2)  # from one level of the pyramid to the next
FINEST = 8  # the smallest window, as a share of the photo's longer side; half costs four times
SURE = 0.15  # votes below this confidence do not count
STRETCH = (0.5, 2.0)  # eye distances that count, in those of an average face
TILT = 0.6  # the steepest line through both eyes that counts: tan 31 degrees
AGREE = 0.2  # eye distances within which two votes mean the same pair
CANDIDATES = 12  # how many pairs, those with the most votes first, get a closer look
NEARBY = (14, (1.0,))  # crops for an exact answer: moved by so many crop pixels, and enlarged
FAR = (24, (0.7, 1.0, 1.4))  # crops for the support: as far as a face is still found from
# The support from which a pair counts as a face: `python -m hglib experiment scenes` measures
# what both
# sides of it have.
ENOUGH = 0.45


@dataclass(frozen=True)
class FoundFace:
    """One face in a photo. Taught in: 07_your_own_photo"""

    eyes: np.ndarray  # (2, 2) photo pixels
    box: Box  # the crop in which these eyes lie as in an average face
    support: float  # 0 to 1: how many moved crops find the same eyes, and how surely


@dataclass(frozen=True)
class Votes:
    """What N windows say. Taught in: 07_your_own_photo"""

    eyes: np.ndarray  # (N, 2, 2) photo pixels
    confidence: np.ndarray  # (N,) in [0, 1]: of the less certain eye; 0 for an impossible pair
    boxes: np.ndarray  # (N, 3): left, top, side of each window

    def near(self, eyes: np.ndarray) -> np.ndarray:
        """Which votes (N,) bool mean this pair: both eyes within `AGREE` of its distance."""
        off = np.hypot(*np.moveaxis(self.eyes - eyes, -1, 0)).max(axis=-1)  # (N,)
        return (off < AGREE * _distance(eyes)) & (self.confidence > SURE)


def window_sides(shape: tuple[int, int], smallest: float | None = None) -> list[float]:
    """The sides of the windows of each level, from the photo's shorter side down, in photo pixels.

    >>> [round(side) for side in window_sides((400, 600))]
    [400, 283, 200, 141, 100]

    Taught in: 07_your_own_photo
    """
    least = smallest or max(SIZE / 2, max(shape) / FINEST)  # below half, faces have too few pixels
    sides = [float(min(shape))]
    while sides[-1] / ZOOM >= least:
        sides.append(sides[-1] / ZOOM)
    return sides


def windows(grey: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """One level: overlapping windows (N, 96, 96) uint8 of this side, and their boxes (N, 3).

    The photo is resampled once, so that `side` becomes 96 pixels, and the windows are its parts.

    >>> pictures, boxes = windows(np.zeros((96, 192), np.uint8), side=96)
    >>> pictures.shape, boxes[0].tolist()
    ((10, 96, 96), [-16.0, -16.0, 96.0])

    Taught in: 07_your_own_photo
    """
    scale = side / SIZE  # photo pixels per window pixel
    spare = [length / scale + 2 * OVERHANG - SIZE for length in grey.shape[::-1]]  # x, y
    count = [max(0, math.ceil(room / STEP - 1e-6)) + 1 for room in spare]
    size = [SIZE + STEP * (n - 1) for n in count]  # window pixels
    corner = [(a - b * scale) / 2 for a, b in zip(grey.shape[::-1], size, strict=True)]
    level = resample(grey, (corner[0], corner[1]), scale, (size[0], size[1]))
    parts = np.lib.stride_tricks.sliding_window_view(level, (SIZE, SIZE))[::STEP, ::STEP]
    rows, columns = np.mgrid[: count[1], : count[0]].reshape(2, -1) * STEP * scale
    boxes = np.stack([corner[0] + columns, corner[1] + rows, np.full(len(rows), side)], axis=1)
    return parts.reshape(-1, SIZE, SIZE), boxes


def ask(model: nn.Module, pictures: np.ndarray, boxes: np.ndarray) -> Votes:
    """Run the network on windows (N, 96, 96); the answers in photo pixels.

    A pair that is far too near, too wide or too steep for a face gets the confidence 0.

    Taught in: 07_your_own_photo
    """
    found = predict(model, pictures)
    points, sure = found.points.numpy(), found.confidence.numpy().min(axis=1)  # (N, 2, 2), (N,)
    across, down = np.moveaxis(points[:, 0] - points[:, 1], -1, 0)  # (N,)
    stretch = np.hypot(across, down) / DISTANCE
    possible = (stretch > STRETCH[0]) & (stretch < STRETCH[1]) & (abs(down) < TILT * across)
    eyes = [to_photo(p, Box(*b)) for p, b in zip(points, boxes, strict=True)]
    return Votes(np.array(eyes), sure * possible, boxes)


def vote(model: nn.Module, grey: np.ndarray, smallest: float | None = None) -> Votes:
    """The votes of every window on every level. Taught in: 07_your_own_photo"""
    levels = [windows(grey, side) for side in window_sides(grey.shape, smallest)]
    pictures, boxes = (np.concatenate(part) for part in zip(*levels, strict=True))
    return ask(model, pictures, boxes)


def gather(votes: Votes) -> list[tuple[float, np.ndarray]]:
    """Pairs of eyes with the sum of the confidences that they gathered, the largest first.

    The surest vote begins; votes that agree with it are used up and give their median.

    Taught in: 07_your_own_photo
    """
    left = votes.confidence.copy()  # (N,): 0 once a vote is used up
    pairs = []
    while left.max(initial=0) > SURE:
        first = int(left.argmax())
        agree = votes.near(votes.eyes[first]) & (left > 0)
        pairs.append((float(left[agree].sum()), np.median(votes.eyes[agree], axis=0)))
        left[agree] = 0
    return sorted(pairs, key=lambda pair: -pair[0])


def look_closer(model: nn.Module, grey: np.ndarray, eyes: np.ndarray) -> FoundFace:
    """Crop around a pair of eyes in other ways, and see which crops find the same pair.

    Nine crops that are moved a little give the answer, their median. 27 that are moved as far as a
    face can be and still be found give its support: the confidence of those that agree, over 27.
    The answer of the first nine has to be the same pair, or the support is 0.

    Taught in: 07_your_own_photo
    """
    votes = ask_around(model, grey, eyes, *NEARBY)
    agree = votes.near(eyes)
    if 2 * agree.sum() < len(agree):
        return FoundFace(eyes, box_of_eyes(eyes), 0.0)
    eyes = np.median(votes.eyes[agree], axis=0)
    votes = ask_around(model, grey, eyes, *FAR)
    support = votes.confidence[votes.near(eyes)].sum() / len(votes.confidence)
    return FoundFace(eyes, box_of_eyes(eyes), float(support))


def ask_around(
    model: nn.Module, grey: np.ndarray, eyes: np.ndarray, reach: float, scales: Sequence[float]
) -> Votes:
    """What crops say that hold a pair of eyes (2, 2) in its usual place, and moved by `reach` crop
    pixels in eight directions; each once for every one of `scales`, in the order of these.

    Taught in: 07_your_own_photo
    """
    box, steps = box_of_eyes(eyes), (-reach, 0, reach)
    crops = [_moved(box, x, y, scale) for scale in scales for y in steps for x in steps]
    return ask(model, np.stack([cut(grey, crop) for crop in crops]), np.array(crops))


def find_faces(
    model: nn.Module,
    grey: np.ndarray,
    smallest: float | None = None,
    enough: float = ENOUGH,
) -> list[FoundFace]:
    """Every upright face in a photo, those with the most support first.

    Args:
        model: a network for two eyes, such as the pretrained one.
        grey: the photo, (H, W) uint8.
        smallest: side of the smallest window in photo pixels; the eyes of a face it fits are 0.38
            of it apart. None: an eighth of the photo's longer side. Half of it takes four times as
            long.
        enough: the least support (0 to 1) of a face.

    Raises ValueError for a picture that is not (H, W) uint8. Taught in: 07_your_own_photo
    """
    if grey.ndim != 2 or grey.dtype != np.uint8:
        raise ValueError(f"the photo is {grey.shape} {grey.dtype}; expected grey (H, W) uint8")
    pairs = gather(vote(model, grey, smallest))[:CANDIDATES]
    looked = [look_closer(model, grey, eyes) for _, eyes in pairs]
    return distinct([face for face in looked if face.support >= enough])


def find_in_box(
    model: nn.Module, grey: np.ndarray, x: float, y: float, width: float, height: float
) -> FoundFace:
    """The eyes of the one face in a box that somebody drew, in photo pixels.

    The square around the box is cut out; what is found there is looked at more closely. There is
    always an answer: look at its support. Raises ValueError for an empty box.

    Taught in: 07_your_own_photo
    """
    box = square(x, y, width, height)
    eyes = ask(model, cut(grey, box)[None], np.array([box])).eyes[0]
    return look_closer(model, grey, eyes)


def distinct(faces: list[FoundFace]) -> list[FoundFace]:
    """One entry for each face: of two whose middles are less than an eye distance apart, the one
    with more support. Known as non-maximum suppression. Taught in: 07_your_own_photo"""
    kept: list[FoundFace] = []
    for face in sorted(faces, key=lambda face: -face.support):
        middle, reach = face.eyes.mean(axis=0), _distance(face.eyes)
        apart = [math.dist(middle, other.eyes.mean(axis=0)) for other in kept]
        reaches = [max(reach, _distance(other.eyes)) for other in kept]
        if all(a > r for a, r in zip(apart, reaches, strict=True)):
            kept.append(face)
    return kept


def _distance(eyes: np.ndarray) -> float:
    return math.dist(eyes[0], eyes[1])


def _moved(box: Box, x: float, y: float, scale: float) -> Box:
    """The box shifted by crop pixels, and scaled about the middle between the eyes."""
    pixel, side = box.side / SIZE, box.side * scale
    held_x, held_y = ((m + 0.5) * pixel * (1 - scale) for m in MIDDLE)
    return Box(box.left + held_x + x * pixel, box.top + held_y + y * pixel, side)
