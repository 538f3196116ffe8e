"""tools/notebooks.py (sync and execute) and the nbval hooks in conftest.py, on toy notebooks."""

from __future__ import annotations

import re
import subprocess
import sys
import types
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import toy_course as toy
from IPython.core.inputtransformer2 import TransformerManager

import notebooks
from course import ROOT, read_course

# ---- sync -----------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return toy.make_root(tmp_path)


def write_bare(root: Path, file: str) -> Path:
    """A notebook as an author starts it: without the generated cells."""
    path = root / "notebooks" / file
    path.write_text(notebooks.dump(toy.nbformat.v4.new_notebook(cells=toy.good_cells())))
    return path


def roles(path: Path) -> list[str]:
    return [cell.metadata.get("hglib", "") for cell in notebooks.read(path).cells]


def test_this_repository_is_in_sync() -> None:
    stale = [str(path.relative_to(ROOT)) for path in notebooks.planned(ROOT)]
    assert not stale, f"run `make sync`: {stale}"


def test_sync_makes_the_generated_cells(root: Path) -> None:
    path = write_bare(root, toy.FILE)
    assert notebooks.main(["sync"], root) == 0
    assert roles(path) == ["header", "setup", "", "", "", "", "footer"]


def test_sync_twice_changes_nothing(root: Path) -> None:
    path = write_bare(root, toy.FILE)
    notebooks.main(["sync"], root)
    once = path.read_bytes()
    assert notebooks.main(["sync", "--check"], root) == 0
    notebooks.main(["sync"], root)
    assert path.read_bytes() == once


def test_check_fails_and_writes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_bare(root, toy.FILE)
    before = path.read_bytes()
    assert notebooks.main(["sync", "--check"], root) == 1
    assert path.read_bytes() == before
    assert f"notebooks/{toy.FILE}: is out of date" in capsys.readouterr().out


def test_a_new_slug_reaches_every_place(root: Path) -> None:
    path = write_bare(root, toy.FILE)
    notebooks.main(["sync"], root)
    settings = root / "tools" / "course.toml"
    settings.write_text(settings.read_text().replace("OWNER/REPO", "ann/eyes"))
    notebooks.main(["sync"], root)
    places = [path, root / "README.md", root / "CITATION.cff", root / "pyproject.toml"]
    for text in (place.read_text() for place in places):
        assert "ann/eyes" in text
        assert "OWNER/REPO" not in text


def test_set_up_outputs_survive_only_their_own_source(root: Path) -> None:
    path = write_bare(root, toy.FILE)
    notebooks.main(["sync"], root)
    notebook = notebooks.read(path)
    notebook.cells[1].outputs = [toy.printed("torch 2\n")]
    course = read_course(root)
    assert notebooks.sync_notebook(notebook, course, toy.FILE).cells[1].outputs
    notebook.cells[1].source += "\n# edited"
    assert not notebooks.sync_notebook(notebook, course, toy.FILE).cells[1].outputs


def test_neighbours_and_table_name_only_what_exists(root: Path) -> None:
    first = write_bare(root, "00_start_here.ipynb")
    last = write_bare(root, toy.FILE)
    notebooks.main(["sync"], root)
    assert "(02_heatmaps.ipynb) →" in notebooks.read(first).cells[0].source
    assert "← [00 Start here](00_start_here.ipynb)" in notebooks.read(last).cells[-1].source
    readme = (root / "README.md").read_text()
    assert re.findall(r"(?m)^\| (\d\d) \| \[", readme) == ["00", "02"]
    assert "01_explore" not in readme


APPENDIX = "appendix/A2_decoders_and_ports.ipynb"


def test_an_appendix_belongs_to_its_notebook(root: Path) -> None:
    """Linked both ways and in the README, but in no row of its table."""
    parent, appendix = write_bare(root, toy.FILE), write_bare(root, APPENDIX)
    notebooks.main(["sync"], root)
    header = notebooks.read(appendix).cells[0].source
    assert "# A2 · " in header and "| belongs to |" in header
    assert "back to [02 Heat maps](../02_heatmaps.ipynb)" in header
    assert "/notebooks/appendix/A2_decoders_and_ports.ipynb)" in header
    assert "](../../README.md)" in header
    assert f"]({APPENDIX})" in notebooks.read(parent).cells[-1].source
    readme = (root / "README.md").read_text()
    assert f"(notebooks/{APPENDIX}) (" in readme and "| A2 |" not in readme
    assert notebooks.main(["sync", "--check"], root) == 0


def test_sync_writes_the_minutes_that_it_counts(root: Path) -> None:
    """In this notebook's entry alone, and only if the stated ones are more than one off."""
    path = write_bare(root, toy.FILE)
    others = [n.read_minutes for n in read_course(ROOT).notebooks if n.file != toy.FILE]
    notebook = notebooks.read(path)
    notebook.cells[0].source += " word" * 1800  # ten minutes, and a little for the rest
    path.write_text(notebooks.dump(notebook))
    notebooks.main(["sync"], root)
    (entry,) = read_course(root).notebooks
    assert entry.read_minutes in (10, 11, 12)
    assert f"| {entry.read_minutes} min |" in notebooks.read(path).cells[0].source
    raw = notebooks.texts.read_toml(root / "tools" / "course.toml")["notebook"]
    assert [n["read_minutes"] for n in raw if n["file"] != toy.FILE] == others
    once = (root / "tools" / "course.toml").read_text()
    notebook = notebooks.read(path)
    notebook.cells[2].source += " word" * 90
    path.write_text(notebooks.dump(notebook))
    notebooks.main(["sync"], root)
    assert (root / "tools" / "course.toml").read_text() == once


def test_count_says_what_is_too_long(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = toy.add_notebook(root, toy.good_cells())
    assert notebooks.main(["count"], root) == 0
    toy.add_notebook(root, [toy.prose("## One\n" + "word " * 7000)])
    assert notebooks.main(["count"], root) == 1
    assert f"{path.name}: 40 minutes to read; the limit is 35" in capsys.readouterr().out


def test_a_gpu_is_asked_for_where_it_helps(root: Path) -> None:
    asking, other = write_bare(root, "04_training.ipynb"), write_bare(root, toy.FILE)
    notebooks.main(["sync"], root)
    assert notebooks.read(asking).metadata["accelerator"] == "GPU"
    assert "Change runtime type" in notebooks.read(asking).cells[0].source
    assert "accelerator" not in notebooks.read(other).metadata


def test_a_notebook_unknown_to_the_course_is_named(root: Path) -> None:
    write_bare(root, "09_extra.ipynb")
    with pytest.raises(SystemExit, match=r"09_extra\.ipynb has no entry in tools/course\.toml"):
        notebooks.main(["sync"], root)


def test_a_misspelt_entry_is_named(root: Path) -> None:
    settings = root / "tools" / "course.toml"
    settings.write_text(settings.read_text().replace("read_minutes =", "read_minuts =", 1))
    with pytest.raises(SystemExit, match="read_minuts"):
        notebooks.main(["sync"], root)


def test_a_readme_without_its_marks_is_named(root: Path) -> None:
    (root / "README.md").write_text("# Toy\n")
    with pytest.raises(SystemExit, match=r"README\.md lacks the lines <!-- badges:start -->"):
        notebooks.main(["sync"], root)


# ---- the set-up cell ------------------------------------------------------------------------


def run_setup_cell(root: Path) -> list[str]:
    """Run it with a stand-in for IPython's magics; return the magics it called."""
    path = write_bare(root, toy.FILE)
    notebooks.main(["sync"], root)
    asked: list[str] = []
    shell = types.SimpleNamespace(run_line_magic=lambda name, line: asked.append(f"{name} {line}"))
    source = TransformerManager().transform_cell(notebooks.read(path).cells[1].source)
    exec(source, {"get_ipython": lambda: shell})
    return asked


def test_set_up_installs_nothing_at_home(root: Path) -> None:
    assert run_setup_cell(root) == []


def test_set_up_on_colab_installs_hglib_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    address = "git+https://github.com/OWNER/REPO@main"
    assert run_setup_cell(root) == [f"pip install -q --no-deps {address}"]


# ---- execute --------------------------------------------------------------------------------


@pytest.fixture
def quick(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root whose set-up cell costs nothing, so that a kernel starts and ends in a second."""
    monkeypatch.setattr(notebooks.texts, "setup", lambda course: "import sys")
    monkeypatch.setenv("HGLIB_DATA", "synthetic")
    return root


def test_execute_saves_clean_outputs(quick: Path) -> None:
    cells = [
        toy.code("import sys, time\nprint('a', flush=True)\ntime.sleep(0.3)\nprint('b')"),
        toy.code("import os\nos.getcwd().endswith('notebooks')", scrolled=True, tags=["x"]),
    ]
    path = toy.add_notebook(quick, cells)
    assert notebooks.main(["execute"], quick) == 0
    saved = notebooks.read(path)
    code = [cell for cell in saved.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3]
    assert [output.text for output in code[1].outputs] == ["a\nb\n"]
    assert code[2].outputs[0].data["text/plain"] == "True"
    assert code[2].metadata == {"tags": ["x"]}
    assert "version" not in saved.metadata.language_info


def test_execute_shortens_expected_errors(quick: Path) -> None:
    cell = toy.code("import json\njson.loads('')", tags=["raises-exception"])
    path = toy.add_notebook(quick, [cell])
    notebooks.main(["execute"], quick)
    (error,) = notebooks.read(path).cells[2].outputs
    assert error.traceback == ["JSONDecodeError: Expecting value: line 1 column 1 (char 0)"]


def test_execute_twice_gives_the_same_bytes(quick: Path) -> None:
    path = toy.add_notebook(quick, [toy.code("print(6 * 7)")])
    notebooks.main(["execute"], quick)
    once = path.read_bytes()
    notebooks.main(["execute"], quick)
    assert path.read_bytes() == once


def test_one_failure_saves_nothing(quick: Path) -> None:
    good = toy.add_notebook(quick, [toy.code("1 + 1")], "00_start_here.ipynb")
    toy.add_notebook(quick, [toy.code("1 / 0")], "01_explore_the_data.ipynb")
    before = good.read_bytes()
    with pytest.raises(SystemExit, match=r"(?s)01_explore_the_data\.ipynb failed.*ZeroDivision"):
        notebooks.main(["execute"], quick)
    assert good.read_bytes() == before


@pytest.mark.parametrize("source", ["import sys\nsys.stderr.write('slow')", "%typo_magic"])
def test_execute_does_not_pass_over_stderr(quick: Path, source: str) -> None:
    toy.add_notebook(quick, [toy.code(source)])
    with pytest.raises(SystemExit, match=r"slow|UsageError|typo_magic"):
        notebooks.main(["execute"], quick)


def test_only_check_and_to(quick: Path) -> None:
    first = toy.add_notebook(quick, [toy.code("1 / 0")], "00_start_here.ipynb")
    path = toy.add_notebook(quick, [toy.code("print(1)")])
    before = [first.read_bytes(), path.read_bytes()]
    assert notebooks.main(["execute", "--only", "02", "--check"], quick) == 0
    assert notebooks.main(["execute", "--only", "02", "--to", "build/out"], quick) == 0
    assert [first.read_bytes(), path.read_bytes()] == before
    assert [found.name for found in (quick / "build" / "out").iterdir()] == [toy.FILE]


def test_an_appendix_runs_and_is_saved_in_its_folder(quick: Path) -> None:
    path = toy.add_notebook(quick, [toy.code("import os\nos.getcwd()[-8:]")], APPENDIX)
    assert notebooks.main(["execute", "--only", "A2"], quick) == 0
    code = [cell for cell in notebooks.read(path).cells if cell.cell_type == "code"]
    assert code[-1].outputs[0].data["text/plain"] == "'appendix'"
    notebooks.main(["execute", "--to", "build/out"], quick)
    assert (quick / "build" / "out" / APPENDIX).exists()


def test_images_of_real_faces_stay_out(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.add_notebook(quick, [toy.code("1")])
    monkeypatch.setenv("HGLIB_DATA", "/somewhere/else")
    with pytest.raises(SystemExit, match="unset HGLIB_DATA"):
        notebooks.main(["execute"], quick)


# ---- nbval ----------------------------------------------------------------------------------

CHECKED = {"tags": ["nbval-check-output"]}
SVG = {"image/svg+xml": "<svg/>", "text/html": "<b>1</b>", "text/plain": "1"}
TOYS = {
    "wrong": [toy.code("print(1)", toy.printed("2\n"), **CHECKED)],
    "magic": [toy.code("%typo_magic")],
    "cascade": [toy.code("1 / 0"), toy.code("x = 1"), toy.code("y = x")],
    "right": [
        toy.code("print(1)", toy.printed("1\n"), **CHECKED),
        toy.code("1 / 0", tags=["raises-exception"]),
        toy.code(
            "from IPython.display import display\n"
            "data = {'image/svg+xml': '<svg></svg>', 'text/html': '<i>1</i>', 'text/plain': '1'}\n"
            "display(data, raw=True)\nimport sys\n_ = sys.stderr.write('slow')",
            toy.shown(SVG),
            **CHECKED,
        ),
    ],
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What `pytest --nbval-lax` says of each toy's cells under this repository's conftest.py."""
    folder = tmp_path_factory.mktemp("nbval")
    (folder / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, cells in TOYS.items():
        notebook = toy.nbformat.v4.new_notebook(cells=cells)
        toy.number(notebook)
        (folder / f"{name}.ipynb").write_text(notebooks.dump(notebook))
    options = ["--nbval-lax", "--nbval-current-env", "--junitxml=out.xml", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", *options, "."]
    subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    found: dict[str, list[str]] = {}
    for case in ElementTree.parse(folder / "out.xml").iter("testcase"):
        name = case.attrib["classname"].split(".")[0]
        words = [f"{child.tag}: {child.attrib.get('message')} {child.text}" for child in case]
        found.setdefault(name, []).append(words[0] if words else "passed")
    return found


def test_nbval_compares_marked_cells(outcomes: dict[str, list[str]]) -> None:
    assert outcomes["wrong"][0].startswith("failure")


def test_nbval_fails_on_a_magic_that_does_not_exist(outcomes: dict[str, list[str]]) -> None:
    assert outcomes["magic"][0].startswith("failure")
    assert "typo_magic" in outcomes["magic"][0]


def test_nbval_stops_a_notebook_at_its_first_failure(outcomes: dict[str, list[str]]) -> None:
    first, *rest = outcomes["cascade"]
    assert first.startswith("failure")
    assert all(one.startswith("skipped") and "Cell 0" in one for one in rest), rest
    assert len(rest) == 2


def test_nbval_passes_what_is_right(outcomes: dict[str, list[str]]) -> None:
    """An equal output; an expected error; another SVG, HTML and warning beside an equal text."""
    assert outcomes["right"] == ["passed", "passed", "passed"]
