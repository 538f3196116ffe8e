"""`python -m hglib.experiments.accuracy`: how far each network gets in the same number of seconds.

Trains every network from random weights with its own default settings, one run after the other
with nothing else in between, several seeds each, and prints the errors on the test part. With
`--save` the table is kept in a small text file, which the notebooks and the README read.

The network called "shipped" is our default that starts from the weights that come with hglib, which
were trained on drawn faces only.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from hglib.data import Split, split
from hglib.datasets import load
from hglib.inference import MIRROR_EYES, predict
from hglib.metrics import evaluate, mean_position_baseline
from hglib.recipes import SHIPPED, beginning, recipe
from hglib.train import fit

THRESHOLDS = (2.0, 1.5, 1.25)  # px: when did the validation error first come so low?
VALIDATIONS = 20  # looks at the validation part during a run; their time is part of the budget
SHOWN = ("mean_px", "median_px", "e05", "e10", "e25")  # the columns of the printed table


@dataclass(frozen=True)
class Row:
    """One network, one budget, one seed, one way of testing. Taught in: 05_evaluation"""

    network: str
    seconds: float
    seed: int
    flip: bool  # averaged with the mirrored picture
    faces_trained: int
    mean_px: float
    median_px: float
    e05: float
    e10: float
    e25: float
    # Seconds until the validation error was first below so many px; nothing where it never was.
    seconds_to: dict[str, float] = field(default_factory=dict)


def crossings(seconds: Sequence[float], errors: Sequence[float]) -> dict[str, float]:
    """When a validation curve first comes down to each of THRESHOLDS; those it reaches.

    >>> crossings([10, 20, 30], [2.4, 1.8, 1.3])
    {'2.0': 20, '1.5': 30}

    Taught in: 05_evaluation
    """
    first = {}
    for px in THRESHOLDS:
        reached = [s for s, error in zip(seconds, errors, strict=True) if error <= px]
        if reached:
            first[str(px)] = reached[0]
    return first


def run_once(network: str, seconds: float, seed: int, parts: Split) -> list[Row]:
    """Train and test, plain and with the flip test. Taught in: 05_evaluation"""
    torch.manual_seed(seed)
    model = beginning(network)
    config = recipe(network, seconds=seconds, seed=seed, validations=VALIDATIONS)
    result = fit(model, parts.train, parts.validation, config)
    curve = result.history.dropna(subset="val_mean_px")
    reached = crossings(curve["seconds"].round(1).tolist(), curve["val_mean_px"].tolist())
    rows = []
    for flip in (False, True):
        found = predict(model, parts.test.images, MIRROR_EYES if flip else None)
        report = evaluate(found.points.numpy(), parts.test.points).row()
        shown = {name: report[name] for name in SHOWN}
        count = result.steps * config.batch
        rows.append(Row(network, seconds, seed, flip, count, **shown, seconds_to=reached))
    return rows


def median_row(rows: Sequence[Row]) -> dict[str, float]:
    """The median over seeds, number by number, and the spread (max - min) of the mean error.

    Taught in: 05_evaluation
    """
    middle = {name: float(np.median([getattr(r, name) for r in rows])) for name in SHOWN}
    means = [row.mean_px for row in rows]
    return {**middle, "spread_px": max(means) - min(means), "seeds": len(rows)}


def summarise(rows: Sequence[Row]) -> dict[tuple[str, float, bool], dict[str, float]]:
    """`median_row` for every network, budget and way of testing, in order of appearance.

    Taught in: 05_evaluation
    """
    keys = dict.fromkeys((row.network, row.seconds, row.flip) for row in rows)
    return {k: median_row([r for r in rows if (r.network, r.seconds, r.flip) == k]) for k in keys}


def median_crossings(rows: Sequence[Row]) -> dict[str, float]:
    """Median over seeds of the seconds to each threshold that every seed reached.

    Taught in: 05_evaluation
    """
    return {
        px: float(np.median([row.seconds_to[px] for row in rows]))
        for px in map(str, THRESHOLDS)
        if all(px in row.seconds_to for row in rows)
    }


def print_crossings(rows: Sequence[Row]) -> None:
    """Seconds until the validation error came down to so many px. Taught in: 05_evaluation"""
    thresholds = [str(px) for px in THRESHOLDS]
    print("network        budget  " + "".join(f"{f's to {px} px':>14}" for px in thresholds))
    for network, seconds in dict.fromkeys((row.network, row.seconds) for row in rows):
        same = [r for r in rows if (r.network, r.seconds) == (network, seconds)]
        reached = median_crossings(same)
        shown = "".join(
            f"{reached[px]:14.0f}" if px in reached else f"{'-':>14}" for px in thresholds
        )
        print(f"{network:13} {seconds:5.0f} s  {shown}")


def print_rows(rows: Sequence[Row], baseline_px: float) -> None:
    """The table of medians over seeds. Taught in: 05_evaluation"""
    print("network        seconds  flip  seeds  mean px (spread)  median  e<=.05  e<=.10  e<=.25")
    print(f"mean position        0     -      -      {baseline_px:5.2f}")
    for (network, seconds, flip), r in summarise(rows).items():
        shares = "  ".join(f"{100 * r[name]:5.1f}%" for name in ("e05", "e10", "e25"))
        px = f"{r['mean_px']:6.2f} ({r['spread_px']:5.2f})"
        start = f"{network:13} {seconds:8.0f}  {'yes' if flip else 'no':>4}  {r['seeds']:5.0f}"
        print(f"{start}    {px}  {r['median_px']:6.2f}  {shares}")


def parser() -> argparse.ArgumentParser:
    """The options of the benchmark. Taught in: 05_evaluation"""
    options = argparse.ArgumentParser(
        prog="python -m hglib.experiments.accuracy", description=__doc__
    )
    options.add_argument("--data", help="as for `python -m hglib train`")
    options.add_argument("--seconds", type=float, nargs="+", default=[100.0], help="budgets (100)")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(0 1 2)")
    names = ["original", "lean", SHIPPED, "stacked"]
    options.add_argument("--networks", nargs="+", default=names[:2], choices=names)
    options.add_argument("--save", type=Path, help="add the rows to this JSON file")
    return options


def save(path: Path, source: str, rows: Sequence[Row], baseline_px: float) -> None:
    """Keep the rows, beside those of the file that were measured with other settings.

    Taught in: 05_evaluation
    """
    fresh = [asdict(row) for row in rows]
    settings = ("network", "seconds", "seed", "flip")
    measured = {tuple(row[name] for name in settings) for row in fresh}
    old = json.loads(path.read_text())["rows"] if path.exists() else []
    kept = [row for row in old if tuple(row[name] for name in settings) not in measured]
    about = {
        # Not the path: it is the reader's own, and says nothing to anybody else.
        "data": source if source.startswith("synthetic") else "Kaggle's files, labels minus 1",
        "command": "python -m hglib.experiments.accuracy --seconds SECONDS --seeds 0 1 2",
        "date": time.strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "machine": f"{torch.get_num_threads()} threads, {platform.machine()}",
        "mean_position_px": baseline_px,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, "rows": kept + fresh}, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status."""
    options = parser().parse_args(arguments)
    faces = load(options.data)
    parts = split(faces)
    guess = mean_position_baseline(parts.train.points, len(parts.test))
    baseline = evaluate(guess, parts.test.points).mean_px
    rows: list[Row] = []
    for seconds in options.seconds:
        for seed in options.seeds:
            for network in options.networks:
                new = run_once(network, seconds, seed, parts)
                rows += new
                print(f"{network}, {seconds:.0f} s, seed {seed}: {new[0].mean_px:.3f} px")
                if options.save:  # after every run: an interruption loses one run at most
                    save(options.save, faces.source, rows, baseline)
    print()
    print_rows(rows, baseline)
    print()
    print_crossings(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
