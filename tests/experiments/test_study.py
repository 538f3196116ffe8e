"""The study's runner: what a row costs, what it trains on, and that nothing is done twice."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from hglib.augment import Augment
from hglib.commands import main
from hglib.data import split
from hglib.datasets import load
from hglib.experiments.ablation import study
from hglib.experiments.ablation.rows import REPAIRS, all_plans, part, repairs
from hglib.experiments.ablation.study import (
    Data,
    Runner,
    choose,
    describe,
    missing,
    pictures_shown,
    read,
    write,
)

TINY = {"widths": (8, 8)}


def tiny(name, **changes):
    """A row that takes a fraction of a second."""
    return part(name, "w", "q?", network="switched", options=TINY, pictures=64, **changes)


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


# ---- cost ------------------------------------------------------------------------------------


def test_flops_of_a_convolution_by_hand_and_the_mode_is_kept():
    layer = nn.Conv2d(3, 5, kernel_size=3, padding=1).train()
    model = nn.Sequential(nn.Conv2d(1, 3, 1), layer)
    assert study.flops(model, size=8) == 2 * 64 * (1 * 3 + 9 * 3 * 5)
    assert layer.training


def test_a_network_that_costs_more_sees_fewer_pictures():
    plans = all_plans()
    default = study.flops(study.build_network(plans["default"]))
    for name in ("wider", "skips-concat", "up-shuffle", "depth-4"):
        cost = study.flops(study.build_network(plans[name]))
        assert pictures_shown(plans[name]) * cost == pytest.approx(
            study.PICTURES * default, rel=1e-3
        )
    assert pictures_shown(replace(plans["2019"], pictures=None)) == study.MOST  # an eighth the work
    assert pictures_shown(plans["2019"]) == pictures_shown(plans["default"]) == study.PICTURES


def test_shapes_that_are_compared_cost_about_the_same():
    plans = all_plans()
    default = study.flops(study.build_network(plans["default"]))
    for name, plan in plans.items():
        if name.startswith(("depth", "plain", "regression", "skips-none", "stacks-1")):
            assert study.flops(study.build_network(plan)) == pytest.approx(default, rel=0.05), name


# ---- the rows --------------------------------------------------------------------------------


def test_each_repair_changes_one_thing_and_keeps_those_before():
    found = repairs()
    assert len(found) == 1 + len(REPAIRS)
    for before, after in pairwise(found):
        old, new = vars(before), vars(after)
        words = ("name", "what", "question", "against")
        changed = {key for key in new if new[key] != old[key] and key not in words}
        assert changed and after.against == before.name
        assert set(before.options) <= set(after.options)
        assert changed <= {"options", "objective", "first_pixel", "decoder", "schedule"} | {
            *("learning_rate", "batch", "augment")
        }


def test_the_last_repair_is_trained_as_our_default_is():
    last, default = repairs()[-1], all_plans()["default"]
    for name in ("augment", "batch", "learning_rate", "schedule", "first_pixel"):
        assert getattr(last, name) == getattr(default, name)
    assert last.objective.sigma == 2 * default.objective.sigma  # in cells; as wide in px


def test_names_are_found_and_a_slip_is_pointed_out():
    assert [plan.name for plan in choose(["mirror", "2019"])] == ["mirror", "2019"]
    assert len(choose(None)) == len(all_plans()) >= 30
    with pytest.raises(ValueError, match="'miror'; did you mean mirror"):
        choose(["miror"])


# ---- the data --------------------------------------------------------------------------------


def test_labels_left_from_one_are_those_that_the_file_holds(data):
    plan = tiny("x", first_pixel=0)
    as_in_file = load("synthetic", n_synthetic=20, first_pixel=0, verbose=False)
    expected = as_in_file.points[data.train.rows]
    np.testing.assert_allclose(study.training_faces(plan, data.train).points, expected, atol=1e-4)
    assert study.training_faces(tiny("y"), data.train).points is not data.train.points
    np.testing.assert_array_equal(
        study.training_faces(tiny("y"), data.train).points, data.train.points
    )


def test_without_the_swap_channels_stay_in_place(data):
    plan = tiny("x", swap=False, augment=replace(Augment.none(), mirror=1.0))
    assert study.training_faces(plan, data.train).mirror_order.tolist() == [0, 1]
    assert study.training_faces(tiny("y"), data.train).mirror_order.tolist() == [1, 0]


def test_synthetic_faces_are_measured_against_the_truth():
    found = study.load_data("synthetic", 20, verbose=False)
    labels = split(load("synthetic", n_synthetic=20, verbose=False)).test.points
    assert "true points" in found.about and np.isfinite(found.points).all()
    difference = np.abs(found.points - labels)
    assert 0.05 < np.nanmedian(difference) < 2  # not the labels, but near them


# ---- running ---------------------------------------------------------------------------------


def test_one_seed_one_result(data):
    runs = [Runner(data).run(tiny("x"), seed) for seed in (0, 0, 1)]
    figures = [[run[name] for name in study.FIGURES] for run in runs]
    assert figures[0] == figures[1] != figures[2]


def test_a_decoder_trains_nothing_new(data, monkeypatch):
    trained = []
    original = study.train
    monkeypatch.setattr(study, "train", lambda *a: trained.append(a[0].name) or original(*a))
    runner = Runner(data)
    one, two = (runner.run(tiny(n, decoder=d), 0) for n, d in (("a", None), ("b", "argmax")))
    assert trained == ["a"] and one["mean_px"] != two["mean_px"]
    runner.run(tiny("c", batch=8), 0)
    runner.run(tiny("c", batch=8), 1)
    assert trained == ["a", "c", "c"]


def test_runs_are_kept_and_not_repeated(data, few, tmp_path, capsys):
    path = tmp_path / "new" / "results.json"
    first = study.study(data, list(few.values()), [0], path)
    assert "[3/3] two, seed 0" in capsys.readouterr().out
    again = study.study(data, list(few.values()), [0, 1], path)
    assert "[1/3] one, seed 1" in capsys.readouterr().out
    assert again["rows"]["one"]["runs"]["0"] == first["rows"]["one"]["runs"]["0"]
    assert read(path) == again and not list(path.parent.glob("*.part"))


def test_every_row_once_before_any_row_twice(few):
    order = [(plan.name, seed) for plan, seed in missing(list(few.values()), [0, 1], read_none())]
    assert order == [(name, seed) for seed in (0, 1) for name in few]


def read_none():
    return {"about": {}, "rows": {}}


def test_a_row_whose_settings_changed_is_measured_anew(few):
    plan = few["one"]
    results = read_none()
    results["rows"]["one"] = {**describe(plan), "question": "other words", "runs": {"0": {}}}
    assert not list(missing([plan], [0], results))
    assert results["rows"]["one"]["question"] == "q?"
    slower = replace(plan, learning_rate=1e-4)
    assert [p.learning_rate for p, _ in missing([slower], [0], results)] == [1e-4]


def test_an_interruption_loses_the_run_that_it_hit_and_no_other(data, few, tmp_path, monkeypatch):
    original, calls = study.train, []

    def stopped(plan, seed, faces):
        calls.append(plan.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(plan, seed, faces)

    monkeypatch.setattr(study, "train", stopped)
    path = tmp_path / "results.json"
    study.study(data, list(few.values()), [0], path, verbose=False)
    assert [name for name, row in read(path)["rows"].items() if row["runs"]] == [
        "one",
        "one-argmax",
    ]
    study.study(data, list(few.values()), [0], path, verbose=False)
    assert calls == ["one", "two", "two"] and read(path)["rows"]["two"]["runs"]


def test_half_a_training_is_no_result(data, monkeypatch):
    class Stopped:
        interrupted = True

    monkeypatch.setattr(study, "fit", lambda *a, **k: Stopped())
    with pytest.raises(KeyboardInterrupt):
        study.train(tiny("x"), 0, data.train)


def test_a_loss_that_is_not_finite_is_noted(data):
    run = Runner(data).run(tiny("x", learning_rate=1e30, schedule="constant"), 0)
    assert "the loss is" in run["stopped"] and run["e25"] == 0


def test_other_data_do_not_go_into_the_same_file(data, few, tmp_path):
    path = tmp_path / "results.json"
    study.study(data, [few["one"]], [0], path, verbose=False)
    other = replace(data, about="other faces")
    with pytest.raises(ValueError, match="a few faces, not other faces"):
        study.study(other, [few["one"]], [0], path, verbose=False)


def test_a_file_of_something_else_is_named(tmp_path):
    path = tmp_path / "results.json"
    path.write_text('{"rows": 3}')
    with pytest.raises(ValueError, match=r"results\.json: not a results file of the study"):
        read(path)


def test_the_file_survives_a_round_trip(tmp_path):
    results = {
        "about": {"data": "x"},
        "rows": {"a": {"what": "é", "runs": {"0": {"mean_px": 1.0}}}},
    }
    write(tmp_path / "f.json", results)
    assert read(tmp_path / "f.json") == results
    assert json.loads((tmp_path / "f.json").read_text(encoding="utf-8")) == results


# ---- the command -----------------------------------------------------------------------------


def test_the_command_lists_its_rows(capsys):
    assert main(["study", "--list", "--rows", "default", "2019"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].startswith("default") and "our default" in lines[0]


def test_the_command_says_what_is_wrong_in_one_line(capsys):
    assert main(["study", "--rows", "defualt"]) == 1
    assert "did you mean default" in capsys.readouterr().err


def test_the_command_runs_a_row(few, tmp_path, capsys):
    path = tmp_path / "mine.json"
    arguments = ["study", "--rows", "one", "--seeds", "0", "--save", str(path)]
    assert main([*arguments, "--data", "synthetic", "--synthetic-faces", "200"]) == 0
    assert list(read(path)["rows"]["one"]["runs"]) == ["0"]
    assert "one " in capsys.readouterr().out.splitlines()[-1]


def test_torch_is_left_as_it_was(data):
    """A run sets the seed; it changes neither the number of threads nor the default type."""
    threads = torch.get_num_threads()
    Runner(data).run(tiny("x"), 0)
    assert torch.get_num_threads() == threads and torch.get_default_dtype() == torch.float32
