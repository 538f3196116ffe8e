"""`python -m hglib.experiments.plateau`: how long does the network of 2019 learn nothing, and
does it stay out?

Trains that network as its script did (batches of 8, Adam at a constant 1e-3, a sum of squares under
a sigmoid) on the built-in drawn faces, and writes down what an all-zero answer looks like from
outside: the loss over that of all-zero maps, the height of the peaks, the error in px, the scores
and the size of the gradient. One more run starts with dark maps (`start_dark`) and is otherwise the
same. Notebook 04 draws the file that this writes. An interrupted run goes on where it stopped. The
budget is counted in pictures, so the curve is the same on a slow machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from hglib.data import Faces, split
from hglib.datasets import load
from hglib.hourglass import Level, build
from hglib.losses import Objective, targets, total_loss
from hglib.original2019 import Original2019
from hglib.recipes import recipe
from hglib.train import Trainer, batches

RESULTS = Path(__file__).parent / "results" / "plateau_2019.json"
RUNS = Path("runs/plateau")
PICTURES = {"0": 48_000, "1": 48_000, "0 dark": 24_000}  # run: how many; the script showed 80,000
STRETCH = 125  # steps of 8 pictures in a row of the file: a row for every 1000 pictures
CHECKED = 100  # validation faces measured for every row


def all_zero_loss(points: torch.Tensor, objective: Objective, strides: Sequence[int]) -> float:
    """What all-zero maps of these strides cost per picture: the number to hold a loss against.

    points (N, K, 2) in picture pixels, NaN where missing.

    >>> eyes = torch.tensor([[[65.0, 37.0], [29.0, 37.0]]])
    >>> round(all_zero_loss(eyes, Objective("sum_of_squares", sigma=1.0), [1]), 2)
    6.28

    Two maps, pi sigma² each. Taught in: 04_training
    """
    maps = targets(points[:1], (96, 96), strides, objective)
    dark = [torch.zeros(len(points), *level.shape[1:]) for level in maps]
    levels = [Level(zeros, stride) for zeros, stride in zip(dark, strides, strict=True)]
    return float(total_loss(levels, points, (96, 96), objective)) / len(points)


@torch.no_grad()
def start_dark(model: Original2019, points: torch.Tensor, objective: Objective) -> None:
    """Set the biases of both last layers so that the first maps are as bright as the mean target.

    A sigmoid gives m where its score is logit(m) = ln(m / (1 - m)). The fine scores come out of a
    leaky rectifier that divides what is below 0 by 5, hence the factor. points (N, K, 2) in
    picture pixels, those of the training set.

    >>> from hglib.losses import OBJECTIVE_2019
    >>> model = build("original")
    >>> start_dark(model, torch.tensor([[[65.0, 37.0], [29.0, 37.0]]]), OBJECTIVE_2019)
    >>> coarse, fine = model(torch.zeros(1, 1, 96, 96))
    >>> [round(level.maps.mean().item(), 2) for level in (coarse, fine)]
    [0.15, 0.06]

    Taught in: 04_training
    """
    complete = points[points.isfinite().all(dim=-1).all(dim=-1)]
    maps = targets(complete, (96, 96), [16, 1], objective)
    coarse, fine = (level.mean().logit() for level in maps)
    model.head.bias.fill_(coarse)
    model.up1.conv.bias.fill_(fine / model.up1.activation.negative_slope)


def gradient_norm(model: torch.nn.Module) -> float:
    """The length of the gradient over all weights, after `backward`. Taught in: 04_training"""
    parts = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    return float(torch.stack(parts).norm())


def stretch(run: Trainer, indices: Sequence[np.ndarray], zero_loss: float) -> dict[str, float]:
    """Some steps of a run, and one row about them; `zero_loss` is that of one picture.

    Taught in: 04_training
    """
    scores: list[float] = []
    hook = run.model.register_forward_hook(
        lambda model, inputs, levels: scores.append(levels[-1].scores.detach().mean().item())
    )
    losses, peaks, gradients = [], [], []
    for index in indices:
        seen = run.step(index)
        losses.append(seen["loss"] / (zero_loss * len(index)))
        peaks.append(seen["peak"])
        gradients.append(gradient_norm(run.model))
    hook.remove()
    return {
        "pictures": run.state.step * run.config.batch,
        "loss_ratio": float(np.mean(losses)),  # 1: as bad as all-zero maps
        "peak": float(np.mean(peaks)),  # 0: all-zero maps
        "val_mean_px": run.validate()["val_mean_px"],
        "score": float(np.mean(scores)),  # before the sigmoid; -7 is a probability of 0.001
        "gradient": float(np.median(gradients)),
        "gradient_max": float(np.max(gradients)),
    }


def run_once(name: str, pictures: int, train: Faces, check: Faces, folder: Path) -> list[dict]:
    """One run from random weights, or from where it stopped: a row for every 1000 pictures.

    name: the seed, and perhaps the word "dark", as in "0 dark". Taught in: 04_training
    """
    seed = int(name.split()[0])
    torch.manual_seed(seed)
    model = build("original")
    config = recipe("original", epochs=pictures / len(train), seed=seed)
    points = torch.from_numpy(train.points)
    if name.endswith("dark"):
        start_dark(model, points, config.objective)
    run = Trainer(model, train, check, config)
    last = folder / f"{name.replace(' ', '_')}.safetensors"
    if last.exists():
        run.resume(last)
    zero = all_zero_loss(points, config.objective, [16, 1])
    source = batches(len(train), config.batch, seed, run.state.step)
    while run.progress() < 1:
        row = stretch(run, list(islice(source, STRETCH)), zero)
        run.state.rows.append({key: float(f"{value:.4g}") for key, value in row.items()})
        run.state.rows[-1]["pictures"] = row["pictures"]
        run.save(last)
        print(f"{name}:", *(f"{key} {value:.4g}" for key, value in row.items()), flush=True)
    return run.state.rows


def save(path: Path, source: str, name: str, rows: Sequence[dict]) -> None:
    """Add one run to the file, beside the others. Taught in: 04_training"""
    old = json.loads(path.read_text())["runs"] if path.exists() else {}
    about = {
        "data": source,
        "command": "python -m hglib.experiments.plateau",
        "torch": torch.__version__,
    }
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    path.parent.mkdir(parents=True, exist_ok=True)
    runs = dict(sorted({**old, name: columns}.items()))
    path.write_text(json.dumps({**about, "runs": runs}) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs one after the other; the exit status."""
    options = argparse.ArgumentParser(
        prog="python -m hglib.experiments.plateau", description=__doc__
    )
    options.add_argument("--runs", nargs="+", default=[*PICTURES], help="(0 1 '0 dark')")
    options.add_argument("--pictures", type=int, help="shown in each run (48000, dark 24000)")
    options.add_argument("--save", type=Path, default=RESULTS)
    options.add_argument("--folder", type=Path, default=RUNS, help="where to resume from")
    given = options.parse_args(arguments)
    faces = load("synthetic")
    parts = split(faces)
    for name in given.runs:
        check = parts.validation[np.arange(CHECKED)]
        pictures = given.pictures or PICTURES.get(name, PICTURES["0"])
        rows = run_once(name, pictures, parts.train, check, given.folder)
        save(given.save, faces.source, name, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
