"""Self-checks of notebook 00: the brightest pixel of a map, and a mean distance.

The readers' functions take numpy arrays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hglib.check.verdict import NotYet, as_tensor, compare, self_check


@self_check
def brightest(fn: Callable[[np.ndarray], tuple[int, int]]) -> str:
    """Check `fn(heat)`: the (x, y) of the highest value of a map (H, W)."""
    rng = np.random.default_rng(0)
    for row, column in ((5, 17), (20, 3), (0, 29)):
        heat = rng.random((24, 30))
        heat[row, column] = 2.0
        compare(fn(heat.copy()), torch.tensor([column, row]), _wrong_peaks(heat))
    return "x is the column and y the row of the brightest pixel"


def _wrong_peaks(heat: np.ndarray) -> dict[str, Tensor]:
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    low = np.unravel_index(heat.argmin(), heat.shape)
    return {
        "x and y are swapped: x is the column, the second index": torch.tensor([row, column]),
        "argmax of a 2-d array counts through all rows; divide by the width": torch.tensor(
            heat.argmax()
        ),
        "your pixels start at 1; here the first one is 0": torch.tensor([column + 1, row + 1]),
        "this is the darkest pixel": torch.tensor([low[1], low[0]]),
    }


@self_check
def mean_distance(fn: Callable[[np.ndarray, np.ndarray], float]) -> str:
    """Check `fn(found, true)`: the mean distance in px over the labelled points of (N, K, 2).

    NaN in `true` means that there is no label.
    """
    rng = np.random.default_rng(0)
    true = rng.uniform(20, 70, (5, 2, 2))
    found = true + rng.normal(0, 3, true.shape)
    compare(fn(found.copy(), true.copy()), _mean(found, true), _wrong_means(found, true))
    true[3, 1] = np.nan
    value = as_tensor(fn(found.copy(), true.copy()))
    if value.isnan().any():
        raise NotYet("one missing label (NaN) makes the whole mean NaN: leave that point out")
    zeros = torch.tensor(np.nan_to_num(_distances(found, true)).mean())
    wrong = {"a missing point counts as distance 0: leave it out of the count too": zeros}
    compare(value, _mean(found, true), wrong)
    return "the mean distance, over the labelled points only"


def _distances(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    return np.hypot(*np.moveaxis(found - true, -1, 0))  # (N, K)


def _mean(found: np.ndarray, true: np.ndarray) -> Tensor:
    return torch.tensor(np.nanmean(_distances(found, true)))


def _wrong_means(found: np.ndarray, true: np.ndarray) -> dict[str, Tensor]:
    difference, distance = found - true, _distances(found, true)
    wrong = {
        "this is the sum; divide by the number of points": distance.sum(),
        "this is the mean of |dx| and |dy|; a distance is the root of dx² + dy²": np.abs(
            difference
        ).mean(),
        "this is |dx| + |dy|; a distance is the root of dx² + dy²": 2 * np.abs(difference).mean(),
        "the root is missing: this is the mean of the squared distances": (distance**2).mean(),
        "this is the root of the mean square; take the root of each point first": np.sqrt(
            (distance**2).mean()
        ),
        "the signs cancel: square the differences before you add them": difference.mean(),
        "one number for all the points is wanted, the mean of these": distance,
    }
    return {words: torch.as_tensor(value) for words, value in wrong.items()}
