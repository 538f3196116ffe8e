"""Figures of notebook 09: heads compared, a hidden eye, a face exposed twice.

Axes: N faces, S seeds. Points are (x, y) in image pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from hglib.plots.style import BLUE, GREEN, GREY, ORANGE, VERMILION, WIDTH, mark, show_image, styled


@styled
def heads(found: Mapping[str, Mapping[str, ArrayLike]], guesses: Mapping[str, float]) -> Figure:
    """One panel for each figure, one line for each head, one mark for each seed.

    found: title -> head -> (S,) px; guesses: title -> the error of always answering the mean
    position.
    """
    fig, axes = plt.subplots(1, len(found), figsize=(WIDTH, 2.9), sharey=True, squeeze=False)
    for ax, (title, rows), colour in zip(axes[0], found.items(), (BLUE, VERMILION), strict=False):
        for place, values in enumerate(rows.values()):
            values = np.asarray(values, float)
            ax.scatter(values, [place] * len(values), 50, marker="o", color=colour, alpha=0.6)
            ax.text(values.max(), place - 0.3, f"{values.mean():.2f}", size=9, ha="center")
        ax.axvline(guesses[title], color=GREY, ls="--", lw=1.5)
        ax.set_yticks(range(len(rows)), list(rows))
        ax.set(ylim=(len(rows) - 0.5, -0.7), xlim=(0, None), title=title, xlabel="px")
        ax.grid(axis="x", alpha=0.3)
    fig.suptitle("One mark for each seed, the mean beside them; dashed: always the mean position")
    return fig


@styled
def answers(
    images: Mapping[str, ArrayLike],
    places: Mapping[str, ArrayLike],
    found: Mapping[str, Mapping[str, ArrayLike]],
) -> Figure:
    """The same face in each row, a column for each head: circles on eyes, crosses on answers.

    images: row -> (H, W); places: row -> (P, 2), eyes that may be meant; found: row -> head ->
    (2, 2).
    """
    names = list(next(iter(found.values())))
    side = WIDTH / len(names)
    shape = (WIDTH, (side + 0.15) * len(images) + 0.3)
    fig, axes = plt.subplots(len(images), len(names), figsize=shape, squeeze=False)
    for line, (row, image) in zip(axes, images.items(), strict=True):
        for ax, name in zip(line, names, strict=True):
            show_image(ax, image, name if ax in axes[0] else "")
            for colour, lw in (("black", 3.5), (GREEN, 2)):
                style = {"facecolors": "none", "edgecolors": colour, "linewidths": lw}
                ax.scatter(*np.asarray(places[row]).T, 110, marker="o", **style)
            mark(ax, found[row][name], found=True, size=90)
        line[0].set_ylabel(row)
    return fig


@styled
def along(places: Mapping[str, ArrayLike]) -> Figure:
    """Where the answers to a double exposure lie: 0 is the first eye, 1 the second one."""
    fig, axes = plt.subplots(1, len(places), figsize=(WIDTH, 2.6), sharey=True, squeeze=False)
    bins = np.linspace(-0.75, 1.75, 26)
    for ax, (name, values) in zip(axes[0], places.items(), strict=True):
        values = np.clip(np.ravel(values), bins[0], bins[-1])
        ax.axvspan(0.25, 0.75, color=ORANGE, alpha=0.2, lw=0)
        ax.hist(values, bins, weights=np.full(len(values), 1 / len(values)), color=BLUE)
        for eye in (0, 1):
            ax.axvline(eye, color=GREEN, ls="--", lw=1.5)
        ax.set(title=name, xticks=[0, 1])
        ax.set_xticklabels(["first", "second"])
    axes[0, 0].yaxis.set_major_formatter(PercentFormatter(1))
    axes[0, 0].set_ylabel("share of the answers")
    return fig
