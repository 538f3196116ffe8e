"""`python -m hglib.experiments.speed`: what each way of going faster is worth on this machine.

Everything that is compared is timed in turns, round after round, in one run: what slows the
machine down for a while slows all of them. A ratio is the median over the rounds of two times from
the same round. What does not help, or cannot run here, is in the table too.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from hglib.augment import Augment, augment
from hglib.data import Faces
from hglib.distributed import choose_device
from hglib.experiments.pretrain import drawn
from hglib.hourglass import build
from hglib.inference import as_input, autocast, choose_precision, fuse_conv_bn
from hglib.losses import total_loss
from hglib.train import step_rng

RESULTS = Path(__file__).parent / "results" / "speed.json"
BATCH = 32  # faces per training step, as in training
Task = Callable[[], float]  # runs once and returns the seconds of what is measured


class Unavailable(RuntimeError):
    """This way of going faster does not run here; the message says why.

    Taught in: 08_further_and_faster
    """


@dataclass(frozen=True)
class Row:
    """One line of the table. Taught in: 08_further_and_faster"""

    group: str  # what is timed
    name: str  # and how it is done
    ms: float  # median over the rounds; NaN where it could not run
    low: float  # lower and upper quartile, ms
    high: float
    ratio: float  # so many times as fast as the first of its group; below 1: slower
    note: str = ""


@dataclass(frozen=True)
class Setting:
    """How a network is run. The default is what torch does unasked.

    Taught in: 08_further_and_faster
    """

    channels_last: bool = False  # the channels of a pixel lie side by side in memory
    precision: str = "float32"  # of convolutions: see `hglib.inference.autocast`
    compiled: bool = False  # torch.compile: kernels made for this very network
    fused: bool = False  # Adam updates all weights in one kernel
    folded: bool = False  # BatchNorms inside the convolutions: for finding only
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


# ---- timing -----------------------------------------------------------------------------------


def in_turns(tasks: Mapping[str, Task], rounds: int = 15) -> np.ndarray:
    """Run every task once per round, in a changing order: seconds (rounds, tasks).

    One round more is run before, and not counted: it fills caches and chooses kernels.

    >>> in_turns({"slow": lambda: 0.004, "fast": lambda: 0.002}, rounds=1).tolist()
    [[0.004, 0.002]]

    Taught in: 08_further_and_faster
    """
    names = list(tasks)
    seconds = np.empty((rounds + 1, len(names)))
    for number in range(rounds + 1):
        for turn in range(len(names)):
            which = (turn + number) % len(names)
            seconds[number, which] = tasks[names[which]]()
    return seconds[1:]


def side_by_side(tasks: Mapping[str, Task], rounds: int = 15, group: str = "") -> list[Row]:
    """Time the tasks `in_turns`; one row each, in the order given.

    The first task is what the others are compared with.

    >>> rows = side_by_side({"slow": lambda: 0.004, "fast": lambda: 0.002}, rounds=3)
    >>> [(row.name, row.ms, row.ratio) for row in rows]
    [('slow', 4.0, 1.0), ('fast', 2.0, 2.0)]

    Taught in: 08_further_and_faster
    """
    kept = in_turns(tasks, rounds)  # (rounds, tasks)
    ratios = np.median(kept[:, :1] / kept, axis=0)
    quartiles = 1000 * np.percentile(kept, [50, 25, 75], axis=0)  # (3, tasks)
    return [
        Row(group, name, *(float(q[i]) for q in quartiles), float(ratios[i]))
        for i, name in enumerate(tasks)
    ]


def make_tasks(
    makers: Mapping[str, Callable[[], Task]],
) -> tuple[dict[str, Task], dict[str, str]]:
    """The tasks that can be made, and for each of the others why it is `Unavailable`.

    Taught in: 08_further_and_faster
    """
    tasks: dict[str, Task] = {}
    missing: dict[str, str] = {}
    for name, make in makers.items():
        try:
            tasks[name] = make()
        except Unavailable as reason:
            missing[name] = str(reason)
    return tasks, missing


def compare(
    makers: Mapping[str, Callable[[], Task]], rounds: int = 15, group: str = ""
) -> list[Row]:
    """`side_by_side` for tasks that are yet to be made, some of which may be `Unavailable`.

    Taught in: 08_further_and_faster
    """
    tasks, missing = make_tasks(makers)
    rows = {row.name: row for row in side_by_side(tasks, rounds, group)}
    nan = float("nan")
    for name, reason in missing.items():
        rows[name] = Row(group, name, nan, nan, nan, nan, reason)
    return [rows[name] for name in makers]


def timed(run: Callable[[], object], setting: Setting, device: torch.device, times: int) -> Task:
    """A task that runs something `times` times and returns the seconds of one.

    It is run once at once. Raises Unavailable where torch.compile has no compiler: a C++ compiler,
    or triton on GPUs. Taught in: 08_further_and_faster
    """
    usual = torch.get_num_threads()

    def task() -> float:
        torch.set_num_threads(setting.threads or usual)
        try:
            start = time.perf_counter()
            for _ in range(times):
                run()
            if device.type == "cuda":  # Python hands work to a GPU and does not wait
                torch.cuda.synchronize(device)
            return (time.perf_counter() - start) / times
        finally:
            torch.set_num_threads(usual)

    try:
        task()
    except Exception as error:
        if not setting.compiled:
            raise
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise Unavailable(f"does not run here: {reason[0][:60]}") from error
    return task


# ---- what is timed ------------------------------------------------------------------------------


def network(setting: Setting, device: torch.device) -> torch.nn.Module:
    """Our default network, set up as `setting` says. Taught in: 08_further_and_faster"""
    torch.manual_seed(0)
    model = setting.prepare(build("lean").to(device))
    return torch.compile(model) if setting.compiled else model


class Learner:
    """A network and its optimiser, for nothing but steps. Taught in: 08_further_and_faster"""

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


def training_step(setting: Setting, device: torch.device, faces: Faces) -> Callable[[], Task]:
    """A maker of the task "one step of training on a batch that is there already".

    Taught in: 08_further_and_faster
    """

    def make() -> Task:
        learner = Learner(setting, device)
        images = setting.prepare(as_input(faces.images[:BATCH]).to(device))
        points = torch.from_numpy(faces.points[:BATCH]).to(device)
        return timed(lambda: learner.step(images, points), setting, device, times=2)

    return make


def finding(setting: Setting, device: torch.device, faces: Faces, batch: int) -> Callable[[], Task]:
    """A maker of the task "the scores of one batch". Taught in: 08_further_and_faster"""

    def make() -> Task:
        model = network(setting, device).eval()
        model = fuse_conv_bn(model) if setting.folded else model
        images = setting.prepare(as_input(faces.images[:batch]).to(device))

        @torch.no_grad()
        def run() -> None:
            with autocast(setting.precision, device):
                model(images)

        return timed(run, setting, device, times=max(1, 64 // batch))

    return make


class Batches(Dataset):
    """Augmented batches by number, as a DataLoader's workers make them: step in, tensors out.

    Taught in: 08_further_and_faster
    """

    def __init__(self, faces: Faces, settings: Augment, steps: int) -> None:
        self.faces, self.settings, self.steps = faces, settings, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures (B, 1, H, W) and points (B, K, 2)."""
        if step >= self.steps:
            raise IndexError(step)  # ends a plain `for` over the batches
        rows = (np.arange(BATCH) + step * BATCH) % len(self.faces)
        images, points = as_input(self.faces.images[rows]), self.faces.points[rows]
        return augment(images, torch.from_numpy(points), self.settings, step_rng(0, step))


def loading(workers: int | None, device: torch.device, faces: Faces) -> Callable[[], Task]:
    """A maker of the task "a step of training, its batch included".

    `workers` processes of a DataLoader prepare the batches beside the training; with None the loop
    prepares them itself, as `fit` does. Starting the workers is not counted.

    Taught in: 08_further_and_faster
    """
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


# ---- the table ----------------------------------------------------------------------------------


def groups(device: torch.device, faces: Faces) -> dict[str, dict[str, Callable[[], Task]]]:
    """Everything that is compared: group, name, maker. Taught in: 08_further_and_faster"""
    workers = {"in the loop, as fit does": None, "1 worker": 1, "2 workers": 2}
    found = {n: s for n, s in SETTINGS.items() if "Adam" not in n}  # nothing is learned
    found["both, BatchNorms folded"] = replace(OURS, folded=True)
    return {
        "a training step, 32 faces": {
            name: training_step(setting, device, faces) for name, setting in SETTINGS.items()
        },
        "a training step with its loading": {
            name: loading(count, device, faces) for name, count in workers.items()
        },
        "finding, 64 faces at a time": {
            name: finding(setting, device, faces, 64) for name, setting in found.items()
        },
        "finding, one face at a time": {
            name: finding(setting, device, faces, 1) for name, setting in found.items()
        },
    }


def print_rows(rows: Sequence[Row]) -> None:
    """The table, group by group. Taught in: 08_further_and_faster"""
    group = None
    for row in rows:
        if row.group != group:
            group = row.group
            print(f"{group:36}{'ms':>8}  {'quartiles':>16}   times as fast")
        if row.note:
            print(f"  {row.name:34}{row.note}")
        else:
            spread = f"{row.low:.1f} - {row.high:.1f}"
            print(f"  {row.name:34}{row.ms:8.1f}  {spread:>16}{row.ratio:13.2f}")


def save(
    path: Path,
    rows: Sequence[Any],
    device: torch.device,
    rounds: int,
    command: str = "python -m hglib.experiments.speed",
) -> None:
    """Keep a table of dataclasses as JSON, with what it was measured on and by which command.

    A number that is not known is null. Taught in: 08_further_and_faster
    """
    plain = [{k: None if v != v else v for k, v in asdict(row).items()} for row in rows]
    about = {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "machine": f"{torch.get_num_threads()} threads, {platform.machine()}",
        "auto_precision": choose_precision("auto", device.type),
        "rounds": rounds,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, "rows": plain}, indent=1, allow_nan=False) + "\n")


def parser() -> argparse.ArgumentParser:
    """The options. Taught in: 08_further_and_faster"""
    options = argparse.ArgumentParser(prog="python -m hglib.experiments.speed", description=__doc__)
    options.add_argument("--rounds", type=int, default=15, help="how often each is timed (15)")
    options.add_argument("--only", default="", help="groups whose name contains this")
    options.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    options.add_argument("--save", type=Path, help="also write the table to this JSON file")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status."""
    options = parser().parse_args(arguments)
    device, faces = choose_device(options.device), drawn(320)
    rows: list[Row] = []
    for group, makers in groups(device, faces).items():
        if options.only in group:
            new = compare(makers, options.rounds, group)
            print_rows(new)
            rows += new
            if options.save:  # after every group: an interruption loses one at most
                save(options.save, rows, device, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
