"""Which faces belong together, and how they are split so that none leaks (notebook 01)."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from hglib.data import Faces


class Split(NamedTuple):
    """Three parts of the faces that share no image."""

    train: Faces
    validation: Faces
    test: Faces


def duplicate_groups(images: np.ndarray, threshold: float = 0.96) -> np.ndarray:
    """(N,) int: near-duplicate images share a number, the index of the first of them.

    Two images (N, H, W) uint8 are near-duplicates where the normalised cross-correlation of their
    thumbnails (32x32 for 96x96 images) exceeds `threshold`: .96 joins copies saved or cropped anew
    and neighbouring frames of one film, not different people. Duplicates of duplicates join the
    same group; images of one even grey, which have no correlation, form one group. Raises
    ValueError where images or threshold are of another kind.

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
    # The same on every machine: every sum below is an integer under 2**53, which float64 holds
    # exactly in whatever order it is summed.
    count = cells.shape[1]
    sums = cells.sum(axis=1)
    norms = np.sqrt(count * np.square(cells).sum(axis=1) - sums * sums)  # (N,)
    groups = np.arange(len(images))
    for start in range(0, len(images), 512):  # against the rest: about 100 MB at a time
        some, rest = slice(start, start + 512), slice(start, None)
        covariance = count * (cells[some] @ cells[rest].T) - np.outer(sums[some], sums[rest])
        near = covariance > threshold * np.outer(norms[some], norms[rest])
        near |= np.logical_and.outer(norms[some] == 0, norms[rest] == 0)
        _join(groups, near, start)
    return groups


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """(N, C) float64 whole numbers: sums over blocks of H // 32 by W // 32 pixels, at least one.

    Pixels at the edge that fill no block are left out.
    """
    count, height, width = images.shape
    high, wide = max(1, height // 32), max(1, width // 32)
    used = images[:, : height // high * high, : width // wide * wide]
    cells = np.zeros((count, height // high, width // wide), np.int64)
    for y in range(high):
        for x in range(wide):
            cells += used[:, y::high, x::wide]
    # Ninths of a grey level whatever the block: as 3x3 sums are, and bounded, so that large
    # images stay exact too.
    cells *= 9
    cells //= high * wide
    return cells.reshape(count, -1).astype(np.float64)


def _join(groups: np.ndarray, near: np.ndarray, start: int) -> None:
    """Merges in place: image `start + i` joins the groups of all `start + j` near it."""
    for row in near:
        members = groups[start:][row]
        first = members.min()
        if (members != first).any():
            groups[np.isin(groups, members)] = first


def split(
    faces: Faces, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0
) -> Split:
    """Train, validation and test parts; near-duplicate images always stay together.

    A hash of `seed` and the smallest source row of a group decides where the group goes: no random
    generator, so the split is the same on every machine, and a face stays where it is when others
    are added. The sizes differ a little from the `fractions`; only where a part would come out
    empty is one group moved into it from the largest. Raises ValueError for fractions that do not
    sum to 1, and for fewer groups than parts.

    >>> from hglib.data import EYES
    >>> images = np.random.default_rng(0).integers(0, 256, (50, 96, 96)).astype(np.uint8)
    >>> faces = Faces(images, np.zeros((50, 2, 2), np.float32), EYES, np.arange(50), "noise")
    >>> sum(len(part) for part in split(faces))
    50
    """
    if len(fractions) != 3 or not min(fractions) >= 0 or not abs(sum(fractions) - 1) <= 1e-9:
        raise ValueError(f"fractions={fractions}: expected three numbers from 0 to 1 that sum to 1")
    groups = duplicate_groups(faces.images)
    smallest = faces.rows.copy()
    np.minimum.at(smallest, groups, faces.rows)
    owners, owner = np.unique(smallest[groups], return_inverse=True)  # (G,), (N,)
    wanted = [number for number in range(3) if fractions[number] > 0]
    if len(owners) < len(wanted):
        few = f"{len(owners)} groups of near-duplicates are too few for {len(wanted)} parts"
        raise ValueError(f"split: {few}; use more faces")
    places = np.array([_place(seed, row) for row in owners.tolist()])
    part = np.searchsorted(np.cumsum(fractions)[:2], places, side="right")  # (G,)
    for number in wanted:
        if not (part == number).any():
            largest = part == np.bincount(part, minlength=3).argmax()
            part[np.where(largest, places, -1).argmax()] = number
    return Split(*(faces[part[owner] == number] for number in range(3)))


def _place(seed: int, row: int) -> float:
    """A number from 0 to below 1 that depends on seed and row alone."""
    digest = hashlib.sha256(f"{seed}:{row}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32
