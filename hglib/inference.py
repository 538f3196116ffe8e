"""From pictures to points with a trained network: the one path that training, evaluation and
users share, so that all of them prepare pictures in the same way.

Axes: N pictures, K landmarks, H rows, W columns. Points are (x, y) in picture pixels, 0-based.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hglib.checkpoint import WEIGHTS, load_model
from hglib.heatmap import Decoded, decode

MIRROR_EYES = (1, 0)  # the channel order of a mirrored face: left and right trade places


def as_input(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Pictures as a network takes them: (N, 1, H, W) float32 in [0, 1].

    Args:
        images: (N, H, W) or one (H, W); uint8 in 0..255, or float in 0..1.

    Raises:
        ValueError: another shape or type, values that are not finite or outside 0..1.

    >>> as_input(np.full((2, 96, 96), 255, dtype=np.uint8)).shape
    torch.Size([2, 1, 96, 96])

    Taught in: 00_start_here
    """
    if isinstance(images, np.ndarray):  # torch takes no mirrored views, and warns of read-only ones
        images = np.array(images, order="C")
    images = torch.as_tensor(images)
    images = images[None] if images.ndim == 2 else images
    if images.ndim != 3:
        raise ValueError(f"images have shape {tuple(images.shape)}; expected (N, H, W) or (H, W)")
    if images.dtype == torch.uint8:
        return images[:, None].float() / 255  # (N, 1, H, W)
    if not images.is_floating_point():
        raise ValueError(f"images are {images.dtype}; expected uint8, or float in [0, 1]")
    low, high = (images.min().item(), images.max().item()) if images.numel() else (0.0, 0.0)
    if not (low >= 0 and high <= 1):  # NaN fails both comparisons
        raise ValueError(
            f"float images run from {low:.3g} to {high:.3g}; expected 0 to 1: divide by 255?"
        )
    return images[:, None].float()


def autocast(precision: str, device: torch.device | str = "cpu") -> AbstractContextManager:
    """The context in which a network runs: "float32", "bfloat16", or "auto".

    "auto" takes bfloat16 where the hardware multiplies it faster than float32 (CPUs with AVX-512
    BF16 or AMX, GPUs since 2020), else float32: elsewhere it is emulated and slower. Weights,
    losses and decoded points stay float32. Taught in: 04_training, 08_further_and_faster

    >>> with autocast("float32"):
    ...     (torch.ones(1, 1) @ torch.ones(1, 1)).dtype
    torch.float32
    """
    kind = torch.device(device).type
    chosen = choose_precision(precision, kind)
    return torch.autocast(kind, torch.bfloat16) if chosen == "bfloat16" else nullcontext()


def choose_precision(precision: str = "auto", kind: str = "cpu") -> str:
    """What "auto" means on this kind of device: "bfloat16" or "float32"; those stay as they are.

    Raises ValueError for any other name. Taught in: 08_further_and_faster

    >>> choose_precision("float32")
    'float32'
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"precision {precision!r} is not one of auto, float32, bfloat16")
    if precision != "auto":
        return precision
    return "bfloat16" if has_fast_bfloat16(kind) else "float32"


def has_fast_bfloat16(kind: str = "cpu") -> bool:
    """Whether bfloat16 products run in hardware on this kind of device ("cpu" or "cuda").

    Taught in: 08_further_and_faster
    """
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(False)
    if kind != "cpu":
        return False
    capabilities = getattr(torch.backends.cpu, "get_cpu_capability", lambda: "")()
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "AVX512" in capabilities and bool(probe())


def folded(model: nn.Module, precision: str = "float32") -> nn.Module:
    """A copy for finding only, whose BatchNorms have become part of the convolutions before them.

    In eval mode a BatchNorm multiplies each channel by one number and adds another; a convolution
    can do both by itself. The copy gives the same scores but for rounding, passes over the maps
    half as often, and must not be trained. Norms that no convolution precedes stay.

    precision: as for `autocast`. Weights that are in bfloat16 already need not be rounded for every
        picture anew, but the copy then only works where `autocast` chooses bfloat16, in `predict`.

    >>> from hglib.hourglass import build
    >>> model, x = build("lean").eval(), torch.rand(1, 1, 96, 96)
    >>> torch.allclose(folded(model)(x)[-1].scores, model(x)[-1].scores, atol=1e-5)
    True

    Taught in: 08_further_and_faster
    """
    model = copy.deepcopy(model).eval()
    for row in [module for module in model.modules() if isinstance(module, nn.Sequential)]:
        for first, second in pairwise(range(len(row))):
            conv, norm = row[first], row[second]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                row[first], row[second] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    kind = next(model.parameters()).device.type
    if choose_precision(precision, kind) == "bfloat16":
        model = model.to(torch.bfloat16)
    return model.to(memory_format=torch.channels_last)


@torch.no_grad()
def predict_maps(
    model: nn.Module,
    images: torch.Tensor,
    mirror_order: Sequence[int] | None = None,
    precision: str = "auto",
) -> torch.Tensor:
    """The finest heat maps of one batch, as the network is now (call `model.eval()` first).

    Args:
        images: (B, 1, H, W) in [0, 1], from `as_input`.
        mirror_order: given, the maps are averaged with those of the mirrored picture, mirrored
            back and with channels swapped: the flip test. (1, 0) for two eyes.

    Returns (B, K, h, w) in float32. Taught in: 05_evaluation
    """
    images = images.contiguous(memory_format=torch.channels_last)
    views = [images] if mirror_order is None else [images, images.flip(-1)]
    with autocast(precision, images.device):
        levels = [model(view)[-1] for view in views]
    # The activation in float32: a sigmoid near 1 in bfloat16 has steps of 0.004.
    maps = [level._replace(scores=level.scores.float()).maps for level in levels]  # (B, K, h, w)
    if mirror_order is None:
        return maps[0]
    return (maps[0] + maps[1].flip(-1)[:, list(mirror_order)]) / 2


def predict(
    model: nn.Module,
    images: np.ndarray | torch.Tensor,
    mirror_order: Sequence[int] | None = None,
    decoder: str | None = None,
    batch: int = 64,
    precision: str = "auto",
) -> Decoded:
    """Points, and a confidence for each, for any number of pictures.

    Args:
        model: any network of `hglib.hourglass`; its mode (train or eval) is restored afterwards.
        images: (N, H, W) or (H, W), uint8 or float in [0, 1].
        mirror_order: given, the flip test is used (see `predict_maps`).
        decoder: a method of `hglib.heatmap.decode`; None takes the network's own (`model.decoder`).
        batch: pictures at a time; 64 fill two cores, and more only take memory.

    Returns `Decoded(points (N, K, 2) in picture pixels, confidence (N, K))` as CPU tensors; the
    confidence is the mass around the peak for softmax maps, the peak's height for others. Raises
    ValueError for no pictures at all, and as `as_input` does.

    Taught in: 00_start_here, 05_evaluation
    """
    device = next(model.parameters()).device
    inputs = as_input(images)  # (N, 1, H, W)
    if not len(inputs):
        raise ValueError("no images were given: expected at least one picture")
    # Only a softmax map has a mass that means something: other maps need not sum to 1.
    confidence = "mass" if model.activation == "softmax" else "peak"
    training, parts = model.training, []
    if any(module.training for module in model.modules()):  # eval() takes longer than to ask
        model.eval()
    try:
        for block in inputs.split(batch):
            maps = predict_maps(model, block.to(device), mirror_order, precision)
            stride = inputs.shape[-1] // maps.shape[-1]
            method = decoder or model.decoder
            parts.append(decode(maps, method, stride=stride, confidence=confidence))
    finally:
        if training:
            model.train()
    return Decoded(*(torch.cat(part).cpu() for part in zip(*parts, strict=True)))


def find_eyes(
    images: np.ndarray | torch.Tensor,
    weights: str | Path | None = None,
    confidence: bool = False,
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """The centres of both eyes in pictures that one face fills: no set-up, no training.

    Args:
        images: (N, 96, 96), or one (96, 96); uint8, or float in [0, 1].
        weights: a checkpoint of `hglib.checkpoint.save`; None takes the network that comes with
            hglib, which was trained on drawn faces alone.
        confidence: return that too, (N, 2) in [0, 1]: the mass of the heat map around its peak.

    Returns points (N, 2, 2) in picture pixels, (x, y), 0-based, the subject's left eye first.
    Raises ValueError or FileNotFoundError as `as_input` and `load_model` do.

    >>> find_eyes(np.zeros((96, 96), np.uint8)).shape
    (1, 2, 2)

    Taught in: 00_start_here, 07_your_own_photo
    """
    path = Path(weights) if weights is not None else WEIGHTS / "lean.safetensors"
    written = path.stat().st_mtime_ns if path.is_file() else 0
    found = predict(_network(path, written), images, MIRROR_EYES)
    points = found.points.numpy()
    return (points, found.confidence.numpy()) if confidence else points


@lru_cache(maxsize=1)
def _network(path: Path, written: int) -> nn.Module:
    """The network of a file, read once as long as the file is not `written` anew."""
    return folded(load_model(path), "auto")
