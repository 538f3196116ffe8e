"""The self-check of notebook 09: a right head passes, each mistake is named."""

import pytest
import torch
from helpers import assert_correct, assert_not_yet

from hglib import check


def cells(scores):
    best = scores.flatten(2).argmax(dim=2)  # (B, K)
    return torch.stack([best % scores.shape[3], best // scores.shape[3]], dim=-1)


def moved(scores, offsets):
    """The offset at the best cell, by a slow loop."""
    found = torch.zeros(*scores.shape[:2], 2)
    for b in range(scores.shape[0]):
        for k in range(scores.shape[1]):
            x, y = cells(scores)[b, k].tolist()
            found[b, k] = offsets[b, k, :, y, x]
    return found


def centres(scores, stride):
    return (cells(scores) + 0.5) * stride - 0.5


def right(scores, offsets, stride):
    return centres(scores, stride) + moved(scores, offsets)


def test_a_right_head_passes(capsys):
    assert check.offset_head(right) is True
    assert_correct(capsys)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda s, o, t: centres(s, t), "the offset is missing"),
        (lambda s, o, t: cells(s) * t + moved(s, o), "not at i * stride"),
        (lambda s, o, t: right(s, o, t) + 0.5, "its last half pixel is missing"),
        (lambda s, o, t: centres(s, t).flip(-1) + moved(s, o), "the column is x"),
        (lambda s, o, t: centres(s, t) + moved(s, o).flip(-1), "offsets hold x first"),
        (lambda s, o, t: right(s, o, t).flip(-1), "x and y are exchanged"),
        (lambda s, o, t: centres(s, t) - moved(s, o), "the offset is subtracted"),
        (lambda s, o, t: centres(s, t) + t * moved(s, o), "do not multiply them"),
        (lambda s, o, t: centres(s, t) + o.mean(dim=(3, 4)), "not the mean of all"),
        (lambda s, o, t: None, "returns nothing"),
        (lambda s, o, t: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_mistakes_are_named(wrong, words, capsys):
    assert check.offset_head(wrong) is False
    assert_not_yet(capsys, words)
