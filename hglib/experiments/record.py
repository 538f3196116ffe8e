"""Result files: one schema for all experiments, one reader, one writer.

What is not known is null. The files behind the notebooks and `docs/results.md` lie in `results/`.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


@dataclass
class Record:
    """The results of one experiment."""

    experiment: str
    command: str | None = None
    commit: str | None = None  # of the code that measured, or of the change that brought the file
    date: str | None = None
    machine: str | None = None
    torch: str | None = None
    data: str | None = None
    seeds: list[int] | None = None
    about: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Replace the file in one step, with one line for each row."""
        about = [f"{json.dumps(k)}: {dump(v)}" for k, v in asdict(self).items() if k != "figures"]
        rows = [f"  {json.dumps(name)}: {dump(row)}" for name, row in self.figures.items()]
        figures = '"figures": {\n' + ",\n".join(rows) + "\n }"
        text = "{" + ",\n ".join([*about, figures]) + "\n}\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)


def dump(value: Any) -> str:
    """JSON in one line, numbers that are not defined as null."""
    return json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None))


def read(source: str | Path) -> Record:
    """The record in a file, or the published one of that name."""
    path = RESULTS / f"{source}.json" if isinstance(source, str) else source
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        listed = ", ".join(sorted(each.stem for each in RESULTS.glob("*.json")))
        message = f"{path}: there are no such results; published are {listed}"
        raise FileNotFoundError(message) from None
    except (ValueError, TypeError) as error:
        message = f"{path}: no results file of an experiment ({error}); give --save another name"
        raise ValueError(message) from None


def surroundings() -> dict[str, Any]:
    """What is known of this run: commit, date, machine and torch."""
    return {
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{torch.get_num_threads()} threads, {platform.machine()}",
        "torch": torch.__version__,
    }


def commit() -> str | None:
    """The commit of the code that runs; None for an installed package without git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def print_table(rows: dict[str, dict[str, Any]], digits: int = 3, head: str = "") -> None:
    """One aligned line for each row; nothing where a figure is missing."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [[head, *columns]]
    for name, row in rows.items():
        lines.append([name, *(show(row.get(column), digits) for column in columns)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *others in lines:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        print("  ".join([first.ljust(widths[0]), *cells]).rstrip())


def rows(record: Record) -> list[dict[str, Any]]:
    """The rows of results that are kept in groups, each with its group and its name."""
    return [
        {"group": group, "name": name, **row}
        for group, lines in record.figures.items()
        for name, row in lines.items()
    ]


def print_groups(
    lines: Sequence[Mapping[str, Any]], columns: Sequence[str], digits: int = 3
) -> None:
    """A table for each group of lines, which hold a group, a name and these columns."""
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for line in lines:
        cells = {column: line[column] for column in columns}
        groups.setdefault(line["group"], {})[line["name"]] = cells
    for group, table in groups.items():
        print_table(table, digits, head=group)


def show(value: Any, digits: int = 3) -> str:
    """A cell of a table: floats with so many digits after the point, nothing for None and NaN."""
    if value is None or value != value:
        return ""
    return f"{value:,.{digits}f}" if isinstance(value, float) else str(value)
