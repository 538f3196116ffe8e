"""Self-checks of notebook 05: the worst eye, the paired bootstrap, the risk; the flip test of A5.

The readers' functions take numpy arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hglib.check.verdict import NotYet, as_tensor, compare, self_check
from hglib.metrics import bootstrap
from hglib.metrics import worst_eye as reference

WIDTH = 96  # pixels of an image
Interval = tuple[float, float]


# --- The worst eye -------------------------------------------------------------------------------


@self_check
def worst_eye(fn: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> str:
    """Check `fn(found, true)`: each face's larger eye error over its inter-ocular distance, (N,).

    found and true (N, 2, 2); an eye that is NaN in `found` was not found.
    """
    found, true = _six_faces()
    value = fn(found.copy(), true.copy())
    compare(value, torch.tensor(reference(found, true)), _wrong_worst(found, true))
    found[2, 1] = np.nan
    value = as_tensor(fn(found.copy(), true.copy()))
    right = torch.tensor(reference(found, true))  # inf for face 2
    if value.shape == right.shape and value[2].isnan():
        raise NotYet(
            "a face with an eye that was not found comes out as NaN, and NaN is neither within a "
            "threshold nor beyond it: make its error infinite (np.inf)"
        )
    if value.shape == right.shape and value[2].isfinite():
        raise NotYet("an eye was not found, and the face passes by its other eye: that is a miss")
    compare(value, right, {})
    return "the worse eye, by the face's own ruler, and not found is infinitely far"


def _six_faces() -> tuple[np.ndarray, np.ndarray]:
    """Tilted faces of different sizes, some pixels off."""
    rng = np.random.default_rng(4)
    middle, half = rng.uniform(40, 55, (6, 1, 2)), rng.uniform(12, 22, (6, 1, 1))
    angle = rng.uniform(-0.5, 0.5, (6, 1))
    along = np.stack([np.cos(angle), np.sin(angle)], axis=-1)  # (6, 1, 2)
    true = np.concatenate([middle + half * along, middle - half * along], axis=1)
    return true + rng.normal(0, 2, true.shape), true


def _wrong_worst(found: np.ndarray, true: np.ndarray) -> dict[str, Tensor]:
    errors = np.linalg.norm(found - true, axis=-1)  # (N, 2)
    apart = true[:, 0] - true[:, 1]  # (N, 2)
    ruler, guessed = (
        np.linalg.norm(apart, axis=-1),
        np.linalg.norm(found[:, 0] - found[:, 1], axis=-1),
    )
    worst = errors.max(axis=1)
    answers = {
        "this is the mean of both eyes (the NME): the larger of the two is wanted": (
            errors.mean(axis=1) / ruler
        ),
        "this is the better eye: the larger of the two errors is wanted": errors.min(axis=1)
        / ruler,
        "this is the sum of both eyes: the larger of the two is wanted": errors.sum(axis=1) / ruler,
        "these are pixels: divide by the distance between the true eyes": worst,
        "the ruler is the distance between the eyes, not the width of the image": worst / WIDTH,
        "each face has its own ruler: do not average the distances": worst / ruler.mean(),
        "the ruler is the distance between the TRUE eyes, not between those found": worst / guessed,
        "the ruler is a distance: sqrt(dx² + dy²), not dx alone": worst / np.abs(apart[:, 0]),
        "an error is a distance too: sqrt(dx² + dy²), not the larger of |dx| and |dy|": (
            np.abs(found - true).max(axis=(1, 2)) / ruler
        ),
        "the root is missing: these are squared distances": worst**2 / ruler,
        "one number for each face is wanted, (N,), not their mean": (worst / ruler).mean(),
        "one number for each face is wanted: the larger of its two eyes": errors / ruler[:, None],
    }
    return {mistake: torch.as_tensor(answer) for mistake, answer in answers.items()}


# --- The paired bootstrap ------------------------------------------------------------------------


@self_check
def paired_interval(fn: Callable[[np.ndarray, np.ndarray, np.random.Generator], Interval]) -> str:
    """Check `fn(a, b, rng)`: the 95 % interval of the mean of a less b, faces drawn again.

    a and b (N, 2): the errors of two networks on the same faces, both eyes of each.
    """
    a, b = _two_networks()
    answer = as_tensor(fn(a.copy(), b.copy(), np.random.default_rng(5)))
    if answer.shape != (2,):
        raise NotYet(f"two numbers are wanted, low and high; yours has shape {tuple(answer.shape)}")
    low, high = answer.tolist()
    mean, (right_low, right_high) = (a - b).mean(), bootstrap(a - b)
    width = (high - low) / (right_high - right_low)
    if low == high:
        raise NotYet("both ends are alike: has every draw the same faces?")
    if low > high:
        raise NotYet("low is above high: give the smaller one first")
    if abs((low + high) / 2 + mean) < 0.1 * mean:
        raise NotYet("the sign: a less b is wanted")
    if abs((low + high) / 2 - mean) > 0.3 * mean:
        raise NotYet("the interval does not lie around the mean of a less b")
    for least, most, mistake in _WIDTHS:
        if least < width < most:
            raise NotYet(mistake)
    return f"{low:.2f} to {high:.2f} px: the interval does not contain 0, so a is worse"


_WIDTHS = (  # of the reader's interval over the right one's
    (0, 0.42, "far too short: draw as many faces as there are, and take the mean of each draw"),
    (
        0.42,
        0.6,
        "half as wide as it should be: quantiles .025 and .975, or two deviations each way",
    ),
    (0.6, 0.78, "too short: draw faces, not eyes; the two eyes of a face fail together"),
    (0.78, 0.89, "too short for 95 %: quantiles .025 and .975 are wanted"),
    (1.12, 5, "too wide: quantiles .025 and .975 of the means of 1000 draws are wanted"),
    (5, math.inf, "far too wide: draw once for both networks, or take the differences first"),
)


def _two_networks() -> tuple[np.ndarray, np.ndarray]:
    """Errors (150, 2) of two networks that find the same faces hard, the first a little worse."""
    rng = np.random.default_rng(6)
    hard = rng.exponential(3.0, (150, 1))
    off = rng.normal(0.15, 0.3, (150, 1)) + rng.normal(0, 0.02, (150, 2))
    b = hard + rng.normal(0, 0.1, (150, 2))
    return b + off, b


# --- Risk and coverage ---------------------------------------------------------------------------


@self_check
def kept_risk(fn: Callable[[np.ndarray, np.ndarray, float], float]) -> str:
    """Check `fn(errors, confidence, share)`: the mean error of that share, most confident first.

    errors and confidence (M,), without ties; share of M is a whole number.
    """
    rng = np.random.default_rng(2)
    confidence = rng.permutation(40) / 40
    errors = 4 * (1 - confidence) + rng.exponential(1, 40)
    for share in (0.25, 0.6, 1.0):
        count = round(share * 40)
        right = errors[np.argsort(-confidence)[:count]].mean()
        value = fn(errors.copy(), confidence.copy(), share)
        compare(value, torch.tensor(right), _wrong_risks(errors, confidence, count))
    return "the mean error of the most confident answers"


def _wrong_risks(errors: np.ndarray, confidence: np.ndarray, count: int) -> dict[str, Tensor]:
    order = np.argsort(-confidence)
    kept, total = errors[order[:count]], len(errors)
    above = errors[confidence >= count / total]
    answers = {
        "sorted the wrong way round: you keep the LEAST confident answers": (
            errors[order[total - count :]].mean()
        ),
        "you sort by the error itself, which nobody knows in use: sort by confidence": (
            np.sort(errors)[:count].mean()
        ),
        "you keep the largest errors: sort by confidence, from high to low": (
            np.sort(errors)[total - count :].mean()
        ),
        "the errors are still in the order of the file: sort them by confidence": (
            errors[:count].mean()
        ),
        "share is a share of the answers, not a threshold of the confidence": (
            above.mean() if len(above) else np.nan
        ),
        "this is the error of the last answer kept: the mean of all that are kept is wanted": (
            kept[-1]
        ),
        "this is the sum: divide by the number of answers kept": kept.sum(),
        "divide by the number of answers kept, not by the number of all": kept.sum() / total,
        "this is the median: the mean is wanted": np.median(kept),
        "one number is wanted, the mean of these": kept,
    }
    return {mistake: torch.as_tensor(answer) for mistake, answer in answers.items()}


# --- The flip test -------------------------------------------------------------------------------


@self_check
def flip_average(fn: Callable[[np.ndarray, np.ndarray, int], np.ndarray]) -> str:
    """Check `fn(plain, mirrored, width)`: the mean of two answers, in the image's coordinates.

    plain (N, 2, 2) was found in the images, mirrored (N, 2, 2) in the mirrored images, both
    with the subject's left eye, as it appears there, first.
    """
    rng = np.random.default_rng(3)
    true = np.array([[66.0, 37.0], [30.0, 40.0]]) + rng.normal(0, 3, (5, 2, 2))
    plain, other = (true + rng.normal(0, 0.5, true.shape) for _ in range(2))
    mirrored = np.ascontiguousarray(other[:, ::-1]) * [-1, 1] + [WIDTH - 1, 0]
    given = plain.copy(), mirrored.copy()
    value = fn(*given, WIDTH)
    value = value.copy() if isinstance(value, np.ndarray) else value  # torch takes no [::-1] views
    compare(value, torch.tensor((plain + other) / 2), _wrong_flips(plain, mirrored))
    if not (np.array_equal(given[0], plain) and np.array_equal(given[1], mirrored)):
        raise NotYet("the arrays you were given have changed: work on a copy")
    return "mirrored back, left and right swapped, and averaged"


def _wrong_flips(plain: np.ndarray, mirrored: np.ndarray) -> dict[str, Tensor]:
    def back(x: np.ndarray, width: int = WIDTH - 1) -> np.ndarray:
        return x * [-1, 1] + [width, 0]

    swap = "left and right are not swapped: both eyes land between the eyes"
    edge = "one pixel off: pixels run from 0 to width - 1, so x goes back to width - 1 - x"
    upside = mirrored[:, ::-1] * [1, -1] + [0, WIDTH - 1]
    answers = {
        swap: (plain + back(mirrored)) / 2,
        edge: (plain + back(mirrored, WIDTH)[:, ::-1]) / 2,
        f"{swap}; and {edge}": (plain + back(mirrored, WIDTH)) / 2,
        "the points of the mirrored image were not mirrored back": (plain + mirrored[:, ::-1]) / 2,
        "nothing was mirrored back and nothing swapped": (plain + mirrored) / 2,
        "y was mirrored: a mirror changes left and right, so x": (plain + upside) / 2,
        "swap the eyes (axis 1), not x and y (axis 2)": (plain + back(mirrored)[..., ::-1]) / 2,
        "this is the sum of both answers: halve it": plain + back(mirrored)[:, ::-1],
        "that is the mirrored answer alone: average it with the plain one": (
            back(mirrored)[:, ::-1]
        ),
        "that is the plain answer alone: the mirrored one is not in it": plain,
    }
    return {mistake: torch.tensor(answer.copy()) for mistake, answer in answers.items()}
