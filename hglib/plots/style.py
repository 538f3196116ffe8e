"""What all figures share: one look, colours that a colour-blind reader can tell apart, a slider.

A figure function is decorated with `styled`, makes its figure with pyplot and returns it; the
notebook's cell ends with `plt.show()`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette (2008): distinct with every common form of colour blindness. Each colour
# keeps its meaning through the course, and a marker or a dash says the same a second time.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#777777"
CYCLE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)  # for lines, in order of use
EYES = (VERMILION, SKY)  # eye 0, the subject's left, and eye 1: both visible on grey and on maps
MAP = "magma"  # heat maps; lightness rises evenly, so it also works in print
GREYS = "gray"  # faces

WIDTH = 9.0  # inches: at 80 dpi as wide as a notebook's column
RC: dict[str, Any] = {
    "figure.dpi": 80,  # an image of about 700 pixels; the notebooks stay small
    "figure.constrained_layout.use": True,  # titles and labels never overlap
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.prop_cycle": plt.cycler(color=CYCLE),
    "image.cmap": GREYS,
    "image.interpolation": "nearest",  # a pixel is a square, as in the arrays
    "legend.frameon": False,
    "lines.linewidth": 2,
}

Function = TypeVar("Function", bound=Callable[..., Any])


def styled(function: Function) -> Function:
    """Decorator: run a figure function with the course's settings, and leave pyplot's alone.

    >>> @styled
    ... def figure():
    ...     return plt.figure()
    >>> fig = figure()
    >>> fig.dpi
    80.0
    >>> plt.close(fig)
    """

    @wraps(function)
    def with_style(*args: Any, **kwargs: Any) -> Any:
        with plt.rc_context(RC):
            return function(*args, **kwargs)

    return with_style  # type: ignore[return-value]


def show_image(ax: Axes, image: Any, title: str = "", cmap: str = GREYS, **options: Any) -> None:
    """Show a 2-d array with its pixel centres at whole numbers, without ticks.

    `image` is (H, W): uint8 is drawn from 0 to 255, anything else between its own extremes unless
    `vmin` and `vmax` are given. Other options are those of `imshow`."""
    values = np.asarray(image)
    if values.dtype == np.uint8:
        options = {"vmin": 0, "vmax": 255, **options}
    ax.imshow(values, cmap=cmap, **options)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.set_title(title)


def mark(ax: Axes, points: Any, found: bool = False, size: float = 80) -> None:
    """Mark points on an image: true ones as circles, found ones as crosses, one colour per eye.

    `points` is (K, 2), x and y in the pixels of that image; NaN points are left out. Beyond two
    points all are drawn in one colour."""
    xy = np.asarray(points, float)  # (K, 2)
    colours = EYES if len(xy) == 2 else [SKY if found else VERMILION] * len(xy)
    for (x, y), colour in zip(xy, colours, strict=True):
        if np.isnan(x + y):
            continue
        if found:
            ax.scatter(x, y, size, marker="+", c="black", linewidths=4)  # an edge, for light skin
            ax.scatter(x, y, size * 0.8, marker="+", c=colour, linewidths=2)
        else:
            ax.scatter(x, y, size, marker="o", facecolors="none", edgecolors="black", linewidths=3)
            ax.scatter(x, y, size, marker="o", facecolors="none", edgecolors=colour, linewidths=1.5)


def save(fig: Figure, name: str) -> None:
    """Save as figures/<name>.png in the checkout whose notebooks/ is the current folder.

    Anywhere else, on Colab for one, there is no such folder and nothing is written: the figure is
    only shown."""
    folder = Path.cwd().parent / "figures"
    if folder.is_dir():
        fig.savefig(folder / f"{name}.png", dpi=120, metadata={"Software": None})


# ---- a slider, or a strip of panels -------------------------------------------------------


def interactive() -> bool:
    """Whether `slider` shows a slider: a person's notebook, with ipywidgets installed.

    HGLIB_WIDGETS=0 says no and HGLIB_WIDGETS=1 yes. Without it, only Jupyter's server, VS Code and
    Colab count as a person's notebook; nbclient, nbconvert and nbval do not.
    """
    wanted = os.environ.get("HGLIB_WIDGETS", "")
    if wanted not in ("", "0", "1"):
        raise ValueError(f"HGLIB_WIDGETS is {wanted!r}; it must be 0, 1 or unset")
    if wanted == "0" or find_spec("ipywidgets") is None:
        return False
    main = vars(sys.modules["__main__"])
    by_hand = "JPY_SESSION_NAME" in os.environ or "__vsc_ipynb_file__" in main
    return wanted == "1" or by_hand or "google.colab" in sys.modules


def slider(draw: Callable[..., None], size: float = 2.4, **choices: Iterable[Any]) -> Figure | None:
    """Let the reader move through a choice; without widgets, show every choice side by side.

    `draw(ax, name=value)` draws one choice on one Axes. `choices` are one or two names with their
    values: `slider(draw, sigma=[1, 2, 4])` gives a slider, or a row of panels (wrapped after
    five); two names give two sliders, or a table with the first name's values as its rows. `size`
    is a panel's side in inches. Returns the Figure of the static strip, or None with a slider.

    Raises ValueError for no name, three or more, or a name without values.

    >>> fig = slider(lambda ax, power: ax.plot([x**power for x in range(9)]), power=[1, 2, 3])
    >>> len(fig.axes)
    3
    >>> plt.close(fig)
    """
    values = {name: list(given) for name, given in choices.items()}
    if len(values) not in (1, 2):
        raise ValueError(f"choices names {len(values)} things to slide; give one or two")
    for name, given in values.items():
        if not given:
            raise ValueError(f"{name} has no values to choose from; give a list of them")
    if interactive():
        return _widgets(draw, size, values)
    return _strip(draw, size, values)


def _widgets(draw: Callable[..., None], size: float, values: dict[str, list[Any]]) -> None:
    import ipywidgets

    @styled
    def redraw(**chosen: Any) -> None:
        _, ax = plt.subplots(figsize=(2 * size, 2 * size))
        draw(ax, **chosen)
        plt.show()

    sliders = {
        name: ipywidgets.SelectionSlider(options=given, value=given[len(given) // 2])
        for name, given in values.items()
    }
    ipywidgets.interact(redraw, **sliders)


@styled
def _strip(draw: Callable[..., None], size: float, values: dict[str, list[Any]]) -> Figure:
    (first, rows), *other = values.items()
    if other:
        [(second, columns)] = other
        chosen = [{first: a, second: b} for a in rows for b in columns]
    else:
        columns, chosen = rows[:5], [{first: a} for a in rows]
    height = -(-len(chosen) // len(columns))
    shape = (size * len(columns), (size + 0.35) * height)  # room for a title over each panel
    fig, axes = plt.subplots(height, len(columns), figsize=shape, squeeze=False)
    for ax, choice in zip(axes.flat, chosen, strict=False):
        draw(ax, **choice)
        if not (ax.get_title(loc="left") or ax.get_title()):
            ax.set_title(", ".join(f"{name} = {value}" for name, value in choice.items()))
    for ax in axes.flat[len(chosen) :]:
        ax.remove()
    return fig
