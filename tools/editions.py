"""Write the course for a class: for students without solutions, for the teacher with them.

    make student        build/student/ and build/teacher/, both from the notebooks as they are

A solution is a folded `<details><summary>Solution` in the exercises. Answers to the quiz stay in
both. The students' notebooks have no outputs: no result stands under its question. The teacher's
solutions are unfolded. Links that lead out of the course go to GitHub, and the
students' links to Colab are left out: there, the solutions are.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

from nbformat import NotebookNode

import notebooks
from course import COLAB, ROOT, Course, name_of, read_course

SOLUTION = re.compile(r"(?s)<details>\s*<summary>Solution.*?</details>\s*")
FOLDED = re.compile(r"<details>(?=\s*<summary>Solution)")
LINK = re.compile(r"(\]\()([^)\s#]+)")
COLAB_LINE = re.compile(rf"(?m)^(on Colab: )?.*{re.escape(COLAB)}.*\n?")


def edition(notebook: NotebookNode, course: Course, file: str, solutions: bool) -> NotebookNode:
    """The notebook for a teacher (with solutions) or for students (without)."""
    kept = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = FOLDED.sub("<details open>", cell.source)
            if not solutions:
                text = COLAB_LINE.sub("", SOLUTION.sub("", cell.source))
            cell.source = LINK.sub(lambda m: m[1] + outside(m[2], course, file), text).rstrip()
        elif not solutions:
            cell.outputs, cell.execution_count = [], None
        if cell.source.strip():
            kept.append(cell)
    notebook.cells = kept
    return notebook


def outside(target: str, course: Course, file: str) -> str:
    """A link as it is if it stays within the notebooks, else the same place on GitHub."""
    if "://" in target or target.startswith(("#", "attachment:", "data:", "mailto:")):
        return target
    place = posixpath.normpath(posixpath.join("notebooks", posixpath.dirname(file), target))
    if place.startswith("notebooks/"):
        return target
    return f"https://github.com/{course.slug}/blob/{course.ref}/{place}"


def write(root: Path, folder: Path, solutions: bool) -> list[Path]:
    """Write all notebooks into `folder`; returns their paths."""
    course, written = read_course(root), []
    for path in notebooks.all_paths(root):
        name = name_of(path)
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        made = edition(notebooks.read(path), course, name, solutions)
        place.write_text(notebooks.dump(made), encoding="utf-8")
        written.append(place)
    return written


def main(root: Path = ROOT) -> int:
    for name, solutions in (("student", False), ("teacher", True)):
        made = write(root, root / "build" / name, solutions)
        print(f"build/{name}: {len(made)} notebooks, {'with' if solutions else 'no'} solutions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
