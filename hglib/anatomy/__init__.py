"""Looking into any network of modules: its parameters, shapes, what an output pixel can see.

Notebook 03_the_hourglass teaches it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hglib.hourglass import ConvBlock, Residual, Standardise
from hglib.original2019 import DownResidual, UpSample

# One line of the table each. What lies inside a block is not listed again.
LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.Upsample)
BLOCKS = (ConvBlock, DownResidual, Residual, UpSample, *LAYERS)
COLUMNS = 48  # characters for the widest map: the table stays narrower than a notebook's page
NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, Standardise)


def count_parameters(model: nn.Module) -> int:
    """The number of trainable values in the network."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_flops(work: Callable[[], object]) -> int:
    """The floating-point operations of the products and convolutions in `work()`.

    A multiply-add counts as two; BatchNorm, ReLU and the loss, bound by memory, as 0.

    >>> count_flops(lambda: torch.ones(2, 3) @ torch.ones(3, 5))  # 2 * 2 * 3 * 5
    60
    """
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def flops(model: nn.Module, size: int = 96) -> int:
    """The operations of one size x size image's forward pass in evaluation mode."""
    return count_flops(lambda: _forward(model, torch.zeros(1, 1, size, size)))


@torch.no_grad()
def _forward(model: nn.Module, x: torch.Tensor) -> None:
    """Images (B, 1, H, W) through a network in evaluation mode; its own mode is restored."""
    training = model.training
    try:
        model.eval()(x)
    finally:
        model.train(training)


class Block(NamedTuple):
    """One block of a network, as `blocks` found it."""

    name: str  # in the network, e.g. "downs.0.1"; "input" for the image itself
    shape: tuple[int, int, int]  # of its output: channels, rows, columns
    parameters: int  # trainable values


def blocks(model: nn.Module, x: torch.Tensor) -> list[Block]:
    """The blocks of a network in the order of computation, the image first.

    The network runs once on images x (B, 1, H, W), in evaluation mode, and is left as it was found.
    """
    found = [Block("input", tuple(x.shape[1:]), 0)]
    names = {block: name for name, block in _blocks(model)}

    def note(block: nn.Module, _: object, output: torch.Tensor) -> None:
        found.append(Block(names[block], tuple(output.shape[1:]), count_parameters(block)))

    hooks = [block.register_forward_hook(note) for block in names]
    try:
        _forward(model, x)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def trace(model: nn.Module, x: torch.Tensor) -> None:
    """Print one line per block, in the order of computation: an hourglass, to scale.

    The bar is as wide as the block's output map; then shape, number of parameters and name.

    >>> from hglib.original2019 import Original2019
    >>> trace(Original2019(), torch.zeros(1, 1, 32, 32))  # doctest: +ELLIPSIS
    ################################################     1 x 32 x 32          0  input
                ########################                 4 x 16 x 16         48  down1
    ...
    ################################################     2 x 32 x 32        146  up1
    """
    for block in blocks(model, x):
        channels, height, width = block.shape
        bar = "#" * max(1, round(COLUMNS * width / x.shape[-1]))
        shape = f"{channels:4d} x {height:2d} x {width:2d}"
        print(f"{bar.center(COLUMNS)}  {shape} {block.parameters:10,d}  {block.name}")


def _blocks(module: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """All blocks with their names, none of them inside another."""
    if isinstance(module, BLOCKS):
        return [(prefix.rstrip("."), module)]
    children = module.named_children()
    return [found for name, child in children for found in _blocks(child, f"{prefix}{name}.")]


def receptive_field(
    model: nn.Module,
    size: tuple[int, int] = (96, 96),
    level: int = -1,
    output_pixel: tuple[int, int] | None = None,
) -> torch.Tensor:
    """Which pixels of an image of `size` (H, W) can change one output pixel: a boolean map (H, W).

    The pixel is (x, y) in cells of the map of that `level`, from 0, its middle by default; outside
    it is a ValueError. One backward pass through a copy in which nothing can cancel or block:
    weights positive, biases zero, max pools replaced by average pools, normalisation left out (its
    mean over the image would let every pixel reach every other). The gradient is positive exactly
    where a path leads.

    >>> from hglib.original2019 import Original2019
    >>> seen = receptive_field(Original2019(), level=0)  # one cell of the 6x6 waist
    >>> int(seen.any(dim=0).sum())
    46
    """
    probe = _unblocked_copy(model)
    image = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
    scores = probe(image)[level].scores  # (1, K, h, w)
    rows, columns = scores.shape[2:]
    column, row = output_pixel if output_pixel is not None else (columns // 2, rows // 2)
    if not (0 <= column < columns and 0 <= row < rows):
        pixel, places = f"({column}, {row})", f"{columns} columns and {rows} rows"
        raise ValueError(f"output_pixel={pixel} lies outside the map of {places} of level {level}")
    (gradient,) = torch.autograd.grad(scores[0, :, row, column].sum(), image)
    return gradient[0, 0] > 0  # (H, W)


@torch.no_grad()
def _unblocked_copy(model: nn.Module) -> nn.Module:
    """A float64 copy through which every path from input to output carries a positive gradient."""
    probe = copy.deepcopy(model).cpu().double().eval()
    for parent in list(probe.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MaxPool2d):
                pool = nn.AvgPool2d(child.kernel_size, child.stride, child.padding)
                setattr(parent, name, pool)
            elif isinstance(child, NORMS):
                setattr(parent, name, nn.Identity())
            elif getattr(child, "inplace", False):
                child.inplace = False  # its input is no longer a norm's own output
    for values in probe.parameters():
        # About the mean over a kernel, so that deep networks neither overflow nor vanish.
        values.fill_(1 / values[0].numel() if values.ndim > 1 else 0.0)
    return probe
