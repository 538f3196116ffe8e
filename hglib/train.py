"""The training loop: batches, schedule, validation, history, checkpoints.

Everything random in step n comes from generators seeded by (seed, n), so a run that was interrupted
after step n needs to remember nothing but n to go on exactly as if it had not been. Notebook 04
teaches it; `hglib.parallel` lets several processes make one run.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hglib import checkpoint
from hglib.augment import Augment, augment, check_number
from hglib.data import EYES, Faces
from hglib.env import keep_freed_memory, share_cores
from hglib.hourglass import Level, check_choice, check_network
from hglib.inference import as_input, autocast, choose_precision, device_of, predict
from hglib.losses import Objective, check_pair, total_loss
from hglib.metrics import evaluate

if TYPE_CHECKING:
    import pandas as pd

Report = Callable[[dict[str, float]], None] | None
BLOCK = 32  # images of a batch that share one random generator: the studies depend on it


class TrainingError(RuntimeError):
    """Training cannot go on; the message says where it stopped and what to try."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Give a budget: `seconds` or `epochs`."""

    seconds: float | None = None  # wall time, everything included
    epochs: float | None = None  # passes over the data: exactly repeatable, on a slow day too
    batch: int = 32  # large enough for batch normalisation, small enough for many steps
    learning_rate: float = 5e-3  # the peak; high, since a short run cannot afford small steps
    warmup: float = 0.05  # share of the budget in which the learning rate climbs to its peak
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
        name = "seconds" if self.epochs is None else "epochs"
        check_number(name, getattr(self, name), 0, 1e9, above=True)
        check_number("batch", self.batch, 2, 2**20, whole=True)  # batch normalisation needs 2
        check_number("learning_rate", self.learning_rate, 0, 1e38, above=True)
        check_number("warmup", self.warmup, 0, 1, below=True)
        check_number("final_rate", self.final_rate, 0, 1)
        check_number("seed", self.seed, 0, 2**63, whole=True)
        check_number("validations", self.validations, 0, 2**31, whole=True)
        check_number("save_every", self.save_every, 0, math.inf)
        check_choice("schedule", self.schedule, ("cosine", "constant"))
        check_choice("precision", self.precision, ("auto", "float32", "bfloat16", "float16"))
        for name, kind in (("objective", Objective), ("augment", Augment)):
            if not isinstance(value := getattr(self, name), kind):
                raise ValueError(f"{name} is {value!r}; expected {kind.__name__}(...)")

    def learning_rate_at(self, progress: float) -> float:
        """A linear climb, then half a cosine down (arXiv 1608.03983); `progress` is 0 to 1."""
        if self.schedule == "constant":
            return self.learning_rate
        climb = min(1.0, progress / self.warmup) if self.warmup else 1.0
        down = max(0.0, progress - self.warmup) / (1 - self.warmup)
        cosine = (1 + math.cos(math.pi * down)) / 2
        return self.learning_rate * climb * (self.final_rate + (1 - self.final_rate) * cosine)


@dataclass
class State:
    """Where a run stands: all that a checkpoint holds beside the tensors."""

    step: int = 0
    elapsed: float = 0.0  # seconds of training so far, earlier sittings included
    best: float = math.inf  # lowest validation error, px
    validated: int = 0  # how many of the planned validations are done
    rows: list[dict[str, float]] = field(default_factory=list)
    stretch: list[dict[str, float]] = field(default_factory=list)  # steps since the last row
    scale: float = 2.0**16  # of the loss in float16, whose smallest gradients would be zero


@dataclass(frozen=True)
class Fit:
    """What `fit` returns. `history` has one row per stretch of steps."""

    history: pd.DataFrame
    interrupted: bool
    steps: int
    seconds: float


def batches(count: int, batch: int, seed: int, first_step: int = 0) -> Iterator[np.ndarray]:
    """Endless index batches (batch,): every face once per epoch, in a new order each time.

    Epochs are strung together, so that no face is dropped at their ends. Starting at `first_step`
    gives just what a run from step 0 would have seen there."""
    order = lru_cache(2)(lambda epoch: np.random.default_rng([seed, epoch]).permutation(count))
    for start in itertools.count(first_step * batch, batch):
        last = (start + batch - 1) // count
        cuts = [(e, start - e * count) for e in range(start // count, last + 1)]
        yield np.concatenate([order(e)[max(0, cut) : cut + batch] for e, cut in cuts])


def step_seed(seed: int, step: int, block: int = 0) -> int:
    """The seed of everything random in one block of one step; any can be made alone."""
    mixed = np.random.SeedSequence([seed, step, block]).generate_state(1, dtype=np.uint64)[0]
    return int(mixed) >> 1


def step_rng(seed: int, step: int, block: int = 0) -> torch.Generator:
    """The generator of this seed, on the CPU."""
    return torch.Generator().manual_seed(step_seed(seed, step, block))


STOPS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


@contextmanager
def stop_on_signal() -> Iterator[list[int]]:
    """Turn Ctrl-C, a request to terminate or a closed terminal into an entry of the list yielded.

    The loop looks at it between steps: no step is half made, and no second signal loses a save."""
    seen: list[int] = []
    reached = threading.current_thread() is threading.main_thread()  # others get no signals
    numbers = STOPS if reached else []
    before = {s: signal.signal(s, lambda number, frame: seen.append(number)) for s in numbers}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Alone:
    """One process that makes the whole run, where a `hglib.parallel.Group` shares it."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def writer(self) -> bool:
        """Whether this process prints and writes files: exactly one does."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Which of `count` things are this process's."""
        return slice(0, count)

    def weigh(self, loss: torch.Tensor, points: torch.Tensor, name: str) -> torch.Tensor:
        """Its part of the loss of the whole batch."""
        return loss

    def total(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all processes."""
        return tensor

    def maximum(self, value: float) -> float:
        """The largest over all processes: what one of them knows, all know."""
        return value

    def agree(self, value: float, what: str) -> None:
        """Raise ValueError unless this number is the same in all processes."""

    def wrap(self, model: nn.Module) -> nn.Module:
        """The network to call in training."""
        return model

    def recorded(self, run: Trainer) -> Any:
        """What makes many steps at once (`hglib.gpu`); None where `Trainer.step` makes each."""
        return None

    def lost(self, error: RuntimeError, run: Trainer, last: Path | None) -> RuntimeError:
        """What to raise when a step failed."""
        return error


class Trainer:
    """One run: network, optimiser, data and state, in parts that can be called one by one."""

    def __init__(
        self,
        model: nn.Module,
        train: Faces,
        validation: Faces | None,
        config: TrainConfig,
        group: Alone | None = None,
    ) -> None:
        check_faces(model, train, validation, config)
        self.device, self.group = device_of(model), group or Alone()
        if config.batch < (world := self.group.world):
            raise ValueError(f"a batch of {config.batch} is too small for {world} processes")
        self.model = model.to(memory_format=torch.channels_last)  # faster convolutions on CPUs
        self.network = self.group.wrap(self.model)  # the model itself, unless there are several
        self.train, self.validation, self.config = train, validation, config
        # Fused: one pass over all weights, not a dozen over each; three milliseconds of a step.
        fused = self.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.Adam(model.parameters(), config.learning_rate, fused=fused)
        self.state = State()
        half = choose_precision(config.precision, self.device.type) == "float16"
        self.scaler = torch.amp.GradScaler(self.device.type, self.state.scale, enabled=half)
        # One eye alone has no mirror order, but it can be trained without mirroring.
        order = train.mirror_order if config.augment.mirror > 0 else range(len(train.landmarks))
        self.mirror_order, epochs = order, config.epochs
        self.total_steps = epochs and max(1, round(epochs * len(train) / config.batch))
        self.pace = 1.0  # seconds per step, as last measured

    @cached_property
    def recorded(self) -> Any:
        """The steps as the group has recorded them, when they are first asked for; or None."""
        return self.group.recorded(self)

    def progress(self, ahead: int = 0) -> float:
        """The share of the budget that is spent, 0 to 1, now or some steps ahead."""
        if self.total_steps is not None:
            return (self.state.step + ahead) / self.total_steps
        return (self.state.elapsed + ahead * self.pace) / self.config.seconds

    def get_batch(self, index: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """The faces `index`, augmented: images (B, 1, H, W) and points (B, K, 2).

        Every 32 images have a generator of their own: processes make their shares alone."""
        faces, share, parts = self.train, self.group.share(len(index)), []  # alone: all of them
        start = share.start // BLOCK * BLOCK
        for first in range(start, share.stop, BLOCK):
            rows = index[first : first + BLOCK]
            given = as_input(faces.images[rows]), torch.from_numpy(faces.points[rows])
            rng = step_rng(self.config.seed, self.state.step, first // BLOCK)
            parts.append(augment(*given, self.config.augment, rng, self.mirror_order))
        own = slice(share.start - start, share.stop - start)
        images, points = (torch.cat(each)[own] for each in zip(*parts, strict=True))
        return images.to(self.device), points.to(self.device)

    def step(self, index: np.ndarray) -> dict[str, float]:
        """One step of gradient descent; returns the loss and the mean height of the peaks."""
        images, points = self.get_batch(index)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate_at(self.progress())
        self.model.train()
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        try:
            loss, seen, levels = self.loss(images, points, len(index))
            self.check_finite(seen[0], levels, index)
            self.optimizer.zero_grad(set_to_none=True)
            self.descend(loss)
        except Exception:  # the forward pass has fed the BatchNorms for a step that is not made
            for buffer, before in zip(self.model.buffers(), buffers, strict=True):
                buffer.copy_(before)
            raise
        self.state.step += 1
        return {"loss": seen[0].item(), "peak": seen[1].item()}

    def loss(
        self, images: torch.Tensor, points: torch.Tensor, count: int
    ) -> tuple[torch.Tensor, torch.Tensor, list[Level]]:
        """Our part of the loss of a batch of `count`; loss and peak of all of it, (2,); levels."""
        images = images.contiguous(memory_format=torch.channels_last)
        with autocast(self.config.precision, self.device):
            levels = self.network(images)
        levels = [level._replace(scores=level.scores.float()) for level in levels]
        loss = total_loss(levels, points, images.shape[-2:], self.config.objective)
        loss = self.group.weigh(loss, points, self.config.objective.loss)
        peak = levels[-1].maps.detach().amax(dim=(-2, -1)).mean() * (len(images) / count)
        return loss, self.group.total(torch.stack([loss.detach(), peak])), levels

    def descend(self, loss: torch.Tensor) -> None:
        """Backward and Adam. The processes' gradients are averaged, where their sum is wanted."""
        self.scaler.scale(loss * self.group.world).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def advance(self, source: Iterator[np.ndarray], most: int) -> list[dict[str, float]]:
        """The next steps: one, or up to `most` of them where they were recorded (`hglib.gpu`)."""
        if self.recorded is None:
            return [self.step(next(source))]
        return self.recorded.advance(source, most)

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
        faces, batch = self.validation, 64 if self.device.type == "cpu" else 1024
        points, share = torch.zeros(faces.points.shape), self.group.share(len(faces))  # (N, K, 2)
        if len(images := faces.images[share]):
            points[share] = predict(self.model, images, None, None, batch, self.config.precision)[0]
        names = faces.landmarks
        eyes = tuple(map(names.index, EYES)) if set(EYES) <= set(names) else None
        report = evaluate(self.group.total(points).numpy(), faces.points, eyes=eyes)
        return {"val_mean_px": report.mean_px, "val_e05": report.e05, "val_e10": report.e10}

    def due(self, ahead: int = 0) -> bool:
        """Whether the next planned validation is due; the last one falls on the end."""
        planned = self.config.validations if self.validation is not None else 0
        return bool(planned) and self.progress(ahead) >= (self.state.validated + 1) / planned

    def settings(self) -> dict[str, str]:
        """What two runs must share for one to go on where the other stopped, as text."""
        network = getattr(self.model, "settings", None)
        data = {"faces": repr(len(self.train)), "data": self.digest}
        return config_text(self.config) | {"network": repr(network)} | data

    @cached_property
    def digest(self) -> str:
        """Of the training images and points; 0.1 s for seven thousand faces."""
        sha = hashlib.sha256(np.ascontiguousarray(self.train.images))
        sha.update(np.ascontiguousarray(self.train.points))
        return sha.hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Everything needed to go on, in one file."""
        if self.scaler.is_enabled():
            self.state.scale = self.scaler.get_scale()
        about = {"config": self.settings(), "state": asdict(self.state)}
        checkpoint.save(path, self.model, about, self.optimizer)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; raises ValueError naming the first setting that differs.

        A longer budget is another run too, since the schedule depends on it.
        """
        tensors, header = checkpoint.read(path)
        about = header["about"]
        if "state" not in about or not isinstance(about.get("config"), dict):
            raise ValueError(f"{path}: holds a network but no training state to resume from")
        theirs, mine = about["config"], self.settings()
        theirs.setdefault("data", mine["data"])  # files of older versions do not say
        for name in mine:
            if theirs.get(name) != mine[name]:
                raise ValueError(
                    f"{path} was trained with {name} = {theirs.get(name)}, not {mine[name]}; "
                    "resume with the same settings, or start afresh in another folder"
                )
        try:
            state = read_state(about["state"], self.total_steps)
            checkpoint.restore(tensors, self.model, self.optimizer, state.step)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        self.state, half = state, self.scaler.is_enabled()
        self.scaler = torch.amp.GradScaler(self.device.type, state.scale, enabled=half)
        vars(self).pop("recorded", None)  # Adam remembers in other tensors now


def check_faces(
    model: nn.Module, train: Faces, validation: Faces | None, config: TrainConfig
) -> None:
    """Raise ValueError where these faces cannot train this network: one sentence each."""
    if not train.present.any():
        raise ValueError("the training set is empty: expected a face with a labelled point")
    if not isinstance(model, nn.Module) or next(model.parameters(), None) is None:
        raise ValueError(f"the network is {type(model).__name__}; expected a module with weights")
    if validation is not None and len(validation):
        ours, theirs = ((*f.images.shape[1:], f.landmarks) for f in (train, validation))
        if ours != theirs:
            raise ValueError(
                f"the faces to train on are {ours[0]}x{ours[1]} with {len(ours[2])} landmarks, "
                f"those to validate on {theirs[0]}x{theirs[1]} with {len(theirs[2])}: "
                "both must have the same size and landmarks"
            )
    modes = [(module, module.training) for module in model.modules()]
    image = as_input(train.images[:1]).to(device_of(model))
    try:
        with torch.no_grad():
            levels = model.eval()(image)
    finally:
        for module, training in modes:
            module.training = training
    check_network(levels, image, len(train.landmarks))
    for level in levels:
        check_pair(config.objective.loss, level.activation)


def read_state(saved: Any, total_steps: int | None) -> State:
    """The state of a checkpoint; raises ValueError naming what cannot be."""
    if not isinstance(saved, dict) or set(saved) - {*vars(State())} or "step" not in saved:
        raise ValueError("its training state is not one that this version of hglib can read")
    state = State(**saved)
    most = {"step": total_steps or 10**9, "validated": 2**31, "elapsed": 1e12, "best": math.inf}
    for name, high in (most | {"scale": 1e38}).items():
        check_number(f"the state's {name}", getattr(state, name), 0, high, isinstance(high, int))
    for rows in (state.rows, state.stretch):
        good = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
        if not good or not all(isinstance(x, (int, float)) for row in rows for x in row.values()):
            raise ValueError("the history of its training state is no list of rows of numbers")
    if any(set(row) != {"loss", "peak"} for row in state.stretch):
        raise ValueError("its training state holds steps without a loss or a peak")
    return state


def config_text(config: TrainConfig) -> dict[str, str]:
    """The settings as text, one by one, for comparing two runs."""
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
    report: Report = None,
    every: int = 50,
    group: Alone | None = None,
) -> Fit:
    """Train a network until the budget is spent, or until it is interrupted.

    Args:
        model: any network that returns levels (see `hglib.hourglass`); trained in place, left in
            eval mode. `hglib.fit` records the step of a GPU and replays it (`hglib.gpu`).
        train, validation: parts of a `hglib.split`.
        config: the default is 100 seconds.
        folder: gets `last.safetensors` (to resume from) and `best.safetensors` (lowest validation
            error); an earlier run in it moves to `previous-1` unless resumed. None saves nothing.
        resume: go on from `folder/last.safetensors` if there is one. With a budget in epochs the
            weights then equal an uninterrupted run's: on a CPU bit for bit, on a GPU but for
            rounding, since it adds up in an order of its own.
        report: called with each new row of the history (`print_row` prints it).
        every: steps per row of the history.
        group: the processes that make this run together, from `hglib.parallel.joined`.

    Raises:
        TrainingError: the loss is not finite; says at which step, level and rows.
        ValueError: faces or a network that do not fit, or a checkpoint of other settings.
        OSError: the folder cannot be written, or another run is training there.
    """
    keep_freed_memory()  # every step makes and frees the same arrays
    run = Trainer(model, train, validation, config or TrainConfig(seconds=100), group)
    check_number("every", every, 1, 2**31, whole=True)
    last, best = (Path(folder) / f"{n}.safetensors" if folder else None for n in ("last", "best"))
    if not run.group.writer:
        best = report = None
    with checkpoint.own_folder(folder if run.group.writer else None), stop_on_signal() as stopped:
        if last and resume and last.exists():
            run.resume(last)
        elif last and run.group.writer and (aside := checkpoint.move_aside(last, best)):
            print(f"the earlier run in {folder} is in {aside} now")
        run.group.agree(run.state.step, "the step to start from")
        if run.group.maximum(bool(best and not best.exists())):
            run.state.best = math.inf  # deleted, say: the next validation makes it again
        try:
            train_steps(run, stopped, last if run.group.writer else None, best, report, every)
        except RuntimeError as error:
            if (lost := run.group.lost(error, run, last)) is error:
                raise
            raise lost from error
        interrupted = bool(run.group.maximum(len(stopped)))
        if last and run.group.writer:
            run.save(last)
    model.eval()
    vars(run).pop("recorded", None)  # a recorded step keeps a GPU's memory
    return Fit(history(run), interrupted or bool(stopped), run.state.step, run.state.elapsed)


def train_steps(
    run: Trainer,
    stopped: list[int],
    last: Path | None,
    best: Path | None,
    report: Report,
    every: int,
) -> None:
    """Steps until the budget is spent or `stopped` is no longer empty, in any of the processes.

    Clocks, signals and disks differ: the largest value of all processes decides for each."""
    start = time.perf_counter() - run.state.elapsed
    saved, state = time.perf_counter(), run.state
    source = batches(len(run.train), run.config.batch, run.config.seed, state.step)
    while run.progress() < 1 and not run.group.maximum(len(stopped)):
        share_cores()
        state.stretch += run.advance(source, every - state.step % every)
        state.elapsed = run.group.maximum(time.perf_counter() - start)
        if run.due() or state.step % every == 0:
            add_row(run, best, report)
        if last and time.perf_counter() - saved > run.config.save_every:
            try_to_save(lambda: run.save(last))
            saved = time.perf_counter()
    if state.stretch and run.progress() >= 1:  # interrupted: the stretch goes on when resumed
        add_row(run, best, report)
    if run.progress() >= 1 and state.validated and state.best == math.inf:  # best was lost
        keep_best(run, best, run.validate()["val_mean_px"])
    state.elapsed = run.group.maximum(time.perf_counter() - start)


def try_to_save(save: Callable[[], None]) -> bool:
    """Save, and say whether it worked; a disk that is full now may have room for the next one."""
    try:
        save()
    except OSError as error:
        warnings.warn(f"{error}; training goes on", stacklevel=4)
        return False
    return True


def add_row(run: Trainer, best: Path | None, report: Report) -> None:
    """Close a stretch of steps: average it, validate if it is time, keep the best network."""
    row, state = mean_row(run), run.state
    if run.due():
        row |= run.validate()
        state.validated += 1
        keep_best(run, best, row["val_mean_px"])
    state.rows.append(row)
    state.stretch.clear()
    if report:
        report(row)


def keep_best(run: Trainer, best: Path | None, error: float) -> None:
    """Save the network if its validation error, in px, is the lowest so far."""
    state = run.state
    if error < state.best:
        state.best, about = error, {"step": state.step, "val_mean_px": error}
        if best and not try_to_save(lambda: checkpoint.save(best, run.model, about)):
            state.best = math.inf  # the next validation tries again
        state.best = run.group.maximum(state.best)


def mean_row(run: Trainer) -> dict[str, float]:
    """The steps since the last row of the history, as one row."""
    state, rate = run.state, float(run.optimizer.param_groups[0]["lr"])
    epoch = state.step * run.config.batch / len(run.train)
    row = {"step": state.step, "seconds": state.elapsed, "epoch": epoch, "learning_rate": rate}
    return row | {key: float(np.mean([s[key] for s in state.stretch])) for key in state.stretch[0]}


def history(run: Trainer) -> pd.DataFrame:
    """The rows so far as a table, with the steps since the last; NaN where a row has no value."""
    import pandas as pd

    return pd.DataFrame(run.state.rows + ([mean_row(run)] if run.state.stretch else []))


def print_row(row: dict[str, float]) -> None:
    """Print a row of the history on one line, when it holds a validation."""
    if "val_mean_px" in row:
        print(
            f"{row['seconds']:6.0f} s  step {row['step']:6.0f}  epoch {row['epoch']:6.2f}  "
            f"loss {row['loss']:8.4f}  peak {row['peak']:.3f}  "
            f"validation {row['val_mean_px']:.2f} px, e<=.05 {100 * row['val_e05']:.1f} %"
        )
