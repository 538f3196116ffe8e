"""Every exercise of every notebook: the folded solution passes its check, the stub does not.

An exercise is a code cell tagged "exercise-stub" whose last line calls its self-check, and, before
the next code cell, a folded `<details>` that holds the solution as a python block. Solution and
stub run with the notebook's imports and its functions, and with nothing else.
"""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
APPENDICES = sorted((ROOT / "notebooks" / "appendix").glob("*.ipynb"))
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
    for path in (*NOTEBOOKS, *APPENDICES)
    for exercise in exercises(nbformat.read(path, as_version=4).cells, path.stem)
]


def complaints(exercise: Exercise) -> list[str]:
    """What is wrong with one exercise, its label, its solution and its stub."""
    heading, found = HEADING.search(exercise.prose), []
    if not heading:
        found.append("no heading that starts with 'Exercise' before the stub")
    elif not LABEL.search(exercise.prose[heading.start() :]):
        found.append("no difficulty (easy, medium, hard) and minutes")
    if not exercise.solution.strip():
        return [*found, "no folded solution with a python block after the stub"]
    for what, answer, wanted, word in (
        ("solution", exercise.solution, True, "Correct: "),
        ("stub", parts(exercise.stub)[0], False, "Not yet: "),
    ):
        with redirect_stdout(io.StringIO()) as said:
            result = verdict(exercise, answer)
        if result is not wanted or not said.getvalue().startswith(word):
            found.append(f"the {what}: {said.getvalue()}")
    return found


def test_every_notebook_has_an_exercise() -> None:
    counts = {path.stem: sum(one.name.startswith(path.stem) for one in ALL) for path in NOTEBOOKS}
    assert counts and not {name: n for name, n in counts.items() if n < 1}


def test_every_solution_passes_and_no_stub_does() -> None:
    found = [f"{one.name}: {said}" for one in ALL for said in complaints(one)]
    assert not found, "\n  ".join(found)


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
    assert toy(RIGHT).solution.strip() == RIGHT
    assert complaints(toy(RIGHT)) == []


@pytest.mark.parametrize(
    ("exercise", "words"),
    [
        (toy(RIGHT.replace("[0, 0]", "[0, 0].T")), "rows come first"),
        (toy(""), "no folded solution"),
        (toy(RIGHT, f"{RIGHT}\n\n\ncheck.rendered(draw);"), "the stub: Correct"),
        (replace(toy(RIGHT), prose="Draw a map."), "no heading"),
        (replace(toy(RIGHT), prose="Easy, 5 minutes"), "no heading"),
        (replace(toy(RIGHT), prose="### Exercise 1: draw"), "no difficulty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_toy_is_seen(exercise: Exercise, words: str) -> None:
    assert any(words in said for said in complaints(exercise))


@pytest.mark.parametrize("stub", ["def draw(): ...", "print(1)", "check.rendered = 3"])
def test_a_stub_without_its_check_is_seen(stub: str) -> None:
    with pytest.raises(AssertionError, match=r"must end with its check|calls no hglib\.check"):
        parts(stub)
