"""The self-checks of notebook 06 praise what is right and name each usual mistake."""

import numpy as np
import pytest

from hglib import check
from hglib.check import why
from hglib.experiments.ablation.gains import paired, spearman


def said(capsys, fn, checker):
    verdict = checker(fn)
    line = capsys.readouterr().out.strip()
    assert line.startswith("Correct: " if verdict else "Not yet: ") and "\n" not in line
    return verdict, line


def judged(gain, error):
    if abs(gain) <= 2 * error:
        return "cannot tell"
    return "helps" if gain > 0 else "hurts"


def gains(measure, row, seeds):
    return np.array([measure("default", s) - measure(row, s) for s in seeds])


def right(measure, row, seeds):
    gain, error = paired(*([measure(n, s) for s in seeds] for n in (row, "default")))
    return gain, error, judged(gain, error)


def with_error(error_of):
    """An ablation whose standard error is wrong."""

    def ablate(measure, row, seeds):
        found = gains(measure, row, seeds)
        return found.mean(), error_of(found), judged(found.mean(), error_of(found))

    return ablate


def backwards(measure, row, seeds):
    gain, error, _ = right(measure, row, seeds)
    return -gain, error, judged(-gain, error)


def unpaired(measure, row, seeds):
    ours, theirs = (np.array([measure(n, s) for s in seeds]) for n in (row, "default"))
    error = ((ours.var(ddof=1) + theirs.var(ddof=1)) / len(seeds)) ** 0.5
    return (theirs - ours).mean(), error, "cannot tell"


def hasty(measure, row, seeds):
    gain, error, _ = right(measure, row, seeds)
    return gain, error, "helps" if gain > 0 else "hurts"


def test_a_right_ablation_and_a_right_correlation(capsys):
    good, line = said(capsys, right, check.ablation)
    assert good and "cannot tell" in line
    good, line = said(capsys, lambda m, r, s: list(right(m, r, s)), check.ablation)
    assert good
    good, line = said(capsys, spearman, check.same_order)
    assert good and "0.6" in line and spearman(why.A, why.B) == pytest.approx(0.6)


def test_the_verdicts_are_those_of_twice_the_standard_error():
    assert {row: judged(*why._gain(row)) for row in why.VERDICTS} == why.VERDICTS


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (backwards, "the default's error minus the row's"),
        (with_error(lambda d: d.std(ddof=1)), "sqrt(S) times surer"),
        (with_error(lambda d: d.std() / len(d) ** 0.5), "ddof=1"),
        (with_error(lambda d: d.std(ddof=1) / len(d)), "not by S"),
        (unpaired, "paired"),
        (lambda m, r, s: (np.median(gains(m, r, s)), right(m, r, s)[1], "helps"), "take the mean"),
        (hasty, "is 'cannot tell', not 'helps'"),
        (lambda m, r, s: right(m, r, s[:2]), "not trained with seed 5"),
        (lambda m, r, s: right(lambda n, k: m(r, k), r, s), "'default' was not trained"),
        (lambda m, r, s: right(m, r, s)[:2], "three things are wanted"),
        (lambda m, r, s: None, "nothing so far"),
        (lambda m, r, s: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_mistakes_with_the_ablation(capsys, wrong, named):
    good, line = said(capsys, wrong, check.ablation)
    assert not good and named in line


def places(values):
    return values.argsort().argsort()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda a, b: np.corrcoef(a, b)[0, 1], "rank them first"),
        (lambda a, b: np.corrcoef(a.argsort(), b.argsort())[0, 1], "argsort it again"),
        (lambda a, b: np.corrcoef(places(a), places(-b))[0, 1], "same direction"),
        (lambda a, b: np.corrcoef(places(a), b)[0, 1], "one of the two is not ranked"),
        (lambda a, b: np.corrcoef(a, places(b))[0, 1], "the other one is not ranked"),
        (lambda a, b: 1 - np.corrcoef(places(a), places(b))[0, 1], "1 minus that"),
        (lambda a, b: np.cov(places(a), places(b))[0, 1], "not yet divided"),
        (lambda a, b: 0.25, "off"),
    ],
)
def test_mistakes_with_the_order(capsys, wrong, named):
    good, line = said(capsys, wrong, check.same_order)
    assert not good and named in line
