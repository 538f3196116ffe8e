"""Self-checks of notebook 06: a gain with its standard error, and the correlation of ranks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from hglib.check.verdict import as_tensor, compare, self_check
from hglib.experiments.ablation.gains import paired, ranks, spearman

# --- A gain and its luck -------------------------------------------------------------------------

BEFORE = np.array([2.31, 2.70, 2.42, 2.55])  # px, four seeds
AFTER = np.array([2.12, 2.44, 2.37, 2.21])


@self_check
def gain_and_luck(fn: Callable[[np.ndarray, np.ndarray], tuple[float, float]]) -> str:
    """Check `fn(before, after)`: the mean px saved with paired seeds, and its standard error.

    before, after: (S,) errors, the same seeds in the same order.
    """
    value = as_tensor(fn(BEFORE.copy(), AFTER.copy()))
    compare(value, torch.tensor(paired(AFTER, BEFORE)), _wrong_gains())
    return "0.21 px saved, 0.06 px of luck: three times what chance would do"


def _wrong_gains() -> dict[str, torch.Tensor]:
    saved = BEFORE - AFTER
    mean, count = saved.mean(), len(saved)
    error = saved.std(ddof=1) / np.sqrt(count)
    alone = np.sqrt((BEFORE.var(ddof=1) + AFTER.var(ddof=1)) / count)
    wrong = {
        "the sign: what is saved is before minus after": (-mean, error),
        "that is the spread of one difference; the mean of S is sqrt(S) times surer": (
            *(mean, saved.std(ddof=1)),
        ),
        "divide by S - 1, not S, inside the spread: ddof=1": (
            *(mean, saved.std(ddof=0) / np.sqrt(count)),
        ),
        "divide the spread by sqrt(S), not by S": (mean, saved.std(ddof=1) / count),
        "the seeds are paired: take the differences first, then their spread": (mean, alone),
        "the median is not asked for; take the mean": (np.median(saved), error),
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
        "the ranks' covariance is not yet divided by their spreads": (
            torch.tensor(np.cov(ranks(A), ranks(B))[0, 1])
        ),
    }
