"""Figures about heat maps: targets on a face, cuts through peaks, grids, decoders' errors.

Maps and points come as tensors or arrays; points are (x, y) in image pixels, errors in px.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from hglib.plots.faces import cross
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

MARKERS = "osD^vP*"  # one per line of a plot, beside its colour
SMALLEST = 1e-3  # px; an error below this is drawn there, since a log axis has no zero


@styled
def maps_on_face(image: Any, maps: Any, points: Any, titles: Sequence[str]) -> Figure:
    """A face with its points, then each of its maps laid over it.

    `image` (H, W), `maps` (K, h, w) of any stride, `points` (K, 2); `titles` are K + 1, the face's
    first.
    """
    height, width = np.shape(image)
    fig, axes = _row(len(titles))
    for number, (ax, title) in enumerate(zip(axes, titles, strict=True)):
        show_image(ax, image, title)
        if number == 0:
            mark(ax, points)
        else:
            _overlay(ax, maps[number - 1], (-0.5, width - 0.5, height - 0.5, -0.5))
    return fig


def _row(count: int) -> tuple[Figure, np.ndarray]:
    """Square panels in a row as wide as a notebook; one or two are no larger than three."""
    side = WIDTH / max(count, 3)
    fig, axes = plt.subplots(1, count, figsize=(side * count, side + 0.4), squeeze=False)
    return fig, axes[0]


def _overlay(ax: Axes, heat_map: Any, extent: tuple[float, ...]) -> None:
    """A map over an image, the more opaque the hotter; always on the scale 0 to 1."""
    values = np.asarray(heat_map, float)
    opacity = 0.25 + 0.75 * values.clip(0, 1) ** 0.5
    ax.imshow(values, cmap=MAP, vmin=0, vmax=1, extent=extent, alpha=opacity)


@styled
def cuts(distance: Any, curves: Mapping[str, Any], title: str) -> Figure:
    """Heights along a line through the point: one curve per target.

    `distance` (n,) px from the point, each curve (n,).
    """
    fig, ax = plt.subplots(figsize=(WIDTH * 0.75, 3.4))
    _lines(ax, distance, curves, markevery=max(1, len(distance) // 12))
    ax.set(xlabel="distance from the point (image px)", ylabel="height", title=title)
    ax.legend()
    return fig


def _lines(ax: Axes, x: Any, curves: Mapping[str, Any], markevery: int = 1) -> None:
    for number, (name, y) in enumerate(curves.items()):
        marker, colour = MARKERS[number % len(MARKERS)], CYCLE[number % len(CYCLE)]
        style = {"marker": marker, "color": colour, "markersize": 5, "markevery": markevery}
        ax.plot(np.asarray(x), np.asarray(y), label=name, **style)


@styled
def ruler(pixels: int, stride: int) -> Figure:
    """A row of image pixels above the row of map cells that cover it, with their middles.

    Each cell names its own number and the image coordinate of its middle.
    """
    fig, ax = plt.subplots(figsize=(WIDTH, 1.9))
    for x in range(pixels):
        ax.add_patch(Rectangle((x - 0.5, 1), 1, 0.8, facecolor="white", edgecolor=GREY))
        ax.text(x, 1.4, str(x), ha="center", va="center", fontsize=9)
    for cell in range(pixels // stride):
        left, middle = cell * stride - 0.5, (cell + 0.5) * stride - 0.5
        ax.add_patch(Rectangle((left, 0), stride, 0.8, facecolor="#DDEAF3", edgecolor=BLUE))
        ax.text(middle, 0.25, f"cell {cell}", ha="center", va="center", fontsize=9)
        ax.plot(middle, 0.62, "o", color=VERMILION)
        ax.text(middle + 0.2, 0.62, f"{middle:g}", va="center", fontsize=9, color=VERMILION)
    ax.set(xlim=(-0.7, pixels - 0.3), ylim=(-0.1, 1.9), yticks=[], xticks=[])
    ax.spines[:].set_visible(False)
    ax.set_title(f"Image pixels and cells of stride {stride}: the dot is a cell's middle")
    return fig


@styled
def error_clouds(errors: Mapping[str, Any], radius: float) -> Figure:
    """Found minus true, one panel per way of decoding, with a circle of what may pass.

    Each entry is (N, 2) in px; `radius` in px.
    """
    count = len(errors)
    fig, axes = plt.subplots(1, count, figsize=(WIDTH, WIDTH / count + 0.5), squeeze=False)
    reach = max(radius, *(np.abs(np.asarray(cloud)).max() for cloud in errors.values())) * 1.05
    for ax, (name, cloud) in zip(axes[0], errors.items(), strict=True):
        x, y = np.asarray(cloud).T
        ax.scatter(x, y, 4, color=BLUE, label="found minus true")
        ax.scatter(x.mean(), y.mean(), 90, marker="X", color=VERMILION, ec="white", label="mean")
        ax.add_patch(Circle((0, 0), radius, fill=False, ls="--", ec=BLACK, label="may pass"))
        ax.axhline(0, color=GREY, lw=0.8)
        ax.axvline(0, color=GREY, lw=0.8)
        ax.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal", title=name)
        ax.set(xlabel="error in x (px)", ylabel="error in y (px)")
    axes[0, 0].legend(loc="lower right", fontsize=9, frameon=True)
    return fig


@styled
def straightened(distance: Any, targets: Mapping[str, Any]) -> Figure:
    """h, ln h and -(ln h)^2 of the same targets: where is each of them a parabola?

    `distance` (n,) px, each target (n,) of heights in (0, 1].
    """
    views = {
        "h": lambda h: h,
        "ln h": np.log,
        "-(ln h)²": lambda h: -(np.log(h) ** 2),
    }
    fig, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.2))
    for ax, (name, view) in zip(axes, views.items(), strict=True):
        curves = {target: view(np.asarray(h)) for target, h in targets.items()}
        _lines(ax, distance, curves, markevery=max(1, len(distance) // 10))
        ax.set(title=name, xlabel="distance (px)")
    axes[0].legend(fontsize=9)
    return fig


@styled
def decoder_errors(errors: Mapping[str, Mapping[str, float]], floor: float) -> Figure:
    """Mean error of every decoder (rows) on every target (markers), on a logarithmic axis.

    `errors[target][decoder]` in px; `floor` is argmax's, drawn as a line. What is below 0.001 px
    is drawn at 0.001.
    """
    fig, ax = plt.subplots(figsize=(WIDTH * 0.85, 3.2))
    for number, (target, row) in enumerate(errors.items()):
        x = [max(value, SMALLEST) for value in row.values()]
        y = np.arange(len(row)) + 0.12 * (number - (len(errors) - 1) / 2)
        ax.scatter(x, y, 60, marker=MARKERS[number], color=CYCLE[number], label=target)
    ax.axvline(floor, ls="--", color=GREY, lw=1.2)
    ax.text(floor * 1.06, -0.62, "argmax floor", color=GREY, fontsize=9)
    ax.set(xscale="log", xlim=(SMALLEST * 0.8, 1), ylim=(len(row) - 0.5, -0.8))
    ax.set_yticks(range(len(row)), list(row))
    ax.set(xlabel="mean error (px; 0.001 means 0.001 or less)")
    ax.set_title("Each decoder is exact on its own target")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return fig


@styled
def noise_lines(noise: Any, panels: Mapping[str, Mapping[str, Any]], floor: float) -> Figure:
    """Mean error against the noise on the map: a panel per kind of noise, a line per decoder.

    `noise` (n,) as a share of the peak's height, each line `panels[kind][decoder]` (n,) px.
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.4), sharey=True, squeeze=False)
    for ax, (name, errors) in zip(axes[0], panels.items(), strict=True):
        _lines(ax, noise, errors)
        ax.axhline(floor, ls="--", color=GREY, lw=1.2)
        ax.set(xlabel="noise (sd, peak = 1)", ylim=(0, None), title=name)
    axes[0, 0].set_ylabel("mean error (px)")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return fig


@styled
def cells(panels: Mapping[str, Any], middle: tuple[int, int], reach: int = 3) -> Figure:
    """The same few cells of several maps, enlarged, with their values, in a row.

    `panels[title]` (H, W), each on a scale from 0 to its own highest value; `middle` (column, row)
    of the cell in the centre, `reach` cells to every side.
    """
    fig, axes = _row(len(panels))
    column, row = middle
    for ax, (title, values) in zip(axes, panels.items(), strict=True):
        values = np.asarray(values)
        show_image(ax, values, title, MAP, vmin=0, vmax=values.max())
        ax.set(xlim=(column - reach - 0.5, column + reach + 0.5))
        ax.set(ylim=(row + reach + 0.5, row - reach - 0.5))
        for i in range(max(0, row - reach), min(len(values), row + reach + 1)):
            for j in range(max(0, column - reach), min(values.shape[1], column + reach + 1)):
                colour = BLACK if values[i, j] > 0.6 * values.max() else "white"
                words = f"{values[i, j]:.2f}".lstrip("0") if values[i, j] < 1 else "1.00"
                ax.text(j, i, words, ha="center", va="center", color=colour, size=9)
    return fig


@styled
def found_on_maps(maps: Any, true: Any, found: Any, titles: Sequence[str]) -> Figure:
    """Maps in a row, each with the true point (circle) and the one found in it (cross).

    `maps` (N, H, W), each drawn on its own scale from 0; `true` and `found` (N, 2) in cells.
    """
    fig, axes = _row(len(titles))
    for ax, heat_map, a, b, title in zip(axes, maps, true, found, titles, strict=True):
        values = np.asarray(heat_map)
        show_image(ax, values, title, MAP, vmin=0, vmax=values.max())
        mark(ax, [np.asarray(a)])
        cross(ax, [np.asarray(b)])
    return fig


@styled
def pyramids(image: Any, points: Any, rows: Mapping[str, Sequence[Any]]) -> Figure:
    """A face and its maps at every resolution, one row per way of making them.

    `image` (H, W), `points` (K, 2); each row is a list of maps (h, w) from fine to coarse. A
    title gives a map's size and its mean.
    """
    count = max(len(levels) for levels in rows.values())
    side = WIDTH / (count + 1.6)
    fig = plt.figure(figsize=(WIDTH, (side + 0.55) * len(rows)))
    grid = fig.add_gridspec(len(rows), count + 1, width_ratios=[1.6, *[1] * count])
    face = fig.add_subplot(grid[:, 0])  # one face for all rows, so that it can be large
    show_image(face, image, "The face")
    mark(face, points)
    for number, (name, levels) in enumerate(rows.items()):
        for place, level in enumerate(levels):
            values = np.asarray(level)
            height, width = values.shape
            ax = fig.add_subplot(grid[number, place + 1])
            title = f"{height} × {width}\nmean {values.mean():.3f}"
            show_image(ax, values, title, MAP, vmin=0, vmax=1)
            if place == 0:
                ax.set_ylabel(name)
    return fig
