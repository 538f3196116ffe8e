"""A small repository with one good notebook, for the tests of tools/ to break."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
from nbformat import NotebookNode

import notebooks
from checks import Page
from course import ROOT, read_course

FILE = "02_heatmaps.ipynb"
README = "# Toy\n" + "".join(
    f"<!-- {name}:start -->\n<!-- {name}:end -->\n" for name in ("badges", "clone", "notebooks")
)
IMAGE = {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure size 640x480 with 1 Axes>"}


def prose(source: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(source)


def code(source: str, *outputs: NotebookNode, **metadata: object) -> NotebookNode:
    return nbformat.v4.new_code_cell(source, outputs=list(outputs), metadata=metadata)


def printed(text: str, name: str = "stdout") -> NotebookNode:
    return nbformat.v4.new_output("stream", name=name, text=text)


def shown(data: dict[str, object]) -> NotebookNode:
    return nbformat.v4.new_output("display_data", data=data)


def failed(name: str) -> NotebookNode:
    return nbformat.v4.new_output("error", ename=name, evalue="", traceback=[])


def good_cells() -> list[NotebookNode]:
    return [
        prose("## One idea\n\nSee [the contents](../README.md)."),
        code("print(6 * 7)", printed("42\n"), tags=["nbval-check-output"]),
        prose("### A detail"),
        code("draw()", shown(IMAGE), alt="A grey face with a dot on each eye"),
    ]


def make_root(folder: Path) -> Path:
    """A repository with the real course.toml and the files that sync writes to."""
    (folder / "tools").mkdir(parents=True)
    (folder / "notebooks" / "appendix").mkdir(parents=True)
    for name in ("tools/course.toml", "CITATION.cff", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "README.md").write_text(README)
    return folder


def add_notebook(root: Path, cells: list[NotebookNode], file: str = FILE) -> Path:
    """Write a notebook with these cells and put its generated cells in place."""
    path = root / "notebooks" / file
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    course = notebooks.counted(read_course(root), root)
    synced = notebooks.sync_notebook(notebooks.read(path), course, file)
    number(synced)
    path.write_text(notebooks.dump(synced))
    return path


def number(notebook: NotebookNode) -> None:
    """Give the code cells the counts of one clean run."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(cells, start=1):
        cell.execution_count = count


def open_page(path: Path, root: Path) -> Page:
    return Page(notebooks.read(path), path, notebooks.counted(read_course(root), root))


def good_page(folder: Path) -> Page:
    root = make_root(folder)
    return open_page(add_notebook(root, good_cells()), root)
