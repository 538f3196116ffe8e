"""Fixtures that several test files share."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")  # no window, whoever runs the tests

UNPACK = Path(__file__).resolve().parents[2] / "shared" / "data" / "kaggle" / "unpack.py"


@pytest.fixture(scope="session")
def real_data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with Kaggle's files: the one HGLIB_REAL_DATA names, or unpacked for this run."""
    if os.environ.get("HGLIB_REAL_DATA"):
        return Path(os.environ["HGLIB_REAL_DATA"]).expanduser()
    if not UNPACK.is_file():
        pytest.skip("no real data: set HGLIB_REAL_DATA to a folder with Kaggle's files")
    folder = tmp_path_factory.mktemp("kaggle")
    subprocess.run([sys.executable, UNPACK, folder], check=True, capture_output=True)
    return folder


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    """No test inherits the figures of another; matplotlib itself is loaded by who draws."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
