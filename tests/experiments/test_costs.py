"""What things cost is counted and divided rightly; nothing here asserts how fast anything is."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hglib.datasets.kaggle import LABELS_FILE
from hglib.experiments import cost_tasks, costs, detectors
from hglib.experiments.costs import NAN, Cost, Group, Quantity, Seconds
from hglib.experiments.pretrain import drawn
from hglib.experiments.speed import Unavailable


@pytest.fixture(scope="module")
def faces():
    torch.set_num_threads(1)
    return drawn(40)


# ---- counting and timing ------------------------------------------------------------------------


def test_the_operations_of_a_convolution_are_those_of_the_formula():
    layer, x = torch.nn.Conv2d(3, 5, 3, padding=1, bias=False), torch.zeros(2, 3, 8, 10)
    one_way = 2 * 2 * (8 * 10) * 5 * (3 * 3 * 3)  # 2 x pictures x cells x channels x kernel
    assert cost_tasks.operations(lambda: layer(x)) == one_way
    # Backward: one such product for the kernel's gradient; none for the picture, which needs none.
    assert cost_tasks.operations(lambda: layer(x).sum().backward()) == 2 * one_way


def test_the_operations_of_a_step_are_counted_per_face(faces):
    """Three times forward, less the first layer's gradient for the picture."""
    parts = cost_tasks.Parts(faces)
    forward, work = parts.operations("forward"), parts.operations()
    stem = 2 * (48 * 48) * 16 * (4 * 4) / 1e9
    assert work == pytest.approx(3 * forward - stem)
    assert cost_tasks.finding_operations() == pytest.approx(forward)


def test_the_parts_make_the_step_of_fit(faces):
    """Batch, forward and loss one by one give the gradients that `step` descends along."""
    whole, parts = cost_tasks.Parts(faces), cost_tasks.Parts(faces)
    whole.step()
    parts.backward()
    models = (each.trainer.model.parameters() for each in (whole, parts))
    for one, other in zip(*models, strict=True):
        assert torch.equal(one.grad, other.grad)


def test_preparing_is_not_timed(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(cost_tasks.time, "perf_counter", lambda: clock.now)

    def takes(seconds):
        clock.now += seconds
        return "ready"

    seen = []
    task = cost_tasks.after(lambda: takes(10), lambda ready: (seen.append(ready), takes(3)))
    assert task() == 3 and seen == ["ready", "ready"]


def test_a_product_is_timed_per_billion_operations_and_the_fastest_counts(monkeypatch):
    def timed(run, setting, device, times):
        (a, _) = run.args
        return lambda: {256: 1.0, 512: 2.0, 1024: 64.0}[len(a)]

    monkeypatch.setattr(cost_tasks, "timed", timed)
    task = cost_tasks.product(torch.float32, cost_tasks.ONE)()
    assert task() == pytest.approx(2.0 / (2 * 512**3 / 1e9))  # 8 times the work, twice the time


def test_the_loop_draws_the_maps_of_the_library(faces):
    looped = cost_tasks.looped_maps(faces.points[0])
    ours = cost_tasks.render(torch.from_numpy(faces.points[:1]), alpha=0.1)[0]
    np.testing.assert_allclose(looped, ours.numpy(), atol=1e-5)


def test_all_faces_are_rendered_in_blocks(faces, monkeypatch):
    shapes = []
    monkeypatch.setattr(cost_tasks, "render", lambda points, **_: shapes.append(points.shape))
    points = cost_tasks.many_points(faces)
    cost_tasks.render_all(points, "gaussian")
    assert sum(shape[0] for shape in shapes) == cost_tasks.FACES and max(shapes)[0] == 64
    np.testing.assert_array_equal(points[40:80], faces.points)


def test_training_csv_holds_the_same_faces(tmp_path, monkeypatch):
    monkeypatch.setenv("HGLIB_CACHE", str(tmp_path / "cache"))
    folder = cost_tasks.locate("synthetic", 12)
    assert (folder / LABELS_FILE).is_file()
    faces = cost_tasks.load(folder, landmarks="all", verbose=False)
    again = cost_tasks.load(cost_tasks.write_training_csv(tmp_path, faces), "all", verbose=False)
    np.testing.assert_array_equal(again.images, faces.images)
    np.testing.assert_array_equal(again.points, faces.points)


def test_a_process_of_its_own_says_one_number_or_why_not():
    assert cost_tasks.child("print(2.5)") == 2.5
    with pytest.raises(RuntimeError, match="ZeroDivisionError: division by zero"):
        cost_tasks.child("1 / 0")


def test_peak_memory_sees_what_was_held_and_not_what_the_parent_held():
    code = "import numpy; from hglib.memory import peak_memory; {}; print(peak_memory())"
    held = np.ones(50_000_000)  # 400 MB here, in the parent
    small = cost_tasks.child(code.format("pass"))
    large = cost_tasks.child(code.format("numpy.ones(25_000_000)"))  # freed at once
    assert small < 250e6 and large - small > 150e6 and len(held)


# ---- the arithmetic of the table ----------------------------------------------------------------


def test_a_share_is_taken_within_the_rounds():
    """A machine that halves its speed in the middle changes times, but not shares."""
    seconds = Seconds({"step": np.array([0.1, 0.2]), "peak": np.array([0.01, 0.02])}, {})
    share = Quantity("share", "%", costs.share("step", 5, "peak"), goal=">= 65")
    cost = share.cost("g", seconds)
    assert (cost.value, cost.low, cost.high) == (50, 50, 50) and cost.met is False
    rate = Quantity("rate", "faces/s", costs.per_second("step", 32), costs.per_second("peak", 32))
    assert rate.cost("g", seconds) == Cost("g", "rate", 240, "faces/s", 200, 280, 2400)


@pytest.mark.parametrize(
    ("value", "goal", "met"),
    [
        (1, "<= 1", True),
        (1.1, "<= 1", False),
        (65, ">= 65", True),
        (64, ">= 65", False),
        (NAN, "<= 1", None),
        (1, "", None),
    ],
)
def test_goals(value, goal, met):
    assert Cost("g", "n", value, "s", goal=goal).met is met


def tasks_of(**seconds):
    return {name: lambda value=value: lambda: value for name, value in seconds.items()}


def test_a_task_that_cannot_run_loses_its_own_row_only():
    def broken():
        raise OSError("no room\nleft on the device")

    makers = {**tasks_of(a=0.5), "b": broken}
    rows = [Quantity(n, "s", costs.scaled(n, 2)) for n in makers]
    both = Quantity("both", "s", lambda t: t["a"] + t["b"], goal="<= 1")
    first, second, third = costs.measure({"g": Group(makers, [*rows, both])}, rounds=2)
    assert first.value == 1.0
    for cost in (second, third):
        assert np.isnan(cost.value) and cost.note == "did not run here: OSError: left on the device"
    assert third.goal == "<= 1" and third.met is None


def test_a_group_that_cannot_be_made_loses_its_own_rows_only():
    def broken():
        raise ImportError("no such thing")

    limits = Group(tasks_of(a=1.0), [Quantity("a", "s", costs.scaled("a", 1))])
    makers = {"limits": lambda: limits, "bad": broken, "other": broken}
    made, failed = costs.make_groups(makers, only="bad")
    assert list(made) == ["limits"]  # always measured; "other" was not asked for
    assert [(cost.group, cost.note[-13:]) for cost in failed] == [("bad", "no such thing")]


def test_groups_are_timed_in_turns_and_slow_ones_less_often():
    calls = []

    def maker(name):
        return lambda: lambda: calls.append(name) or 1.0

    often = [Group({n: maker(n)}, [Quantity(n, "s", costs.scaled(n, 1))]) for n in "ab"]
    seldom = Group({"c": maker("c")}, [Quantity("c", "s", costs.scaled("c", 1))], rounds=1)
    rows = costs.measure({"x": often[0], "slow": seldom, "y": often[1]}, rounds=3)
    assert "".join(calls) == "abbaabba" + "cc"  # one round more each, not counted
    assert [row.name for row in rows] == ["a", "c", "b"]


def test_every_group_can_be_made_and_asks_for_tasks_that_it_has(faces, monkeypatch):
    monkeypatch.setattr(costs, "drawn", lambda count, seed: faces)
    monkeypatch.setattr(costs, "FINDERS", {"hglib": detectors.ours})
    made, failed = costs.make_groups(costs.groups(faces), "")
    assert not failed and len(made) == 9
    names = [name for group in made.values() for name in group.tasks]
    assert len(names) == len(set(names))  # one table of seconds for all of them
    seconds = Seconds({name: np.array([0.5, 1.0]) for name in names}, {})
    rows = [one.cost(name, seconds) for name, group in made.items() for one in group.quantities]
    assert all(
        np.isfinite(row.value) and row.unit for row in rows if "times as fast" not in row.name
    )
    assert {row.goal for row in rows} == {"", "<= 1", "<= 3", ">= 65", "<= 0.3", "<= 2"}
    assert len({(row.group, row.name) for row in rows}) == len(rows) > 35


def test_the_parts_of_a_step_add_up():
    names = ("batch", "forward", "loss", "backward", "update")
    seconds = {name: np.array([0.01]) for name in names} | {"step": np.array([0.06])}
    rows = costs.step_parts(forward=1.0, both=3.0, peak="p")
    measured = Seconds({**seconds, "p": np.array([0.001])}, {})
    whole, *parts = [row.cost("g", measured) for row in rows]
    assert whole.value == pytest.approx(60) == sum(part.value for part in parts)
    limits = {part.name.strip(): part.limit for part in (whole, *parts)}
    assert limits["a step of 32 faces"] == pytest.approx(3)
    assert limits["forward"] == pytest.approx(1) and limits["backward"] == pytest.approx(2)


# ---- printing, saving, the command --------------------------------------------------------------


def test_the_table_is_aligned_and_says_what_was_missed(capsys):
    rows = [
        Cost("g", "quick", 0.5, "s", 0.4, 0.6, 0.1, "<= 1", "why"),
        Cost("g", "slow", 7049, "ms", 7000, 8000, goal="<= 3"),
        Cost("h", "gone", NAN, "ms", note="not installed"),
    ]
    costs.print_costs(rows)
    head, quick, slow, _, gone = capsys.readouterr().out.splitlines()
    ends = [head.index("value") + 5, quick.index("0.5 ") + 3, slow.index("7,049") + 5]
    assert len(set(ends)) == 1
    assert "0.4 - 0.6" in quick and " met " in quick and quick.endswith("why")
    assert slow.endswith("missed") and gone.endswith("not installed")


def test_what_is_saved_is_read_again(tmp_path):
    rows = [Cost("g", "a", 1.5, "s", 1, 2, goal="<= 2"), Cost("g", "b", NAN, "s", note="no")]
    path = tmp_path / "new" / "costs.json"
    costs.save(path, rows, costs.CPU, 3, "python -m hglib.experiments.costs")
    kept = json.loads(path.read_text())
    assert kept["command"] == "python -m hglib.experiments.costs" and kept["rounds"] == 3
    assert kept["rows"][1]["value"] is None and kept["rows"][0]["limit"] is None
    assert [repr(row) for row in costs.read(path)] == [repr(row) for row in rows]


def test_the_command_measures_and_saves(tmp_path, monkeypatch, capsys):
    def group(name):
        return lambda: Group(tasks_of(**{name: 2.0}), [Quantity(name, "s", costs.scaled(name, 1))])

    names = {"limits": group("a"), "training": group("b"), "files": group("c")}
    monkeypatch.setattr(costs, "groups", lambda faces: names)
    monkeypatch.setattr(costs, "drawn", lambda count: None)
    path = tmp_path / "costs.json"
    assert costs.main(["--only", "train", "--rounds", "1", "--save", str(path)]) == 0
    assert [row.name for row in costs.read(path)] == ["a", "b"]
    assert "training" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="--rounds 0: expected 1 or more"):
        costs.main(["--rounds", "0"])


def test_the_results_that_come_with_the_library_are_whole():
    rows = {(row.group, row.name): row for row in costs.read()}
    assert {group for group, _ in rows} == set(costs.groups(None))
    for row in rows.values():
        assert row.unit != "%" or 0 < row.value < 120
    assert all(row.low <= row.value <= row.high for row in rows.values() if row.value == row.value)


# ---- other finders ------------------------------------------------------------------------------


def test_our_finder_is_among_them(faces):
    off = detectors.errors(detectors.ours(), faces.images[:5], faces.points[:5])
    assert off.shape == (5,) and off.max() < 5


def test_one_eye_alone_is_nothing():
    assert np.isnan(detectors.boxes_to_eyes([(60, 30, 9, 9), (70, 30, 5, 5)], 96)).all()
    assert np.isnan(detectors.boxes_to_eyes((), 96)).all()


def test_the_error_is_the_mean_distance_of_both_eyes():
    points = np.array([[[60.0, 40.0], [30.0, 40.0]]] * 2)
    answers = iter([points[0] + [[3.0, 4.0], [0.0, 1.0]], detectors.NOTHING])
    off = detectors.errors(lambda face: next(answers), np.zeros((2, 96, 96)), points)
    assert off[0] == 3 and np.isnan(off[1])


def test_a_finder_that_is_not_there_says_so(monkeypatch):
    monkeypatch.setattr(detectors, "find_spec", lambda name: None)
    for name, make in detectors.FINDERS.items():
        if name != "hglib":
            with pytest.raises(Unavailable, match="not installed"):
                make()
    monkeypatch.undo()
    monkeypatch.setattr(detectors, "installed", lambda name: SimpleNamespace(__version__="5.0"))
    with pytest.raises(Unavailable, match=r"OpenCV 5\.0 has no cascades"):
        detectors.haar()
    with pytest.raises(Unavailable, match="no `solutions`"):
        detectors.mediapipe()
    with pytest.raises(Unavailable, match="set HGLIB_DLIB to"):
        detectors.dlib()


def test_the_iris_of_mediapipe_is_counted_from_the_pictures_edge(monkeypatch):
    """It says shares of the side: the middle of a picture of 96 pixels is 47.5."""
    marks = {468: SimpleNamespace(x=0.25, y=0.5), 473: SimpleNamespace(x=0.75, y=0.5)}
    answer = SimpleNamespace(multi_face_landmarks=[SimpleNamespace(landmark=marks)])
    mesh = SimpleNamespace(process=lambda picture: answer)
    solutions = SimpleNamespace(face_mesh=SimpleNamespace(FaceMesh=lambda **options: mesh))
    monkeypatch.setattr(detectors, "installed", lambda name: SimpleNamespace(solutions=solutions))
    found = detectors.mediapipe()(np.zeros((96, 96), np.uint8))
    assert found.tolist() == [[71.5, 47.5], [23.5, 47.5]]


def test_a_row_with_its_error_only_where_the_finder_runs(faces):
    def absent():
        raise Unavailable("not installed")

    assert costs.accuracy("x", absent, faces) == []
    (row,) = costs.accuracy("x", lambda: lambda face: faces.points[0], faces[:1])
    cost = row.cost("g", Seconds({}, {}))
    assert cost.value == 0 and "1 of 1" in cost.note


# ---- the README's table -------------------------------------------------------------------------


def test_the_readme_shows_value_limit_and_goal_of_what_was_measured(tmp_path):
    import course

    rows = [
        Cost("limits of the hardware", "memory", 9.87, "GB/s"),
        Cost("training", "faces per second", 409.6, "faces/s", limit=800.2),
        Cost("training", "share of the bfloat16 peak", 51.24, "%", goal=">= 65"),
        Cost("files", "load 7049 rows, npz and csv", NAN, "s", note="no room"),
    ]
    path = tmp_path / "costs.json"
    costs.save(path, rows, costs.CPU, 3, "python -m hglib.experiments.costs")
    lines = course.readme_costs(path).splitlines()
    assert lines[2] == "| training, everything included | 410 faces/s | 800 faces/s |  |"
    assert lines[3].endswith("| 51.2 % |  | >= 65 % |")
    assert len(lines) == 6 and "3 rounds" in lines[5] and lines[5].endswith("memory 9.87 GB/s.")


def test_the_readme_names_rows_that_there_are():
    import course

    names = [(row.group, row.name) for row in costs.read()]
    for group, start, _ in course.COSTS:
        assert sum(g == group and name.startswith(start) for g, name in names) == 1, start
