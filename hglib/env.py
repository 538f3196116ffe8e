"""What this Python is made of: the lines to read first when something does not work.

Taught in: 00_start_here
"""

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

    Taught in: 00_start_here
    """
    print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    print(", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    device, threads = _device()
    print(f"device {device}, {threads} of {os.cpu_count()} cores used")
    if "google.colab" in sys.modules and device == "cpu":
        print(GPU_HINT)


def _version(name: str) -> str:
    """The installed version, read without importing the package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def _device() -> tuple[str, int]:
    """The best device that torch sees, and the number of threads it uses on the CPU."""
    import torch

    if torch.cuda.is_available():
        return f"cuda ({torch.cuda.get_device_name()})", torch.get_num_threads()
    device = "mps" if torch.backends.mps.is_available() else "cpu"
    return device, torch.get_num_threads()


def printable(text: str) -> str:
    """Text on one line, with control characters and undecodable bytes as escapes.

    A file may be named so that its name moves the cursor of the terminal that prints it.

    >>> printable("face" + chr(27) + "[2J.png")
    'face\\\\x1b[2J.png'
    """
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)
