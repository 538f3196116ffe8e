"""Right answers pass, and each usual mistake, written as a reader would, is called by its name."""

import numpy as np
import pytest
from helpers import assert_correct

from hglib import check

# ---- the brightest pixel --------------------------------------------------------------------


def brightest(heat):
    best = (0, 0)
    for row in range(heat.shape[0]):
        for column in range(heat.shape[1]):
            if heat[row, column] > heat[best[1], best[0]]:
                best = (column, row)
    return best


def swapped(heat):
    return np.unravel_index(heat.argmax(), heat.shape)


def flat(heat):
    return heat.argmax()


def from_one(heat):
    x, y = brightest(heat)
    return x + 1, y + 1


def darkest(heat):
    return brightest(-heat)


def float_pair(heat):
    return np.array(brightest(heat), float)


@pytest.mark.parametrize("fn", [brightest, float_pair])
def test_the_brightest_pixel(fn, capsys):
    assert check.brightest(fn) is True
    assert_correct(capsys)


@pytest.mark.parametrize(
    "fn, words",
    [
        (swapped, "x and y are swapped"),
        (flat, "counts through all rows"),
        (from_one, "start at 1"),
        (darkest, "darkest"),
        (lambda heat: None, "nothing"),
        (lambda heat: (0, 0, 0), "shape is (3,)"),
        (lambda heat: (0, 1 / 0), "ZeroDivisionError"),
    ],
)
def test_mistakes_with_the_brightest_pixel(fn, words, capsys):
    assert check.brightest(fn) is False
    out = capsys.readouterr().out
    assert out.startswith("Not yet: ") and words in out


# ---- the mean distance ----------------------------------------------------------------------


def mean_distance(found, true):
    total = count = 0
    for f, t in zip(found.reshape(-1, 2), true.reshape(-1, 2), strict=True):
        if not np.isnan(t).any():
            total += ((f[0] - t[0]) ** 2 + (f[1] - t[1]) ** 2) ** 0.5
            count += 1
    return total / count


def distances(found, true):
    return np.linalg.norm(found - true, axis=-1)


MISTAKES = {
    "the sum": lambda f, t: np.nansum(distances(f, t)),
    "mean of |dx| and |dy|": lambda f, t: np.nanmean(np.abs(f - t)),
    "this is |dx| + |dy|": lambda f, t: np.nanmean(np.abs(f - t).sum(axis=-1)),
    "root is missing": lambda f, t: np.nanmean(((f - t) ** 2).sum(axis=-1)),
    "root of the mean square": lambda f, t: np.nanmean(distances(f, t) ** 2) ** 0.5,
    "signs cancel": lambda f, t: np.nanmean(f - t),
    "one number for all": distances,
    "the whole mean NaN": lambda f, t: distances(f, t).mean(),
    "counts as distance 0": lambda f, t: np.nan_to_num(distances(f, t)).mean(),
    "nothing": lambda f, t: ...,
}


def test_the_mean_distance(capsys):
    assert check.mean_distance(mean_distance) is True
    assert check.mean_distance(lambda f, t: np.nanmean(distances(f, t))) is True
    assert "labelled points only" in capsys.readouterr().out


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_with_the_mean_distance(words, capsys):
    assert check.mean_distance(MISTAKES[words]) is False
    out = capsys.readouterr().out
    assert out.startswith("Not yet: ") and words in out
