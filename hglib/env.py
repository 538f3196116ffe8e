"""The machine: its versions, device and memory; the lines to read first when something fails."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

PACKAGES = ("hglib", "torch", "numpy", "pandas", "matplotlib")
LARGEST = 31_000_000  # bytes; glibc learns nothing from blocks above 32 MiB
STATUS = Path("/proc/self/status")  # Linux
STAT = Path("/proc/stat")  # Linux: what all processes of the machine have used
GPU_HINT = (
    "No GPU. The notebooks run without one; for a faster run choose\n"
    "Runtime > Change runtime type > T4 GPU, then run this cell again."
)


def check_env() -> None:
    """Print versions, device and threads; paste the lines into a bug report.

    On Colab without a GPU, two more lines say where to switch one on.

    >>> from hglib.env import check_env
    >>> check_env()  # doctest: +ELLIPSIS
    Python 3... on ...
    hglib ...
    device ...
    """
    print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    print(", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    device, threads = _device()
    print(f"device {device}, {threads} of {os.cpu_count()} cores used")
    if "google.colab" in sys.modules and device.startswith("cpu"):
        print(GPU_HINT)


def _version(name: str) -> str:
    """The installed version, read without importing the package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def _device() -> tuple[str, int]:
    """The device that "auto" chooses, in words, and the number of threads torch uses on the CPU."""
    import torch

    share_cores()
    device = choose_device().type
    words = f"cuda ({torch.cuda.get_device_name()})" if device == "cuda" else device
    if device == "cpu" and torch.backends.mps.is_available():
        words += " (mps is there, but not measured: choose the device mps to try it)"
    return words, torch.get_num_threads()


def printable(text: str) -> str:
    """Text on one line, with control characters and undecodable bytes as escapes.

    A file may be named so that its name moves the cursor of the terminal that prints it.

    >>> printable("face" + chr(27) + "[2J.png")
    'face\\\\x1b[2J.png'
    """
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


def choose_device(wanted: str = "auto") -> torch.device:
    """The device of "cpu", "cuda", "mps" or "auto": cuda where there is one, else the CPU.

    Under torchrun each process takes a GPU of its own. Apple's mps is taken on request only:
    nothing here was measured on it. Raises ValueError where the device is not there.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    import torch

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


@dataclass
class _Share:
    """What `share_cores` knew when it last looked."""

    most: int  # threads that torch chose by itself, for the cores this process may use
    threads: int  # threads we asked for
    used: tuple[float, float, float]


_share: _Share | None = None


def _used() -> tuple[float, float, float]:
    """Seconds by the clock; of cores busy in the whole machine; of cores busy with this process."""
    ticks = [int(word) for word in STAT.read_text().split(maxsplit=9)[1:9]]  # proc(5)
    busy = sum(ticks) - ticks[3] - ticks[4]  # all but idle and waiting for a disk
    return time.monotonic(), busy / os.sysconf("SC_CLK_TCK"), time.process_time()


def share_cores(every: float = 2.0) -> int:
    """Let torch compute with as many threads as there are cores free; returns how many.

    torch divides each layer among its threads and waits for the slowest. One that must share its
    core with another program comes late hundreds of times in a step: two threads are then slower
    than one, at worst ten times. We look how many cores others have used since the last call, at
    most once in `every` seconds. Not touched: a number of threads that you chose, by
    OMP_NUM_THREADS or `torch.set_num_threads`; systems that are not Linux.
    """
    global _share
    import torch

    threads = torch.get_num_threads()
    if "OMP_NUM_THREADS" in os.environ or not STAT.exists() or (threads < 2 and _share is None):
        return threads
    if _share is None:
        _share = _Share(threads, threads, _used())
        time.sleep(0.1)  # ten ticks of the system's clock: enough to tell one core from none
        every = 0.0
    if threads != _share.threads or time.monotonic() - _share.used[0] < every:
        return threads
    before, now = _share.used, _used()
    clock, busy, own = (b - a for a, b in zip(before, now, strict=True))
    free = os.cpu_count() - (busy - own) / max(clock, 1e-3)
    _share.threads, _share.used = max(1, min(_share.most, round(free))), now
    torch.set_num_threads(_share.threads)
    return _share.threads


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Let the C library keep the arrays that we free, for the next ones of their size.

    Drawing and training make and drop hundreds of arrays of about 1 MB. By default glibc hands each
    of them back to the system, which must find and clear its pages again a moment later: a quarter
    of the time of drawing a face. Freeing one large block once raises the size from which on it
    does so (mallopt(3), "dynamic mmap threshold"). Other C libraries take no notice.
    """
    np.empty(LARGEST, np.uint8)  # freed at once


def peak_memory() -> int:
    """The most memory that this process has held at a time, in bytes (its resident set).

    Raises ImportError on Windows, which keeps no such number where Python can read it.

    >>> peak_memory() > 1_000_000
    True
    """
    if STATUS.exists():  # getrusage would count what our parent held when it started us
        lines = STATUS.read_text().splitlines()
        (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(peak) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, elsewhere KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
