"""Figures about heat maps hold the data they are given, in the panels that their titles name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import titles

from hglib.plots import heatmaps as figures


def dots(ax) -> list[list[float]]:
    """The positions of all scatter markers of an Axes."""
    return [xy for artist in ax.collections for xy in np.asarray(artist.get_offsets()).tolist()]


IMAGE = np.arange(96 * 96, dtype=np.float32).reshape(96, 96)
EYES = torch.tensor([[66.0, 37.0], [30.0, 38.0]])


def test_maps_on_face_lays_each_map_over_the_image():
    maps = torch.rand(2, 24, 24)
    fig = figures.maps_on_face(IMAGE, maps, EYES, ["face", "one", "two"])
    assert titles(fig) == ["face", "one", "two"]
    face, *panels = fig.axes
    assert {tuple(xy) for xy in dots(face)} == {(66.0, 37.0), (30.0, 38.0)}
    for ax, heat_map in zip(panels, maps, strict=True):
        below, above = ax.images
        np.testing.assert_array_equal(below.get_array(), IMAGE)
        np.testing.assert_allclose(above.get_array(), heat_map)
        assert above.get_extent() == [-0.5, 95.5, 95.5, -0.5]  # a coarse map covers the image
        assert above.get_clim() == (0, 1)
        assert dots(ax) == []


def test_maps_on_face_needs_a_title_for_every_panel():
    with pytest.raises(IndexError):
        figures.maps_on_face(IMAGE, np.zeros((1, 96, 96)), EYES, ["face", "one", "two"])


def test_two_panels_are_no_larger_than_three():
    sizes = [
        figures.maps_on_face(IMAGE, np.zeros((n, 96, 96)), EYES, ["t"] * (n + 1)).get_size_inches()
        for n in (1, 2)
    ]
    assert sizes[0][1] == sizes[1][1]
    assert sizes[0][0] == pytest.approx(sizes[1][0] * 2 / 3)


def test_cuts_draws_a_line_per_target():
    x = np.linspace(-1, 1, 30)
    fig = figures.cuts(x, {"a": x**2, "b": 1 - x}, "title")
    (ax,) = fig.axes
    assert titles(fig) == ["title"]
    assert [line.get_label() for line in ax.lines] == ["a", "b"]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), x**2)
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), np.stack([x, 1 - x], axis=1))
    assert len({line.get_marker() for line in ax.lines}) == 2  # colour is not the only cue


def test_ruler_puts_every_cells_middle_in_the_middle_of_its_pixels():
    fig = figures.ruler(12, stride=4)
    (ax,) = fig.axes
    boxes = sorted((box.get_y() < 1, box.get_x(), box.get_width()) for box in ax.patches)
    assert [box for box in boxes if not box[0]] == [(False, x - 0.5, 1) for x in range(12)]
    assert [box for box in boxes if box[0]] == [(True, x, 4) for x in (-0.5, 3.5, 7.5)]
    assert [float(line.get_xdata()[0]) for line in ax.lines] == [1.5, 5.5, 9.5]
    assert {"1.5", "cell 2", "11"} <= {text.get_text() for text in ax.texts}


def test_error_clouds_show_every_error_its_mean_and_the_circle():
    cloud = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
    fig = figures.error_clouds({"a": cloud, "b": -cloud}, radius=1.8)
    assert titles(fig) == ["a", "b"]
    for ax, sign in zip(fig.axes, (1, -1), strict=True):
        assert dots(ax) == [*(sign * cloud).tolist(), [2.0 * sign, -1.0 * sign]]
        assert [circle.radius for circle in ax.patches] == [1.8]
        left, right = ax.get_xlim()
        assert -left == right > 4
        assert ax.get_ylim() == (right, left)  # rows go down, as in an image


def test_straightened_shows_three_views():
    d = np.linspace(-2, 2, 21)
    fig = figures.straightened(d, {"exponential": np.exp(-np.abs(d)), "Gaussian": np.exp(-(d**2))})
    assert titles(fig) == ["h", "ln h", "-(ln h)²"]
    expected = [(np.exp(-np.abs(d)), np.exp(-(d**2))), (-np.abs(d), -(d**2)), (-(d**2), -(d**4))]
    for ax, curves in zip(fig.axes, expected, strict=True):
        for line, curve in zip(ax.lines, curves, strict=True):
            np.testing.assert_allclose(line.get_ydata(), curve, atol=1e-12)


def test_decoder_errors_has_a_row_per_decoder_and_a_floor():
    errors = {"g": {"argmax": 0.38, "taylor": 0.0}, "e": {"argmax": 0.37, "taylor": 0.07}}
    fig = figures.decoder_errors(errors, floor=0.3826)
    (ax,) = fig.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["argmax", "taylor"]
    assert [x for x, _ in dots(ax)] == [0.38, 0.001, 0.37, 0.07]
    assert [round(y) for _, y in dots(ax)] == [0, 1, 0, 1]
    assert ax.lines[0].get_xdata()[0] == 0.3826
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["g", "e"]


def test_noise_lines_has_a_panel_per_noise():
    panels = {"grainy": {"a": [1, 2], "b": [3, 4]}, "smooth": {"a": [5, 6], "b": [7, 8]}}
    fig = figures.noise_lines([0, 0.1], panels, floor=0.5)
    assert titles(fig) == ["grainy", "smooth"]
    for ax, lines in zip(fig.axes, panels.values(), strict=True):
        assert [line.get_ydata().tolist() for line in ax.lines[:2]] == list(lines.values())
        assert ax.lines[2].get_ydata()[0] == 0.5
        assert ax.get_ylim()[0] == 0


def test_found_on_maps_marks_truth_and_find():
    maps = torch.rand(2, 8, 8) * 0.1
    true, found = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 6.0], [7.0, 0.0]])
    fig = figures.found_on_maps(maps, true, found, ["a", "b"])
    assert titles(fig) == ["a", "b"]
    for number, ax in enumerate(fig.axes):
        assert {tuple(xy) for xy in dots(ax)} == {
            tuple(true[number].tolist()),
            tuple(found[number].tolist()),
        }
        assert ax.images[0].get_clim() == (0, pytest.approx(maps[number].max().item()))


def test_pyramids_show_every_level_with_its_mean():
    levels = [torch.eye(n) * n / 4 for n in (8, 4)]  # mean 1/4
    fig = figures.pyramids(IMAGE, EYES, {"pooled": levels, "anew": [2 * one for one in levels]})
    assert titles(fig) == [
        "The face",
        "8 × 8\nmean 0.250",
        "4 × 4\nmean 0.250",
        "8 × 8\nmean 0.500",
        "4 × 4\nmean 0.500",
    ]
    assert [ax.images[0].get_array().shape[0] for ax in fig.axes] == [96, 8, 4, 8, 4]
    assert [ax.get_ylabel() for ax in fig.axes] == ["", "pooled", "", "anew", ""]
    assert fig.axes[1].images[0].get_clim() == (0, 1)
    assert {tuple(xy) for xy in dots(fig.axes[0])} == {(66.0, 37.0), (30.0, 38.0)}


def test_cells_show_the_values_around_the_middle():
    maps = {"a": np.arange(48.0).reshape(6, 8) / 47, "b": torch.zeros(6, 8)}
    fig = figures.cells(maps, (4, 2), reach=1)
    assert titles(fig) == ["a", "b"]
    shown = {text.get_position(): text.get_text() for text in fig.axes[0].texts}
    assert shown == {(x, y): f"{(8 * y + x) / 47:.2f}"[1:] for x in (3, 4, 5) for y in (1, 2, 3)}
    assert fig.axes[0].get_xlim() == (2.5, 5.5)
    assert fig.axes[0].get_ylim() == (3.5, 0.5)
