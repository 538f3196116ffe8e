"""Reads the two file layouts in which Kaggle publishes these faces, and checks every value.

* `face_images.npz` (one array called `face_images`) beside `facial_keypoints.csv` (30 label
  columns): the data set "Face Images with Marked Landmark Points".
* `training.csv` (30 label columns and an `Image` column of 9216 grey levels): the competition
  "Facial Keypoints Detection".

Points leave this module exactly as the file has them; `hglib.data` makes them 0-based.
Rows are counted from 0, below the header. Axes: N faces, K landmarks, H rows, W columns of a
picture.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

IMAGES_FILE = "face_images.npz"
IMAGES_KEY = "face_images"
LABELS_FILE = "facial_keypoints.csv"
TRAINING_FILE = "training.csv"
IMAGE_COLUMN = "Image"
SIDE = 96  # the competition's pictures are 96 x 96
REMEDY = (
    "download https://www.kaggle.com/datasets/drgilermo/face-images-with-marked-landmark-points, "
    "or set HGLIB_DATA=synthetic for the built-in faces"
)
BLOCK = 256  # pictures converted at a time: keeps temporary arrays below 20 MB


def read_kaggle(path: Path, landmarks: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, H, W) uint8 and points (N, K, 2) float64, as in the file, NaN where missing.

    `path` is a folder, an .npz file (labels beside it), or a .csv file. Raises FileNotFoundError or
    ValueError with one sentence that names the file, the row or column, and the remedy. Taught in:
    01_explore_the_data

    >>> read_kaggle(Path("nowhere"), ["nose_tip"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FileNotFoundError: nowhere: no such file or folder; ...
    """
    images_path, labels_path = find_files(path)
    columns = [f"{name}_{axis}" for name in landmarks for axis in "xy"]
    table = _read_table(labels_path, columns + [IMAGE_COLUMN] * (images_path is None))
    if images_path is None:
        images = _parse_image_column(table[IMAGE_COLUMN], labels_path)
    else:
        images = _read_images(images_path, rows=len(table))
        if len(images) != len(table):
            raise ValueError(
                f"{images_path} holds {len(images)} pictures but {labels_path} has {len(table)} "
                "rows: picture i belongs to row i, so use two files of the same download"
            )
    flat = np.stack([_numbers(table[name], labels_path) for name in columns], axis=-1)  # (N, 2K)
    points = flat.reshape(len(flat), len(landmarks), 2)  # (N, K, 2)
    _check_points(points, images.shape[1:], columns, labels_path)
    return images, points


def find_files(path: Path) -> tuple[Path | None, Path]:
    """The picture file (None where the table holds the pictures) and the label table.

    Taught in: 01_explore_the_data
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder; correct the path, or {REMEDY}")
    if path.is_dir():
        return _files_in_folder(path)
    if path.suffix == ".npz":
        return path, _beside(path, LABELS_FILE)
    if path.suffix != ".csv":
        raise ValueError(f"{path}: neither a folder, an .npz file nor a .csv file; {REMEDY}")
    if IMAGE_COLUMN in _header(path):
        return None, path
    return _beside(path, IMAGES_FILE), path


def _files_in_folder(folder: Path) -> tuple[Path | None, Path]:
    images, labels, training = (folder / n for n in (IMAGES_FILE, LABELS_FILE, TRAINING_FILE))
    if images.is_file() and labels.is_file():
        return images, labels
    if training.is_file():
        return None, training
    found = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
    raise FileNotFoundError(
        f"{folder}: looked for {IMAGES_FILE} with {LABELS_FILE}, or for {TRAINING_FILE}, "
        f"and found {found}; {REMEDY}"
    )


def _beside(path: Path, name: str) -> Path:
    other = path.with_name(name)
    if not other.is_file():
        raise FileNotFoundError(f"{path}: looked for {name} beside it and found none; {REMEDY}")
    return other


def _header(path: Path) -> list[str]:
    import pandas as pd

    try:
        return list(pd.read_csv(path, nrows=0).columns)
    except ValueError as error:  # also pandas' parser errors, and bytes that are not text
        raise ValueError(f"{path}: not a comma-separated table ({error}); {REMEDY}") from error


def _read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    header = _header(path)
    missing = [name for name in columns if name not in header]
    if missing:
        raise ValueError(
            f"{path}: no column {', '.join(missing)}; it has {', '.join(header[:6])}"
            f"{', ...' if len(header) > 6 else ''}: ask for landmarks that it has, or {REMEDY}"
        )
    try:
        table = pd.read_csv(path, low_memory=False)
    except ValueError as error:
        raise ValueError(f"{path}: not a comma-separated table ({error}); {REMEDY}") from error
    # Given more values than names, pandas takes the first column for row names and shifts the rest.
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(
            f"{path}: rows have more values than the header has names; remove the extra commas"
        )
    if table.empty:
        raise ValueError(f"{path}: a header but no rows, so there are no faces; {REMEDY}")
    return table


def _numbers(column: pd.Series, path: Path) -> np.ndarray:
    """One label column as float64 (N,), NaN where the cell is empty."""
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    wrong = np.flatnonzero(numbers.isna() & column.notna())
    if len(wrong):
        row = wrong[0]
        raise ValueError(
            f"{path}: row {row}, column {column.name}: {column.iloc[row]!r} is not a number; "
            "write one with a decimal point, or leave the cell empty where the point is missing"
        )
    return numbers.to_numpy()


def _check_points(
    points: np.ndarray, size: tuple[int, int], columns: list[str], path: Path
) -> None:
    """Refuses values far outside the picture, half a point, and a table without a single point."""
    height, width = size
    limits = np.array([width, height])
    # Half a picture of tolerance: a point a little outside is a cropped face, one further out a
    # mix-up of units.
    far = np.argwhere((points < -limits / 2) | (points > limits * 1.5))  # NaN compares false
    if len(far):
        row, landmark, axis = far[0]
        value, name = points[row, landmark, axis], columns[2 * landmark + axis]
        raise ValueError(
            f"{path}: row {row}, column {name}: {value:g} lies far outside the {width}x{height} "
            "picture; correct the value (unit: pixels) or empty the cell"
        )
    missing = np.isnan(points)  # (N, K, 2)
    half = np.argwhere(missing[..., 0] != missing[..., 1])
    if len(half):
        row, landmark = half[0]
        x, y = columns[2 * landmark : 2 * landmark + 2]
        given, empty = (y, x) if missing[row, landmark, 0] else (x, y)
        raise ValueError(
            f"{path}: row {row} has {given} but no {empty}; fill in both or empty both"
        )
    if missing.all():
        raise ValueError(
            f"{path}: every cell of {', '.join(columns[:4])}{', ...' * (len(columns) > 4)} is "
            "empty, so there is nothing to learn; ask for landmarks that are labelled"
        )


def _read_images(path: Path, rows: int) -> np.ndarray:
    """Pictures (N, H, W) uint8 from an .npz file, whichever of its axes counts the pictures."""
    array = _open_npz(path)
    if array.ndim != 3:
        raise ValueError(
            f"{path}: array {IMAGES_KEY} has shape {array.shape}; "
            "expected grey pictures as (96, 96, N) or (N, 96, 96)"
        )
    stacked = np.moveaxis(array, _picture_axis(array.shape, rows, path), 0)  # (N, H, W)
    if stacked.size == 0:
        raise ValueError(
            f"{path}: array {IMAGES_KEY} of shape {array.shape} holds no picture; {REMEDY}"
        )
    factor = _grey_factor(array, path)
    images = np.empty(stacked.shape, np.uint8)
    for start in range(0, len(stacked), BLOCK):
        block = slice(start, start + BLOCK)
        images[block] = stacked[block] if factor is None else np.rint(stacked[block] * factor)
    return images


def _open_npz(path: Path) -> np.ndarray:
    damaged = f"{path}: not a whole .npz file (damaged, or cut short by a broken download)"
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{damaged}; download it again")
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            array = np.asarray(archive[IMAGES_KEY]) if IMAGES_KEY in names else None
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        ValueError,
    ) as error:
        if "Object arrays" in str(error):
            raise ValueError(
                f"{path}: array {IMAGES_KEY} holds Python objects, which are never unpickled "
                "because that can run code; save it as an array of dtype uint8"
            ) from error
        raise ValueError(f"{damaged}: {error}; download it again") from error
    if array is None:
        raise ValueError(
            f"{path}: no array called {IMAGES_KEY}, only {', '.join(names) or 'none'}; "
            f"save the pictures with np.savez(path, {IMAGES_KEY}=pictures)"
        )
    return array


def _picture_axis(shape: tuple[int, ...], rows: int, path: Path) -> int:
    """Pictures are square: the other axis counts them; Kaggle's (96, 96, N) where all agree."""
    first, second, last = shape
    if first == second:
        return 2
    if second == last:
        return 0
    matching = [axis for axis in (2, 0) if shape[axis] == rows]  # pictures that are not square
    if not matching:
        raise ValueError(
            f"{path}: array {IMAGES_KEY} has shape {shape}: neither its first nor its last axis "
            f"is the {rows} rows of the label table; expected (96, 96, {rows}) or ({rows}, 96, 96)"
        )
    return matching[0]


def _grey_factor(array: np.ndarray, path: Path) -> float | None:
    """What takes the values to 0..255; None for whole numbers, which are there already.

    The whole file decides, never a single picture: floats whose maximum is at most 1 run from 0 to
    1, floats whose maximum is at least 2 run from 0 to 255. A maximum in between fits neither scale
    and is refused.
    """
    if array.dtype.kind not in "uif":
        raise ValueError(
            f"{path}: array {IMAGES_KEY} has dtype {array.dtype}; expected uint8 or float"
        )
    low, high = array.min(), array.max()
    if np.isnan(low):
        raise ValueError(f"{path}: array {IMAGES_KEY} has NaN pixels; a picture needs every pixel")
    if low < 0 or high > 255 or (array.dtype.kind == "f" and 1 < high < 2):
        raise ValueError(
            f"{path}: array {IMAGES_KEY} runs from {low:g} to {high:g}; "
            "expected grey levels from 0 to 255, or floats from 0 to 1"
        )
    if array.dtype.kind != "f":
        return None
    return 255.0 if high <= 1 else 1.0


def _parse_image_column(column: pd.Series, path: Path) -> np.ndarray:
    """Pictures (N, 96, 96) uint8 from cells of 9216 grey levels with spaces between them."""
    cells = column.tolist()
    images = np.empty((len(cells), SIDE * SIDE), np.uint8)
    for start in range(0, len(cells), BLOCK):
        block = cells[start : start + BLOCK]
        try:
            values = np.loadtxt(block, dtype=np.int64, comments=None, ndmin=2)
            good = (
                values.shape == (len(block), SIDE * SIDE)
                and 0 <= values.min() <= values.max() <= 255
            )
        except (ValueError, TypeError, AttributeError):  # an empty cell arrives as NaN, not as text
            good = False
        if not good:
            _name_bad_cell(block, start, path)
        images[start : start + BLOCK] = values
    return images.reshape(-1, SIDE, SIDE)


def _name_bad_cell(block: list[object], start: int, path: Path) -> None:
    expected = f"expected {SIDE * SIDE} whole numbers from 0 to 255 with spaces between them"
    for row, cell in enumerate(block, start):
        values = cell.split() if isinstance(cell, str) else []
        where = f"{path}: row {row}, column {IMAGE_COLUMN}"
        if len(values) != SIDE * SIDE:
            raise ValueError(
                f"{where} has {len(values)} values; {expected}; remove or repair the row"
            )
        for value in values:
            if not (value.isascii() and value.isdigit() and int(value) <= 255):
                raise ValueError(f"{where}: {value!r}; {expected}; remove or repair the row")
    raise ValueError(
        f"{path}: rows {start} to {start + len(block) - 1}, column {IMAGE_COLUMN}: {expected}"
    )
