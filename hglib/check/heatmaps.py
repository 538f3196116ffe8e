"""Self-checks of notebook 02: a target, the loss over pixels, a decoder.

`rendered` belongs to appendix A2."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hglib.check.verdict import NotYet, as_tensor, compare, self_check
from hglib.heatmap import (
    Peaks,
    exponential_maps,
    find_peaks,
    gaussian_maps,
    quarter_shift,
    to_image,
    to_map,
)
from hglib.hourglass import Level
from hglib.losses import pixel_cross_entropy

SIZE = (24, 32)  # (H, W): not square, so that swapped axes show
SIGMA = 1.5  # map pixels
ALPHA = 0.2  # per image pixel
POINT = torch.tensor([13.3, 9.8], dtype=torch.float64)  # (x, y): between pixels, off the diagonal


# --- Drawing -------------------------------------------------------------------------------------


@self_check
def rendered(fn: Callable[..., Tensor]) -> str:
    """Check `fn(x, y, size, stride, sigma)`: the Gaussian map of one point between pixels.

    x, y and size (H, W) in image pixels, sigma in map pixels, peak height 1; the answer is
    (H / stride, W / stride).
    """
    for stride in (1, 4, 2):
        right = gaussian_maps(POINT[None, None], SIZE, stride, SIGMA)[0, 0]
        value = fn(*POINT.tolist(), SIZE, stride, SIGMA)
        compare(value, right, _wrong_maps(right, stride))
    return "your map equals hglib's at strides 1, 2 and 4"


def _wrong_maps(right: Tensor, stride: int) -> dict[str, Tensor]:
    x, y = to_map(POINT, stride).tolist()
    rounded = to_map(POINT.round(), stride).tolist()
    squared = -2 * SIGMA**2 * right.log()  # d^2 in map pixels
    half = "off by half a pixel: in map pixels the point is at (x + 0.5) / stride - 0.5"
    return {
        "x and y are swapped: x runs along the columns, y along the rows": _bump(y, x, stride),
        "rows come first: the shape is (H / stride, W / stride)": right.T,
        half: _bump(*(POINT / stride).tolist(), stride),
        f"{half}, the last half pixel included": _bump(x + 0.5, y + 0.5, stride),
        "the point was rounded: a heat map keeps the fraction": _bump(*rounded, stride),
        "the cell was rounded: a heat map keeps the fraction": _bump(round(x), round(y), stride),
        "sigma is in map pixels: do not divide it by the stride": _bump(x, y, stride, 1 / stride),
        "sigma is in map pixels: do not multiply it by the stride": _bump(x, y, stride, stride),
        "the peak is not 1: divide neither by the sum nor by 2 pi sigma^2": right / right.sum(),
        "the peak is not 1: do not divide by the maximum, the point lies between pixels": (
            right / right.max()
        ),
        "the 2 of 2 sigma^2 is missing": right.square(),
        "square the distance": torch.exp(-squared.sqrt() / (2 * SIGMA**2)),
    }


def _bump(x: float, y: float, stride: int, widen: float = 1) -> Tensor:
    """A Gaussian straight from map coordinates (x, y)."""
    rows, columns = (torch.arange(n // stride, dtype=torch.float64) for n in SIZE)
    squared = (rows[:, None] - y).square() + (columns[None, :] - x).square()
    return torch.exp(-squared / (2 * (widen * SIGMA) ** 2))


@self_check
def exponential(fn: Callable[..., Tensor]) -> str:
    """Check `fn(x, y, size, stride, alpha)`: the exponential map of one point between pixels.

    x, y and size (H, W) in image pixels, alpha per image pixel at every stride; the answer is
    (H / stride, W / stride).
    """
    for stride in (1, 4, 2):
        right = exponential_maps(POINT[None, None], SIZE, stride, ALPHA)[0, 0]
        value = fn(*POINT.tolist(), SIZE, stride, ALPHA)
        compare(value, right, _wrong_exponentials(right, stride))
    return "your map equals hglib's at strides 1, 2 and 4"


def _wrong_exponentials(right: Tensor, stride: int) -> dict[str, Tensor]:
    x, y = POINT.tolist()
    centre = (stride - 1) / 2
    distance = -right.log() / ALPHA  # image pixels
    return {
        "x and y are swapped: x runs along the columns, y along the rows": _cone(y, x, stride),
        "rows come first: the shape is (H / stride, W / stride)": right.T,
        "off by half a pixel: cell j lies at (j + 0.5) * stride - 0.5 of the image": (
            _cone(x + centre, y + centre, stride)
        ),
        "the point was rounded: a heat map keeps the fraction": _cone(round(x), round(y), stride),
        "alpha is per image pixel: measure the distance in image pixels, not in cells": (
            right ** (1 / stride)
        ),
        "alpha is per image pixel: do not multiply it by the stride": right**stride,
        "that is a Gaussian: the distance itself, not its square": torch.exp(-ALPHA * distance**2),
        "the sign is missing: far from the point the map is dark": 1 / right,
        "take the root of dx^2 + dy^2": _cone(x, y, stride, power=1),
        "the peak is not 1: do not divide by the sum": right / right.sum(),
        "the peak is not 1: do not divide by the maximum, the point lies between pixels": (
            right / right.max()
        ),
    }


def _cone(x: float, y: float, stride: int, power: float = 2) -> Tensor:
    """An exponential straight from image coordinates (x, y); power 1: |dx| + |dy|."""
    down, across = (to_image(torch.arange(n // stride).double(), stride) for n in SIZE)
    dx, dy = (across - x).abs()[None, :] ** power, (down - y).abs()[:, None] ** power
    return torch.exp(-ALPHA * (dx + dy) ** (1 / power))


# --- The loss over pixels ------------------------------------------------------------------------


@self_check
def pixel_loss(fn: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str:
    """Check `fn(scores, target, mask)`: the mean cross-entropy over pixels of the labelled maps.

    scores, target (B, K, H, W), each target still to be scaled to sum 1; mask (B, K), 1 where the
    point is labelled.
    """
    generator = torch.Generator().manual_seed(0)
    points = torch.tensor([[[10.0, 7.5], [25.0, 9.0]], [[14.2, 8.0], [20.0, 14.0]]]).double()
    target = gaussian_maps(points, SIZE, 2)  # (2, 2, 12, 16)
    scores = torch.randn(target.shape, generator=generator, dtype=torch.float64)
    mask = torch.tensor([[1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    target[1, 0] = 7.0  # whatever stands where there is no label must not matter
    for size in (1, 300):  # a network that is sure of itself has large scores
        right = pixel_cross_entropy(Level(size * scores, 2, "softmax"), target, mask)
        value = fn(size * scores, target.clone(), mask.clone())
        if not as_tensor(value).isfinite().all():
            raise NotYet("the logarithm of a share that is 0 is no number: use log_softmax")
        compare(value, right, _wrong_losses(size * scores, target, mask))
    return "the loss over pixels, and a missing label costs nothing"


def _wrong_losses(scores: Tensor, target: Tensor, mask: Tensor) -> dict[str, Tensor]:
    share = target.flatten(2) / target.flatten(2).sum(-1, keepdim=True)  # (B, K, H * W)
    log_p = scores.flatten(2).log_softmax(-1)
    each = -(share * log_p).sum(-1)  # (B, K)
    by_row = -(share * scores.log_softmax(-1).flatten(2)).sum(-1)
    by_map = -(share * scores.log_softmax(1).flatten(2)).sum(-1)
    plain = -(target.flatten(2) * log_p).sum(-1)

    def over(values: Tensor) -> Tensor:
        return (values * mask).sum() / mask.sum()

    return {
        "the sign is missing: a logarithm of a share is negative": -over(each),
        "the target must sum to 1: divide each map by its sum": over(plain),
        "the softmax runs over ALL pixels of a map: flatten rows and columns first": over(by_row),
        "the softmax runs over the pixels of each map, not over the landmarks": over(by_map),
        "sum over the pixels, do not take their mean": over(each / share.shape[-1]),
        "that is the sum over the maps: divide by the number of labelled ones": (
            (each * mask).sum()
        ),
        "divide by the number of labelled maps, not of all": (each * mask).mean(),
        "the mask is missing: a point without a label must not count": each.mean(),
        "the logarithm is missing": -over((share * log_p.exp()).sum(-1)),
        "that is a squared error": over((share - log_p.exp()).square().sum(-1)),
        "the answer is one number for the batch, the mean over the labelled maps": each,
    }


# --- Reading -------------------------------------------------------------------------------------


@self_check
def quarter_offset(fn: Callable[[Tensor, int], Tensor]) -> str:
    """Check `fn(heat_map, stride)`: the highest cell, a quarter towards the higher neighbours.

    heat_map (H, W); the answer is (x, y) in image pixels.
    """
    stride = 4
    maps, peaks = _nine_maps(stride)
    cell, shift = torch.stack([peaks.x, peaks.y], dim=-1), quarter_shift(maps, peaks)  # (9, 1, 2)
    found = torch.stack([as_tensor(fn(one[0], stride)) for one in maps])[:, None]
    compare(found, to_image(cell + shift, stride), _wrong_points(cell, shift, stride))
    return "a quarter of a cell, towards the higher neighbour, in image pixels"


def _nine_maps(stride: int) -> tuple[Tensor, Peaks]:
    """Points a little left of, on and right of a cell's middle, and the same up and down."""
    steps = torch.tensor([-0.3, 0.0, 0.2], dtype=torch.float64)  # cells
    points = torch.cartesian_prod(5 + steps, 3 + steps)[:, None]  # (9, 1, 2)
    maps = gaussian_maps(to_image(points, stride), (32, 40), stride)  # (9, 1, 8, 10)
    return maps, find_peaks(maps)


def _wrong_points(cell: Tensor, shift: Tensor, stride: int) -> dict[str, Tensor]:
    tie = 0.25 * (shift == 0)
    ties = "where the two neighbours are equally high, add nothing"
    return {
        "x and y are swapped: x is the column": to_image(cell + shift, stride).flip(-1),
        "that is plain argmax: the quarter is missing": to_image(cell, stride),
        "the quarter goes the wrong way": to_image(cell - shift, stride),
        "off by half a pixel: back to the image is (x + 0.5) * stride - 0.5": (
            (cell + shift) * stride
        ),
        "those are map pixels: go back to image pixels": cell + shift,
        "a quarter of a cell, not of an image pixel": to_image(cell, stride) + shift,
        "that is half a cell: a quarter is wanted": to_image(cell + 2 * shift, stride),
        ties: to_image(cell + shift + tie, stride),
        f"{ties} (not even a step back)": to_image(cell + shift - tie, stride),
    }
