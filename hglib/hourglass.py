"""Hourglass networks: grey images in, one tensor of heat map scores per supervised level out.

`fit`, `predict`, `evaluate`, `export_onnx` and `checkpoint.save` take any `nn.Module` whose
`model(images)`, images (B, 1, H, W) float in 0..1, returns a list of `Level` with the same K, the
finest last: that one is decoded. `model.settings`, what `build` takes, is optional: a checkpoint
rebuilds from it. `check_network` says what is wrong. Axes: B batch, K landmarks, H rows, W columns;
h, w those of a map. Every layer is a module, for hooks. Notebook 03_the_hourglass teaches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import nn

from hglib.heatmap import SHIFTS, Decoded, decode

ACTIVATIONS = ("sigmoid", "linear", "softmax")


class Level(NamedTuple):
    """The scores of one supervised resolution, and how they become points."""

    scores: torch.Tensor  # (B, K, h, w), raw: a loss on logits wants them before the activation
    stride: int  # image pixels per cell, h = H / stride; cell i: image (i + 0.5) * stride - 0.5
    activation: str = "linear"  # "sigmoid" of each cell, or "softmax" over the cells of each map
    decoder: str | None = None  # of `decode`; None: "soft" for softmax, "quarter" for others

    @property
    def maps(self) -> torch.Tensor:
        """The heat maps (B, K, h, w): the scores after the activation."""
        if self.activation == "sigmoid":
            return self.scores.sigmoid()
        if self.activation == "softmax":
            return self.scores.flatten(2).softmax(dim=2).reshape(self.scores.shape)
        return self.scores

    def decode(
        self,
        method: str | None = None,
        maps: torch.Tensor | None = None,
        window: int = 7,
        check: bool = True,
    ) -> Decoded:
        """The points (B, K, 2) in image pixels, and a confidence (B, K) for each.

        `method` is another decoder than the level's own; `maps` are other maps of this level, such
        as the mean over two views. Confidence: the mass around the peak for softmax maps, which sum
        to 1, the peak's height for others.

        >>> Level(torch.eye(6)[None, None], stride=16).decode().points.tolist()
        [[[7.5, 7.5]]]
        """
        soft = self.activation == "softmax"
        method = method or self.decoder or ("soft" if soft else "quarter")
        confidence = "mass" if soft else "peak"
        maps = self.maps if maps is None else maps
        return decode(maps, method, self.stride, window, confidence=confidence, check=check)


def check_network(
    levels: Sequence[Level], images: torch.Tensor, landmarks: int | None = None
) -> None:
    """Raise ValueError unless a network's levels fit the images (B, 1, H, W) it was given.

    `landmarks` is the number of maps wanted; None takes any, the same at all levels.

    >>> check_network([Level(torch.zeros(1, 2, 24, 24), stride=2)], torch.zeros(1, 1, 96, 96))
    Traceback (most recent call last):
    ValueError: level 0: scores are (1, 2, 24, 24), expected (1, 2, 48, 48): 96 x 96 at stride 2
    """
    if isinstance(levels, Level) or not isinstance(levels, list | tuple) or not levels:
        kind = type(levels).__name__
        raise ValueError(f"the network returned a {kind}; expected a list of Level, not empty")
    for number, level in enumerate(levels):
        landmarks = _check_level(f"level {number}", level, images, landmarks)


def _check_level(name: str, level: Level, images: torch.Tensor, landmarks: int | None) -> int:
    if not isinstance(level, Level):
        raise ValueError(f"{name} is a {type(level).__name__}; expected a Level")
    scores, stride = level.scores, level.stride
    if not (isinstance(scores, torch.Tensor) and scores.ndim == 4 and scores.is_floating_point()):
        got = tuple(getattr(scores, "shape", ())), getattr(scores, "dtype", type(scores).__name__)
        raise ValueError(f"{name}: scores are {got[0]} {got[1]}, expected float (B, K, h, w)")
    if type(stride) is not int or stride < 1:
        raise ValueError(f"{name}: stride is {stride!r}; it must be a whole number, 1 or more")
    check_choice(f"{name}: activation", level.activation, ACTIVATIONS)
    check_choice(f"{name}: decoder", level.decoder, (None, *SHIFTS))
    landmarks = scores.shape[1] if landmarks is None else landmarks
    count, _, rows, columns = images.shape
    wanted = (count, landmarks, rows / stride, columns / stride)
    if tuple(scores.shape) != wanted or not landmarks:
        text = "({}, {}, {:g}, {:g})".format(*wanted) + f": {rows} x {columns} at stride {stride}"
        raise ValueError(f"{name}: scores are {tuple(scores.shape)}, expected {text}")
    if not scores.detach().flatten(2).amax(dim=-1).isfinite().all():
        raise ValueError(f"{name}: scores are not finite (do the weights hold NaN?)")
    return landmarks


def check_choice(argument: str, value: object, choices: Sequence[object]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{argument}={value!r} is not known; choose one of {allowed}")


def check_at_least(argument: str, value: int, least: int) -> None:
    """Raise ValueError if `value` is below `least`."""
    if value < least:
        raise ValueError(f"{argument}={value} is too small; it must be at least {least}")


def check_images(x: torch.Tensor, multiple: int, reason: str) -> None:
    """Raise ValueError unless x is (B, 1, H, W) with both sides multiples of `multiple`."""
    if x.ndim != 4 or x.shape[1] != 1:
        raise ValueError(
            f"images have shape {tuple(x.shape)}; expected (B, 1, H, W), as x[:, None]"
        )
    if any(side == 0 or side % multiple for side in x.shape[2:]):
        wanted = f"both sides must be multiples of {multiple} ({reason})"
        raise ValueError(f"images of {x.shape[2]} x {x.shape[3]} do not fit: {wanted}")


def centre(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (B, 1, H, W) less their own mean, and each one's standard deviation (B, 1, 1, 1).

    `Tensor.std` updates a running mean pixel by pixel, which takes twenty times as long on a CPU.
    """
    centred = images - images.mean(dim=(2, 3), keepdim=True)  # (B, 1, H, W)
    return centred, centred.square().mean(dim=(2, 3), keepdim=True).sqrt()


class Standardise(nn.Module):
    """Each image (B, 1, H, W) to mean 0, standard deviation 1: dark and bright look alike."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        centred, contrast = centre(x)
        return centred / (contrast + 1e-3)  # 1e-3 of full scale: a blank image gives 0, not NaN


def _normalised_conv(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    """The paper's order: BatchNorm and ReLU come before the convolution."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    return [nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), conv]


class Residual(nn.Module):
    """The paper's bottleneck, normalisation first: (B, inputs, h, w) -> (B, outputs, h, w).

    A 1x1 projection carries the input when the widths differ.
    Source: https://arxiv.org/abs/1603.06937, section 3.2 and figure 4.
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

    Shape in = shape out, (B, width, h, w), with h and w multiples of 2^depth, depth at least 1.
    Source: https://arxiv.org/abs/1603.06937, section 3.1 and figure 3.
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

    Between two, features and predictions go through a 1x1 convolution each and are added to the
    input. Raises ValueError for options out of range, and in `forward` for sides that are not
    multiples of stem_stride * 2^depth.

    Source: https://arxiv.org/abs/1603.06937, section 3. The paper's own size is
    `StackedHourglass(landmarks=16, stacks=8, width=256, stem_stride=4, stem_kernel=7)`, on 256x256.
    """

    decoder = "quarter"  # the paper's: a quarter of a cell towards the higher neighbour

    def __init__(
        self,
        landmarks: int = 2,
        stacks: int = 2,
        depth: int = 4,  # halvings in each: 48x48 maps to a waist of 3x3; 0: no hourglass at all
        width: int = 64,  # channels, a multiple of 8; not 256, for a computer without a GPU
        stem_stride: int = 2,  # suits small images; 4 in the paper
        stem_kernel: int = 8,  # symmetric about its output cells, which the paper's 7 is not
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
            raise ValueError(f"width={width} must be a positive multiple of 8: it is halved thrice")
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
        check_images(x, self.stride * 2**self.depth, reason)
        x = self.stem(self.standardise(x))  # (B, width, h, w)
        levels: list[Level] = []
        for index, (body, head) in enumerate(zip(self.bodies, self.heads, strict=True)):
            features = body(x)  # (B, width, h, w)
            scores = head(features)  # (B, K, h, w)
            levels.append(Level(scores, self.stride, self.activation, self.decoder))
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


class ConvBlock(nn.Sequential):
    """Convolution, BatchNorm, ReLU: (B, inputs, h, w) -> (B, outputs, h/stride, w/stride)."""

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

    Few channels where the map is large, many where it is small: no resolution costs much more than
    another. On the way up each step convolves, doubles the map and adds the skip. Raises ValueError
    for options out of range, and in `forward` for sides that are not multiples of 2^len(widths).

    >>> (level,) = LeanHourglass()(torch.zeros(1, 1, 96, 96))
    >>> tuple(level.scores.shape), level.stride, level.activation
    ((1, 2, 48, 48), 2, 'softmax')
    """

    decoder = "soft"  # the centre of mass around the peak: steady, and sub-pixel

    def __init__(
        self,
        landmarks: int = 2,
        widths: Sequence[int] = (16, 32, 64, 96, 128),  # channels from 48x48 to the 3x3 waist
        coarse_levels: bool = False,  # a head, and so a target, at every resolution
        activation: str = "softmax",  # trains fastest, by cross-entropy over the pixels of a map
    ) -> None:
        super().__init__()
        check_at_least("landmarks", landmarks, 1)
        check_at_least("len(widths)", len(widths), 1)
        check_at_least("min(widths)", min(widths), 1)
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
        check_images(x, 2**halvings, f"2^{halvings}: one halving for each of the widths")
        x = self.stem(self.standardise(x))  # (B, widths[0], H/2, W/2)
        kept: list[torch.Tensor] = []
        for skip, down in zip(self.skips, self.downs, strict=True):
            kept.append(skip(x))  # (B, widths[i], h, w)
            x = down(x)  # (B, widths[i + 1], h/2, w/2)
        features = [self.waist(x)]
        for up, skip in zip(reversed(self.ups), reversed(kept), strict=True):
            features.append(up(features[-1]) + skip)  # (B, widths[i], h, w), coarse to fine
        read = zip(self.heads, reversed(features), strict=False)  # finest first, as many as heads
        scores = [head(x) for head, x in read]  # (B, K, h, w) each
        levels = [Level(s, 2**i, self.activation, self.decoder) for i, s in enumerate(scores, 1)]
        return levels[::-1]


def build(name: str = "lean", **options: Any) -> nn.Module:
    """A new network by name, its weights from torch's global generator; `settings` holds the call.

    Raises ValueError for an unknown name, TypeError for an option the network does not have.

    >>> len(build("stacked", stacks=1, width=16)(torch.zeros(1, 1, 96, 96)))
    1
    """
    from hglib.original2019 import Original2019  # here, since it is made of what stands above

    known = {"lean": LeanHourglass, "original": Original2019, "stacked": StackedHourglass}
    check_choice("name", name, tuple(known))
    model = known[name](**options)
    model.settings = {"name": name, **options}  # a checkpoint keeps these, to rebuild the network
    return model
