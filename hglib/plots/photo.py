"""The figures of notebook 07: crops, votes of many windows, found faces, clicking on eyes.

Points are (x, y) in the pixels of the image that they are drawn on, 0-based, (2, 2) for a pair:
the subject's left eye first. True points are circles, found ones crosses; see
`hglib.plots.style.mark`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hglib.plots.evaluation import both
from hglib.plots.style import (
    BLUE,
    EYES,
    GREEN,
    GREY,
    ORANGE,
    WIDTH,
    YELLOW,
    mark,
    show_image,
    styled,
)

if TYPE_CHECKING:
    from hglib.photo.detect import FoundFace, Votes


@styled
def crops(
    images: Sequence[np.ndarray],
    found: np.ndarray,
    titles: Sequence[str],
    true: np.ndarray | None = None,
) -> Figure:
    """A row of crops with the eyes found in each, and the true ones where they are known.

    `images` N of (h, w); `found` and `true` (N, 2, 2).
    """
    columns = min(4, len(images))
    rows = -(-len(images) // columns)
    size = (WIDTH, (WIDTH / columns + 0.3) * rows)
    fig, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in axes.flat[len(images) :]:
        ax.remove()
    for n, ax in enumerate(axes.flat[: len(images)]):
        show_image(ax, images[n], titles[n])
        if true is None:
            mark(ax, found[n], found=True, size=80)
        else:
            both(ax, true[n], found[n])
        height, width = np.shape(images[n])
        ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))  # points may lie outside
    return fig


@styled
def vote_levels(grey: np.ndarray, votes: Votes) -> Figure:
    """One image for each size of window: the answers of all windows, over the dimmed photo.

    A segment joins the two eyes of an answer, and is the brighter the surer the answer is.
    """
    sides = np.unique(votes.boxes[:, 2])[::-1]
    height, width = grey.shape
    columns = min(3, len(sides))
    rows = -(-len(sides) // columns)
    across = 0.8 * WIDTH / columns
    shape = (0.8 * WIDTH, (across * height / width + 0.35) * rows)
    fig, axes = plt.subplots(rows, columns, figsize=shape, squeeze=False)
    for ax, side in zip(axes.flat, sides, strict=False):
        level = votes.boxes[:, 2] == side
        show_image(ax, grey // 3, f"{level.sum()} windows of {side:.0f} px")
        _segments(ax, votes.eyes[level], votes.confidence[level])
        ax.add_patch(Rectangle((0, 0), side, side, fill=False, ec=GREEN, lw=1.5))
        ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    for ax in axes.flat[len(sides) :]:
        ax.remove()
    return fig


def _segments(ax: Axes, eyes: np.ndarray, confidence: np.ndarray) -> None:
    """Pairs of eyes (N, 2, 2) as segments with round ends; their confidence (N,) as opacity."""
    for pair, sure in zip(eyes, confidence, strict=True):
        if sure > 0.15:  # weaker ones would only dim the image
            ax.plot(*pair.T, color=YELLOW, alpha=float(sure) ** 2, lw=1, marker="o", ms=2.5)


@styled
def agreement(grey: np.ndarray, pairs: dict[str, tuple[Votes, float]]) -> Figure:
    """What moved crops say about each place: their eyes, over the photo around it.

    `pairs` has for each title the votes of the crops, and their support.
    """
    fig, axes = plt.subplots(1, len(pairs), figsize=(0.8 * WIDTH, 0.8 * WIDTH / len(pairs) + 0.4))
    for ax, (title, (votes, support)) in zip(np.atleast_1d(axes), pairs.items(), strict=True):
        middle = np.median(votes.boxes[:, :2] + votes.boxes[:, 2:] / 2, axis=0)
        reach = 0.62 * np.median(votes.boxes[:, 2])
        show_image(ax, grey, f"{title}: support {support:.2f}")
        for eye, colour in enumerate(EYES):
            x, y = votes.eyes[:, eye].T
            ax.scatter(x, y, 50, marker="+", color="black", linewidths=2.5)
            ax.scatter(x, y, 40, marker="+", color=colour, linewidths=1.2)
        ax.set(xlim=(middle[0] - reach, middle[0] + reach))
        ax.set(ylim=(middle[1] + reach, middle[1] - reach))
    return fig


@styled
def finds(
    photo: np.ndarray, faces: Sequence[FoundFace], true: np.ndarray | None = None, title: str = ""
) -> Figure:
    """A photo with a frame and the support for each face found, and crosses on the eyes.

    `photo` (H, W) or (H, W, 3); `true` (F, 2, 2) adds circles.
    """
    height, width = photo.shape[:2]
    tall = 3.2  # inches: a colour photograph weighs most of all outputs
    fig, ax = plt.subplots(figsize=(tall * width / height, tall + 0.3))
    show_image(ax, photo, title)
    for pair in () if true is None else true:
        style = {"facecolors": "none", "edgecolors": GREEN, "linewidths": 2}
        ax.scatter(*np.asarray(pair).T, 70, marker="o", **style)
    for face in faces:
        left, top, side = face.box
        ax.add_patch(Rectangle((left, top), side, side, fill=False, ec=GREEN, lw=2))
        style: dict[str, Any] = {"color": "white", "backgroundcolor": GREEN, "fontsize": 9}
        ax.text(max(left, 0), max(top, 0), f"{face.support:.2f}", va="bottom", **style)
        mark(ax, face.eyes, found=True, size=60)
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    return fig


@styled
def before_after(
    images: np.ndarray, true: np.ndarray, before: np.ndarray, after: np.ndarray
) -> Figure:
    """The same faces twice: with the eyes found before and after, and each face's mean error.

    `images` (N, H, W), points (N, 2, 2).
    """
    side = WIDTH / len(images)
    size = (WIDTH, 2 * side + 0.6)
    fig, axes = plt.subplots(2, len(images), figsize=size, squeeze=False)
    for row, (name, found) in enumerate({"before": before, "after": after}.items()):
        for n, ax in enumerate(axes[row]):
            error = np.hypot(*(found[n] - true[n]).T).mean()
            show_image(ax, images[n], f"{error:.1f} px")
            both(ax, true[n], found[n])
        axes[row, 0].set_ylabel(name)
    return fig


@styled
def tremble(films: dict[str, np.ndarray]) -> Figure:
    """How far the found and the steadied x of one eye are from the true one, frame by frame.

    `films` has for each title the x of the true, the found and the steadied eye, (frames, 3) px.
    """
    fig, axes = plt.subplots(1, len(films), figsize=(0.75 * WIDTH, 2.3), squeeze=False)
    for ax, (title, x) in zip(axes.flat, films.items(), strict=True):
        true, raw, steady = x.T
        ax.axhline(0, color=GREY, lw=1, ls=":")
        ax.plot(raw - true, ".-", color=ORANGE, lw=1, label="as found")
        ax.plot(steady - true, color=BLUE, label="steadied")
        ax.set(xlabel="frame", title=title)
    axes[0, 0].set_ylabel("x minus the true x, px")
    axes[0, -1].legend()
    return fig


class Clicker:
    """Label eyes by clicking: shows one image after the other and takes two clicks on each.

    First the subject's left eye (the one further right), then the right eye. A click with another
    than the first mouse button takes the last point back. Needs a figure that reports clicks, as
    after `%matplotlib widget` (with ipympl) or in a window; `eyes` (N, 2, 2) fills up, NaN where
    nothing has been clicked yet.

    >>> clicker = Clicker([np.zeros((96, 96), np.uint8)])
    >>> clicker.eyes.shape, clicker.done
    ((1, 2, 2), False)
    >>> plt.close(clicker.fig)
    """

    def __init__(self, images: Sequence[np.ndarray]) -> None:
        self.images = list(images)
        self.eyes = np.full((len(self.images), 2, 2), np.nan)
        self.clicks = 0
        self.fig, self.ax = plt.subplots(figsize=(WIDTH / 2, WIDTH / 2))
        self.fig.canvas.mpl_connect("button_press_event", self.on_click)
        self.show()

    @property
    def done(self) -> bool:
        """Whether every image has both eyes."""
        return self.clicks == 2 * len(self.images)

    def on_click(self, event: Any) -> None:
        """Take or take back one point; clicks beside the image are ignored."""
        if event.inaxes is not self.ax:
            return
        if event.button == 1 and not self.done:
            self.eyes[divmod(self.clicks, 2)] = event.xdata, event.ydata
            self.clicks += 1
        elif event.button != 1 and self.clicks:
            self.clicks -= 1
            self.eyes[divmod(self.clicks, 2)] = np.nan
        self.show()

    def show(self) -> None:
        """Draw the current image, what is marked on it, and what to click next."""
        number = min(self.clicks // 2, len(self.images) - 1)
        eye = ("the person's LEFT eye (on the right)", "the person's RIGHT eye")[self.clicks % 2]
        self.ax.clear()
        words = "all done" if self.done else f"image {number}: click {eye}"
        show_image(self.ax, self.images[number])
        self.ax.set_title(words, loc="left")
        mark(self.ax, self.eyes[number])
        self.fig.canvas.draw_idle()
