"""Faces and their landmarks: where they come from, which belong together, how they are split.

Axes: N faces, K landmarks, H rows, W columns. Points are (x, y) in picture pixels, 0-based, with
pixel centres at integers; NaN means missing. "Left" is the subject's left, the larger x. The file
formats are in `hglib.datasets.kaggle`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

LANDMARKS = (  # Kaggle's column order
    "left_eye_center",
    "right_eye_center",
    "left_eye_inner_corner",
    "left_eye_outer_corner",
    "right_eye_inner_corner",
    "right_eye_outer_corner",
    "left_eyebrow_inner_end",
    "left_eyebrow_outer_end",
    "right_eyebrow_inner_end",
    "right_eyebrow_outer_end",
    "nose_tip",
    "mouth_left_corner",
    "mouth_right_corner",
    "mouth_center_top_lip",
    "mouth_center_bottom_lip",
)
EYES = ("left_eye_center", "right_eye_center")


@dataclass(frozen=True, eq=False, repr=False)
class Faces:
    """Pictures with their landmarks. Indexing by slice, index array or mask gives Faces again.

    images (N, H, W) uint8; points (N, K, 2) float32, 0-based (x, y), NaN missing; landmarks: K
    names; rows (N,) the row each face has in its source; source: where they came from, in words.
    Raises ValueError where shapes or types disagree. Taught in: 01_explore_the_data

    >>> points = np.array([[[65, 37], [29, 37]], [[64, 36], [np.nan, np.nan]]], np.float32)
    >>> faces = Faces(np.zeros((2, 96, 96), np.uint8), points, EYES, np.arange(2), "an example")
    >>> faces
    <Faces: 2 faces of 96x96, 2 landmarks, 1 of 4 points missing; from an example>
    >>> faces[1:].present.tolist(), faces.mirror_order.tolist()
    ([[True, False]], [1, 0])
    """

    images: np.ndarray
    points: np.ndarray
    landmarks: tuple[str, ...]
    rows: np.ndarray
    source: str

    def __post_init__(self) -> None:
        count, names = len(self.images), len(self.landmarks)
        wanted = {
            "images": (self.images.ndim == 3 and self.images.dtype == np.uint8, "(N, H, W) uint8"),
            "points": (
                self.points.shape == (count, names, 2) and self.points.dtype == np.float32,
                f"({count}, {names}, 2) float32: one (x, y) for each picture and landmark",
            ),
            "rows": (
                self.rows.shape == (count,) and self.rows.dtype.kind in "iu",
                f"({count},) integers",
            ),
        }
        for name, (good, expected) in wanted.items():
            if not good:
                got = getattr(self, name)
                raise ValueError(f"Faces.{name}: got {got.shape} {got.dtype}, expected {expected}")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice | int | np.ndarray) -> Faces:
        chosen = index if isinstance(index, slice) else np.atleast_1d(index)
        parts = (self.images[chosen], self.points[chosen], self.landmarks, self.rows[chosen])
        return Faces(*parts, self.source)

    def __repr__(self) -> str:
        return f"<Faces: {self._counts()}; from {self.source}>"

    def _counts(self) -> str:
        height, width = self.images.shape[1:]
        marks = f"{len(self.landmarks)} landmark{'s' * (len(self.landmarks) != 1)}"
        missing = f"{(~self.present).sum()} of {self.present.size} points missing"
        return f"{len(self)} faces of {width}x{height}, {marks}, {missing}"

    @property
    def present(self) -> np.ndarray:
        """(N, K) bool: which points are labelled."""
        return np.isfinite(self.points).all(axis=-1)

    @property
    def mirror_order(self) -> np.ndarray:
        """(K,) int: in mirrored pictures, channel k shows what mirror_order[k] showed before."""
        return np.array([self._mirrored(name) for name in self.landmarks])

    def _mirrored(self, name: str) -> int:
        swap = {"left": "right", "right": "left"}
        partner = "_".join(swap.get(word, word) for word in name.split("_"))
        if partner not in self.landmarks:
            raise ValueError(
                f"mirroring turns {name} into {partner}, which was not loaded; "
                "load both, or train without mirroring"
            )
        return self.landmarks.index(partner)


class Split(NamedTuple):
    """Three parts of the faces that share no picture. Taught in: 01_explore_the_data"""

    train: Faces
    validation: Faces
    test: Faces


def duplicate_groups(images: np.ndarray, threshold: float = 0.96) -> np.ndarray:
    """(N,) int: near-duplicate pictures share a number, the index of the first of them.

    images (N, H, W) uint8. Two pictures are near-duplicates where the normalised cross-correlation
    of their thumbnails (32x32 for 96x96 pictures) exceeds `threshold`; duplicates of duplicates
    join the same group. Pictures of one even grey, which have no correlation, form one group.
    Default .96: joins copies saved or cropped anew and neighbouring frames of one film, not
    different people.

    The same on every machine: thumbnails are integers, every sum below stays an integer under
    2**53, so float64 holds it exactly in whatever order it is summed. Raises ValueError where
    images or threshold are of another kind. Taught in: 01_explore_the_data

    >>> noise = np.random.default_rng(0).integers(0, 200, (3, 96, 96)).astype(np.uint8)
    >>> duplicate_groups(np.stack([noise[0], noise[1], noise[0] + 9, noise[2]])).tolist()
    [0, 1, 0, 3]
    """
    if images.ndim != 3 or images.dtype != np.uint8 or not 0 <= threshold < 1:
        raise ValueError(
            f"duplicate_groups: got images {images.shape} {images.dtype}, threshold {threshold}; "
            "expected (N, H, W) uint8 and a threshold from 0 to below 1"
        )
    cells = _thumbnails(images)  # (N, C), C cells each
    count = cells.shape[1]
    sums = cells.sum(axis=1)
    norms = np.sqrt(count * np.square(cells).sum(axis=1) - sums * sums)  # (N,)
    groups = np.arange(len(images))
    for start in range(
        0, len(images), 512
    ):  # 512 pictures against the rest at a time: about 100 MB
        some, rest = slice(start, start + 512), slice(start, None)
        covariance = count * (cells[some] @ cells[rest].T) - np.outer(sums[some], sums[rest])
        near = covariance > threshold * np.outer(norms[some], norms[rest])
        near |= np.logical_and.outer(norms[some] == 0, norms[rest] == 0)
        _join(groups, near, start)
    return groups


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """(N, C) float64 whole numbers: sums over blocks (32x32 blocks of 3x3 pixels for 96x96).

    Other sizes: blocks of H // 32 by W // 32 pixels, at least one; pixels at the edge that fill no
    block are left out.
    """
    count, height, width = images.shape
    high, wide = max(1, height // 32), max(1, width // 32)
    used = images[:, : height // high * high, : width // wide * wide]
    cells = np.zeros((count, height // high, width // wide), np.int64)
    for y in range(high):
        for x in range(wide):
            cells += used[:, y::high, x::wide]
    # Ninths of a grey level whatever the block: as 3x3 sums are, and bounded, so that large
    # pictures stay exact too.
    cells *= 9
    cells //= high * wide
    return cells.reshape(count, -1).astype(np.float64)


def _join(groups: np.ndarray, near: np.ndarray, start: int) -> None:
    """Merges in place: picture `start + i` joins the groups of all `start + j` near it."""
    for row in near:
        members = groups[start:][row]
        first = members.min()
        if (members != first).any():
            groups[np.isin(groups, members)] = first


def split(
    faces: Faces, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0
) -> Split:
    """Train, validation and test parts; near-duplicate pictures always stay together.

    A hash of `seed` and the smallest source row of a group decides where the group goes: no random
    generator, so the split is the same on every machine, and a face stays where it is when others
    are added. `fractions` are expected shares, so the parts' sizes differ from them a little.
    Raises ValueError for fractions that do not sum to 1 and for a part that comes out empty. Taught
    in: 01_explore_the_data

    >>> images = np.random.default_rng(0).integers(0, 256, (50, 96, 96)).astype(np.uint8)
    >>> faces = Faces(images, np.zeros((50, 2, 2), np.float32), EYES, np.arange(50), "noise")
    >>> sum(len(part) for part in split(faces))
    50
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions={fractions}: expected three numbers from 0 to 1 that sum to 1")
    groups = duplicate_groups(faces.images)
    smallest = faces.rows.copy()
    np.minimum.at(smallest, groups, faces.rows)
    places = np.array([_place(seed, row) for row in smallest[groups].tolist()])
    part = np.searchsorted(np.cumsum(fractions)[:2], places, side="right")
    for number, (name, fraction) in enumerate(zip(Split._fields, fractions, strict=True)):
        if fraction > 0 and not (part == number).any():
            raise ValueError(
                f"split: no face for {name}: {len(np.unique(groups))} groups are too few for "
                f"{fractions}; use more faces or another seed"
            )
    return Split(*(faces[part == number] for number in range(3)))


def _place(seed: int, row: int) -> float:
    """A number from 0 to below 1 that depends on seed and row alone."""
    digest = hashlib.sha256(f"{seed}:{row}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32
