"""Self-checks of notebook 06: an ablation with a verdict, and the correlation of ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from hglib.check.verdict import NotYet, compare, self_check
from hglib.experiments.ablation.gains import paired, spearman

# --- An ablation with a verdict ------------------------------------------------------------------

ERRORS = {  # px, for seeds 3 to 6: seeds that are hard for one row are hard for all
    "default": np.array([2.31, 2.70, 2.42, 2.55]),
    "better": np.array([2.12, 2.44, 2.37, 2.21]),
    "worse": np.array([2.40, 2.83, 2.49, 2.68]),
    "even": np.array([2.35, 2.62, 2.45, 2.50]),
}
SEEDS = [3, 4, 5, 6]
VERDICTS = {"better": "helps", "worse": "hurts", "even": "cannot tell"}


@self_check
def ablation(fn: Callable[[Measure, str, Sequence[int]], tuple[float, float, str]]) -> str:
    """Check `fn(measure, row, seeds)`: gain on the default, its standard error, and a verdict.

    measure(row, seed) gives the error in px of one run.
    """
    for row, wanted in VERDICTS.items():
        runs: list[tuple[str, int]] = []
        answer = fn(partial(_measured, runs), row, list(SEEDS))
        if answer is None or answer is Ellipsis:
            raise NotYet("your function returns nothing so far")
        if not isinstance(answer, tuple | list) or len(answer) != 3:
            raise NotYet("three things are wanted: the gain, its standard error, the verdict")
        for name in (row, "default"):
            missing = [seed for seed in SEEDS if (name, seed) not in runs]
            if missing:
                raise NotYet(
                    f"{name!r} was not trained with seed {missing[0]}: both need each seed"
                )
        compare(np.array(answer[:2], float), torch.tensor(_gain(row)), _wrong_gains(row))
        if answer[2] != wanted:
            numbers = f"{answer[0]:+.2f} ± {answer[1]:.2f} px"
            raise NotYet(f"the verdict on {numbers} is {wanted!r}, not {answer[2]!r}")
    return "paired seeds, a standard error, and a verdict that can say 'cannot tell'"


Measure = Callable[[str, int], float]


def _measured(runs: list[tuple[str, int]], row: str, seed: int) -> float:
    runs.append((row, seed))
    return float(ERRORS[row][SEEDS.index(seed)])


def _gain(row: str) -> tuple[float, float]:
    return paired(ERRORS[row], ERRORS["default"])


def _wrong_gains(row: str) -> dict[str, torch.Tensor]:
    gained = ERRORS["default"] - ERRORS[row]
    mean, error, count = gained.mean(), gained.std(ddof=1) / np.sqrt(len(gained)), len(gained)
    alone = np.sqrt((ERRORS["default"].var(ddof=1) + ERRORS[row].var(ddof=1)) / count)
    wrong = {
        "the sign: a gain is the default's error minus the row's": (-mean, error),
        "that is the deviation of one difference; the mean of S is sqrt(S) times surer": (
            *(mean, gained.std(ddof=1)),
        ),
        "divide by S - 1, not S, inside the deviation: ddof=1": (
            *(mean, gained.std(ddof=0) / np.sqrt(count)),
        ),
        "divide the deviation by sqrt(S), not by S": (mean, gained.std(ddof=1) / count),
        "the seeds are paired: take the differences first, then their deviation": (mean, alone),
        "the median is not asked for; take the mean": (np.median(gained), error),
    }
    return {mistake: torch.tensor(answer) for mistake, answer in wrong.items()}


# --- The same order? -----------------------------------------------------------------------------

A = np.array([3.1, 0.9, 1.4, 60.0, 1.1])  # px, five rows
B = np.array([2.2, 1.2, 4.0, 1.9, 1.6])


@self_check
def same_order(fn: Callable[[np.ndarray, np.ndarray], float]) -> str:
    """Check `fn(a, b)`: Spearman's correlation of the ranks of two lists without equal values."""
    compare(fn(A.copy(), B.copy()), torch.tensor(spearman(A, B)), _wrong_orders())
    return "yours is 0.6 for the five rows: what counts is the order, not the 60 px"


def _wrong_orders() -> dict[str, torch.Tensor]:
    def ranks(values: np.ndarray) -> np.ndarray:
        return values.argsort().argsort() + 1.0

    def pearson(a: np.ndarray, b: np.ndarray) -> torch.Tensor:
        return torch.tensor(np.corrcoef(a, b)[0, 1])

    places, squares = ranks(A) - ranks(B), len(A) * (len(A) ** 2 - 1)
    return {
        "that is the correlation of the values; rank them first": pearson(A, B),
        "argsort alone gives who is at each place; argsort it again for everyone's place": (
            pearson(A.argsort(), B.argsort())
        ),
        "the sign: rank both in the same direction": pearson(ranks(A), ranks(-B)),
        "one of the two is not ranked": pearson(ranks(A), B),
        "the other one is not ranked": pearson(A, ranks(B)),
        "1 minus that": torch.tensor(6 * (places**2).sum() / squares),
        "the ranks' covariance is not yet divided by their standard deviations": (
            torch.tensor(np.cov(ranks(A), ranks(B))[0, 1])
        ),
    }
