"""make slides: one self-contained file, a slide for the first figure of each section."""

from __future__ import annotations

import re
from pathlib import Path

import toy_course as toy

import notebooks
import slides
from course import ROOT


def made(*cells: object) -> list[slides.Slide]:
    return list(slides.figures(list(cells)))


def figure(name: str, **metadata: object) -> object:
    image = {"image/png": name, "text/plain": ""}
    return toy.code("draw()", toy.shown(image), alt=f"figure {name}", **metadata)


def test_the_first_figure_of_each_section() -> None:
    first = toy.prose("## One\n\n**Predict:** how many?")
    found = made(first, figure("aa"), toy.prose("So *many*."), figure("bb"), toy.prose("## Two"))
    assert found == [slides.Slide("One", "aa", "figure aa", "how many?", "So *many*.")]


def test_tags_add_and_drop() -> None:
    heading = toy.prose("## One")
    found = made(heading, figure("aa", tags=["no-slide"]), figure("bb"), figure("cc"))
    assert [slide.png for slide in found] == ["bb"]
    found = made(heading, figure("aa"), figure("bb", tags=["slide"]))
    assert [slide.png for slide in found] == ["aa", "bb"]


def test_exercises_are_left_out() -> None:
    assert made(toy.prose("## One"), toy.prose("## Exercises"), figure("aa")) == []


def test_a_figure_before_the_question_answers_nothing() -> None:
    found = made(
        toy.prose("## One\n\n**Predict:** a?"), figure("aa"), toy.prose("## Two"), figure("bb")
    )
    assert [slide.question for slide in found] == ["a?", ""]


def test_words_become_html() -> None:
    assert slides.plain("a < b, **so** `x*y` [A2](a.ipynb)") == (
        "a &lt; b, <b>so</b> <code>x*y</code> A2"
    )


def test_the_course_as_slides_needs_no_network() -> None:
    text = slides.page(ROOT)
    assert not re.search(r'(?:src|href)="(?!data:)', text) and "url(" not in text
    assert "<link" not in text and "@import" not in text
    assert 20 <= text.count("<section") <= 60
    for path in notebooks.all_paths(ROOT):
        if path.name[:2] in slides.CORE:
            cells = notebooks.read(path).cells
            pngs = {
                "".join(o.data["image/png"].split())
                for c in cells
                for o in c.get("outputs", [])
                if "image/png" in o.get("data", {})
            }
            assert any(f"base64,{png}" in text for png in pngs), path
    assert re.search(r'alt="[^"]{20,}"', text) and not re.search(r'<img alt=""', text)


def test_main_writes_the_file(tmp_path: Path) -> None:
    root = toy.make_root(tmp_path)
    toy.add_notebook(root, toy.good_cells())
    assert slides.main(root) == 0
    assert (root / "build" / "slides.html").read_text().count("<section") == 2
