"""The figures of notebook 00 and what all figures share: is what they were given in them?"""

from __future__ import annotations

import subprocess
import sys
import types
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib import colors
from matplotlib.patches import Rectangle

from hglib.anatomy import blocks
from hglib.hourglass import build
from hglib.plots import faces, networks, results, style


@pytest.fixture(autouse=True)
def nobody_at_the_keyboard(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.delenv("HGLIB_WIDGETS", raising=False)


def shown(ax):
    """The array that an Axes shows."""
    return ax.images[0].get_array()


def points_of(ax):
    """All places where a marker stands."""
    return {tuple(xy) for dots in ax.collections for xy in np.asarray(dots.get_offsets())}


def texts(ax):
    return [text.get_text() for text in ax.texts]


# ---- style ----------------------------------------------------------------------------------


def test_import_hglib_does_not_import_matplotlib():
    code = "import sys, hglib; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_styled_changes_settings_inside_only():
    before = dict(plt.rcParams)
    inside = style.styled(lambda: plt.rcParams["figure.dpi"])()
    assert inside == style.RC["figure.dpi"] <= 90
    assert dict(plt.rcParams) == before


def luminance(colour):
    """Relative luminance of WCAG 2.1."""
    rgb = np.array(colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_the_two_eyes_differ_in_lightness_too():
    assert abs(luminance(style.EYES[0]) - luminance(style.EYES[1])) > 0.15


@pytest.mark.parametrize("dtype, limits", [(np.uint8, (0, 255)), (np.float32, (10, 20))])
def test_show_image_scales_bytes_by_their_range_and_others_by_their_own(dtype, limits):
    _, ax = plt.subplots()
    style.show_image(ax, np.array([[10, 20]], dtype), "a title")
    assert ax.images[0].get_clim() == limits
    assert not len(ax.get_xticks())
    assert "a title" in (ax.get_title(), ax.get_title(loc="left"))


def test_mark_draws_points_in_the_colours_of_the_eyes_and_leaves_out_nan():
    _, ax = plt.subplots()
    style.mark(ax, [[66.5, 37.0], [np.nan, 37.0]])
    assert points_of(ax) == {(66.5, 37.0)}
    edges = [colors.to_hex(dots.get_edgecolor()[0]).upper() for dots in ax.collections]
    assert style.EYES[0] in edges and style.EYES[1] not in edges


def test_true_and_found_points_have_different_markers():
    paths = []
    for found in (False, True):
        _, ax = plt.subplots()
        style.mark(ax, [[1.0, 2.0], [3.0, 4.0]], found)
        assert points_of(ax) == {(1.0, 2.0), (3.0, 4.0)}
        paths.append(len(ax.collections[0].get_paths()[0].vertices))
    assert paths[0] != paths[1]


def test_mark_takes_any_number_of_points():
    _, ax = plt.subplots()
    style.mark(ax, np.arange(30).reshape(15, 2))
    assert len(points_of(ax)) == 15


def test_save_writes_into_the_figures_of_the_checkout_only(tmp_path, monkeypatch):
    fig = plt.figure()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    style.save(fig, "one")
    assert [path.name for path in tmp_path.iterdir()] == ["notebooks"]
    (tmp_path / "figures").mkdir()
    style.save(fig, "one")
    assert (tmp_path / "figures" / "one.png").read_bytes().startswith(b"\x89PNG")


def curve(ax, **chosen):
    ax.plot(list(chosen.values()))
    ax.chosen = chosen


def test_slider_without_widgets_shows_every_choice():
    fig = style.slider(curve, sigma=[1, 2, 4])
    assert [ax.chosen for ax in fig.axes] == [{"sigma": 1}, {"sigma": 2}, {"sigma": 4}]
    assert [ax.get_title(loc="left") or ax.get_title() for ax in fig.axes] == [
        "sigma = 1",
        "sigma = 2",
        "sigma = 4",
    ]


def test_slider_wraps_after_five_and_leaves_no_empty_axes():
    fig = style.slider(curve, sigma=range(7))
    assert [ax.chosen["sigma"] for ax in fig.axes] == list(range(7))
    assert fig.axes[0].get_subplotspec().get_gridspec().get_geometry() == (2, 5)


def test_slider_with_two_names_is_a_table():
    fig = style.slider(curve, a=[1, 2], b="xyz")
    assert [tuple(ax.chosen.values()) for ax in fig.axes] == [(a, b) for a in (1, 2) for b in "xyz"]
    assert fig.axes[0].get_subplotspec().get_gridspec().get_geometry() == (2, 3)


def test_slider_keeps_a_title_that_the_drawing_set():
    fig = style.slider(lambda ax, n: ax.set_title(f"number {n}"), n=[3])
    assert fig.axes[0].get_title(loc="left") == "number 3"
    assert fig.axes[0].get_title(loc="center") == ""


@pytest.mark.parametrize(
    "choices, words",
    [({}, "0 things"), ({"a": [1], "b": [1], "c": [1]}, "3"), ({"a": []}, "a has")],
)
def test_slider_says_what_is_wrong_with_its_choices(choices, words):
    with pytest.raises(ValueError, match=words):
        style.slider(curve, **choices)


def fake_widgets(monkeypatch):
    """An ipywidgets that notes what it is asked for."""
    seen = {}
    module = types.ModuleType("ipywidgets")
    module.__spec__ = types.SimpleNamespace()
    module.SelectionSlider = lambda options, value: (list(options), value)

    def interact(function, **sliders):
        seen.update(sliders)
        function(**{name: value for name, (_, value) in sliders.items()})

    module.interact = interact
    monkeypatch.setitem(sys.modules, "ipywidgets", module)
    return seen


def test_slider_with_widgets_draws_one_choice_at_a_time(monkeypatch):
    seen = fake_widgets(monkeypatch)
    monkeypatch.setenv("HGLIB_WIDGETS", "1")
    drawn = []
    assert style.slider(lambda ax, sigma: drawn.append(sigma), sigma=[1, 2, 4]) is None
    assert seen == {"sigma": ([1, 2, 4], 2)}
    assert drawn == [2]


@pytest.mark.parametrize(
    "set_up, expected",
    [
        ({}, False),  # nbclient, nbconvert, nbval, a script
        ({"HGLIB_WIDGETS": "1"}, True),
        ({"HGLIB_WIDGETS": "0", "JPY_SESSION_NAME": "a.ipynb"}, False),
        ({"JPY_SESSION_NAME": "a.ipynb"}, True),
    ],
)
def test_who_gets_a_slider(monkeypatch, set_up, expected):
    fake_widgets(monkeypatch)
    for name, value in set_up.items():
        monkeypatch.setenv(name, value)
    assert style.interactive() is expected


def test_colab_gets_a_slider(monkeypatch):
    fake_widgets(monkeypatch)
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    assert style.interactive()


def test_no_slider_without_ipywidgets(monkeypatch):
    monkeypatch.setattr(style, "find_spec", lambda name: None)
    monkeypatch.setenv("HGLIB_WIDGETS", "1")
    assert not style.interactive()


def test_a_setting_that_is_neither_is_an_error(monkeypatch):
    monkeypatch.setenv("HGLIB_WIDGETS", "yes")
    with pytest.raises(ValueError, match="HGLIB_WIDGETS is 'yes'"):
        style.interactive()


# ---- faces ----------------------------------------------------------------------------------


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_target_shows_face_point_map_and_the_numbers_of_the_map(rng):
    image = rng.integers(0, 256, (20, 30), dtype=np.uint8)
    heat = np.arange(600.0).reshape(20, 30) / 599
    left, middle, right = faces.target(image, (12.4, 7.6), heat, reach=1).axes
    assert np.array_equal(shown(left), image)
    assert points_of(left) == {(12.4, 7.6)}
    assert np.array_equal(shown(middle), heat)
    assert texts(right) == [f"{v:.2f}" for v in heat[7:10, 11:14].flat]
    assert right.texts[0].get_position() == (11, 7)
    assert right.get_ylim() == (9.5, 6.5)  # downwards


def test_target_at_the_border_writes_only_what_is_in_the_map():
    heat = np.ones((5, 5))
    *_, right = faces.target(heat, (0, 4), heat, reach=1).axes
    assert {text.get_position() for text in right.texts} == {(0, 3), (0, 4), (1, 3), (1, 4)}


def test_with_maps_puts_each_map_under_its_face(rng):
    images = rng.integers(0, 256, (3, 16, 16), dtype=np.uint8)
    maps = rng.random((3, 2, 8, 8))
    true = rng.uniform(2, 12, (3, 2, 2))
    found = true + np.array([3.0, 4.0])  # 5 px away
    fig = faces.with_maps(images, true, found, maps)
    axes = np.array(fig.axes).reshape(3, 3)
    for n in range(3):
        assert np.array_equal(shown(axes[0, n]), images[n])
        assert axes[0, n].get_title(loc="left") == "5.0 px"
        assert points_of(axes[0, n]) == {tuple(p) for p in [*true[n], *found[n]]}
        for eye in range(2):
            ax = axes[1 + eye, n]
            assert np.array_equal(shown(ax), maps[n, eye])
            assert ax.get_title(loc="left") == f"peak {maps[n, eye].max():.3f}"
            assert ax.images[0].get_extent() == [-0.5, 15.5, 15.5, -0.5]  # as the face lies
            assert ax.images[0].get_clim() == (0, maps[n, eye].max())


def test_found_points_have_no_colour_of_a_true_one():
    _, ax = plt.subplots()
    faces.cross(ax, [[3.0, 4.0], [np.nan, 1.0]])
    style.mark(ax, [[3.0, 4.0], [5.0, 6.0]])
    found, true = ax.collections[:2], ax.collections[2:]
    seen = [
        {colors.to_hex(c) for one in group for c in one.get_edgecolors()} for group in (found, true)
    ]
    assert seen[0] == {"#000000", style.YELLOW.lower()}
    assert seen[0] & seen[1] == {"#000000"}  # the edge of both


def test_photo_has_the_frame_the_points_and_both_maps(rng):
    whole, face = rng.random((60, 50, 3)), rng.random((12, 12))
    in_photo, in_crop = np.array([[30.0, 20], [15, 21]]), np.array([[8.0, 4], [3, 5]])
    maps = rng.random((2, 6, 6))
    fig = faces.photo(whole, (10, 8, 40, 38), in_photo, face, in_crop, maps)
    large, crop, *below = fig.axes
    (frame,) = (patch for patch in large.patches if isinstance(patch, Rectangle))
    assert frame.get_bbox().extents.tolist() == [10, 8, 40, 38]
    assert points_of(large) == {tuple(p) for p in in_photo}
    assert points_of(crop) == {tuple(p) for p in in_crop}
    assert np.array_equal(shown(crop), face)
    for eye, ax in enumerate(below):
        assert np.array_equal(shown(ax), maps[eye])
        assert ax.get_title(loc="left").startswith(faces.SIDES[eye])


# ---- networks -------------------------------------------------------------------------------

IMAGE = torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(0))


def skips(fig):
    """(y, start, end) of each arrow."""
    arrows = [text for text in fig.axes[0].texts if getattr(text, "arrow_patch", None)]
    return sorted((a.xyann[1], a.xyann[0], a.xy[0]) for a in arrows)


def slabs(fig):
    return [patch for patch in fig.axes[0].patches if isinstance(patch, Rectangle)]


@pytest.mark.parametrize("name", ["lean", "original"])
def test_slabs_are_the_blocks_to_scale(name):
    model = build(name)
    fig = networks.hourglass(model, IMAGE)
    way = [
        b.shape
        for b in blocks(model, IMAGE)[1:]
        if not any(word in b.name for word in ("skip", "lateral", "head"))
    ]
    assert [s.get_height() for s in slabs(fig)] == [side for _, _, side in way]
    widths = [max(networks.THINNEST, networks.CHANNEL * channels) for channels, *_ in way]
    assert [s.get_width() for s in slabs(fig)] == pytest.approx(widths)
    edges = [(s.get_x(), s.get_x() + s.get_width()) for s in slabs(fig)]
    assert all(a[1] < b[0] for a, b in pairwise(edges))


@pytest.mark.parametrize("name, sides", [("lean", [6, 12, 24, 48]), ("original", [12, 24, 48])])
def test_each_skip_leads_over_the_waist_to_a_slab_of_its_size(name, sides):
    fig = networks.hourglass(build(name), IMAGE)
    ends = {}
    for slab in slabs(fig):
        side = slab.get_height()
        ends.setdefault(side, []).append((slab.get_x(), slab.get_x() + slab.get_width()))
    waist = min(ends)
    arrows = skips(fig)
    assert len(arrows) == len(sides)
    for side, (height, start, stop) in zip(sides, arrows, strict=True):
        assert start in [right for _, right in ends[side]]
        assert stop in [left for left, _ in ends[side]]
        assert start < ends[waist][0][0] < stop
        assert side / 4 < height < side / 2  # over the next smaller slabs, within its own


def test_sizes_and_channels_are_written_down():
    fig = networks.hourglass(build("lean"), IMAGE)
    where = {}  # height on the page -> words from left to right
    for text in sorted(fig.axes[0].texts, key=lambda text: text.get_position()[0]):
        if text.get_text() and not getattr(text, "arrow_patch", None):
            where.setdefault(text.get_position()[1], []).append(text.get_text())
    sides, channels, *over = [where[height] for height in sorted(where)]
    down = ["48", "24", "12", "6", "3"]
    assert sides == ["side in cells", *down, *down[-2::-1]]
    assert channels[:6] == ["channels", "16", "32", "64", "96", "128"]
    assert len(channels) == 1 + len(slabs(fig)) and channels[-1] == "16"
    assert sorted(word for words in over for word in words) == ["heat maps, 48×48", "image, 96×96"]


def test_the_image_and_both_maps_are_shown():
    model = build("lean")
    fig = networks.hourglass(model, IMAGE)
    image, maps = (shown.get_array() for shown in fig.axes[0].images)
    assert np.array_equal(image, IMAGE[0, 0])
    with torch.no_grad():
        expected = model.eval()(IMAGE)[-1].maps[0].amax(dim=0)
    assert np.allclose(maps, expected, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_drawing_leaves_the_network_as_it_was(training):
    model = build("lean").train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    networks.hourglass(model, IMAGE)
    assert model.training is training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# ---- results --------------------------------------------------------------------------------


def test_cumulative_draws_the_share_below_each_error():
    errors = {"good": [0.5, 1.0, np.nan, 1.5, 2.0], "bad": [[4.0, 40.0], [np.inf, 80.0]]}
    (ax,) = results.cumulative(errors, limit=10).axes
    good, bad = ax.get_lines()
    assert dict(zip(*good.get_data(), strict=True))[1.5] == 0.75
    assert dict(zip(*bad.get_data(), strict=True))[10.0] == 0.25  # three of four are never reached
    assert good.get_linestyle() != bad.get_linestyle()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["good, median 1.2", "bad, median 60"]
    assert "px" in ax.get_xlabel()
