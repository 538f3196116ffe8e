"""`python -m hglib find`: photo files in, a table of eyes and marked pictures out."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from torch import nn

from hglib.photo.detect import FoundFace, find_faces, find_in_box
from hglib.photo.image import annotate, read_photo, to_grey

COLUMNS = (
    "photo",
    "face",  # 0 has the most support
    "left_eye_x",  # the subject's left; in photo pixels, 0-based, after the EXIF rotation
    "left_eye_y",
    "right_eye_x",
    "right_eye_y",
    "support",
)


def search(
    model: nn.Module,
    path: str | Path,
    box: Sequence[float] | None = None,
    smallest: float | None = None,
) -> tuple[np.ndarray, list[FoundFace]]:
    """The photo in a file, (H, W, 3) uint8, and the faces in it; with a box (x, y, width, height),
    the one face in that box. Errors as in `read_photo`.

    Taught in: 07_your_own_photo
    """
    photo = read_photo(path)
    grey = to_grey(photo)
    if box is not None:
        return photo, [find_in_box(model, grey, *box)]
    return photo, find_faces(model, grey, smallest)


def table_rows(path: str | Path, faces: Iterable[FoundFace]) -> list[list[str]]:
    """One row of `COLUMNS` for each face, with hundredths of a pixel.

    Taught in: 07_your_own_photo
    """
    return [
        [str(path), str(number), *(f"{v:.2f}" for v in face.eyes.flat), f"{face.support:.3f}"]
        for number, face in enumerate(faces)
    ]


def write_table(file: TextIO, rows: Iterable[Sequence[str]]) -> None:
    """Comma-separated values with a header. Taught in: 07_your_own_photo"""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)


def save_marked(folder: Path, path: str | Path, photo: np.ndarray, faces: list[FoundFace]) -> Path:
    """The annotated photo as a PNG in `folder`, under the photo's name; returns its path.

    A second photo of the same name gets a number, so that none is overwritten in one run's folder.

    Taught in: 07_your_own_photo
    """
    folder.mkdir(parents=True, exist_ok=True)
    name, number = Path(path).stem, 1
    target = folder / f"{name}.png"
    while target.exists():
        number += 1
        target = folder / f"{name}-{number}.png"
    annotate(photo, faces).save(target)
    return target
