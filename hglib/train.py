"""The training loop: batches, schedule, validation, history, checkpoints.

Everything random in step n comes from generators seeded by (seed, n), so a run that was interrupted
after step n needs to remember nothing but n to go on exactly as if it had not been. Under torchrun
the same code runs in several processes; `hglib.distributed` says how they stay one run.
"""

from __future__ import annotations

import math
import signal
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hglib import checkpoint, distributed
from hglib.augment import Augment, augment
from hglib.data import EYES, Faces
from hglib.inference import as_input, autocast, predict
from hglib.losses import Objective, total_loss
from hglib.memory import keep_freed_memory
from hglib.metrics import evaluate

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 32  # pictures of a batch that share one random generator; a process draws whole blocks


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


def step_rng(seed: int, step: int, block: int = 0) -> torch.Generator:
    """The source of everything random in one block of one step; any can be made alone.

    Taught in: 04_training
    """
    mixed = np.random.SeedSequence([seed, step, block]).generate_state(1, dtype=np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed) >> 1)


@contextmanager
def stop_on_signal() -> Iterator[list[int]]:
    """Turn the first Ctrl-C (or the stop button of a notebook) into an entry of the list yielded.

    The loop looks at the list between steps, so weights and optimiser are never caught half
    updated. A second Ctrl-C interrupts at once. Taught in: 04_training
    """
    seen: list[int] = []

    def note(number: int, frame: Any) -> None:
        if seen and number == signal.SIGINT:  # schedulers may send SIGTERM twice
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
        self.group = distributed.current(self.device)
        if config.batch < self.group.world:
            raise ValueError(
                f"a batch of {config.batch} is too small for {self.group.world} processes"
            )
        self.model = model.to(memory_format=torch.channels_last)  # faster convolutions on CPUs
        self.network = self.group.wrap(self.model)  # the model itself, unless there are several
        self.train, self.validation, self.config = train, validation, config
        # Fused: one pass over all weights, not a dozen over each; three milliseconds of a step.
        fused = self.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.Adam(model.parameters(), config.learning_rate, fused=fused)
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
        """This process's share of the rows `index`, augmented: pictures (B, 1, H, W) and points
        (B, K, 2). What happens to a picture does not depend on how many processes there are."""
        share = self.group.share(len(index))
        first, last = share.start // BLOCK, (share.stop - 1) // BLOCK
        blocks = [self.load_block(index, number) for number in range(first, last + 1)]
        own = slice(share.start - first * BLOCK, share.stop - first * BLOCK)
        images, points = (torch.cat(parts)[own] for parts in zip(*blocks, strict=True))
        return images.to(self.device), points.to(self.device)

    def load_block(self, index: np.ndarray, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Block `number` of a batch, augmented, on the CPU."""
        rows = index[number * BLOCK : (number + 1) * BLOCK]
        images = as_input(self.train.images[rows])
        points = torch.from_numpy(self.train.points[rows])
        rng = step_rng(self.config.seed, self.state.step, number)
        # One eye alone has no mirror order, but it can be trained without mirroring.
        mirror = self.config.augment.mirror > 0
        order = self.train.mirror_order if mirror else range(points.shape[1])
        return augment(images, points, self.config.augment, rng, order)

    def step(self, index: np.ndarray) -> dict[str, float]:
        """One step of gradient descent; returns the loss and the mean height of the peaks."""
        images, points = self.load_batch(index)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate(self.progress())
        self.model.train()
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        try:
            loss, peak = self.descend(images, points, index)
        except Exception:  # the forward pass has fed the BatchNorms for a step that is not made
            for buffer, before in zip(self.model.buffers(), buffers, strict=True):
                buffer.copy_(before)
            raise
        self.state.step += 1
        return {"loss": loss, "peak": peak}

    def descend(
        self, images: torch.Tensor, points: torch.Tensor, index: np.ndarray
    ) -> tuple[float, float]:
        """Forward, backward, Adam; the loss and the peak of the whole batch."""
        images = images.contiguous(memory_format=torch.channels_last)
        with autocast(self.config.precision, self.device):
            levels = self.network(images)
        levels = [level._replace(scores=level.scores.float()) for level in levels]
        loss = total_loss(levels, points, images.shape[-2:], self.config.objective)
        loss = loss * self.share_of_loss(points)
        peak = levels[-1].maps.detach().amax(dim=(-2, -1)).mean() * (len(images) / len(index))
        whole = self.group.total(torch.stack([loss.detach(), peak]))
        self.check_finite(whole[0], levels, index)
        self.optimizer.zero_grad(set_to_none=True)
        (loss * self.group.world).backward()  # the gradients are averaged: the sum is wanted
        self.optimizer.step()
        return whole[0].item(), whole[1].item()

    def share_of_loss(self, points: torch.Tensor) -> torch.Tensor | float:
        """What the loss of this process's points (B, K, 2) counts for in the whole batch's.

        A mean of means is not the mean where one share has more labels than another.
        """
        if self.group.world == 1 or self.config.objective.loss == "sum_of_squares":
            return 1.0
        labelled = torch.isfinite(points).all(dim=-1).sum()
        return labelled / self.group.total(labelled).clamp(min=1)

    def check_finite(self, loss: torch.Tensor, levels: list, index: np.ndarray) -> None:
        """Stop before a broken loss breaks the weights, and say where it came from."""
        if torch.isfinite(loss):
            return
        broken = [self.group.total((~lv.scores.isfinite()).sum()) for lv in levels]
        bad = [lv.stride for lv, count in zip(levels, broken, strict=True) if count]
        where = f"the network's scores at stride {bad[0]}" if bad else "the loss itself"
        raise TrainingError(
            f"the loss is {loss.item()} at step {self.state.step} (learning rate "
            f"{self.optimizer.param_groups[0]['lr']:.2g}); the first bad values are in {where}; "
            f"the batch held rows {self.train.rows[index][:8].tolist()}... "
            "The weights are those before this step: try a smaller learning rate."
        )

    def validate(self) -> dict[str, float]:
        """Errors on the validation part, in eval mode, with the network's own decoder."""
        points = torch.zeros(self.validation.points.shape)  # (N, K, 2)
        share = self.group.share(len(self.validation))
        if share.start < share.stop:
            images = self.validation.images[share]
            points[share] = predict(self.model, images, precision=self.config.precision).points
        points = self.group.total(points)
        names = self.validation.landmarks
        eyes = tuple(map(names.index, EYES)) if set(EYES) <= set(names) else None
        report = evaluate(points.numpy(), self.validation.points, eyes=eyes)
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

    def lost(self, error: RuntimeError, last: Path | None) -> TrainingError:
        """What to raise when another process is gone. This one's weights are those of a whole step;
        it saves them if it is the one that writes."""
        if last:
            self.save(last)
        kept = f"The weights of that step are in {last}" if last else "Process 0 saves the weights"
        return TrainingError(
            f"process {self.group.rank} of {self.group.world} lost touch with the others after "
            f"step {self.state.step}: one was killed, or ended with an error of its own. {kept}; "
            "go on with --resume and any number of processes. "
            f"({textwrap.shorten(str(error), 100)})"
        )


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
    keep_freed_memory()  # every step makes and frees the same arrays
    run = Trainer(model, train, validation, config or TrainConfig(seconds=100))
    last, best = (Path(folder) / f"{n}.safetensors" if folder else None for n in ("last", "best"))
    if resume and last and last.exists():
        run.resume(last)
    run.group.agree(run.state.step, "the step to start from")
    if not run.group.writer:
        last = best = report = None
    with stop_on_signal() as stopped:
        try:
            train_steps(run, stopped, last, best, report, every)
        except RuntimeError as error:
            if run.group.world == 1 or isinstance(error, TrainingError):
                raise
            raise run.lost(error, last) from error
        interrupted = bool(run.group.maximum(len(stopped)))
    if last:
        run.save(last)
    model.eval()
    return Fit(history(run), interrupted, run.state.step, run.state.elapsed)


def train_steps(
    run: Trainer,
    stopped: list[int],
    last: Path | None,
    best: Path | None,
    report: Callable[[dict[str, float]], None] | None,
    every: int,
) -> None:
    """Steps until the budget is spent or `stopped` is no longer empty, in any of the processes.

    Every process takes the same decisions: those that depend on a clock or on a signal are made
    from the largest value of all. Taught in: 04_training
    """
    start = time.perf_counter() - run.state.elapsed
    saved, sums = time.perf_counter(), []
    for index in batches(len(run.train), run.config.batch, run.config.seed, run.state.step):
        if run.progress() >= 1 or run.group.maximum(len(stopped)):
            break
        sums.append(run.step(index))
        run.state.elapsed = run.group.maximum(time.perf_counter() - start)
        if run.due() or run.state.step % every == 0:
            add_row(run, sums, best, report)
            sums = []
        if last and time.perf_counter() - saved > run.config.save_every:
            run.save(last)
            saved = time.perf_counter()
    if sums:
        add_row(run, sums, best, report)
    run.state.elapsed = run.group.maximum(time.perf_counter() - start)


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
