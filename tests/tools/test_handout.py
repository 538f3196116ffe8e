"""make handout: one page, all of the text, and the PDF is made from the text beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import handout
from course import ROOT

TEXT = (ROOT / "docs" / "handout.md").read_text(encoding="utf-8")


def test_the_committed_page_is_up_to_date() -> None:
    pdf = (ROOT / "docs" / "handout.pdf").read_bytes()
    assert handout.digest(TEXT).encode() in pdf, "run `make handout`"
    assert len(pdf) < 150_000


def test_one_page(tmp_path: Path) -> None:
    place = tmp_path / "page.pdf"
    assert handout.draw(TEXT, place) >= 0
    pdf = place.read_bytes()
    assert pdf.startswith(b"%PDF") and len(re.findall(rb"/Type /Page\b", pdf)) == 1


def test_two_runs_make_the_same_page(tmp_path: Path) -> None:
    one, two = tmp_path / "one.pdf", tmp_path / "two.pdf"
    handout.draw(TEXT, one)
    handout.draw(TEXT, two)
    assert one.read_bytes() == two.read_bytes()


def test_no_word_is_lost() -> None:
    """Every word of the text is drawn, but for the heads of tables and their rules."""
    drawn = " ".join(word for _, words in handout.lines(TEXT) for word in words).split()
    rules = re.sub(r"(?m)^\|[^|\n]*\|[^|\n]*\|\n\|---\|---\|$", "", TEXT)
    wanted = re.sub(r"(?m)^#+ |\|", " ", rules).split()
    assert sorted(drawn) == sorted(wanted)


def test_a_longer_text_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lines too long for one page"):
        handout.draw(TEXT + "\n\nMore." * 40, tmp_path / "page.pdf")


def test_a_formula_is_never_cut() -> None:
    (first, second) = handout.wrap("word " * 21 + "$a + b + c + d + e$")
    assert first.startswith("word") and second == "$a + b + c + d + e$"
