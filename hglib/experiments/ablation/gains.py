"""The table of gains: what the results of the ablation say, and how sure one can be of it.

Notebook 06 teaches it. Errors are means over the test faces, in image pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hglib.experiments.record import Record, read

if TYPE_CHECKING:
    import pandas as pd

LEARNT_PX = 5.0  # a row above it never got off the ground; its spread says nothing about luck

Rows = Mapping[str, Mapping[str, Any]]


def load_rows(source: str | Record = "synthetic") -> dict[str, dict[str, Any]]:
    """The rows of the ablation by name, in its order; those that have not run yet are left out.

    source: "synthetic" or "real" for the published results, or a record of your own. Each row holds
    what it is, and its "runs": seed -> figures.
    """
    record = read(f"ablation_{source}") if isinstance(source, str) else source
    rows = {name: {**row, "runs": {}} for name, row in record.about["rows"].items()}
    for key, figures in record.figures.items():
        name, seed = key.split(", seed ")
        rows[name]["runs"][seed] = figures
    return {name: row for name, row in rows.items() if row["runs"]}


def by_seed(
    row: Mapping[str, Any], figure: str = "mean_px", seeds: Sequence[str] | None = None
) -> np.ndarray:
    """One figure of a row, (S,), in the order of its seeds."""
    wanted = sorted(row["runs"], key=int) if seeds is None else seeds
    return np.array([row["runs"][seed][figure] for seed in wanted])


class Gain(NamedTuple):
    """A difference of two rows in px, positive where the first one is better, and its standard
    error."""

    px: float
    error: float

    @property
    def sure(self) -> bool:
        """Whether it is more than twice its standard error: luck alone does that in 1 of 20."""
        return abs(self.px) > 2 * self.error


def paired(better: ArrayLike, worse: ArrayLike) -> Gain:
    """The mean difference over runs with the same seeds, and its standard error sd / sqrt(S)."""
    ours, theirs = np.asarray(better, float), np.asarray(worse, float)
    if ours.shape != theirs.shape or ours.ndim != 1 or len(ours) < 2:
        raise ValueError(f"got {ours.shape} and {theirs.shape}: give the same seeds, two or more")
    saved = theirs - ours  # (S,)
    return Gain(float(saved.mean()), float(saved.std(ddof=1) / np.sqrt(len(saved))))


def luck(rows: Rows, groups: Sequence[str] = ("parts", "hourglass")) -> float:
    """The standard deviation of one run among its row's seeds, in px, pooled over rows.

    Three seeds say little about the spread of one row, those of forty rows together say enough.
    Rows that did not learn are left out.
    """
    runs = [by_seed(row) for row in rows.values() if row["group"] in groups]
    runs = [errors for errors in runs if len(errors) > 1 and errors.max() < LEARNT_PX]
    if not runs:
        raise ValueError("no row of these groups has two seeds: luck cannot be measured")
    squares = sum(((errors - errors.mean()) ** 2).sum() for errors in runs)
    return float(np.sqrt(squares / sum(len(errors) - 1 for errors in runs)))


def gain(rows: Rows, name: str, against: str | None = None, pooled: float | None = None) -> Gain:
    """What row `name` saves against another, by default the one that it is meant to be held to.

    The standard error comes from `pooled`, the spread of one run (see `luck`); without it, or where
    one of the rows did not learn, from the paired differences.
    """
    other = rows[against or rows[name]["against"]]
    seeds = sorted(set(rows[name]["runs"]) & set(other["runs"]), key=int)
    ours, theirs = by_seed(rows[name], seeds=seeds), by_seed(other, seeds=seeds)
    if pooled is None or (max(*ours, *theirs) > LEARNT_PX and len(seeds) > 1):
        return paired(ours, theirs)
    return Gain(float((theirs - ours).mean()), pooled * float(np.sqrt(2 / len(seeds))))


def table(
    kind: str | Record = "synthetic", group: str | None = None, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """The table of gains: one line per row, means over the seeds, px.

    `spread` is the worst seed minus the best, `saves` the gain on the row in `against`, with `+-`
    its standard error.
    """
    import pandas as pd

    rows = load_rows(kind)
    wanted = [n for n, row in rows.items() if group in (None, row["group"])]
    lines = {name: line(rows, name) for name in names or wanted}
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("row")


def line(rows: Rows, name: str) -> dict[str, Any]:
    """One line of the table."""
    row, errors = rows[name], by_seed(rows[name])
    shared = set(row["runs"]) & set(rows[row["against"]]["runs"])
    compared = row["against"] != name and len(shared) > 1
    saved = gain(rows, name) if compared else Gain(np.nan, np.nan)
    return {
        "what": row["what"],
        "px": errors.mean(),
        "spread": np.ptp(errors),
        "e<=.05": 100 * by_seed(row, "e05").mean(),
        "saves": saved.px,
        "+-": saved.error,
        "against": row["against"] if row["against"] != name else "",
        "images": row["images"],
        "MFLOP": row["mflop"],
        "s": by_seed(row, "cpu_seconds").mean(),  # on one core that does nothing else
        "seeds": len(errors),
    }


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """The correlation of the ranks (Spearman 1904): 1 for the same order, -1 for the reverse."""
    import pandas as pd

    return float(pd.Series(a).rank().corr(pd.Series(b).rank()))
