"""Which synthetic faces teach a network to find real eyes?

Trained on synthetic faces, measured on the VALIDATION part of the real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from hglib.augment import Augment
from hglib.checkpoint import WEIGHTS, load_model
from hglib.data import Faces
from hglib.datasets import load
from hglib.datasets.split import Split, split
from hglib.datasets.synthetic import Style
from hglib.datasets.synthetic.exact import exact_faces
from hglib.experiments.pretrain import synthetic_recipe
from hglib.experiments.record import Record
from hglib.experiments.runner import Jobs, Option, Options, errors, in_words, keep_to, trained
from hglib.hourglass import build
from hglib.inference import predict
from hglib.recipes import recipe

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


def jobs(options: Options, record: Record) -> Jobs:
    """Every row whose name contains `--only`."""
    faces = load(options.data, n_synthetic=20)
    if faces.source.startswith("synthetic"):
        raise ValueError("measured on real faces: give --data FOLDER or set HGLIB_DATA")
    keep_to(record, options.save, in_words(faces), images=options.images)
    real = split(faces)
    found = {name: make for name, make in networks(options, real).items() if options.only in name}
    return {name: partial(measure, make, real.validation) for name, make in found.items()}


def networks(options: Options, real: Split) -> dict[str, Network]:
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
    config = replace(synthetic_recipe(shown / len(faces), seed), validations=0)
    return trained(partial(build, "lean"), faces, config)[0]


def real_faces_only(train: Faces, count: int, shown: int, start: Path | None) -> nn.Module:
    """A network trained on `count` real faces, from random weights or from a checkpoint."""
    complete = train[np.flatnonzero(train.present.all(axis=1))]
    some = complete[np.random.default_rng(0).permutation(len(complete))[:count]]
    rate = recipe("lean", epochs=1).learning_rate / (1 if start is None else 10)
    changes = {"learning_rate": rate, "validations": 0, "augment": Augment()}
    make = partial(build, "lean") if start is None else partial(load_model, start)
    return trained(make, some, recipe("lean", epochs=shown / count, **changes))[0]


def measure(make: Network, faces: Faces) -> dict[str, float]:
    """Errors without the flip test, and the mean signed error of both eyes, in px."""
    points = predict(make(), faces.images).points.numpy()
    bias = np.nanmean(points - faces.points, axis=(0, 1)).round(4)  # (2,): x and y
    return {**errors(points, faces.points), "bias_x": float(bias[0]), "bias_y": float(bias[1])}
