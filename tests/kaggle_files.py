"""Writes Kaggle's files for the tests of what reads them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hglib.data import LANDMARKS
from hglib.datasets import load

COLUMNS = [f"{name}_{axis}" for name in LANDMARKS for axis in "xy"]
FACE = np.array(  # 1-based, roughly the means of Kaggle's labels
    [[66, 38], [30, 38], [59, 39], [74, 39], [37, 39], [23, 39], [56, 29], [80, 30], [40, 29],
     [16, 30], [48, 63], [64, 76], [33, 76], [48, 73], [48, 79]],
    float,
)  # fmt: skip


def noise(count: int, seed: int = 0, size: int = 96) -> np.ndarray:
    """Images (N, size, size) uint8 of noise."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size)).astype(np.uint8)


def labels(count: int, seed: int = 1) -> np.ndarray:
    """1-based labels (N, 30) of faces, some points missing; row 0 has (66.25, 38.5) first."""
    rng = np.random.default_rng(seed)
    table = FACE + rng.normal(0, 2, (count, 15, 2))
    table[rng.random((count, 15)) < 0.2] = np.nan
    table[0, 0], table[0, 1] = (66.25, 38.5), (30, 38)
    return table.reshape(count, 30)


def write_npz(folder: Path, images: np.ndarray, values: np.ndarray, key: str = "face_images"):
    """The two files of the data set; gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "face_images.npz", **{key: images})
    pd.DataFrame(values, columns=COLUMNS).to_csv(folder / "facial_keypoints.csv", index=False)
    return folder


def write_training(folder: Path, images: np.ndarray, values: np.ndarray) -> Path:
    """The one file of the competition; gives its path."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(values, columns=COLUMNS)
    table["Image"] = [" ".join(map(str, image.ravel().tolist())) for image in images]
    table.to_csv(folder / "training.csv", index=False)
    return folder / "training.csv"


def edit(folder: Path, row: int, column: str, value: object) -> None:
    """Change one cell of the label table."""
    table = pd.read_csv(folder / "facial_keypoints.csv").astype(object)
    table.loc[row, column] = value
    table.to_csv(folder / "facial_keypoints.csv", index=False)


def refused(error: type[Exception], source: object, *parts: str, **options: object) -> str:
    """Loading raises `error`, and its one line holds every part."""
    with pytest.raises(error) as caught:
        load(source, verbose=False, **options)
    said = str(caught.value)
    for part in parts:
        assert part in said, f"{part!r} not in: {said}"
    assert "\n" not in said
    return said
