"""Figures of notebook 04 hold the data they are given, under titles that say what to see."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers import titles

from hglib.plots import training as figures


def lines(ax) -> dict[str, tuple[list[float], list[float]]]:
    """The named lines of an Axes; those without a name (matplotlib's begin with _) left out."""
    named = [line for line in ax.get_lines() if not line.get_label().startswith("_")]
    return {line.get_label(): tuple(np.asarray(line.get_data()).tolist()) for line in named}


def levels(ax) -> list[float]:
    """The heights of the level lines."""
    flat = [line.get_ydata() for line in ax.get_lines() if list(line.get_xdata()) == [0, 1]]
    return [ys[0] for ys in flat]


def words(ax) -> list[str]:
    return [text.get_text().strip() for text in ax.texts]


PANELS = {
    "ordinary": {"squares": ([10, 20], [50.0, 40.0]), "entropy": ([10, 20], [3.0, 2.0])},
    "dark": {"entropy": ([10, 20], [2.5, 1.5])},
}


def test_race_has_a_panel_for_each_start_and_a_line_for_each_loss():
    fig = figures.race(PANELS, baseline=3.4)
    assert titles(fig) == ["ordinary", "dark"]
    for ax, curves in zip(fig.axes, PANELS.values(), strict=True):
        assert lines(ax) == {name: (list(x), list(y)) for name, (x, y) in curves.items()}
        assert levels(ax) == [3.4]
        assert ax.get_yscale() == "log"
    assert words(fig.axes[0]) == ["always the mean position"]


def test_a_loss_keeps_its_colour_and_marker_in_every_panel():
    fig = figures.race(PANELS, baseline=3.4)
    styles = [
        {(line.get_color(), line.get_marker()) for line in ax.get_lines() if "entropy" in str(line)}
        for ax in fig.axes
    ]
    assert styles[0] == styles[1] and len(styles[0]) == 1
    left = [(line.get_color(), line.get_marker()) for line in fig.axes[0].get_lines()[1:]]
    assert len({colour for colour, _ in left}) == len({marker for _, marker in left}) == 2


def test_one_legend_serves_all_panels():
    fig = figures.race(PANELS, baseline=3.4)
    (legend,) = fig.legends
    assert [text.get_text() for text in legend.get_texts()] == ["squares", "entropy"]


def test_overfit_lies_between_ceiling_and_floor():
    ax = figures.overfit([7.0, 4.0, 2.0], nothing=7.7, floor=1.9).axes[0]
    found = lines(ax)
    assert found["this batch"] == ([0, 1, 2], [7.0, 4.0, 2.0])
    assert levels(ax) == [7.7, 1.9]
    assert ax.get_ylim()[0] == 0  # a floor above 0 must look like one


def test_pulls_are_drawn_against_the_answers():
    forces = {"entropy": [1.0, 0.5], "squares": [0.002, 0.25]}
    ax = figures.pulls([0.001, 0.5], forces).axes[0]
    assert lines(ax) == {name: ([0.001, 0.5], values) for name, values in forces.items()}
    assert ax.get_xscale() == ax.get_yscale() == "log"


def test_plateau_shows_error_above_and_ratio_below():
    seeds = {
        "seed 0": {"images": [1000, 2000], "val_mean_px": [60.0, 4.0], "loss_ratio": [1.0, 0.2]},
        "seed 1": {"images": [1000, 2000], "val_mean_px": [50.0, 5.0], "loss_ratio": [0.9, 0.3]},
    }
    fig = figures.plateau(seeds, 3.4, {"all black": 1.0, "which?": 0.45})
    top, bottom = fig.axes
    assert lines(top)["seed 1"] == ([1.0, 2.0], [50.0, 5.0])  # thousands of images
    assert lines(bottom)["seed 0"] == ([1.0, 2.0], [1.0, 0.2])
    assert levels(top) == [3.4]
    assert levels(bottom) == [1.0, 0.45]
    assert words(bottom) == ["all black", "which?"]
    dashes = {line.get_linestyle() for line in top.get_lines() if line.get_label() in seeds}
    assert len(dashes) == 2


def test_first_steps_compares_runs():
    runs = {
        "2019": {"score": [0.0, -5.0, -9.0], "peak": [0.5, 0.1, 0.0]},
        "dark": {"score": [-3.0, -3.0, -3.0], "peak": [0.1, 0.2, 0.3]},
    }
    left, right = figures.first_steps(runs).axes
    assert lines(left)["2019"] == ([0, 1, 2], [0.0, -5.0, -9.0])
    assert lines(right)["dark"] == ([0, 1, 2], [0.1, 0.2, 0.3])
    assert right.get_ylim() == (0, 1)


def test_schedules_are_drawn_over_percent():
    ax = figures.schedules([0.0, 0.5, 1.0], {"ours": [0, 2, 1], "2019": [1, 1, 1]}).axes[0]
    assert lines(ax) == {"ours": ([0, 50, 100], [0, 2, 1]), "2019": ([0, 50, 100], [1, 1, 1])}


ROWS = [
    {"epoch": 0.5, "loss": 5.0},
    {"epoch": 1.0, "loss": 4.0, "val_mean_px": 2.0},
    {"epoch": 2.0, "loss": 3.0, "val_mean_px": 1.25},
]


def test_training_curve_draws_all_losses_and_the_measured_errors():
    left, right = figures.training_curve(ROWS, baseline=3.4).axes
    assert np.asarray(left.get_lines()[0].get_data()).tolist() == [[0.5, 1, 2], [5, 4, 3]]
    measured = [line for line in right.get_lines() if line.get_marker() == "o"]
    assert np.asarray(measured[0].get_data()).tolist() == [[1, 2], [2.0, 1.25]]
    assert right.get_title(loc="left").endswith("1.25 px")
    assert levels(right) == [3.4]


def test_training_curve_before_the_first_validation():
    _, right = figures.training_curve(ROWS[:1], baseline=3.4).axes
    assert [line.get_marker() for line in right.get_lines()] == ["None"]  # the baseline alone


def test_live_redraws_after_each_validation_and_clears_before(monkeypatch):
    IPython = pytest.importorskip("IPython")
    seen: list[str] = []
    monkeypatch.setattr(IPython.display, "clear_output", lambda wait: seen.append(f"clear {wait}"))
    monkeypatch.setattr(plt, "show", lambda: seen.append(f"{len(plt.get_fignums())} figure"))
    report = figures.live(baseline=3.4)
    for row in ROWS[:2]:
        report(row)
    assert seen == ["clear True", "1 figure"]
    losses = plt.gcf().axes[0].get_lines()[0].get_ydata()
    assert list(losses) == [5.0, 4.0]  # the row without a validation is drawn too


# ---- the maps becoming sharp ----------------------------------------------------------------


def moments(count: int) -> dict:
    """Maps with one bright cell that moves right, and the point found 3 px and 4 px off."""
    frames = {}
    for n in range(count):
        heat = np.full((6, 6), 0.01)
        heat[2, n] = 1.0
        frames[1000 * n] = (heat, np.array([7.0 + 3 * n, 5.0 + 4 * n]))
    return frames


def test_sharpening_shows_each_moment_with_its_error():
    fig = figures.sharpening(np.zeros((12, 12)), moments(5), np.array([7.0, 5.0]))
    assert titles(fig) == [f"{1000 * n:,} images: {5 * n:.1f} px off" for n in range(5)]
    brightest = [np.asarray(ax.images[-1].get_array()).argmax() for ax in fig.axes]
    assert brightest == [12 + n for n in range(5)]
    assert all(list(ax.images[-1].get_extent()) == [-0.5, 11.5, 11.5, -0.5] for ax in fig.axes)


def test_the_animation_has_a_frame_for_each_moment(tmp_path, monkeypatch):
    Image = pytest.importorskip("PIL.Image")
    (tmp_path / "figures").mkdir()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    before = plt.get_fignums()
    figures.save_animation(np.zeros((12, 12)), moments(3), np.array([7.0, 5.0]), "moves")
    with Image.open(tmp_path / "figures" / "moves.gif") as gif:
        assert gif.n_frames == 3 and gif.size[0] == 200
    assert plt.get_fignums() == before


def test_the_animation_is_not_written_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    figures.save_animation(np.zeros((12, 12)), moments(2), np.array([7.0, 5.0]), "moves")
    assert [path.name for path in tmp_path.rglob("*")] == ["elsewhere"]
