"""Saving and loading networks and interrupted trainings, without pickle.

A checkpoint is one safetensors file: every tensor under a plain name, everything else (step,
settings, history) as JSON text in the header. Loading it can run no code, whoever sent it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

WEIGHTS = Path(__file__).parent / "weights"
FORMAT = 1  # raised when the meaning of a name in the file changes
Tensors = dict[str, torch.Tensor]


def save(
    path: str | Path,
    model: nn.Module,
    about: dict[str, Any] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> None:
    """Write `path` in one step: a reader finds the old file or the new one, never half of one.

    Stored are the model's tensors and its `settings`, for `load_model` to rebuild it; `about`,
    anything that JSON can hold; and the optimiser, if given, so that training can go on. Raises
    OSError where the file cannot be written; an older one is then as it was.
    """
    tensors = {f"model/{name}": t for name, t in model.state_dict().items()}
    if optimizer is not None and optimizer.state:
        tensors |= _adam(optimizer)
    # Plain row-major copies: safetensors refuses shared or oddly strided memory (channels_last).
    tensors = {k: t.detach().cpu().contiguous().clone() for k, t in tensors.items()}
    header = {"format": FORMAT, "network": getattr(model, "settings", None), "about": about or {}}
    _write(Path(path), tensors, json.dumps(header | {"checksum": checksum(tensors)}))


def _adam(optimizer: torch.optim.Optimizer) -> Tensors:
    """What Adam remembers of every parameter; zeros where no loss has reached one yet."""
    tensors: Tensors = {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, parameter in enumerate(parameters):
        zeros = torch.zeros_like(parameter)
        beginning = {"step": torch.zeros(()), "exp_avg": zeros, "exp_avg_sq": zeros}
        state = optimizer.state.get(parameter) or beginning
        tensors |= {f"optimizer/{index}/{k}": torch.as_tensor(state[k]) for k in beginning}
    return tensors


def _write(path: Path, tensors: Tensors, header: str) -> None:
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        os.close(handle)
        save_file(tensors, temporary, metadata={"hglib": header})
        with open(temporary, "r+b") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes it private; a checkpoint is an ordinary file
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        said = "an older file there is as it was: make room, or choose another folder"
        raise OSError(f"{path}: could not be saved ({error}); {said}") from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def checksum(tensors: Tensors) -> str:
    """A digest of names, types, shapes and bytes: a flipped bit gives another one."""
    sha = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        sha.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()


@contextmanager
def own_folder(folder: str | Path | None) -> Iterator[None]:
    """While this lasts, no other run writes to the folder; what a killed one left half is deleted.

    Windows, and file systems without locks, go without. Raises OSError where another run has the
    folder or nobody can write.
    """
    if folder is None:
        yield
        return
    with ExitStack() as held:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            if fcntl is not None:  # the system forgets the lock when the process ends, however
                lock = os.open(folder, os.O_RDONLY)
                held.callback(os.close, lock)
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(
                f"{folder}: another run is training there; choose another folder"
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):  # no locks here
                raise OSError(f"{folder}: cannot be written ({error}); choose another") from None
        for part in Path(folder).glob("*.safetensors????????.part"):
            part.unlink(missing_ok=True)
        yield


def move_aside(*paths: Path) -> Path | None:
    """Move an earlier run's files to the first free `previous-N` beside them, and return it."""
    if not (old := [path for path in paths if path.exists()]):
        return None
    folders = (old[0].parent / f"previous-{number}" for number in count(1))
    folder = next(folder for folder in folders if not folder.exists())
    folder.mkdir()
    for path in old:
        os.replace(path, folder / path.name)
    return folder


def read(path: str | Path) -> tuple[Tensors, dict[str, Any]]:
    """All tensors of a checkpoint, and its header.

    Raises FileNotFoundError, or ValueError where it is damaged or not one of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; train one first, or check the path")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("hglib")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error}); save it again") from None
    if text is None:
        raise ValueError(f"{path}: a safetensors file, but not written by hglib.checkpoint.save")
    try:
        header = json.loads(text)
        number, known = header["format"], isinstance(header["about"], dict)
        known &= isinstance(header["network"], dict | None)
    except (ValueError, TypeError, KeyError, RecursionError):
        number, known = FORMAT, False
    if number != FORMAT:
        raise ValueError(f"{path}: format {number}, this hglib reads format {FORMAT}")
    if not known:
        raise ValueError(f"{path}: its header is not one of hglib; save it again")
    if header.get("checksum", checksum(tensors)) != checksum(tensors):  # older files have none
        raise ValueError(f"{path}: damaged since it was written (checksum); take another copy")
    return tensors, header


def restore(
    tensors: Tensors,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    steps: int | None = None,
) -> None:
    """Put tensors from `read` back into a network of the same shape, and into its optimiser.

    `steps` is how many the optimiser has made, where that is known. Raises ValueError naming the
    first tensor that does not fit, with nothing restored.
    """
    own = {f"model/{name}": t for name, t in model.state_dict().items()}
    theirs = {name: t for name, t in tensors.items() if optimizer or name.startswith("model/")}
    adam: Tensors = {}
    if optimizer and (steps or any(name.startswith("optimizer/") for name in theirs)):
        adam = _adam(optimizer)
    for name in [*own, *adam, *theirs]:
        _check_tensor(name, {**own, **adam}.get(name), theirs.get(name), steps)
    model.load_state_dict({name.removeprefix("model/"): theirs[name] for name in own})
    state: dict[int, Tensors] = {}
    for name, like in adam.items():
        _, index, key = name.split("/")  # in the parameter's memory layout: others step slower
        state.setdefault(int(index), {})[key] = torch.empty_like(like).copy_(theirs[name])
    if optimizer:
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _check_tensor(
    name: str, mine: torch.Tensor | None, other: torch.Tensor | None, steps: int | None
) -> None:
    """Raise ValueError unless a tensor of a checkpoint can take the place of the network's own."""
    shapes = ["absent" if t is None else tuple(t.shape) for t in (mine, other)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{name} is {shapes[0]} in the network but {shapes[1]} in the checkpoint")
    if other.is_floating_point() != mine.is_floating_point() or other.dtype == torch.bool:
        raise ValueError(f"{name} is {other.dtype} in the checkpoint, {mine.dtype} in the network")
    if not other.isfinite().all():
        raise ValueError(f"{name} holds numbers that are not finite: the file is of no use")
    kind, key = name.split("/")[0], name.split("/")[-1]
    if kind == "optimizer" and key != "exp_avg" and (other < 0).any():
        raise ValueError(f"{name} holds numbers below 0")
    if kind == "optimizer" and key == "step" and steps is not None and other > steps:
        raise ValueError(f"{name} is {other.item():g}, but the run made {steps} steps")


def load_model(path: str | Path, model: nn.Module | None = None) -> nn.Module:
    """The network stored in a checkpoint, in eval mode; errors as in `read`.

    The weights go into `model`, a network of your own; None rebuilds one of hglib's.
    """
    tensors, header = read(path)
    try:
        model = _rebuild(header["network"], tensors) if model is None else model
        restore(tensors, model)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path}: {str(error).partition(chr(10))[0]}") from None
    return model.eval().to(memory_format=torch.channels_last)  # faster convolutions on CPUs


def _rebuild(settings: dict[str, Any] | None, tensors: Tensors) -> nn.Module:
    from hglib.hourglass import build

    if not settings:
        raise ValueError("does not say which network it holds; give load_model the network")
    # A header may ask for more than any memory holds: nothing in it can exceed what is stored.
    most = max([256, len(tensors), *(side for t in tensors.values() for side in t.shape)])
    for name, value in settings.items():
        values = value if isinstance(value, list) else [value]
        if len(values) > most or any(isinstance(v, (int, float)) and v > most for v in values):
            raise ValueError(f"its header says {name}={str(value)[:40]}, which the weights belie")
    return build(**settings)


def pretrained() -> dict[str, Path]:
    """The trained networks that come with hglib, by name; none of them ever saw a photograph."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}
