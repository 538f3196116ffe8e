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


def standard_error(saved):
    return saved.std(ddof=1) / np.sqrt(len(saved))


def test_a_right_gain_and_a_right_correlation(capsys):
    good, line = said(capsys, lambda b, a: paired(a, b), check.gain_and_luck)
    assert good and "0.21 px" in line and "0.06 px" in line
    assert paired(why.AFTER, why.BEFORE) == pytest.approx((0.21, 0.0615), abs=1e-4)
    good, line = said(capsys, spearman, check.same_order)
    assert good and "0.6" in line and spearman(why.A, why.B) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda b, a: ((a - b).mean(), standard_error(b - a)), "before minus after"),
        (lambda b, a: ((b - a).mean(), (b - a).std(ddof=1)), "sqrt(S) times surer"),
        (lambda b, a: ((b - a).mean(), (b - a).std() / len(a) ** 0.5), "ddof=1"),
        (lambda b, a: ((b - a).mean(), (b - a).std(ddof=1) / len(a)), "not by S"),
        (
            lambda b, a: ((b - a).mean(), ((a.var(ddof=1) + b.var(ddof=1)) / len(a)) ** 0.5),
            "paired",
        ),
        (lambda b, a: (np.median(b - a), standard_error(b - a)), "take the mean"),
        (lambda b, a: (b - a).mean(), "shape"),
        (lambda b, a: None, "nothing so far"),
        (lambda b, a: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_mistakes_with_the_gain(capsys, wrong, named):
    good, line = said(capsys, wrong, check.gain_and_luck)
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
