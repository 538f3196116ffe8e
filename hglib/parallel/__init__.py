"""Several processes, one run: each takes its share of every batch, and together they make the step
that one process would have made with the whole batch.

torchrun starts the processes and tells each its `rank`, a number from 0, and how many there are in
all, the `world`. Process 0 also prints, and writes the checkpoints. Three things make the sum of
the shares equal to the whole: gradients are added up, a mean over a batch is taken over the whole
batch (`Group.weigh`), and a BatchNorm normalises by the statistics of the whole batch.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from hglib.env import choose_device
from hglib.gpu import SLOWER, OneGPU
from hglib.heatmap import labelled
from hglib.train import Alone, Trainer, TrainingError

PATIENCE = timedelta(minutes=5)  # a process that is silent for so long counts as lost


class Total(torch.autograd.Function):
    """The sum of a tensor over all processes, the same in each; gradients are summed likewise.

    Every process's loss depends on every process's share, so the gradient of a share is the sum of
    what all of them say about it."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, tensor: torch.Tensor) -> torch.Tensor:
        summed = tensor.contiguous().clone()
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        return Total.apply(gradient)


@dataclass(frozen=True)
class Group(Alone):
    """The processes of one run, seen from one of them.

    >>> Group(rank=1, world=3).share(32)
    slice(11, 22, None)
    """

    def share(self, count: int) -> slice:
        """This process's part of `count` things; sizes differ by one at most."""
        size, more = divmod(count, self.world)  # the first `more` shares are one larger
        start = self.rank * size + min(self.rank, more)
        return slice(start, start + size + (self.rank < more))

    def weigh(self, loss: torch.Tensor, points: torch.Tensor, name: str) -> torch.Tensor:
        """This process's part of the loss `name` of the whole batch; points (B, K, 2) are its own.

        A mean of means is not the mean where one share has more labels than another.
        """
        if name == "sum_of_squares":
            return loss
        count = labelled(points).sum()
        return loss * (count / self.total(count).clamp(min=1))

    def total(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, differentiable."""
        return Total.apply(tensor.to(self.device)).to(tensor.device)

    def maximum(self, value: float) -> float:
        """The largest over all processes: what one of them knows, all know."""
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return shared.item()

    def agree(self, value: float, what: str) -> None:
        """Raise ValueError unless this number is the same in all processes."""
        low, high = -self.maximum(-value), self.maximum(value)
        if low != high:
            raise ValueError(
                f"the processes disagree about {what}: {low:g} in one, {high:g} in another; "
                "all of them need the same settings and see the same files"
            )

    def recorded(self, run: Trainer) -> None:
        """Nothing: the processes talk in every step."""
        if self.writer and self.device.type == "cuda":
            print(f"{SLOWER}: several processes share it")

    def lost(self, error: RuntimeError, run: Trainer, last: Path | None) -> RuntimeError:
        """What to raise when a step failed: another process is gone, or the error itself.

        The weights here are those of a whole step; the process that writes saves them.
        """
        if isinstance(error, TrainingError):
            return error
        kept = "No checkpoint was asked for"
        if last and self.writer:
            run.save(last)
            kept = f"The weights of that step are in {last}; go on with --resume"
        elif last:
            kept = f"The last checkpoint, where process 0 saved one, is {last}; go on with --resume"
        return TrainingError(
            f"process {self.rank} of {self.world} lost touch with the others after step "
            f"{run.state.step}: one was killed, or ended with an error of its own. {kept} and any "
            f"number of processes. ({textwrap.shorten(str(error), 100)})"
        )

    def wrap(self, model: nn.Module) -> nn.Module:
        """The network to call in training: its gradients are the mean over the processes."""
        synchronise(model, self.device)
        places = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=places)


@contextmanager
def joined(device: str = "auto") -> Iterator[Alone]:
    """The group that torchrun started this process for, or `Alone` without torchrun.

    Processes talk through gloo on CPUs and through nccl on GPUs.

    >>> with joined("cpu") as group:
    ...     group.world
    1
    """
    place = choose_device(device)
    if "TORCHELASTIC_RUN_ID" not in os.environ:  # torchrun sets it
        yield OneGPU(device=place) if place.type == "cuda" else Alone(device=place)
        return
    if place.type == "cuda":
        torch.cuda.set_device(place)
    backend = "nccl" if place.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Group(dist.get_rank(), dist.get_world_size(), place)
    finally:
        dist.destroy_process_group()


class SyncedBatchNorm(nn.BatchNorm2d):
    """A BatchNorm2d whose mean and variance are those of the whole batch, over all processes.

    torch's own SyncBatchNorm does this on GPUs only. In eval mode it is an ordinary BatchNorm, and
    its tensors have the same names, so a checkpoint does not tell one from the other.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to the same shape, B being this process's share of the batch."""
        if not self.training:
            return super().forward(x)
        wide = x.float()  # sums over thousands of pixels, in bfloat16 under autocast otherwise
        cells = wide.new_tensor([wide.numel() / wide.shape[1]])
        sums = Total.apply(torch.cat([wide.sum(dim=(0, 2, 3)), cells]))  # (C + 1,)
        count = sums[-1].detach()
        mean = sums[:-1] / count  # (C,)
        centred = wide - mean[:, None, None]
        variance = Total.apply(centred.square().sum(dim=(0, 2, 3))) / count  # (C,)
        self.remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * (variance + self.eps).rsqrt()  # (C,)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def remember(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Move the running statistics, both (C,), a little towards those of this batch."""
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


def synchronise(model: nn.Module, device: torch.device) -> None:
    """Replace the BatchNorms inside a network, in place, by ones that share their statistics; the
    parameters and buffers stay the very same tensors."""
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # one fast kernel instead of our six steps
        return
    for parent in list(model.modules()):
        for name, old in list(parent.named_children()):
            if type(old) is nn.BatchNorm2d:
                new = SyncedBatchNorm(old.num_features, old.eps, old.momentum)
                for part in ("weight", "bias", "running_mean", "running_var"):
                    setattr(new, part, getattr(old, part))
                new.num_batches_tracked = old.num_batches_tracked
                setattr(parent, name, new.train(old.training))
