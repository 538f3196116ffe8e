"""How far each network gets in the same number of seconds, and what the flip test adds.

Each network is trained with its own recipe and measured on the test part. All start from random
weights but "pretrained", which starts from those that come with hglib. Where two conventions are
found in the labels (`hglib.datasets.conventions`), "harmonised" ones can be learned instead of the
"raw" ones: with mirrored copies, which raw labels contradict, and measured against both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from hglib.data import Faces
from hglib.datasets import load
from hglib.datasets.conventions import harmonise
from hglib.datasets.split import Split, split
from hglib.experiments import runner
from hglib.experiments.record import Record, print_table
from hglib.experiments.runner import FIGURES, Jobs, Option, Options
from hglib.inference import MIRROR_EYES, predict
from hglib.metrics import evaluate, mean_position_baseline
from hglib.recipes import RECIPES, beginning, recipe

MEASURES = "the error of each network after the same seconds of training"
TAKES = "ten minutes: 100 seconds for each network and seed"
DATA = "any"
OPTIONS = {
    "seeds": Option([0, 1, 2], [0]),
    "seconds": Option([100.0], [0.5], "budgets"),
    "networks": Option(["original", "lean"], ["lean"], "of original, lean, pretrained, stacked"),
    "labels": Option(["raw"], ["raw", "harmonised"], "to learn: raw, harmonised"),
    "synthetic_faces": Option(2000, 60, "how many, where there are no real ones"),
}
THRESHOLDS = (2.0, 1.5, 1.25)  # px: when did the validation error first come so low?
VALIDATIONS = 20  # looks at the validation part during a run; their time is part of the budget


def jobs(options: Options, record: Record) -> Jobs:
    """One run for each budget, seed and network."""
    unknown = [name for name in options.networks if name not in RECIPES]
    if unknown:
        raise ValueError(f"--networks: {unknown[0]!r} is none of {', '.join(RECIPES)}")
    if not all(0 < seconds < float("inf") for seconds in options.seconds):
        raise ValueError(f"--seconds {options.seconds}: expected more than 0")
    if unknown := set(options.labels) - {"raw", "harmonised"}:
        raise ValueError(f"--labels: {min(unknown)!r} is none of raw, harmonised")
    faces = load(options.data, n_synthetic=options.synthetic_faces)
    raw = split(faces)
    guess = mean_position_baseline(raw.train.points, len(raw.test))
    baseline = evaluate(guess, raw.test.points).mean_px
    runner.keep_to(record, options.save, runner.in_words(faces), mean_position_px=baseline)
    ways: dict[str, Any] = {"raw": partial(run_once, parts=raw)}
    if "harmonised" in options.labels:
        better, finding = harmonise(faces)
        print(finding.line())
        moved = Split(*(better[part.rows] for part in raw))
        ways["harmonised"] = partial(run_once, parts=moved, raw=raw.test)
    return {
        f"{network}, {seconds:g} s{', harmonised' * (labels != 'raw')}, seed {seed}": partial(
            ways[labels], network, seconds, seed
        )
        for seconds, seed, network, labels in product(
            options.seconds, options.seeds, options.networks, options.labels
        )
    }


def run_once(
    network: str, seconds: float, seed: int, parts: Split, raw: Faces | None = None
) -> dict[str, Any]:
    """Train once and test twice: plain, and averaged with the mirrored image ("flip").

    `raw` is the test part with the labels of the files, where harmonised ones are learned.
    """
    config = recipe(network, seconds=seconds, seed=seed, validations=VALIDATIONS)
    if raw:
        config = replace(config, augment=replace(config.augment, mirror=0.5))
    make = partial(beginning, network)
    model, result = runner.trained(make, parts.train, config, parts.validation)
    curve = result.history.dropna(subset="val_mean_px")
    words = f"{network}, harmonised" if raw else network
    row: dict[str, Any] = {"network": words, "seconds": seconds, "seed": seed}
    row["faces_trained"] = result.steps * config.batch
    row["seconds_to"] = crossings(curve["seconds"].round(1), curve["val_mean_px"])
    for way, order in (("plain", None), ("flip", MIRROR_EYES)):
        found = predict(model, parts.test.images, order).points
        row[way] = runner.errors(found, parts.test.points)
        if raw:
            row[way]["raw_px"] = runner.errors(found, raw.points)["mean_px"]
    return row


def crossings(seconds: Iterable[float], errors: Iterable[float]) -> dict[str, float]:
    """When a validation curve first comes down to each of THRESHOLDS; those it reaches."""
    first = {}
    for px in THRESHOLDS:
        reached = [s for s, error in zip(seconds, errors, strict=True) if error <= px]
        if reached:
            first[str(px)] = reached[0]
    return first


def rows(record: Record) -> list[dict[str, Any]]:
    """Two flat rows for each run, "flip" False and True."""
    found = []
    for run in record.figures.values():
        shared = {key: value for key, value in run.items() if key not in ("plain", "flip")}
        found += [{**shared, "flip": way == "flip", **run[way]} for way in ("plain", "flip")]
    return found


def by_setting(record: Record, flip: bool = False) -> dict[tuple[float, str], list[dict[str, Any]]]:
    """The rows of each budget and network, one for each seed, shortest budget first."""
    groups: dict[tuple[float, str], list[dict[str, Any]]] = {}
    for row in rows(record):
        if row["flip"] == flip:
            groups.setdefault((row["seconds"], row["network"]), []).append(row)
    return dict(sorted(groups.items()))


def median_row(same: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The median over seeds, number by number, and the spread (max - min) of the mean error."""
    names = [*FIGURES, *({"raw_px"} & set(same[0]))]
    middle = {name: float(np.median([row[name] for row in same])) for name in names}
    means = [row["mean_px"] for row in same]
    return {**middle, "spread_px": max(means) - min(means), "seeds": len(same)}


def median_crossings(same: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Median over seeds of the seconds to each threshold that every seed reached."""
    return {
        px: float(np.median([row["seconds_to"][px] for row in same]))
        for px in map(str, THRESHOLDS)
        if all(px in row["seconds_to"] for row in same)
    }


def show(record: Record, flips: Sequence[bool] = (False, True)) -> None:
    """Medians over seeds, and the seconds to each threshold of the validation error."""
    lines: dict[str, dict[str, Any]] = {"mean position": {"seeds": None}}
    lines["mean position"]["mean px"] = record.about["mean_position_px"]
    for flip in flips:
        for (seconds, network), same in by_setting(record, flip).items():
            row, name = median_row(same), f"{network}, {seconds:g} s" + ", flip" * flip
            line = {"seeds": row["seeds"], "mean px": row["mean_px"], "spread": row["spread_px"]}
            line |= {"median px": row["median_px"], "raw px": row.get("raw_px")}
            shares = {f"e<=.{name[1:]} %": 100 * row[name] for name in ("e05", "e10", "e25")}
            times = {f"s to {px} px": s for px, s in median_crossings(same).items()}
            lines[name] = {**line, **shares, **({} if flip else times)}
    print_table(lines, digits=2, head="network")
