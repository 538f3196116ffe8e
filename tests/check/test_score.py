"""check.score(): what is counted, and what is not."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import nbformat
import numpy as np
import pytest

from hglib import check
from hglib.check import verdict
from hglib.check.scoring import EXERCISES

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CHECK = re.compile(r"\bcheck\.(?!score\b)(\w+)\(")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hglib.check.verdict.SOLVED", solved := set())
    monkeypatch.setattr("hglib.check.scoring.SOLVED", solved)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    check.score()
    return capsys.readouterr().out.splitlines()


def brightest(heat: np.ndarray) -> tuple[int, int]:
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    return column, row


def mean_distance(found: np.ndarray, true: np.ndarray) -> float:
    return np.nanmean(np.hypot(*np.moveaxis(found - true, -1, 0)))


def used() -> list[tuple[str, str]]:
    """Each exercise's place and the name of its check, by the code cells of all notebooks."""
    paths = sorted(NOTEBOOKS.glob("0*.ipynb")) + sorted(NOTEBOOKS.glob("appendix/A*.ipynb"))
    return [
        (f"{'appendix' if path.name[0] == 'A' else 'notebook'} {path.name[:2]}", name)
        for path in paths
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
        for name in CHECK.findall(cell.source)
    ]


def test_an_exercise_counts_for_the_notebook_or_appendix_it_stands_in() -> None:
    table = [(place, name) for place, names in EXERCISES.items() for name in names]
    assert len(table) >= 20
    assert Counter(used()) == Counter(table)
    assert list(EXERCISES) == list(dict.fromkeys(place for place, _ in used()))


def test_every_check_is_counted() -> None:
    names = [name for names in EXERCISES.values() for name in names]
    assert sorted([*names, "score"]) == sorted(check.__all__)


def test_nothing_is_solved_at_first(capsys: pytest.CaptureFixture[str]) -> None:
    first, *lines = said(capsys)
    assert first == f"Solved in this session: 0 of {len(check.__all__) - 1}"
    assert lines == [f"  {place}: 0 of {len(names)}" for place, names in EXERCISES.items()]


def test_a_wrong_answer_does_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert not check.brightest(lambda heat: (0, 0))
    assert said(capsys)[0].startswith("Solved in this session: 0 of")


def test_a_right_answer_counts_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.brightest(brightest) and check.brightest(brightest)
    lines = said(capsys)
    assert lines[0].startswith("Solved in this session: 1 of")
    assert lines[1] == "  notebook 00: 1 of 2; still open: mean_distance"
    assert not check.brightest(lambda heat: (0, 0))
    assert said(capsys) == lines  # once solved is solved


def test_a_whole_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.brightest(brightest) and check.mean_distance(mean_distance)
    assert said(capsys)[1] == "  notebook 00: 2 of 2"


def test_a_notebook_is_full_without_the_exercise_of_its_appendix(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("exponential", "pixel_loss", "quarter_offset"):
        verdict.SOLVED.add((check.rendered.__module__, name))
    lines = said(capsys)
    assert "  notebook 02: 3 of 3" in lines and "  appendix A2: 0 of 1" in lines


def test_a_readers_own_check_does_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    def brightest() -> str:
        return "fine"

    assert verdict.self_check(brightest)()
    assert said(capsys)[0].startswith("Solved in this session: 0 of")
