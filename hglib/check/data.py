"""Self-checks of notebook 01 (mirror, harmonised labels, split) and of appendix A1 (the others)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from hglib.augment import mirror_points
from hglib.check.verdict import NotYet, as_tensor, compare, self_check
from hglib.data import LANDMARKS
from hglib.datasets.audit import MAD_TO_SD

MIRRORED = (1, 0, 4, 5, 2, 3, 8, 9, 6, 7, 10, 12, 11, 13, 14)  # of LANDMARKS, written by hand


# --- Left and right ------------------------------------------------------------------------------


@self_check
def mirror_order(fn: Callable[[Sequence[str]], Sequence[int]]) -> str:
    """Check `fn(landmarks)`: for each name, the place of the name that a mirror turns it into."""
    order = fn(LANDMARKS)
    if isinstance(order, Sequence) and any(isinstance(name, str) for name in order):
        raise NotYet("those are names; their places in the list (whole numbers) are wanted")
    compare(order, torch.tensor(MIRRORED), _wrong_orders())
    backwards = LANDMARKS[::-1]
    expected = torch.tensor([14 - k for k in reversed(MIRRORED)])
    fixed = "right for this order of names only: look the names up in the list that was given"
    compare(fn(backwards), expected, {fixed: torch.tensor(MIRRORED)})
    return "left and right trade places, and the middle stays"


def _wrong_orders() -> dict[str, torch.Tensor]:
    places = torch.arange(len(LANDMARKS))
    eyes_only = torch.tensor([1, 0, *range(2, len(LANDMARKS))])
    prefixes = torch.tensor([*MIRRORED[:11], 11, 12, 13, 14])
    return {
        "nothing is swapped: a mirror turns left into right": places,
        "only the eye centres are swapped: corners, eyebrows and mouth have sides too": eyes_only,
        "the mouth's corners have their side in the middle of the name": prefixes,
        "the list is turned round: swap left and right, name by name": places.flip(0),
    }


# --- Noise ---------------------------------------------------------------------------------------


@self_check
def label_noise(fn: Callable[[np.ndarray, np.ndarray], float]) -> str:
    """Check `fn(first, second)`: the sd of one label along one axis, from (P, 2) labels each.

    NaN where a label is missing; a few pairs hold gross errors.
    """
    first, second = _two_annotators()
    difference = (second - first)[np.isfinite(second - first)]  # (M,)
    middle = np.median(np.abs(difference))
    right = torch.tensor(MAD_TO_SD * middle / np.sqrt(2))
    value = fn(first.copy(), second.copy())
    if as_tensor(value).isnan().any():
        raise NotYet("the answer is NaN: leave out the pairs where a label is missing")
    compare(value, right, _wrong_noise(first, second, difference, middle))
    return "the noise of one label, and gross errors did not move it"


def _two_annotators() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    truth = rng.uniform(25, 70, (401, 2))
    first, second = (truth + rng.normal(0, 0.6, truth.shape) for _ in range(2))
    second[:6] += 25.0  # gross
    first[10], second[11] = np.nan, np.nan
    return first, second


def _wrong_noise(
    first: np.ndarray, second: np.ndarray, difference: np.ndarray, middle: float
) -> dict[str, torch.Tensor]:
    distance = np.hypot(*(second - first).T)
    distance = distance[np.isfinite(distance)]
    gross = "a few gross errors moved it: use the median of the absolute differences"
    answers = {
        "that is the sd of a difference: divide by the square root of 2": MAD_TO_SD * middle,
        "divide by the square root of 2, not by 2": MAD_TO_SD * middle / 2,
        "multiply the median by 1.4826 to make it a standard deviation": middle / np.sqrt(2),
        "the median absolute difference alone is neither an sd nor of one label": middle,
        gross: difference.std() / np.sqrt(2),
        f"{gross}; and divide by the square root of 2": difference.std(),
        "take x and y apart: a distance has two axes in it": (
            MAD_TO_SD * np.median(distance) / np.sqrt(2)
        ),
        "take absolute differences before the median": MAD_TO_SD * np.median(difference) / 2**0.5,
    }
    return {mistake: torch.tensor(float(answer)) for mistake, answer in answers.items()}


# --- Two conventions -----------------------------------------------------------------------------


@self_check
def harmonised(fn: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> str:
    """Check `fn(points, first, shifts)`: both groups of labels moved to the weighted mean shift.

    points (N, 2, 2) with NaN, first (N,) bool, shifts (2, 2): (x, y) of the first group and of the
    other, what is to be taken away to be right.
    """
    rng = np.random.default_rng(2)
    points = rng.uniform(25, 70, (40, 2, 2))
    points[3, 1] = np.nan
    first = rng.permutation(np.arange(40) < 12)
    shifts = np.array([[-0.6, -0.5], [0.2, 0.1]])
    given = points.copy()
    value = fn(given, first.copy(), shifts.copy())
    of_row = np.where(first[:, None], *shifts)  # (N, 2)
    right = torch.tensor(points - (of_row - of_row.mean(axis=0))[:, None])
    compare(value, right, _wrong_conventions(points, of_row, shifts))
    if not np.array_equal(given, points, equal_nan=True):
        raise NotYet("the points you were given have changed: work on a copy (points.copy())")
    return "both groups are off by the same, and the mean of all labels has not moved"


def _wrong_conventions(
    points: np.ndarray, of_row: np.ndarray, shifts: np.ndarray
) -> dict[str, torch.Tensor]:
    mean = of_row.mean(axis=0)
    swapped = shifts.sum(axis=0) - of_row
    moves = {
        "nothing has moved": 0 * of_row,
        "the wrong way: a shift is taken away, not added": mean - of_row,
        "each group was moved to 0: move both to the weighted mean of the shifts": of_row,
        "weigh the two shifts by the number of rows in each group": of_row - shifts.mean(axis=0),
        "the groups are exchanged: shifts[0] belongs to the rows where first is True": (
            swapped - mean
        ),
        "x and y are swapped": (of_row - mean)[:, ::-1],
        "only x has moved: the groups differ in y too": (of_row - mean) * [1, 0],
        "all labels were moved by the mean: each group needs a move of its own": (
            0 * of_row + mean
        ),
    }
    return {words: torch.tensor(points - move[:, None]) for words, move in moves.items()}


# --- Split ---------------------------------------------------------------------------------------


@self_check
def group_split(fn: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]) -> str:
    """Check `fn(groups, share, rng)`: a mask (N,) of the test rows, no group on both sides.

    groups (N,) int as `duplicate_groups` gives them; about `share` of the groups are for testing;
    `rng` is a numpy Generator.
    """
    groups = _groups()
    for share in (0.2, 0.5):
        test = _mask(fn(groups.copy(), share, np.random.default_rng(0)), len(groups))
        _judge_split(groups, test, share)
    other = _mask(fn(groups.copy(), 0.5, np.random.default_rng(1)), len(groups))
    if np.array_equal(test, other):
        raise NotYet("another rng gives the same split: let it choose the groups")
    return "no group is on both sides, and about the right share is for testing"


def _groups() -> np.ndarray:
    """300 rows, every third of which repeats an earlier one; numbers of groups have gaps."""
    rows = np.arange(300)
    return np.where(rows % 3 == 2, rows // 6 * 3, rows)


def _mask(value: object, count: int) -> np.ndarray:
    test = as_tensor(value).numpy()
    if test.shape != (count,):
        raise NotYet(f"the shape is {test.shape}; one True or False for each row, ({count},)")
    if not np.isin(test, (0, 1)).all():
        raise NotYet("a mask is wanted: True for the rows that are for testing")
    return test.astype(bool)


def _judge_split(groups: np.ndarray, test: np.ndarray, share: float) -> None:
    both = np.intersect1d(groups[test], groups[~test])
    if len(both):
        raise NotYet(f"{len(both)} groups are on both sides: choose groups, not rows")
    got = len(np.unique(groups[test])) / len(np.unique(groups))
    if abs(got - (1 - share)) < 0.01 and share != 0.5:
        raise NotYet("the mask is the wrong way round: True is for testing")
    if abs(got - share) > 0.12:  # groups chosen one by one with a coin stay within this
        raise NotYet(f"{got:.0%} of the groups are for testing; about {share:.0%} was asked for")
    chosen = np.flatnonzero(np.isin(np.unique(groups), groups[test]))
    if chosen[-1] - chosen[0] == len(chosen) - 1:
        raise NotYet("neighbours in the file went together: it has an order, so let rng choose")


# --- Mirroring -----------------------------------------------------------------------------------


@self_check
def mirrored(fn: Callable[[torch.Tensor, int], torch.Tensor]) -> str:
    """Check `fn(points, width)`: points (B, 2, 2) of both eyes in the mirrored image.

    Eye 0 is the subject's left before and after; NaN stays NaN.
    """
    eyes = torch.tensor([[[66.0, 37.0], [30.0, 38.5]], [[61.5, 35.0], [torch.nan, torch.nan]]])
    width = 96
    given = eyes.clone()
    value = fn(given, width)
    compare(value, mirror_points(eyes, width, [1, 0]), _wrong_mirrors(eyes, width))
    if not torch.equal(given.nan_to_num(), eyes.nan_to_num()):
        raise NotYet("the points you were given have changed: work on a copy (points.clone())")
    return "mirrored, and the eyes have traded places"


def _wrong_mirrors(eyes: torch.Tensor, width: int) -> dict[str, torch.Tensor]:
    x, y = eyes.unbind(-1)
    at_width = torch.stack([width - x, y], dim=-1)
    edge = "one pixel off: pixels run from 0 to width - 1, so x becomes width - 1 - x"
    return {
        "the eyes are not swapped: the subject's left eye is now the other one": (
            torch.stack([width - 1 - x, y], dim=-1)
        ),
        edge: at_width.flip(1),
        f"{edge}; and the eyes are not swapped": at_width,
        "the eyes are swapped, but no x has changed": eyes.flip(1),
        "y was mirrored: a mirror changes left and right, so x": (
            torch.stack([x, width - 1 - y], dim=-1).flip(1)
        ),
        "x and y are swapped": torch.stack([y, width - 1 - x], dim=-1).flip(1),
        "swap the eyes (axis 1), not x and y (axis 2)": (
            torch.stack([width - 1 - x, y], dim=-1).flip(2)
        ),
    }
