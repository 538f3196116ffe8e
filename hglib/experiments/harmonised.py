"""What two conventions of labels cost: training on raw and on harmonised ones, tested on both."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from hglib.datasets import load
from hglib.datasets.conventions import harmonise
from hglib.datasets.split import Split, split
from hglib.experiments.record import Record, print_table
from hglib.experiments.runner import (
    FIGURES,
    Jobs,
    Option,
    Options,
    errors,
    in_words,
    keep_to,
    trained,
)
from hglib.inference import predict
from hglib.recipes import PRETRAINED, beginning, recipe

MEASURES = "training on raw and on harmonised labels, tested on both"
TAKES = "20 minutes: 30 and 100 seconds for each of three ways and three seeds"
DATA = "any"
OPTIONS = {
    "seeds": Option([0, 1, 2], [0]),
    "seconds": Option([30.0, 100.0], [0.5], "budgets"),
    "ways": Option(["raw", "harmonised", PRETRAINED], None, "of raw, harmonised, pretrained"),
    "mirror": Option(0.5, None, "share of mirrored faces; none for raw labels"),
    "synthetic_faces": Option(2000, 240, "how many, where there are no real ones"),
}


def jobs(options: Options, record: Record) -> Jobs:
    """One run for each budget, seed and way."""
    if unknown := set(options.ways) - {"raw", "harmonised", PRETRAINED}:
        raise ValueError(f"--ways: {min(unknown)!r} is none of raw, harmonised, {PRETRAINED}")
    faces = load(options.data, n_synthetic=options.synthetic_faces)
    better, finding = harmonise(faces)
    print(finding.line())
    raw, mirror = split(faces), options.mirror
    both = {"raw": raw, "harmonised": Split(*(better[part.rows] for part in raw))}
    keep_to(record, options.save, in_words(faces), labels=finding.row(), mirror=mirror)
    return {
        f"{way}, {n:g} seconds, seed {seed}": partial(run_once, way, n, seed, both, mirror)
        for n, seed, way in product(options.seconds, options.seeds, options.ways)
    }


def run_once(
    way: str, seconds: float, seed: int, both: dict[str, Split], mirror: float
) -> dict[str, Any]:
    """Train once on one kind of labels; figures against both kinds."""
    network = PRETRAINED if way == PRETRAINED else "lean"
    parts = both["raw" if way == "raw" else "harmonised"]
    config = recipe(network, seconds=seconds, seed=seed)
    share = 0.0 if way == "raw" else mirror  # raw labels lie to one side, mirrored to the other
    config = replace(config, augment=replace(config.augment, mirror=share))
    model, done = trained(partial(beginning, network), parts.train, config, parts.validation)
    found = predict(model, parts.test.images).points
    row = {"way": way, "seconds": seconds, "seed": seed, "faces": done.steps * config.batch}
    return row | {kind: errors(found, every.test.points) for kind, every in both.items()}


def show(record: Record) -> None:
    """Medians over seeds, against both kinds of labels."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, row in record.figures.items():
        groups.setdefault(name.rpartition(", ")[0], []).append(row)
    lines: dict[str, dict[str, Any]] = {name: {} for name in groups}
    for name, labels, figure in product(groups, ("harmonised", "raw"), FIGURES):
        values = [row[labels][figure] for row in groups[name]]
        lines[name][f"{labels} {figure.removesuffix('_px')}"] = float(np.median(values))
    print_table(lines, digits=3, head="trained on")
