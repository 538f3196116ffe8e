"""Reads a table of labels: text with a header, whatever its encoding and separator."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hglib.datasets.npz import REMEDY

MARKS = (  # at the beginning of a file; utf-32 begins as utf-16 does
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SEPARATORS = ",;\t|"
EMPTY = {"", "nan", "na", "n/a", "#n/a", "<na>", "null", "none"}  # how programs write "missing"


def read_header(path: Path) -> list[str]:
    """The names in the first line. Raises ValueError where the file is no table."""
    return next(_lines(path))


def read_table(path: Path, columns: Sequence[str]) -> dict[str, list[str]]:
    """The cells of a table as text, by column; blank lines are left out.

    Args:
        path: a text file whose first line holds the names.
        columns: what must be there; a column that is not asked for is left out where its name
            comes twice.

    Raises:
        ValueError: naming the file, the row or column, and the remedy.
    """
    lines = _lines(path)
    header = next(lines)
    for name in columns:
        if header.count(name) > 1:
            raise ValueError(f"{path}: {header.count(name)} columns are called {name}; keep one")
    missing = [name for name in columns if name not in header]
    if missing:
        raise ValueError(
            f"{path}: no column {', '.join(missing)}; it has {_shown(header)}: "
            f"ask for landmarks that it has, or {REMEDY}"
        )
    kept = {name: k for k, name in enumerate(header) if header.count(name) == 1}
    table: dict[str, list[str]] = {name: [] for name in kept}
    for row, cells in enumerate(lines):
        if len(cells) != len(header):
            what = "is it cut short?" if len(cells) < len(header) else "remove the extra commas"
            raise ValueError(
                f"{path}: row {row} has {len(cells)} values, the header {len(header)} names; {what}"
            )
        for name, k in kept.items():
            table[name].append(cells[k])
    if not table[columns[0]]:
        raise ValueError(f"{path}: a header but no rows, so there are no faces; {REMEDY}")
    _refuse_cut_number(path, table.get(header[-1], []))
    return table


def numbers(cells: Sequence[str], name: str, path: Path, strict: bool = True) -> np.ndarray:
    """One column as float64 (N,), NaN where a cell is empty.

    Raises:
        ValueError: for a cell that is no number; with strict=False it is NaN too.
    """
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if cell.lower() in EMPTY:
            continue
        try:
            if not cell.isascii() or "_" in cell:  # float("1_0") is 10
                raise ValueError
            values[row] = float(cell)
        except ValueError:
            if strict:
                raise ValueError(
                    f"{path}: row {row}, column {name}: {cell[:40]!r} is not a number; write one "
                    "with a decimal point, or leave the cell empty where the point is missing"
                ) from None
    return values


def _lines(path: Path) -> Iterator[list[str]]:
    """The header, then the cells of each line that is not blank, without spaces around them."""
    encoding = _encoding(path)
    try:
        with path.open(encoding=encoding, newline="") as stream:
            separator = _separator(stream.readline(1 << 20))
            stream.seek(0)
            header = None
            for cells in csv.reader(stream, delimiter=separator, skipinitialspace=True):
                cells = [cell.strip() for cell in cells]
                if not any(cells) and (header is None or len(cells) != len(header)):
                    continue
                header = header or cells
                decimals = separator != "," and cells is not header
                yield [_pointed(cell) for cell in cells] if decimals else cells
    except (csv.Error, UnicodeError) as error:
        raise ValueError(f"{path}: not a comma-separated table ({error}); {REMEDY}") from error
    if header is None:
        raise ValueError(f"{path}: empty, not a comma-separated table; {REMEDY}")


def _encoding(path: Path) -> str:
    """UTF-8 with or without a mark, UTF-16 and UTF-32 with one; Latin-1 for other bytes."""
    with path.open("rb") as stream:
        start = stream.read(4)
        for mark, name in MARKS:
            if start.startswith(mark):
                return name
        stream.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while chunk := stream.read(1 << 20):
                decoder.decode(chunk)
        except UnicodeDecodeError:
            return "latin-1"  # names of other columns may hold such letters, numbers do not
    return "utf-8-sig"


def _separator(line: str) -> str:
    counts = [line.count(mark) for mark in SEPARATORS]
    return SEPARATORS[int(np.argmax(counts))]


def _pointed(cell: str) -> str:
    """A decimal comma becomes a point: only where the separator is no comma."""
    return cell.replace(",", ".") if cell.count(",") == 1 and len(cell) < 40 else cell


def _refuse_cut_number(path: Path, cells: Sequence[str]) -> None:
    """A file that ends without a line break, in a number shorter than all above it, was cut."""
    with path.open("rb") as stream:
        stream.seek(-4, 2)
        ended = {10, 13} & set(stream.read())
    others = [len(cell) for cell in cells[:-1] if cell.lower() not in EMPTY]
    if not ended and cells[-1:] != [""] and others and len(cells[-1]) < min(others):
        raise ValueError(
            f"{path}: row {len(cells) - 1} ends in {cells[-1][-20:]!r} without a line break, so "
            "the file may be cut short; download it again, or end its last line with a line break"
        )


def _shown(header: Sequence[str]) -> str:
    return ", ".join(name[:40] for name in header[:6]) + ", ..." * (len(header) > 6)
