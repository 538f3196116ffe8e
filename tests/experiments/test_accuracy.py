"""The benchmark: its arithmetic exactly, its run on a handful of faces."""

import json
from dataclasses import replace

import torch

from hglib.experiments import accuracy
from hglib.experiments.accuracy import Row, median_row, summarise


def row(seed, mean, network="lean", flip=False):
    return Row(network, 100.0, seed, flip, 10, mean, mean / 2, 0.7, 0.9, 1.0)


def test_median_and_spread_over_seeds():
    middle = median_row([row(0, 1.0), row(1, 5.0), row(2, 2.0)])
    assert (middle["mean_px"], middle["median_px"]) == (2.0, 1.0)
    assert (middle["spread_px"], middle["seeds"]) == (4.0, 3)


def test_summary_keeps_networks_and_flips_apart():
    rows = [row(0, 1.0), row(0, 9.0, "original"), row(0, 3.0, flip=True), row(1, 2.0)]
    summary = summarise(rows)
    keys = [("lean", False), ("original", False), ("lean", True)]
    assert [(network, flip) for network, _, flip in summary] == keys
    assert summary["lean", 100.0, False]["mean_px"] == 1.5


def test_crossings_are_first_times_and_missing_where_never_reached():
    assert accuracy.crossings([1, 2, 3, 4], [3.0, 1.9, 2.1, 1.4]) == {"2.0": 2, "1.5": 4}
    assert accuracy.crossings([1], [1.25]) == {"2.0": 1, "1.5": 1, "1.25": 1}
    assert accuracy.crossings([], []) == {}


def test_median_crossings_need_every_seed(capsys):
    times = [{"2.0": 5.0, "1.5": 9.0}, {"2.0": 7.0}, {"2.0": 30.0, "1.5": 40.0}]
    rows = [replace(row(i, 1.0), seconds_to=reached) for i, reached in enumerate(times)]
    assert accuracy.median_crossings(rows) == {"2.0": 7.0}
    accuracy.print_crossings(rows)
    assert capsys.readouterr().out.splitlines()[-1].split() == ["lean", "100", "s", "7", "-", "-"]


def test_saving_replaces_rows_of_the_same_settings_and_keeps_others(tmp_path):
    path = tmp_path / "results.json"
    accuracy.save(path, "faces", [row(0, 1.0), row(1, 2.0)], 3.0)
    accuracy.save(path, "faces", [row(1, 7.0)], 3.0)
    means = {r["seed"]: r["mean_px"] for r in json.loads(path.read_text())["rows"]}
    assert means == {0: 1.0, 1: 7.0}


def test_a_whole_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HGLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(accuracy, "load", lambda _: bench_faces())
    torch.set_num_threads(1)
    save = tmp_path / "r.json"
    arguments = ["--seconds", "0.5", "--seeds", "0", "--networks", "lean", "--save", str(save)]
    assert accuracy.main(arguments) == 0
    said = capsys.readouterr().out
    assert "mean position" in said and "lean" in said
    rows = json.loads(save.read_text())["rows"]
    assert [r["flip"] for r in rows] == [False, True]
    assert rows[0]["faces_trained"] > 0
    assert rows[0]["mean_px"] > 0
    assert "s to 1.25 px" in said and rows[0]["seconds_to"] == rows[1]["seconds_to"]


def test_the_shipped_network_starts_from_its_weights(monkeypatch):
    """With a budget of one step it is still as good as it comes; from random weights it is not."""
    from hglib.data import split

    monkeypatch.setattr(accuracy, "recipe", lambda *_, **changes: one_step(changes["seed"]))
    parts = split(bench_faces())
    plain = {name: accuracy.run_once(name, 1.0, 0, parts)[0] for name in (accuracy.SHIPPED, "lean")}
    assert plain["shipped"].mean_px < 2.5 < 10 < plain["lean"].mean_px


def one_step(seed):
    from hglib.train import TrainConfig

    return TrainConfig(epochs=1e-6, seed=seed, validations=1)


def bench_faces():
    from hglib.datasets import load

    return load("synthetic", n_synthetic=60, verbose=False)
