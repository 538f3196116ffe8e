"""How good is it? Curves that compare several answers on the same faces."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

from hglib.plots.style import WIDTH, styled

DASHES = ("-", "--", "-.", ":")  # so that the lines differ without colour too


def cumulative_curve(values: ArrayLike, limit: float) -> tuple[NDArray, NDArray]:
    """Share of the values that are at most x, for x from 0 to `limit`: the corners of a staircase.

    NaN is left out, inf is never reached. Plot with `plt.step(x, share, where="post")`.

    >>> cumulative_curve([0.02, 0.04, 0.3, 0.06], limit=0.1)
    (array([0.  , 0.02, 0.04, 0.06, 0.1 ]), array([0.  , 0.25, 0.5 , 0.75, 0.75]))
    """
    values = np.ravel(values).astype(float)
    values = values[~np.isnan(values)]
    if not len(values) or not limit > 0:
        raise ValueError(f"a curve up to {limit} needs a limit above 0 and a value that is not NaN")
    x = np.unique(np.concatenate([[0.0], values[values <= limit], [limit]]))
    return x, np.searchsorted(np.sort(values), x, side="right") / len(values)


@styled
def cumulative(
    errors: Mapping[str, ArrayLike],
    limit: float = 10.0,
    axis: str = "distance from the true point (px)",
    title: str = "higher and further left is better",
) -> Figure:
    """The share of the errors that are at most x, one line for each named set of errors.

    Errors of any shape, in the unit that `axis` names; NaN (no label) is left out, inf (not found)
    is never reached.
    """
    fig, ax = plt.subplots(figsize=(0.75 * WIDTH, 3.6))
    for (name, values), dash in zip(errors.items(), cycle(DASHES), strict=False):
        x, share = cumulative_curve(values, limit)
        median = float(np.nanmedian(values))
        ax.step(x, share, where="post", linestyle=dash, label=f"{name}, median {median:.2g}")
    ax.set(xlim=(0, limit), ylim=(0, 1.02), xlabel=axis, ylabel="share of the points", title=title)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.grid(alpha=0.3)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return fig
