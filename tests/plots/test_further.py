"""Each figure holds the data it was given, where it belongs."""

import numpy as np

from hglib.plots import further

NAMES = ("left_eye_center", "nose_tip", "mouth_left_corner")


def labels(axis):
    return [tick.get_text() for tick in axis.get_ticklabels()]


def test_labelled_has_a_bar_for_each_landmark():
    present = np.array([[True, True, False], [True, False, False]])
    (ax,) = further.labelled(NAMES, present).axes
    assert [bar.get_width() for bar in ax.patches] == [1, 0.5, 0]
    assert labels(ax.yaxis) == ["left eye center", "nose tip", "mouth left corner"]
    assert ax.yaxis_inverted()  # the first landmark on top


def test_ways_to_fill_shows_the_points_and_the_map_of_each_way():
    image = np.random.default_rng(0).integers(0, 255, (96, 96), dtype=np.uint8)
    true = np.array([[65.0, 37.0], [np.nan, np.nan], [40.0, 70.0]])
    found = {"a": np.full((3, 2), 5.0), "b": np.full((3, 2), 50.0)}
    maps = {"a": np.eye(48) * 4, "b": np.eye(48) * 9}
    fig = further.ways_to_fill(image, true, found, maps, "nose_tip")
    above, below = fig.axes[:2], fig.axes[2:]
    assert [ax.get_title(loc="left") for ax in above] == ["a", "b"]
    for ax, name in zip(above, found, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image)
        ends = [line.get_xydata() for line in ax.lines]  # from the label to the point found
        np.testing.assert_array_equal([e[0] for e in ends], true)
        np.testing.assert_array_equal([e[1] for e in ends], found[name])
    for ax, height in zip(below, (2, 3), strict=True):
        assert ax.images[0].get_array().max() == height  # the square root
        assert tuple(ax.images[0].get_extent()) == (-0.5, 95.5, 95.5, -0.5)
        assert "nose tip" in ax.get_title(loc="left")


def test_by_landmark_has_a_line_of_marks_for_each_way():
    errors = {"masked": [1.0, 2.0, 3.0], "zeros": [2.0, 20.0, 30.0]}
    (ax,) = further.by_landmark(NAMES, errors, "a title").axes
    assert [line.get_xdata().tolist() for line in ax.lines] == list(errors.values())
    assert len({line.get_marker() for line in ax.lines}) == 2
    assert ax.get_xscale() == "log" and labels(ax.xaxis) == ["1", "2", "5", "10", "20"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(errors)


def test_trade_off_has_cost_on_the_left_and_floors_on_the_right():
    networks = [("a", 2, 75.0), ("b", 1, 300.0)]
    floors = {1: (0.38, 0.02), 2: (0.77, 0.04), 4: (1.5, 0.1)}
    fig = further.trade_off(networks, floors)
    left, right = fig.axes
    found = [(line.get_xdata()[0], line.get_ydata()[0]) for line in left.lines]
    assert found == [(2, 75.0), (1, 300.0)] and left.get_yscale() == "log"
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["a", "b"]
    argmax, soft = (list(line.get_ydata()) for line in right.lines)
    assert argmax == [0.38, 0.77, 1.5] and soft == [0.02, 0.04, 0.1]


def test_ratios_have_a_panel_for_each_group_and_say_what_does_not_run():
    rows = [
        {"group": "training", "name": "plain", "ratio": 1.0},
        {"group": "training", "name": "trick", "ratio": 1.8},
        {"group": "finding", "name": "plain", "ratio": 1.0},
        {"group": "finding", "name": "compile", "ratio": None},
        {"group": "finding", "name": "worse", "ratio": 0.5},
    ]
    first, second = further.ratios(rows, "a title").axes
    assert [bar.get_width() for bar in first.patches] == [1.0, 1.8]
    assert first.get_title(loc="left") == "training"
    assert [text.get_text() for text in second.texts] == ["1.00", "does not run here", "0.50"]
    plain, _, worse = (bar.get_facecolor() for bar in second.patches)
    faster = first.patches[1].get_facecolor()
    assert len({plain, worse, faster}) == 3


def test_one_group_alone_is_drawn_too():
    (ax,) = further.ratios([{"group": "g", "name": "plain", "ratio": 1.0}], "a title").axes
    assert labels(ax.yaxis) == ["plain"]
