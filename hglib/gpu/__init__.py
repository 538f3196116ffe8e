"""The training step on a GPU, from the rows of the faces to the new weights: recorded, replayed.

A small network's step is some hundreds of small operations. Started one by one from Python they
take ten times as long as their arithmetic; a CUDA graph starts all of them at once.
"""

from __future__ import annotations

import textwrap
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from torch import nn

from hglib import train
from hglib.augment import augment
from hglib.inference import as_input, device_of
from hglib.train import Alone, Fit, Trainer, step_seed

SLOWER = "no CUDA graph, so every step is started from Python, which is slower"
AHEAD = 256  # steps that can be planned, and made, before the host looks at one
UNSEEN = 0.25  # seconds that a GPU may work before we look at clock, signals and loss


class DeviceStep:
    """The steps of a run on its device, none of which waits for the host.

    What differs between steps stands in a plan on the device; a counter `at` points into it. Random
    numbers come from a generator that is seeded before every step, by the run's seed and the step
    alone, so a resumed run has nothing to remember. A graph keeps addresses, not tensors: all that
    it reads is an attribute here, or belongs to the network or its optimiser.
    """

    def __init__(self, run: Trainer) -> None:
        self.run, device = run, run.device
        self.images = torch.as_tensor(run.train.images, device=device)  # (N, H, W) uint8
        self.points = torch.as_tensor(run.train.points, device=device)  # (N, K, 2)
        self.index = torch.zeros(AHEAD, run.config.batch, dtype=torch.long, device=device)
        self.rates = torch.zeros(AHEAD, device=device)  # learning rates
        self.seen = torch.zeros(AHEAD, 2, device=device)  # loss and peak of each step
        self.at = torch.zeros(1, dtype=torch.long, device=device)
        self.rate = torch.zeros((), device=device)  # the learning rate that Adam reads
        self.rng, self.play = torch.Generator(device), None
        run.optimizer.param_groups[0]["lr"] = self.rate

    def make(self, rows: np.ndarray | None = None) -> None:
        """The step at `at`. With `rows` its loss is looked at, and waited for, before it counts."""
        run, index = self.run, self.index.index_select(0, self.at)[0]  # (B,)
        self.rate.copy_(self.rates.index_select(0, self.at)[0])
        images = as_input(self.images.index_select(0, index))  # (B, 1, H, W)
        points = self.points.index_select(0, index)  # (B, K, 2)
        images, points = augment(images, points, run.config.augment, self.rng, run.mirror_order)
        run.optimizer.zero_grad(set_to_none=True)
        loss, seen, levels = run.loss(images, points, len(index))
        if rows is not None:
            run.check_finite(seen[0], levels, rows)
        run.descend(loss)
        self.seen.index_copy_(0, self.at, seen[None])
        self.at += 1

    def steps(
        self, indices: Sequence[np.ndarray], rates: Sequence[float], seeds: Sequence[int]
    ) -> list[dict[str, float]]:
        """Make these steps, at most `AHEAD`, and return the loss and peak of each.

        Where a loss is not finite, all are undone and made again with care: the first bad one
        raises `TrainingError`, and the weights are those before it.
        """
        run, count = self.run, len(indices)
        self.index[:count].copy_(torch.from_numpy(np.stack(indices)))
        self.rates[:count].copy_(torch.tensor(rates))
        self.at.zero_()
        run.model.train()
        self.play = self.play or self.record()
        before = self.snapshot()
        for seed in seeds:
            self.rng.manual_seed(seed)
            self.play()
        if not self.seen[:count, 0].isfinite().all():  # the one look at the device
            self.restore(before)
            self.with_care(indices, seeds)
        run.state.step += count
        return [{"loss": loss, "peak": peak} for loss, peak in self.seen[:count].tolist()]

    def with_care(self, indices: Sequence[np.ndarray], seeds: Sequence[int]) -> None:
        """The same steps, one by one, up to the first whose loss is not finite."""
        for rows, seed in zip(indices, seeds, strict=True):
            before = self.snapshot()
            self.rng.manual_seed(seed)
            try:
                self.make(rows)
            except Exception:
                self.restore(before)
                raise
            self.run.state.step += 1
        self.run.state.step -= len(indices)  # all are good: it was rounding; the caller counts

    def advance(self, source: Iterator[np.ndarray], most: int) -> list[dict[str, float]]:
        """The next steps, up to `most`, that nobody needs to look between."""
        run, start, first = self.run, time.perf_counter(), self.run.state.step
        looks = (n for n in range(1, most) if run.due(n) or run.progress(n) >= 1)
        ahead = range(min(next(looks, most), AHEAD, max(1, int(UNSEEN / run.pace))))
        rates = [run.config.learning_rate_at(run.progress(n)) for n in ahead]
        seeds = [step_seed(run.config.seed, first + n) for n in ahead]
        seen = self.steps([next(source) for _ in ahead], rates, seeds)
        run.pace = (time.perf_counter() - start) / len(ahead)
        return seen

    def record(self) -> Callable[[], None]:
        """What makes one step: the replay of a graph, or `make` itself where none can be recorded.

        Trial steps come first, on a stream of their own: they choose algorithms and fill caches.
        """
        if self.run.device.type != "cuda":
            return self.make
        before, scale = self.snapshot(), self.run.scaler.state_dict()
        stream, here = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(here)
        with torch.cuda.stream(stream):
            self.make()
            self.make()
        try:
            play = self.capture(stream)
        except RuntimeError as error:
            print(f"{SLOWER}: {textwrap.shorten(str(error), 120)}")
            self.rng, play = torch.Generator(self.run.device), self.make
        here.wait_stream(stream)
        self.restore(before)
        self.run.scaler.load_state_dict(scale)
        return play

    def capture(self, stream: torch.cuda.Stream) -> Callable[[], None]:
        """Record a step; raises RuntimeError where one of its operations waits for the GPU."""
        (group,), graph = self.run.optimizer.param_groups, torch.cuda.CUDAGraph()
        try:
            with warnings.catch_warnings(), torch.cuda.stream(stream):
                warnings.simplefilter("ignore")  # that it does not find all: it finds ours
                torch.cuda.set_sync_debug_mode(
                    "error"
                )  # first, as a failed recording leaves traces
                self.make()
            torch.cuda.set_sync_debug_mode("default")
            group["capturable"] = True
            graph.register_generator_state(self.rng)
            with torch.cuda.graph(graph, stream=stream):
                self.make()
        finally:
            torch.cuda.set_sync_debug_mode("default")
            group["capturable"] = False
        return graph.replay

    def tensors(self) -> list[torch.Tensor]:
        """All that a step changes: weights, buffers, what Adam remembers, the counter's place."""
        run = self.run
        moments = (t for state in run.optimizer.state.values() for t in state.values())
        return [self.at, *run.model.parameters(), *run.model.buffers(), *moments]

    def snapshot(self) -> list[torch.Tensor]:
        """A copy of all that a step changes."""
        return [tensor.detach().clone() for tensor in self.tensors()]

    def restore(self, before: list[torch.Tensor]) -> None:
        """Put a copy back in place; what Adam did not remember then is zero, as it begins."""
        for tensor, old in zip_longest(self.tensors(), before):
            tensor.detach().copy_(torch.zeros_like(tensor) if old is None else old)


@dataclass(frozen=True)
class OneGPU(Alone):
    """One process on one GPU: its steps are recorded.

    Several processes on GPUs share a batch through `hglib.parallel`, step by step.
    """

    def recorded(self, run: Trainer) -> DeviceStep:
        """The step, to be recorded when it is first made."""
        return DeviceStep(run)


@wraps(train.fit)
def fit(model: nn.Module, *parts: Any, group: Alone | None = None, **settings: Any) -> Fit:
    """`hglib.train.fit` by the fastest way that there is for the network's device."""
    if group is None and (device := device_of(model)).type == "cuda":
        group = OneGPU(device=device)
    return train.fit(model, *parts, group=group, **settings)
