"""Each figure of notebook 09 holds the data it was given."""

import numpy as np
import pytest

from hglib.plots import coordinates as draw

IMAGE = np.random.default_rng(0).integers(0, 255, (96, 96), dtype=np.uint8)
EYES = np.array([[65.0, 37.0], [29.0, 38.0]])


def test_heads_have_one_mark_for_each_seed_and_the_guess():
    fig = draw.heads({"error": {"maps": [1.0, 2.0], "SimCC": [3.0, 5.0]}}, {"error": 4.5})
    (ax,) = fig.axes
    marks = [tuple(place) for group in ax.collections for place in group.get_offsets()]
    assert marks == [(1, 0), (2, 0), (3, 1), (5, 1)]
    assert [text.get_text() for text in ax.texts] == ["1.50", "4.00"]
    assert ax.lines[0].get_xdata() == [4.5, 4.5] and ax.yaxis_inverted()


def test_answers_show_every_place_and_every_answer():
    found = {"as it is": {"maps": EYES + 1, "SimCC": EYES + 2}}
    fig = draw.answers({"as it is": IMAGE}, {"as it is": EYES}, found)
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["maps", "SimCC"]
    for ax, moved in zip(fig.axes, (1, 2), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), IMAGE)
        places = [tuple(p) for group in ax.collections for p in group.get_offsets()]
        assert {tuple(p) for p in EYES} | {tuple(p) for p in EYES + moved} == set(places)


def test_along_has_shares_and_both_eyes():
    fig = draw.along({"maps": [[0.0, 0.02], [1.0, 9.0]]})
    (ax,) = fig.axes
    heights = [bar.get_height() for bar in ax.containers[0]]
    assert sum(heights) == pytest.approx(1) and max(heights) == pytest.approx(0.5)
    assert [line.get_xdata()[0] for line in ax.lines] == [0, 1]
