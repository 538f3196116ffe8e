"""Saving and loading networks and interrupted trainings, without pickle.

A checkpoint is one safetensors file: every tensor under a plain name, everything else (step,
settings, history) as JSON text in the header. Loading it can run no code, whoever sent it.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

WEIGHTS = Path(__file__).parent / "weights"
FORMAT = 1  # raised when the meaning of a name in the file changes


def save(
    path: str | Path,
    model: nn.Module,
    about: dict[str, Any] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> None:
    """Write `path` in one step: a reader finds the old file or the new one, never half of one.

    The bytes go to a temporary file beside it, are flushed to disk, and the file is renamed.

    Args:
        path: usually ends in .safetensors; its folder is made if need be.
        model: its `state_dict` is stored, with `model.settings` for `load_model` to rebuild it.
        about: anything JSON can hold.
        optimizer: stored too when given, so that training can go on.

    Taught in: 04_training
    """
    from safetensors.torch import save_file

    path = Path(path)
    tensors = {f"model/{name}": t for name, t in model.state_dict().items()}
    if optimizer is not None:
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{key}": torch.as_tensor(t) for key, t in state.items()}
    header = {"format": FORMAT, "network": getattr(model, "settings", None), "about": about or {}}
    # Plain row-major copies: safetensors refuses shared or oddly strided memory (channels_last).
    tensors = {k: t.detach().cpu().contiguous().clone() for k, t in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    os.close(handle)
    try:
        save_file(tensors, temporary, metadata={"hglib": json.dumps(header)})
        with open(temporary, "r+b") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes it private; a checkpoint is an ordinary file
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def read(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """All tensors of a checkpoint, and its header.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, no safetensors file, or not one of ours.

    Taught in: 04_training
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; train one first, or check the path")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get("hglib")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error}); save it again") from None
    if header is None:
        raise ValueError(f"{path}: a safetensors file, but not written by hglib.checkpoint.save")
    header = json.loads(header)
    if header["format"] != FORMAT:
        raise ValueError(f"{path}: format {header['format']}, this hglib reads format {FORMAT}")
    return tensors, header


def restore(
    tensors: dict[str, torch.Tensor],
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
) -> None:
    """Put tensors from `read` back into a network of the same shape, and into its optimiser.

    Raises:
        ValueError: the file's tensors do not fit the network; names the first that differs.

    Taught in: 04_training
    """
    own = model.state_dict()
    theirs = {k.removeprefix("model/"): t for k, t in tensors.items() if k.startswith("model/")}
    for name in [*own, *theirs]:
        mine, other = (tuple(d[name].shape) if name in d else "absent" for d in (own, theirs))
        if mine != other:
            raise ValueError(f"{name} is {mine} in the network but {other} in the checkpoint")
    model.load_state_dict(theirs)
    if optimizer is not None:
        restore_optimizer(tensors, optimizer)


def restore_optimizer(tensors: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> None:
    """Put the `optimizer/...` tensors of a checkpoint back. Taught in: 04_training"""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/")
            own = parameters[int(index)]
            if tensor.shape == own.shape:  # the parameter's memory layout: others step slower
                tensor = torch.empty_like(own, requires_grad=False).copy_(tensor)
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def load_model(path: str | Path) -> nn.Module:
    """The network stored in a checkpoint, rebuilt and in eval mode. Errors as in `read`.

    Taught in: 00_start_here, 04_training
    """
    from hglib.hourglass import build

    tensors, header = read(path)
    if not header["network"]:
        raise ValueError(f"{path}: does not say which network it holds; use read and restore")
    model = build(**header["network"])
    restore(tensors, model)
    return model.eval().to(memory_format=torch.channels_last)  # faster convolutions on CPUs


def shipped() -> dict[str, Path]:
    """The trained networks that come with hglib, by name; none of them ever saw a photograph.

    Taught in: 00_start_here
    """
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}
