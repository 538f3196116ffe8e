"""Each figure holds the data it was given, where it belongs."""

import numpy as np
import pytest
import torch

from hglib.heatmap import gaussian_maps
from hglib.plots import anatomy


@pytest.fixture
def face():
    return np.random.default_rng(0).integers(1, 255, (96, 96), dtype=np.uint8)


EYES = np.array([[65.2, 37.4], [29.0, 36.6]])


def shown(ax, layer=0):
    return np.asarray(ax.images[layer].get_array())


def test_windows_are_cut_around_the_rounded_point(face):
    fig = anatomy.windows(face, EYES, sizes=(3, 9))
    assert len(fig.axes) == 4
    np.testing.assert_array_equal(shown(fig.axes[0]), face[36:39, 64:67])
    np.testing.assert_array_equal(shown(fig.axes[3]), face[33:42, 25:34])


def test_windows_are_black_beyond_the_edge(face):
    fig = anatomy.windows(face, np.array([[94, 1], [1, 94]]), sizes=(9,))
    first, second = (shown(ax) for ax in fig.axes)
    assert (first[:3] == 0).all() and (first[:, 6:] == 0).all() and (first[3:, :6] > 0).all()
    assert (second[6:] == 0).all() and (second[:, :3] == 0).all() and (second[:6, 3:] > 0).all()


def test_shares_are_stacked_to_the_whole():
    fig = anatomy.where_matches_fall((7, 31), right=[0.2, 0.7], other=[0.1, 0.05])
    (ax,) = fig.axes
    groups = ax.containers
    assert [bar.get_height() for bar in groups[0]] == pytest.approx([20, 70])
    assert [bar.get_height() for bar in groups[1]] == pytest.approx([10, 5])
    assert [bar.get_y() for bar in groups[1]] == pytest.approx([20, 70])
    assert [bar.get_y() + bar.get_height() for bar in groups[2]] == pytest.approx([100, 100])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["7 px", "31 px"]
    assert len({bar.patches[0].get_hatch() for bar in groups}) == 3  # not by colour alone


def test_map_rows_are_a_table():
    rows = {name: [torch.rand(4, 6), torch.rand(8, 8)] for name in ("skip", "sum")}
    fig = anatomy.map_rows(rows, ["a", "b"], "title")
    assert [ax.get_title(loc="left") or ax.get_title() for ax in fig.axes] == ["a", "b", "", ""]
    assert [ax.get_ylabel() for ax in fig.axes] == ["skip", "", "sum", ""]
    assert [ax.get_xlabel() for ax in fig.axes] == ["4 x 6", "8 x 8"] * 2
    np.testing.assert_allclose(shown(fig.axes[2]), rows["sum"][0].numpy())


def test_targets_lie_over_the_face(face):
    maps = [gaussian_maps(torch.tensor(EYES)[None], stride=s)[0] for s in (16, 2)]
    fig = anatomy.targets_at_every_level(face, EYES, maps, (16, 2))
    assert len(fig.axes) == 3 and len(fig.axes[0].collections) >= 2  # the face with its marks
    for ax, target in zip(fig.axes[1:], maps, strict=True):
        np.testing.assert_allclose(shown(ax), target.amax(dim=0).numpy())
        assert tuple(ax.images[0].get_extent()) == (-0.5, 95.5, 95.5, -0.5)
        assert ax.images[0].get_clim() == (0, 1)


def test_answers_are_maps_over_the_size_of_the_face(face):
    maps = gaussian_maps(torch.tensor(EYES)[None], stride=2)[0]  # (2, 48, 48)
    given = {"first": (maps, EYES + 3), "second": (maps**2, EYES)}
    fig = anatomy.answers(face, EYES, given, "title")
    assert [ax.get_title(loc="left") for ax in fig.axes[1:]] == ["first", "second"]
    np.testing.assert_allclose(shown(fig.axes[2]), maps.amax(dim=0).numpy(), atol=1e-6)
    assert (68.2, 40.4) in [tuple(np.round(xy, 4)) for xy in offsets(fig.axes[1])]
    assert (68.2, 40.4) not in [tuple(np.round(xy, 4)) for xy in offsets(fig.axes[2])]
    ways = [np.transpose(line.get_data()).tolist() for line in fig.axes[1].lines]
    assert ways == [[eye.tolist(), (eye + 3).tolist()] for eye in EYES]  # from true to found
    assert key_of(fig) == ["true eyes", "found eyes"]


def key_of(fig):
    return [text.get_text() for text in fig.legends[0].get_texts()]


def offsets(ax):
    return [tuple(np.asarray(group.get_offsets())[0]) for group in ax.collections]


def test_the_cross_is_where_the_spot_is(face):
    spots = {"here": torch.zeros(96, 96), "there": torch.zeros(96, 96)}
    spots["here"][20, 40] = 2
    spots["there"][50, 10] = spots["there"][50, 13] = 1
    fig = anatomy.shifted_spots(face, spots, true=(40, 20))
    here, there = fig.axes
    assert offsets(here) == [(40, 20), (40, 20)]
    assert offsets(there) == [(40, 20), (11.5, 50)]
    spot = here.images[1].get_array()
    assert np.ma.count(spot) == 1 and spot[20, 40] == 1  # elsewhere the face shows


def test_signals_are_lines_on_a_logarithmic_axis():
    strengths = {"weak": [0.2, 1e-3, 1e-6], "he": [0.2, 0.3, 0.4]}
    (ax,) = anatomy.signals(["a", "b", "c"], strengths).axes
    assert ax.get_yscale() == "log"
    for line, (name, values) in zip(ax.lines, strengths.items(), strict=True):
        assert line.get_label() == name and list(line.get_ydata()) == values
    assert ax.lines[0].get_marker() != ax.lines[1].get_marker()


def test_only_what_is_not_seen_is_veiled(face):
    field = torch.zeros(96, 96, dtype=torch.bool)
    field[10:20, 30:50] = True
    fig = anatomy.receptive_fields(face, {"a": (field, (40, 15)), "b": (~field, (2, 3))}, EYES)
    first, second = fig.axes
    np.testing.assert_array_equal(shown(first), face)
    np.testing.assert_array_equal(shown(first, 1)[..., 3] == 0, field.numpy())
    np.testing.assert_array_equal(shown(second, 1)[..., 3] == 0, ~field.numpy())
    assert offsets(first)[0] == (40, 15) and offsets(second)[0] == (2, 3)
    assert (65.2, 37.4) in offsets(first)
    assert key_of(fig) == ["true eyes", "one output pixel", "what it cannot see"]
