"""Every notebook against every rule of tools/checks.py; every rule against a broken notebook."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import toy_course as toy

import checks
import notebooks
import prose
import reading
from checks import CHECKS, Page
from course import ROOT, read_course

PATHS = notebooks.all_paths(ROOT)


def test_every_notebook_keeps_every_rule() -> None:
    complaints = [
        f"{path.name}: {complaint}"
        for path in PATHS
        for check in CHECKS
        for complaint in check(Page(notebooks.read(path), path, read_course(ROOT)))
    ]
    assert PATHS and not complaints, "\n  ".join(complaints)


def test_the_course_is_read_in_three_hours() -> None:
    minutes = {p.name: reading.read(p).minutes for p in PATHS if p.name[:2] in reading.CORE}
    assert len(minutes) == len(reading.CORE)
    assert sum(minutes.values()) <= reading.TOGETHER, minutes


# ---- the rules themselves -------------------------------------------------------------------

BREAKS: list[tuple[str, str, Callable[[list], None]]] = []  # rule, part of its words, how to break


def breaks(rule: str, words: str) -> Callable[[Callable], Callable]:
    """Register a function that spoils a good notebook's cells so that `rule` says `words`."""

    def register(spoil: Callable) -> Callable:
        BREAKS.append((rule, words, spoil))
        return spoil

    return register


@breaks("executed_in_order", "not 1 to 3")
def unexecuted(cells: list) -> None:
    cells[3].execution_count = None


@breaks("executed_in_order", "[1, 3, 2]")
def out_of_order(cells: list) -> None:
    cells[3].execution_count, cells[5].execution_count = 3, 2


@breaks("no_errors", "holds a ValueError")
def error(cells: list) -> None:
    cells[3].outputs = [toy.failed("ValueError")]


@breaks("no_stderr", "cell 3 wrote to stderr: slow")
def warning(cells: list) -> None:
    cells[3].outputs.append(toy.printed("slow", "stderr"))


@breaks("no_widget_state", "GitHub cannot draw it")
def widget(cells: list) -> None:
    cells[3].outputs.append(toy.shown({notebooks.WIDGET: {"model_id": "1"}}))


@breaks("small", "the limit is 1000000")
def large(cells: list) -> None:
    cells[5].outputs[0].data["image/png"] = "A" * 1_000_000


@breaks("no_machine_paths", "'/home/'")
def path_in_output(cells: list) -> None:
    cells[3].outputs = [toy.printed("saved in /home/ann/faces\n")]


@breaks("no_machine_paths", "'/work/'")
def path_in_colour(cells: list) -> None:
    cells[3].outputs = [toy.printed("File \x1b[32m/work/hglib/data.py\x1b[0m")]


@breaks("no_machine_paths", "'/root'")
def path_in_source(cells: list) -> None:
    cells[3].source = 'load("/root/faces")'


@breaks("no_addresses", "memory address")
def address(cells: list) -> None:
    cells[3].outputs = [toy.shown({"text/plain": "[<Line2D at 0x7f0123456789>]"})]


@breaks("no_markers", "cell 3 shows NBVAL_CHECK_OUTPUT; use a tag")
def marker_in_sight(cells: list) -> None:
    cells[3].source = "# NBVAL_CHECK_OUTPUT\nprint(6 * 7)"


@breaks("no_markers", "knows no tag nbval-check-outputs")
def misspelt_tag(cells: list) -> None:
    cells[3].metadata["tags"] = ["nbval-check-outputs"]


@breaks("no_asserts_alone", "cell 3 does nothing but assert")
def authors_test(cells: list) -> None:
    cells[3].source = "import math\n\nassert math.pi > 3\nassert math.e < 3"


@breaks("checked_cells_have_outputs", "nothing that nbval compares")
def checked_without_output(cells: list) -> None:
    cells[3].outputs = []


@breaks("checked_cells_have_outputs", "no count")
def checked_without_count(cells: list) -> None:
    cells[3].execution_count = None


@breaks("checked_cells_have_outputs", "cell 5")
def checked_image(cells: list) -> None:
    cells[5].metadata["tags"] = ["nbval-check-output"]


@breaks("generated_cells", "make sync")
def edited_header(cells: list) -> None:
    cells[0].source = re.sub(r"\d+ min", "999 min", cells[0].source)


@breaks("generated_cells", "make sync")
def moved_footer(cells: list) -> None:
    cells.insert(2, cells.pop())


@breaks("headings", "2 first-level headings")
def two_titles(cells: list) -> None:
    cells[2].source = "# Another title"


@breaks("headings", "jumps from level 1 to 3")
def skipped_level(cells: list) -> None:
    cells[2].source = "### Too deep"


@breaks("stated_minutes", "are stated")
def many_words(cells: list) -> None:
    cells[2].source += " word" * 600


@breaks("light", "36 minutes to read; the limit is 35")
def far_too_many_words(cells: list) -> None:
    cells[2].source += " word" * 6200


@breaks("light", "8 sections; the limit is 7")
def many_sections(cells: list) -> None:
    cells[2].source += "\n\n## More" * 7


@breaks("light", "lines of code; the limit is 250")
def much_code(cells: list) -> None:
    cells[3].source = "x = 1\n" * 250


@breaks("held_numbers", "nothing holds 41.5")
def number_of_no_cell(cells: list) -> None:
    cells[2].source = "## One\n\nThat makes 41.5 of them."


@breaks("held_numbers", "nothing holds 43 %")
def number_changed(cells: list) -> None:
    cells[2].source = "## One\n\nThat makes 43 % of them, and not 42 %."


@breaks("held_numbers", "nothing holds 0.19")
def wrong_sum(cells: list) -> None:
    cells[2].source = "## One\n\nThat adds 35 / 200 ≈ 0.19 to the mean."


@breaks("held_numbers", "nothing holds 36 px")
def constant_that_nobody_prints(cells: list) -> None:
    cells[2].source = "## One\n\nThe eyes are 36 px apart."  # notebook 01 is not there


@breaks("says_the_score", "do not name")
def silent_exercises(cells: list) -> None:
    cells[4].source = "## Exercises\n\nWrite a network."


@breaks("short_cells", "has 21 lines")
def long_cell(cells: list) -> None:
    cells[3].source = "\n".join(["x = 1"] * 21)


@breaks("short_cells", "2 of 3 code cells have more than 15 lines")
def many_long_cells(cells: list) -> None:
    cells[3].source = cells[5].source = "\n".join(["x = 1"] * 16)


@breaks("alt_texts_of_images", "no alternative text")
def silent_image(cells: list) -> None:
    cells[2].source = "## One\n\n![](https://example.org/eye.png)"


@breaks("alt_texts_of_images", "lost in a copied notebook")
def relative_image(cells: list) -> None:
    cells[2].source = "## One\n\n![a face with both eyes marked](../figures/face.png)"


@breaks("alt_texts_of_images", "<img> has no")
def silent_element(cells: list) -> None:
    cells[2].source = '## One\n\n<img src="https://example.org/eye.png" alt="">'


@breaks("alt_texts_of_outputs", "cell 5 draws a figure")
def silent_figure(cells: list) -> None:
    del cells[5].metadata["alt"]


@breaks("links", "01_gone.ipynb leads nowhere")
def dead_link(cells: list) -> None:
    cells[2].source = "## One\n\nSee [before](01_gone.ipynb)."


@breaks("colab_badge", "no badge")
def no_badge(cells: list) -> None:
    cells[0].source = "# Heat maps"


@breaks("colab_badge", "opens another place")
def foreign_badge(cells: list) -> None:
    url = "https://colab.research.google.com/github/someone/else/blob/main/notebooks/02_heatmaps.ipynb"
    cells[2].source = f"## One\n\n[on Colab]({url})"


@breaks("names_exist", "hglib has no no_such_name")
def unknown_attribute(cells: list) -> None:
    cells[3].source = "import hglib\nhglib.no_such_name(1)"


@breaks("names_exist", "hglib.env has no no_such_name")
def unknown_import(cells: list) -> None:
    cells[3].source = "%matplotlib inline\nfrom hglib.env import no_such_name"


@breaks("names_exist", "hglib.env has no no_such_name")
def unknown_name_of_a_submodule(cells: list) -> None:
    cells[3].source = "from hglib import env\nenv.no_such_name()"


@breaks("names_exist", "No module named 'hglib.gone'")
def unknown_module(cells: list) -> None:
    cells[3].source = "import hglib.gone"


@breaks("names_exist", "variable env hides the module")
def hidden_module(cells: list) -> None:
    cells[3].source = "from hglib import env\nenv = 3"


def broken_page(folder: Path, spoil: Callable[[list], None]) -> Page:
    page = toy.good_page(folder)
    spoil(page.notebook.cells)
    page.path.write_text(notebooks.dump(page.notebook))
    return page


def test_good_notebook_passes(tmp_path: Path) -> None:
    page = toy.good_page(tmp_path)
    assert [complaint for check in CHECKS for complaint in check(page)] == []


def test_broken_notebooks_are_seen(tmp_path: Path) -> None:
    missed = []
    for number, (rule, words, spoil) in enumerate(BREAKS):
        complaints = getattr(checks, rule)(broken_page(tmp_path / str(number), spoil))
        if not any(words in complaint for complaint in complaints):
            missed.append(f"{spoil.__name__}: {rule} says {complaints}, not {words!r}")
    assert not missed, "\n  ".join(missed)


def test_foreign_kernel_is_seen(tmp_path: Path) -> None:
    page = toy.good_page(tmp_path)
    page.notebook.metadata.kernelspec.name = "conda-env-mine"
    assert checks.plain_kernel(page) == ["kernel is 'conda-env-mine', not 'python3'"]


def test_widget_state_is_seen(tmp_path: Path) -> None:
    page = toy.good_page(tmp_path)
    page.notebook.metadata["widgets"] = {}
    assert checks.no_widget_state(page) == ["metadata holds widget state"]


def test_an_expected_error_is_no_error(tmp_path: Path) -> None:
    page = toy.good_page(tmp_path)
    cell = page.notebook.cells[3]
    cell.outputs, cell.metadata["tags"] = [toy.failed("ValueError")], ["raises-exception"]
    assert checks.no_errors(page) == []


def test_every_rule_is_seen_to_fail() -> None:
    seen = {rule for rule, _, _ in BREAKS} | {"plain_kernel"}
    assert seen == {check.__name__ for check in CHECKS}


def test_numbers_that_something_holds(tmp_path: Path) -> None:
    """An output, rounded; code; a sum; a source; a question: none of them is complained of."""
    page = toy.good_page(tmp_path)
    page.notebook.cells[3].outputs = [toy.printed("error 1.2345 px, e<=.05 0.693, 1,234 faces\n")]
    page.notebook.cells[2].source = (
        "## One of 300\n\nThe error is 1.23 px, for 69 % of 1234 faces, or about 1.3 px.\n\n"
        "By 35 / 200 ≈ 0.18, and 0.18 again; by √2 · 1.5 = 2.1 px; by ln 2304 = 7.74.\n\n"
        "Some read 88.8 % ([paper](https://example.org/p)). `fit(0.77)` and $0.88$ are code.\n\n"
        "### Quiz\n\n**1.** An error of 3.7 px?\n\n<details><summary>Answer</summary>\n\n"
        "More than 1.2 px.\n\n</details>\n\n### References\n\n- A. Newell, 2016, section 3.25."
    )
    assert checks.held_numbers(page) == []


def test_every_constant_of_the_prose_is_held() -> None:
    path = ROOT / "notebooks" / "02_heatmaps.ipynb"
    lost = [text for text in prose.CONSTANTS if not prose.is_constant(*constant(text), path)]
    assert lost == []


def constant(text: str) -> tuple[str, str]:
    number, _, unit = text.partition(" ")
    return number, f" {unit}" if unit else ""


# ---- counting -------------------------------------------------------------------------------


def test_reading_is_counted_by_hand() -> None:
    """One word a third of a second, one line 4 s, one figure 20 s; exercises apart."""
    cells = [
        toy.prose("# Two words\n\n[and three](https://example.org/not/read/aloud)"),
        toy.code("# a comment\n\nx = 1\ny = 2", toy.shown(toy.IMAGE)),
        toy.prose("## One\n\n" + "word " * 354 + "\n\n## Exercises\n\nthree words here"),
        toy.code("z = 3"),
        toy.prose("the end"),
    ]
    cells[-1].metadata["hglib"] = "footer"
    page, apart = reading.count(toy.nbformat.v4.new_notebook(cells=cells))
    assert page == reading.Reading(words=2 + 2 + 1 + 354 + 2, code=2, figures=1, sections=1)
    assert page.minutes == round((361 / 3 + 2 * 4 + 20) / 60)
    assert apart == reading.Reading(words=4, code=1, sections=1)


def test_an_appendix_may_be_longer(tmp_path: Path) -> None:
    page = toy.good_page(tmp_path)
    far_too_many_words(page.notebook.cells)
    assert checks.light(page)
    assert reading.complaints("06", reading.count(page.notebook)[0]) == []
