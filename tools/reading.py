"""How long a notebook takes to read, counted: 180 words a minute, 4 s a line, 20 s a figure.

The exercises (everything after the heading "## Exercises") are counted apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

WORDS, LINE, FIGURE = 1 / 180, 4 / 60, 20 / 60  # minutes for one of each
EXERCISES = re.compile(r"(?m)^## Exercises\b.*$")
WORD = re.compile(r"[^\W_][\w'’-]*")
NOT_READ = re.compile(r"\]\([^)\s]*\)|https?://\S+|<[^>]*>")  # addresses and HTML tags
CORE = ("00", "01", "02", "03", "04", "05")  # the course; the others are for those who want more
MINUTES, TOGETHER, SECTIONS, CODE_LINES = 35, 180, 7, 250  # limits of the core


@dataclass(frozen=True)
class Reading:
    """What there is to read in a notebook."""

    words: int = 0
    code: int = 0  # lines that are neither blank nor only a comment
    figures: int = 0
    sections: int = 0

    @property
    def minutes(self) -> int:
        return round(self.words * WORDS + self.code * LINE + self.figures * FIGURE)


def count(notebook: NotebookNode) -> tuple[Reading, Reading]:
    """The notebook without its exercises, and the exercises."""
    page, exercises = [], []
    inside = False
    for cell in notebook.cells:
        before, after = cell.source, ""
        found = EXERCISES.search(cell.source) if cell.cell_type == "markdown" else None
        if cell.metadata.get("hglib") == "footer":
            inside = False
        elif found and not inside:
            inside, before, after = True, cell.source[: found.start()], cell.source[found.start() :]
        elif inside:
            before, after = "", cell.source
        page.append((cell, before))
        exercises.append((cell, after))
    return measure(page), measure(exercises)


def measure(parts: list[tuple[NotebookNode, str]]) -> Reading:
    """Count the given part of each cell's source, and the figures of cells with any part."""
    words = code = figures = sections = 0
    for cell, source in parts:
        if cell.cell_type == "markdown":
            words += len(WORD.findall(NOT_READ.sub(" ", source)))
            sections += len(re.findall(r"(?m)^## ", source))
        elif source.strip():
            lines = (line.strip() for line in source.splitlines())
            code += sum(bool(line) and not line.startswith("#") for line in lines)
            figures += sum("image/png" in output.get("data", {}) for output in cell.outputs)
    return Reading(words, code, figures, sections)


def read(path: Path) -> Reading:
    """What there is to read in this file, exercises apart."""
    return count(nbformat.read(path, as_version=4))[0]


def complaints(number: str, found: Reading) -> list[str]:
    """Where a notebook of the core is longer than a class can bear."""
    limits = {
        "minutes to read": (found.minutes, MINUTES),
        "sections": (found.sections, SECTIONS),
        "lines of code": (found.code, CODE_LINES),
    }
    too_long = {what: pair for what, pair in limits.items() if pair[0] > pair[1]}
    if number not in CORE:
        return []
    return [f"{n} {what}; the limit is {limit}" for what, (n, limit) in too_long.items()]
