"""The self-checks of notebook 01: right answers pass, each mistake is named."""

import numpy as np
import pytest
from helpers import assert_correct, assert_not_yet

from hglib import check
from hglib.data import LANDMARKS, Faces
from hglib.datasets.audit import label_noise as reference_noise
from hglib.datasets.split import duplicate_groups


def partner(name, swap=("left", "right")):
    a, b = swap
    return "_".join({a: b, b: a}.get(word, word) for word in name.split("_"))


# --- mirror_order --------------------------------------------------------------------------------


def test_hglibs_own_mirror_order_is_right(capsys):
    def order(names):
        blank = np.zeros((1, len(names), 2), np.float32)
        faces = Faces(np.zeros((1, 8, 8), np.uint8), blank, tuple(names), np.arange(1), "test")
        return faces.mirror_order

    assert check.mirror_order(order) is True
    assert_correct(capsys)


def eyes_only(names):
    return [1, 0, *range(2, len(names))]


def prefix_only(names):
    places = []
    for name in names:
        side, _, rest = name.partition("_")
        other = {"left": "right", "right": "left"}.get(side, side)
        places.append(names.index(f"{other}_{rest}"))
    return places


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda names: list(range(len(names))), "nothing is swapped"),
        (eyes_only, "only the eye centres"),
        (prefix_only, "in the middle of the name"),
        (lambda names: list(range(len(names)))[::-1], "turned round"),
        (lambda names: [partner(n) for n in names], "those are names"),
        (lambda names: [LANDMARKS.index(partner(n)) for n in LANDMARKS], "look the names up"),
        (lambda names: None, "returns nothing"),
        (lambda names: names.index("chin"), "stopped with ValueError"),
    ],
)
def test_mistakes_in_the_mirror_order_are_named(wrong, words, capsys):
    assert check.mirror_order(wrong) is False
    assert_not_yet(capsys, words)


# --- label_noise ---------------------------------------------------------------------------------


def differences(first, second):
    both = (second - first).ravel()
    return both[np.isfinite(both)]


def test_hglibs_own_noise_is_right(capsys):
    def noise(first, second):
        pairs = np.stack([np.arange(len(first)), np.arange(len(first)) + len(first)], axis=1)
        return reference_noise(np.concatenate([first, second])[:, None], pairs)

    assert check.label_noise(noise) is True
    assert_correct(capsys)


def of_distances(first, second):
    distance = np.linalg.norm(second - first, axis=1)
    return 1.4826 * np.nanmedian(distance) / np.sqrt(2)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda a, b: np.std(b - a), "the answer is NaN"),
        (
            lambda a, b: np.nanstd(b - a),
            "moved it: use the median of the absolute differences; and",
        ),
        (lambda a, b: np.nanstd(b - a) / 2**0.5, "moved it"),
        (lambda a, b: 1.4826 * np.nanmedian(np.abs(b - a)), "divide by the square root of 2"),
        (lambda a, b: 1.4826 * np.nanmedian(np.abs(b - a)) / 2, "not by 2"),
        (lambda a, b: np.nanmedian(np.abs(b - a)) / 2**0.5, "by 1.4826"),
        (lambda a, b: np.nanmedian(np.abs(b - a)), "neither an sd nor of one label"),
        (lambda a, b: 1.4826 * np.nanmedian(b - a) / 2**0.5, "absolute differences before"),
        (of_distances, "a distance has two axes"),
        (lambda a, b: 7.0, "a number is"),
    ],
)
def test_mistakes_in_the_noise_are_named(wrong, words, capsys):
    assert check.label_noise(wrong) is False
    assert_not_yet(capsys, words)


# --- harmonised ----------------------------------------------------------------------------------


def by_groups(points, first, shifts, weigh=True):
    """A loop over the rows: each takes away its group's shift and adds the mean one."""
    share = first.mean() if weigh else 0.5
    mean = share * shifts[0] + (1 - share) * shifts[1]
    moved = points.copy()
    for row in range(len(points)):
        for eye in range(2):
            moved[row, eye] += mean - shifts[0 if first[row] else 1]
    return moved


def in_place(points, first, shifts):
    points[:] = by_groups(points, first, shifts)
    return points


def test_harmonised_labels_pass(capsys):
    assert check.harmonised(by_groups) is True
    assert_correct(capsys)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda p, first, s: p, "nothing has moved"),
        (lambda p, first, s: 2 * p - by_groups(p, first, s), "the wrong way"),
        (lambda p, first, s: p - np.where(first[:, None], *s)[:, None], "moved to 0"),
        (lambda p, first, s: by_groups(p, first, s, weigh=False), "number of rows"),
        (lambda p, first, s: by_groups(p, first, s[:, ::-1]), "x and y are swapped"),
        (lambda p, first, s: by_groups(p, first, s * [1, 0]), "only x has moved"),
        (lambda p, first, s: p - np.where(first[:, None], *s).mean(axis=0), "a move of its own"),
        (in_place, "have changed"),
        (lambda p, first, s: np.nan_to_num(by_groups(p, first, s)), "NaN is in the wrong place"),
        (lambda p, first, s: None, "returns nothing"),
    ],
)
def test_mistakes_in_harmonising_are_named(wrong, words, capsys):
    assert check.harmonised(wrong) is False
    assert_not_yet(capsys, words)


def test_exchanged_groups_are_named(capsys):
    def exchanged(points, first, shifts):
        of_row = np.where(first[:, None], shifts[1], shifts[0])
        return points - (of_row - np.where(first[:, None], *shifts).mean(axis=0))[:, None]

    assert check.harmonised(exchanged) is False
    assert_not_yet(capsys, "the groups are exchanged")


# --- group_split ---------------------------------------------------------------------------------


def good_split(groups, share, rng):
    names = np.unique(groups)
    return np.isin(groups, rng.permutation(names)[: round(share * len(names))])


def by_coin(groups, share, rng):
    names = np.unique(groups)
    return np.isin(groups, names[rng.random(len(names)) < share])


@pytest.mark.parametrize("split", [good_split, by_coin])
def test_right_splits_pass(split, capsys):
    assert check.group_split(split) is True
    assert_correct(capsys)


def first_groups(groups, share, rng):
    names = np.unique(groups)
    return np.isin(groups, names[: round(share * len(names))])


def own_rng(groups, share, rng):
    return good_split(groups, share, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda g, share, rng: rng.random(len(g)) < share, "on both sides"),
        (lambda g, share, rng: ~good_split(g, share, rng), "wrong way round"),
        (lambda g, share, rng: np.flatnonzero(good_split(g, share, rng)), "the shape is"),
        (lambda g, share, rng: np.where(good_split(g, share, rng), g, 0), "a mask is wanted"),
        (lambda g, share, rng: np.zeros(len(g), bool), "0% of the groups"),
        (first_groups, "neighbours in the file"),
        (own_rng, "same split"),
        (lambda g, share, rng: None, "returns nothing"),
    ],
)
def test_mistakes_in_the_split_are_named(wrong, words, capsys):
    assert check.group_split(wrong) is False
    assert_not_yet(capsys, words)


def test_the_checks_groups_look_like_those_of_duplicate_groups():
    """A group's number is the row of its first image, as the exercise says."""
    from hglib.check.data import _groups

    groups = _groups()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 96, 96)).astype(np.uint8)[groups]
    assert np.array_equal(duplicate_groups(images), groups)
