"""The figures of notebook 01: faces, what is missing, where eyes live, how far to trust a label.

Axes: N faces, K landmarks, H rows, W columns. Points are (x, y) in image pixels, 0-based.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from hglib.plots.style import (
    BLACK,
    BLUE,
    EYES,
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

SIDES = ("subject's left eye", "subject's right eye")
MARKERS = ("o", "s")
EDGE = [withStroke(linewidth=5, foreground="black")]  # light colours show on light grey too


@styled
def gallery(
    images: np.ndarray,
    points: np.ndarray | None = None,
    titles: Sequence[str] = (),
    columns: int = 4,
    side: float = WIDTH / 4,  # 180 pixels: a circle hides little of a face
) -> Figure:
    """Faces with their labels as circles: images (N, H, W), points (N, K, 2), side in inches."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    size = (side * columns, (side + 0.25 * bool(titles)) * rows)
    fig, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for n, ax in enumerate(axes.flat):
        if n >= len(images):
            ax.remove()
            continue
        show_image(ax, images[n], titles[n] if n < len(titles) else "")
        ax.title.set_fontsize(9)
        if points is not None:
            mark(ax, points[n])
            height, width = images[n].shape
            ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))  # labels may lie outside
    return fig


@styled
def missing(present: np.ndarray, landmarks: Sequence[str]) -> Figure:
    """Which points are labelled: the mask (N, K) bool in file order, and the share per landmark."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.2), width_ratios=(1, 1.3))
    left.imshow(present, cmap="cividis", aspect="auto", interpolation="nearest", vmin=0, vmax=1)
    left.set_xticks(np.arange(len(landmarks))[::2])
    left.set(title="Dark: no label", xlabel="landmark (order of the file)", ylabel="row of file")
    places = np.arange(len(landmarks))
    share = 100 * present.mean(axis=0)
    right.barh(places, share, color=BLUE)
    for place, value in zip(places, share, strict=True):
        right.text(value + 1, place, f"{value:.3g} %", va="center")
    right.set_yticks(places, [name.replace("_", " ") for name in landmarks])
    right.set(xlim=(0, 118), xlabel="rows that have the label (%)", title="Few have all points")
    right.invert_yaxis()
    return fig


@styled
def eye_positions(points: np.ndarray, images: np.ndarray) -> Figure:
    """Where the eyes lie in the image, and the mean of all images with the mean eyes.

    points (N, 2, 2), images (N, H, W).
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.6))
    mean_face = images.mean(axis=0)  # (H, W)
    for eye in range(2):
        x, y = points[:, eye].T
        style = {"marker": MARKERS[eye], "c": EYES[eye], "edgecolors": "none", "alpha": 0.35}
        left.scatter(x, y, 9, label=SIDES[eye], **style)
    height, width = mean_face.shape
    left.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
    left.set(title="Every labelled eye: two small clouds", xlabel="x (px)", ylabel="y (px)")
    left.legend(loc="lower center", markerscale=2)
    show_image(right, mean_face, "The mean of all images still has eyes")
    mark(right, np.nanmean(points, axis=0))
    return fig


@styled
def two_histograms(distance: np.ndarray, error: np.ndarray) -> Figure:
    """Inter-ocular distances (N,) and the errors (any shape) of the mean position, in pixels."""
    fig, axes = plt.subplots(1, 2, figsize=(WIDTH, 3), sharey=False)
    titles = ("Distance between the eyes", "Error of the mean position")
    for ax, values, title, colour in zip(
        axes, (distance, error), titles, (BLUE, ORANGE), strict=True
    ):
        values = np.asarray(values)[np.isfinite(values)]
        ax.hist(values, bins=40, color=colour)
        ax.axvline(values.mean(), color=BLACK, linestyle="--", label=f"mean {values.mean():.1f} px")
        ax.set(title=title, xlabel="pixels", ylabel="number")
        ax.legend()
    return fig


@styled
def mirror_test(
    left: np.ndarray, right: np.ndarray, shifts: np.ndarray, match: np.ndarray
) -> Figure:
    """The mean left eye, the mean right eye mirrored, and how well they match when slid.

    left, right (h, w): patches around the labels; shifts, match (S,).
    """
    fig, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.8), width_ratios=(1, 1, 1.2))
    middle = (left.shape[1] - 1) / 2
    titles = ("Mean left eye", "Mean right eye, mirrored")
    for ax, patch, title in zip(axes, (left, right[:, ::-1]), titles, strict=False):
        show_image(ax, patch, title)
        ax.axvline(middle, color=ORANGE, linestyle="--")
        ax.set_xlabel("dashed: where the label is")
    axes[2].plot(shifts, match, color=BLUE, marker="o")
    axes[2].axvline(0, color=GREY, linestyle=":")
    axes[2].set(xlabel="slid by (px)", ylabel="correlation", ylim=(None, 1.05))
    axes[2].set_title(f"Best match when slid by {shifts[match.argmax()]} px")
    return fig


@styled
def vernier(halves: Sequence[Sequence[np.ndarray]], titles: Sequence[str]) -> Figure:
    """Mean eyes cut at the label's height: above the left one, below the right one mirrored.

    halves: (left, right) patches (h, w) for each panel, h odd. A label that is b px beside the eye
    shows the two halves 2 b px apart. Enlarged, 10 px wide; the lines join equal greys, and the
    upright lines halve them.
    """
    size = (WIDTH, 0.9 * WIDTH / len(titles) + 0.9)  # as high as 9 of 10 px, and words
    fig, axes = plt.subplots(1, len(titles), figsize=size, squeeze=False)
    for ax, (left, right), title in zip(axes[0], halves, titles, strict=True):
        across, down = ((n - 1) // 2 for n in left.shape[::-1])
        near = left[down - 3 : down + 4, across - 5 : across + 6]  # what is shown
        limits = near.min(), near.max()
        grey = near.min() + 0.4 * (np.median(near) - near.min())  # the edge of the iris
        upper = _half(ax, left, -1, SKY, grey, limits)
        lower = _half(ax, right[:, ::-1], 1, YELLOW, grey, limits)
        ax.axhline(0, color="white", lw=2)
        ax.axvline(0, color=ORANGE, linestyle="--")
        ax.set(xlim=(-5, 5), ylim=(4.5, -4.5), title=title)
        if np.isfinite(upper - lower):
            ax.set_xlabel(f"halves {abs(upper - lower):.1f} px apart")
    names = ("left eye", "right eye, mirrored", "where the labels are")
    lines = [Line2D([], [], color=SKY, lw=3), Line2D([], [], color=YELLOW, lw=3)]
    lines.append(Line2D([], [], color=ORANGE, linestyle="--"))
    fig.legend(lines, names, loc="outside lower center", ncols=3)
    return fig


def _half(
    ax: Axes, patch: np.ndarray, sign: int, colour: str, grey: float, limits: tuple[float, float]
) -> float:
    """One half of a mean eye, above (-1) or below (1) the label, with the edge of its iris, where
    the patch (h, w) has the value `grey`. Returns where the middle of the iris is, px from the
    label."""
    height, width = patch.shape
    across, down = (width - 1) // 2, (height - 1) // 2
    x, y = np.arange(-across, across + 1), np.arange(-down, down + 1)
    rows = np.repeat(patch, 2, axis=0)[::-sign][:height][::-sign]  # cut at 0
    ends = max(sign, 0) * (down + 0.5), min(sign, 0) * (down + 0.5)
    extent = (x[0] - 0.5, x[-1] + 0.5, *ends)
    show_image(ax, rows, vmin=limits[0], vmax=limits[1], extent=extent)
    drawn = sign * y >= 0
    style = {"linewidths": 3, "path_effects": EDGE, "zorder": 3}
    ax.contour(x, y[drawn], patch[drawn], levels=[grey], colors=colour).set(**style)
    middle = _middle(x, patch[down], grey)
    style = {"color": colour, "lw": 3, "zorder": 3, "path_effects": EDGE}
    ax.plot([middle, middle], [0, sign * 3.5], **style)
    return middle


def _middle(x: np.ndarray, values: np.ndarray, grey: float) -> float:
    """The middle of the dark stretch of a row around its darkest place near x = 0, where it
    crosses `grey`; NaN if it does not."""
    start = int(np.argmin(np.where(abs(x) <= 3, values, np.inf)))
    light = np.flatnonzero(values > grey)
    right, left = light[light > start], light[light < start]
    if values[start] > grey or not len(left) or not len(right):
        return float("nan")
    pairs = ((right[0] - 1, right[0]), (left[-1] + 1, left[-1]))  # the last dark, the first light
    ends = [np.interp(grey, values[[*pair]], x[[*pair]]) for pair in pairs]
    return float(np.mean(ends))


@styled
def label_differences(difference: np.ndarray, noise: float) -> Figure:
    """Two labels of one image: their differences (M, 2), and a bell of sqrt(2) times `noise`."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.6), width_ratios=(1, 1.4))
    difference = difference[np.isfinite(difference).all(axis=1)]
    sd = np.sqrt(2) * noise
    left.scatter(*difference.T, s=14, c=BLUE, alpha=0.6)
    left.add_patch(Circle((0, 0), 2 * sd, fill=False, color=VERMILION, linestyle="--"))
    left.set(xlim=(-4, 4), ylim=(4, -4), aspect="equal", xlabel="x (px)", ylabel="y (px)")
    left.set_title("Second label minus first\n(dashed: 2 sd)")
    grid = np.linspace(-4, 4, 201)
    bell = np.exp(-((grid / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi))
    right.hist(difference.ravel(), bins=np.arange(-4, 4.01, 0.25), density=True, color=SKY)
    normal = f"normal, sd {sd:.2f} px\n= √2 · {noise:.2f} px"
    right.plot(grid, bell, color=VERMILION, linestyle="--", label=normal)
    right.set(title="Both axes together", xlabel="difference (px)", ylabel="density (1/px)")
    right.legend()
    return fig


@styled
def best_matches(similarity: np.ndarray, threshold: float) -> Figure:
    """How much each image (N,) is like the one it is most like, and where duplicates begin."""
    fig, ax = plt.subplots(figsize=(WIDTH, 2.8))
    ax.hist(similarity, bins=np.linspace(min(0.5, similarity.min()), 1.0001, 61), color=BLUE)
    ax.axvline(threshold, color=VERMILION, linestyle="--", label=f"threshold {threshold:g}")
    ax.set(yscale="log", xlabel="correlation with the most similar other image")
    ax.set(ylabel="images", title="Copies stand apart, at 1")
    ax.legend(loc="upper left")
    return fig


@styled
def leak(errors: np.ndarray, leaked: np.ndarray) -> Figure:
    """Errors (M,) of a predictor that only remembers, for leaked test images (M,) and others."""
    fig, ax = plt.subplots(figsize=(WIDTH, 2.8))
    known = np.isfinite(errors)
    bins = np.linspace(0, 12, 37)
    _bars(ax, errors[known & ~leaked], bins, "no copy in the training part", BLUE, "")
    _bars(ax, errors[known & leaked], bins, "a copy in the training part", ORANGE, "//")
    ax.set(
        xlabel="error (px); the last bar holds all larger ones",
        ylabel="labels",
        title="What is remembered looks learnt",
    )
    ax.legend()
    return fig


def _bars(
    ax: Axes, values: np.ndarray, bins: np.ndarray, label: str, colour: str, hatch: str
) -> None:
    mean = f"{values.mean():.1f} px" if len(values) else "none"
    style = {"color": colour, "alpha": 0.75, "hatch": hatch, "edgecolor": "white"}
    ax.hist(np.minimum(values, bins[-1]), bins=bins, label=f"{label}: mean {mean}", **style)
