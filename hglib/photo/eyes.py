"""The centres of both eyes in one call: the pretrained network, ready to use."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hglib.checkpoint import WEIGHTS, load_model
from hglib.inference import MIRROR_EYES, SIDE, broken_weights, fuse_conv_bn, predict


def find_eyes(
    images: np.ndarray | torch.Tensor, weights: str | Path | None = None, confidence: bool = False
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """The centres of both eyes in images that one face fills: no set-up, no training.

    Args:
        images: (N, 96, 96), or one (96, 96); uint8, or float in [0, 1].
        weights: a checkpoint of two eyes; None takes the network pretrained on synthetic faces.
        confidence: return that too, (N, 2) in [0, 1]: the mass of the heat map around its peak.

    Returns points (N, 2, 2) in image pixels, (x, y), 0-based, the subject's left eye first.

    >>> find_eyes(np.zeros((96, 96), np.uint8)).shape
    (1, 2, 2)
    """
    shape = tuple(getattr(images, "shape", ()))
    if len(shape) in (2, 3) and shape[-2:] != (SIDE, SIDE):
        raise ValueError(
            f"images are {shape}; find_eyes takes faces of 96 x 96 pixels: cut a face out of a "
            "photo with hglib.photo.crop, or resize"
        )
    path = Path(weights) if weights is not None else WEIGHTS / "lean.safetensors"
    found = predict(_network(path, _version(path)), images, MIRROR_EYES)
    points = found.points.numpy()
    return (points, found.confidence.numpy()) if confidence else points


def _version(path: Path) -> tuple[int, ...]:
    """What changes when a file is replaced or written to: its times, size and place on the disk.

    The last change of its status (ctime) cannot be set back, as the time of writing can.
    """
    if not path.is_file():
        return ()
    seen = path.stat()
    return seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino, seen.st_dev


@lru_cache(maxsize=1)
def _network(path: Path, version: tuple[int, ...]) -> nn.Module:
    """The network of a file, read once as long as the file's `version` stays the same."""
    model = load_model(path)
    landmarks = getattr(model, "settings", {}).get("landmarks", 2)
    if landmarks != 2:
        raise ValueError(f"{path}: a network for {landmarks} landmarks; find_eyes needs two eyes")
    if bad := broken_weights(model):
        raise ValueError(f"{path}: the weights {bad} are not finite; train the network again")
    return fuse_conv_bn(model, "auto")
