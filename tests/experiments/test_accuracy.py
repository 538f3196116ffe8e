"""How far each network gets: its arithmetic exactly, its run on a handful of faces."""

import pytest

from hglib.datasets import load
from hglib.datasets.split import split
from hglib.experiments import accuracy
from hglib.experiments.record import Record
from hglib.train import TrainConfig


def run(seed, mean, network="lean", seconds_to=None):
    figures = {"mean_px": mean, "median_px": mean / 2, "e05": 0.7, "e10": 0.9, "e25": 1.0}
    worse = {**figures, "mean_px": mean + 1}
    times = {"seconds_to": seconds_to or {}}
    setting = {"network": network, "seconds": 100.0, "seed": seed}
    return {**setting, **times, "plain": figures, "flip": worse}


def test_medians_and_spreads_keep_networks_and_flips_apart():
    runs = [run(0, 1.0), run(0, 9.0, "original"), run(1, 5.0), run(2, 2.0)]
    record = Record("accuracy", figures={str(i): each for i, each in enumerate(runs)})
    groups = accuracy.by_setting(record)
    assert list(groups) == [(100.0, "lean"), (100.0, "original")]
    middle = accuracy.median_row(groups[100.0, "lean"])
    assert (middle["mean_px"], middle["median_px"]) == (2.0, 1.0)
    assert (middle["spread_px"], middle["seeds"]) == (4.0, 3)
    flipped = accuracy.median_row(accuracy.by_setting(record, flip=True)[100.0, "lean"])
    assert flipped["mean_px"] == 3.0 and len(accuracy.rows(record)) == 8


def test_crossings_are_first_times_and_missing_where_never_reached():
    assert accuracy.crossings([1, 2, 3, 4], [3.0, 1.9, 2.1, 1.4]) == {"2.0": 2, "1.5": 4}
    assert accuracy.crossings([1], [1.25]) == {"2.0": 1, "1.5": 1, "1.25": 1}
    times = [{"2.0": 5.0, "1.5": 9.0}, {"2.0": 7.0}, {"2.0": 30.0, "1.5": 40.0}]
    same = [run(i, 1.0, seconds_to=reached) for i, reached in enumerate(times)]
    assert accuracy.median_crossings(same) == {"2.0": 7.0}  # every seed must have come so far


def test_the_pretrained_network_starts_from_its_weights(monkeypatch):
    """With a budget of one step it is still as good as it comes; from random weights it is not."""
    one_step = TrainConfig(epochs=1e-6, validations=1)
    monkeypatch.setattr(accuracy, "recipe", lambda *_, **changes: one_step)
    parts = split(load("synthetic", n_synthetic=60, verbose=False))
    px = {
        n: accuracy.run_once(n, 1.0, 0, parts)["plain"]["mean_px"] for n in ("pretrained", "lean")
    }
    assert px["pretrained"] < 2.5 < 10 < px["lean"]


@pytest.mark.parametrize("flips", [[False], [False, True]])
def test_the_table_has_a_line_for_each_group(capsys, flips):
    record = Record("accuracy", about={"mean_position_px": 3.3}, figures={"a": run(0, 1.0)})
    accuracy.show(record, flips)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(flips) and lines[1].split() == ["mean", "position", "3.30"]
