"""Fixtures that several test files share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hglib import env

os.environ.setdefault("MPLBACKEND", "Agg")  # no window, whoever runs the tests


env.STAT = Path("no such file")  # the same number of threads, and so the same bits, at any load


@pytest.fixture(scope="session")
def real_data_folder() -> Path:
    """The folder with Kaggle's files that HGLIB_REAL_DATA names."""
    if not os.environ.get("HGLIB_REAL_DATA"):
        pytest.skip("no real data: set HGLIB_REAL_DATA to a folder with Kaggle's files")
    return Path(os.environ["HGLIB_REAL_DATA"]).expanduser()


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    """No test inherits the figures of another; matplotlib itself is loaded by who draws."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
