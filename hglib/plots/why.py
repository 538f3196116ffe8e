"""Figures of the study and of what the networks use: gains with their luck, hidden eyes, gradients.

Axes: S seeds, N faces, H rows, W columns. Errors are in pixels of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter
from numpy.typing import ArrayLike

from hglib.experiments.ablation.gains import Gain
from hglib.plots.evaluation import both as points_and_answers
from hglib.plots.style import (
    BLUE,
    GREY,
    MAP,
    SKY,
    VERMILION,
    WIDTH,
    YELLOW,
    mark,
    show_image,
    styled,
)

Errors = Mapping[str, ArrayLike]  # what a row is, in words: its errors (S,), one for each seed
COLOURS, MARKERS = (BLUE, VERMILION), "os"  # the first and the second set of faces


def _rows(ax: Axes, labels: Sequence[str]) -> None:
    """One line of an axis for each label, the first on top."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.grid(axis="x", alpha=0.3)


def _decades(axis: Axis) -> None:
    """Plain numbers at 1, 2, 5, 10 ... on a logarithmic axis."""
    axis.set_major_locator(FixedLocator([m * 10.0**e for e in range(-1, 3) for m in (1, 2, 5)]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(ScalarFormatter())


# ---- the study -------------------------------------------------------------------------------


@styled
def ladder(found: Mapping[str, Errors], title: str) -> Figure:
    """Every run as a small mark, and the means of the rows as one line, from top to bottom.

    found: name of the faces -> errors of each row, the same rows for all; the axis is logarithmic.
    """
    labels = list(next(iter(found.values())))
    fig, axes = plt.subplots(
        *(1, len(found)), figsize=(WIDTH, 0.3 * len(labels) + 1), sharey=True, squeeze=False
    )
    for number, (ax, (name, rows)) in enumerate(zip(axes[0], found.items(), strict=True)):
        colour, marker = COLOURS[number], MARKERS[number]
        places = np.arange(len(labels))
        runs = [np.asarray(rows[label], float) for label in labels]
        ax.plot([r.mean() for r in runs], places, marker=marker, color=colour, lw=1)
        for place, errors in zip(places, runs, strict=True):
            ax.scatter(errors, [place] * len(errors), 14, c=GREY, marker="|", zorder=3)
        ax.set_xscale("log")
        _decades(ax.xaxis)
        ax.set(xlabel="mean error (px), logarithmic", title=name)
    _rows(axes[0, 0], labels)
    for ax in axes[0, 1:]:
        ax.grid(axis="x", alpha=0.3)
    fig.suptitle(title)
    return fig


@styled
def savings(found: Mapping[str, Mapping[str, Gain]], title: str, limit: float = 1.0) -> Figure:
    """What each row costs or saves against another, with bars of two standard errors.

    found: name of the faces -> what the row is -> gain. Beyond `limit` px a mark stands at the
    axis's end as an arrow, with its number beside it.
    """
    labels = list(next(iter(found.values())))
    fig, ax = plt.subplots(figsize=(0.85 * WIDTH, 0.36 * len(labels) + 1.2))
    ax.axvline(0, color="black", lw=1)
    for number, (name, rows) in enumerate(found.items()):
        colour, shift = COLOURS[number], 0.3 * number - 0.15 * (len(found) - 1)
        px = np.array([rows[label].px for label in labels])
        bars = np.array([2 * rows[label].error for label in labels])
        places, inside = np.arange(len(labels)) + shift, np.abs(px) <= limit
        style = {"fmt": MARKERS[number], "color": colour, "ms": 5, "lw": 1.5, "capsize": 3}
        ax.errorbar(px[inside], places[inside], xerr=bars[inside], label=name, **style)
        for value, place in zip(px[~inside], places[~inside], strict=True):
            end = np.sign(value) * limit
            ax.scatter(end, place, 40, c=colour, marker="<" if value < 0 else ">")
            words, side = f"  {value:+.1f}  ", "left" if value < 0 else "right"
            ax.text(end, place, words, ha=side, va="center", color=colour, size=9)
    _rows(ax, labels)
    highest = max(gain.px + 2 * gain.error for rows in found.values() for gain in rows.values())
    right = 1.12 * min(limit, max(0.2 * limit, highest))  # no empty half where nothing is saved
    ax.set(xlim=(-1.12 * limit, right), xlabel="px gained; to the left: px lost", title=title)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return fig


@styled
def agreement(x: Mapping[str, float], y: Mapping[str, float], named: Sequence[str]) -> Figure:
    """Each row as a dot: its error on synthetic faces against that on real ones; some are named.

    x, y: row -> px, the same rows. Both axes are logarithmic.
    """
    fig, ax = plt.subplots(figsize=(0.7 * WIDTH, 5))
    for name, across in x.items():
        marked = name in named
        ax.scatter(across, y[name], 30, c=VERMILION if marked else SKY, marker="so"[not marked])
        if marked:
            ax.annotate(name, (across, y[name]), (7, -3), textcoords="offset points", size=9)
    ax.set(xscale="log", yscale="log", title="What is good on synthetic faces is good on real ones")
    _decades(ax.xaxis)
    _decades(ax.yaxis)
    ax.set(xlabel="synthetic faces: mean error (px)", ylabel="real faces: mean error (px)")
    ax.grid(alpha=0.3)
    return fig


# ---- hidden eyes -----------------------------------------------------------------------------


@styled
def hidden(sides: ArrayLike, medians: Mapping[str, ArrayLike], guess: float, eye: float) -> Figure:
    """The median error of the hidden eye against the side of the patch that hides it.

    medians: network -> (len(sides),) px; guess: the error of always answering the mean position;
    eye: how wide an eye is, in px.
    """
    fig, ax = plt.subplots(figsize=(0.75 * WIDTH, 3.4))
    for (name, values), marker in zip(medians.items(), "osD^", strict=False):
        ax.plot(np.asarray(sides), np.asarray(values), marker=marker, label=name)
    ax.axhline(guess, color=GREY, ls="--", label="always the mean position")
    ax.axvspan(eye, max(np.asarray(sides)), color=SKY, alpha=0.15, lw=0)
    words = {"color": GREY, "size": 9, "transform": ax.get_xaxis_transform()}
    ax.text(eye, 0.03, " the eye is covered", **words)
    ax.set(yscale="log", xlabel="side of the patch over one eye (px)")
    ax.set(ylabel="error of that eye,\nmedian (px)", title="Who finds an eye that cannot be seen?")
    _decades(ax.yaxis)
    ax.grid(alpha=0.3)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return fig


@styled
def answers(
    images: Mapping[str, ArrayLike], true: ArrayLike, found: Mapping[str, ArrayLike]
) -> Figure:
    """A table of faces: one row for each kind of image, circles on the truth, crosses on answers.

    images: row -> (N, H, W); true (N, 2, 2); found: row -> (N, 2, 2).
    """
    count = len(np.asarray(true))
    shape = (WIDTH, WIDTH / count * len(images) + 0.4)
    fig, axes = plt.subplots(len(images), count, figsize=shape, squeeze=False)
    for line, (name, row) in zip(axes, images.items(), strict=True):
        for ax, image, points, got in zip(line, row, true, found[name], strict=True):
            show_image(ax, image)
            points_and_answers(ax, points, got)
        line[0].set_ylabel(name)
    fig.suptitle(
        "Green circles: the truth. Crosses: the answers, orange for the subject's left eye"
    )
    return fig


# ---- gradients -------------------------------------------------------------------------------


@styled
def fields(found: Mapping[str, tuple[ArrayLike, ArrayLike]], radii: Mapping[str, float]) -> Figure:
    """What moves an output pixel, on average over faces, inside what could move it.

    found: network -> (gradient (H, W), theoretical field (H, W) bool), both centred on the eye;
    radii: network -> px that hold nine tenths of the gradient, drawn as a circle.
    """
    fig, axes = plt.subplots(1, len(found), figsize=(WIDTH, WIDTH / len(found) + 0.6))
    for ax, (name, (gradient, could)) in zip(np.atleast_1d(axes), found.items(), strict=True):
        values, could = np.sqrt(np.asarray(gradient, float)), np.asarray(could, float)
        half = (values.shape[0] - 1) / 2
        show_image(ax, values, name, cmap=MAP)
        ax.contour(could, [0.5], colors=SKY, linewidths=2)
        ax.add_patch(plt.Circle((half, half), radii[name], fill=False, color=YELLOW, ls="--"))
        ax.set_xlabel(f"nine tenths within {radii[name]:.0f} px")
    fig.suptitle("Blue outline: what can be seen. Bright: what is used")
    return fig


@styled
def attention(
    images: Mapping[str, ArrayLike], weights: Mapping[str, ArrayLike], points: ArrayLike
) -> Figure:
    """Faces and, under each, how much each pixel moves the answer; the eye in question is ringed.

    images: row -> (N, H, W); weights: row -> (N, h, w), laid out at the size of the face; points
    (N, 2): the eye. Every map has its own range, with the square root as its brightness.
    """
    height, width = np.shape(next(iter(images.values())))[1:]
    edges = (-0.5, width - 0.5, height - 0.5, -0.5)
    count = len(np.asarray(points))
    lines = [(name, kind) for name in images for kind in ("face", "used")]
    shape = (WIDTH, WIDTH / count * len(lines) + 0.4)
    fig, axes = plt.subplots(len(lines), count, figsize=shape, squeeze=False)
    for row, (name, kind) in zip(axes, lines, strict=True):
        shown = images[name] if kind == "face" else np.sqrt(np.asarray(weights[name]))
        for ax, values, (x, y) in zip(row, shown, np.asarray(points), strict=True):
            show_image(ax, values, cmap="gray" if kind == "face" else MAP, extent=edges)
            ax.scatter(x, y, 60, marker="o", facecolors="none", edgecolors=SKY, linewidths=2)
        row[0].set_ylabel(name if kind == "face" else "what is used")
    fig.suptitle("The same face bare and covered; under it the pixels that move the answer")
    return fig


# ---- every resolution ------------------------------------------------------------------------


@styled
def levels(
    images: Mapping[str, ArrayLike],
    maps: Mapping[str, Sequence[ArrayLike]],
    strides: Sequence[int],
    point: ArrayLike,
) -> Figure:
    """One eye's map at every supervised resolution, laid out at the size of the face.

    images: row -> (H, W); maps: row -> one (h, w) for each stride; point (2,): the eye, ringed.
    Each map is drawn from 0 to its highest value, which stands under it.
    """
    shape = (WIDTH, (WIDTH / (1 + len(strides)) + 0.2) * len(images) + 0.5)
    fig, axes = plt.subplots(len(images), 1 + len(strides), figsize=shape, squeeze=False)
    for stride, ax in zip(strides, axes[0, 1:], strict=True):
        ax.set_title(f"stride {stride}")
    for row, (name, image) in zip(axes, images.items(), strict=True):
        show_image(row[0], image)
        row[0].set_ylabel(name)
        mark(row[0], [point], size=50)
        height, width = np.shape(image)
        for ax, values in zip(row[1:], maps[name], strict=True):
            edges, title = (-0.5, width - 0.5, height - 0.5, -0.5), ax.get_title(loc="left")
            show_image(ax, np.asarray(values), title, cmap=MAP, extent=edges, vmin=0)
            ax.scatter(*np.asarray(point), 60, marker="o", facecolors="none", edgecolors=SKY)
            ax.set_xlabel(f"peak {np.max(values):.2f}", fontsize=9)
    fig.suptitle("The same question at every resolution: where is the subject's left eye?")
    return fig
