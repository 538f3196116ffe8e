"""Networks that only the ablation needs: our default with switches, 2019 on the way to it, and two
kinds without a waist.

Each answers "what is this part worth?" by leaving it out or doing it in another way. Axes: B
batch, K landmarks, H rows, W columns; h, w for the cells of a map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from hglib.hourglass import Level, Standardise, check_at_least, check_choice, check_images
from hglib.original2019 import Original2019

NORMS: dict[str, Callable[[int], nn.Module]] = {  # of so many channels
    "batch": nn.BatchNorm2d,
    "group": lambda channels: nn.GroupNorm(8, channels),  # 2 channels each at our narrowest
    "none": lambda channels: nn.Identity(),
}
CHOICES: dict[str, Sequence[object]] = {
    "skips": ("sum", "concat", "none"),
    "up": ("nearest", "bilinear", "transposed", "shuffle"),
    "supervised": ("highest", "lowest", "all"),  # beside the finest, which is the one that is read
    "norm": tuple(NORMS),
    "stem_stride": (2, 1),  # 1: maps at the image's own resolution
}


def conv_block(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    dilation: int = 1,
    norm: str = "batch",
) -> nn.Sequential:
    """Convolution, normalisation, ReLU: (B, inputs, h, w) -> (B, outputs, h/stride, w/stride).

    Without a norm the convolution has a bias and He's initialisation.
    """
    padding = dilation * (kernel - 1) // 2
    plain = norm == "none"
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=plain)
    if plain:
        nn.init.kaiming_normal_(conv.weight)
        nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, NORMS[norm](outputs), nn.ReLU(inplace=True))


def up_block(inputs: int, outputs: int, up: str, norm: str) -> nn.Sequential:
    """One step up: (B, inputs, h, w) -> (B, outputs, 2h, 2w), none of which moves the content.

    "nearest" repeats cells and "bilinear" blends them, after a convolution; "shuffle" lets the
    convolution make four values for each cell (arXiv 1609.05158); "transposed" is a transposed
    convolution whose even kernel covers every output cell equally often.
    """
    if up == "transposed":
        grow = nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1, bias=False)
        return nn.Sequential(grow, NORMS[norm](outputs), nn.ReLU(inplace=True))
    if up == "shuffle":
        return nn.Sequential(conv_block(inputs, 4 * outputs, norm=norm), nn.PixelShuffle(2))
    grown = nn.Upsample(scale_factor=2, mode=up)
    return nn.Sequential(conv_block(inputs, outputs, norm=norm), grown)


class SwitchedHourglass(nn.Module):
    """`LeanHourglass` with a switch for each part; as it is by default, it is that network.

    widths: channels at each resolution, finest first. skips: how a map kept on the way down joins
    the one from below. up: see `up_block`. supervised: which resolutions have a target.
    """

    decoder, activation = "soft", "softmax"

    def __init__(
        self,
        landmarks: int = 2,
        widths: Sequence[int] = (16, 32, 64, 96, 128),
        skips: str = "sum",
        up: str = "nearest",
        supervised: str = "highest",
        norm: str = "batch",
        standardise: bool = True,
        stem_stride: int = 2,
    ) -> None:
        super().__init__()
        given = (skips, up, supervised, norm, stem_stride)
        for (name, allowed), value in zip(CHOICES.items(), given, strict=True):
            check_choice(name, value, allowed)
        self.joining, self.stride = skips, stem_stride
        self.standardise = Standardise() if standardise else nn.Identity()
        kernel = 4 if stem_stride == 2 else 3  # symmetric about the cells of its output
        self.stem = conv_block(1, widths[0], kernel, stem_stride, norm=norm)
        steps = list(pairwise(widths))  # (finer, coarser) channels
        kept = steps if skips != "none" else []
        self.skips = nn.ModuleList(conv_block(fine, fine, norm=norm) for fine, _ in kept)
        self.downs = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), conv_block(fine, coarse, norm=norm))
            for fine, coarse in steps
        )
        self.waist = conv_block(widths[-1], widths[-1], norm=norm)
        # What a joined map holds: twice the channels where two are laid side by side.
        joined = [2 * w if skips == "concat" else w for w in widths[:-1]] + [widths[-1]]
        self.ups = nn.ModuleList(
            up_block(inputs, fine, up, norm)
            for inputs, (fine, _) in zip(joined[1:], steps, strict=True)
        )
        last = len(widths) - 1
        wanted = {"highest": {0}, "lowest": {0, last}, "all": set(range(last + 1))}[supervised]
        self.heads = nn.ModuleDict(
            {str(i): nn.Conv2d(joined[i], landmarks, kernel_size=1) for i in sorted(wanted)}
        )

    def forward(self, x: torch.Tensor) -> list[Level]:
        """x (B, 1, H, W) -> levels from coarse to fine, the last of stride `stem_stride`."""
        multiple = self.stride * 2 ** len(self.downs)
        check_images(x, multiple, "the strides of the stem and of all pools, multiplied")
        x = self.stem(self.standardise(x))  # (B, widths[0], h, w)
        kept: list[torch.Tensor] = []
        for index, down in enumerate(self.downs):
            kept.append(self.skips[index](x) if self.skips else x)
            x = down(x)  # (B, widths[index + 1], h/2, w/2)
        x = self.waist(x)
        levels = self._read([], len(self.ups), x)
        for index in reversed(range(len(self.ups))):
            x, skip = self.ups[index](x), kept.pop()  # (B, widths[index], h, w) each
            if self.joining != "none":
                x = x + skip if self.joining == "sum" else torch.cat([x, skip], dim=1)
            levels = self._read(levels, index, x)
        return levels

    def _read(self, levels: list[Level], index: int, x: torch.Tensor) -> list[Level]:
        if str(index) not in self.heads:
            return levels
        scores = self.heads[str(index)](x)  # (B, K, h, w)
        return [*levels, Level(scores, self.stride * 2**index, self.activation)]


class Repaired2019(Original2019):
    """The normalised network of 2019, one more change on the way to our default.

    up: "bare", its own way up without the LeakyReLU on its scores; or "nearest", ours: a 3x3
    convolution, BatchNorm, ReLU and a plain doubling, the scores a convolution alone.
    """

    def __init__(self, landmarks: int = 2, up: str = "nearest", **options: Any) -> None:
        super().__init__(landmarks, **options)
        check_choice("up", up, ("bare", "nearest"))
        self.up1.activation = nn.Identity()
        if up == "nearest":
            self.up4, self.up3, self.up2 = (
                up_block(inputs, outputs, up, "batch")
                for inputs, outputs in ((32, 32), (32, 16), (16, 8))
            )
            scores = nn.Conv2d(8, landmarks, kernel_size=3, padding=1, bias=False)
            self.up1 = nn.Sequential(scores, nn.Upsample(scale_factor=2, mode=up))


class PlainNetwork(nn.Module):
    """A row of 3x3 convolutions at one resolution: no waist, no skips."""

    decoder, activation = "soft", "softmax"

    def __init__(
        self, landmarks: int = 2, layers: int = 12, width: int = 12, dilations: Sequence[int] = (1,)
    ) -> None:
        super().__init__()
        check_at_least("layers", layers, 1)
        self.standardise = Standardise()
        self.stem = conv_block(1, width, kernel=4, stride=2)
        spacing = [dilations[i % len(dilations)] for i in range(layers)]
        self.body = nn.Sequential(*(conv_block(width, width, dilation=d) for d in spacing))
        self.head = nn.Conv2d(width, landmarks, kernel_size=1)

    def forward(self, x: torch.Tensor) -> list[Level]:
        """x (B, 1, H, W) -> one Level of (B, K, H/2, W/2)."""
        check_images(x, 2, "the stem halves them")
        scores = self.head(self.body(self.stem(self.standardise(x))))  # (B, K, H/2, W/2)
        return [Level(scores, 2, self.activation)]


class PointRegression(nn.Module):
    """A way down without a way up: the waist's features become coordinates in two linear layers.

    Its output is dressed as scores -d^2 / (2 sigma^2), d in cells of 2 px from the computed point.
    Cross-entropy against a Gaussian target of the same sigma is then plain least squares.
    """

    decoder, activation = "soft", "softmax"

    def __init__(
        self,
        landmarks: int = 2,
        widths: Sequence[int] = (16, 32, 64, 96, 128),
        hidden: int = 128,
        sigma: float = 0.6,
        size: int = 96,
    ) -> None:
        super().__init__()
        self.sigma, self.size, self.landmarks = sigma, size, landmarks
        self.standardise = Standardise()
        first = conv_block(1, widths[0], kernel=4, stride=2)
        self.stem = nn.Sequential(first, conv_block(widths[0], widths[0]))
        steps = [(nn.MaxPool2d(2), conv_block(a, b), conv_block(b, b)) for a, b in pairwise(widths)]
        self.downs = nn.Sequential(*(nn.Sequential(*step) for step in steps))
        side = size // 2 ** len(widths)
        self.hidden = nn.Linear(widths[-1] * side * side, hidden)
        self.out = nn.Linear(hidden, 2 * landmarks)

    def forward(self, x: torch.Tensor) -> list[Level]:
        """x (B, 1, H, W) -> one Level of (B, K, H/2, W/2), a hill around each computed point."""
        if x.shape[2:] != (self.size, self.size):
            given = tuple(x.shape[2:])
            raise ValueError(f"images are {given}; this network was made for size={self.size}")
        features = self.downs(self.stem(self.standardise(x)))  # (B, widths[-1], side, side)
        hidden = self.hidden(features.flatten(1)).relu()
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 would round to 1/8 of a cell
            cells = self.size / 2  # offsets from the middle, in halves of the map
            points = (self.out(hidden.float()) + 1) * (cells / 2) - 0.5  # (B, 2K)
            points = points.view(-1, self.landmarks, 2, 1)  # (B, K, 2, 1)
            axis = torch.arange(int(cells), device=x.device)
            dx, dy = ((axis - points) ** 2).unbind(dim=2)  # (B, K, w) and (B, K, h)
            scores = -(dy[..., :, None] + dx[..., None, :]) / (2 * self.sigma**2)
        return [Level(scores, 2, self.activation)]


VARIANTS: dict[str, type[nn.Module]] = {"switched": SwitchedHourglass, "plain": PlainNetwork}
VARIANTS |= {"regression": PointRegression, "repaired": Repaired2019}
