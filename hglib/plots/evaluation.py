"""The figures of notebook 05: floors, thresholds on a face, curves, intervals, failures.

Axes: N faces, K landmarks. Points are (x, y) in image pixels, 0-based; errors are in px or, where
a docstring says so, shares of the inter-ocular distance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from hglib.plots.results import cumulative_curve
from hglib.plots.style import (
    BLACK,
    BLUE,
    CYCLE,
    EYES,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    VERMILION,
    WIDTH,
    YELLOW,
    mark,
    show_image,
    styled,
)

DASHES = ("-", "--", "-.", ":")
MARKERS = "osD^vP*"
RINGS = ((YELLOW, ":"), (SKY, "--"), (ORANGE, "-."), (VERMILION, "-"))  # from tight to loose
EDGE = [withStroke(linewidth=4.5, foreground="black")]  # light colours show on light skin too


# ---- floors and thresholds --------------------------------------------------------------------


@styled
def ladder(values: Mapping[str, float], ours: str) -> Figure:
    """One dot per figure in px, the smallest on top; the one named `ours` stands out."""
    order = sorted(values, key=values.__getitem__, reverse=True)
    fig, ax = plt.subplots(figsize=(WIDTH, 0.45 * len(order) + 0.9))
    for place, name in enumerate(order):
        chosen = name == ours
        colour, marker = (VERMILION, "D") if chosen else (BLUE, "o")
        ax.hlines(place, 0, values[name], color=colour, lw=3 if chosen else 1.5, alpha=0.5)
        ax.plot(values[name], place, marker, color=colour, markersize=9)
        weight = "bold" if chosen else "normal"
        written = {"textcoords": "offset points", "va": "center", "weight": weight}
        ax.annotate(f"{values[name]:.2f}", (values[name], place), (9, 0), **written)
    ax.set_yticks(range(len(order)), order)
    ax.set(xlim=(0, 1.12 * max(values.values())), xlabel="mean distance (px)")
    ax.set_title("An error means something between a floor and a baseline")
    return fig


@styled
def rings(image: ArrayLike, points: ArrayLike, fractions: Sequence[float]) -> Figure:
    """What each threshold allows: circles of `fractions` of the inter-ocular distance, to scale.

    image (H, W), points (2, 2): the whole face with the widest circles, and its eye 0 enlarged
    with all.
    """
    points = np.asarray(points, float)
    ruler = float(np.hypot(*(points[0] - points[1])))
    fig, (whole, near) = plt.subplots(1, 2, figsize=(WIDTH, WIDTH / 2 + 0.3))
    show_image(whole, image, f"The eyes are {ruler:.0f} px apart: the ruler")
    show_image(near, image, "The framed eye, and what each threshold allows")
    whole.plot(*points.T, color=YELLOW, lw=3, marker="|", ms=14, mew=3, path_effects=EDGE)
    lines = []
    for fraction, (colour, dash) in zip(fractions, cycle(RINGS), strict=False):
        style = {"color": colour, "ls": dash, "lw": 2.5, "path_effects": EDGE}
        lines += [Line2D([], [], label=f"{fraction:g}: {fraction * ruler:.1f} px", **style)]
        widest = fraction == max(fractions)
        for ax, centre in [(near, points[0]), *[(whole, eye) for eye in points if widest]]:
            ax.add_patch(Circle(tuple(centre), fraction * ruler, fill=False, **style))
    reach, (x, y) = 1.25 * max(fractions) * ruler, points[0]
    near.set(xlim=(x - reach, x + reach), ylim=(y + reach, y - reach))
    frame = Rectangle((x - reach, y - reach), 2 * reach, 2 * reach, fill=False)
    frame.set(edgecolor="white", linewidth=1.5, path_effects=EDGE)
    whole.add_patch(frame)
    fig.legend(handles=lines, loc="outside lower center", ncols=len(lines))
    return fig


@styled
def worst_eye_curves(
    errors: Mapping[str, ArrayLike], thresholds: Sequence[float], limit: float = 0.25
) -> Figure:
    """The share of faces whose worse eye is within x, one line per named answer.

    errors: name -> (N,) worst-eye errors, shares of the inter-ocular distance; NaN is left out, inf
    is never reached. `thresholds` are marked and named.
    """
    fig, ax = plt.subplots(figsize=(WIDTH, 4.4))
    lines = zip(errors.items(), cycle(CYCLE), cycle(DASHES), strict=False)
    for (name, values), colour, dash in lines:
        x, share = cumulative_curve(values, limit)
        style = {"where": "post", "color": colour, "linestyle": dash, "lw": 2.5}
        ax.step(x, share, label=name, **style)
    for threshold in thresholds:
        ax.axvline(threshold, color=GREY, lw=1, zorder=0)
        ax.text(threshold, 1.03, f"{threshold:g}", ha="center", color=GREY)
    ax.set(xlim=(0, limit * 1.001), ylim=(0, 1.02), ylabel="share of the faces")
    ax.set_xlabel("error of the worse eye / distance between the eyes")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.grid(alpha=0.3)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    ax.set_title("How many faces are at least this good", pad=22)
    return fig


# ---- how sure ---------------------------------------------------------------------------------


@styled
def intervals(
    rows: Mapping[str, tuple[float, float, float]], axis: str, title: str, zero: bool = False
) -> Figure:
    """A figure with its interval per row: name -> (value, low, high); `zero` draws a line at 0."""
    fig, ax = plt.subplots(figsize=(WIDTH, 0.42 * len(rows) + 1.0))
    for place, (value, low, high) in enumerate(rows.values()):
        ax.hlines(place, low, high, color=BLUE, lw=3)
        ax.plot(value, place, "o", color=VERMILION, markersize=8)
    if zero:
        ax.axvline(0, color=BLACK, linestyle="--", lw=1)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlabel=axis, title=title)
    ax.grid(axis="x", alpha=0.3)
    return fig


@styled
def small_tests(draws: Mapping[str, ArrayLike], axis: str, title: str, step: float) -> Figure:
    """Histograms of one figure as measured on many test sets of each size.

    draws: name of the size -> (R,) figures; bars are `step` wide, with multiples of it in their
    middles, so that a share of few faces falls into bars and not between them.
    """
    fig, ax = plt.subplots(figsize=(WIDTH, 3.0))
    every = np.concatenate([np.asarray(values, float) for values in draws.values()])
    first, last = np.rint(every.min() / step), np.rint(every.max() / step)
    bins = (np.arange(first, last + 2) - 0.5) * step
    looks = zip(draws.items(), (ORANGE, BLUE, GREEN), ("//", "", ".."), strict=False)
    for (name, values), colour, hatch in looks:
        values = np.asarray(values, float)
        style = {"color": colour, "hatch": hatch, "alpha": 0.65, "edgecolor": "white"}
        ax.hist(values, bins, weights=np.full(len(values), 1 / len(values)), label=name, **style)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set(xlabel=axis, ylabel="share of the tests", title=title)
    ax.legend(loc="upper left")
    return fig


# ---- confidence -------------------------------------------------------------------------------


@styled
def risk_curves(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], unit: str = "px") -> Figure:
    """Mean error of the answers kept against the share kept: name -> (coverage, risk)."""
    fig, ax = plt.subplots(figsize=(WIDTH, 3.4))
    for (name, (coverage, risk)), dash in zip(curves.items(), cycle(DASHES), strict=False):
        ax.plot(np.asarray(coverage), np.asarray(risk), linestyle=dash, label=name)
    ax.set(xlim=(0, 1), ylim=(0, None), xlabel="share of the answers kept, most confident first")
    ax.set(
        ylabel=f"their mean error ({unit})", title="A good confidence leaves the errors for last"
    )
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.grid(alpha=0.3)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return fig


@styled
def robustness(panels: Mapping[str, tuple[ArrayLike, Mapping[str, ArrayLike]]]) -> Figure:
    """Shares against strength, one panel per kind of change: title -> (strengths, name -> shares).

    The title's part after a comma is the unit of the strength.
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.1), sharey=True, squeeze=False)
    for ax, (title, (strengths, lines)) in zip(axes[0], panels.items(), strict=True):
        head, _, unit = title.partition(", ")
        for (name, shares), colour, marker, dash in zip(
            lines.items(), (VERMILION, BLUE), MARKERS, DASHES, strict=False
        ):
            style = {"color": colour, "marker": marker, "linestyle": dash, "label": name}
            ax.plot(np.asarray(strengths), np.asarray(shares), **style)
        ax.set(title=head, xlabel=unit, ylim=(-0.03, 1.05))
        ax.grid(alpha=0.3)
    axes[0, 0].yaxis.set_major_formatter(PercentFormatter(1))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return fig


# ---- faces ------------------------------------------------------------------------------------


def both(
    ax: Axes, true: ArrayLike, found: ArrayLike, size: float = 90, colours: Sequence[str] = ()
) -> None:
    """True points as circles, green or in `colours`; found ones as crosses, coloured by eye.

    A line joins each found point to its true one: an answer on the wrong eye cannot be missed.
    """
    true, found = np.asarray(true, float), np.asarray(found, float)
    for circle, cross, own in zip(true, found, colours or [GREEN] * len(true), strict=True):
        if np.isnan(circle).any():
            continue  # no label
        ax.plot(*np.transpose([circle, cross]), color="white", lw=1)
        for colour, lw in (("black", 3.5), (own, 2)):
            style = {"facecolors": "none", "edgecolors": colour, "linewidths": lw}
            ax.scatter(*circle, size, marker="o", **style)
    mark(ax, found, found=True, size=0.8 * size)


@styled
def failures(
    images: ArrayLike, true: ArrayLike, found: ArrayLike, titles: Sequence[str], columns: int = 4
) -> Figure:
    """Faces with labels (circles) and answers (crosses), both in the colours of their eyes.

    images (N, H, W), points (N, 2, 2)."""
    images, true, found = (np.asarray(array) for array in (images, true, found))
    columns = min(columns, len(images))
    rows, side = -(-len(images) // columns), WIDTH / max(columns, 4)
    shape = (side * columns, (side + 0.45) * rows)
    fig, axes = plt.subplots(rows, columns, figsize=shape, squeeze=False)
    for ax in axes.flat[len(images) :]:
        ax.remove()
    for ax, image, circles, crosses, title in zip(
        axes.flat, images, true, found, titles, strict=False
    ):
        show_image(ax, image, title)
        both(ax, circles, crosses, colours=EYES)
        ax.title.set_fontsize(10)
        ax.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    return fig


@styled
def three_answers(image: ArrayLike, label: ArrayLike, truth: ArrayLike, found: ArrayLike) -> Figure:
    """One face three times: its label, its truth, what the network found. Points (2, 2)."""
    fig, axes = plt.subplots(1, 3, figsize=(WIDTH, WIDTH / 3 + 0.4))
    for ax, title in zip(axes, ("The label", "The truth", "The network"), strict=True):
        show_image(ax, image, title)
    for ax, points in zip(axes[:2], (label, truth), strict=True):
        mark(ax, points, size=160)
    mark(axes[2], found, found=True, size=160)
    axes[0].set_xlabel(f"{_colours()} = subject's left")
    return fig


def _colours() -> str:
    return {VERMILION: "orange-red", SKY: "sky blue"}[EYES[0]]


def show_change(ax: Axes, image: Any, true: ArrayLike, found: ArrayLike) -> None:
    """One changed face on given axes, with true and found eyes, for a slider."""
    show_image(ax, image, cmap="gray", vmin=0, vmax=1)
    both(ax, true, found, size=70)
