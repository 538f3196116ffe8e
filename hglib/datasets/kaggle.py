"""Reads the two file layouts in which Kaggle publishes these faces, and checks every value.

* `face_images.npz` (one array called `face_images`) beside `facial_keypoints.csv` (30 label
  columns): the data set "Face Images with Marked Landmark Points".
* `training.csv` (30 label columns and an `Image` column of 9216 grey levels): the competition
  "Facial Keypoints Detection".

Points leave this module counted as in the file; `hglib.datasets.load` makes them 0-based. Rows are
counted from 0, below the header. Axes: N faces, K landmarks, H rows, W columns. Notebook 01 opens
the files by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hglib.data import LANDMARKS
from hglib.datasets.labels import Reading, check
from hglib.datasets.npz import LABELS_FILE, REMEDY, check_brightness, read_images
from hglib.datasets.table import numbers, read_header, read_table

IMAGES_FILE = "face_images.npz"
TRAINING_FILE = "training.csv"
IMAGE_COLUMN = "Image"
SIDE = 96  # the competition's images are 96 x 96
BLOCK = 256  # images converted at a time: keeps temporary arrays below 20 MB


def read_kaggle(
    path: Path, landmarks: Sequence[str], labels: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W) uint8 and points (N, K, 2) float64, counted as in the file, NaN missing.

    Args:
        path: a folder, an .npz file (labels beside it), or a .csv file.
        landmarks: the K names wanted.
        labels: how the labels are written, as for `hglib.load`; None: in pixels, and checked.

    Raises:
        FileNotFoundError, ValueError: one sentence with the file, the row or column, the remedy.

    >>> read_kaggle(Path("nowhere"), ["nose_tip"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FileNotFoundError: nowhere: no such file or folder; ...
    """
    reading = Reading.parse(labels)
    images_path, labels_path = find_files(path)
    columns = [f"{name}_{axis}" for name in landmarks for axis in "xy"]
    table = read_table(labels_path, columns + [IMAGE_COLUMN] * (images_path is None))
    if images_path is None:
        images = _parse_image_column(table.pop(IMAGE_COLUMN), labels_path)
    else:
        images = read_images(images_path, rows=len(table[columns[0]]))
    # All landmarks of the file say what its numbers mean, not only those that are wanted.
    names = [n for n in LANDMARKS if n in landmarks or {f"{n}_x", f"{n}_y"} <= set(table)]
    names += [n for n in landmarks if n not in names]
    flat = [
        numbers(table[f"{n}_{axis}"], f"{n}_{axis}", labels_path, strict=n in landmarks)
        for n in names
        for axis in "xy"
    ]
    raw = np.stack(flat, axis=-1).reshape(len(images), len(names), 2)  # (N, all, 2)
    check(raw, names, landmarks, reading, images, str(labels_path))
    points = reading.apply(raw, names, images.shape[1:])
    points = points[:, [names.index(name) for name in landmarks]]
    _check_points(points, images.shape[1:], columns, labels_path)
    return images, points


def find_files(path: Path) -> tuple[Path | None, Path]:
    """The image file (None where the table holds the images) and the label table.

    Raises:
        FileNotFoundError, ValueError: naming what was looked for, and what was found.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder; correct the path, or {REMEDY}")
    if path.is_dir():
        return _files_in_folder(path)
    if path.suffix == ".npz":
        return path, _beside(path, LABELS_FILE)
    if path.suffix != ".csv":
        raise ValueError(f"{path}: neither a folder, an .npz file nor a .csv file; {REMEDY}")
    if IMAGE_COLUMN in read_header(path):
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


def _check_points(
    points: np.ndarray, size: tuple[int, int], columns: list[str], path: Path
) -> None:
    """Refuses values far outside the image, half a point, and a table without a single point."""
    height, width = size
    limits = np.array([width, height])
    # Half an image of tolerance: a point a little outside is a cropped face, one further out a
    # mix-up of units.
    far = np.argwhere((points < -limits / 2) | (points > limits * 1.5))  # NaN compares false
    if len(far):
        row, landmark, axis = far[0]
        value, name = points[row, landmark, axis], columns[2 * landmark + axis]
        raise ValueError(
            f"{path}: row {row}, column {name}: {value:g} lies far outside the {width}x{height} "
            "image; correct the value (unit: pixels) or empty the cell; where such a number "
            "means that the point is missing, read it with labels='missing=NUMBER'"
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


def _parse_image_column(cells: list[str], path: Path) -> np.ndarray:
    """Images (N, 96, 96) uint8 from cells of 9216 grey levels with spaces between them."""
    images = np.empty((len(cells), SIDE * SIDE), np.uint8)
    for start in range(0, len(cells), BLOCK):
        block = cells[start : start + BLOCK]
        try:
            values = np.loadtxt(block, dtype=np.float64, comments=None, ndmin=2)  # 165.0 is 165
            good = values.shape == (len(block), SIDE * SIDE)
            good = good and bool(((values >= 0) & (values <= 255) & (values % 1 == 0)).all())
        except ValueError:
            good = False
        if not good:
            _name_bad_cell(block, start, path)
        images[start : start + BLOCK] = values
    check_brightness(images, f"{path}: column {IMAGE_COLUMN}")
    return images.reshape(-1, SIDE, SIDE)


def _name_bad_cell(block: list[str], start: int, path: Path) -> None:
    expected = f"expected {SIDE * SIDE} whole numbers from 0 to 255 with spaces between them"
    for row, cell in enumerate(block, start):
        values = cell.split()
        where = f"{path}: row {row}, column {IMAGE_COLUMN}"
        if len(values) != SIDE * SIDE:
            raise ValueError(
                f"{where} has {len(values)} values; {expected}; remove or repair the row"
            )
        for value in values:
            if not _is_grey_level(value):
                raise ValueError(f"{where}: {value[:40]!r}; {expected}; remove or repair the row")
    raise ValueError(
        f"{path}: rows {start} to {start + len(block) - 1}, column {IMAGE_COLUMN}: {expected}"
    )


def _is_grey_level(text: str) -> bool:
    try:
        value = float(text)
    except ValueError:
        return False
    return 0 <= value <= 255 and value % 1 == 0
