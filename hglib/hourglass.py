"""Hourglass networks: grey pictures in, one tensor of heat map scores per supervised level out.

Axes as in `hglib.level`: B batch, K landmarks, H rows, W columns; h, w for the cells of a map.

Three networks share one form. `forward(x)`, with x (B, 1, H, W) in 0..1, returns a list of
`Level`; the last level is the one that is decoded into points, the others are supervised only.

- `Original2019` (in `hglib.original2019`): the network that this course starts from.
- `StackedHourglass`: Newell, Yang and Deng (2016), https://arxiv.org/abs/1603.06937.
- `LeanHourglass`: our default, the cheapest hourglass that finds eyes well.

Every layer is a module of its own, so that hooks (see `hglib.anatomy`) can watch it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from hglib.level import (
    ACTIVATIONS,
    Level,
    Standardise,
    check_at_least,
    check_choice,
    check_pictures,
)
from hglib.original2019 import Original2019

# ----------------------------------------------------------------------------------------------
# The stacked hourglass of the paper
# ----------------------------------------------------------------------------------------------


def _normalised_conv(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    """The paper's order: BatchNorm and ReLU come before the convolution."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    return [nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), conv]


class Residual(nn.Module):
    """The paper's bottleneck, normalisation first: (B, inputs, h, w) -> (B, outputs, h, w).

    BatchNorm, ReLU and convolution three times, 1x1 to half the width, 3x3, 1x1 back, added to
    the input. A 1x1 projection carries the input when the widths differ.
    Source: https://arxiv.org/abs/1603.06937, section 3.2 and figure 4.

    Taught in: 03_the_hourglass
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = outputs // 2
        self.body = nn.Sequential(
            *_normalised_conv(inputs, middle, kernel=1),
            *_normalised_conv(middle, middle, kernel=3),
            *_normalised_conv(middle, outputs, kernel=1),
        )
        self.project = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.project(x) + self.body(x)  # (B, outputs, h, w)


class Hourglass(nn.Module):
    """One hourglass: halve the map, do the same again one level deeper, double it, add the skip.

    depth: halvings, at least 1. Shape in = shape out, (B, width, h, w), with h and w multiples
    of 2^depth. Source: https://arxiv.org/abs/1603.06937, section 3.1 and figure 3.

    >>> Hourglass(depth=3, width=8)(torch.zeros(1, 8, 24, 24)).shape
    torch.Size([1, 8, 24, 24])

    Taught in: 03_the_hourglass
    """

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.skip = Residual(width, width)
        self.down = nn.Sequential(nn.MaxPool2d(2), Residual(width, width))
        self.inner = Hourglass(depth - 1, width) if depth > 1 else Residual(width, width)
        self.up = nn.Sequential(Residual(width, width), nn.Upsample(scale_factor=2, mode="nearest"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.skip(x) + self.up(self.inner(self.down(x)))  # (B, width, h, w)


def _paper_stem(width: int, stride: int, kernel: int) -> nn.Sequential:
    """(B, 1, H, W) -> (B, width, H/stride, W/stride); at stride 2 without the paper's pool."""
    return nn.Sequential(
        nn.Conv2d(1, width // 4, kernel, stride=2, padding=3),
        nn.BatchNorm2d(width // 4),
        nn.ReLU(inplace=True),
        Residual(width // 4, width // 2),
        nn.MaxPool2d(2) if stride == 4 else nn.Identity(),
        Residual(width // 2, width // 2),
        Residual(width // 2, width),
    )


class StackedHourglass(nn.Module):
    """Hourglasses in a row, each supervised, each fed with what the one before it predicted.

    Between two hourglasses the features and the predictions go through a 1x1 convolution each and
    are added to the hourglass's input. Output: one `Level` per stack, all at `stem_stride`.
    Source: https://arxiv.org/abs/1603.06937, section 3. The paper's own size is
    `StackedHourglass(landmarks=16, stacks=8, width=256, stem_stride=4, stem_kernel=7)`, which
    reads 256x256 pictures (in colour; ours are grey).

    landmarks: K, the number of maps; two eyes by default.
    stacks: how many hourglasses; 2 are enough to see what stacking does.
    depth: halvings in each; 4 takes 48x48 maps to a waist of 3x3. 0 leaves no hourglass at all.
    width: channels, a multiple of 8; 64 rather than 256, for a computer without a GPU.
    stem_stride: 2 by default, which suits small pictures; 4 as in the paper. At stride 4 a picture
        of 96x96 gives 24x24 maps, which allow a depth of 3 at most.
    stem_kernel: 8 by default, because a kernel of even size lies symmetrically about the cells of
        its stride-2 output, so that a mirrored picture can give exactly mirrored maps. The paper's
        7 sees half a pixel further to one side than to the other.
    activation: "linear" as in the paper, or "sigmoid", "softmax".

    Raises ValueError for options out of range, and in `forward` for sides that are not multiples
    of stem_stride * 2^depth.

    >>> first, last = StackedHourglass(width=16)(torch.zeros(2, 1, 96, 96))
    >>> tuple(last.scores.shape), last.stride
    ((2, 2, 48, 48), 2)

    Taught in: 03_the_hourglass
    """

    decoder = "quarter"  # the paper's: a quarter of a cell towards the higher neighbour

    def __init__(
        self,
        landmarks: int = 2,
        stacks: int = 2,
        depth: int = 4,
        width: int = 64,
        stem_stride: int = 2,
        stem_kernel: int = 8,
        activation: str = "linear",
    ) -> None:
        super().__init__()
        check_at_least("landmarks", landmarks, 1)
        check_at_least("stacks", stacks, 1)
        check_at_least("depth", depth, 0)
        check_choice("stem_stride", stem_stride, (2, 4))
        check_choice("stem_kernel", stem_kernel, (7, 8))
        check_choice("activation", activation, ACTIVATIONS)
        if width < 8 or width % 8:
            raise ValueError(
                f"width={width} must be a positive multiple of 8: it is halved thrice."
            )
        self.depth, self.stride, self.activation = depth, stem_stride, activation
        self.standardise = Standardise()
        self.stem = _paper_stem(width, stem_stride, stem_kernel)
        self.bodies = nn.ModuleList(_stack_body(depth, width) for _ in range(stacks))
        self.heads = nn.ModuleList(nn.Conv2d(width, landmarks, 1) for _ in range(stacks))
        between = range(stacks - 1)  # nothing follows the last stack
        self.from_features = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in between)
        self.from_scores = nn.ModuleList(nn.Conv2d(landmarks, width, 1) for _ in between)

    def forward(self, x: torch.Tensor) -> list[Level]:
        """x (B, 1, H, W) -> one Level of (B, K, H/stride, W/stride) per stack."""
        reason = f"stem_stride {self.stride} x 2^depth with depth {self.depth}"
        check_pictures(x, self.stride * 2**self.depth, reason)
        x = self.stem(self.standardise(x))  # (B, width, h, w)
        levels: list[Level] = []
        for index, (body, head) in enumerate(zip(self.bodies, self.heads, strict=True)):
            features = body(x)  # (B, width, h, w)
            scores = head(features)  # (B, K, h, w)
            levels.append(Level(scores, self.stride, self.activation))
            if index < len(self.from_scores):
                x = x + self.from_features[index](features) + self.from_scores[index](scores)
        return levels


def _stack_body(depth: int, width: int) -> nn.Sequential:
    """(B, width, h, w) -> the same shape: an hourglass, a residual, a 1x1 conv-BN-ReLU."""
    return nn.Sequential(
        Hourglass(depth, width) if depth else Residual(width, width),
        Residual(width, width),
        nn.Conv2d(width, width, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


# ----------------------------------------------------------------------------------------------
# Our default
# ----------------------------------------------------------------------------------------------


class ConvBlock(nn.Sequential):
    """Convolution, BatchNorm, ReLU: (B, inputs, h, w) -> (B, outputs, h/stride, w/stride).

    Taught in: 03_the_hourglass
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        padding = (kernel - 1) // 2  # keeps the size at stride 1, halves it at stride 2
        super().__init__(
            # no bias: the BatchNorm that follows would subtract it again
            nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class LeanHourglass(nn.Module):
    """A small hourglass of plain 3x3 convolutions that learns in a minute or two.

    No bottlenecks, few channels where the map is large and many where it is small, so that no
    resolution costs much more than another. On the way up each step convolves, doubles the map and
    adds the skip; the next step convolves the sum. Output for x (B, 1, H, W): one `Level` of stride
    2, after coarser ones where `coarse_levels` asks for them.

    landmarks: K, the number of maps; two eyes by default.
    widths: channels at each resolution from 48x48 down; five take 96x96 pictures to a 3x3 waist,
        whose cells see the whole face.
    coarse_levels: give every resolution above the waist a head and a target of its own.
    activation: "softmax" by default, since cross-entropy over the pixels of a map trains fastest;
        or "linear", "sigmoid".

    Raises ValueError for options out of range, and in `forward` for sides that are not multiples
    of 2^len(widths).

    >>> (level,) = LeanHourglass()(torch.zeros(1, 1, 96, 96))
    >>> tuple(level.scores.shape), level.stride, level.activation
    ((1, 2, 48, 48), 2, 'softmax')

    Taught in: 03_the_hourglass
    """

    decoder = "soft"  # the centre of mass around the peak: steady, and sub-pixel

    def __init__(
        self,
        landmarks: int = 2,
        widths: Sequence[int] = (16, 32, 64, 96, 128),
        coarse_levels: bool = False,
        activation: str = "softmax",
    ) -> None:
        super().__init__()
        check_at_least("landmarks", landmarks, 1)
        check_at_least("len(widths)", len(widths), 1)
        for index, width in enumerate(widths):
            check_at_least(f"widths[{index}]", width, 1)
        check_choice("activation", activation, ACTIVATIONS)
        self.activation = activation
        self.standardise = Standardise()
        # An even kernel keeps the half-size grid symmetric: mirrored in, mirrored out.
        self.stem = ConvBlock(1, widths[0], kernel=4, stride=2)
        steps = list(pairwise(widths))  # (finer, coarser) channels
        self.skips = nn.ModuleList(ConvBlock(fine, fine) for fine, _ in steps)
        self.downs = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), ConvBlock(fine, coarse)) for fine, coarse in steps
        )
        self.waist = ConvBlock(widths[-1], widths[-1])
        self.ups = nn.ModuleList(
            nn.Sequential(ConvBlock(coarse, fine), nn.Upsample(scale_factor=2, mode="nearest"))
            for fine, coarse in steps
        )
        heads = widths if coarse_levels else widths[:1]
        self.heads = nn.ModuleList(nn.Conv2d(width, landmarks, kernel_size=1) for width in heads)

    def forward(self, x: torch.Tensor) -> list[Level]:
        """x (B, 1, H, W) -> levels from coarse to fine, the last (B, K, H/2, W/2)."""
        halvings = 1 + len(self.downs)
        check_pictures(x, 2**halvings, f"2^{halvings}: one halving for each of the widths")
        x = self.stem(self.standardise(x))  # (B, widths[0], H/2, W/2)
        kept: list[torch.Tensor] = []
        for skip, down in zip(self.skips, self.downs, strict=True):
            kept.append(skip(x))  # (B, widths[i], h, w)
            x = down(x)  # (B, widths[i + 1], h/2, w/2)
        x = self.waist(x)
        levels = self._read([], len(self.ups), x)
        for index in reversed(range(len(self.ups))):
            x = self.ups[index](x) + kept.pop()  # (B, widths[index], h, w)
            levels = self._read(levels, index, x)
        return levels

    def _read(self, levels: list[Level], index: int, x: torch.Tensor) -> list[Level]:
        """Add the level at resolution `index` (0 the finest), if it has a head."""
        if index >= len(self.heads):
            return levels
        return [*levels, Level(self.heads[index](x), 2 ** (index + 1), self.activation)]


# ----------------------------------------------------------------------------------------------
# By name
# ----------------------------------------------------------------------------------------------

NETWORKS: dict[str, type[nn.Module]] = {
    "lean": LeanHourglass,
    "original": Original2019,
    "stacked": StackedHourglass,
}


def build(name: str = "lean", **options: Any) -> nn.Module:
    """A new network with random weights: "lean" (our default), "original" or "stacked".

    Called as in `checkpoint.load_model`, the result knows how it was made: `model.settings`.

    options: passed to the network's class, e.g. `landmarks=15`.
    Raises ValueError for an unknown name, TypeError for an option the network does not have.
    The weights come from torch's global generator: call `torch.manual_seed` first.

    >>> model = build("stacked", stacks=1, width=16)
    >>> len(model(torch.zeros(1, 1, 96, 96)))
    1

    Taught in: 03_the_hourglass
    """
    check_choice("name", name, tuple(NETWORKS))
    model = NETWORKS[name](**options)
    model.settings = {"name": name, **options}  # a checkpoint keeps these, to rebuild the network
    return model
