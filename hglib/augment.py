"""Augmentation: an image and its points are changed together, so that few faces look like many.

Mirror, rotation, scale and shift are one affine map per image, applied to the points in closed form
and to the pixels by one `grid_sample`. Heat maps are never warped: they are rendered afterwards,
from the moved points, which keeps every sub-pixel fraction. Notebook 04_training teaches it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hglib.hourglass import centre


def check_number(
    name: str,
    value: Any,
    low: float,
    high: float,
    whole: bool = False,
    above: bool = False,
    below: bool = False,
) -> None:
    """Raise ValueError unless `value` is a number from `low` to `high`; with `above` and `below`
    not `low` or `high` itself."""
    kind = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    good = isinstance(value, kind) and not isinstance(value, bool) and low <= value <= high
    if not good or (above and value == low) or (below and value == high):
        limits = f"{'above' if above else 'from'} {low:g} {'to below' if below else 'to'} {high:g}"
        number = "a whole number" if whole else "a number"
        raise ValueError(f"{name} is {value!r}; expected {number} {limits}")


@dataclass(frozen=True)
class Augment:
    """How strongly images are changed: standard deviations, unless said otherwise."""

    # Probability. Faces are symmetric, so 0.5 would double the data for nothing, but the labels of
    # Kaggle are not: they lie up to 0.6 px to one side, by different amounts in different images,
    # and mirrored copies lie to the other. Without them the network can learn the offset.
    mirror: float = 0.0
    rotation: float = 0.15  # radians (8.6 degrees): people tilt their heads
    scale: float = 0.10  # of the logarithm: crops differ in tightness by about a tenth
    shift: float = 3.0  # pixels: eye positions in the Kaggle set have an sd of 3.0 to 3.4 px
    gamma: float = 0.3  # of the logarithm of the exponent: exposure differs from photo to photo
    light: float = 0.3  # in units of the image's contrast, one random value per third of a side
    noise: float = 0.05  # the level's mean, in units of contrast: uniform from 0 to twice this
    erase: float = 0.5  # probability of each of two rectangles: hair, hands and glasses hide things

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            check_number(f"Augment.{name}", value, 0, 1 if name in ("mirror", "erase") else 100)

    @staticmethod
    def none() -> Augment:
        """The identity: every amount is zero."""
        return Augment(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    def without(self, *parts: str) -> Augment:
        """A copy with the named amounts set to zero."""
        return replace(self, **dict.fromkeys(parts, 0.0))


def mirror_points(points: Tensor, width: int, mirror_order: Sequence[int]) -> Tensor:
    """Points (..., K, 2) in the mirrored image: x' = width - 1 - x; left and right trade places.

    mirror_order: for each landmark, the one that takes its place (`Faces.mirror_order`).

    >>> eyes = torch.tensor([[65.0, 37.0], [29.0, 38.0]])
    >>> mirror_points(eyes, width=96, mirror_order=[1, 0]).tolist()
    [[66.0, 38.0], [30.0, 37.0]]
    """
    flipped = torch.stack([width - 1 - points[..., 0], points[..., 1]], dim=-1)  # (..., K, 2)
    return flipped[..., list(mirror_order), :]


@lru_cache(maxsize=None, typed=True)
def constant(device: torch.device, *values: float) -> Tensor:
    """A tensor of these numbers, made once: a GPU's graph cannot fetch numbers, only read them."""
    return torch.tensor(values, device=device)


def check_mirror_order(mirror_order: Sequence[int], landmarks: int) -> list[int]:
    """The order as a list. Raises ValueError unless mirroring twice changes nothing."""
    order, numbers = list(mirror_order), list(range(landmarks))
    if {*order} != {*numbers} or [order[k] for k in order] != numbers:
        raise ValueError(
            f"mirror_order {tuple(order)} does not fit {landmarks} landmarks: each of 0 to "
            f"{landmarks - 1} once, in pairs, such as Faces.mirror_order; or None"
        )
    return order


def random_affine(count: int, settings: Augment, rng: torch.Generator) -> tuple[Tensor, ...]:
    """One random similarity per image: `matrix` (B, 2, 2), `shift` (B, 2) in pixels and `mirrored`
    (B,) bool, so that a point moves to `matrix @ (p - centre) + centre + shift`."""
    source = {"generator": rng, "device": rng.device}
    mirrored = torch.rand(count, **source) < settings.mirror  # (B,)
    angle = torch.randn(count, **source) * settings.rotation  # (B,) radians
    scale = torch.exp(torch.randn(count, **source) * settings.scale)  # (B,)
    shift = torch.randn(count, 2, **source) * settings.shift  # (B, 2) pixels
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    sign = 1.0 - 2.0 * mirrored  # (B,)
    rows = torch.stack([cos * sign, -sin, sin * sign, cos], dim=-1)  # (B, 4)
    return rows.view(count, 2, 2), shift, mirrored


def warp(images: Tensor, points: Tensor, matrix: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Apply the same affine maps to images (B, 1, H, W) and points (B, K, 2).

    Outside the image its edge pixels are repeated. `grid_sample` wants the inverse map in units
    where the image spans -1 to 1 from edge to edge; with `align_corners=False` the centre of pixel
    i is at (2i + 1)/W - 1."""
    H, W = images.shape[-2:]
    centre = constant(images.device, (W - 1) / 2, (H - 1) / 2)
    moved = torch.einsum("bij,bkj->bki", matrix, points - centre) + centre + shift[:, None]
    half = constant(images.device, W / 2, H / 2)
    inverse = invert(matrix)  # (B, 2, 2)
    scaled = inverse * (half[None, :] / half[:, None])  # pixels to units of half a side
    offset = -torch.einsum("bij,bj->bi", inverse, shift) / half  # (B, 2)
    theta = torch.cat([scaled, offset[..., None]], dim=-1)  # (B, 2, 3)
    grid = sampling_grid(theta, H, W)  # (B, H, W, 2)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False), moved


def invert(matrix: Tensor) -> Tensor:
    """The inverse of each (B, 2, 2). On a GPU by the formula: torch.linalg would wait for it."""
    if matrix.is_cpu:  # in the very digits of all earlier results
        return torch.linalg.inv(matrix)
    (a, b), (c, d) = (row.unbind(-1) for row in matrix.unbind(-2))  # (B,) each
    adjugate = torch.stack([d, -b, -c, a], dim=-1).view(-1, 2, 2)
    return adjugate / (a * d - b * c)[:, None, None]


def sampling_grid(theta: Tensor, height: int, width: int) -> Tensor:
    """Where each pixel comes from: theta (B, 2, 3) to (B, H, W, 2), in units of half a side.

    As `F.affine_grid(..., align_corners=False)`, in a fortieth of the time on a CPU: x and y are
    planes of their own, since a loop over rows of pixels is fast and one over pairs is not."""
    x = (2 * torch.arange(width, device=theta.device) + 1) / width - 1  # (W,)
    y = (2 * torch.arange(height, device=theta.device) + 1) / height - 1  # (H,)
    along = theta[:, :, 0, None] * x + theta[:, :, 2, None]  # (B, 2, W)
    down = theta[:, :, 1, None] * y  # (B, 2, H)
    return (along[:, :, None] + down[..., None]).permute(0, 2, 3, 1)


def relight(images: Tensor, settings: Augment, rng: torch.Generator) -> Tensor:
    """Change exposure, lighting and noise of images (B, 1, H, W); values may leave [0, 1].

    Light and noise are in units of the image's own contrast (its standard deviation), so that a dim
    image is not drowned."""
    B, _, H, W = images.shape
    source = {"generator": rng, "device": rng.device}
    exponent = torch.exp(torch.randn(B, 1, 1, 1, **source) * settings.gamma)
    images = images.clamp(min=1e-3, max=1.0) ** exponent if settings.gamma else images
    coarse = torch.randn(B, 1, 3, 3, **source) * settings.light
    light = F.interpolate(coarse, size=(H, W), mode="bilinear", align_corners=True)
    level = torch.rand(B, 1, 1, 1, **source) * 2 * settings.noise
    noise = torch.randn(B, 1, H, W, **source)
    _, contrast = centre(images)  # (B, 1, 1, 1)
    return noise.mul_(level).add_(light).mul_(contrast).add_(images)  # one array, not five


def erase(images: Tensor, probability: float, rng: torch.Generator, count: int = 2) -> Tensor:
    """Cover up to `count` random rectangles of 4 to 20 pixels a side with one random grey each.

    A network that has met hidden eyes must use the rest of the face (arXiv 1708.04896)."""
    B, _, H, W = images.shape
    source = {"generator": rng, "device": rng.device}
    mean, contrast = images.mean((2, 3)), centre(images)[1].view(B, 1)  # (B, 1) each
    images, cover = images.clone(), cover_cut if images.is_cpu else cover_all
    for _ in range(count):
        u = torch.rand(5, B, **source)
        middle, half = u[:2] * constant(rng.device, W, H)[:, None], 2 + 8 * u[2:4]  # (2, B): x, y
        grey = mean + contrast * torch.randn(B, 1, **source)
        cover(images, middle - half, middle + half, grey, u[4] < probability)
    return images


def cover_cut(images: Tensor, start: Tensor, end: Tensor, grey: Tensor, chosen: Tensor) -> None:
    """Paint rectangles of `grey` (B, 1) on the `chosen` (B,) of images (B, 1, H, W), in place, from
    `start` to `end`, x and y (2, B). One by one: a CPU then touches few pixels."""
    first = (torch.floor(start) + 1).clamp(min=0).int().tolist()
    last = torch.ceil(end).int().tolist()
    for i in chosen.nonzero().flatten().tolist():
        images[i, :, first[1][i] : last[1][i], first[0][i] : last[0][i]] = grey[i]


def cover_all(images: Tensor, start: Tensor, end: Tensor, grey: Tensor, chosen: Tensor) -> None:
    """As `cover_cut`, but every pixel is asked: a GPU does not wait to hear which are chosen."""
    y, x = (torch.arange(side, device=images.device) for side in images.shape[-2:])
    across = (start[0, :, None] < x) & (x < end[0, :, None])  # (B, W)
    down = (start[1, :, None] < y) & (y < end[1, :, None]) & chosen[:, None]  # (B, H)
    hidden = (down[:, :, None] & across[:, None])[:, None]  # (B, 1, H, W)
    images.copy_(torch.where(hidden, grey[..., None, None], images))


def hide_outside(points: Tensor, height: int, width: int) -> Tensor:
    """Points (B, K, 2) that left the image become NaN: nothing is left to see."""
    x, y = points[..., 0], points[..., 1]
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)  # NaN compares false
    return torch.where(inside[..., None], points, math.nan)


def augment(
    images: Tensor,
    points: Tensor,
    settings: Augment,
    rng: torch.Generator,
    mirror_order: Sequence[int] = (1, 0),
) -> tuple[Tensor, Tensor]:
    """A changed copy of a batch: new images, and points that still lie on the same features.

    Args:
        images: (B, 1, H, W) float in [0, 1].
        points: (B, K, 2) in pixels, NaN where missing.
        rng: the source of all randomness, on the device of the images.
        mirror_order: `Faces.mirror_order`; the default is for two eyes.
    """
    if settings == Augment.none():
        return images, points
    order = check_mirror_order(mirror_order, points.shape[1])
    matrix, shift, mirrored = random_affine(len(images), settings, rng)
    images, moved = warp(images, points, matrix, shift)
    # The matrix moved the points; the swap renames them.
    swapped = moved.index_select(1, constant(moved.device, *order))
    moved = torch.where(mirrored[:, None, None], swapped, moved)
    images = erase(relight(images, settings, rng), settings.erase, rng)
    return images, hide_outside(moved, *images.shape[-2:])
