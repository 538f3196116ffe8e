"""Hourglass networks: grey images in, one tensor of heat map scores per supervised level out.

Axes, here and in all of hglib: B batch, K landmarks, H rows, W columns; h, w are the rows and
columns of a map whose cells are `stride` image pixels apart. Notebook 03_the_hourglass teaches it.

What a network must do, so that `fit`, `predict`, `evaluate`, `export_onnx` and `checkpoint.save`
work with it, is little, and any `nn.Module` may do it; nothing needs to be registered:

- `model(images)`, images (B, 1, H, W) float in 0..1, returns a list of `Level`, at least one.
- Every level holds scores (B, K, H/stride, W/stride), all with the same K. All levels are
  supervised; the last one is decoded into points, so put the finest there.
- Each level says its activation, and may say its decoder (`Level.decoder`).
- Optional: `model.settings`, a dict of what `build` takes, from which a checkpoint rebuilds it.

`check_network` says in one sentence what is wrong. Three networks come with hglib:

- `LeanHourglass`: our default, the cheapest hourglass that finds eyes well.
- `StackedHourglass`: Newell, Yang and Deng (2016), https://arxiv.org/abs/1603.06937.
- `Original2019` (in `hglib.original2019`): the network that this course starts from.

Every layer is a module of its own, so that hooks (see `hglib.anatomy`) can watch it.
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
    """The scores of one supervised resolution.

    scores: (B, K, h, w), raw: a loss on logits wants them before the activation.
    stride: image pixels from one cell to the next, so h = H / stride. Cell i lies at image
        coordinate (i + 0.5) * stride - 0.5, pixel centres being integers.
    activation: what turns scores into maps: "sigmoid" (each cell on its own, in 0..1), "linear"
        (the scores as they are) or "softmax" (over all cells of a map, which then sum to 1).

    decoder: how its maps are read, a method of `hglib.heatmap.decode`; by default the centre of
        mass for softmax maps and a quarter of a cell for others, which may have a background.

    >>> level = Level(torch.zeros(1, 2, 6, 6), stride=16, activation="softmax")
    >>> round(float(level.maps[0, 0].sum()), 4)
    1.0
    """

    scores: torch.Tensor
    stride: int
    activation: str = "linear"
    decoder: str | None = None

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

        The confidence is the mass around the peak for softmax maps, which sum to 1, and the peak's
        height for others.

        Args:
            method: another decoder than the level's own. window, check: as in `heatmap.decode`.
            maps: other maps of this level, such as the mean over two views.

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
    """Raise ValueError, which says what is wrong, unless a network's output is as it must be.

    Args:
        levels: what the network returned for `images` (B, 1, H, W).
        landmarks: the number of maps wanted; None takes any, the same at all levels.

    >>> x = torch.zeros(1, 1, 96, 96)
    >>> check_network([Level(torch.zeros(1, 2, 24, 24), stride=2)], x)
    Traceback (most recent call last):
    ValueError: level 0: scores are (1, 2, 24, 24), expected (1, 2, 48, 48): 96 x 96 at stride 2
    """
    if isinstance(levels, Level) or not isinstance(levels, list | tuple):
        kind = type(levels).__name__
        raise ValueError(f"the network returned a {kind}; it must return a list of Level")
    if not levels:
        raise ValueError("the network returned no level; it must return at least one")
    for number, level in enumerate(levels):
        landmarks = _check_level(f"level {number}", level, images, landmarks)


def _check_level(name: str, level: Level, images: torch.Tensor, landmarks: int | None) -> int:
    if not isinstance(level, Level):
        raise ValueError(f"{name} is a {type(level).__name__}; the network must return Levels")
    scores, stride = level.scores, level.stride
    if not (isinstance(scores, torch.Tensor) and scores.ndim == 4 and scores.is_floating_point()):
        got = tuple(getattr(scores, "shape", ())), getattr(scores, "dtype", type(scores).__name__)
        raise ValueError(f"{name}: scores are {got[0]} {got[1]}, expected float (B, K, h, w)")
    if isinstance(stride, bool) or not isinstance(stride, int) or stride < 1:
        raise ValueError(f"{name}: stride is {stride!r}; it must be a whole number, 1 or more")
    check_choice(f"{name}: activation", level.activation, ACTIVATIONS)
    check_choice(f"{name}: decoder", level.decoder, (None, *SHIFTS))
    landmarks = scores.shape[1] if landmarks is None else landmarks
    count, _, rows, columns = images.shape
    wanted = (count, landmarks, rows / stride, columns / stride)
    if tuple(scores.shape) != wanted or not landmarks:
        text = ", ".join(f"{n:g}" for n in wanted)
        raise ValueError(
            f"{name}: scores are {tuple(scores.shape)}, expected ({text}): "
            f"{rows} x {columns} at stride {stride}"
        )
    if not scores.detach().flatten(2).amax(dim=-1).isfinite().all():
        raise ValueError(f"{name}: scores are not finite (do the weights hold NaN?)")
    return landmarks


def check_choice(argument: str, value: object, choices: Sequence[object]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{argument}={value!r} is not known; choose one of {allowed}.")


def check_at_least(argument: str, value: int, least: int) -> None:
    """Raise ValueError if `value` is below `least`."""
    if value < least:
        raise ValueError(f"{argument}={value} is too small; it must be at least {least}.")


def _nearest(size: int, multiple: int) -> str:
    below = size // multiple * multiple
    if size == below:
        return f"{size}"
    return f"{below} or {below + multiple}" if below else f"{multiple}"


def check_images(x: torch.Tensor, multiple: int, reason: str) -> None:
    """Raise ValueError unless x is (B, 1, H, W) with both sides multiples of `multiple`."""
    if x.ndim != 4 or x.shape[1] != 1:
        raise ValueError(
            f"images must be a tensor of shape (B, 1, H, W), got {tuple(x.shape)}; "
            "add the missing axes with x[:, None] or x[None, None]."
        )
    rows, columns = x.shape[2:]
    if rows == 0 or columns == 0 or rows % multiple or columns % multiple:
        raise ValueError(
            f"images of {rows} x {columns} (rows x columns) do not fit: both sides must be "
            f"multiples of {multiple} ({reason}). Nearest that fit: "
            f"{_nearest(rows, multiple)} rows, {_nearest(columns, multiple)} columns."
        )


def centre(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (B, 1, H, W) less their own mean, and each one's standard deviation (B, 1, 1, 1).

    `Tensor.std` updates a running mean pixel by pixel, which takes twenty times as long on a CPU.

    >>> centred, contrast = centre(torch.tensor([[[[0.0, 1.0]]]]))
    >>> centred.flatten().tolist(), contrast.item()
    ([-0.5, 0.5], 0.5)
    """
    centred = images - images.mean(dim=(2, 3), keepdim=True)  # (B, 1, H, W)
    return centred, centred.square().mean(dim=(2, 3), keepdim=True).sqrt()


class Standardise(nn.Module):
    """Each image to mean 0 and standard deviation 1: (B, 1, H, W) to the same shape.

    Part of the network, so that nobody can forget it or do it in another way. Then a dark
    photograph and a bright one of the same face look alike to the first convolution.

    >>> Standardise()(torch.tensor([[[[0.0, 0.998]]]])).flatten().tolist()  # doctest: +ELLIPSIS
    [-0.998..., 0.998...]
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        centred, contrast = centre(x)
        return centred / (contrast + 1e-3)  # 1e-3 of full scale: a blank image gives 0, not NaN


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
    reads 256x256 images (in colour; ours are grey).

    landmarks: K, the number of maps; two eyes by default.
    stacks: how many hourglasses; 2 are enough to see what stacking does.
    depth: halvings in each; 4 takes 48x48 maps to a waist of 3x3. 0 leaves no hourglass at all.
    width: channels, a multiple of 8; 64 rather than 256, for a computer without a GPU.
    stem_stride: 2 by default, which suits small images; 4 as in the paper. At stride 4 an image
        of 96x96 gives 24x24 maps, which allow a depth of 3 at most.
    stem_kernel: 8 by default, because a kernel of even size lies symmetrically about the cells of
        its stride-2 output, so that a mirrored image can give exactly mirrored maps. The paper's
        7 sees half a pixel further to one side than to the other.
    activation: "linear" as in the paper, or "sigmoid", "softmax".

    Raises ValueError for options out of range, and in `forward` for sides that are not multiples
    of stem_stride * 2^depth.

    >>> first, last = StackedHourglass(width=16)(torch.zeros(2, 1, 96, 96))
    >>> tuple(last.scores.shape), last.stride
    ((2, 2, 48, 48), 2)
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


# ----------------------------------------------------------------------------------------------
# Our default
# ----------------------------------------------------------------------------------------------


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

    No bottlenecks, few channels where the map is large and many where it is small, so that no
    resolution costs much more than another. On the way up each step convolves, doubles the map and
    adds the skip; the next step convolves the sum. Output for x (B, 1, H, W): one `Level` of stride
    2, after coarser ones where `coarse_levels` asks for them.

    landmarks: K, the number of maps; two eyes by default.
    widths: channels at each resolution from 48x48 down; five take 96x96 images to a 3x3 waist,
        whose cells see the whole face.
    coarse_levels: give every resolution above the waist a head and a target of its own.
    activation: "softmax" by default, since cross-entropy over the pixels of a map trains fastest;
        or "linear", "sigmoid".

    Raises ValueError for options out of range, and in `forward` for sides that are not multiples
    of 2^len(widths).

    >>> (level,) = LeanHourglass()(torch.zeros(1, 1, 96, 96))
    >>> tuple(level.scores.shape), level.stride, level.activation
    ((1, 2, 48, 48), 2, 'softmax')
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
        check_images(x, 2**halvings, f"2^{halvings}: one halving for each of the widths")
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
        scores = self.heads[index](x)  # (B, K, h, w)
        return [*levels, Level(scores, 2 ** (index + 1), self.activation, self.decoder)]


# ----------------------------------------------------------------------------------------------
# By name
# ----------------------------------------------------------------------------------------------

NETWORKS = ("lean", "original", "stacked")


def network_class(name: str) -> type[nn.Module]:
    """The class of the network with this name. Raises ValueError for an unknown one."""
    from hglib.original2019 import Original2019  # here, since it is made of what stands above

    check_choice("name", name, NETWORKS)
    return dict(zip(NETWORKS, (LeanHourglass, Original2019, StackedHourglass), strict=True))[name]


def build(name: str = "lean", **options: Any) -> nn.Module:
    """A new network with random weights: "lean" (our default), "original" or "stacked".

    Called as in `checkpoint.load_model`, the result knows how it was made: `model.settings`.

    options: passed to the network's class, e.g. `landmarks=15`.
    Raises ValueError for an unknown name, TypeError for an option the network does not have.
    The weights come from torch's global generator: call `torch.manual_seed` first.

    >>> model = build("stacked", stacks=1, width=16)
    >>> len(model(torch.zeros(1, 1, 96, 96)))
    1
    """
    model = network_class(name)(**options)
    model.settings = {"name": name, **options}  # a checkpoint keeps these, to rebuild the network
    return model
