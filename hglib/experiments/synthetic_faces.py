"""Which synthetic faces teach a network to find real eyes?

Trained on synthetic faces, measured on the VALIDATION part of the real ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hglib.augment import Augment
from hglib.checkpoint import WEIGHTS, load_model
from hglib.data import Faces
from hglib.datasets.split import Split, split
from hglib.datasets.synthetic import Style
from hglib.datasets.synthetic.exact import exact_faces
from hglib.experiments.pretrain import synthetic_recipe
from hglib.experiments.record import Record, print_table
from hglib.experiments.runner import Jobs, Option, in_words, keep_to, real_faces, whole
from hglib.hourglass import build
from hglib.inference import predict
from hglib.metrics import evaluate
from hglib.recipes import recipe
from hglib.train import fit

MEASURES = "which synthetic faces teach a network to find real eyes"
TAKES = "about ten minutes on two cores"
DATA = "real"
OPTIONS = {
    "counts": Option([125, 500, 2000, 8000], [20], "synthetic faces, shown more or less often"),
    "base": Option(2000, 20, "synthetic faces in the rows that lack a part"),
    "images": Option(8000, 32, "shown in each row of synthetic faces"),
    "real_counts": Option([50, 200, 1000], [10], "real faces to train on"),
    "real_images": Option(4000, 32, "shown in each of these rows"),
    "only": Option("", help="rows whose name contains this"),
}
Network = Callable[[], nn.Module]


def jobs(options: argparse.Namespace, record: Record) -> Jobs:
    """Every row whose name contains `--only`."""
    faces = real_faces(options)
    keep_to(record, options.save, in_words(faces), images=options.images)
    real = split(faces)
    found = {name: make for name, make in networks(options, real).items() if options.only in name}
    return {name: partial(measure, make, real.validation) for name, make in found.items()}


def networks(options: argparse.Namespace, real: Split) -> dict[str, Network]:
    """Every row of the study by name, and how its network is made."""
    shown, base = options.images, options.base
    plan: dict[str, Network] = {}
    for count in options.counts:
        plan[f"{count} synthetic faces"] = partial(train_on, count, shown)
    for seed in (1, 2):  # with the row of `base` faces above: three seeds tell what is luck
        plan[f"{base} synthetic faces, seed {seed}"] = partial(train_on, base, shown, seed)
    for part in parts_of_the_generator():
        style = replace(Style(), **{part: False})
        plan[f"without {part}"] = partial(train_on, base, shown, style=style)
    for count in options.real_counts:
        some = partial(real_faces_only, real.train, count, options.real_images)
        plan[f"{count} real faces alone"] = partial(some, None)
        plan[f"pretrained, then {count} real faces"] = partial(some, WEIGHTS / "lean.safetensors")
    return plan


def parts_of_the_generator() -> list[str]:
    """The switches of `Style`, each of which one row turns off."""
    return [field.name for field in fields(Style) if isinstance(field.default, bool)]


def train_on(count: int, shown: int, seed: int = 0, style: Style | None = None) -> nn.Module:
    """A network from random weights, trained on `count` synthetic faces, `shown` images in all."""
    faces = exact_faces(count, seed, style)
    torch.manual_seed(seed)
    model = build("lean")
    config = replace(synthetic_recipe(shown / len(faces), seed), validations=0)
    whole(fit(model, faces, None, config))
    return model


def real_faces_only(train: Faces, count: int, shown: int, start: Path | None) -> nn.Module:
    """A network trained on `count` real faces, from random weights or from a checkpoint."""
    torch.manual_seed(0)
    model = build("lean") if start is None else load_model(start)
    complete = train[np.flatnonzero(train.present.all(axis=1))]
    some = complete[np.random.default_rng(0).permutation(len(complete))[:count]]
    rate = recipe("lean", epochs=1).learning_rate / (1 if start is None else 10)
    changes = {"learning_rate": rate, "validations": 0, "augment": Augment()}
    whole(fit(model, some, None, recipe("lean", epochs=shown / count, **changes)))
    return model


def measure(make: Network, faces: Faces) -> dict[str, float]:
    """Errors without the flip test, and the mean signed error of both eyes, in px."""
    points = predict(make(), faces.images).points.numpy()
    report = evaluate(points, faces.points).row()
    bias = np.nanmean(points - faces.points, axis=(0, 1))  # (2,): x and y
    shown = {name: report[name] for name in ("mean_px", "median_px", "e05", "e10", "e25")}
    row = {**shown, "bias_x": float(bias[0]), "bias_y": float(bias[1])}
    return {name: round(value, 4) for name, value in row.items()}


def show(record: Record) -> None:
    """One line for each row."""
    print_table(record.figures, head="on the validation part")
