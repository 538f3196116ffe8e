"""Self-checks of notebook 08: a mean over labels; the statistics of a batch in several parts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hglib.check.verdict import NotYet, as_tensor, compare, self_check

# --- The mean over what is labelled --------------------------------------------------------------


@self_check
def labelled_mean(fn: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check `fn(losses, labelled)`: the mean of the losses (B, K) where `labelled` (B, K) is true.

    The losses are NaN where nothing is labelled, and the mean over no label at all is 0.
    """
    losses = torch.rand(6, 5, generator=torch.Generator().manual_seed(0)) + 1  # (B, K)
    labelled = torch.ones(6, 5, dtype=torch.bool)
    labelled[1:, 1:3] = False  # most faces lack two points
    labelled[5] = False  # and one lacks all
    losses[~labelled] = torch.nan
    value = as_tensor(fn(losses.clone(), labelled.clone()))
    if value.isnan().any():
        raise NotYet("the result is NaN: 0 times NaN is NaN, so choose with torch.where")
    compare(value, losses[labelled].mean(), _wrong_means(losses.nan_to_num(), labelled))
    nothing = as_tensor(fn(torch.full((2, 5), torch.nan), torch.zeros(2, 5, dtype=torch.bool)))
    if nothing.isnan().any():
        raise NotYet("a batch without a single label gives 0 / 0: divide by at least 1")
    compare(nothing, torch.tensor(0.0), {})
    return "only labels count, and a batch without any gives 0"


def _wrong_means(losses: Tensor, labelled: Tensor) -> dict[str, Tensor]:
    """`losses` (B, K) with zeros for NaN."""
    per_face = losses.sum(dim=1) / labelled.sum(dim=1).clamp(min=1)  # (B,)
    per_point = losses.sum(dim=0) / labelled.sum(dim=0).clamp(min=1)  # (K,)
    return {
        "the missing ones count too: divide by the number of labels, not of places": losses.mean(),
        "the sum is there; divide it by the number of labels": losses.sum(),
        "a mean of the faces' means: a face with one label weighs as much as one with five": (
            per_face.mean()
        ),
        "a mean of the points' means: a point that is rarely labelled weighs as much as others": (
            per_point.mean()
        ),
        "divided by the number of faces, not of labels": losses.sum() / len(losses),
    }


# --- The statistics of a batch in parts ----------------------------------------------------------


@self_check
def whole_batch(fn: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> str:
    """Check `fn(counts, means, variances)`, each (P,), one number per process: the mean and the
    variance of all numbers together. Variances are mean squared distances from the mean.
    """
    rng = torch.Generator().manual_seed(0)
    parts = [torch.randn(n, generator=rng).double() + shift for n, shift in ((8, 0), (4, 3))]
    counts = torch.tensor([float(len(part)) for part in parts])
    means = torch.stack([part.mean() for part in parts])
    variances = torch.stack([part.var(correction=0) for part in parts])
    found = fn(counts.clone(), means.clone(), variances.clone())
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise NotYet("two results are wanted: the mean, then the variance")
    mean, variance = map(as_tensor, found)
    whole = torch.cat(parts)
    compare(mean, whole.mean(), {"mean: larger parts count for more": means.mean()})
    compare(variance, whole.var(correction=0), _wrong_variances(counts, means, variances, whole))
    return "the whole batch's mean and variance, from three numbers per process"


def _wrong_variances(
    counts: Tensor, means: Tensor, variances: Tensor, whole: Tensor
) -> dict[str, Tensor]:
    share = counts / counts.sum()
    return {
        "variance: the variance between the means is missing": (share * variances).sum(),
        "variance: a mean of the variances; the variance between the means is missing": (
            variances.mean()
        ),
        "variance: the variance within the parts is missing": (
            share * (means - whole.mean()) ** 2
        ).sum(),
        "variance: larger parts count for more": (variances + (means - whole.mean()) ** 2).mean(),
        "variance: divide by the count, not by the count minus 1": whole.var(correction=1),
        "that is the standard deviation; the variance is its square": whole.std(correction=0),
    }
