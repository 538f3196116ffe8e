"""`python -m hglib.experiments.synthetic_faces`: which drawn faces teach a network to find real
eyes?

Every row trains the default network from random weights on drawn faces alone and measures it on the
VALIDATION part of the real faces: how the error falls with the number of faces, what each part of
the generator is worth, and what a few real faces add. Each finished row is saved at once, and rows
that the file already holds are not run again, so the study can be stopped at any moment.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hglib.augment import Augment
from hglib.checkpoint import load_model, shipped
from hglib.data import Faces, Split, split
from hglib.datasets import load
from hglib.datasets.synthetic import Style
from hglib.experiments.pretrain import drawn, drawn_recipe
from hglib.hourglass import build
from hglib.inference import predict
from hglib.metrics import evaluate
from hglib.recipes import recipe
from hglib.train import fit

SEEN = 8000  # pictures shown in every run on drawn faces: equal cost, twenty seconds each
COUNTS = (125, 500, 2000, 8000)  # drawn faces, seen more or less often
BASE = 2000  # drawn faces in the rows that lack a part
REAL = (50, 200, 1000)  # real faces to fine-tune on
RESULTS = Path(__file__).parent / "results" / "drawn_study.json"


def train_on(faces: Faces, seen: int, seed: int = 0) -> nn.Module:
    """A network from random weights, shown `seen` drawn pictures. Taught in: 06_why_it_works"""
    torch.manual_seed(seed)
    model = build("lean")
    fit(model, faces, None, replace(drawn_recipe(seen / len(faces), seed), validations=0))
    return model


def real_faces_only(train: Faces, count: int, start: Path | None) -> nn.Module:
    """A network trained on `count` real faces, from random weights or from a checkpoint.

    The same 4000 pictures shown either way; a trained network gets a tenth of the learning rate.
    Taught in: 06_why_it_works
    """
    torch.manual_seed(0)
    model = build("lean") if start is None else load_model(start)
    complete = train[np.flatnonzero(train.present.all(axis=1))]
    some = complete[np.random.default_rng(0).permutation(len(complete))[:count]]
    rate = recipe("lean", epochs=1).learning_rate / (1 if start is None else 10)
    changes = {"learning_rate": rate, "validations": 0, "augment": Augment()}
    config = recipe("lean", epochs=4000 / count, **changes)
    fit(model, some, None, config)
    return model


def parts_of_the_generator() -> list[str]:
    """The switches of `Style`, each of which one row turns off. Taught in: 06_why_it_works"""
    return [field.name for field in fields(Style) if isinstance(field.default, bool)]


def rows(real: Split) -> dict[str, Callable[[], nn.Module]]:
    """Every row of the study by name, and how its network is made. Taught in: 06_why_it_works"""
    plan: dict[str, Callable[[], nn.Module]] = {}
    for count in COUNTS:
        plan[f"{count} drawn faces"] = lambda count=count: train_on(drawn(count), SEEN)
    for seed in (1, 2):  # with the row of BASE faces above: three seeds tell what is luck
        plan[f"{BASE} drawn faces, seed {seed}"] = lambda s=seed: train_on(drawn(BASE, s), SEEN, s)
    for part in parts_of_the_generator():
        style = replace(Style(), **{part: False})
        plan[f"without {part}"] = lambda style=style: train_on(drawn(BASE, style=style), SEEN)
    for count in REAL:
        plan[f"{count} real faces alone"] = lambda n=count: real_faces_only(real.train, n, None)
        start = shipped().get("lean")
        plan[f"shipped, then {count} real faces"] = lambda n=count, start=start: real_faces_only(
            real.train, n, start
        )
    return plan


def measure(model: nn.Module, faces: Faces) -> dict[str, float]:
    """Errors without the flip test, and the mean signed error of both eyes, in px.

    Taught in: 06_why_it_works
    """
    points = predict(model, faces.images).points.numpy()
    report = evaluate(points, faces.points).row()
    bias = np.nanmean(points - faces.points, axis=(0, 1))  # (2,): x and y
    shown = {name: report[name] for name in ("mean_px", "median_px", "e05", "e10", "e25")}
    return {**shown, "bias_x": float(bias[0]), "bias_y": float(bias[1])}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows that are missing; the exit status."""
    options = argparse.ArgumentParser(
        prog="python -m hglib.experiments.synthetic_faces", description=__doc__
    )
    options.add_argument("--data", help="the real faces, as for `python -m hglib train`")
    options.add_argument("--save", type=Path, default=RESULTS)
    options.add_argument("--only", default="", help="rows whose name contains this")
    given = options.parse_args(arguments)
    faces = load(given.data)
    if faces.source.startswith("synthetic"):
        print(
            "hglib.experiments.synthetic_faces measures on the real faces: give --data",
            file=sys.stderr,
        )
        return 1
    real = split(faces)
    done = json.loads(given.save.read_text()) if given.save.exists() else {}
    for name, make in rows(real).items():
        if name in done or given.only not in name:
            continue
        done[name] = {k: round(v, 4) for k, v in measure(make(), real.validation).items()}
        print(f"{name}: {done[name]['mean_px']:.3f} px, e<=.05 {100 * done[name]['e05']:.1f} %")
        given.save.parent.mkdir(parents=True, exist_ok=True)
        given.save.write_text(json.dumps(done, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
