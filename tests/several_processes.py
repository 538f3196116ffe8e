"""What `parallel/test_parallel.py` starts with torchrun: the same small runs, alone and in company.

    torchrun --nproc-per-node 2 tests/several_processes.py FOLDER WHAT

Each run writes `FOLDER/<run>/last.safetensors`. Importing this file gives the tests the same faces,
network and settings.
"""

import os
import signal
import sys
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import torch

from hglib.augment import Augment
from hglib.data import EYES, Faces
from hglib.hourglass import build
from hglib.losses import Objective
from hglib.parallel import joined
from hglib.train import Alone, TrainConfig, Trainer, fit

# A batch that neither 2 processes nor blocks of 32 divide evenly.
CONFIG = TrainConfig(
    epochs=2,
    batch=35,
    learning_rate=1e-3,
    objective=Objective("binary_cross_entropy", sigma=1.0),
    augment=Augment(shift=0.5),
    precision="float32",
    validations=2,
)
KILLED_AT = 4  # steps made when a process dies


def faces(n: int, seed: int) -> Faces:
    """Two dark eyes in 16x16 images; most of the second eye's labels are missing.

    Drawn by whole numbers alone: each process draws them again, with another number of threads,
    and a last digit of `exp` that differs would make another training set."""
    rng = np.random.default_rng(seed)
    points = np.array([[11, 7], [5, 7]]) + rng.integers(-1, 2, (n, 2, 2))
    y, x = np.mgrid[:16, :16]
    away = (x - points[..., 0, None, None]) ** 2 + (y - points[..., 1, None, None]) ** 2
    dark = np.maximum(0, 160 - 32 * away).sum(axis=1)  # (n, 16, 16)
    grey = 200 - dark.clip(max=160) + rng.integers(-10, 11, dark.shape)
    points = points + rng.integers(-4, 5, points.shape) / 8  # labels between the pixels
    points = points.astype(np.float32)
    points[rng.random(n) < 0.7, 1] = np.nan
    return Faces(grey.clip(0, 255).astype(np.uint8), points, EYES, np.arange(n), "drawn")


TRAIN, VALIDATION = faces(105, seed=0), faces(21, seed=1)  # 6 steps


def network(seed: int = 0) -> torch.nn.Module:
    """Without softmax: a bias before one has no gradient but rounding, which Adam blows up."""
    torch.manual_seed(seed)
    return build("lean", widths=(4, 8), activation="sigmoid")


def run(
    folder: Path, seed: int = 0, resume: bool = False, group: Alone | None = None, **changes: object
) -> None:
    """One run; `stop` ends it as Ctrl-C would, after this many steps."""
    stop = changes.pop("stop", None)

    def press(row: dict[str, float]) -> None:
        if row["step"] == stop:
            signal.raise_signal(signal.SIGINT)

    config = replace(CONFIG, **changes)
    fit(network(seed), TRAIN, VALIDATION, config, folder, resume, press, every=1, group=group)


def compare(folder: Path, group: Alone) -> None:
    """Everything that is compared with one process, in one go: starting Python takes longest."""
    run(
        folder / "whole", seed=group.rank, group=group
    )  # other first weights in process 1: process 0's are taken
    run(folder / "summed", group=group, objective=Objective("sum_of_squares", sigma=1.0))
    run(folder / "half", stop=3, group=group)
    run(folder / "from_one", seed=5, resume=True, group=group)


def go_on(folder: Path, ready: Event) -> None:
    """A run that saves after every step, from wherever the last one in this folder ended.

    `ready` is set after its first step, or at its end."""
    torch.set_num_threads(1)
    config = replace(CONFIG, epochs=40, save_every=0.0)
    try:
        fit(network(), TRAIN, VALIDATION, config, folder, True, lambda row: ready.set(), every=1)
    finally:
        ready.set()


def die(folder: Path, group: Alone, victim: int) -> None:
    """A run in which one process is killed in the middle of a step."""
    load = Trainer.get_batch

    def load_or_die(self: Trainer, index: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        if group.rank == victim and self.state.step == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        return load(self, index)

    Trainer.get_batch = load_or_die
    often = 0.0 if victim == 0 else 30.0  # a dead writer saves nothing: it must have done so before
    run(folder / "killed", save_every=often, group=group)


if __name__ == "__main__":
    torch.set_num_threads(1)
    where, what = Path(sys.argv[1]), sys.argv[2]
    with joined("cpu") as group:
        if what == "compare":
            compare(where, group)
        else:
            die(where, group, victim=int(what))
