"""What harmonised labels are worth: labels of two conventions as they are, or moved to their mean.

Each network is trained once and tested on the same faces against both kinds of labels.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch

from hglib.datasets.conventions import harmonise
from hglib.datasets.split import Split, split
from hglib.experiments.record import Record, print_table
from hglib.experiments.runner import Jobs, Option, faces_for, in_words, keep_to, whole
from hglib.gpu import fit
from hglib.inference import predict
from hglib.metrics import evaluate
from hglib.recipes import PRETRAINED, beginning, recipe

MEASURES = "training on raw and on harmonised labels, tested on both"
TAKES = "20 minutes: 30 and 100 seconds for each of three ways and three seeds"
DATA = "any"
OPTIONS = {
    "seeds": Option([0, 1, 2], [0]),
    "seconds": Option([30.0, 100.0], [0.5], "budgets"),
    "epochs": Option([0.0], [0.0], "budgets in passes instead of seconds, where above 0"),
    "ways": Option(["raw", "harmonised", PRETRAINED], None, "of raw, harmonised, pretrained"),
    "mirror": Option(0.5, None, "share of mirrored faces; none for raw labels"),
    "synthetic_faces": Option(2000, 240, "how many, where there are no real ones"),
}
FIGURES = ("mean_px", "median_px", "e05", "e10")


def jobs(options: argparse.Namespace, record: Record) -> Jobs:
    """One run for each budget, seed and way."""
    unknown = [way for way in options.ways if way not in ("raw", "harmonised", PRETRAINED)]
    if unknown:
        raise ValueError(f"--ways: {unknown[0]!r} is none of raw, harmonised, {PRETRAINED}")
    faces, mirror = faces_for(options), options.mirror
    better, finding = harmonise(faces)
    print(finding.line())
    raw = split(faces)
    both = {"raw": raw, "harmonised": Split(*(better[part.rows] for part in raw))}
    keep_to(record, options.save, in_words(faces), labels=finding.row(), mirror=mirror)
    epochs = [("epochs", amount) for amount in options.epochs if amount > 0]
    return {
        f"{way}, {n:g} {unit}, seed {seed}": partial(run_once, way, {unit: n}, seed, both, mirror)
        for unit, n in epochs or [("seconds", amount) for amount in options.seconds]
        for seed in options.seeds
        for way in options.ways
    }


def run_once(
    way: str, budget: dict[str, float], seed: int, both: dict[str, Split], mirror: float
) -> dict[str, Any]:
    """Train once on one kind of labels; figures against both kinds."""
    network = PRETRAINED if way == PRETRAINED else "lean"
    parts = both["raw" if way == "raw" else "harmonised"]
    torch.manual_seed(seed)
    model, config = beginning(network), recipe(network, seed=seed, **budget)
    share = 0.0 if way == "raw" else mirror  # raw labels lie to one side, mirrored to the other
    config = replace(config, augment=replace(config.augment, mirror=share))
    done = whole(fit(model, parts.train, parts.validation, config))
    found = predict(model, parts.test.images).points.numpy()
    row: dict[str, Any] = {"way": way, **budget, "seed": seed, "faces": done.steps * config.batch}
    for labels, every in both.items():
        report = evaluate(found, every.test.points).row()
        row[labels] = {name: report[name] for name in FIGURES}
    return row


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
