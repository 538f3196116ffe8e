"""What each way of going faster is worth on this machine.

A ratio is the median over the rounds of two times from the same round (see `timing`). What does not
help, or cannot run here, is in the table too. Notebook 08 teaches it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from hglib.augment import Augment, augment
from hglib.data import Faces
from hglib.datasets.synthetic.exact import exact_faces
from hglib.env import choose_device
from hglib.experiments.record import Record, print_groups, rows
from hglib.experiments.runner import Jobs, Option, Options, keep_to
from hglib.experiments.timing import NAN, Maker, Task, in_turns, quartiles, timed
from hglib.hourglass import build
from hglib.inference import as_input, autocast, choose_precision, fuse_conv_bn
from hglib.losses import total_loss
from hglib.train import step_rng

MEASURES = "what each way of going faster is worth"
TAKES = "about four minutes"
DATA = "synthetic"
OPTIONS = {
    "rounds": Option(15, 1, "how often each is timed"),
    "only": Option("", "one face", "groups whose name contains this"),
    "device": Option("auto", "cpu", "auto, cpu or cuda"),
}
BATCH = 32  # faces per training step, as in training
FIGURES = ("ms", "low", "high", "ratio", "note")  # low and high: the quartiles
Row = dict[str, Any]  # group, name and FIGURES


@dataclass(frozen=True)
class Setting:
    """How a network is run. The default is what torch does unasked."""

    channels_last: bool = False  # the channels of a pixel lie side by side in memory
    precision: str = "float32"  # of convolutions: see `hglib.inference.autocast`
    compiled: bool = False  # torch.compile: kernels made for this very network
    fused: bool = False  # Adam updates all weights in one kernel
    fuse_norms: bool = False  # BatchNorms inside the convolutions: for finding only
    threads: int | None = None  # torch's own choice, one for each core

    def prepare(self, tensor: Any) -> Any:
        """A network or a batch in the memory layout of this setting."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        if isinstance(tensor, torch.Tensor):
            return tensor.contiguous(memory_format=layout)
        return tensor.to(memory_format=layout)


OURS = Setting(channels_last=True, precision="auto", fused=True)  # what `fit` and `predict` do
SETTINGS = {
    "as torch does unasked": Setting(),
    "channels_last": Setting(channels_last=True),
    "bfloat16": Setting(precision="bfloat16"),
    "both: as hglib does": OURS,  # if the hardware multiplies bfloat16 faster, else channels_last
    "both, one thread": replace(OURS, threads=1),
    "both, plain Adam": replace(OURS, fused=False),
    "both, torch.compile": replace(OURS, compiled=True),
}


def compare(makers: Mapping[str, Maker], rounds: int = 15, group: str = "") -> list[Row]:
    """Time what the makers make, in turns; one row each, in the order given."""
    times, first, rows = in_turns(makers, rounds), next(iter(makers)), []
    for name in makers:
        row: Row = {"ms": NAN, "low": NAN, "high": NAN, "ratio": NAN}
        if name in times:
            row["low"], row["ms"], row["high"] = quartiles(1000 * times[name])
            row["ratio"] = float(np.median(times[first] / times[name])) if first in times else NAN
        note = times.missing.get(name, "")
        rows.append({"group": group, "name": name, **row, "note": note})
    return rows


def network(setting: Setting, device: torch.device) -> torch.nn.Module:
    """Our default network, set up as `setting` says."""
    torch.manual_seed(0)
    model = setting.prepare(build("lean").to(device))
    return torch.compile(model) if setting.compiled else model


class Learner:
    """A network and its optimiser, for nothing but steps."""

    def __init__(self, setting: Setting, device: torch.device) -> None:
        self.setting, self.device = setting, device
        self.model = network(setting, device).train()
        self.optimizer = torch.optim.Adam(self.model.parameters(), fused=setting.fused or None)

    def step(self, images: torch.Tensor, points: torch.Tensor) -> None:
        """Forward, backward, update: images (B, 1, H, W), points (B, K, 2)."""
        images, points = self.setting.prepare(images.to(self.device)), points.to(self.device)
        with autocast(self.setting.precision, self.device):
            levels = self.model(images)
        levels = [level._replace(scores=level.scores.float()) for level in levels]
        self.optimizer.zero_grad(set_to_none=True)
        total_loss(levels, points, images.shape[-2:]).backward()
        self.optimizer.step()


def training_step(setting: Setting, device: torch.device, faces: Faces) -> Maker:
    """A maker of the task "one step of training on a batch that is there already"."""

    def make() -> Task:
        learner = Learner(setting, device)
        images = setting.prepare(as_input(faces.images[:BATCH]).to(device))
        points = torch.from_numpy(faces.points[:BATCH]).to(device)
        return timed(lambda: learner.step(images, points), 2, setting.threads, device)

    return make


def finding(setting: Setting, device: torch.device, faces: Faces, batch: int) -> Maker:
    """A maker of the task "the scores of one batch"."""

    def make() -> Task:
        model = network(setting, device).eval()
        model = fuse_conv_bn(model) if setting.fuse_norms else model
        images = setting.prepare(as_input(faces.images[:batch]).to(device))

        @torch.no_grad()
        def run() -> None:
            with autocast(setting.precision, device):
                model(images)

        return timed(run, max(1, 64 // batch), setting.threads, device)

    return make


class Batches(Dataset):
    """Augmented batches by number, as a DataLoader's workers make them: step in, tensors out."""

    def __init__(self, faces: Faces, settings: Augment, steps: int) -> None:
        self.faces, self.settings, self.steps = faces, settings, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (B, 1, H, W) and points (B, K, 2)."""
        if step >= self.steps:
            raise IndexError(step)  # ends a plain `for` over the batches
        rows = (np.arange(BATCH) + step * BATCH) % len(self.faces)
        images, points = as_input(self.faces.images[rows]), self.faces.points[rows]
        return augment(images, torch.from_numpy(points), self.settings, step_rng(0, step))


def loading(workers: int | None, device: torch.device, faces: Faces) -> Maker:
    """A maker of the task "a step of training, its batch included"."""
    steps = 6  # after the first, which waits for the workers to start

    def make() -> Task:
        batches = Batches(faces, Augment(), steps + 1)
        learner = Learner(OURS, device)

        def task() -> float:
            loader = batches if workers is None else DataLoader(batches, None, num_workers=workers)
            iterator = iter(loader)
            next(iterator)
            start = time.perf_counter()
            for images, points in iterator:
                learner.step(images, points)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return (time.perf_counter() - start) / steps

        return task

    return make


def groups(device: torch.device, faces: Faces) -> dict[str, dict[str, Maker]]:
    """Everything that is compared: group, name, maker."""
    workers = {"in the loop, as fit does": None, "1 worker": 1, "2 workers": 2}
    found = {n: s for n, s in SETTINGS.items() if "Adam" not in n}  # nothing is learned
    found["both, BatchNorms fused"] = replace(OURS, fuse_norms=True)
    step, load = "a training step, 32 faces", "a training step with its loading"
    table = {step: {n: training_step(s, device, faces) for n, s in SETTINGS.items()}}
    table[load] = {name: loading(count, device, faces) for name, count in workers.items()}
    for count, words in ((64, "64 faces"), (1, "one face")):
        makers = {name: finding(s, device, faces, count) for name, s in found.items()}
        table[f"finding, {words} at a time"] = makers
    return table


def jobs(options: Options, record: Record) -> Jobs:
    """One job for each group of ways."""
    device, faces = choose_device(options.device), exact_faces(320)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    about = {"device": name, "auto_precision": choose_precision("auto", device.type)}
    keep_to(record, options.save, None, **about, rounds=options.rounds)

    def measure(makers: Mapping[str, Maker]) -> dict[str, Row]:
        rows = compare(makers, options.rounds)
        return {row["name"]: {key: row[key] for key in FIGURES} for row in rows}

    chosen = {g: m for g, m in groups(device, faces).items() if options.only in g}
    return {group: partial(measure, makers) for group, makers in chosen.items()}


def print_table(rows: Sequence[Row]) -> None:
    """The rows of `compare`, group by group."""
    shown = [{**row, "times as fast": row["ratio"]} for row in rows]
    print_groups(shown, ("ms", "low", "high", "times as fast", "note"), digits=2)


def show(record: Record) -> None:
    """The table, group by group."""
    print_table(rows(record))
