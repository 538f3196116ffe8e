"""The one-page handout as a PDF: docs/handout.pdf, drawn by matplotlib from docs/handout.md.

    make handout

It knows as much Markdown as that page uses: headings, paragraphs, one formula or several on a line
of their own, and tables of two columns. The PDF names the text it was made from, for the tests.
"""

from __future__ import annotations

import hashlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import matplotlib

from course import ROOT

A4 = (8.27, 11.69)  # inches
LEFT, TOP, COLUMN = 0.08, 0.955, 0.25  # of the page
LINE = 0.0148  # of the page's height
WIDTH = 112  # characters in a line of prose
SIZES = {"# ": 17, "## ": 12.5}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def lines(text: str) -> Iterator[tuple[str, list[str]]]:
    """(kind, words): "# ", "## ", "formula", "row" or "text", in order."""
    for block in text.strip().split("\n\n"):
        rows = block.splitlines()
        if mark := next((mark for mark in SIZES if block.startswith(mark)), None):
            yield mark, [block.removeprefix(mark)]
        elif block.startswith("|"):
            for row in rows[2:]:
                yield "row", [cell.strip() for cell in row.strip("|").split("|")]
        elif block.startswith("$"):
            yield "formula", [block]
        else:
            yield "text", [line for row in rows for line in wrap(row)]


def wrap(text: str) -> list[str]:
    """Lines of the page's width; a formula is never cut."""
    parts = text.split("$")
    parts[1::2] = [f"${part.replace(' ', '~')}$" for part in parts[1::2]]
    found = textwrap.wrap("".join(parts), WIDTH, break_long_words=False, break_on_hyphens=False)
    return [line.replace("~", " ") for line in found]


def draw(text: str, place: Path) -> float:
    """Write the page; returns how much of its height is left. ValueError if it does not fit."""
    from matplotlib.figure import Figure

    figure, y = Figure(figsize=A4), TOP
    for kind, words in lines(text):
        if kind in SIZES:
            y -= LINE * (0 if kind == "# " else 0.9)
            figure.text(LEFT, y, words[0], fontsize=SIZES[kind], weight="bold", va="top")
            y -= LINE * (2.1 if kind == "# " else 1.6)
        elif kind == "row":
            figure.text(LEFT, y, words[0], fontsize=9, weight="bold", va="top")
            figure.text(COLUMN, y, words[1], fontsize=9, va="top")
            y -= LINE * 1.12
        elif kind == "formula":
            figure.text(LEFT + 0.03, y, words[0], fontsize=11, va="top")
            y -= LINE * 2.2
        else:
            for line in words:
                figure.text(LEFT, y, line, fontsize=9, va="top")
                y -= LINE * 1.08
            y -= LINE * 0.5
    if y < 0.03:
        raise ValueError(f"docs/handout.md is {(0.03 - y) / LINE:.0f} lines too long for one page")
    about = {"Title": "Hourglass networks and heat maps", "Keywords": digest(text)}
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(place, metadata=about | {"CreationDate": None}, format="pdf")
    return y - 0.03


def main(root: Path = ROOT) -> int:
    place = root / "docs" / "handout.pdf"
    draw((root / "docs" / "handout.md").read_text(encoding="utf-8"), place)
    print(f"{place}: {place.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
