"""The self-checks of notebook 05: right answers pass, each mistake is named."""

import numpy as np
import pytest
import torch
from helpers import assert_correct, assert_not_yet

from hglib import check, metrics

norm = np.linalg.norm


# --- worst_eye -----------------------------------------------------------------------------------


def ruler(true):
    return norm(true[:, 0] - true[:, 1], axis=-1)


def errors(found, true):
    return np.nan_to_num(norm(found - true, axis=-1), nan=np.inf)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, list])
def test_hglibs_own_worst_eye_is_right(kind, capsys):
    assert check.worst_eye(lambda found, true: kind(metrics.worst_eye(found, true))) is True
    assert_correct(capsys)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda f, t: errors(f, t).mean(1) / ruler(t), "the mean of both eyes (the NME)"),
        (lambda f, t: errors(f, t).min(1) / ruler(t), "the better eye"),
        (lambda f, t: errors(f, t).sum(1) / ruler(t), "the sum of both eyes"),
        (lambda f, t: errors(f, t).max(1), "these are pixels"),
        (lambda f, t: errors(f, t).max(1) / 96, "not the width of the image"),
        (lambda f, t: errors(f, t).max(1) / ruler(t).mean(), "its own ruler"),
        (lambda f, t: errors(f, t).max(1) / ruler(f), "not between those found"),
        (lambda f, t: errors(f, t).max(1) / abs(t[:, 0, 0] - t[:, 1, 0]), "not dx alone"),
        (lambda f, t: abs(f - t).max((1, 2)) / ruler(t), "an error is a distance too"),
        (lambda f, t: errors(f, t).max(1) ** 2 / ruler(t), "the root is missing"),
        (lambda f, t: (errors(f, t).max(1) / ruler(t)).mean(), "not their mean"),
        (lambda f, t: errors(f, t) / ruler(t)[:, None], "the larger of its two eyes"),
        (lambda f, t: norm(f - t, axis=-1).max(1) / ruler(t), "comes out as NaN"),
        (lambda f, t: np.nanmax(norm(f - t, axis=-1), 1) / ruler(t), "passes by its other eye"),
        (lambda f, t: None, "returns nothing"),
        (lambda f, t: errors(f, t).max(1) / ruler(t) + 1, "a number is 1 off"),
        (lambda f, t: f[9], "stopped with IndexError"),
    ],
)
def test_mistakes_with_the_worst_eye_are_named(wrong, words, capsys):
    assert check.worst_eye(wrong) is False
    assert_not_yet(capsys, words)


# --- paired_interval -----------------------------------------------------------------------------


def ends(means, low=0.025, high=0.975):
    return np.quantile(means, [low, high])


def redrawn(values, rng, repeats=1000):
    return [values[rng.integers(0, len(values), len(values))].mean() for _ in range(repeats)]


def paired(a, b, rng):
    return ends(redrawn(a - b, rng))


def unpaired(a, b, rng):
    return ends(np.subtract(redrawn(a, rng), redrawn(b, rng)))


def deviations(a, b, rng):
    means = redrawn(a - b, rng)
    return np.mean(means) - np.std(means), np.mean(means) + np.std(means)


@pytest.mark.parametrize("kind", [np.asarray, tuple, list])
def test_a_right_paired_bootstrap_passes(kind, capsys):
    assert check.paired_interval(lambda a, b, rng: kind(paired(a, b, rng))) is True
    assert_correct(capsys)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (unpaired, "draw once for both networks"),
        (lambda a, b, rng: paired(b, a, rng), "the sign"),
        (lambda a, b, rng: ends(redrawn((a - b).ravel(), rng)), "draw faces, not eyes"),
        (lambda a, b, rng: ends(redrawn(a - b, rng), 0.05, 0.95), "too short for 95 %"),
        (deviations, "half as wide"),
        (lambda a, b, rng: ends((a - b).mean(axis=1)), "far too wide"),
        (lambda a, b, rng: paired(a, 0 * a, rng), "does not lie around the mean"),
        (lambda a, b, rng: ends([(a - b).mean()] * 9), "both ends are alike"),
        (lambda a, b, rng: paired(a, b, rng)[::-1], "give the smaller one first"),
        (lambda a, b, rng: (a - b).mean(), "two numbers are wanted"),
        (lambda a, b, rng: None, "returns nothing"),
    ],
)
def test_mistakes_with_the_paired_bootstrap_are_named(wrong, words, capsys):
    assert check.paired_interval(wrong) is False
    assert_not_yet(capsys, words)


# --- kept_risk -----------------------------------------------------------------------------------


def kept(errors, confidence, share):
    return errors[np.argsort(-confidence)[: round(share * len(errors))]]


def test_the_risk_coverage_curve_is_right(capsys):
    def from_curve(errors, confidence, share):
        coverage, risk = metrics.risk_coverage(errors, confidence)
        return risk[np.searchsorted(coverage, share - 1e-9)]

    assert check.kept_risk(from_curve) is True
    assert_correct(capsys)


def above(errors, confidence, share):
    chosen = errors[confidence >= share]
    return chosen.mean() if len(chosen) else np.nan


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda e, c, s: kept(e, -c, s).mean(), "the LEAST confident"),
        (lambda e, c, s: kept(e, -e, s).mean(), "sort by the error itself"),
        (lambda e, c, s: kept(e, e, s).mean(), "the largest errors"),
        (lambda e, c, s: e[: round(s * len(e))].mean(), "in the order of the file"),
        (above, "not a threshold"),
        (lambda e, c, s: kept(e, c, s)[-1], "the last answer kept"),
        (lambda e, c, s: kept(e, c, s).sum(), "this is the sum"),
        (lambda e, c, s: kept(e, c, s).sum() / len(e), "not by the number of all"),
        (lambda e, c, s: np.median(kept(e, c, s)), "this is the median"),
        (kept, "the mean of these"),
        (lambda e, c, s: None, "returns nothing"),
        (lambda e, c, s: e[1000], "stopped with IndexError"),
    ],
)
def test_mistakes_with_the_risk_are_named(wrong, words, capsys):
    assert check.kept_risk(wrong) is False
    assert_not_yet(capsys, words)


# --- flip_average --------------------------------------------------------------------------------


def back(points, edge=95, swap=True):
    points = points[:, ::-1] if swap else points
    return np.stack([edge - points[..., 0], points[..., 1]], axis=-1)


@pytest.mark.parametrize(
    "order",
    [
        lambda plain, mirrored, width: (plain + back(mirrored, width - 1)) / 2,
        # mirror the plain answer, average there, and bring the average back
        lambda plain, mirrored, width: back((back(plain, width - 1) + mirrored) / 2, width - 1),
        # a view with a negative stride, which torch does not take
        lambda plain, mirrored, width: ((plain + back(mirrored, width - 1)) / 2)[:, ::-1].copy()[
            :, ::-1
        ],
    ],
)
def test_both_orders_of_the_flip_test_are_right(order, capsys):
    assert check.flip_average(order) is True
    assert_correct(capsys)


def upside_down(points):
    return np.stack([points[:, ::-1, 0], 95 - points[:, ::-1, 1]], axis=-1)


def in_place(plain, mirrored, width):
    mirrored[..., 0] = width - 1 - mirrored[..., 0]
    return (plain + mirrored[:, ::-1]) / 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda p, m, w: (p + back(m, swap=False)) / 2, "left and right are not swapped"),
        (lambda p, m, w: (p + back(m, 96)) / 2, "one pixel off"),
        (lambda p, m, w: (p + back(m, 96, swap=False)) / 2, "between the eyes; and one pixel off"),
        (lambda p, m, w: (p + m[:, ::-1]) / 2, "were not mirrored back"),
        (lambda p, m, w: (p + m) / 2, "nothing was mirrored back and nothing swapped"),
        (lambda p, m, w: (p + upside_down(m)) / 2, "y was mirrored"),
        (lambda p, m, w: (p + back(m, swap=False)[..., ::-1]) / 2, "not x and y"),
        (lambda p, m, w: p + back(m), "this is the sum"),
        (lambda p, m, w: back(m), "the mirrored answer alone"),
        (lambda p, m, w: p, "the plain answer alone"),
        (in_place, "you were given have changed"),
        (lambda p, m, w: None, "returns nothing"),
        (lambda p, m, w: (p + back(m)) / 2 + 0.5, "a number is 0.5 off"),
        (lambda p, m, w: p + w[0], "stopped with TypeError"),
    ],
)
def test_mistakes_with_the_flip_test_are_named(wrong, words, capsys):
    assert check.flip_average(wrong) is False
    assert_not_yet(capsys, words)
