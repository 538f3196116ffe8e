"""How good is it? Curves that compare several answers on the same faces."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from hglib.metrics import cumulative_curve
from hglib.plots.style import WIDTH, styled

DASHES = ("-", "--", "-.", ":")  # so that the lines differ without colour too


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
