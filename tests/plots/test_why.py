"""Each figure of notebook 06 holds the data it was given, where it belongs."""

import numpy as np

from hglib.experiments.ablation.gains import Gain
from hglib.plots import why

FACES = np.random.default_rng(0).integers(1, 255, (3, 16, 16), dtype=np.uint8)
EYES = np.array([[[11.0, 6.0], [4.0, 7.0]]] * 3)


def shown(ax, layer=0):
    return np.asarray(ax.images[layer].get_array())


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_a_ladder_has_every_run_and_every_mean():
    rows = {"first": [10.0, 20.0], "second": [1.0, 3.0]}
    fig = why.ladder({"drawn": rows, "real": {k: [2 * e for e in v] for k, v in rows.items()}}, "t")
    drawn, real = fig.axes
    assert drawn.lines[0].get_xdata().tolist() == [15, 2]
    assert real.lines[0].get_xdata().tolist() == [30, 4]
    assert drawn.lines[0].get_ydata().tolist() == [0, 1] and drawn.yaxis_inverted()
    runs = [tuple(place) for marks in drawn.collections for place in marks.get_offsets()]
    assert runs == [(10, 0), (20, 0), (1, 1), (3, 1)]
    assert drawn.get_xscale() == "log" and ticks(drawn.yaxis) == ["first", "second"]


def test_savings_have_bars_of_two_standard_errors():
    fig = why.savings({"drawn": {"a": Gain(0.5, 0.1), "b": Gain(-0.2, 0.05)}}, "t")
    (bars,) = fig.axes[0].containers
    assert bars[0].get_xdata().tolist() == [0.5, -0.2]
    ends = [segment[:, 0] for segment in bars[2][0].get_segments()]
    np.testing.assert_allclose(ends, [(0.3, 0.7), (-0.3, -0.1)])


def test_a_saving_beyond_the_axis_is_an_arrow_with_its_number():
    fig = why.savings({"drawn": {"a": Gain(0.5, 0.1), "b": Gain(-40.2, 0.05)}}, "t", limit=1)
    (ax,) = fig.axes
    assert ax.containers[0][0].get_xdata().tolist() == [0.5]
    assert [text.get_text().strip() for text in ax.texts] == ["-40.2"]
    assert ax.collections[-1].get_offsets()[0].tolist() == [-1, 1]


def test_two_sets_of_faces_differ_in_marker_and_place():
    one = {"a": Gain(0.5, 0.1)}
    (ax,) = why.savings({"drawn": one, "real": one}, "t").axes
    first, second = (bars[0] for bars in ax.containers)
    assert first.get_marker() != second.get_marker()
    assert first.get_ydata()[0] < 0 < second.get_ydata()[0]


def test_agreement_names_the_rows_asked_for():
    x, y = {"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 2.0, "b": 1.0, "c": 9.0}
    (ax,) = why.agreement(x, y, ["b"]).axes
    assert [tuple(marks.get_offsets()[0]) for marks in ax.collections] == [(1, 2), (2, 1), (3, 9)]
    assert [text.get_text() for text in ax.texts] == ["b"] and ax.texts[0].xy == (2, 1)


def test_hidden_draws_each_network_and_the_blind_guess():
    (ax,) = why.hidden([0, 21, 35], {"long": [1, 2, 3], "short": [1, 9, 30]}, guess=4, eye=21).axes
    assert ax.lines[0].get_ydata().tolist() == [1, 2, 3]
    assert ax.lines[1].get_ydata().tolist() == [1, 9, 30]
    assert set(ax.lines[2].get_ydata()) == {4}
    assert ax.lines[0].get_marker() != ax.lines[1].get_marker()


def test_answers_are_a_table_of_faces_with_crosses_on_what_was_found():
    found = {"one": EYES + 1, "two": EYES - 1}
    fig = why.answers({"one": FACES, "two": FACES[::-1]}, EYES, found)
    assert len(fig.axes) == 6
    np.testing.assert_array_equal(shown(fig.axes[0]), FACES[0])
    np.testing.assert_array_equal(shown(fig.axes[3]), FACES[2])
    places = [tuple(marks.get_offsets()[0]) for marks in fig.axes[0].collections]
    assert (12, 7) in places and (11, 6) in places and (10, 5) not in places
    assert [fig.axes[i].get_ylabel() for i in (0, 3)] == ["one", "two"]


def test_fields_show_the_root_of_the_gradient_and_the_outline():
    gradient, could = np.zeros((9, 9)), np.zeros((9, 9), bool)
    gradient[4, 4], could[2:7, 2:7] = 16, True
    fig = why.fields({"net": (gradient, could)}, {"net": 3.0})
    (ax,) = fig.axes
    assert shown(ax).max() == 4
    outline = ax.collections[0].get_paths()[0].vertices
    assert outline.min() == 1.5 and outline.max() == 6.5
    (circle,) = ax.patches
    assert circle.center == (4, 4) and circle.radius == 3 and "3 px" in ax.get_xlabel()


def test_attention_puts_each_map_under_its_face():
    weights = {"bare": np.full((3, 16, 16), 4.0), "covered": np.full((3, 16, 16), 9.0)}
    weights["covered"][0, 0, 0] = 0
    fig = why.attention({"bare": FACES, "covered": FACES // 2}, weights, EYES[:, 0])
    assert len(fig.axes) == 12
    np.testing.assert_array_equal(shown(fig.axes[0]), FACES[0])
    np.testing.assert_array_equal(shown(fig.axes[6]), FACES[0] // 2)
    assert shown(fig.axes[3]).max() == 2 and shown(fig.axes[9]).max() == 3
    assert fig.axes[9].collections[0].get_offsets()[0].tolist() == [11, 6]


def test_levels_are_laid_out_at_the_size_of_the_face():
    maps = {"as it is": [np.eye(2), np.eye(8) / 2], "covered": [np.ones((2, 2)), np.eye(8)]}
    fig = why.levels({"as it is": FACES[0], "covered": FACES[1]}, maps, [8, 2], EYES[0, 0])
    assert len(fig.axes) == 6
    np.testing.assert_array_equal(shown(fig.axes[1]), np.eye(2))
    assert fig.axes[2].images[0].get_extent() == [-0.5, 15.5, 15.5, -0.5]
    assert [ax.get_title(loc="left") for ax in fig.axes[1:3]] == ["stride 8", "stride 2"]
    assert fig.axes[2].get_xlabel() == "peak 0.50" and fig.axes[5].get_xlabel() == "peak 1.00"
