"""Figures of the insides of a network: what it sees, what it passes on, where it goes astray.

Axes: H rows, W columns of an image; h, w of a map whose cells are `stride` pixels apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from hglib.plots.faces import cross, key
from hglib.plots.style import (
    BLUE,
    EYES,
    GREY,
    MAP,
    VERMILION,
    WIDTH,
    YELLOW,
    mark,
    show_image,
    styled,
)

EDGE = [withStroke(linewidth=4, foreground="black")]  # so that yellow shows on light skin


def _array(values: Any) -> np.ndarray:
    """A tensor or array as float64."""
    return np.asarray(values.detach() if hasattr(values, "detach") else values, np.float64)


def _show_map(ax: Axes, values: Any, size: tuple[int, int], title: str = "", **limits: Any) -> None:
    """A map (h, w) stretched over the image (H, W) that it belongs to."""
    height, width = size
    edges = (-0.5, width - 0.5, height - 0.5, -0.5)
    show_image(ax, _array(values), title, **{"cmap": MAP, "extent": edges, **limits})


# ---- near and far -----------------------------------------------------------------------------


@styled
def windows(image: Any, points: Any, sizes: Sequence[int]) -> Figure:
    """What lies around each of two points: one row per point, one column per window size.

    image (H, W) uint8; points (2, 2), (x, y) in pixels; sizes in pixels, odd. Parts of a window
    that lie outside the image are black.
    """
    height = 2 * WIDTH / len(sizes) + 0.7
    fig, axes = plt.subplots(2, len(sizes), figsize=(WIDTH, height), squeeze=False)
    largest = max(sizes) // 2 + 1
    padded = np.pad(np.asarray(image), largest)
    for row, (point, name) in enumerate(zip(np.asarray(points), "AB", strict=True)):
        x, y = np.rint(point).astype(int) + largest
        for ax, size in zip(axes[row], sizes, strict=True):
            half = size // 2
            window = padded[y - half : y + half + 1, x - half : x + half + 1]
            show_image(ax, window, f"{size} x {size} px" if row == 0 else "")
        axes[row, 0].set_ylabel(f"eye {name}")
    fig.suptitle("Small windows of the two eyes look alike; large ones tell them apart")
    return fig


@styled
def where_matches_fall(sizes: Sequence[int], right: Any, other: Any) -> Figure:
    """Bars: where the best match of a window fell, for each window size.

    right, other: shares (0..1) on the eye that was looked for and on the other one; the rest fell
    elsewhere.
    """
    right, other = _array(right), _array(other)
    fig, ax = plt.subplots(figsize=(WIDTH * 0.75, 3.0))
    names = [f"{size} px" for size in sizes]
    parts = [("the right place", right, BLUE, ""), ("the other eye", other, VERMILION, "//")]
    parts.append(("elsewhere", 1 - right - other, "#DDDDDD", ".."))
    bottom = np.zeros(len(sizes))
    for label, share, colour, hatch in parts:
        share = 100 * share
        ax.bar(names, share, 0.6, bottom, color=colour, hatch=hatch, label=label, ec="white")
        bottom += share
    ax.set(ylabel="share of the faces (%)", xlabel="side of the window")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    ax.set_title("No one size of window does: small ones are fooled, large ones too rigid")
    return fig


# ---- maps -------------------------------------------------------------------------------------


@styled
def map_rows(rows: Mapping[str, Sequence[Any]], columns: Sequence[str], title: str) -> Figure:
    """A table of maps: one row per name, one column per title; every map in its own grey range.

    rows: name -> maps (h, w), of any sizes.
    """
    shape = (WIDTH, WIDTH / len(columns) * len(rows) + 0.6)
    fig, axes = plt.subplots(len(rows), len(columns), figsize=shape, squeeze=False)
    for row, (name, maps) in enumerate(rows.items()):
        for ax, values, head in zip(axes[row], maps, columns, strict=True):
            values = _array(values)
            size = " x ".join(map(str, values.shape))
            show_image(ax, values, head if row == 0 else "")
            ax.set_xlabel(size)
        axes[row, 0].set_ylabel(name)
    fig.suptitle(title)
    return fig


@styled
def targets_at_every_level(
    image: Any, points: Any, maps: Sequence[Any], strides: Sequence[int]
) -> Figure:
    """A face with its points, then the target of each level laid out at the face's size.

    image (H, W) uint8; points (K, 2) in pixels; maps (K, h, w), one per stride, of which the
    largest over K is shown.
    """
    size = np.asarray(image).shape
    rows = -(-(1 + len(maps)) // 3)
    fig, grid = plt.subplots(rows, 3, figsize=(WIDTH, 3.3 * rows + 0.3), squeeze=False)
    axes = grid.flat
    for spare in axes[1 + len(maps) :]:
        spare.remove()
    show_image(axes[0], image, "the face")
    mark(axes[0], points, size=50)
    for ax, level, stride in zip(axes[1 : 1 + len(maps)], maps, strides, strict=True):
        values = _array(level).max(axis=0)  # (h, w)
        _show_map(ax, values, size, f"stride {stride}", vmin=0, vmax=1)
        ax.set_xlabel(f"{values.shape[0]} x {values.shape[1]} cells")
    fig.suptitle(
        "One target at every resolution, both eyes in one image: roughly where, then exactly"
    )
    return fig


@styled
def answers(image: Any, points: Any, given: Mapping[str, tuple[Any, Any]], title: str) -> Figure:
    """A face with its true points, then one panel of maps for each of some answers.

    image (H, W) uint8; points (K, 2) in pixels; given: name -> (maps (K, h, w), of which the
    largest over K is shown, and the points (K, 2) read from them, drawn as crosses, with a line to
    the true one). The maps are drawn as square roots, and all above a third of the peak alike, so
    that faint spots can be seen.
    """
    size = np.asarray(image).shape
    count = 1 + len(given)
    fig, axes = plt.subplots(1, count, figsize=(WIDTH, WIDTH / count + 0.9))
    show_image(axes[0], image, "the face")
    mark(axes[0], points, size=300)
    for ax, (name, (maps, found)) in zip(axes[1:], given.items(), strict=True):
        root = np.sqrt(_array(maps).max(axis=0))  # (h, w)
        _show_map(ax, root, size, name, vmin=0, vmax=0.6 * root.max())
        for true, answer in zip(_array(points), _array(found), strict=True):
            way = {"color": YELLOW, "lw": 1.2, "path_effects": EDGE, "zorder": 0.5}
            ax.plot(*zip(true, answer, strict=True), **way)  # whose answer it is
        mark(ax, points, size=300)  # wide: the spot and the cross inside must be seen
        cross(ax, found, size=150)
        ax.set(xlim=(-0.5, size[1] - 0.5), ylim=(size[0] - 0.5, -0.5))
    fig.suptitle(title)
    key(fig)
    return fig


# ---- what goes astray -------------------------------------------------------------------------


@styled
def shifted_spots(image: Any, spots: Mapping[str, Any], true: tuple[float, float]) -> Figure:
    """One spot after the way up, painted on a face, once for each way of going up.

    spots: name -> map (H, W); a ring marks `true`, (x, y) in pixels, where each should be, a cross
    where its centre of mass is.
    """
    fig, axes = plt.subplots(1, len(spots), figsize=(3 * len(spots), 3.3), squeeze=False)
    for ax, (name, spot) in zip(axes[0], spots.items(), strict=True):
        values = _array(spot)
        show_image(ax, image, name)
        faded = np.ma.masked_less(values / values.max(), 0.05)
        ax.imshow(faded, cmap=MAP, alpha=0.6, vmin=0, vmax=1)
        rows, columns = np.indices(values.shape)
        found = [(values * axis).sum() / values.sum() for axis in (columns, rows)]
        ax.scatter(*true, 140, marker="o", facecolors="none", edgecolors=YELLOW, linewidths=3)
        ax.scatter(*found, 90, marker="+", c=EYES[1], linewidths=3)
    fig.suptitle("Ring: where the cell of the waist lies. Cross: where its spot arrives")
    return fig


@styled
def signals(layers: Sequence[str], strengths: Mapping[str, Any]) -> Figure:
    """How much of the image is left after each layer, one line per kind of initialisation.

    strengths: name -> one standard deviation per layer; the axis is logarithmic.
    """
    fig, ax = plt.subplots(figsize=(WIDTH * 0.75, 3.4))
    for (name, values), marker in zip(strengths.items(), "osD^v", strict=False):
        ax.plot(layers, _array(values), marker=marker, label=name)
    ax.set_yscale("log")
    ax.set(ylabel="standard deviation\nbetween images", xlabel="layer")
    ax.tick_params(axis="x", rotation=30)
    ax.grid(axis="y", color=GREY, alpha=0.3)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    ax.set_title("Before training, all images look the same to the 2019 network")
    return fig


# ---- what an output pixel can see -------------------------------------------------------------


def paint_seen(ax: Axes, image: Any, seen: Any, pixel: tuple[float, float], title: str) -> None:
    """Darken and redden what is not seen from `pixel`, (x, y), marked by a square.

    image (H, W) uint8; seen (H, W) bool, as `hglib.anatomy.receptive_field` gives it.
    """
    show_image(ax, image, title)
    seen = np.asarray(seen, bool)  # (H, W)
    veil = np.zeros((*seen.shape, 4))  # (H, W, RGBA)
    veil[...] = (0.35, 0.13, 0.0, 0.75)
    veil[seen, 3] = 0
    ax.imshow(veil)
    style = {"marker": "s", "facecolors": "none", "path_effects": EDGE}
    ax.scatter(*pixel, 220, edgecolors=YELLOW, linewidths=2.5, **style)
    if not seen.all():  # its edge, for dark hair
        ax.contour(seen, [0.5], colors=YELLOW, linewidths=2, linestyles="--")


@styled
def receptive_fields(
    image: Any, seen: Mapping[str, tuple[Any, tuple[float, float]]], points: Any
) -> Figure:
    """Receptive fields painted on a face, one panel each, with the true points as rings.

    seen: title -> (field (H, W) bool, (x, y) of the output pixel in image pixels).
    """
    fig, axes = plt.subplots(1, len(seen), figsize=(WIDTH, WIDTH / len(seen) + 0.6), squeeze=False)
    for ax, (title, (field, pixel)) in zip(axes[0], seen.items(), strict=True):
        paint_seen(ax, image, field, pixel, title)
        mark(ax, points, size=60)
    square = Line2D([], [], ls="", marker="s", ms=11, mfc="none", mec=YELLOW, mew=2.5)
    square.set_path_effects(EDGE)
    veiled = Line2D([], [], ls="", marker="s", ms=13, color="#5A2B12")
    key(fig, ("one output pixel", square), ("what it cannot see", veiled), found=False)
    return fig
