"""A network drawn to scale, from what it computes: nothing in the drawing is written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import nn

from hglib.anatomy import Block, blocks
from hglib.plots.style import (
    BLUE,
    GREEN,
    GREY,
    GREYS,
    MAP,
    ORANGE,
    PURPLE,
    VERMILION,
    WIDTH,
    show_image,
    styled,
)

CHANNEL = 0.11  # units of width per channel; the image is as many units wide as it has pixels
THINNEST = 1.6  # units: 1 channel must still be seen
GAP = 12.0  # units between two blocks: room for two digits under a thin one
MAPS = 0.75  # width of the heat maps, in that of the image
LINE = 0.0225  # of the width of the figure: one line of words
DARK = "#555555"  # grey, dark enough for words
BROWN = "#8A5F00"  # orange, dark enough for words


class Slab(NamedTuple):
    """One block in the drawing. x is its left edge; side is its map's, in cells."""

    name: str
    x: float
    width: float
    side: int
    channels: int

    @property
    def centre(self) -> float:
        return self.x + self.width / 2


@styled
@torch.no_grad()
def hourglass(model: nn.Module, image: torch.Tensor) -> Figure:
    """A network as a row of slabs: the height is the map's side and the width its channels, both to
    scale; lines are the skips. The image goes in on the left and its heat maps come out right.

    `image` is one image (1, 1, H, W). Blocks, sizes and order are what hooks see while the
    network runs on it. For `LeanHourglass` and `Original2019`.
    """
    found = [block for block in blocks(model, image) if not _is_norm(model, block)]
    slabs = _place([block for block in found if not _is_branch(block)])
    maps = _finest(model, image)
    whole, highest = slabs[0].width, max(slab.side for slab in slabs[1:])
    cell = whole / highest  # units: the highest slab is as high as the image
    right = slabs[-1].x + slabs[-1].width + GAP
    total = right + MAPS * whole
    line = LINE * total
    fig, ax = plt.subplots(figsize=(WIDTH, WIDTH * (whole + 6 * line) / total))
    for index, slab in enumerate(slabs[1:], start=1):
        _draw(ax, slab, _colour(slabs, index))
    for block in filter(_is_skip, found):
        _draw_skip(ax, *_ends(block, slabs))
    _show(ax, image[0, 0].numpy(), (0.0, whole), "image", GREYS, cell)
    brightness = PowerNorm(0.5, 0, maps.max().item())  # the square root: both spots can be seen
    _show(ax, maps.numpy(), (right, total), "heat maps", MAP, cell, norm=brightness)
    _number(ax, slabs, line / cell)
    limits = (-highest / 2 - 4.5 * line / cell, highest / 2 + 1.5 * line / cell)
    ax.set(xlim=(-1, total + 1), ylim=limits)
    _explain(ax)
    return fig


def _finest(model: nn.Module, image: torch.Tensor) -> torch.Tensor:
    """(h, w): the highest of the finest maps at each cell, so both eyes in one map."""
    was_training = model.training
    maps = model.eval()(image)[-1].maps[0]  # (K, h, w)
    model.train(was_training)
    return maps.amax(dim=0)


# ---- what is drawn where --------------------------------------------------------------------


def _is_skip(block: Block) -> bool:
    return "skip" in block.name or "lateral" in block.name


def _is_branch(block: Block) -> bool:
    """Not on the way from the image to the finest map: skips, and heads of coarse levels."""
    return _is_skip(block) or "head" in block.name


def _is_norm(model: nn.Module, block: Block) -> bool:
    """BatchNorms keep the shape: they would only repeat the slab before."""
    return block.name != "input" and isinstance(
        model.get_submodule(block.name), nn.modules.batchnorm._BatchNorm
    )


def _place(row: list[Block]) -> list[Slab]:
    slabs: list[Slab] = []
    x = 0.0
    for block in row:
        channels, side = block.shape[0], block.shape[-1]
        width = float(side) if block.name == "input" else max(THINNEST, CHANNEL * channels)
        slabs.append(Slab(block.name, x, width, side, channels))
        x += width + GAP
    return slabs


def _ends(skip: Block, slabs: list[Slab]) -> tuple[Slab, Slab]:
    """The slab that a skip starts from, the last of its size on the way down, and the one that it
    is added to, the first of its shape on the way up."""
    waist = min(range(len(slabs)), key=lambda i: slabs[i].side)
    channels, side = skip.shape[0], skip.shape[-1]
    down = [slab for slab in slabs[:waist] if slab.side == side]
    up = [slab for slab in slabs[waist:] if (slab.channels, slab.side) == (channels, side)]
    return down[-1], up[0]


def _colour(slabs: list[Slab], index: int) -> str:
    """Blue on the way down, green at the waist, orange on the way up."""
    waist = min(s.side for s in slabs)
    if slabs[index].side == waist:
        return GREEN
    return BLUE if any(s.side == waist for s in slabs[index:]) else ORANGE


# ---- drawing --------------------------------------------------------------------------------


def _draw(ax: Axes, slab: Slab, colour: str) -> None:
    corner = (slab.x, -slab.side / 2)
    ax.add_patch(Rectangle(corner, slab.width, slab.side, facecolor=colour, edgecolor="white"))


def _draw_skip(ax: Axes, source: Slab, end: Slab) -> None:
    """A line through the free space over the smaller slabs, which are half as high at most."""
    height = 0.38 * source.side
    start, stop = (source.x + source.width, height), (end.x, height)
    style = {"arrowstyle": "-|>", "color": VERMILION, "lw": 3, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", stop, start, arrowprops=style)


def _show(
    ax: Axes,
    image: np.ndarray,
    sides: tuple[float, float],
    name: str,
    cmap: str,
    cell: float,
    **options: Any,
) -> None:
    """An image between two `sides`, square on the page, where a cell is `cell` units high."""
    left, right = sides
    half = (right - left) / 2 / cell
    extent = (left, right, -half, half)
    show_image(ax, image, cmap=cmap, extent=extent, aspect=cell, **options)
    words = f"{name}, {image.shape[0]}×{image.shape[1]}"
    ax.text((left + right) / 2, half + 3 / cell, words, ha="center", va="bottom")


def _number(ax: Axes, slabs: list[Slab], line: float) -> None:
    """Two rows of numbers: the channels of every slab, and the side of each run of equal maps."""
    foot = -max(slab.side for slab in slabs[1:]) / 2 - line / 5
    under = foot - 1.5 * line
    for slab in slabs[1:]:
        ax.plot([slab.centre] * 2, [-slab.side / 2, foot], color="#CCCCCC", lw=1, zorder=0)
        ax.text(slab.centre, foot - line / 5, slab.channels, ha="center", va="top", color=DARK)
    for side, run in groupby(slabs[1:], key=lambda slab: slab.side):
        first, *_, last = [*run] * 2
        left, right = first.x - GAP / 5, last.x + last.width + GAP / 5
        ax.plot([left, right], [under] * 2, color="black", lw=1.5)  # whose side the number is
        ax.text((left + right) / 2, under - line / 5, side, ha="center", va="top")
    names = slabs[1].x - GAP
    ax.text(names, foot - line / 5, "channels", ha="right", va="top", color=DARK)
    ax.text(names, under - line / 5, "side in cells", ha="right", va="top")


def _explain(ax: Axes) -> None:
    ax.set_axis_off()
    handles = [Rectangle((0, 0), 1, 1, color=c) for c in (BLUE, GREEN, ORANGE)]
    handles.append(Line2D([], [], color=VERMILION, linewidth=3))
    words = ["down: smaller maps, more channels", "waist", "up", "skip, added on the way up"]
    options = {"loc": "lower center", "ncols": 4, "columnspacing": 1.2, "borderaxespad": 0}
    ax.legend(handles, words, fontsize=11, **options)


# ---- the operations, one arrow each ---------------------------------------------------------

STEP, DROP = 1.9, 1.0  # from one resolution to the next: to the right, and down
HALF = 0.76  # of a box's width


@styled
@torch.no_grad()
def operations(model: nn.Module, image: torch.Tensor) -> Figure:
    """The hourglass of a `LeanHourglass` with a word on every arrow: what happens between two maps.

    image: (1, 1, H, W). Sides and channels are what hooks see while the network runs on it.
    """
    shapes = {block.name: block.shape for block in blocks(model, image)}
    depth = len(model.downs)
    sizes = [shapes["stem"], *(shapes[f"downs.{i}.1"] for i in range(depth))]
    middle = 2.3 + depth * STEP
    left = [(middle - (depth - i) * STEP, -i * DROP) for i in range(depth + 1)]
    right = [(2 * middle - x, y) for x, y in left]
    fig, ax = plt.subplots(figsize=(WIDTH, 5.2))
    for i, (size, a, b) in enumerate(zip(sizes[:-1], left, right, strict=False)):
        _size_box(ax, a, size, BLUE)
        _size_box(ax, (b[0] + 0.95, b[1]), size, ORANGE)
        ax.scatter(*b, 220, facecolor="white", edgecolor=VERMILION, linewidths=2, zorder=3)
        ax.text(*b, "+", ha="center", va="center", size=13, color=VERMILION, zorder=4)
        _arrow(ax, (a[0] + HALF, a[1]), (b[0] - 0.17, b[1]), VERMILION, width=4)
        ax.text(middle + 0.28, a[1] + 0.1, "skip: convolve", ha="center", size=11, color=VERMILION)
        _descend(ax, a, left[i + 1])
        _ascend(ax, right[i + 1], b, last=i == depth - 1)
    _size_box(ax, left[-1], sizes[-1], GREEN)
    waist = "waist: convolve"
    ax.text(middle, left[-1][1] - 0.36, waist, ha="center", va="top", size=11, color=GREEN)
    _ends_of(ax, left[0], right[0], tuple(image.shape[2:]), shapes["heads.0"])
    ax.set(xlim=(-0.8, 2 * middle + 0.8), ylim=(-depth * DROP - 0.65, 1.0))
    ax.set_axis_off()
    ax.set_title("Down: pool and convolve. Up: convolve, double, add what was kept")
    return fig


def _size_box(ax: Axes, centre: tuple[float, float], shape: Sequence[int], colour: str) -> None:
    """A box with the side of a map and, under it, its channels."""
    corner = (centre[0] - HALF, centre[1] - 0.3)
    ax.add_patch(Rectangle(corner, 2 * HALF, 0.6, facecolor=colour, edgecolor="white", zorder=2))
    words = f"{shape[1]}×{shape[2]}\n{shape[0]} ch."
    ax.text(
        *centre,
        words,
        ha="center",
        va="center",
        size=11,
        color="white" if colour == BLUE else "black",
        zorder=3,
    )


def _arrow(
    ax: Axes, start: tuple[float, float], stop: tuple[float, float], colour: str, width: float = 2
) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "lw": width, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", stop, start, arrowprops={**style, "mutation_scale": 8 + 3 * width})


def _descend(ax: Axes, above: tuple[float, float], below: tuple[float, float]) -> None:
    _arrow(ax, (above[0] + 0.1, above[1] - 0.3), (below[0] - HALF, below[1] + 0.1), BLUE)
    where = (above[0] + 0.3, above[1] - 0.6)
    ax.text(*where, "pool, convolve", ha="right", va="top", size=11, color=BLUE)


def _ascend(ax: Axes, below: tuple[float, float], above: tuple[float, float], last: bool) -> None:
    start = below[0] + (HALF if last else 0.95 + HALF)
    _arrow(ax, (start, below[1] + 0.1), (above[0], above[1] - 0.17), ORANGE)
    where = (above[0] + 0.42, above[1] - 0.62)
    ax.text(*where, "convolve, double", ha="left", va="top", size=11, color=BROWN)


def _ends_of(
    ax: Axes,
    first: tuple[float, float],
    last: tuple[float, float],
    size: tuple[int, int],
    maps: Sequence[int],
) -> None:
    """The image that comes in and the heat maps that go out, with the words between."""
    _arrow(ax, (first[0] - 1.5, 0), (first[0] - HALF, 0), BLUE)
    ax.text(first[0] - 2.2, 0, f"image\n{size[0]}×{size[1]}", ha="center", va="center", size=11)
    ax.text(
        first[0] - 1.0, 0.36, "convolve,\nstride 2", ha="center", va="bottom", size=11, color=BLUE
    )
    end = last[0] + 0.95 + HALF
    _arrow(ax, (end, 0), (end + 1.0, 0), ORANGE)
    ax.text(end + 0.5, 0.36, "convolve\n1×1", ha="center", va="bottom", size=11, color=BROWN)
    words = f"{maps[0]} maps\n{maps[1]}×{maps[2]}"
    ax.text(end + 1.6, 0, words, ha="center", va="center", size=11)


@styled
def unrolled(depth: int = 3, side: int = 48) -> Figure:
    """The recursion as boxes in boxes: an hourglass holds one of half the size, down to a residual.

    Raises ValueError if `side` cannot be halved `depth` times.
    """
    if depth < 1 or side % 2**depth:
        raise ValueError(f"a map of side {side} cannot be halved {depth} times")
    fig, ax = plt.subplots(figsize=(WIDTH, 3.9))
    _nest(ax, (0.0, 10.0, 0.0, 4.2), depth, side)
    ax.set(xlim=(-0.5, 10.5), ylim=(-0.05, 4.25))
    ax.set_axis_off()
    ax.set_title("An hourglass is a skip, plus an hourglass of half the size")
    return fig


def _nest(ax: Axes, box: tuple[float, float, float, float], depth: int, side: int) -> None:
    """One hourglass in `box` (left, right, bottom, top), and the next one inside it."""
    left, right, bottom, top = box
    colours = (GREEN, BLUE, ORANGE, PURPLE)
    style = {"boxstyle": "round,pad=0,rounding_size=0.12", "facecolor": "white", "linewidth": 2}
    colour = colours[depth % len(colours)]
    size = (right - left, top - bottom)
    ax.add_patch(FancyBboxPatch((left, bottom), *size, edgecolor=colour, **style))
    if depth == 0:
        where = ((left + right) / 2, (bottom + top) / 2)
        ax.text(*where, f"residual\n{side}×{side}", ha="center", va="center", size=11)
        return
    name = f"hourglass of depth {depth}, {side}×{side}"
    ax.text((left + right) / 2, top - 0.08, name, ha="center", va="top", size=11)
    skip, inner = top - 0.62, (left + 1.25, right - 1.25, bottom + 0.14, top - 0.98)
    low = inner[2] + 0.3
    _arrow(ax, (left, skip), (right - 0.42, skip), VERMILION, width=3.5)
    ax.text((left + right) / 2, skip + 0.05, "skip", ha="center", size=11, color=VERMILION)
    ax.plot([left + 0.2, left + 0.2], [skip, low], color=GREY, lw=2)
    _arrow(ax, (left + 0.19, low), (inner[0], low), GREY)
    ax.text(left + 0.7, low + 0.06, "down", ha="center", va="bottom", size=11, color=GREY)
    ax.plot([inner[1], right - 0.3], [low, low], color=GREY, lw=2)
    _arrow(ax, (right - 0.3, low), (right - 0.3, skip - 0.12), GREY)
    ax.text(right - 0.75, low + 0.06, "up", ha="center", va="bottom", size=11, color=GREY)
    ax.text(right - 0.3, skip, "+", ha="center", va="center", size=15, color=VERMILION)
    _nest(ax, inner, depth - 1, side // 2)
