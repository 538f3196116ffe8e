"""docs/teaching.md and the glossary: times that add up, links and names that exist."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

import notebooks
from course import ROOT
from hglib import check

TEACHING = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
PAGES = ("teaching.md", "glossary.md", "handout.md")


def lessons() -> list[str]:
    return re.findall(r"(?ms)^## Lesson \d.*?(?=^## )", TEACHING + "\n## ")


def test_two_lessons_of_ninety_minutes_without_a_gap() -> None:
    assert len(lessons()) == 2
    for lesson in lessons():
        times = [(int(a), int(b)) for a, b in re.findall(r"(?m)^\| (\d+)–(\d+) \|", lesson)]
        assert times[0][0] == 0 and times[-1][1] == 90
        assert all(before[1] == after[0] for before, after in pairwise(times))
        assert all(begin < end for begin, end in times)


def test_sections_named_in_the_lessons_exist() -> None:
    """Those of the notebooks 00 and 02, which are named by their headings."""
    headings = ""
    for number in ("00", "02"):
        (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
        headings += "\n".join(cell.source for cell in notebooks.read(path).cells)
    named = re.findall(r"(?:0[02]\]?\S*|,) \*([^*]+)\*", "\n".join(lessons()))
    assert len(named) >= 4
    assert [name for name in named if f"## {name}" not in headings] == []


def test_twenty_questions_with_answers() -> None:
    questions = TEACHING.partition("## Twenty harder questions")[2]
    found = re.findall(r"(?ms)^(\d+)\. \*\*(.+?)\*\*(.+?)(?=^\d+\. |\Z)", questions)
    assert [int(number) for number, _, _ in found] == list(range(1, 21))
    assert all(question.endswith(("?", ".")) for _, question, _ in found)
    assert all(len(answer.split()) >= 3 for _, _, answer in found)


def test_rubrics_add_up_to_ten() -> None:
    parts = re.findall(r"(?ms)^## Assignment.*?(?=^## )", TEACHING)
    points = [[int(p) for p in re.findall(r"(?m)^\| (\d+) \|", part)] for part in parts]
    assert [sum(some) for some in points] == [10, 10]


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in t]
    assert [t for t in targets if not (ROOT / "docs" / t).exists()] == []


def test_commands_and_checks_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"`make ([a-z]+)`", TEACHING)
    assert {"student", "slides"} <= set(targets)
    assert all(re.search(rf"(?m)^{target}:", makefile) for target in targets)
    named = re.findall(r"check\.([a-z_]+)", TEACHING)
    assert "score" in named and all(hasattr(check, name) for name in named)


def test_words_of_the_handout_are_in_the_glossary() -> None:
    """But for signs, which the two write differently."""
    handout = (ROOT / "docs" / "handout.md").read_text(encoding="utf-8")
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = [re.sub(r"\$.*?\$", "", w).strip() for w in re.findall(r"(?m)^\| ([^|]+) \|", handout)]
    words = [word for word in words if word and word not in ("word", "decode")]
    assert len(words) > 10
    assert [word for word in words if not re.search(rf"\| [^|]*{word}", glossary)] == []
