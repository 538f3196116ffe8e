"""What every network returns, and the checks that they share.

Axes, here and in all of hglib: B batch, K landmarks, H rows, W columns; h, w are the rows and
columns of a map whose cells are `stride` picture pixels apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

ACTIVATIONS = ("sigmoid", "linear", "softmax")


class Level(NamedTuple):
    """The scores of one supervised resolution.

    scores: (B, K, h, w), raw: a loss on logits wants them before the activation.
    stride: picture pixels from one cell to the next, so h = H / stride. Cell i lies at picture
        coordinate (i + 0.5) * stride - 0.5, pixel centres being integers.
    activation: what turns scores into maps: "sigmoid" (each cell on its own, in 0..1), "linear"
        (the scores as they are) or "softmax" (over all cells of a map, which then sum to 1).

    >>> level = Level(torch.zeros(1, 2, 6, 6), stride=16, activation="softmax")
    >>> round(float(level.maps[0, 0].sum()), 4)
    1.0

    Taught in: 03_the_hourglass
    """

    scores: torch.Tensor
    stride: int
    activation: str = "linear"

    @property
    def maps(self) -> torch.Tensor:
        """The heat maps (B, K, h, w): the scores after the activation."""
        if self.activation == "sigmoid":
            return self.scores.sigmoid()
        if self.activation == "softmax":
            return self.scores.flatten(2).softmax(dim=2).reshape(self.scores.shape)
        return self.scores


def check_choice(argument: str, value: object, choices: Sequence[object]) -> None:
    """Raise ValueError unless `value` is one of `choices`. Taught in: 03_the_hourglass"""
    if value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{argument}={value!r} is not known; choose one of {allowed}.")


def check_at_least(argument: str, value: int, least: int) -> None:
    """Raise ValueError if `value` is below `least`. Taught in: 03_the_hourglass"""
    if value < least:
        raise ValueError(f"{argument}={value} is too small; it must be at least {least}.")


def _nearest(size: int, multiple: int) -> str:
    below = size // multiple * multiple
    if size == below:
        return f"{size}"
    return f"{below} or {below + multiple}" if below else f"{multiple}"


def check_pictures(x: torch.Tensor, multiple: int, reason: str) -> None:
    """Raise ValueError unless x is (B, 1, H, W) with both sides multiples of `multiple`.

    Taught in: 03_the_hourglass
    """
    if x.ndim != 4 or x.shape[1] != 1:
        raise ValueError(
            f"pictures must be a tensor of shape (B, 1, H, W), got {tuple(x.shape)}; "
            "add the missing axes with x[:, None] or x[None, None]."
        )
    rows, columns = x.shape[2:]
    if rows == 0 or columns == 0 or rows % multiple or columns % multiple:
        raise ValueError(
            f"pictures of {rows} x {columns} (rows x columns) do not fit: both sides must be "
            f"multiples of {multiple} ({reason}). Nearest that fit: "
            f"{_nearest(rows, multiple)} rows, {_nearest(columns, multiple)} columns."
        )


def centre(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (B, 1, H, W) less their own mean, and each one's standard deviation (B, 1, 1, 1).

    `Tensor.std` updates a running mean pixel by pixel, which takes twenty times as long on a CPU.

    >>> centred, contrast = centre(torch.tensor([[[[0.0, 1.0]]]]))
    >>> centred.flatten().tolist(), contrast.item()
    ([-0.5, 0.5], 0.5)

    Taught in: 03_the_hourglass
    """
    centred = images - images.mean(dim=(2, 3), keepdim=True)  # (B, 1, H, W)
    return centred, centred.square().mean(dim=(2, 3), keepdim=True).sqrt()


class Standardise(nn.Module):
    """Each picture to mean 0 and standard deviation 1: (B, 1, H, W) to the same shape.

    Part of the network, so that nobody can forget it or do it in another way. Then a dark
    photograph and a bright one of the same face look alike to the first convolution.

    >>> Standardise()(torch.tensor([[[[0.0, 0.998]]]])).flatten().tolist()  # doctest: +ELLIPSIS
    [-0.998..., 0.998...]

    Taught in: 03_the_hourglass
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        centred, contrast = centre(x)
        return centred / (contrast + 1e-3)  # 1e-3 of full scale: a blank picture gives 0, not NaN
