"""What several test files say in the same words."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure


def titles(fig: Figure) -> list[str]:
    """The title of each Axes, as the plots of this project set it: at the left."""
    return [ax.get_title(loc="left") for ax in fig.axes]


def assert_correct(capsys: pytest.CaptureFixture[str]) -> None:
    """An exercise's check said in one line that the answer is right."""
    said = capsys.readouterr().out
    assert said.startswith("Correct: ") and said.count("\n") == 1


def assert_not_yet(capsys: pytest.CaptureFixture[str], words: str) -> None:
    """An exercise's check said in one line that the answer is wrong, and why, in these words."""
    said = capsys.readouterr().out
    assert said.startswith("Not yet: ") and said.count("\n") == 1
    assert words in said
