"""check.score(): what is counted, and what is not."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hglib import check
from hglib.check import verdict
from hglib.check.scoring import exercises, notebook_of

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


def test_nothing_is_solved_at_first(capsys: pytest.CaptureFixture[str]) -> None:
    total = sum(len(names) for names in exercises().values())
    assert total == len(check.__all__) - 1
    assert said(capsys) == [f"Solved in this session: 0 of {total}"]


def test_a_wrong_answer_does_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert not check.brightest(lambda heat: (0, 0))
    assert said(capsys)[0].startswith("Solved in this session: 0 of")


def test_a_right_answer_counts_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.brightest(brightest) and check.brightest(brightest)
    first, second = said(capsys)
    assert first.startswith("Solved in this session: 1 of")
    assert second == "  notebook 00: 1 of 2; still open: mean_distance"
    assert not check.brightest(lambda heat: (0, 0))
    assert said(capsys) == [first, second]  # once solved is solved


def test_a_whole_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.brightest(brightest) and check.mean_distance(mean_distance)
    assert said(capsys)[1] == "  notebook 00: 2 of 2; all of them"


def test_every_module_says_its_notebook_and_checks_of_readers_do_not_count(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert all(re.fullmatch(r"notebook \d\d", notebook_of(module)) for module in exercises())
    assert verdict.self_check(lambda: "fine")()
    assert said(capsys)[0].startswith("Solved in this session: 0 of")


def test_an_exercise_counts_for_the_notebook_it_stands_in() -> None:
    paths = sorted((Path(__file__).parents[2] / "notebooks").glob("0*.ipynb"))
    used = [(path.name[:2], name) for path in paths for name in CHECK.findall(path.read_text())]
    assert len(used) >= 20
    of = {name: notebook_of(module) for module, names in exercises().items() for name in names}
    assert [(n, name) for n, name in used if of.get(name, "") != f"notebook {n}"] == []
