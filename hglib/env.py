"""What this Python is made of: the lines to read first when something does not work."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("hglib", "torch", "numpy", "pandas", "matplotlib")
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

    from hglib.distributed import choose_device

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
