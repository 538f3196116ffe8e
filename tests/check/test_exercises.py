"""Every exercise of every notebook: the folded solution passes its check, the stub does not.

An exercise is a code cell tagged "exercise-stub" whose last line calls its self-check, and, before
the next code cell, a folded `<details>` that holds the solution as a python block. Solution and
stub run with the notebook's imports and its functions, and with nothing else.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STUB = "exercise-stub"
HEADING = re.compile(r"(?m)^#{2,4} Exercise.*$")
LABEL = re.compile(r"(?i)\b(easy|medium|hard)\b.*?\d+ min")
SOLUTION = re.compile(r"(?s)<details>\s*<summary>Solution.*?```python\n(.*?)```.*?</details>")
KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef)


@dataclass(frozen=True)
class Exercise:
    """A stub, its solution, and the prose just before the stub."""

    name: str
    given: str  # imports and functions of the notebook so far
    stub: str
    solution: str
    prose: str


def tree_of(source: str) -> ast.Module:
    return ast.parse(TransformerManager().transform_cell(source))


def is_stub(cell: NotebookNode) -> bool:
    return STUB in cell.metadata.get("tags", [])


def given_by(cells: list[NotebookNode]) -> str:
    """The imports and functions at the top level of these code cells, stubs left out."""
    nodes = [node for cell in cells if not is_stub(cell) for node in tree_of(cell.source).body]
    return "\n".join(ast.unparse(node) for node in nodes if isinstance(node, KEPT))


def exercises(cells: list[NotebookNode], name: str) -> Iterator[Exercise]:
    code = [place for place, cell in enumerate(cells) if cell.cell_type == "code"]
    for place in code:
        if not is_stub(cells[place]):
            continue
        before = max((p for p in code if p < place), default=-1)
        after = min((p for p in code if p > place), default=len(cells))
        prose = "\n\n".join(cell.source for cell in cells[before + 1 : place])
        found = SOLUTION.search("\n\n".join(cell.source for cell in cells[place + 1 : after]))
        given = given_by([cells[p] for p in code if p < place])
        solution = found[1] if found else ""
        yield Exercise(f"{name}-cell{place}", given, cells[place].source, solution, prose)


def parts(stub: str) -> tuple[str, str]:
    """The stub's own lines, and its last line: the call of the self-check."""
    *body, last = tree_of(stub).body
    call = ast.unparse(last).rstrip(";")
    assert isinstance(last, ast.Expr), f"the stub must end with its check, not with {call!r}"
    assert re.match(r"(hglib\.)?check\.\w+\(", call), f"{call!r} calls no hglib.check"
    return "\n".join(ast.unparse(node) for node in body), call


def verdict(exercise: Exercise, answer: str) -> bool:
    """What the check of the stub's last line says of this answer."""
    scope: dict[str, object] = {}
    exec(exercise.given, scope)
    exec(answer, scope)
    return eval(parts(exercise.stub)[1], scope)


ALL = [
    exercise
    for path in NOTEBOOKS
    for exercise in exercises(nbformat.read(path, as_version=4).cells, path.stem)
]
every_exercise = pytest.mark.parametrize("exercise", ALL, ids=lambda one: one.name)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_at_least_two_exercises(path: Path) -> None:
    assert sum(one.name.startswith(path.stem) for one in ALL) >= 2


@every_exercise
def test_solution_passes(exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    assert exercise.solution.strip(), "no folded solution with a python block after the stub"
    right = verdict(exercise, exercise.solution)
    assert right is True, capsys.readouterr().out
    assert capsys.readouterr().out.startswith("Correct: ")


@every_exercise
def test_stub_does_not_pass(exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict(exercise, parts(exercise.stub)[0]) is False
    assert capsys.readouterr().out.startswith("Not yet: ")


@every_exercise
def test_heading_says_how_hard_and_how_long(exercise: Exercise) -> None:
    """As in "### Exercise 1: draw a point" and "Medium, about 10 minutes"."""
    heading = HEADING.search(exercise.prose)
    assert heading, "no heading that starts with 'Exercise' before the stub"
    words = exercise.prose[heading.start() :]
    assert LABEL.search(words), "no difficulty (easy, medium, hard) and minutes"


# ---- on a toy, so that each of the above is seen to fail ------------------------------------

FOLDED = "<details><summary>Solution</summary>\n\n```python\n{}\n```\n\n</details>"


EMPTY = "def draw(*a):\n    ...  # your code\n\n\ncheck.rendered(draw);"


def toy(solution: str, stub: str = EMPTY) -> Exercise:
    new = nbformat.v4
    cells = [
        new.new_code_cell("import torch\nfrom hglib import check, heatmap\nsize = 1 / 0"),
        new.new_markdown_cell("### Exercise 1: draw\n\nMedium, about 5 minutes."),
        new.new_code_cell(stub, metadata={"tags": [STUB]}),
        new.new_markdown_cell("Some words."),
        new.new_markdown_cell(FOLDED.format(solution)),
        new.new_code_cell("pass"),
    ]
    (found,) = exercises(cells, "toy")
    return found


RIGHT = """def draw(x, y, size, stride, sigma):
    return heatmap.gaussian_maps(torch.tensor([[[x, y]]]), size, stride, sigma)[0, 0]"""


def test_a_good_toy_passes_all() -> None:
    good = toy(RIGHT)
    assert good.solution.strip() == RIGHT
    assert verdict(good, good.solution) is True
    assert verdict(good, parts(good.stub)[0]) is False
    test_heading_says_how_hard_and_how_long(good)


def test_a_wrong_solution_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = toy(RIGHT.replace("[0, 0]", "[0, 0].T"))
    with pytest.raises(AssertionError, match="rows come first"):
        test_solution_passes(wrong, capsys)


def test_a_missing_solution_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError, match="no folded solution"):
        test_solution_passes(toy(""), capsys)


def test_a_stub_that_passes_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError):
        test_stub_does_not_pass(toy(RIGHT, f"{RIGHT}\n\n\ncheck.rendered(draw);"), capsys)


@pytest.mark.parametrize("stub", ["def draw(): ...", "print(1)", "check.rendered = 3"])
def test_a_stub_without_its_check_is_seen(stub: str) -> None:
    with pytest.raises(AssertionError, match=r"must end with its check|calls no hglib\.check"):
        parts(stub)


@pytest.mark.parametrize("prose", ["Draw a map.", "### Exercise 1: draw", "Easy, 5 minutes"])
def test_a_heading_without_its_words_is_seen(prose: str) -> None:
    bare = Exercise("toy", "", "", "", prose)
    with pytest.raises(AssertionError, match="no "):
        test_heading_says_how_hard_and_how_long(bare)
