"""The figures of notebook 07 hold the data they were given; clicks become labels."""

import numpy as np
import pytest
from helpers import titles
from matplotlib.backend_bases import MouseEvent
from matplotlib.patches import Rectangle

from hglib.photo.crop import Box
from hglib.photo.detect import FoundFace, Votes
from hglib.plots import photo as figures

GREY = np.random.default_rng(0).integers(0, 256, (120, 160), np.uint8)
PAIR = np.array([[90.0, 50.0], [60.0, 52.0]])


def dots(ax):
    return {tuple(xy) for collection in ax.collections for xy in collection.get_offsets().tolist()}


def test_crops_show_found_and_true_points():
    images = [GREY[:96, :96], GREY[:50, :70]]
    found, true = np.stack([PAIR, PAIR - 20]), np.stack([PAIR + 1, PAIR - 19])
    fig = figures.crops(images, found, ["a", "b"], true)
    assert titles(fig) == ["a", "b"]
    for n, ax in enumerate(fig.axes):
        np.testing.assert_array_equal(ax.images[0].get_array(), images[n])
        assert dots(ax) == {tuple(p) for p in (*found[n].tolist(), *true[n].tolist())}
        assert ax.get_xlim() == (-0.5, images[n].shape[1] - 0.5)


def test_vote_levels_have_an_image_for_each_size():
    boxes = np.array([[0, 0, 96], [10, 0, 96], [0, 0, 48], [5, 5, 48], [9, 9, 48.0]])
    eyes = np.stack([PAIR + n for n in range(5)])
    fig = figures.vote_levels(GREY, Votes(eyes, np.array([1, 0.5, 0.1, 0.9, 0.2]), boxes))
    assert titles(fig) == ["2 windows of 96 px", "3 windows of 48 px"]
    first, second = fig.axes
    assert [line.get_xydata().tolist() for line in first.lines] == eyes[:2].tolist()
    assert [line.get_alpha() for line in first.lines] == [1, 0.25]
    assert [line.get_xydata().tolist() for line in second.lines] == eyes[3:].tolist()  # .1 is weak
    assert [box.get_width() for box in (*first.patches, *second.patches)] == [96, 48]
    assert first.images[0].get_array().max() <= 85  # dimmed


def test_agreement_shows_every_answer_near_its_place():
    boxes = np.array([[30.0, 20, 60]] * 4)
    votes = Votes(np.stack([PAIR + n for n in range(4)]), np.ones(4), boxes)
    fig = figures.agreement(GREY, {"a face": (votes, 0.8), "no face": (votes, 0.123)})
    assert titles(fig) == ["a face: support 0.80", "no face: support 0.12"]
    for ax in fig.axes:
        assert dots(ax) == {tuple(p) for p in votes.eyes.reshape(-1, 2).tolist()}
        assert np.mean(ax.get_xlim()) == 60 and np.mean(ax.get_ylim()) == 50
        assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_tremble_shows_distances_from_the_truth():
    x = np.random.default_rng(1).normal(50, 3, (12, 3))
    fig = figures.tremble({"slow": x, "fast": x + 1})
    assert titles(fig) == ["slow", "fast"]
    zero, raw, steady = fig.axes[0].lines
    assert set(zero.get_ydata()) == {0}
    np.testing.assert_array_equal(raw.get_ydata(), x[:, 1] - x[:, 0])
    np.testing.assert_array_equal(steady.get_ydata(), x[:, 2] - x[:, 0])
    assert [t.get_text() for t in fig.axes[-1].get_legend().texts] == ["as found", "steadied"]


def test_finds_frame_every_face():
    faces = [FoundFace(PAIR, Box(40, 20, 70), 0.77), FoundFace(PAIR - 30, Box(-5, -8, 60), 0.5)]
    fig = figures.finds(GREY, faces, np.stack([PAIR + 1]), "two")
    (ax,) = fig.axes
    frames = [p for p in ax.patches if isinstance(p, Rectangle)]
    assert [(p.get_x(), p.get_y(), p.get_width()) for p in frames] == [(40, 20, 70), (-5, -8, 60)]
    assert [text.get_text() for text in ax.texts] == ["0.77", "0.50"]
    expected = np.concatenate([PAIR, PAIR - 30, PAIR + 1]).tolist()
    assert dots(ax) == {tuple(p) for p in expected}


def test_before_after_says_both_errors():
    images = np.stack([GREY[:96, :96]] * 2)
    true = np.stack([PAIR, PAIR])
    far, near = true + np.array([3.0, 4.0]), true + np.array([0.6, 0.8])
    fig = figures.before_after(images, true, far, near)
    assert titles(fig) == ["5.0 px"] * 2 + ["1.0 px"] * 2
    assert [ax.get_ylabel() for ax in fig.axes] == ["before", "", "after", ""]


# ---- clicking -------------------------------------------------------------------------------


def click(clicker, x, y, button=1):
    """A mouse click at image pixel (x, y), as a figure's canvas reports it."""
    place = clicker.ax.transData.transform((x, y))
    event = MouseEvent("button_press_event", clicker.fig.canvas, *place, button)
    clicker.fig.canvas.callbacks.process("button_press_event", event)


def test_clicks_fill_the_eyes_in_order():
    clicker = figures.Clicker([GREY, GREY.T])
    assert "image 0: click the person's LEFT" in clicker.ax.get_title(loc="left")
    points = [(90.2, 50.4), (60.7, 52.1), (80.5, 40.0), (50.0, 41.5)]
    for point in points:
        assert not clicker.done
        click(clicker, *point)
    assert clicker.done and clicker.ax.get_title(loc="left") == "all done"
    np.testing.assert_allclose(clicker.eyes.reshape(-1, 2), points, atol=1e-6)
    click(clicker, 10, 10)  # one too many
    np.testing.assert_allclose(clicker.eyes[1, 1], points[-1], atol=1e-6)


def test_another_button_takes_the_last_point_back():
    clicker = figures.Clicker([GREY])
    click(clicker, 90, 50)
    click(clicker, 20, 20)
    click(clicker, 0, 0, button=3)
    assert np.isnan(clicker.eyes[0, 1]).all() and clicker.eyes[0, 0].tolist() == pytest.approx(
        [90, 50]
    )
    click(clicker, 60, 52)
    assert clicker.done and clicker.eyes[0, 1].tolist() == pytest.approx([60, 52])


def test_clicks_beside_the_image_and_too_many_undos_do_nothing():
    clicker = figures.Clicker([GREY])
    event = MouseEvent("button_press_event", clicker.fig.canvas, 1, 1, 1)  # the figure's margin
    clicker.on_click(event)
    click(clicker, 50, 50, button=3)
    assert clicker.clicks == 0 and np.isnan(clicker.eyes).all()
