"""What docs/results.md and the README say in words agrees with the results files."""

import json
import re
from pathlib import Path

import pytest

from hglib.datasets import audit
from hglib.experiments import accuracy
from hglib.experiments.ablation import gains
from hglib.experiments.record import read

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
WORDS = re.sub(r"\s+", " ", TEXT)


def said(pattern: str) -> float:
    """The one number that the text has at the group of this pattern."""
    found = re.findall(pattern, WORDS)
    assert len(found) == 1, f"{pattern!r} is in docs/results.md {len(found)} times, expected once"
    return float(found[0])


def test_the_shift_between_the_two_parts_of_the_data():
    parts = audit.real_data()
    first, rest = (
        parts[kind]["label_shift"]
        for kind in ("rows_with_more_than_4_points", "rows_with_4_points_or_fewer")
    )
    assert said(r"lie about ([\d.]+) px further left") == pytest.approx(rest - first, abs=0.05)
    rows = parts["rows_with_more_than_4_points"]["last_row"] + 1
    assert said(r"the first (\d+) rows lie") == rows


def test_two_labels_of_one_picture():
    text = json.dumps(audit.real_data())
    measured = float(re.search(r'"distance_median": ([\d.]+)', text)[1])
    assert said(r"same image differ by ([\d.]+) px") == pytest.approx(measured, abs=0.05)


def test_the_runs_of_2019_that_the_text_speaks_of():
    """Black maps mean tens of pixels: they are away from them, but behind the mean position."""
    saved = read("accuracy")
    rows = [row for row in accuracy.rows(saved) if row["network"] == "original" and not row["flip"]]
    short = [row["mean_px"] for row in rows if row["seconds"] == 100]
    assert len(short) == 3
    assert saved.about["mean_position_px"] < min(short) < max(short) < 6
    assert "still worse than always saying the mean position" in WORDS


def test_every_run_had_the_machine_to_itself():
    """A run that shared its cores shows many fewer faces a second than others of its network."""
    rates: dict[str, list[float]] = {}
    for row in accuracy.rows(read("accuracy")):
        network = "original" if row["network"] == "original" else "lean"
        rates.setdefault(network, []).append(row["faces_trained"] / row["seconds"])
    assert all(min(several) > 0.6 * max(several) for several in rates.values())


def test_a_row_without_a_seed_or_faces_would_show():
    for row in accuracy.rows(read("accuracy")):
        assert row["faces_trained"] > 0 and row["mean_px"] > 0
        assert 0 <= row["e05"] <= row["e10"] <= row["e25"] <= 1


def test_what_the_text_says_of_the_synthetic_faces():
    """Hair and glasses, and nothing else, cost more than the seeds differ by."""
    px = {name: row["mean_px"] for name, row in read("synthetic_faces").figures.items()}
    seeds = [px[name] for name in px if name.startswith("2000 synthetic faces")]
    assert len(seeds) == 3
    limit = sum(seeds) / 3 + max(seeds) - min(seeds)
    matter = {name for name in px if name.startswith("without ") and px[name] > limit}
    assert matter == {"without hair", "without glasses"}
    assert "That leaves hair and glasses" in WORDS


def test_what_the_text_says_of_the_study():
    synthetic, real = gains.load_rows("synthetic"), gains.load_rows("real")
    assert said(r"trains (\d+) variants") == len(synthetic) == len(real)
    assert {len(row["runs"]) for rows in (synthetic, real) for row in rows.values()} == {3}
    means = ([gains.by_seed(rows[name]).mean() for name in synthetic] for rows in (synthetic, real))
    assert said(r"rank correlation (\.\d+)\)") == pytest.approx(gains.spearman(*means), abs=0.005)


def test_what_the_text_says_of_the_repairs():
    """BatchNorm on a squared error, batches of 32, changed faces: each makes its place worse."""
    for kind in ("synthetic", "real"):
        saves = gains.table(kind, group="repairs")["saves"].dropna()
        worse = set(saves[saves < -0.1].index) - {"repair-init", "repair-mean"}  # before they learn
        assert worse == {"repair-norm", "repair-batch", "repair-augment"}


def test_what_the_text_says_of_the_finder():
    rows = read("scenes").figures
    upright, turned = rows["upright"], rows["quarter turn"]
    assert said(r"[Ii]n (\d+) synthetic scenes") == upright["scenes"]
    assert said(r"finds (\d+) of \d+ upright faces") == upright["found"]
    assert said(r"finds \d+ of (\d+) upright faces") == upright["faces"]
    assert sum(row["false"] for row in rows.values()) == 0 and "no false one" in WORDS
    assert turned["faces"] > 0 and turned["found"] == 0 and "none of the faces that lie" in WORDS


def test_the_tables_name_rows_that_there_are():
    import tables

    figures = read("costs").figures
    for group, start, _ in tables.COSTS:
        assert sum(name.startswith(start) for name in figures[group]) == 1, start
    assert tables.few_results(ROOT).count("\n") == 4  # three rows
