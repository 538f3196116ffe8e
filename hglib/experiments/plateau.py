"""How long does the network of 2019 learn nothing, and does it stay out of it?

Trains it as its script did (batches of 8, Adam, a sum of squares under a sigmoid) and writes
down what an all-zero answer looks like from outside. One more run, half as long, starts with dark
maps (`start_dark`). The budget is counted in images. Notebook 04 draws the results.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from hglib.datasets import load
from hglib.datasets.split import Split, split
from hglib.experiments.record import Record, print_table
from hglib.experiments.runner import Jobs, Option, Options, keep_to
from hglib.hourglass import Level, build
from hglib.losses import Objective, targets, total_loss
from hglib.original2019 import Original2019
from hglib.recipes import recipe
from hglib.train import Trainer, batches

MEASURES = "how long the network of 2019 learns nothing"
TAKES = "about fourteen minutes on two cores"
DATA = "synthetic"
OPTIONS = {
    "seeds": Option([0, 1], [0]),
    "images": Option(80_000, 32, "shown in each run, as many as the script of 2019 showed"),
    "stretch": Option(125, 2, "steps of 8 images behind each number"),
    "synthetic_faces": Option(2000, 60, "how many"),
}
CHECKED = 100  # validation faces measured for every number


def all_zero_loss(points: torch.Tensor, objective: Objective, strides: Sequence[int]) -> float:
    """What all-zero maps of these strides cost per image: the number to hold a loss against.

    points: (N, K, 2) in image pixels, NaN where missing.
    """
    maps = targets(points[:1], (96, 96), strides, objective)
    dark = [torch.zeros(len(points), *level.shape[1:]) for level in maps]
    levels = [Level(zeros, stride) for zeros, stride in zip(dark, strides, strict=True)]
    return float(total_loss(levels, points, (96, 96), objective)) / len(points)


@torch.no_grad()
def start_dark(model: Original2019, points: torch.Tensor, objective: Objective) -> None:
    """Set the biases of both last layers so that the first maps are as bright as the mean target.

    A sigmoid gives m where its score is logit(m) = ln(m / (1 - m)). The fine scores come out of a
    leaky rectifier that divides what is below 0 by 5, hence the factor. points: (N, K, 2).
    """
    complete = points[points.isfinite().all(dim=-1).all(dim=-1)]
    maps = targets(complete, (96, 96), [16, 1], objective)
    coarse, fine = (level.mean().logit() for level in maps)
    model.head.bias.fill_(coarse)
    model.up1.conv.bias.fill_(fine / model.up1.activation.negative_slope)


def stretch(run: Trainer, indices: Sequence[np.ndarray], zero_loss: float) -> dict[str, float]:
    """Some steps of a run, and one row about them; `zero_loss` is that of one image."""
    scores: list[float] = []
    hook = run.model.register_forward_hook(
        lambda model, inputs, levels: scores.append(levels[-1].scores.detach().mean().item())
    )
    losses, peaks, gradients = [], [], []
    for index in indices:
        seen = run.step(index)
        losses.append(seen["loss"] / (zero_loss * len(index)))
        peaks.append(seen["peak"])
        # a bound of infinity clips nothing: the length of the gradient over all weights
        gradients.append(float(clip_grad_norm_(run.model.parameters(), math.inf)))
    hook.remove()
    return {
        "images": run.state.step * run.config.batch,
        "loss_ratio": float(np.mean(losses)),  # 1: as bad as all-zero maps
        "peak": float(np.mean(peaks)),  # 0: all-zero maps
        "val_mean_px": run.validate()["val_mean_px"],
        "score": float(np.mean(scores)),  # before the sigmoid; -7 is a probability of 0.001
        "gradient": float(np.median(gradients)),
        "gradient_max": float(np.max(gradients)),
    }


def jobs(options: Options, record: Record) -> Jobs:
    """One run for each seed, and one that starts dark."""
    faces = load("synthetic", n_synthetic=options.synthetic_faces)
    parts = split(faces)
    keep_to(record, options.save, faces.source)
    first = options.seeds[0]
    makers = {f"seed {s}": partial(run_once, s, options.images) for s in options.seeds}
    dark = partial(run_once, first, options.images // 2, dark=True)
    makers[f"seed {first}, starts dark"] = dark
    return {name: partial(make, parts, options) for name, make in makers.items()}


def run_once(
    seed: int, images: int, parts: Split, options: Options, dark: bool = False
) -> dict[str, list[float]]:
    """One run from random weights, or from where it was interrupted: columns of numbers."""
    torch.manual_seed(seed)
    model = build("original")
    config = recipe("original", epochs=images / len(parts.train), seed=seed)
    points = torch.from_numpy(parts.train.points)
    if dark:
        start_dark(model, points, config.objective)
    check = parts.validation[np.arange(min(CHECKED, len(parts.validation)))]
    run = Trainer(model, parts.train, check, config)
    name = f"{'dark' if dark else 'seed'}_{seed}_{images}.safetensors"
    last = options.save.with_suffix("") / name
    if last.exists():
        run.resume(last)
    zero = all_zero_loss(points, config.objective, [16, 1])
    source = batches(len(parts.train), config.batch, seed, run.state.step)
    while run.progress() < 1:
        row = stretch(run, list(islice(source, options.stretch)), zero)
        run.state.rows.append({key: float(f"{value:.4g}") for key, value in row.items()})
        run.state.rows[-1]["images"] = row["images"]
        run.save(last)
        print(*(f"{key} {value:.4g}" for key, value in row.items()), flush=True)
    rows: Sequence[dict[str, float]] = run.state.rows
    return {key: [row[key] for row in rows] for key in rows[0]}


def show(record: Record) -> None:
    """The last numbers of each run."""
    last = {name: {k: v[-1] for k, v in run.items()} for name, run in record.figures.items()}
    print_table(last, head="at the end")
