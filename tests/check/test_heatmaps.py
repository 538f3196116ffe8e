"""The self-checks of notebook 02 accept right answers and name each of the usual mistakes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hglib import check
from hglib.check.verdict import NotYet, compare, self_check


def said(capsys: pytest.CaptureFixture[str], check: Callable, fn: Callable) -> tuple[bool, str]:
    """The verdict and the one line printed."""
    passed = check(fn)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return passed, out


# --- rendered ------------------------------------------------------------------------------------


def draw(x, y, size, stride, sigma, *, half=0.5, last=0.5, power=2, two=2.0, rounded=None):
    """A right answer; every keyword is a way to spoil it."""
    if rounded == "point":
        x, y = round(x), round(y)
    x, y = (x + half) / stride - last, (y + half) / stride - last
    if rounded == "cell":
        x, y = round(x), round(y)
    rows, columns = (torch.arange(n // stride, dtype=torch.float64) for n in size)
    distance = torch.hypot(columns - x, rows[:, None] - y)
    return torch.exp(-(distance**power) / (two * sigma**2))  # (h, w)


SPOILT_MAPS: list[tuple[str, Callable[..., Tensor]]] = [
    ("returns nothing", lambda *a: None),
    ("returns nothing", lambda *a: ...),
    ("returns a str", lambda *a: "map"),
    ("x and y are swapped", lambda x, y, *a: draw(y, x, *a)),
    ("rows come first", lambda *a: draw(*a).T),
    ("off by half a pixel", lambda *a: draw(*a, half=0, last=0)),
    ("off by half a pixel", lambda *a: draw(*a, last=0)),
    ("point was rounded", lambda *a: draw(*a, rounded="point")),
    ("cell was rounded", lambda *a: draw(*a, rounded="cell") if a[3] > 1 else draw(*a)),
    ("do not divide it by the stride", lambda x, y, n, s, w: draw(x, y, n, s, w / s)),
    ("do not multiply it by the stride", lambda x, y, n, s, w: draw(x, y, n, s, w * s)),
    ("divide neither by the sum", lambda *a: draw(*a) / draw(*a).sum()),
    ("do not divide by the maximum", lambda *a: draw(*a) / draw(*a).max()),
    ("nor by 2 pi sigma^2", lambda *a: draw(*a) / (2 * math.pi * a[-1] ** 2)),
    ("the 2 of 2 sigma^2 is missing", lambda *a: draw(*a, two=1.0)),
    ("square the distance", lambda *a: draw(*a, power=1)),
    ("the shape is", lambda *a: draw(*a)[None]),
    ("a number is 0.5 off", lambda *a: draw(*a) + 0.5),
    ("stopped with ZeroDivisionError", lambda *a: 1 / 0),
]


def test_rendered_accepts_a_loop(capsys):
    def loop(x, y, size, stride, sigma):
        heat_map = torch.zeros(size[0] // stride, size[1] // stride)
        for row in range(heat_map.shape[0]):
            for column in range(heat_map.shape[1]):
                dx = ((column + 0.5) * stride - 0.5 - x) / stride
                dy = ((row + 0.5) * stride - 0.5 - y) / stride
                heat_map[row, column] = math.exp(-(dx**2 + dy**2) / (2 * sigma**2))
        return heat_map

    assert said(capsys, check.rendered, loop) == (
        True,
        "Correct: your map equals hglib's at strides 1, 2 and 4\n",
    )


@pytest.mark.parametrize(("words", "fn"), SPOILT_MAPS, ids=[words for words, _ in SPOILT_MAPS])
def test_rendered_names_the_mistake(words, fn, capsys):
    passed, line = said(capsys, check.rendered, fn)
    assert passed is False
    assert line.startswith("Not yet: ")
    assert words in line


# --- exponential ---------------------------------------------------------------------------------


def cone(x, y, size, stride, alpha, *, shift=0.5, last=0.5, power=0.5, sign=-1, cells=False):
    """A right answer by a loop; every keyword is a way to spoil it."""
    heat_map = torch.zeros(size[0] // stride, size[1] // stride, dtype=torch.float64)
    for row in range(heat_map.shape[0]):
        for column in range(heat_map.shape[1]):
            dx = (column + shift) * stride - last - x
            dy = (row + shift) * stride - last - y
            distance = (dx**2 + dy**2) ** power / (stride if cells else 1)
            heat_map[row, column] = math.exp(sign * alpha * distance)
    return heat_map


def diamond(x, y, size, stride, alpha):
    rows, columns = (torch.arange(n // stride) * stride + (stride - 1) / 2 for n in size)
    return torch.exp(-alpha * ((columns - x).abs() + (rows[:, None] - y).abs()).double())


SPOILT_CONES: list[tuple[str, Callable[..., Tensor]]] = [
    ("returns nothing", lambda *a: None),
    ("x and y are swapped", lambda x, y, *a: cone(y, x, *a)),
    ("rows come first", lambda *a: cone(*a).T),
    ("off by half a pixel", lambda *a: cone(*a, shift=0, last=0)),
    ("point was rounded", lambda x, y, *a: cone(round(x), round(y), *a)),
    ("not in cells", lambda *a: cone(*a, cells=True)),
    ("do not multiply it by the stride", lambda x, y, n, s, w: cone(x, y, n, s, w * s)),
    ("that is a Gaussian", lambda *a: cone(*a, power=1)),
    ("the sign is missing", lambda *a: cone(*a, sign=1)),
    ("take the root", diamond),
    ("do not divide by the sum", lambda *a: cone(*a) / cone(*a).sum()),
    ("do not divide by the maximum", lambda *a: cone(*a) / cone(*a).max()),
]


def test_exponential_accepts_a_loop(capsys):
    passed, line = said(capsys, check.exponential, cone)
    assert passed is True
    assert line.startswith("Correct: your map equals hglib's")


@pytest.mark.parametrize(("words", "fn"), SPOILT_CONES, ids=[words for words, _ in SPOILT_CONES])
def test_exponential_names_the_mistake(words, fn, capsys):
    passed, line = said(capsys, check.exponential, fn)
    assert passed is False
    assert words in line


# --- pixel_loss ----------------------------------------------------------------------------------


def loss_by_loop(scores, target, mask, *, sign=-1, share=True, pixels=1, maps=None, masked=True):
    """A right answer, map by map; every keyword is a way to spoil it."""
    total = 0.0
    for image in range(len(scores)):
        for landmark in range(scores.shape[1]):
            if masked and not mask[image, landmark]:
                continue
            wanted, got = target[image, landmark], scores[image, landmark]
            wanted = wanted / wanted.sum() if share else wanted
            total = total + sign * (wanted * (got - got.logsumexp((0, 1)))).sum() / pixels
    return total / (mask.sum() if maps is None else maps)


def by_softmax(dim):
    def loss(scores, target, mask):
        share = target / target.sum((-1, -2), keepdim=True)
        each = -(share * scores.log_softmax(dim)).sum((-1, -2))
        return (each * mask).sum() / mask.sum()

    return loss


def unsafe(scores, target, mask):
    share = target.flatten(2) / target.flatten(2).sum(-1, keepdim=True)
    p = scores.flatten(2).float().exp()
    p = p / p.sum(-1, keepdim=True)
    return ((-(share * p.log()).sum(-1)) * mask).sum() / mask.sum()


def share_times_p(scores, target, mask):
    share = target.flatten(2) / target.flatten(2).sum(-1, keepdim=True)
    return -((share * scores.flatten(2).softmax(-1)).sum(-1) * mask).sum() / mask.sum()


def squared(scores, target, mask):
    share = target.flatten(2) / target.flatten(2).sum(-1, keepdim=True)
    return ((share - scores.flatten(2).softmax(-1)).square().sum(-1) * mask).sum() / mask.sum()


SPOILT_LOSSES: list[tuple[str, Callable[..., Tensor]]] = [
    ("returns nothing", lambda *a: None),
    ("the sign is missing", lambda *a: loss_by_loop(*a, sign=1)),
    ("must sum to 1", lambda *a: loss_by_loop(*a, share=False)),
    ("ALL pixels", by_softmax(-1)),
    ("not over the landmarks", by_softmax(1)),
    ("do not take their mean", lambda *a: loss_by_loop(*a, pixels=12 * 16)),
    ("sum over the maps", lambda *a: loss_by_loop(*a, maps=1)),
    ("not of all", lambda *a: loss_by_loop(*a, maps=4)),
    ("the mask is missing", lambda *a: loss_by_loop(*a, maps=4, masked=False)),
    ("the logarithm is missing", share_times_p),
    ("squared error", squared),
    ("use log_softmax", unsafe),
    ("stopped with ZeroDivisionError", lambda *a: 1 / 0),
]


def test_pixel_loss_accepts_a_loop(capsys):
    passed, line = said(capsys, check.pixel_loss, loss_by_loop)
    assert passed is True
    assert line.startswith("Correct: the loss over pixels")


@pytest.mark.parametrize(("words", "fn"), SPOILT_LOSSES, ids=[words for words, _ in SPOILT_LOSSES])
def test_pixel_loss_names_the_mistake(words, fn, capsys):
    passed, line = said(capsys, check.pixel_loss, fn)
    assert passed is False
    assert words in line


# --- quarter_offset ------------------------------------------------------------------------------


def read(heat_map, stride, *, quarter=0.25, tie=0.0, back=True):
    """A right answer; every keyword is a way to spoil it."""
    row, column = divmod(int(heat_map.argmax()), heat_map.shape[1])
    slopes = (
        heat_map[row, column + 1] - heat_map[row, column - 1],
        heat_map[row + 1, column] - heat_map[row - 1, column],
    )
    signs = [math.copysign(1, slope) if abs(slope) > 1e-9 else tie for slope in slopes]
    cell = torch.tensor([column + quarter * signs[0], row + quarter * signs[1]])
    return (cell + 0.5) * stride - 0.5 if back else cell


SPOILT_POINTS: list[tuple[str, Callable[[Tensor, int], Tensor]]] = [
    ("returns nothing", lambda h, s: None),
    ("x and y are swapped", lambda h, s: read(h, s).flip(0)),
    ("plain argmax", lambda h, s: read(h, s, quarter=0)),
    ("the wrong way", lambda h, s: read(h, s, quarter=-0.25)),
    ("off by half a pixel", lambda h, s: read(h, s, back=False) * s),
    ("those are map pixels", lambda h, s: read(h, s, back=False)),
    ("not of an image pixel", lambda h, s: read(h, s, quarter=0.25 / s)),
    ("half a cell", lambda h, s: read(h, s, quarter=0.5)),
    ("equally high, add nothing\n", lambda h, s: read(h, s, tie=1)),
    ("not even a step back", lambda h, s: read(h, s, tie=-1)),
    ("a number is 3 off", lambda h, s: read(h, s) + 3),
]


def test_quarter_offset_accepts_a_right_answer(capsys):
    passed, line = said(capsys, check.quarter_offset, read)
    assert passed is True
    assert line.startswith("Correct: a quarter of a cell")


@pytest.mark.parametrize(("words", "fn"), SPOILT_POINTS, ids=[words for words, _ in SPOILT_POINTS])
def test_quarter_offset_names_the_mistake(words, fn, capsys):
    passed, line = said(capsys, check.quarter_offset, fn)
    assert passed is False
    assert words in line


# --- mirrored ------------------------------------------------------------------------------------


def mirror(points, width, *, edge=1, order=(1, 0)):
    flipped = points.clone()
    flipped[..., 0] = width - edge - points[..., 0]
    return flipped[:, list(order)]


def mirror_in_place(points, width):
    points[..., 0] = width - 1 - points[..., 0]
    return points[:, [1, 0]]


def mirror_y(points, width):
    return torch.stack([points[..., 0], width - 1 - points[..., 1]], dim=-1).flip(1)


SPOILT_MIRRORS: list[tuple[str, Callable[[Tensor, int], Tensor]]] = [
    ("returns nothing", lambda p, w: None),
    ("the eyes are not swapped: the subject", lambda p, w: mirror(p, w, order=(0, 1))),
    ("width - 1 - x\n", lambda p, w: mirror(p, w, edge=0)),
    ("x; and the eyes are not swapped", lambda p, w: mirror(p, w, edge=0, order=(0, 1))),
    ("the eyes are swapped, but no x has changed", lambda p, w: p.flip(1)),
    ("y was mirrored", mirror_y),
    ("x and y are swapped", lambda p, w: mirror(p, w).flip(2)),
    ("swap the eyes (axis 1)", lambda p, w: mirror(p, w, order=(0, 1)).flip(2)),
    ("have changed", mirror_in_place),
    ("a NaN is in the wrong place", lambda p, w: mirror(p, w).nan_to_num()),
]


def test_mirrored_accepts_a_right_answer(capsys):
    passed, line = said(capsys, check.mirrored, mirror)
    assert passed is True
    assert line == "Correct: mirrored, and the eyes have traded places\n"


@pytest.mark.parametrize(
    ("words", "fn"), SPOILT_MIRRORS, ids=[words.strip() for words, _ in SPOILT_MIRRORS]
)
def test_mirrored_names_the_mistake(words, fn, capsys):
    passed, line = said(capsys, check.mirrored, fn)
    assert passed is False
    assert words in line


# --- verdict -------------------------------------------------------------------------------------


def test_compare_passes_over_a_mistake_that_happens_to_be_right():
    compare([1.0, 2.0], torch.tensor([1.0, 2.0]), {"never said": torch.tensor([1.0, 2.0])})
    with pytest.raises(NotYet, match="a number is 1 off"):
        compare([1.0, 3.0], torch.tensor([1.0, 2.0]), {"never said": torch.tensor([1.0, 2.0])})


def test_compare_takes_gradients_and_float32():
    compare(torch.tensor([1.00001], requires_grad=True), torch.ones(1, dtype=torch.float64), {})
    with warnings.catch_warnings(), pytest.raises(NotYet, match=r"0\.001 off"):
        warnings.simplefilter("error")  # torch warns of a number taken from a gradient's graph
        compare(torch.tensor([1.001], requires_grad=True), torch.ones(1), {})


def test_an_interrupt_is_not_swallowed():
    @self_check
    def stopped() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
