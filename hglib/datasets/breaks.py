"""Where a set of faces falls into two parts that differ: at a row, or by how much is labelled.

`away` (N, 2) is any measure of the N faces, NaN where unknown; every part has at least
SMALLEST_PART faces. Nothing here knows what is measured.
"""

from __future__ import annotations

import numpy as np

from hglib.data import Faces
from hglib.datasets.audit import MAD_TO_SD

SMALLEST_PART = 50  # faces: fewer are no part of a file
MEDIAN_SE = 1.2533  # standard error of a median over that of a mean, for normal noise
LIKELIHOOD = 10.0  # what the choice among thousands of rows adds to squared sigmas by chance


def robust_sd(away: np.ndarray) -> np.ndarray:
    """(2,) robust standard deviation: from the median absolute deviation."""
    middle = np.nanmedian(away, axis=0)
    return MAD_TO_SD * np.nanmedian(np.abs(away - middle), axis=0)


def difference(away: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median of the first part less that of the second, and its standard error, (2,) each.

    >>> difference(np.array([[1.0, 2.0], [3.0, 3.0], [0.0, 0.0]]), np.array([1, 1, 0], bool))[0]
    array([2. , 2.5])
    """
    middles = [np.nanmedian(away[some], axis=0) for some in (part, ~part)]
    errors = [MEDIAN_SE * robust_sd(away[some]) / np.sqrt(some.sum()) for some in (part, ~part)]
    return middles[0] - middles[1], np.hypot(*errors)


def scores(away: np.ndarray) -> np.ndarray:
    """(N, 2) the same, uncorrelated, of unit variance and mean 0; cut at 3 sd, 0 for NaN."""
    z = (away - np.nanmedian(away, axis=0)) / np.maximum(robust_sd(away), 1e-3)
    z = np.clip(z, -3, 3)
    z = np.nan_to_num(z - np.nanmean(z, axis=0))
    return z @ np.linalg.pinv(np.linalg.cholesky(np.cov(z.T) + 1e-9 * np.eye(2))).T


def _sigmas(total: np.ndarray, first: np.ndarray, count: int) -> np.ndarray:
    """How surely `first` of `count` faces differ from the others; total (..., 2) of their scores.

    Two independent axes: the length of the vector, each component in units of its own noise."""
    return np.sqrt((total**2).sum(axis=-1) * count / (first * (count - first)))


def best_row(away: np.ndarray, rows: np.ndarray) -> tuple[int, float]:
    """The row (N,) at which the second part begins, were it the order that counts; its sigmas.

    The largest cumulative sum (E. S. Page, Biometrika 41, 1954), in units of its noise.
    """
    order, count = np.argsort(rows, kind="stable"), len(rows)
    first = np.arange(SMALLEST_PART, count - SMALLEST_PART + 1)
    sigmas = _sigmas(np.cumsum(scores(away)[order], axis=0)[first - 1], first, count)
    best = int(sigmas.argmax())
    return int(rows[order[first[best]]]), float(sigmas[best])


def best_part(away: np.ndarray, faces: Faces) -> tuple[np.ndarray, float]:
    """(N,) bool, the first of the two parts that differ most, and by how many sigmas.

    Parts by the number of labelled points are preferred where they do as well: that pattern was
    there before, while a row is the best of thousands.
    """
    row, sigmas = best_row(away, faces.rows)
    part, points, z = faces.rows < row, faces.present.sum(axis=1), scores(away)
    known, found = np.isfinite(away).all(axis=1), []
    for limit in np.unique(points)[:-1]:
        many = points > limit
        first = int(many.sum())
        if min((many & known).sum(), (~many & known).sum()) >= SMALLEST_PART:
            found.append((float(_sigmas(z[many].sum(axis=0), first, len(faces))), int(limit)))
    best = max([sigmas, *(sure for sure, _ in found)])
    for sure, limit in found:  # the lowest limit that will do: a few odd faces decide nothing
        if sure**2 > best**2 - LIKELIHOOD:
            return points > limit, sure
    return part, sigmas


def in_words(faces: Faces, part: np.ndarray) -> str:
    """A part (N,) in words: its rows where nothing else lies between them."""
    rows, others = faces.rows[part], faces.rows[~part]
    if len(rows) and ((others < rows.min()) | (others > rows.max())).all():
        return f"rows {rows.min()} to {rows.max()}"
    return f"{len(rows)} faces with more than {faces.present[~part].sum(axis=1).max()} points"
