"""Heat map or coordinates: the heads of `heads.py` on one trunk, at equal cost.

Each head first tries two learning rates, with a seed of its own and on faces of its own, and keeps
the better one. Measured are the error, the error of an eye that is hidden, and what is answered
to a double exposure, which shows each eye twice. Notebook 09 draws the results.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from hglib.anatomy import flops
from hglib.anatomy.heads import HEADS, network
from hglib.anatomy.probes import along, expose_twice, hide
from hglib.augment import Augment, augment
from hglib.data import Faces
from hglib.datasets.synthetic.exact import exact_faces
from hglib.experiments.record import Record, print_table
from hglib.experiments.runner import Jobs, Option, Options, keep_to
from hglib.metrics import errors_px, worst_eye
from hglib.train import batches, step_rng

MEASURES = "maps, coordinates, soft-argmax and SimCC on one trunk, at equal cost"
TAKES, DATA = "about twelve minutes on one core", "synthetic"
OPTIONS = {
    "seeds": Option([0, 1, 2], [0]),
    "images": Option(4000, 64, "shown to the head with maps, and to others at equal cost"),
    "synthetic_faces": Option(4000, 64, "different ones, for training"),
}
RATES, PILOT = (1e-2, 2.5e-3), 9  # Adam's, and the seed that tries them


def jobs(options: Options, record: Record) -> Jobs:
    """For each head the trial of its rates, then one run for each seed."""
    faces = exact_faces(options.synthetic_faces)
    count = min(500, len(faces))
    trial, test = exact_faces(count, seed=PILOT), exact_faces(count, seed=12)
    keep_to(record, options.save, f"{faces.source}; tested on {test.source}", images=options.images)
    found: Jobs = {f"{h}, rate": partial(try_rates, h, options, faces, trial) for h in HEADS}
    for seed in options.seeds:
        found |= {f"{h}, seed {seed}": partial(run, h, seed, record, faces, test) for h in HEADS}
    return found


def train(name: str, faces: Faces, images: int, seed: int, rate: float) -> nn.Module:
    """The network with that head, after as many images as cost what `images` cost with maps."""
    torch.manual_seed(seed)
    model = network(head := HEADS[name]())
    steps = round(images * flops(network(HEADS["maps"]())) / flops(model) / 32)
    model.train()
    adam = torch.optim.Adam(model.parameters(), rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for step, pick in zip(range(steps), batches(len(faces), 32, seed), strict=False):
        x = torch.from_numpy(faces.images[pick])[:, None] / 255  # (B, 1, 96, 96)
        x, points = augment(x, torch.tensor(faces.points[pick]), Augment(), step_rng(seed, step))
        inside = points.isfinite().all(dim=(1, 2))  # (B,): both eyes are still in the image
        x, points = x[inside], points[inside]
        adam.zero_grad()
        head.loss(model(x)[-1].scores, points).backward()
        adam.step()
        cosine.step()
    return model.eval()


@torch.no_grad()
def answers(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """Points (N, 2, 2) for images (N, 96, 96) uint8."""
    x = torch.from_numpy(images)[:, None] / 255
    parts = [model.heads[0].read(model(part)[-1].scores) for part in x.split(100)]
    return torch.cat(parts).numpy()


def try_rates(name: str, options: Options, faces: Faces, trial: Faces) -> dict[str, Any]:
    """The mean error after each of `RATES`, and the better of them."""
    models = [train(name, faces, options.images, PILOT, rate) for rate in RATES]
    errors = [float(errors_px(answers(m, trial.images), trial.points).mean()) for m in models]
    mflop = round(flops(models[0]) / 1e6, 1)
    return {"rate": RATES[int(np.argmin(errors))], "tried": errors, "mflop": mflop}


def run(name: str, seed: int, record: Record, faces: Faces, test: Faces) -> dict[str, Any]:
    """Train once and measure on faces as they are, with an eye hidden, exposed twice."""
    rate = record.figures[f"{name}, rate"]["rate"]
    model = train(name, faces, record.about["images"], seed, rate)
    found = answers(model, test.images)
    errors = errors_px(found, test.points)  # (N, 2)
    covered = answers(model, hide(test.images, test.points[:, 0]))
    place = along(answers(model, expose_twice(test.images)), test.points)  # (N, 2)
    row = {"mean_px": errors.mean(), "median_px": np.median(errors)}
    row["e05"] = (worst_eye(found, test.points) <= 0.05).mean()
    row["hidden_px"] = np.median(errors_px(covered, test.points)[:, 0])
    row["between"] = ((place > 0.25) & (place < 0.75)).mean()
    return {"head": name, "seed": seed} | {key: float(value) for key, value in row.items()}


def show(record: Record) -> None:
    """One line for each run."""
    print_table({n: row for n, row in record.figures.items() if "seed" in row}, head="run")
