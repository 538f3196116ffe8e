"""Inference: from images to points, the one path of training, evaluation, export and users.

Axes: N images, K landmarks, H rows, W columns; points are (x, y) in image pixels, 0-based. What a
network must return is in `hglib.hourglass`. Notebook 05_evaluation teaches it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hglib.augment import check_mirror_order
from hglib.env import share_cores
from hglib.heatmap import Decoded
from hglib.hourglass import Level, check_choice, check_network

SIDE = 96  # pixels: the faces of the data set
MIRROR_EYES = (1, 0)  # the channel order of a mirrored face: left and right trade places


def as_input(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Images as a network takes them: (N, 1, H, W) float32 in [0, 1].

    Raises ValueError unless they are (N, H, W) or (H, W), uint8 in 0..255 or float in 0..1.

    >>> as_input(np.full((2, 96, 96), 255, dtype=np.uint8)).shape
    torch.Size([2, 1, 96, 96])
    """
    if isinstance(images, np.ma.MaskedArray) or not isinstance(images, np.ndarray | torch.Tensor):
        kind = type(images).__name__
        raise ValueError(f"images are a {kind}; expected a plain NumPy array or a tensor")
    if isinstance(images, np.ndarray):  # torch takes no mirrored views, and warns of read-only ones
        images = torch.from_numpy(np.array(images, order="C"))
    images = images[None] if images.ndim == 2 else images
    if images.ndim != 3:
        raise ValueError(f"images have shape {tuple(images.shape)}; expected (N, H, W) or (H, W)")
    if images.dtype == torch.uint8:
        return images[:, None].float() / 255  # (N, 1, H, W)
    if not images.is_floating_point():
        raise ValueError(f"images are {images.dtype}; expected uint8, or float in [0, 1]")
    low, high = (images.min().item(), images.max().item()) if images.numel() else (0.0, 0.0)
    if not (low >= 0 and high <= 1):  # NaN fails both comparisons
        hint = ": divide by 255" if low >= 0 and 1 < high <= 255 else ""
        raise ValueError(f"float images run from {low:.3g} to {high:.3g}; expected 0 to 1{hint}")
    return images[:, None].float()


def autocast(precision: str, device: torch.device | str = "cpu") -> AbstractContextManager:
    """The context in which a network runs; weights, losses and points stay float32."""
    kind = torch.device(device).type
    chosen = choose_precision(precision, kind)
    return nullcontext() if chosen == "float32" else torch.autocast(kind, getattr(torch, chosen))


def choose_precision(precision: str = "auto", kind: str = "cpu") -> str:
    """What "auto" means on this kind of device; "float32", "bfloat16", "float16" stay themselves.

    bfloat16 where the hardware multiplies it faster (CPUs with AVX-512 BF16 or AMX, GPUs since
    2020): elsewhere it is emulated and slower. float16 on older GPUs, and on no CPU (ValueError).
    """
    check_choice("precision", precision, ("auto", "float32", "bfloat16", "float16"))
    if precision == "float16" and kind != "cuda":
        raise ValueError(f"precision float16 is for GPUs, not for the device {kind}: choose auto")
    if precision != "auto":
        return precision
    if has_fast_bfloat16(kind):
        return "bfloat16"
    return "float16" if kind == "cuda" else "float32"


def has_fast_bfloat16(kind: str = "cpu") -> bool:
    """Whether bfloat16 products run in hardware on this kind of device."""
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(False)
    capabilities = getattr(torch.backends.cpu, "get_cpu_capability", lambda: "")()
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return kind == "cpu" and "AVX512" in capabilities and bool(probe())


def fuse_conv_bn(model: nn.Module, precision: str = "float32") -> nn.Module:
    """A copy for inference only, whose BatchNorms are fused into the convolutions before them.

    It gives the same scores but for rounding, and passes over the maps half as often. `precision`
    is as for `autocast`: with weights already in bfloat16 only `predict` takes the copy.

    >>> from hglib.hourglass import build
    >>> model, x = build("lean").eval(), torch.rand(1, 1, 96, 96)
    >>> torch.allclose(fuse_conv_bn(model)(x)[-1].scores, model(x)[-1].scores, atol=1e-5)
    True
    """
    model = copy.deepcopy(model).eval()
    for row in [module for module in model.modules() if isinstance(module, nn.Sequential)]:
        for first, second in pairwise(range(len(row))):
            conv, norm = row[first], row[second]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                row[first], row[second] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    kind = device_of(model).type
    dtype = getattr(torch, choose_precision(precision, kind))
    return model.to(dtype=dtype, memory_format=torch.channels_last)


def device_of(model: nn.Module) -> torch.device:
    """Where a network's parameters are; the CPU for a network without any."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def finest_level(
    model: nn.Module,
    images: torch.Tensor,
    mirror_order: Sequence[int] | None = None,
    precision: str = "auto",
    check: bool = True,
) -> tuple[Level, torch.Tensor]:
    """The level that is decoded, and its maps (B, K, h, w), averaged over both views if asked.

    Args as for `predict_maps`; `check` is False where `check_network` was called before.
    """
    views = images if mirror_order is None else torch.cat([images, images.flip(-1)])  # one pass
    views = views.contiguous(memory_format=torch.channels_last)
    with autocast(precision, images.device):
        levels = model(views)
    if check:
        _check_levels(model, levels, views)
    # The activation in float32: a sigmoid near 1 in bfloat16 has steps of 0.004.
    level = levels[-1]._replace(scores=levels[-1].scores.float())
    maps = level.maps  # (B or 2 B, K, h, w)
    if mirror_order is None:
        return level, maps
    order = check_mirror_order(mirror_order, maps.shape[1])
    count = images.shape[0]  # not len(): an exported network takes any number of images
    level = level._replace(scores=level.scores[:count])
    return level, (maps[:count] + maps[count:].flip(-1)[:, order]) / 2


def _check_levels(model: nn.Module, levels: Sequence[Level], images: torch.Tensor) -> None:
    try:
        check_network(levels, images)
    except ValueError as error:
        bad = broken_weights(model)
        cause = f"; its weights {bad} are not finite" if bad else ""
        raise ValueError(f"{type(model).__name__}: {error}{cause}") from None


def broken_weights(model: nn.Module) -> str | None:
    """The name of the first tensor of a network that holds NaN or infinity, if there is one."""
    tensors = model.state_dict().items()
    return next((n for n, t in tensors if t.is_floating_point() and not t.isfinite().all()), None)


@torch.no_grad()
def predict_maps(
    model: nn.Module,
    images: torch.Tensor,
    mirror_order: Sequence[int] | None = None,
    precision: str = "auto",
) -> torch.Tensor:
    """The finest heat maps (B, K, h, w) of one batch, in float32 (call `model.eval()` first).

    Images are (B, 1, H, W) in [0, 1], from `as_input`. With a `mirror_order`, (1, 0) for two eyes,
    the maps are averaged with those of the mirrored image, mirrored back and with channels swapped:
    the flip test.
    """
    return finest_level(model, images, mirror_order, precision)[1]


@torch.no_grad()
def predict(
    model: nn.Module,
    images: np.ndarray | torch.Tensor,
    mirror_order: Sequence[int] | None = None,
    decoder: str | None = None,  # a method of `hglib.heatmap.decode`; None: the level's own
    batch: int = 64,  # images at a time: they fill two cores, and more only take memory
    precision: str = "auto",
) -> Decoded:
    """Points (N, K, 2) in image pixels and confidences (N, K), on the CPU, for N images.

    Images are (N, H, W) or (H, W), uint8 or float in [0, 1]; `mirror_order` asks for the flip test
    (see `predict_maps`). The network runs in eval mode; its own mode is restored afterwards. Raises
    ValueError for arguments that do not fit, or output that `check_network` refuses.
    """
    device = device_of(model)
    if device.type == "cuda" and type(images) is np.ndarray and images.dtype == np.uint8:
        images = torch.from_numpy(np.array(images, order="C")).to(device)  # a quarter of the bytes
    inputs = as_input(images)  # (N, 1, H, W)
    if not len(inputs):
        raise ValueError("no images were given: expected at least one image")
    if type(batch) is not int or batch < 1:
        raise ValueError(f"batch is {batch!r}; it must be a whole number of images, 1 or more")
    training, parts = model.training, []
    if any(module.training for module in model.modules()):  # eval() takes longer than to ask
        model.eval()
    try:
        for block in inputs.split(batch):
            share_cores()
            level, maps = finest_level(model, block.to(device), mirror_order, precision)
            parts.append(level.decode(decoder, maps))
    finally:
        if training:
            model.train()
    return Decoded(*(torch.cat(part).cpu() for part in zip(*parts, strict=True)))
