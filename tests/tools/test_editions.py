"""make student: the students' copies hold no solution, the teacher's hold all; the rest stays."""

from __future__ import annotations

import re
from pathlib import Path

import toy_course as toy

import editions
import notebooks
from course import ROOT

FOLDED = "<details><summary>Solution</summary>\n\nIt is 42.\n\n```python\nx = 42\n```\n\n</details>"
QUIZ = "<details><summary>Answer</summary>\n\nYes.\n\n</details>"
APPENDIX = "appendix/A2_decoders_and_ports.ipynb"


def prose(path: Path) -> str:
    return "\n".join(c.source for c in notebooks.read(path).cells if c.cell_type == "markdown")


def code(path: Path) -> list[tuple]:
    cells = notebooks.read(path).cells
    return [(c.id, c.source, c.metadata, c.outputs) for c in cells if c.cell_type == "code"]


def test_both_editions_of_this_course(tmp_path: Path) -> None:
    sources = notebooks.all_paths(ROOT)
    students = editions.write(ROOT, tmp_path / "student", solutions=False)
    teachers = editions.write(ROOT, tmp_path / "teacher", solutions=True)
    for source, student, teacher in zip(sources, students, teachers, strict=True):
        solutions = re.findall(r"<summary>Solution", prose(source))
        answers = re.findall(r"<summary>Answer", prose(source))
        assert solutions or source.parent.name == "appendix", source
        assert "<summary>Solution" not in prose(student)
        assert len(re.findall(r"<details open>\s*<summary>Solution", prose(teacher))) == len(
            solutions
        )
        for copy in (student, teacher):
            assert re.findall(r"<summary>Answer", prose(copy)) == answers
            assert [cell[:3] for cell in code(copy)] == [cell[:3] for cell in code(source)]
        assert not any(outputs for *_, outputs in code(student))  # no result under its question
        assert code(teacher) == code(source)


def test_no_block_of_a_solution_is_left(tmp_path: Path) -> None:
    """The solutions' code, line by line, against everything that the students get."""
    students = editions.write(ROOT, tmp_path, solutions=False)
    for source, student in zip(notebooks.all_paths(ROOT), students, strict=True):
        for solution in editions.SOLUTION.findall(prose(source)):
            blocks = re.findall(r"(?s)```python\n(.*?)```", solution)
            assert blocks and not any(block in prose(student) for block in blocks)


def test_headings_beside_a_solution_stay(tmp_path: Path) -> None:
    root = toy.make_root(tmp_path)
    toy.add_notebook(root, [toy.prose(f"{FOLDED}\n\n### Exercise 2: more\n\n{QUIZ}")])
    (made,) = editions.write(root, tmp_path / "out", solutions=False)
    assert "### Exercise 2: more" in prose(made) and "Yes." in prose(made)
    assert "42" not in prose(made)


def test_a_cell_that_was_only_a_solution_goes(tmp_path: Path) -> None:
    root = toy.make_root(tmp_path)
    toy.add_notebook(root, [toy.prose(FOLDED)])
    (made,) = editions.write(root, tmp_path / "out", solutions=False)
    assert len(notebooks.read(made).cells) == 3  # header, set-up, footer


def test_links_lead_somewhere(tmp_path: Path) -> None:
    """Within the course as before, out of it to GitHub; students are not sent to the solutions."""
    root = toy.make_root(tmp_path)
    toy.add_notebook(root, [toy.prose("[why](../docs/results.md#x), [up](00_start_here.ipynb)")])
    toy.add_notebook(root, toy.good_cells(), APPENDIX)
    for solutions in (True, False):
        one, two = editions.write(root, tmp_path / str(solutions), solutions)
        assert "(https://github.com/OWNER/REPO/blob/main/docs/results.md#x)" in prose(one)
        assert "(00_start_here.ipynb)" in prose(one)
        assert "(../02_heatmaps.ipynb)" in prose(two)
        assert "](../" not in prose(one) and "](../../" not in prose(two)
        assert ("colab.research" in prose(one)) is solutions
