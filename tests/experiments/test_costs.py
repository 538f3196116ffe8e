"""What things cost is counted and divided rightly; nothing here asserts how fast anything is."""

import numpy as np
import pytest
import torch

from hglib.datasets.kaggle import LABELS_FILE
from hglib.datasets.synthetic.exact import exact_faces
from hglib.experiments import costs, runner
from hglib.experiments.costs import Cost, Sizes, Times
from hglib.experiments.record import read
from hglib.heatmap import render


@pytest.fixture(scope="module")
def sizes():
    torch.set_num_threads(1)
    return Sizes(exact_faces(40), 100)


def test_the_operations_of_a_step_are_counted_per_face(sizes):
    """Three times forward, less the first layer's gradient for the image."""
    parts = costs.Parts(sizes.faces)
    forward, work = parts.operations("forward"), parts.operations()
    stem = 2 * (48 * 48) * 16 * (4 * 4) / 1e9
    assert work == pytest.approx(3 * forward - stem)


def test_the_parts_make_the_step_of_fit(sizes):
    """Batch, forward and loss one by one give the gradients that `step` descends along."""
    whole, parts = costs.Parts(sizes.faces), costs.Parts(sizes.faces)
    whole.trainer.step(whole.index)
    parts.backward()
    models = (each.trainer.model.parameters() for each in (whole, parts))
    for one, other in zip(*models, strict=True):
        assert torch.equal(one.grad, other.grad)


def test_a_product_is_timed_per_billion_operations_and_the_fastest_counts(monkeypatch):
    def timed(run, times, threads):
        return lambda: {256: 1.0, 512: 2.0, 1024: 64.0}[len(run.args[0])]

    monkeypatch.setattr(costs, "timed", timed)
    task = costs.product(torch.float32, 1)()
    assert task() == pytest.approx(2.0 / (2 * 512**3 / 1e9))  # 8 times the work, twice the time


def test_the_loop_draws_the_maps_of_the_library(sizes):
    looped = costs.looped_maps(sizes.faces.points[0])
    ours = render(torch.from_numpy(sizes.faces.points[:1]), alpha=0.1)[0]
    np.testing.assert_allclose(looped, ours.numpy(), atol=1e-5)


def test_all_faces_are_rendered_in_blocks(sizes, monkeypatch):
    shapes = []
    monkeypatch.setattr(costs, "render", lambda points, **_: shapes.append(points.shape))
    points = costs.many_points(sizes)
    costs.render_all(points, "gaussian")
    assert sum(shape[0] for shape in shapes) == sizes.many and max(shapes)[0] == 64
    np.testing.assert_array_equal(points[40:80], sizes.faces.points)


def test_training_csv_holds_the_same_faces(tmp_path, monkeypatch):
    monkeypatch.setenv("HGLIB_CACHE", str(tmp_path / "cache"))
    folder = costs.locate("synthetic", 12)
    assert (folder / LABELS_FILE).is_file()
    faces = costs.load(folder, landmarks="all", verbose=False)
    again = costs.load(costs.write_training_csv(tmp_path, faces), "all", verbose=False)
    np.testing.assert_array_equal(again.images, faces.images)
    np.testing.assert_array_equal(again.points, faces.points)


def test_a_process_of_its_own_says_one_number_or_why_not():
    assert costs.child("print(2.5)") == 2.5
    with pytest.raises(RuntimeError, match="ZeroDivisionError: division by zero"):
        costs.child("1 / 0")


def test_peak_memory_sees_what_was_held_and_not_what_the_parent_held():
    code = "import numpy; from hglib.env import peak_memory; {}; print(peak_memory())"
    held = np.ones(50_000_000)  # 400 MB here, in the parent
    small = costs.child(code.format("pass"))
    large = costs.child(code.format("numpy.ones(25_000_000)"))  # freed at once
    assert small < 250e6 and large - small > 150e6 and len(held)


# ---- the arithmetic of the table ----------------------------------------------------------------


def times(**seconds):
    return Times(seconds, np.array(list(seconds.values()), float).T, {})


def test_a_share_is_taken_within_the_rounds():
    """A machine that halves its speed in the middle changes times, but not shares."""
    t = times(step=[0.1, 0.2], peak=[0.01, 0.02])
    cost = t.cost("share of the peak", "%", 100 * 5 * t["peak"] / t["step"])
    assert (cost.value, cost.low, cost.high) == (50, 50, 50) and cost.goal == ">= 65"
    rate = t.cost("rate", "faces/s", 32 / t["step"], 32 / t["peak"])
    assert rate == Cost("", "rate", 240, "faces/s", 200, 280, 2400)


def tasks_of(**seconds):
    return {name: lambda value=value: lambda: value for name, value in seconds.items()}


def test_a_task_or_a_group_that_cannot_run_loses_its_own_rows_only(monkeypatch):
    def broken(*_):
        raise OSError("no room\nleft on the device")

    def group(sizes, watch):
        t = watch({**tasks_of(a=0.5), "b": broken})
        both = t.cost("both", "s", t["a"] + t["b"] + t["limit"])
        return [t.cost("a", "s", 2 * t["a"], t["limit"]), t.cost("b", "s", t["b"]), both]

    monkeypatch.setattr(costs, "limit_tasks", lambda: tasks_of(limit=1.0))
    monkeypatch.setattr(costs, "GROUPS", {"g": group, "bad": broken})
    measured = costs.measure("g", None, rounds=2)
    assert measured["a"]["value"] == measured["a"]["limit"] == 1.0
    for name in "b", "both":
        assert np.isnan(measured[name]["value"])
        assert measured[name]["note"] == "did not run here: OSError: left on the device"
    lost = costs.measure("bad", None, rounds=2)["all of it"]
    assert np.isnan(lost["value"]) and "no room" in lost["note"]


def test_every_group_asks_for_tasks_that_it_has_and_gives_the_published_rows(sizes, monkeypatch):
    """The tasks are named and not run: each is said to take half a second."""

    def watch(makers, most=1):
        return times(**{key: [0.5, 1.0] for key in {**costs.limit_tasks(), **makers}})

    rows = [(name, row) for name, make in costs.GROUPS.items() for row in make(sizes, watch)]
    assert all(np.isfinite(row.value) for _, row in rows)
    assert {row.goal for _, row in rows} == {"", "<= 1", "<= 3", ">= 65", "<= 0.3", "<= 2"}
    published = {(row.group, row.name.replace("7000", "100")) for row in costs.rows()}
    mine = {(group, row.name) for group, row in rows}
    kind = costs.choose_precision()
    mine = {
        (g, n.replace(f"share of the {kind} peak", "share of the bfloat16 peak")) for g, n in mine
    }
    assert mine - published == set() and len(mine) == len(rows) >= 25


def test_the_parts_of_a_step_add_up():
    names = ("batch", "forward", "loss", "backward", "Adam")
    t = times(**{key: [0.01] for key in names}, step=[0.06])
    whole, *parts = costs.step_parts(t, forward=1.0, both=3.0, peak=np.array([0.001]))
    assert whole.value == pytest.approx(60) == sum(part.value for part in parts)
    limits = {part.name.strip(): part.limit for part in (whole, *parts)}
    assert limits["a step of 32 faces"] == pytest.approx(3)
    assert limits["forward"] == pytest.approx(1) and limits["backward"] == pytest.approx(2)


def test_the_command_measures_the_limits_and_a_group(tmp_path, monkeypatch, capsys):
    def group(name):
        def rows(sizes, watch):
            t = watch(tasks_of(**{name: 7049.0}))
            return [t.cost(name, "s", t[name])]

        return rows

    found = {costs.LIMITS: group("a"), "training": group("1 face, one thread"), "files": group("c")}
    monkeypatch.setattr(costs, "GROUPS", found)
    monkeypatch.setattr(costs, "limit_tasks", dict)
    path = tmp_path / "costs.json"
    runner.main("costs", ["--only", "train", "--rounds", "1", "--save", str(path)])
    assert [row.name for row in costs.rows(read(path))] == ["a", "1 face, one thread"]
    out = capsys.readouterr().out
    assert out.splitlines()[-1].split()[4:] == ["7,049", "s", "7,049", "-", "7,049", "<=", "3"]


def test_the_published_results_are_whole():
    rows = costs.rows()
    assert {row.group for row in rows} >= set(costs.GROUPS)
    for row in rows:
        assert row.unit != "%" or 0 < row.value < 120
    assert all(row.low <= row.value <= row.high for row in rows if row.value == row.value)
