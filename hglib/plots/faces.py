"""Faces with their points, the heat maps that belong to them, and a photograph.

Axes: N faces, K landmarks, H rows, W columns. Points are (x, y) in the pixels of the image that
they are drawn on. True points are circles in the colour of their eye, found ones yellow crosses.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from hglib.plots.style import BLACK, EYES, GREEN, MAP, WIDTH, YELLOW, mark, show_image, styled

SIDES = ("the subject's left eye", "the subject's right eye")  # eye 0 and eye 1


def cross(ax: Axes, points: ArrayLike, size: float = 80) -> None:
    """Found points (K, 2) as yellow crosses: no circle of a true point has their colour or shape.

    NaN points are left out."""
    x, y = np.asarray(points, float).reshape(-1, 2).T
    ax.scatter(x, y, size, marker="+", c="black", linewidths=4)  # an edge, for light skin
    ax.scatter(x, y, size * 0.8, marker="+", c=YELLOW, linewidths=2)


def key(fig: Figure, *others: tuple[str, Line2D], found: bool = True) -> None:
    """One line under a figure: what its circles, its crosses and the `others` (words, mark) say."""
    edge = [withStroke(linewidth=5, foreground="black")]
    true = tuple(Line2D([], [], ls="", marker="o", ms=10, mfc="none", mec=c, mew=2.5) for c in EYES)
    look = {"marker": "+", "ms": 11, "mec": YELLOW, "mew": 2.5, "path_effects": edge}
    rows = [("true eyes", true)] + [("found eyes", Line2D([], [], ls="", **look))] * found
    words, marks = zip(*rows, *others, strict=True)
    pair = {tuple: HandlerTuple(ndivide=None, pad=0.4)}  # both colours of the true eyes
    fig.legend(marks, words, loc="outside lower center", ncols=len(words), handler_map=pair)


@styled
def target(image: ArrayLike, point: ArrayLike, heat: ArrayLike, reach: int = 3) -> Figure:
    """A face with one point, the point's heat map at the same size, and the numbers at its peak.

    `image` and `heat` (H, W); `point` (2,); the numbers are those up to `reach` pixels from it."""
    heat, (x, y) = np.asarray(heat), np.asarray(point, float)
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(WIDTH, WIDTH / 3 + 0.3))
    show_image(left, image, "a face and one point")
    mark(left, [point])
    show_image(middle, heat, "the point as a heat map", cmap=MAP)
    show_image(right, heat, "its values near the peak", cmap=MAP)
    column, row = round(x), round(y)
    right.set_xlim(column - reach - 0.5, column + reach + 0.5)
    right.set_ylim(row + reach + 0.5, row - reach - 0.5)
    for i in range(max(0, row - reach), min(len(heat), row + reach + 1)):
        for j in range(max(0, column - reach), min(heat.shape[1], column + reach + 1)):
            colour = BLACK if heat[i, j] > 0.6 * heat.max() else "white"
            right.text(j, i, f"{heat[i, j]:.2f}", ha="center", va="center", color=colour, size=11)
    return fig


@styled
def with_maps(images: ArrayLike, true: ArrayLike, found: ArrayLike, maps: ArrayLike) -> Figure:
    """Faces with true and found eyes, and under each face the heat maps that the points were read
    from, one row per eye, scaled to the size of the face.

    `images` (N, H, W); points (N, 2, 2); `maps` (N, 2, h, w). Each map is drawn from 0 to its own
    highest value, which stands over it, with the square root as its brightness.
    """
    images, true, found, maps = (np.asarray(array) for array in (images, true, found, maps))
    rows, count = images.shape[1:], len(images)
    side = WIDTH / count
    fig, axes = plt.subplots(3, count, figsize=(WIDTH, 3 * side + 0.7), squeeze=False)
    for index in range(count):
        error = np.hypot(*(found[index] - true[index]).T).mean()
        show_image(axes[0, index], images[index], f"{error:.1f} px")
        mark(axes[0, index], true[index])
        cross(axes[0, index], found[index])
        for eye in range(2):
            _map(axes[1 + eye, index], maps[index, eye], rows)
    for ax, words in zip(axes[:, 0], ("face", *SIDES), strict=True):
        ax.set_ylabel(words.replace(" left", "\nleft").replace(" right", "\nright"))
    for ax, colour in zip(axes[1:, 0], EYES, strict=True):
        ax.yaxis.label.set_color(colour)
    return fig


def _map(ax: Axes, heat: np.ndarray, size: tuple[int, ...], title: str = "") -> None:
    """One map stretched over an image of `size`: its cells cover the pixels they stand for."""
    height, width = size
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)  # x from left to right, y downwards
    brightness = PowerNorm(0.5, 0, heat.max())  # the square root: faint parts of a map show too
    words = f"{title}\npeak {heat.max():.3f}".strip()
    show_image(ax, heat, words, cmap=MAP, norm=brightness, extent=extent)


@styled
def photo(
    whole: ArrayLike,
    box: Sequence[float],
    points: ArrayLike,
    face: ArrayLike,
    found: ArrayLike,
    maps: ArrayLike,
) -> Figure:
    """A photograph with the crop's frame and the points; the crop with its points; both maps.

    `whole` (H, W) or (H, W, 3) and `box` (left, top, right, bottom), `points` (2, 2) in its pixels;
    `face` (h, w) and `found` (2, 2) in the crop's own; `maps` (2, ...)."""
    maps = np.asarray(maps)
    fig = plt.figure(figsize=(WIDTH, 4.2))  # small: a colour photograph weighs most of all outputs
    grid = fig.add_gridspec(2, 3, width_ratios=[1.2, 1.3, 0.7])
    large, crop = fig.add_subplot(grid[:, 0]), fig.add_subplot(grid[:, 1])
    show_image(large, whole, "the photo, the crop, the eyes")
    left, top, right, bottom = box
    frame = Rectangle((left, top), right - left, bottom - top, fill=False, color=GREEN, lw=2)
    large.add_patch(frame)
    cross(large, points)
    show_image(crop, face, "the crop that the network sees")
    cross(crop, found, size=160)
    for eye in range(2):
        ax = fig.add_subplot(grid[eye, 2])
        _map(ax, maps[eye], np.shape(face), SIDES[eye])
    return fig
