"""Heat maps and hourglass networks that find the centres of both eyes, small enough to read.

The names below are the ones the notebooks use most. They are loaded when first used: `import hglib`
takes 0.05 s, with plain imports 3 s, of which torch takes 2.5 s, and every `--help` would wait.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Threads that wait for each other must not spin on a core that another process needs: read when
# torch loads OpenMP, so it is set before.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_NAMES = """
anatomy.trace augment.Augment checkpoint.load_model data.Faces datasets.load datasets.split.split
env.check_env heatmap.decode heatmap.exponential_maps heatmap.gaussian_maps hourglass.build
gpu.fit inference.predict losses.Objective metrics.evaluate photo.eyes.find_eyes train.TrainConfig
"""
_HOME = {path.rpartition(".")[2]: path.rpartition(".")[0] for path in _NAMES.split()}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"hglib.{_HOME[name]}"), name)
    raise AttributeError(f"module 'hglib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
