"""Videos: faces followed from frame to frame, and their points steadied by a One-Euro filter.

Eyes are (2, 2), (x, y) in pixels of the frame, 0-based, the subject's left first; times are in
seconds. `hglib.photo.clips` reads the frames.
"""

from __future__ import annotations

import math
from itertools import count
from typing import NamedTuple

import numpy as np
from torch import nn

from hglib.photo.crop import SIZE, Box, box_of_eyes, cut
from hglib.photo.detect import AGREE, ask, find_faces

LOST = 0.25  # a face below this confidence is in doubt: its frame gets no row
PATIENCE = 0.5  # seconds in doubt after which a face is gone, and between two searches meanwhile
AGAIN = 2.0  # seconds between two searches while all is well: somebody may have come in
ASIDE = (10, 8)  # crop pixels by which two more crops are moved: further than `AGREE`
CATCH_UP = 0.6  # of the way that its box goes after a face with every frame
MIN_CUTOFF, BETA = 1.0, 5.0  # Hz at rest; Hz for each eye distance per second


class OneEuro:
    """The 1 euro filter: a low-pass that holds still points and lets fast ones go.

    Every coordinate is filtered by itself, with a cutoff that grows with its speed: `min_cutoff +
    beta * |speed|`. At rest it trembles less the lower `min_cutoff` is; in motion it lags less the
    higher `beta` is. Casiez, Roussel, Vogel, "1 Euro Filter", CHI 2012, algorithm 1.

    Args:
        min_cutoff: Hz, at rest. A straight motion then lags by 1 / (2 pi min_cutoff) seconds.
        beta: Hz for each pixel per second.
        d_cutoff: Hz, of the speed itself.

    Raises ValueError for a cutoff that is not positive, or a negative `beta`.

    >>> steady = OneEuro(min_cutoff=1)
    >>> [float(steady(np.array([x]), time=n / 30)[0].round(2)) for n, x in enumerate([0, 6, 6])]
    [0.0, 1.04, 1.9]
    """

    def __init__(self, min_cutoff: float = 1.0, beta: float = 0.0, d_cutoff: float = 1.0) -> None:
        if not (0 < min_cutoff < math.inf and 0 < d_cutoff < math.inf and 0 <= beta < math.inf):
            raise ValueError(
                f"min_cutoff={min_cutoff:g}, beta={beta:g}, d_cutoff={d_cutoff:g}: "
                "the cutoffs are above 0, beta is not below"
            )
        self.min_cutoff, self.beta, self.d_cutoff = min_cutoff, beta, d_cutoff
        self.time: float | None = None

    def __call__(self, points: np.ndarray, time: float) -> np.ndarray:
        """The steadied points of this moment: any shape, the same one each time, in pixels."""
        if self.time is None:
            self.points, self.speed = np.array(points, float), np.zeros(np.shape(points))
        else:
            step = max(time - self.time, 1e-6)  # s
            speed = (points - self.points) / step  # px/s
            self.speed = self.speed + share(self.d_cutoff, step) * (speed - self.speed)
            cutoff = self.min_cutoff + self.beta * abs(self.speed)  # Hz
            self.points = self.points + share(cutoff, step) * (points - self.points)
        self.time = time
        return self.points.copy()


def share(cutoff: float | np.ndarray, step: float) -> float | np.ndarray:
    """How much of the way to a new value a low-pass of `cutoff` Hz goes in `step` seconds.

    >>> round(share(1 / (2 * np.pi), step=1), 6)
    0.5
    """
    turn = 2 * np.pi * cutoff * step
    return turn / (1 + turn)


class Seen(NamedTuple):
    """One face in one frame."""

    face: int  # its number
    eyes: np.ndarray  # (2, 2) px, as the network says
    steady: np.ndarray  # (2, 2) px, filtered
    confidence: float  # 0 to 1: of the less certain eye


class _Track:
    """A face that is followed: where it is looked for, and since when it was not seen."""

    def __init__(self, face: int, eyes: np.ndarray, time: float) -> None:
        self.face, self.eyes, self.seen, self.sure = face, eyes, time, False
        self.box = box_of_eyes(eyes)
        self.steady = OneEuro(MIN_CUTOFF, BETA / math.dist(*eyes))

    def move(self, eyes: np.ndarray, time: float) -> None:
        """Take the eyes of a new frame; the box goes a part of the way."""
        pairs = zip(self.box, box_of_eyes(eyes), strict=True)
        self.box = Box(*(old + CATCH_UP * (new - old) for old, new in pairs))
        self.eyes, self.seen = eyes, time


class Follower:
    """Follows the upright faces of a video: `step` takes one frame after the other.

    A face is looked for where it was; the whole frame is searched at the start, when a face is in
    doubt or there is none, and every `AGAIN` seconds. A face that comes back within `PATIENCE`
    near its place keeps its number.

    Args:
        model: a network for two eyes.
        smallest: as for `hglib.photo.detect.find_faces`.
    """

    def __init__(self, model: nn.Module, smallest: float | None = None) -> None:
        self.model, self.smallest = model, smallest
        self.tracks: list[_Track] = []
        self.numbers, self.searched = count(), -math.inf

    def step(self, grey: np.ndarray, time: float) -> list[Seen]:
        """The faces seen in the next frame, grey (H, W) uint8, at `time` seconds; by number."""
        seen = self._look(grey, time, self.tracks)
        sure = bool(seen) and len(seen) == len(self.tracks)
        if time - self.searched >= (AGAIN if sure else PATIENCE) - 1e-6:
            self.searched = time
            seen += self._look(grey, time, self._search(grey, time))
        self.tracks = [one for one in self.tracks if time - one.seen < PATIENCE]
        return sorted(seen, key=lambda one: one.face)

    def _look(self, grey: np.ndarray, time: float, tracks: list[_Track]) -> list[Seen]:
        """Ask the network about each of these faces, where it was.

        On an even wall it says the same two places of the crop, and surely. So three crops have to
        mean the same places of the frame: their median, with the confidence of the least sure one.
        """
        if not tracks:
            return []
        boxes = [_moved(one.box, way) for one in tracks for way in (-1, 0, 1)]
        votes = ask(self.model, np.stack([cut(grey, box) for box in boxes]), np.array(boxes))
        three = votes.eyes.reshape(-1, 3, 2, 2)  # (N, crops, eyes, xy)
        pairs = np.median(three, axis=1)  # (N, 2, 2)
        off = np.linalg.norm(three - pairs[:, None], axis=-1).max(axis=(1, 2))  # (N,) px
        apart = np.linalg.norm(pairs[:, 0] - pairs[:, 1], axis=-1)  # (N,) px
        sure = votes.confidence.reshape(-1, 3).min(axis=1) * (off < AGREE * apart)
        seen: list[Seen] = []
        for one, eyes, confidence in zip(tracks, pairs, sure, strict=True):
            twice = any(_near(eyes, other.eyes) for other in seen)  # two numbers on one face
            one.sure = confidence >= LOST and not twice
            if one.sure:
                one.move(eyes, time)
                seen.append(Seen(one.face, eyes, one.steady(eyes, time), float(confidence)))
        return seen

    def _search(self, grey: np.ndarray, time: float) -> list[_Track]:
        """Search the whole frame; the tracks that are new or found again."""
        fresh: list[_Track] = []
        for found in find_faces(self.model, grey, self.smallest):
            near = [one for one in self.tracks if _near(found.eyes, one.eyes)]
            if any(one.sure or one in fresh for one in near):
                continue
            if near:
                one = min(near, key=lambda one: abs(one.eyes - found.eyes).sum())
                one.box = found.box
            else:
                one = _Track(next(self.numbers), found.eyes, time)
                self.tracks.append(one)
            fresh.append(one)
        return fresh


def _moved(box: Box, way: int) -> Box:
    """The box a little further down and to the right (1), where it is (0), or the opposite (-1)."""
    pixel = way * box.side / SIZE
    return Box(box.left + ASIDE[0] * pixel, box.top + ASIDE[1] * pixel, box.side)


def _near(eyes: np.ndarray, others: np.ndarray) -> bool:
    """Whether two pairs (2, 2) can be one face: middles less than an eye distance apart."""
    return math.dist(eyes.mean(axis=0), others.mean(axis=0)) < math.dist(*others)
