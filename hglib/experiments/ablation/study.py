"""What each part is worth, one row at a time, at equal cost.

Cost is counted in floating-point operations (FLOPs) of the forward passes in training, never in
seconds, so the same seed gives the same row on a busy machine.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from functools import cache, partial
from typing import Any

import numpy as np
from torch import nn

from hglib.anatomy import flops
from hglib.anatomy.variants import VARIANTS
from hglib.augment import Augment
from hglib.data import Faces
from hglib.datasets import load, locate
from hglib.datasets.split import split
from hglib.experiments.ablation import gains
from hglib.experiments.ablation.rows import Plan, all_plans
from hglib.experiments.record import Record, print_table
from hglib.experiments.runner import Jobs, Option, Options, errors, keep_to, trained
from hglib.hourglass import build
from hglib.inference import predict
from hglib.train import TrainConfig, TrainingError

MEASURES = "what each part of the default is worth: 62 rows at equal cost"
TAKES = "about an hour on two cores; eleven seconds for one row and seed"
DATA = "any"
SYNTHETIC_FACES = 6000  # nearly as many as Kaggle's 7049
IMAGES = 4000  # shown to our default in each run: some eleven seconds on one quiet core
OPTIONS = {
    "seeds": Option([0, 1, 2], [0]),
    "rows": Option([], ["default", "depth-2", "repair-schedule"], "only these; see --list"),
    "images": Option(IMAGES, 320, "shown to our default, and to others at equal cost"),
    "synthetic_faces": Option(SYNTHETIC_FACES, 300, "how many, where there are no real ones"),
    # "auto" depends on the processor, which a test must not.
    "precision": Option("auto", "float32", "of the convolutions; auto: as each row says"),
}
WORDS = ("group", "what", "question", "against")  # they change no weight


def build_network(plan: Plan) -> nn.Module:
    """The plan's network with random weights from torch's generator."""
    variant = VARIANTS.get(plan.network)
    return variant(**plan.options) if variant else build(plan.network, **plan.options)


def images_shown(plan: Plan, budget: int = IMAGES) -> int:
    """As many images as cost what `budget` cost our default, from an eighth to three times."""
    if plan.same_images:
        return budget
    paid_for = round(budget * default_flops() / flops(build_network(plan)))
    return min(3 * budget, max(budget // 8, paid_for))


@cache
def default_flops() -> int:
    """Those of our default network, which every other one is held to."""
    return flops(build_network(all_plans()["default"]))


@dataclass(frozen=True, eq=False)
class Data:
    """What every run of a study shares."""

    about: str  # in words
    train: Faces
    images: np.ndarray  # (N, 96, 96) uint8, the test part (or the one that was asked for)
    points: np.ndarray  # (N, K, 2): what the network's answers are compared with, from 0


class Unswapped(Faces):
    """Faces whose mirror image keeps left and right as they were: the classic mistake."""

    @property
    def mirror_order(self) -> np.ndarray:
        """(K,) int: every channel stays in its place."""
        return np.arange(len(self.landmarks))


def load_data(
    source: str | None, count: int = SYNTHETIC_FACES, verbose: bool = True, part: str = "test"
) -> Data:
    """The study's data; `part` is measured, on the true points (truth.csv) of synthetic faces."""
    faces = load(source, n_synthetic=count, verbose=verbose)
    parts = split(faces)
    train, test = parts.train, getattr(parts, part)
    if not faces.source.startswith("synthetic"):
        about = "Kaggle's files; measured against the labels minus 1"
        return Data(about, train, test.images, test.points)
    import pandas as pd

    columns = [f"{name}_{axis}" for name in faces.landmarks for axis in "xy"]
    table = pd.read_csv(locate(source, count) / "truth.csv")[columns].to_numpy(np.float32)
    points = table.reshape(len(faces), -1, 2)[test.rows]  # (N, K, 2)
    return Data(f"{faces.source}; measured against the true points", train, test.images, points)


def training_faces(plan: Plan, train: Faces) -> Faces:
    """The faces with the plan's labels: 1-based ones lie a pixel right and down."""
    kind = Faces if plan.swap else Unswapped
    points = train.points + np.float32(1 - plan.first_pixel)  # load has subtracted 1
    return kind(train.images, points, train.landmarks, train.rows, train.source)


class Runner:
    """Trains and measures; rows that differ only in the decoder share one training."""

    def __init__(self, data: Data, images: int = IMAGES) -> None:
        self.data, self.images = data, images
        self.last: tuple[Any, nn.Module | None, dict[str, Any]] | None = None

    def run(self, plan: Plan, seed: int) -> dict[str, Any]:
        """The figures of one row and one seed."""
        key = (replace(plan, name="", **dict.fromkeys(WORDS, ""), decoder=None), seed)
        if self.last is None or self.last[0] != key:
            self.last = (key, *train(plan, seed, self.data.train, self.images))
        _, model, cost = self.last
        points = np.full_like(self.data.points, np.nan)  # nothing is found with broken weights
        if model is not None:
            points = predict(model, self.data.images, decoder=plan.decoder).points.numpy()
        return errors(points, self.data.points) | cost


def train(
    plan: Plan, seed: int, faces: Faces, images: int = IMAGES
) -> tuple[nn.Module | None, dict[str, Any]]:
    """The trained network and its `cpu_seconds`; None and `stopped` too, if the loss broke."""
    model, cost = None, {}
    config = training_config(plan, seed, len(faces), images)
    start = time.process_time()  # not the clock on the wall: other programs do not count
    try:
        model, _ = trained(partial(build_network, plan), training_faces(plan, faces), config)
    except TrainingError as error:
        cost = {"stopped": str(error).split(";")[0]}
    return model, {"cpu_seconds": round(time.process_time() - start, 1), **cost}


def training_config(plan: Plan, seed: int, count: int, images: int = IMAGES) -> TrainConfig:
    """The plan as `hglib.train` takes it, for `count` training faces."""
    same = ("objective", "augment", "batch", "learning_rate", "schedule", "precision")
    settings = {name: getattr(plan, name) for name in same}
    epochs = images_shown(plan, images) / count
    return TrainConfig(epochs=epochs, seed=seed, validations=0, **settings)


def describe(plan: Plan, images: int = IMAGES) -> dict[str, Any]:
    """What a row is, as the results file keeps it."""
    network = build_network(plan)
    wanted = (*WORDS, "network", "options", "batch", "learning_rate", "schedule", "precision")
    labels = "from 0" if plan.first_pixel else "from 1"
    row: dict[str, Any] = {name: getattr(plan, name) for name in wanted}
    row["options"] = {k: list(v) if isinstance(v, tuple) else v for k, v in plan.options.items()}
    row["objective"] = asdict(plan.objective)
    row["augment"] = "none" if plan.augment == Augment.none() else asdict(plan.augment)
    row["labels"] = labels + (", rounded" if plan.objective.round_labels else "")
    row["mirror_swaps"] = plan.swap
    row["decoder"] = plan.decoder or network.decoder
    row["mflop"] = round(flops(network) / 1e6, 1)
    row["images"] = images_shown(plan, images)
    return row


def choose(names: Sequence[str]) -> list[Plan]:
    """The rows of these names, or all. Raises ValueError for an unknown name, with the nearest."""
    plans = all_plans()
    for name in names:
        if name not in plans:
            near = get_close_matches(name, plans, n=1)
            hint = f"did you mean {near[0]}?" if near else "--list shows all names"
            raise ValueError(f"--rows: no row is called {name!r}; {hint}")
    return [plans[name] for name in names] if names else list(plans.values())


def jobs(options: Options, record: Record) -> Jobs:
    """Every row once before any row twice; a row whose settings have changed is measured anew."""
    plans = choose(options.rows)
    if options.precision != "auto":
        plans = [replace(plan, precision=options.precision) for plan in plans]
    data = load_data(options.data, options.synthetic_faces)
    counts = {"test_faces": len(data.images), "training_faces": len(data.train)}
    keep_to(record, options.save, data.about, **counts, flip_test=False, images=options.images)
    rows = record.about.setdefault("rows", {})
    for plan in plans:
        now = describe(plan, options.images)
        if any(rows.get(plan.name, {}).get(key) != now[key] for key in now if key not in WORDS):
            for stale in [key for key in record.figures if key.startswith(f"{plan.name}, seed ")]:
                del record.figures[stale]
        rows[plan.name] = now
    runner = Runner(data, options.images)
    pairs = [(plan, seed) for seed in options.seeds for plan in plans]
    return {f"{plan.name}, seed {seed}": partial(runner.run, plan, seed) for plan, seed in pairs}


def print_rows() -> None:
    """One line per row: its name, cost, images, and what it is."""
    for plan in all_plans().values():
        cost = flops(build_network(plan)) / 1e6
        print(f"{plan.name:18} {cost:4.0f} MFLOP x {images_shown(plan):5d}  {plan.what}")


def show(record: Record) -> None:
    """Mean errors over the seeds beside the published ones."""
    kind = "synthetic" if (record.data or "").startswith("synthetic") else "real"
    published = gains.load_rows(kind)
    lines = {}
    for name, row in gains.load_rows(record).items():
        px = gains.by_seed(row)
        theirs = float(gains.by_seed(published[name]).mean()) if name in published else None
        cells = {"mean px": float(px.mean()), "spread": float(np.ptp(px)), "seeds": len(px)}
        lines[name] = {**cells, "published px": theirs}
    print_table(lines, digits=2, head="row")
