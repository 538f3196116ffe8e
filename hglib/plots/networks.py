"""A network drawn to scale, from what it computes: nothing in the drawing is written by hand."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from torch import nn

from hglib.anatomy import Block, blocks
from hglib.plots.style import (
    BLUE,
    GREEN,
    GREY,
    GREYS,
    MAP,
    ORANGE,
    VERMILION,
    WIDTH,
    picture,
    styled,
)

CHANNEL = 0.11  # units of width per channel, a unit being a pixel of the picture in height
THINNEST = 1.6  # units: 1 channel must still be seen
GAP = 9.0  # units between two blocks: room for "96×96" under a thin one
MARGIN = 38.0  # units below the picture: its label and the legend


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
    scale; lines are the skips. The picture goes in on the left and its heat maps come out right.

    `image` is one picture (1, 1, H, W). Blocks, sizes and order are what hooks see while the
    network runs on it. For `LeanHourglass` and `Original2019`.
    """
    found = [block for block in blocks(model, image) if not _is_norm(model, block)]
    slabs = _place([block for block in found if not _is_branch(block)])
    maps = _finest(model, image)
    right = slabs[-1].x + slabs[-1].width + GAP
    total = right + maps.shape[-1]
    fig, ax = plt.subplots(figsize=(WIDTH, WIDTH * (slabs[0].side + MARGIN) / total))
    for index, slab in enumerate(slabs[1:], start=1):
        _draw(ax, slab, _colour(slabs, index))
    for block in filter(_is_skip, found):
        _draw_skip(ax, *_ends(block, slabs))
    _show(ax, image[0, 0].numpy(), 0.0, GREYS)
    _show(ax, maps.numpy(), right, MAP, vmin=0)
    _write(ax, slabs, right + maps.shape[-1] / 2, maps.shape)
    return fig


def _finest(model: nn.Module, image: torch.Tensor) -> torch.Tensor:
    """(h, w): the highest of the finest maps at each cell, so both eyes in one picture."""
    was_training = model.training
    maps = model.eval()(image)[-1].maps[0]  # (K, h, w)
    model.train(was_training)
    return maps.amax(dim=0)


# ---- what is drawn where --------------------------------------------------------------------


def _is_skip(block: Block) -> bool:
    return "skip" in block.name or "lateral" in block.name


def _is_branch(block: Block) -> bool:
    """Not on the way from the picture to the finest map: skips, and heads of coarse levels."""
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
    style = {"arrowstyle": "-|>", "color": VERMILION, "lw": 1.5, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", stop, start, arrowprops=style)


def _show(ax: Axes, image: np.ndarray, left: float, cmap: str, **limits: float) -> None:
    height, width = image.shape
    extent = (left, left + width, -height / 2, height / 2)
    picture(ax, image, cmap=cmap, extent=extent, **limits)


def _write(ax: Axes, slabs: list[Slab], output: float, size: torch.Size) -> None:
    """Channels under every slab, the map's side once for a run of equal ones, and the legend."""
    for slab in slabs[1:]:
        where = (slab.centre, -slab.side / 2 - 1)
        ax.text(*where, slab.channels, ha="center", va="top", size=8, color=GREY)
    for side, run in groupby(slabs[1:], key=lambda slab: slab.side):
        slabs_of_run = list(run)
        middle = (slabs_of_run[0].centre + slabs_of_run[-1].centre) / 2
        ax.text(middle, -side / 2 - 6, f"{side}×{side}", ha="center", va="top", size=8.5)
    whole = slabs[0].side
    ax.text(whole / 2, -whole / 2 - 6, f"picture\n{whole}×{whole}", ha="center", va="top", size=9)
    words = f"heat maps\n{size[-2]}×{size[-1]}"
    ax.text(output, -size[-2] / 2 - 6, words, ha="center", va="top", size=9)
    ax.set(xlim=(-1, output + size[-1] / 2 + 1), ylim=(-whole / 2 - MARGIN, whole / 2 + 1))
    ax.set_axis_off()
    handles = [Rectangle((0, 0), 1, 1, color=c) for c in (BLUE, GREEN, ORANGE)]
    handles.append(Line2D([], [], color=VERMILION))
    words = ["down: smaller maps, more channels", "waist", "up", "skip, added on the way up"]
    title = "height: side of the map; width: number of channels (grey); both to scale"
    options = {"loc": "lower center", "ncols": 4, "columnspacing": 1.2, "borderaxespad": 0}
    ax.legend(handles, words, title=title, fontsize=9, title_fontsize=9, **options)
