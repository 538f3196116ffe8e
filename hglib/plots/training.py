"""The figures of notebook 04: losses and errors against the number of images shown.

Errors are mean distances in px of the 96x96 image. Results come in as numbers: nothing here
trains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

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

MARKERS = "osD^v"  # one per line of a plot, beside its colour
Curve = tuple[Any, Any]  # (images shown, mean error in px), both (n,)


def _errors_axis(ax: Axes, baseline: float) -> None:
    """A logarithmic axis of errors with plain numbers, and the line that any network must pass."""
    ax.set_yscale("log")
    ax.set_yticks([1, 2, 5, 10, 20, 50])
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.minorticks_off()
    ax.set_ylim(1, 80)
    ax.axhline(baseline, color=BLACK, linestyle=":", linewidth=1.5)
    ax.grid(axis="y", color=GREY, alpha=0.25)


@styled
def race(panels: Mapping[str, Mapping[str, Curve]], baseline: float) -> Figure:
    """Learning curves side by side: a panel for each way to start, a line for each loss.

    panels: title -> name of the loss -> (images shown, mean error in px); a loss keeps its colour
    and marker in every panel. baseline: the error of the mean position."""
    fig, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.8), sharey=True, squeeze=False)
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    for ax, (title, curves) in zip(axes[0], panels.items(), strict=True):
        _errors_axis(ax, baseline)
        for name, (images, errors) in curves.items():
            place = names.index(name)
            style = {"color": CYCLE[place], "marker": MARKERS[place], "markersize": 6}
            ax.plot(np.asarray(images), np.asarray(errors), label=name, **style)
        ax.set(xlabel="images shown", title=title, xlim=(0, None))
    axes[0, 0].set_ylabel("mean error on new faces (px)")
    axes[0, 0].text(0, baseline * 1.06, " always the mean position", fontsize=9)
    fig.suptitle("Four losses: same network, same images, same number of steps")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2)
    return fig


@styled
def overfit(losses: Sequence[float], nothing: float, floor: float) -> Figure:
    """The loss of one batch, step by step, between its ceiling and its floor.

    nothing: the loss of a network that knows nothing. floor: that of a perfect one."""
    fig, ax = plt.subplots(figsize=(WIDTH * 0.75, 3.2))
    ax.plot(np.arange(len(losses)), np.asarray(losses), color=BLUE, label="this batch")
    ax.axhline(nothing, color=GREY, linestyle="--", label="knows nothing")
    ax.axhline(floor, color=VERMILION, linestyle=":", label="perfect")
    ax.set(xlabel="step", ylabel="loss", ylim=(0, None))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    ax.set_title("One batch, memorised: the loss ends near its floor, not at 0")
    return fig


@styled
def pulls(answers: Any, forces: Mapping[str, Any]) -> Figure:
    """How hard each loss pulls a pixel up that should be 1, for each answer of a sigmoid.

    answers (n,) in (0, 1); forces: name -> (n,), the gradient on the score. Both axes are
    logarithmic."""
    fig, ax = plt.subplots(figsize=(WIDTH * 0.75, 3.2))
    for place, (name, values) in enumerate(forces.items()):
        style = {"color": CYCLE[place], "marker": MARKERS[place]}
        ax.plot(np.asarray(answers), np.asarray(values), label=name, **style)
    ax.set(xscale="log", yscale="log", xlabel="the network's answer (1 is right)")
    ax.set_ylabel("pull on the score")
    ax.grid(color=GREY, alpha=0.25)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    ax.set_title("The worse the answer, the less the squared error minds")
    return fig


@styled
def plateau(
    seeds: Mapping[str, Mapping[str, Any]], baseline: float, levels: Mapping[str, float]
) -> Figure:
    """A long run: the error in px above, the loss over that of all-zero maps below.

    seeds: name -> columns "images", "val_mean_px" and "loss_ratio", as the
    figures of `hglib.experiments.plateau`. levels: name -> a ratio to draw a line at.
    """
    fig, (top, bottom) = plt.subplots(2, 1, figsize=(WIDTH, 5.4), sharex=True)
    _errors_axis(top, baseline)
    end = max(columns["images"][-1] for columns in seeds.values()) / 1000
    for (name, columns), dash in zip(seeds.items(), ("-", "--", "-."), strict=False):
        thousands = np.asarray(columns["images"]) / 1000
        for ax, column in ((top, "val_mean_px"), (bottom, "loss_ratio")):
            ax.plot(thousands, np.asarray(columns[column]), dash, label=name)
    for name, ratio in levels.items():
        bottom.axhline(ratio, color=GREY, linestyle=":", linewidth=1.5)
        bottom.text(0.3 * end, ratio + 0.02, name, fontsize=9)
    top.text(0, baseline * 0.92, "always the mean position", va="top", fontsize=9)
    top.set_ylabel("mean error (px)")
    top.set_title("The network of 2019 learns in stairs: nothing, then an eye, then which eye")
    top.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    bottom.set(ylim=(0, 1.15), xlabel="images shown (thousands)")
    bottom.set_ylabel("loss / loss of\nall-zero maps")
    return fig


@styled
def first_steps(runs: Mapping[str, Mapping[str, Any]]) -> Figure:
    """The first steps of some runs: mean score, and height of the peaks.

    runs: name -> "score" (n,), the mean score of the finest map, and "peak" (n,), its height after
    the sigmoid."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.2))
    for place, (name, columns) in enumerate(runs.items()):
        style = {"color": CYCLE[place], "marker": MARKERS[place], "markevery": 10}
        left.plot(np.asarray(columns["score"]), label=name, **style)
        right.plot(np.asarray(columns["peak"]), label=name, **style)
    left.set(xlabel="step", ylabel="mean score", title="Every pixel is pushed down")
    right.set(xlabel="step", ylabel="highest answer", title="and the highest goes down with them")
    right.set_ylim(0, 1)
    right.legend()
    return fig


@styled
def schedules(progress: Any, rates: Mapping[str, Any]) -> Figure:
    """Learning rates over the share of the budget that is spent: a line for each schedule.

    progress (n,) from 0 to 1; rates: name -> (n,)."""
    fig, ax = plt.subplots(figsize=(WIDTH * 0.75, 2.8))
    for (name, values), dash in zip(rates.items(), ("-", "--", "-."), strict=False):
        ax.plot(100 * np.asarray(progress), np.asarray(values), dash, label=name)
    ax.set(xlabel="budget spent (%)", ylabel="learning rate", ylim=(0, None))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    ax.set_title("Climb for a moment, then come down slowly to almost nothing")
    return fig


@styled
def training_curve(rows: Sequence[Mapping[str, float]], baseline: float) -> Figure:
    """A run so far: its training loss on the left, its validation error on the right.

    rows: the rows of a history (`hglib.train.fit`), with "epoch" and "loss", and "val_mean_px" in
    those that hold a validation."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.2))
    left.plot([row["epoch"] for row in rows], [row["loss"] for row in rows], color=GREY)
    left.set(xlabel="epoch", ylabel="training loss", title="The loss it is trained by")
    measured = [(row["epoch"], row["val_mean_px"]) for row in rows if "val_mean_px" in row]
    _errors_axis(right, baseline)
    if measured:
        right.plot(*zip(*measured, strict=True), color=BLUE, marker="o")
        right.set_title(f"The error that we want: {measured[-1][1]:.2f} px")
    right.set(xlabel="epoch", ylabel="error on new faces (px)", ylim=(0.8, 10))
    right.text(rows[0]["epoch"], baseline * 1.03, "always the mean position", fontsize=9)
    return fig


def live(baseline: float) -> Callable[[Mapping[str, float]], None]:
    """A `report` for `hglib.train.fit` that draws the curve anew after every validation.

    It replaces what the cell has shown so far, so nothing else should be printed while it runs. It
    needs no widgets, only IPython, which is there whenever a notebook is."""
    from IPython.display import clear_output

    rows: list[Mapping[str, float]] = []

    def report(row: Mapping[str, float]) -> None:
        rows.append(row)
        if "val_mean_px" in row:
            clear_output(wait=True)
            training_curve(rows, baseline)
            plt.show()

    return report


# ---- the maps becoming sharp ----------------------------------------------------------------


def _map_on_face(ax: Axes, image: Any, heat: Any, true: Any, title: str) -> None:
    """One map over its face, each on its own scale, in a wide circle about the true point."""
    values = np.asarray(heat)
    height, width = np.shape(image)
    show_image(ax, image, title)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    opacity = 0.5 + 0.5 * (values / values.max()) ** 0.5
    ax.imshow(values, cmap=MAP, vmin=0, vmax=values.max(), extent=extent, alpha=opacity)
    mark(ax, [np.asarray(true)], size=600)  # wide: the map inside it must be seen
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


@styled
def sharpening(image: Any, frames: Mapping[int, tuple[Any, Any]], true: Any) -> Figure:
    """The map of one eye at some moments of training, four in a row, over the face.

    image (H, W); frames: images shown -> (map (h, w), point found (2,)); true (2,), image px."""
    rows = -(-len(frames) // 4)
    fig, axes = plt.subplots(rows, 4, figsize=(WIDTH, (WIDTH / 4 + 0.3) * rows), squeeze=False)
    for ax, (shown, (heat, found)) in zip(axes.flat, frames.items(), strict=False):
        off = float(np.linalg.norm(np.asarray(found) - np.asarray(true)))
        _map_on_face(ax, image, heat, true, f"{shown:,} images: {off:.1f} px off")
    for ax in axes.flat[len(frames) :]:
        ax.remove()
    return fig


@styled
def animation(image: Any, frames: Mapping[int, tuple[Any, Any]], true: Any, file: Path) -> None:
    """The same moments as `sharpening`, one after the other, as a GIF of 200 px.

    Written with Pillow, on which matplotlib depends."""
    fig, ax = plt.subplots(figsize=(2.5, 2.8))
    writer = PillowWriter(fps=4)
    with writer.saving(fig, str(file), dpi=80):
        for shown, (heat, _) in frames.items():
            ax.clear()
            _map_on_face(ax, image, heat, true, f"{shown:,} images shown")
            writer.grab_frame()
    plt.close(fig)


def save_animation(image: Any, frames: Mapping[int, tuple[Any, Any]], true: Any, name: str) -> None:
    """`animation` as figures/<name>.gif, only in the checkout whose notebooks/ is the folder."""
    folder = Path.cwd().parent / "figures"
    if folder.is_dir():
        animation(image, frames, true, folder / f"{name}.gif")
