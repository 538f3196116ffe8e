"""The drawings of networks say what the networks do."""

import pytest
import torch

from hglib.hourglass import build
from hglib.plots import networks


def words(fig):
    return [text.get_text() for text in fig.axes[0].texts]


def test_every_operation_of_the_default_has_its_word():
    found = words(networks.operations(build("lean"), torch.zeros(1, 1, 96, 96)))
    assert found.count("pool, convolve") == found.count("convolve, double") == 4
    assert found.count("skip: convolve") == found.count("+") == 4
    sizes = ["48×48\n16 ch.", "24×24\n32 ch.", "12×12\n64 ch.", "6×6\n96 ch."]
    assert all(found.count(size) == 2 for size in sizes)
    assert found.count("3×3\n128 ch.") == 1


def test_the_drawing_follows_the_network():
    found = words(networks.operations(build("lean", widths=(4, 6)), torch.zeros(1, 1, 32, 64)))
    assert found.count("skip: convolve") == 1 and "8×16\n6 ch." in found


def test_the_recursion_is_unrolled_to_its_residual():
    found = words(networks.unrolled(depth=2, side=24))
    assert "hourglass of depth 2, 24×24" in found and "hourglass of depth 1, 12×12" in found
    assert "residual\n6×6" in found and found.count("skip") == 2


@pytest.mark.parametrize(("depth", "side"), [(0, 48), (5, 48)])
def test_sizes_that_cannot_be_halved_are_refused(depth, side):
    with pytest.raises(ValueError, match=f"side {side} cannot be halved {depth} times"):
        networks.unrolled(depth, side)
