"""Figures of notebook 08: many landmarks, what a finer map costs, what a trick is worth.

Axes: K landmarks, H and W rows and columns of an image; h, w those of a map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from hglib.plots.style import (
    BLACK,
    BLUE,
    CYCLE,
    GREY,
    MAP,
    VERMILION,
    WIDTH,
    mark,
    show_image,
    styled,
)

MARKERS = "os^Dv"  # beside the colours, so that no line is told by its colour alone


def spoken(landmark: str) -> str:
    """A landmark's name for a figure.

    >>> spoken("mouth_center_top_lip")
    'mouth center top lip'
    """
    return landmark.replace("_", " ")


@styled
def labelled(landmarks: Sequence[str], present: ArrayLike) -> Figure:
    """The share of the faces on which each landmark is labelled, one bar each.

    `present` (N, K) bool.
    """
    share = np.asarray(present).mean(axis=0)  # (K,)
    fig, ax = plt.subplots(figsize=(0.8 * WIDTH, 3.8))
    ax.barh([spoken(name) for name in landmarks], share, color=BLUE)
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xlabel="faces on which it is labelled")
    ax.set_title("Four points are nearly always there, eleven on one face in three")
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    return fig


@styled
def ways_to_fill(
    image: ArrayLike,
    true: ArrayLike,
    found: Mapping[str, ArrayLike],
    maps: Mapping[str, ArrayLike],
    landmark: str,
) -> Figure:
    """One face, one row of two panels for each network: its points, and one landmark's map.

    `image` (H, W); `true` (K, 2), NaN where unlabelled; `found` (K, 2) and `maps` (h, w), by the
    network's name. Every point found is joined to its label.
    """
    image, true = np.asarray(image), np.asarray(true, float)
    height, width = image.shape
    columns = len(found)
    fig, axes = plt.subplots(2, columns, figsize=(0.7 * WIDTH, 1.35 * WIDTH / columns + 0.4))
    for (above, below), name in zip(axes.T, found, strict=True):
        points = np.asarray(found[name], float)
        show_image(above, image, name)
        for a, b in zip(true, points, strict=True):
            above.plot(*np.transpose([a, b]), color="white", lw=1)
        mark(above, true, size=30)
        mark(above, points, found=True, size=40)
        edges = (-0.5, width - 0.5, height - 0.5, -0.5)
        show_image(below, np.sqrt(maps[name]), f"map of the {spoken(landmark)}", MAP, extent=edges)
    return fig


@styled
def by_landmark(landmarks: Sequence[str], errors: Mapping[str, ArrayLike], title: str) -> Figure:
    """The error of each landmark, one mark for each way of training; `errors` (K,) in px."""
    fig, ax = plt.subplots(figsize=(0.8 * WIDTH, 4.6))
    names = [spoken(name) for name in landmarks]
    for (way, values), marker, colour in zip(errors.items(), MARKERS, CYCLE, strict=False):
        ax.plot(values, names, marker, color=colour, markersize=8, label=way)
    ax.invert_yaxis()
    ax.set(xscale="log", xlabel="root-mean-square error per coordinate (px), logarithmic")
    ax.set_title(title)
    ax.grid(axis="x", alpha=0.3)
    ticks = [t for t in (0.5, 1, 2, 5, 10, 20, 50) if ax.get_xlim()[0] < t < ax.get_xlim()[1]]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1.06), ncols=2, fontsize=10)
    return fig


@styled
def trade_off(
    networks: Sequence[tuple[str, float, float]], floors: Mapping[float, tuple[float, float]]
) -> Figure:
    """What a finer map costs and what it could give: two panels over the stride.

    `networks` holds (name, stride, cost in million FLOPs); `floors` the error (px) that remains on
    perfect maps of a stride, read by argmax and by a sub-pixel decoder. Strides are in pixels of
    the 96 x 96 image.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.1), sharex=True)
    for (name, stride, cost), marker, colour in zip(networks, MARKERS * 2, CYCLE, strict=False):
        left.plot(stride, cost, marker, color=colour, markersize=9, label=name)
    left.set(yscale="log", ylabel="million FLOPs for one face")
    left.set_title("What finer maps cost (logarithmic)")
    fig.legend(loc="outside lower center", ncols=3, fontsize=10)
    strides = list(floors)
    for which, (name, marker, colour) in enumerate(
        (("argmax", "s", VERMILION), ("centre of mass", "o", BLUE))
    ):
        right.plot(strides, [floors[s][which] for s in strides], f"{marker}-", color=colour)
        end = (strides[-1], floors[strides[-1]][which])
        right.annotate(name, end, (-8, 6), textcoords="offset points", ha="right", color=colour)
    right.set(ylabel="error on perfect maps (px)", ylim=(0, None))
    right.set_title("What they could give")
    for ax in (left, right):
        ax.set(xscale="log", xlabel="stride of the maps (px of the 96 x 96 image)")
        ax.set_xticks(strides, [f"{s:g}" for s in strides])
        ax.minorticks_off()
    return fig


@styled
def ratios(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """How many times as fast each way is as the first of its group; a line at 1 is "the same".

    rows: as of `hglib.experiments.speed.compare`: group, name, ratio (None
    where it could not run).
    """
    parts = [(name, list(part)) for name, part in groupby(rows, key=lambda row: row["group"])]
    heights = [len(part) + 1.2 for _, part in parts]
    shape = {"height_ratios": heights}
    size = (0.85 * WIDTH, 0.26 * sum(heights) + 0.6)
    fig, axes = plt.subplots(len(parts), 1, figsize=size, gridspec_kw=shape, sharex=True)
    for ax, (group, part) in zip(np.atleast_1d(axes), parts, strict=True):
        names = [row["name"] for row in part]
        values = [row["ratio"] if row["ratio"] is not None else np.nan for row in part]
        colours = [GREY if v == 1 else BLUE if v > 1 else VERMILION for v in values]
        ax.barh(names, values, color=colours)
        for place, value in enumerate(values):
            words = "does not run here" if np.isnan(value) else f"{value:.2f}"
            ax.text(np.nan_to_num(value) + 0.03, place, words, va="center", size=9)
        ax.axvline(1, color=BLACK, lw=1)
        ax.invert_yaxis()
        ax.set_title(group)
        ax.tick_params(labelsize=9)
    ax.set_xlabel("times as fast as the first of its group")
    fig.suptitle(title, x=0.01, ha="left")
    return fig
