"""The ablation's runner: what a row costs, what it trains on, and that its figures are repeated."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from hglib.anatomy import flops
from hglib.augment import Augment
from hglib.commands.experiment import run_one
from hglib.datasets import load
from hglib.datasets.split import split
from hglib.experiments import runner
from hglib.experiments.ablation import study
from hglib.experiments.ablation.rows import REPAIRS, all_plans, part, repairs
from hglib.experiments.ablation.study import Data, Runner, build_network, images_shown
from hglib.experiments.record import read

TINY = {"widths": (8, 8)}


def tiny(name, **changes):
    """A row that takes a fraction of a second."""
    return part(name, "w", "q?", network="switched", **TINY, same_images=True, **changes)


@pytest.fixture(scope="module")
def data():
    parts = split(load("synthetic", n_synthetic=20, verbose=False), (0.8, 0.0, 0.2))
    return Data("a few faces", parts.train, parts.test.images, parts.test.points)


@pytest.fixture
def few(monkeypatch):
    rows = (tiny("one"), tiny("one-argmax", decoder="argmax"), tiny("two", batch=8))
    plans = {plan.name: plan for plan in rows}
    monkeypatch.setattr(study, "all_plans", lambda: plans)
    return plans


def test_three_rows_of_the_tiny_budget_find_the_published_numbers(tmp_path):
    """On one thread to the last digit where torch adds in the same order; two threads, another
    processor or torch move the mean error by a few per cent."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run_one("ablation", ["--budget", "tiny", "--save", str(tmp_path / "tiny.json")])
    finally:
        torch.set_num_threads(threads)
    mine, published = read(tmp_path / "tiny.json"), read("ablation_tiny")
    assert list(mine.figures) == list(published.figures) and len(mine.figures) == 3
    for name, run in published.figures.items():
        assert mine.figures[name]["mean_px"] == pytest.approx(run["mean_px"], rel=0.08), name
        assert mine.figures[name]["e10"] == pytest.approx(run["e10"], abs=0.1), name
    assert mine.about == published.about


# ---- the rows --------------------------------------------------------------------------------


def test_a_network_that_costs_more_sees_fewer_images():
    plans = all_plans()
    default = flops(build_network(plans["default"]))
    for name in ("wider", "skips-concat", "up-shuffle", "depth-4"):
        cost = flops(build_network(plans[name]))
        assert images_shown(plans[name]) * cost == pytest.approx(study.IMAGES * default, rel=1e-3)
    cheap = replace(plans["2019"], same_images=False)  # an eighth of the work
    assert images_shown(cheap) == 3 * study.IMAGES
    assert images_shown(plans["2019"]) == images_shown(plans["default"]) == study.IMAGES
    for name, plan in plans.items():
        if name.startswith(("depth", "plain", "regression", "skips-none", "stacks-1")):
            assert flops(build_network(plan)) == pytest.approx(default, rel=0.05), name


def test_each_repair_changes_one_thing_and_keeps_those_before():
    found = repairs()
    assert len(found) == 1 + len(REPAIRS)
    for before, after in pairwise(found):
        old, new = vars(before), vars(after)
        words = ("name", "what", "question", "against")
        changed = {key for key in new if new[key] != old[key] and key not in words}
        assert changed and after.against == before.name
        assert set(before.options) <= set(after.options)
    last, default = found[-1], all_plans()["default"]
    for name in ("augment", "batch", "learning_rate", "schedule", "first_pixel"):
        assert getattr(last, name) == getattr(default, name)


def test_names_are_found_and_a_slip_is_pointed_out():
    assert [plan.name for plan in study.choose(["mirror", "2019"])] == ["mirror", "2019"]
    assert len(study.choose([])) == len(all_plans()) >= 30
    with pytest.raises(ValueError, match="'miror'; did you mean mirror"):
        study.choose(["miror"])


# ---- the data --------------------------------------------------------------------------------


def test_labels_left_from_one_are_those_that_the_file_holds(data):
    as_in_file = load("synthetic", n_synthetic=20, first_pixel=0, verbose=False)
    expected = as_in_file.points[data.train.rows]
    found = study.training_faces(tiny("x", first_pixel=0), data.train).points
    np.testing.assert_allclose(found, expected, atol=1e-4)
    same = study.training_faces(tiny("y"), data.train).points
    assert same is not data.train.points
    np.testing.assert_array_equal(same, data.train.points)


def test_without_the_swap_channels_stay_in_place(data):
    plan = tiny("x", swap=False, augment=replace(Augment.none(), mirror=1.0))
    assert study.training_faces(plan, data.train).mirror_order.tolist() == [0, 1]
    assert study.training_faces(tiny("y"), data.train).mirror_order.tolist() == [1, 0]


def test_synthetic_faces_are_measured_against_the_truth():
    found = study.load_data("synthetic", 20, verbose=False)
    labels = split(load("synthetic", n_synthetic=20, verbose=False)).test.points
    assert "true points" in found.about and np.isfinite(found.points).all()
    assert 0.05 < np.nanmedian(np.abs(found.points - labels)) < 2  # near the labels, not the same


# ---- running ---------------------------------------------------------------------------------


def test_one_seed_one_result_and_torch_is_left_as_it_was(data):
    threads = torch.get_num_threads()
    runs = [Runner(data, 64).run(tiny("x"), seed) for seed in (0, 0, 1)]
    figures = [[run[name] for name in runner.FIGURES] for run in runs]
    assert figures[0] == figures[1] != figures[2]
    assert torch.get_num_threads() == threads and torch.get_default_dtype() == torch.float32


def test_a_decoder_trains_nothing_new(data, monkeypatch):
    trained = []
    original = study.train
    monkeypatch.setattr(study, "train", lambda *a: trained.append(a[0].name) or original(*a))
    run = Runner(data, 64).run
    one, two = (run(tiny(n, decoder=d), 0) for n, d in (("a", None), ("b", "argmax")))
    assert trained == ["a"] and one["mean_px"] != two["mean_px"]
    run(tiny("c", batch=8), 0)
    run(tiny("c", batch=8), 1)
    assert trained == ["a", "c", "c"]


def test_half_a_training_is_no_result(data, monkeypatch):
    class Stopped:
        interrupted = True

    monkeypatch.setattr(runner, "fit", lambda *a, **k: Stopped())
    with pytest.raises(KeyboardInterrupt):
        study.train(tiny("x"), 0, data.train)


def test_a_loss_that_is_not_finite_is_noted(data):
    run = Runner(data, 64).run(tiny("x", learning_rate=1e30, schedule="constant"), 0)
    assert "the loss is" in run["stopped"] and run["e25"] == 0


def test_runs_are_kept_resumed_and_measured_anew_only_where_settings_changed(
    few, tmp_path, monkeypatch, capsys
):
    path = tmp_path / "new" / "mine.json"
    command = ["--budget", "tiny", "--synthetic-faces", "60", "--save", str(path), "--images", "64"]
    command += ["--rows", *few]
    run_one("ablation", command)
    assert list(read(path).figures) == [f"{name}, seed 0" for name in few]
    first = read(path).figures["one, seed 0"]
    run_one("ablation", [*command, "--seeds", "0", "1"])
    assert "[1/3] one, seed 1" in capsys.readouterr().out
    assert read(path).figures["one, seed 0"] == first and read(path).seeds == [0, 1]
    few["two"] = replace(few["two"], learning_rate=1e-4)
    few["one"] = replace(few["one"], question="other words?")
    run_one("ablation", command)
    out = capsys.readouterr().out
    assert "[1/1] two, seed 0" in out and "two, seed 1" not in read(path).figures
    assert not list(Path(path).parent.glob("*.part"))
