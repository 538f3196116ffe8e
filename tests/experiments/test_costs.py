"""What things cost is counted and divided rightly; nothing here asserts how fast anything is."""

import numpy as np
import pytest
import torch

from hglib.commands.experiment import run_one
from hglib.datasets.kaggle import LABELS_FILE
from hglib.datasets.synthetic.exact import exact_faces
from hglib.experiments import costs
from hglib.experiments.costs import Row
from hglib.experiments.record import read
from hglib.experiments.timing import Times
from hglib.heatmap import render


@pytest.fixture(scope="module")
def faces():
    torch.set_num_threads(1)
    return exact_faces(40)


def test_the_operations_of_a_step_are_counted_per_face():
    """Three times forward, less the first layer's gradient for the image."""
    forward, work = costs.gflop("forward") / 32, costs.gflop() / 32
    stem = 2 * (48 * 48) * 16 * (4 * 4) / 1e9
    assert work == pytest.approx(3 * forward - stem)


def test_the_parts_make_the_step_of_fit(faces):
    """Batch, forward and loss one by one give the gradients that `step` descends along."""
    whole, parts = costs.Parts(faces), costs.Parts(faces)
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


def test_the_loop_draws_the_maps_of_the_library(faces):
    looped = costs.looped_maps(faces.points[0])
    ours = render(torch.from_numpy(faces.points[:1]), alpha=0.1)[0]
    np.testing.assert_allclose(looped, ours.numpy(), atol=1e-5)


def test_all_faces_are_rendered_in_blocks(faces, monkeypatch):
    shapes = []
    monkeypatch.setattr(costs, "render", lambda points, **_: shapes.append(points.shape))
    row = costs.maps(faces, 100)[0]
    row.make()()  # warms up once, runs once
    assert sum(shape[0] for shape in shapes) == 2 * 100 and max(shapes)[0] == 64


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
    t = Times()
    t.update({name: np.array(values, float) for name, values in seconds.items()})
    return t


def test_a_share_is_taken_within_the_rounds():
    """A machine that halves its speed in the middle changes times, but not shares."""
    t = times(step=[0.1, 0.2], peak=[0.01, 0.02])
    share = Row("share", "%", value=lambda t: 100 * 5 * t["peak"] / t["step"], goal=">= 65")
    found = share.figures(t)
    assert (found["value"], found["low"], found["high"], found["goal"]) == (50, 50, 50, ">= 65")
    found = Row("step", "faces/s", amount=32, limit=lambda t: 32 / t["peak"]).figures(t)
    assert [found[key] for key in ("value", "low", "high", "limit")] == [240, 200, 280, 2400]
    assert Row("step", "ms", amount=1000).figures(t)["value"] == pytest.approx(150)


def task(value):
    return lambda: lambda: value


def broken():
    raise OSError("no room\nleft on the device")


def breaks_later():
    """Runs once, as a warming up does, and never again."""
    runs = []
    return lambda: broken() if runs else runs.append(1) or 1.0


def test_what_cannot_run_loses_its_own_rows_only(monkeypatch):
    rows = [
        Row("a", "s", task(0.5), amount=2, limit=lambda t: t["limit"]),
        Row("b", "s", broken),
        Row("later", "s", lambda: breaks_later()),
        Row("both", "s", value=lambda t: t["a"] + t["b"]),
        Row("no limit", "s", value=lambda t: t["a"], limit=lambda t: t["b"]),
    ]
    monkeypatch.setattr(costs, "limits", lambda: [Row("limit", "s", task(1.0))])
    monkeypatch.setattr(costs, "GROUPS", {"g": lambda faces, many: rows})
    measured = costs.measure("g", None, 0, rounds=2)
    assert list(measured) == [row.name for row in rows]
    assert measured["a"]["value"] == measured["a"]["limit"] == 1.0
    for name in "b", "later", "both":
        assert np.isnan(measured[name]["value"])
    for name in "b", "later", "both", "no limit":
        assert measured[name]["note"] == "did not run here: OSError: left on the device"
    assert measured["no limit"]["value"] == 0.5 and np.isnan(measured["no limit"]["limit"])


def test_a_part_of_the_step_that_fails_loses_no_other_row(faces, monkeypatch):
    def no_memory(self, levels):
        raise MemoryError("full")

    monkeypatch.setattr(costs.Parts, "loss", no_memory)
    rows = {row.name.strip(): row for row in costs.training(faces, 0)}
    made = {name: costs.timing.in_turns({name: rows[name].make}, 1) for name in ("loss", "forward")}
    assert made["loss"].missing and not made["forward"].missing


def declared(faces):
    """Every row by group and name; what is timed is named and not run: half a second each."""
    beside = costs.limits()
    for group, make in costs.GROUPS.items():
        rows = make(faces, 100) or beside
        t = times(**{row.name: [0.5, 1.0] for row in [*beside, *rows] if row.make})
        yield from (((group, row.name), row.figures(t)) for row in rows)


def test_every_group_asks_for_tasks_that_it_has_and_gives_the_published_rows(faces):
    rows = dict(declared(faces))
    assert all(np.isfinite(row["value"]) for row in rows.values())
    assert {row["goal"] for row in rows.values()} == {"", "<= 1", "<= 3", ">= 65", "<= 0.3", "<= 2"}
    published = {(row.group, row.name.replace("7000", "100")) for row in costs.rows()}
    peak = f"share of the {costs.choose_precision()} peak"
    mine = {(group, name.replace(peak, "share of the bfloat16 peak")) for group, name in rows}
    assert len(mine) == len(rows) >= 25
    assert all("operations" in name for _, name in mine - published)


def test_the_parts_of_a_step_add_up(monkeypatch):
    monkeypatch.setattr(costs, "gflop", lambda part="backward": {"forward": 1, "backward": 3}[part])
    rows = costs.training(None, 0)
    t = times(**{name: [0.01] for name in costs.PARTS})
    t[costs.STEP] = np.array([0.06])
    t[f"matrix product, {costs.choose_precision()}, all threads"] = np.array([0.001])
    found = {row.name.strip(): row.figures(t) for row in rows}
    whole = found.pop(costs.STEP)
    parts = [part["value"] for part in found.values() if part["unit"] == "ms"]
    assert whole["value"] == pytest.approx(60) == sum(parts) and len(parts) == 6
    assert whole["limit"] == pytest.approx(3) and found["forward"]["limit"] == pytest.approx(1)
    assert found["backward"]["limit"] == pytest.approx(2)
    assert found["faces per second"]["limit"] == pytest.approx(32 / 0.003)


def test_the_command_measures_the_limits_and_a_group(tmp_path, monkeypatch, capsys):
    def group(name, goal=""):
        return lambda faces, many: [Row(name, "s", task(7049.0), goal=goal)]

    found = {costs.LIMITS: group("a"), "training": group("b", "<= 3"), "files": group("c")}
    monkeypatch.setattr(costs, "GROUPS", found)
    monkeypatch.setattr(costs, "limits", lambda: [Row("a", "s", task(1.0))])
    path = tmp_path / "costs.json"
    run_one("costs", ["--only", "train", "--rounds", "1", "--save", str(path)])
    assert [row.name for row in costs.rows(read(path))] == ["a", "b"]
    out = capsys.readouterr().out
    assert out.splitlines()[-1].split() == ["b", "7,049", "s", "7,049", "-", "7,049", "<=", "3"]


def test_the_published_results_are_whole():
    rows = costs.rows()
    assert {row.group for row in rows} >= set(costs.GROUPS)
    for row in rows:
        assert row.unit != "%" or 0 < row.value < 120
    assert all(row.low <= row.value <= row.high for row in rows if row.value == row.value)
