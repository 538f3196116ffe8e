"""The figures of notebook 05 hold the data they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib import colors
from matplotlib.patches import Circle, Rectangle

from hglib.plots import evaluation as figures

NAN = np.nan
EYES = np.array([[66.0, 37.0], [30.0, 37.0]])  # 36 px apart


def names(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def legend(where):
    return [text.get_text() for text in where.get_legend().get_texts()]


def offsets(ax):
    return {tuple(p) for dots in ax.collections for p in np.asarray(dots.get_offsets()).tolist()}


def test_ladder_has_the_smallest_on_top_and_ours_set_apart():
    (ax,) = figures.ladder({"ours": 1.07, "floor": 0.72, "guess": 4.5}, ours="ours").axes
    assert names(ax) == ["guess", "ours", "floor"]  # from the bottom up
    assert [line.get_xdata()[0] for line in ax.lines] == [4.5, 1.07, 0.72]
    assert [text.get_text() for text in ax.texts] == ["4.50", "1.07", "0.72"]
    markers = [line.get_marker() for line in ax.lines]
    assert markers[1] != markers[0] == markers[2]
    assert "px" in ax.get_xlabel()


def test_rings_are_to_scale_on_both_eyes():
    image = np.full((96, 96), 90, np.uint8)
    fig = figures.rings(image, EYES, (0.05, 0.25))
    whole, near = fig.axes

    def circles(ax):
        return {(c.center, c.radius) for c in ax.patches if isinstance(c, Circle)}

    assert circles(whole) == {((66, 37), 9), ((30, 37), 9)}  # small ones would not be seen here
    assert circles(near) == {((66, 37), 1.8), ((66, 37), 9)}
    words = [text.get_text() for text in fig.legends[0].get_texts()]
    assert words == ["0.05: 1.8 px", "0.25: 9.0 px"]
    (frame,) = (patch for patch in whole.patches if isinstance(patch, Rectangle))
    assert (frame.get_bbox().x0, frame.get_bbox().x1) == near.get_xlim()
    assert "36 px" in whole.get_title(loc="left")
    left, right = near.get_xlim()
    assert left < 66 - 9 and right > 66 + 9
    assert near.get_ylim()[0] > near.get_ylim()[1]  # y grows downwards


def test_worst_eye_curves_count_faces_and_mark_the_thresholds():
    errors = {"ours": [0.02, 0.04, NAN, 0.3], "theirs": [0.1, np.inf]}
    (ax,) = figures.worst_eye_curves(errors, (0.05, 0.1)).axes
    ours, theirs, *marks = ax.lines
    assert dict(zip(*ours.get_data(), strict=True))[0.04] == pytest.approx(2 / 3)
    assert dict(zip(*theirs.get_data(), strict=True))[0.25] == 0.5
    assert ours.get_linestyle() != theirs.get_linestyle()
    assert [line.get_xdata()[0] for line in marks] == [0.05, 0.1]
    assert [text.get_text() for text in ax.texts] == ["0.05", "0.1"]
    assert legend(ax) == ["ours", "theirs"]


def test_intervals_draw_value_and_ends():
    rows = {"a": (1.0, 0.5, 2.0), "b": (0.2, -0.1, 0.4)}
    (ax,) = figures.intervals(rows, "px", "t", zero=True).axes
    segments = [bar.get_segments()[0] for bar in ax.collections]
    assert [s[:, 0].tolist() for s in segments] == [[0.5, 2.0], [-0.1, 0.4]]
    assert [line.get_xdata()[0] for line in ax.lines] == [1.0, 0.2, 0]
    assert names(ax) == ["a", "b"]
    assert len(figures.intervals(rows, "px", "t").axes[0].lines) == 2  # no line at 0


def test_small_tests_put_shares_into_the_middle_of_bars():
    draws = {"4 faces": [0.25, 0.5, 0.5, 1.0], "all": [0.5, 0.75]}
    (ax,) = figures.small_tests(draws, "share", "t", step=0.25).axes
    four, every = ax.containers
    middles = [round(bar.get_x() + bar.get_width() / 2, 6) for bar in four]
    assert middles == [0.25, 0.5, 0.75, 1.0]
    assert [bar.get_height() for bar in four] == [0.25, 0.5, 0, 0.25]
    assert [bar.get_height() for bar in every] == [0, 0.5, 0.5, 0]
    assert legend(ax) == ["4 faces", "all"]


def test_risk_curves_draw_what_they_are_given():
    curves = {"a": ([0.5, 1.0], [0.2, 0.4]), "b": ([1.0], [0.4])}
    (ax,) = figures.risk_curves(curves).axes
    assert np.array_equal(ax.lines[0].get_data(), [[0.5, 1.0], [0.2, 0.4]])
    assert ax.lines[0].get_linestyle() != ax.lines[1].get_linestyle()
    assert legend(ax) == ["a", "b"]
    assert "px" in ax.get_ylabel()


def test_robustness_has_a_panel_per_change_and_one_legend():
    lines = {"failed": [0.0, 0.3], "confidence": [1.0, 0.9]}
    fig = figures.robustness({"blur, sd (px)": ([0, 2], lines), "noise, sd": ([0, 1], lines)})
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["blur", "noise"]
    assert [ax.get_xlabel() for ax in fig.axes] == ["sd (px)", "sd"]
    for ax in fig.axes:
        assert [line.get_ydata().tolist() for line in ax.lines] == list(lines.values())
        assert ax.lines[0].get_marker() != ax.lines[1].get_marker()
    assert fig.axes[0].lines[0].get_xdata().tolist() == [0, 2]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["failed", "confidence"]


def test_failures_show_label_answer_and_title_and_leave_no_empty_panel():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 96, 96)).astype(np.uint8)
    true, found = rng.uniform(20, 70, (2, 5, 2, 2))
    true[3, 0] = NAN
    fig = figures.failures(images, true, found, list("abcde"))
    assert len(fig.axes) == 5
    for k, ax in enumerate(fig.axes):
        assert np.array_equal(ax.images[0].get_array(), images[k])
        assert ax.get_title(loc="left") == "abcde"[k]
        expected = {tuple(p) for p in [*true[k].tolist(), *found[k].tolist()] if p[0] == p[0]}
        assert offsets(ax) == expected


def test_three_answers_are_in_three_panels():
    image = np.zeros((96, 96), np.uint8)
    fig = figures.three_answers(image, EYES[::-1], EYES + 1, EYES + 2)
    found = [offsets(ax) for ax in fig.axes]
    assert found == [{tuple(p) for p in points} for points in (EYES, EYES + 1, EYES + 2)]
    assert [ax.get_title(loc="left") for ax in fig.axes] == [
        "The label",
        "The truth",
        "The network",
    ]
    # the colour of eye 0 is where the label puts eye 0, though that is wrong
    last = fig.axes[0].collections
    colours = {
        tuple(dots.get_offsets()[0]): colors.to_hex(dots.get_edgecolor()[0]).upper()
        for dots in last
    }
    assert colours[(30.0, 37.0)] == figures.EYES[0]


def test_show_change_draws_on_the_given_axes():
    _, ax = plt.subplots()
    figures.show_change(ax, np.full((8, 8), 0.5), EYES, EYES + 3)
    assert ax.images[0].get_clim() == (0, 1)  # not stretched: a grey face stays grey
    assert offsets(ax) == {tuple(p) for p in [*EYES, *(EYES + 3)]}
