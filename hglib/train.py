"""The training loop: batches, schedule, validation, history, checkpoints.

Everything random in step n comes from a generator seeded by (seed, n), so a run that was
interrupted after step n needs to remember nothing but n to go on exactly as if it had not been.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hglib import checkpoint
from hglib.augment import Augment, augment
from hglib.data import EYES, Faces
from hglib.inference import as_input, autocast, predict
from hglib.losses import Objective, total_loss
from hglib.metrics import evaluate

if TYPE_CHECKING:
    import pandas as pd


class TrainingError(RuntimeError):
    """Training cannot go on; the message says where it stopped and what to try.

    Taught in: 04_training
    """


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Give a budget: `seconds` or `epochs`. Taught in: 04_training"""

    seconds: float | None = None  # wall time, everything included
    epochs: float | None = None  # passes over the data: exactly repeatable, on a slow day too
    batch: int = 32  # large enough for batch normalisation, small enough for many steps
    learning_rate: float = 5e-3  # the peak; high, since a short run cannot afford small steps
    warmup: float = 0.05  # share of the budget in which the rate climbs to its peak
    final_rate: float = 0.01  # share of the peak left at the end of the cosine
    schedule: str = "cosine"  # or "constant", as in 2019
    objective: Objective = field(default_factory=Objective)
    augment: Augment = field(default_factory=Augment)
    precision: str = "auto"  # bfloat16 where the hardware has it: half the time per step
    seed: int = 0  # order of the faces and everything random about augmentation
    validations: int = 5  # evenly spread over the budget; each costs a second or two
    save_every: float = 30.0  # seconds between checkpoints: the most that a power cut can cost

    def __post_init__(self) -> None:
        if (self.seconds is None) == (self.epochs is None):
            raise ValueError("give one budget: seconds=... or epochs=...")
        budget = self.seconds if self.epochs is None else self.epochs
        if not budget > 0:
            raise ValueError(f"the budget is {budget}; it must be positive")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is {self.warmup}; it is a share of the budget, 0 to below 1")
        if self.batch < 2:
            raise ValueError(f"batch is {self.batch}; batch normalisation needs 2 or more")
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule {self.schedule!r} is not one of cosine, constant")

    def rate(self, progress: float) -> float:
        """The learning rate when `progress` (0 to 1) of the budget is spent: a linear climb, then
        half a cosine down (arXiv 1608.03983, without restarts). Taught in: 04_training"""
        if self.schedule == "constant":
            return self.learning_rate
        climb = min(1.0, progress / self.warmup) if self.warmup else 1.0
        down = max(0.0, progress - self.warmup) / (1 - self.warmup)
        cosine = (1 + math.cos(math.pi * down)) / 2
        return self.learning_rate * climb * (self.final_rate + (1 - self.final_rate) * cosine)


@dataclass
class State:
    """Where a run stands: all that a checkpoint holds beside the tensors. Taught in: 04_training"""

    step: int = 0
    elapsed: float = 0.0  # seconds of training so far, earlier sittings included
    best: float = math.inf  # lowest validation error, px
    validated: int = 0  # how many of the planned validations are done
    rows: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Fit:
    """What `fit` returns. `history` has one row per stretch of steps. Taught in: 04_training"""

    history: pd.DataFrame
    interrupted: bool
    steps: int
    seconds: float


def batches(count: int, batch: int, seed: int, first_step: int = 0) -> Iterator[np.ndarray]:
    """Endless index batches (batch,): every face once per epoch, in a new order each time.

    Epochs are strung together, so that no face is dropped at their ends. Starting at `first_step`
    gives just what a run from step 0 would have seen there. Taught in: 04_training
    """

    def order(epoch: int) -> np.ndarray:
        return np.random.default_rng([seed, epoch]).permutation(count)

    step = first_step
    while True:
        positions = np.arange(step * batch, (step + 1) * batch)
        epochs = np.unique(positions // count)
        orders = {epoch: order(int(epoch)) for epoch in epochs}
        yield np.array([orders[p // count][p % count] for p in positions])
        step += 1


def step_rng(seed: int, step: int) -> torch.Generator:
    """The source of everything random in one step; any step's can be made alone.

    Taught in: 04_training
    """
    mixed = np.random.SeedSequence([seed, step]).generate_state(1, dtype=np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed) >> 1)


@contextmanager
def stop_on_signal() -> Iterator[list[int]]:
    """Turn the first Ctrl-C (or the stop button of a notebook) into an entry of the list yielded.

    The loop looks at the list between steps, so weights and optimiser are never caught half
    updated. A second one interrupts at once. Taught in: 04_training
    """
    seen: list[int] = []

    def note(number: int, frame: Any) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    try:
        before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: signals do not reach us there
        before = {}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Trainer:
    """One run: network, optimiser, data and state. `fit` is the way in; the parts are small so
    that the notebook can go through them one by one. Taught in: 04_training"""

    def __init__(
        self, model: nn.Module, train: Faces, validation: Faces | None, config: TrainConfig
    ) -> None:
        if not len(train):
            raise ValueError("the training set is empty: expected at least one face")
        self.device = next(model.parameters()).device
        self.model = model.to(memory_format=torch.channels_last)  # faster convolutions on CPUs
        self.train, self.validation, self.config = train, validation, config
        self.optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
        self.state = State()
        self.total_steps = None
        if config.epochs is not None:
            self.total_steps = max(1, round(config.epochs * len(train) / config.batch))

    def progress(self) -> float:
        """The share of the budget that is spent, 0 to 1."""
        if self.total_steps is not None:
            return self.state.step / self.total_steps
        return self.state.elapsed / self.config.seconds

    def load_batch(self, index: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Augmented pictures (B, 1, H, W) and points (B, K, 2) for the rows `index`."""
        images = as_input(self.train.images[index])
        points = torch.from_numpy(self.train.points[index])
        rng = step_rng(self.config.seed, self.state.step)
        # One eye alone has no mirror order, but it can be trained without mirroring.
        mirror = self.config.augment.mirror > 0
        order = self.train.mirror_order if mirror else range(points.shape[1])
        images, points = augment(images, points, self.config.augment, rng, order)
        return images.to(self.device), points.to(self.device)

    def step(self, index: np.ndarray) -> dict[str, float]:
        """One step of gradient descent; returns the loss and the mean height of the peaks."""
        images, points = self.load_batch(index)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate(self.progress())
        self.model.train()
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        images = images.contiguous(memory_format=torch.channels_last)
        with autocast(self.config.precision, self.device):
            levels = self.model(images)
        levels = [level._replace(scores=level.scores.float()) for level in levels]
        loss = total_loss(levels, points, images.shape[-2:], self.config.objective)
        self.check_finite(loss, levels, index, buffers)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.state.step += 1
        peak = levels[-1].maps.detach().amax(dim=(-2, -1)).mean()
        return {"loss": loss.item(), "peak": peak.item()}

    def check_finite(
        self, loss: torch.Tensor, levels: list, index: np.ndarray, buffers: list[torch.Tensor]
    ) -> None:
        """Stop before a broken loss breaks the weights, and say where it came from."""
        if torch.isfinite(loss):
            return
        for buffer, before in zip(self.model.buffers(), buffers, strict=True):
            buffer.copy_(before)  # the forward pass has fed the bad values to the BatchNorms
        bad = [lv.stride for lv in levels if not torch.isfinite(lv.scores).all()]
        where = f"the network's scores at stride {bad[0]}" if bad else "the loss itself"
        raise TrainingError(
            f"the loss is {loss.item()} at step {self.state.step} (learning rate "
            f"{self.optimizer.param_groups[0]['lr']:.2g}); the first bad values are in {where}; "
            f"the batch held rows {self.train.rows[index][:8].tolist()}... "
            "The weights are those before this step: try a smaller learning rate."
        )

    def validate(self) -> dict[str, float]:
        """Errors on the validation part, in eval mode, with the network's own decoder."""
        found = predict(self.model, self.validation.images, precision=self.config.precision)
        names = self.validation.landmarks
        eyes = tuple(map(names.index, EYES)) if set(EYES) <= set(names) else None
        report = evaluate(found.points.numpy(), self.validation.points, eyes=eyes)
        return {"val_mean_px": report.mean_px, "val_e05": report.e05, "val_e10": report.e10}

    def due(self) -> bool:
        """Whether the next planned validation is due; the last one falls on the end."""
        if self.validation is None or not self.config.validations:
            return False
        return self.progress() >= (self.state.validated + 1) / self.config.validations

    def settings(self) -> dict[str, str]:
        """What two runs must share for one to go on where the other stopped, as text."""
        network = getattr(self.model, "settings", None)
        return config_text(self.config) | {"network": repr(network), "faces": repr(len(self.train))}

    def save(self, path: Path) -> None:
        """Everything needed to go on, in one file."""
        about = {"config": self.settings(), "state": asdict(self.state)}
        checkpoint.save(path, self.model, about, self.optimizer)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of a run with the same settings.

        Raises ValueError naming the first setting that differs: a run that changes its learning
        rate half way is another run. A longer budget in seconds or epochs is another run too,
        since the schedule depends on it.
        """
        tensors, header = checkpoint.read(path)
        if "state" not in header["about"]:
            raise ValueError(f"{path}: holds a network but no training state to resume from")
        theirs, mine = header["about"]["config"], self.settings()
        for name in mine:
            if theirs.get(name) != mine[name]:
                raise ValueError(
                    f"{path} was trained with {name} = {theirs.get(name)}, not {mine[name]}; "
                    "resume with the same settings, or start afresh in another folder"
                )
        checkpoint.restore(tensors, self.model, self.optimizer)
        self.state = State(**header["about"]["state"])


def config_text(config: TrainConfig) -> dict[str, str]:
    """The settings as text, one by one, for comparing two runs. Taught in: 04_training"""
    flat = asdict(config)
    for group in ("objective", "augment"):
        flat |= {f"{group}.{name}": value for name, value in flat.pop(group).items()}
    flat.pop("save_every")  # how often we save changes no weight
    return {name: repr(value) for name, value in flat.items()}


def fit(
    model: nn.Module,
    train: Faces,
    validation: Faces | None = None,
    config: TrainConfig | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    report: Callable[[dict[str, float]], None] | None = None,
    every: int = 50,
) -> Fit:
    """Train a network until the budget is spent, or until it is interrupted.

    Args:
        model: any network of `hglib.hourglass`; trained in place, left in eval mode.
        train, validation: parts of a `hglib.data.split`.
        config: see `TrainConfig`; the default is 100 seconds.
        folder: gets `last.safetensors` (to resume from) and `best.safetensors` (lowest
            validation error), each written atomically. None saves nothing.
        resume: go on from `folder/last.safetensors` if there is one. With a budget in epochs the
            weights then equal those of a run that was never interrupted, bit for bit; with a
            budget in seconds they cannot, since no two runs take the same time per step.
        report: called with each new row of the history (`print_row` prints it).
        every: steps per row of the history.

    Raises:
        TrainingError: the loss is not finite; says at which step, level and rows.
        ValueError: an empty set, or a checkpoint of other settings.

    Taught in: 04_training
    """
    run = Trainer(model, train, validation, config or TrainConfig(seconds=100))
    last, best = (Path(folder) / f"{n}.safetensors" if folder else None for n in ("last", "best"))
    if resume and last and last.exists():
        run.resume(last)
    start = time.perf_counter() - run.state.elapsed
    saved, sums = time.perf_counter(), []
    with stop_on_signal() as stopped:
        for index in batches(len(train), run.config.batch, run.config.seed, run.state.step):
            if run.progress() >= 1 or stopped:
                break
            sums.append(run.step(index))
            run.state.elapsed = time.perf_counter() - start
            if run.due() or run.state.step % every == 0:
                add_row(run, sums, best, report)
                sums = []
            if last and time.perf_counter() - saved > run.config.save_every:
                run.save(last)
                saved = time.perf_counter()
        if sums:
            add_row(run, sums, best, report)
    run.state.elapsed = time.perf_counter() - start
    if last:
        run.save(last)
    model.eval()
    return Fit(history(run), bool(stopped), run.state.step, run.state.elapsed)


def add_row(
    run: Trainer,
    sums: list[dict[str, float]],
    best: Path | None,
    report: Callable[[dict[str, float]], None] | None,
) -> None:
    """Close a stretch of steps: average it, validate if it is time, keep the best network.

    Taught in: 04_training
    """
    state = run.state
    row: dict[str, float] = {"step": state.step, "seconds": state.elapsed}
    row |= {"epoch": state.step * run.config.batch / len(run.train)}
    row |= {"rate": run.optimizer.param_groups[0]["lr"]}
    row |= {key: float(np.mean([s[key] for s in sums])) for key in sums[0]}
    if run.due():
        row |= run.validate()
        state.validated += 1
        if row["val_mean_px"] < state.best:
            state.best = row["val_mean_px"]
            if best:
                checkpoint.save(best, run.model, {"step": state.step, "val_mean_px": state.best})
    state.rows.append(row)
    if report:
        report(row)


def history(run: Trainer) -> pd.DataFrame:
    """The rows so far as a table; NaN where a row has no value. Taught in: 04_training"""
    import pandas as pd

    return pd.DataFrame(run.state.rows)


def print_row(row: dict[str, float]) -> None:
    """Print a row of the history on one line, when it holds a validation. Taught in: 04_training"""
    if "val_mean_px" in row:
        print(
            f"{row['seconds']:6.0f} s  step {row['step']:6.0f}  epoch {row['epoch']:6.2f}  "
            f"loss {row['loss']:8.4f}  peak {row['peak']:.3f}  "
            f"validation {row['val_mean_px']:.2f} px, e<=.05 {100 * row['val_e05']:.1f} %"
        )
