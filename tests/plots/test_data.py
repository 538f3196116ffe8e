"""The figures of notebook 01 hold the data they are given."""

import numpy as np
import pytest

from hglib.plots import data as figures

NAN = np.nan


def bars(ax):
    """Heights of the patches of a histogram, in order."""
    return np.array([patch.get_height() for patch in ax.patches])


def images(count=7):
    return np.random.default_rng(0).integers(0, 256, (count, 96, 96)).astype(np.uint8)


def eyes(count=7):
    return np.random.default_rng(1).uniform(20, 70, (count, 2, 2))


def test_gallery_shows_each_image_with_its_labels():
    points = eyes()
    points[2, 1] = NAN
    fig = figures.gallery(images(), points, ["a", "b"], columns=4)
    assert len(fig.axes) == 7
    for ax, image in zip(fig.axes, images(), strict=True):
        assert np.array_equal(ax.images[0].get_array(), image)
        assert ax.get_xlim() == (-0.5, 95.5)
        assert ax.get_ylim() == (95.5, -0.5)
    drawn = [ax.collections[-1].get_offsets()[0] for ax in fig.axes]
    assert np.allclose(drawn[0], points[0, 1])
    assert np.allclose(drawn[2], points[2, 0])  # the missing eye is not drawn
    assert [ax.get_title(loc="left") for ax in fig.axes[:3]] == ["a", "b", ""]


def test_gallery_without_labels():
    fig = figures.gallery(images(2))
    assert [len(ax.collections) for ax in fig.axes] == [0, 0]


def test_missing_shows_mask_and_shares():
    present = np.array([[True, False], [True, True], [True, False], [False, False]])
    fig = figures.missing(present, ["nose_tip", "chin"])
    left, right = fig.axes
    assert np.array_equal(left.images[0].get_array(), present)
    assert [patch.get_width() for patch in right.patches] == [75, 25]
    assert [label.get_text() for label in right.get_yticklabels()] == ["nose tip", "chin"]


def test_eye_positions_shows_points_and_the_mean_face():
    points = eyes()
    fig = figures.eye_positions(points, images())
    left, right = fig.axes
    for eye in range(2):
        assert np.allclose(left.collections[eye].get_offsets(), points[:, eye])
    assert np.allclose(right.images[0].get_array(), images().mean(axis=0))
    assert np.allclose(right.collections[-1].get_offsets()[0], points[:, 1].mean(axis=0))
    assert left.get_ylim()[0] > left.get_ylim()[1]  # y grows downwards, as in the image


def test_two_histograms_count_every_finite_number():
    distance, error = np.array([30.0, 36, NAN, 40]), np.array([[1.0, 2], [3, NAN]])
    fig = figures.two_histograms(distance, error)
    assert [bars(ax).sum() for ax in fig.axes] == [3, 3]
    means = [ax.lines[0].get_xdata()[0] for ax in fig.axes]
    assert np.allclose(means, [106 / 3, 2])


def test_mirror_test_mirrors_the_right_eye():
    left, right = np.arange(425.0).reshape(17, 25), np.random.default_rng(0).random((17, 25))
    shifts = np.arange(-2, 3)
    match = np.array([0.1, 0.2, 0.3, 0.9, 0.5])
    fig = figures.mirror_test(left, right, shifts, match)
    assert np.array_equal(fig.axes[0].images[0].get_array(), left)
    assert np.array_equal(fig.axes[1].images[0].get_array(), right[:, ::-1])
    assert fig.axes[1].lines[0].get_xdata()[0] == 12
    assert np.array_equal(fig.axes[2].lines[0].get_ydata(), match)
    assert "slid by 1 px" in fig.axes[2].get_title(loc="left")


def test_label_differences_leave_out_what_is_missing():
    difference = np.array([[0.5, -0.5], [NAN, 1.0], [1.0, 1.0]])
    fig = figures.label_differences(difference, noise=0.5)
    left, right = fig.axes
    assert np.allclose(left.collections[0].get_offsets(), difference[[0, 2]])
    assert left.patches[0].get_radius() == pytest.approx(2 * np.sqrt(0.5))
    x, y = right.lines[0].get_data()
    assert np.trapezoid(y, x) == pytest.approx(1, abs=1e-6)
    assert x[y.argmax()] == pytest.approx(0, abs=1e-9)
    assert (bars(right) * 0.25).sum() == pytest.approx(1)


def test_best_matches_show_the_threshold():
    fig = figures.best_matches(np.array([0.3, 0.7, 1.0, 1.0 + 1e-7]), threshold=0.9)
    ax = fig.axes[0]
    assert bars(ax).sum() == 4
    assert ax.lines[0].get_xdata()[0] == 0.9
    assert ax.get_yscale() == "log"


def test_leak_keeps_the_two_kinds_apart():
    errors = np.array([1.0, 3.0, 99.0, NAN, 0.5])
    fig = figures.leak(errors, np.array([True, False, False, True, True]))
    ax = fig.axes[0]
    heights = bars(ax)
    assert heights[:36].sum() == 2
    assert heights[35] == 1  # 99 px falls in the last bar
    assert heights[36:].sum() == 2
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words[0].endswith("mean 51.0 px")
    assert words[1].endswith("mean 0.8 px")


def test_leak_without_a_leak():
    fig = figures.leak(np.array([1.0]), np.array([False]))
    assert fig.axes[0].get_legend().get_texts()[1].get_text().endswith("none")


def test_vernier_puts_the_left_eye_above_the_mirrored_right_one():
    left, right = np.random.default_rng(0).random((2, 17, 25))
    fig = figures.vernier([(left, right), (right, left)], ["a", "b"])
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["a", "b"]
    upper, lower = fig.axes[0].images
    assert np.array_equal(upper.get_array(), np.repeat(left, 2, axis=0)[:17])
    assert np.array_equal(lower.get_array(), np.repeat(right[:, ::-1], 2, axis=0)[17:])
    assert upper.get_extent() == [-12.5, 12.5, 0, -8.5]  # x from the label, y downwards
    assert lower.get_extent() == [-12.5, 12.5, 8.5, 0]


def dark_spot(x):
    """(17, 25): an iris, x px to the right of the label."""
    columns, rows = np.meshgrid(np.arange(-12, 13), np.arange(-8, 9))
    return 200 - 150 * np.exp(-((columns - x) ** 2 + rows**2) / 8)


@pytest.mark.parametrize("x", [0.0, 0.5, -0.8])
def test_vernier_says_how_far_apart_the_halves_are(x):
    fig = figures.vernier([(dark_spot(x), dark_spot(x))], ["a"])  # mirrored, the right one is at -x
    (ax,) = fig.axes
    upright = [line.get_data() for line in ax.lines if len(set(line.get_ydata())) > 1][:2]
    assert upright[0][0] == pytest.approx([x, x], abs=0.05)
    assert upright[1][0] == pytest.approx([-x, -x], abs=0.05)
    assert ax.get_xlabel() == f"halves {abs(2 * x):.1f} px apart"
    words = [text.get_text() for text in fig.legends[0].get_texts()]
    assert words == ["left eye", "right eye, mirrored", "where the labels are"]


def test_vernier_without_an_iris_draws_no_upright_line():
    fig = figures.vernier([(np.zeros((17, 25)), np.zeros((17, 25)))], ["a"])
    assert fig.axes[0].get_xlabel() == ""
