"""Several processes, one run: each takes its share of every batch, and together they make the step
that one process would have made with the whole batch.

torchrun starts the processes and tells each its `rank`, a number from 0, and how many there are in
all, the `world`. Process 0 also prints, and writes the checkpoints. Three things make the sum of
the shares equal to the whole: gradients are added up, a mean over a batch is taken over the whole
batch (`Group.weigh`), and a BatchNorm normalises by the statistics of the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

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
class Group:
    """The processes of one run, seen from one of them; alone by default.

    >>> Group(rank=1, world=3).share(32), Group().share(32)
    (slice(11, 22, None), slice(0, 32, None))
    """

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def writer(self) -> bool:
        """Whether this process prints and writes files: exactly one does."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """This process's part of `count` things; sizes differ by one at most."""
        size, more = divmod(count, self.world)  # the first `more` shares are one larger
        start = self.rank * size + min(self.rank, more)
        return slice(start, start + size + (self.rank < more))

    def blocks(self, count: int, size: int) -> tuple[range, slice]:
        """Which blocks of `size` this process's share of `count` images lies in, and where in them.

        >>> Group().blocks(70, 32), Group(rank=1, world=2).blocks(70, 32)
        ((range(0, 3), slice(0, 70, None)), (range(1, 3), slice(3, 38, None)))
        """
        share = self.share(count)
        first = share.start // size
        own = slice(share.start - first * size, share.stop - first * size)
        return range(first, (share.stop - 1) // size + 1), own

    def weigh(self, loss: torch.Tensor, points: torch.Tensor, name: str) -> torch.Tensor:
        """This process's part of the loss `name` of the whole batch; points (B, K, 2) are its own.

        A mean of means is not the mean where one share has more labels than another.
        """
        if self.world == 1 or name == "sum_of_squares":
            return loss
        labelled = torch.isfinite(points).all(dim=-1).sum()
        return loss * (labelled / self.total(labelled).clamp(min=1))

    def total(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, differentiable."""
        if self.world == 1:
            return tensor
        return Total.apply(tensor.to(self.device)).to(tensor.device)

    def maximum(self, value: float) -> float:
        """The largest over all processes: what one of them knows, all know."""
        if self.world == 1:
            return value
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

    def wrap(self, model: nn.Module) -> nn.Module:
        """The network to call in training: its gradients are the mean over the processes."""
        if self.world == 1:
            return model
        synchronise(model, self.device)
        places = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=places)


def current(device: torch.device | str = "cpu") -> Group:
    """The group this process belongs to; alone where none was joined.

    >>> current()
    Group(rank=0, world=1, device=device(type='cpu'))
    """
    device = torch.device(device)
    if not (dist.is_available() and dist.is_initialized()):
        return Group(device=device)
    return Group(dist.get_rank(), dist.get_world_size(), device)


def choose_device(wanted: str = "auto") -> torch.device:
    """ "cpu", "cuda", "mps", or "auto": cuda where there is one, else the CPU. Under torchrun each
    process of a machine takes a GPU of its own.

    Apple's mps is taken on request only: nothing here has been measured or compared on it.

    >>> choose_device("cpu")
    device(type='cpu')

    Raises ValueError where there are fewer GPUs than processes."""
    if wanted not in ("auto", "cpu", "cuda", "mps"):
        raise ValueError(f"device {wanted!r} is not one of auto, cpu, cuda, mps")
    if wanted == "mps":
        if not torch.backends.mps.is_available():
            raise ValueError("torch sees no Apple GPU (mps) here; choose the device cpu or auto")
        return torch.device("mps")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or (wanted == "auto" and not found):
        return torch.device("cpu")
    number = int(os.environ.get("LOCAL_RANK", 0))
    if number >= found:
        raise ValueError(
            f"process {number} of this machine has no GPU: torch sees {found}; "
            f"start {found} processes or choose the device cpu"
            if found
            else "torch sees no GPU here; choose the device cpu or auto"
        )
    return torch.device("cuda", number)


@contextmanager
def joined(device: str = "auto") -> Iterator[Group]:
    """The group that torchrun started this process for, or a group of one without torchrun.

    Processes talk through gloo on CPUs and through nccl on GPUs.

    >>> with joined("cpu") as group:
    ...     group.world
    1
    """
    place = choose_device(device)
    if "TORCHELASTIC_RUN_ID" not in os.environ:  # torchrun sets it
        yield Group(device=place)
        return
    if place.type == "cuda":
        torch.cuda.set_device(place)
    backend = "nccl" if place.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield current(place)
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
