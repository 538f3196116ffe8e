"""Right answers pass, and each usual mistake, written as a reader would, is called by its name."""

import pytest
import torch

from hglib import check


def verdict(capsys, passed):
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and said.startswith("Correct: " if passed else "Not yet: ")
    return said


# --- labelled_mean -------------------------------------------------------------------------------


def labelled_mean(losses, labelled):
    return torch.where(labelled, losses, 0.0).sum() / labelled.sum().clamp(min=1)


@pytest.mark.parametrize(
    "answer",
    [
        labelled_mean,
        lambda losses, labelled: losses.nan_to_num().sum() / max(labelled.sum(), 1),
        lambda losses, labelled: losses[labelled].mean() if labelled.any() else torch.tensor(0.0),
    ],
)
def test_a_right_mean_passes(capsys, answer):
    assert check.labelled_mean(answer)
    verdict(capsys, True)


def zeros(losses):
    return losses.nan_to_num()


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda v, m: (v * m).sum() / m.sum(), "0 times NaN is NaN"),
        (lambda v, m: v.mean(), "0 times NaN is NaN"),
        (lambda v, m: zeros(v).mean(), "the missing ones count too"),
        (lambda v, m: zeros(v).sum(), "the sum is there"),
        (lambda v, m: (zeros(v).sum(1) / m.sum(1).clamp(min=1)).mean(), "mean of the faces' means"),
        (lambda v, m: (zeros(v).sum(0) / m.sum(0).clamp(min=1)).mean(), "mean of the points'"),
        (lambda v, m: zeros(v).sum() / len(v), "divided by the number of faces"),
        (lambda v, m: v[m].mean(), "without a single label gives 0 / 0"),
        (lambda v, m: None, "returns nothing so far"),
    ],
)
def test_a_wrong_mean_is_named(capsys, answer, words):
    assert not check.labelled_mean(answer)
    assert words in verdict(capsys, False)


# --- whole_batch ---------------------------------------------------------------------------------


def whole_batch(counts, means, variances):
    share = counts / counts.sum()
    mean = (share * means).sum()
    return mean, (share * (variances + (means - mean) ** 2)).sum()


def by_squares(counts, means, variances):
    """Another way to the same: E[x^2] - E[x]^2."""
    mean = (counts * means).sum() / counts.sum()
    squares = (counts * (variances + means**2)).sum() / counts.sum()
    return mean, squares - mean**2


@pytest.mark.parametrize("answer", [whole_batch, by_squares])
def test_right_statistics_pass(capsys, answer):
    assert check.whole_batch(answer)
    verdict(capsys, True)


def wrong(variance):
    return lambda c, m, v: (whole_batch(c, m, v)[0], variance(c, m, v))


def between(c, m):
    return (m - (c * m).sum() / c.sum()) ** 2


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda c, m, v: (m.mean(), v.mean()), "mean: larger parts count for more"),
        (wrong(lambda c, m, v: (c * v).sum() / c.sum()), "variance between the means is missing"),
        (wrong(lambda c, m, v: v.mean()), "a mean of the variances"),
        (wrong(lambda c, m, v: (c * between(c, m)).sum() / c.sum()), "variance within the parts"),
        (wrong(lambda c, m, v: (v + between(c, m)).mean()), "variance: larger parts count"),
        (
            wrong(lambda c, m, v: whole_batch(c, m, v)[1] * c.sum() / (c.sum() - 1)),
            "not by the count minus 1",
        ),
        (wrong(lambda c, m, v: whole_batch(c, m, v)[1].sqrt()), "that is the standard deviation"),
        (lambda c, m, v: whole_batch(c, m, v)[0], "two results are wanted"),
        (lambda c, m, v: None, "two results are wanted"),
    ],
)
def test_wrong_statistics_are_named(capsys, answer, words):
    assert not check.whole_batch(answer)
    assert words in verdict(capsys, False)
