"""Trains the network that comes with hglib, on synthetic faces alone.

No photograph is used, neither to train nor to stop. The weights go to `--out`, with a text beside
them that says how they were made and what they reach on fresh synthetic faces.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hglib import checkpoint
from hglib.datasets.cache import generator_digest
from hglib.datasets.synthetic.exact import exact_faces
from hglib.datasets.synthetic.style import Style
from hglib.env import choose_device
from hglib.experiments.record import Record
from hglib.experiments.runner import Jobs, Option, Options, errors, keep_to, trained
from hglib.hourglass import build
from hglib.inference import MIRROR_EYES, predict
from hglib.recipes import recipe
from hglib.train import TrainConfig, print_row

MEASURES = "trains the network that comes with hglib anew, on synthetic faces"
TAKES = "two minutes on a GPU, three quarters of an hour on two cores"
DATA = "synthetic"
OPTIONS = {
    "seeds": Option([0]),
    "faces": Option(48_000, 40, "how many to train on"),
    "epochs": Option(25.0, 1.0, "passes over them"),
    "fresh": Option(500, 10, "how many to measure on"),
    "out": Option("runs/pretrained", help="folder for the weights"),
}
FRESH_SEED = 10_000  # faces that no training run has seen
# More of what a network finds hard: dark skin, hair down to the eyes, glasses.
HARDER = Style(dark_rate=0.45, fringe_rate=0.35, glasses_rate=0.35)


def synthetic_recipe(epochs: float, seed: int = 0) -> TrainConfig:
    """How to train on synthetic faces: as on real ones, with mirrored copies, which are right here
    because the labels have no side; in batches of 64: of 32 to 256, the best on real faces."""
    augment = recipe("lean", epochs=epochs).augment
    return recipe("lean", epochs=epochs, seed=seed, augment=replace(augment, mirror=0.5), batch=64)


def jobs(options: Options, record: Record) -> Jobs:
    """One network for each seed; several go to folders of their own."""
    keep_to(record, options.save, f"synthetic faces, generator {generator_digest()}")
    name = f"{options.faces} faces, {options.epochs:g} epochs, seed"
    return {f"{name} {seed}": partial(pretrain, options, seed) for seed in options.seeds}


def pretrain(options: Options, seed: int) -> dict[str, Any]:
    """Draw, train, measure, save the weights; goes on where it was interrupted."""
    start = time.perf_counter()
    train = exact_faces(options.faces, seed, HARDER)
    fresh = exact_faces(options.fresh, FRESH_SEED)
    out = Path(options.out) / (f"seed-{seed}" if len(options.seeds) > 1 else "")
    run = options.save.with_suffix("") / f"{options.faces}_{options.epochs:g}_{seed}"
    config, device = synthetic_recipe(options.epochs, seed), choose_device()
    saved = {"folder": run, "resume": True, "report": print_row}
    model, _ = trained(lambda: build("lean").to(device), train, config, fresh, **saved)
    found = predict(model, fresh.images, MIRROR_EYES).points
    about = {
        "command": f"python -m hglib experiment pretrain --faces {options.faces} "
        f"--epochs {options.epochs:g} --seeds {seed}",
        "trained_on": f"{train.source}, generator {generator_digest()}, {device.type}",
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "date": time.strftime("%Y-%m-%d"),
        "fresh_faces": f"{len(fresh)}, seed {FRESH_SEED}",
        "figures_on_fresh_faces": errors(found, fresh.points),
    }
    out.mkdir(parents=True, exist_ok=True)
    checkpoint.save(out / "lean.safetensors", model, about)
    (out / "lean.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(f"weights in {out}")
    return about["figures_on_fresh_faces"]
