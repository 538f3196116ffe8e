"""`python -m hglib find`: photo files in, a table of eyes and marked photos out."""

from __future__ import annotations

import csv
import errno
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import numpy as np
from torch import nn

from hglib.env import printable
from hglib.photo.detect import FoundFace, find_in_box, search_faces
from hglib.photo.image import annotate, read_photo, to_grey

COLUMNS = (
    "photo",  # see `cell`
    "face",  # 0 has the most support
    "left_eye_x",  # the subject's left; in photo pixels, 0-based, after the EXIF rotation
    "left_eye_y",
    "right_eye_x",
    "right_eye_y",
    "support",
    "turn",  # degrees: turn the photo so far clockwise, and the face stands upright
)


def search(
    model: nn.Module,
    path: str | Path,
    box: Sequence[float] | None = None,
    smallest: float | None = None,
    say: Callable[[str], None] | None = None,
) -> tuple[np.ndarray, list[FoundFace]]:
    """The photo in a file, (H, W, 3) uint8, and the faces in it; with a box (x, y, width, height),
    the one face in that box. Errors as in `read_photo`.
    """
    photo = read_photo(path, say) if say else read_photo(path)
    grey = to_grey(photo)
    if box is not None:
        return photo, [find_in_box(model, grey, *box)]
    return photo, search_faces(model, grey, smallest, say)


def table_rows(path: str | Path, faces: Iterable[FoundFace]) -> list[list[str]]:
    """One row of `COLUMNS` for each face, with hundredths of a pixel."""
    return [
        [
            cell(str(path)),
            str(n),
            *(f"{v:.2f}" for v in face.eyes.flat),
            f"{face.support:.3f}",
            str(face.turn),
        ]
        for n, face in enumerate(faces)
    ]


def cell(name: str) -> str:
    """A file name that no spreadsheet takes for a formula, on one line.

    A name that begins like a formula gets an apostrophe in front, which spreadsheets hide; what
    cannot be printed becomes an escape.

    >>> cell("=1+1.png"), cell("a" + chr(10) + "b.png")
    ("'=1+1.png", 'a\\\\nb.png')
    """
    formula = name[:1] in set("=+-@") or name[:1].isspace()
    return "'" * formula + printable(name)


class Table:
    """Rows of faces, written to a file or the screen as they are found.

    The file grows beside its final name and takes that name at the end, also after Ctrl-C or an
    error, so that an older table is replaced by a whole one or not at all. Where the disk does not
    take the rows, they go to the screen. No file is left where no photo could be read.

    Args:
        path: a file, encoded as UTF-8; None for the screen.
        columns: its first line.
    """

    def __init__(self, path: str | Path | None, columns: Sequence[str] = COLUMNS) -> None:
        self.path = Path(path) if path is not None else None
        self.columns = list(columns)
        self.rows: list[list[str]] = []
        self.file: TextIO | None = None if self.path else sys.stdout
        self.begun = False

    def __enter__(self) -> Table:
        return self

    def add(self, path: str | Path, faces: Iterable[FoundFace]) -> None:
        """Write the rows of one photo, as `write` does."""
        self.write(table_rows(path, faces))

    def write(self, rows: list[list[str]]) -> None:
        """Write these rows; an OSError of the disk is raised at the end, not here."""
        rows = rows if self.begun else [self.columns, *rows]
        self.begun = True
        self.rows += rows
        with suppress(OSError):
            if self.file is None:
                self.part = self.path.with_name(self.path.name + ".part")
                self.file = open(self.part, "w", newline="", encoding="utf-8")  # noqa: SIM115
            csv.writer(self.file, lineterminator="\n").writerows(rows)
            self.file.flush()
            self.written = len(self.rows)

    def __exit__(self, *_: object) -> None:
        if self.path is None or not self.begun:
            return
        try:
            if getattr(self, "written", 0) < len(self.rows):
                raise OSError(errno.ENOSPC, "the disk took only a part of the rows")
            self.file.close()
            os.replace(self.part, self.path)
        except OSError as error:
            csv.writer(sys.stdout, lineterminator="\n").writerows(self.rows)
            raise OSError(
                f"{self.path}: not written ({error.strerror}); the rows are on the screen instead"
            ) from error


def save_marked(folder: Path, path: str | Path, photo: np.ndarray, faces: list[FoundFace]) -> Path:
    """The annotated photo as a PNG in `folder`, under the photo's name; returns its path.

    A second photo of the same name gets a number, and nothing that is there is overwritten, nor
    what a link points to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = os.fsencode(Path(path).stem).decode("utf-8", "replace")  # a name that every disk takes
    for number in itertools.count(1):
        target = folder / (f"{name}.png" if number == 1 else f"{name}-{number}.png")
        try:
            with open(target, "xb") as file:  # x: fails where anything has that name
                annotate(photo, faces).save(file, "PNG")
            return target
        except FileExistsError:
            continue
