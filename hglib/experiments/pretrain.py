"""`python -m hglib.experiments.pretrain`: train the network that comes with hglib, on drawn faces
alone.

No photograph is used, neither to train nor to stop. The weights go to `hglib/weights/`, with a text
beside them that says how they were made and what they reach on fresh drawn faces.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hglib import checkpoint
from hglib.augment import Augment
from hglib.checkpoint import WEIGHTS
from hglib.data import EYES, Faces
from hglib.datasets.cache import generator_digest
from hglib.datasets.synthetic import LANDMARKS, Style, draw_faces
from hglib.hourglass import build
from hglib.inference import MIRROR_EYES, predict
from hglib.metrics import evaluate
from hglib.recipes import recipe
from hglib.train import TrainConfig, fit, print_row

FRESH_SEED = 10_000  # faces that no training run has seen
RUN = Path("runs/ship")  # where an interrupted run is resumed from


def drawn(
    count: int, seed: int = 0, style: Style | None = None, landmarks: Sequence[str] = EYES
) -> Faces:
    """Drawn faces with their exact points, straight from the generator: none of Kaggle's flaws.

    >>> drawn(3).points.shape
    (3, 2, 2)

    Taught in: 04_training
    """
    faces = draw_faces(count, seed=seed, style=style, progress=count > 2000)
    columns = [LANDMARKS.index(name) for name in landmarks]
    source = f"synthetic faces, exact labels (n={count}, seed={seed})"
    return Faces(faces.images, faces.points[:, columns], tuple(landmarks), np.arange(count), source)


def drawn_recipe(epochs: float, seed: int = 0) -> TrainConfig:
    """How to train on drawn faces: as on real ones, with mirrored copies, which are right here
    because the labels have no side. Taught in: 04_training"""
    return recipe("lean", epochs=epochs, seed=seed, augment=replace(Augment(), mirror=0.5))


def figures(model: torch.nn.Module, faces: Faces) -> dict[str, float]:
    """The errors of a network on faces, with the flip test. Taught in: 05_evaluation"""
    found = predict(model, faces.images, MIRROR_EYES)
    report = evaluate(found.points.numpy(), faces.points).row()
    return {key: round(report[key], 4) for key in ("mean_px", "median_px", "e05", "e10", "e25")}


def parser() -> argparse.ArgumentParser:
    """The options. Taught in: 04_training"""
    options = argparse.ArgumentParser(
        prog="python -m hglib.experiments.pretrain", description=__doc__
    )
    options.add_argument("--faces", type=int, default=24_000, help="how many to draw (24000)")
    options.add_argument("--epochs", type=float, default=12, help="passes over them (12)")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=WEIGHTS, help="folder for the weights")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, train, measure, save; the exit status."""
    options = parser().parse_args(arguments)
    start = time.perf_counter()
    torch.manual_seed(options.seed)
    model = build("lean")
    train, fresh = drawn(options.faces, options.seed), drawn(500, FRESH_SEED)
    config = drawn_recipe(options.epochs, options.seed)
    fit(model, train, fresh, config, RUN, resume=True, report=print_row)
    about = {
        "command": f"python -m hglib.experiments.pretrain --faces {options.faces} "
        f"--epochs {options.epochs:g} --seed {options.seed}",
        "trained_on": f"{train.source}, generator {generator_digest()}",
        "minutes_on_2_cores": round((time.perf_counter() - start) / 60, 1),
        "date": time.strftime("%Y-%m-%d"),
        "fresh_faces": f"{len(fresh)}, seed {FRESH_SEED}",
        "figures_on_fresh_faces": figures(model, fresh),
    }
    checkpoint.save(options.out / "lean.safetensors", model, about)
    (options.out / "lean.json").write_text(json.dumps(about, indent=1) + "\n")
    print(json.dumps(about, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
