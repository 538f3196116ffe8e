"""One schema for all results: what is written is read again, and nothing else is taken for it."""

import json
import re

import pytest

from hglib.experiments import record
from hglib.experiments.record import RESULTS, Record, read

FILES = sorted(path.stem for path in RESULTS.glob("*.json"))


def test_what_is_saved_is_read_again(tmp_path):
    rows = {"a": {"what": "é", "px": 1.5}, "b": {"px": None, "points": [[1.0, 2.0]]}}
    kept = Record("x", "python -m hglib experiment x", seeds=[0], about={"n": 3}, figures=rows)
    path = tmp_path / "new" / "x.json"
    kept.save(path)
    assert read(path) == kept and not list(path.parent.glob("*.part"))
    kept.figures["c"] = {"px": float("nan"), "by_landmark": (1, 2)}
    kept.save(path)
    assert read(path).figures["c"] == {"px": None, "by_landmark": [1, 2]}


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    Record("x", figures={"a": 1}).save(path)

    def full(*args):
        raise OSError("no space left")

    monkeypatch.setattr(record.os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        Record("x", figures={"a": 1, "b": 2}).save(path)
    assert read(path).figures == {"a": 1}


@pytest.mark.parametrize("text", ["", "[]", "3", '{"rows": 3}', '{"command": "x"}', "{"])
def test_a_file_of_something_else_is_named(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"results\.json: no results file of an experiment"):
        read(path)


def test_a_name_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(FileNotFoundError, match="there are no such results; published are ablatio"):
        read("study")


@pytest.mark.parametrize("name", FILES)
def test_published_files_follow_the_schema_and_hold_no_path_of_anybody(name):
    found = read(name)
    assert found.figures and re.fullmatch(r"\d{4}-\d\d-\d\d", found.date)
    assert re.fullmatch(r"[0-9a-f]{7,}", found.commit)
    text = (RESULTS / f"{name}.json").read_text(encoding="utf-8")
    assert list(json.loads(text)) == list(vars(found))
    assert not re.search(r"/(home|work|root|tmp|Users)\b", text)


def test_a_table_is_aligned_and_empty_where_a_figure_is_missing(capsys):
    record.print_table({"a": {"px": 1.0, "n": 3}, "longer": {"px": float("nan")}}, digits=1)
    assert capsys.readouterr().out == "         px  n\na       1.0  3\nlonger\n"
