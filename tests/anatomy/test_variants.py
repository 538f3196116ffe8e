"""The networks of the study: each switch does what it says, and nothing else."""

import pytest
import torch

from hglib.anatomy import receptive_field
from hglib.anatomy.variants import (
    CHOICES,
    PlainNetwork,
    PointRegression,
    Repaired2019,
    SwitchedHourglass,
)
from hglib.heatmap import decode
from hglib.hourglass import LeanHourglass
from hglib.losses import Objective, total_loss
from hglib.original2019 import Original2019

SMALL = {"widths": (8, 16, 16)}


def random_images(count=2, side=32):
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(1))


def same_seed(make, **options):
    torch.manual_seed(0)
    return make(**options).eval()


def test_with_every_switch_at_its_default_it_is_our_default_network():
    ours, switched = same_seed(LeanHourglass), same_seed(SwitchedHourglass)
    x = random_images(side=96)
    assert torch.equal(ours(x)[0].scores, switched(x)[0].scores)
    ours, switched = ours.train(), switched.train()
    assert torch.equal(ours(x)[0].scores, switched(x)[0].scores)


def test_supervising_all_levels_is_our_default_with_coarse_levels():
    ours = same_seed(LeanHourglass, coarse_levels=True)
    theirs = same_seed(SwitchedHourglass, supervised="all")
    assert [lv.stride for lv in theirs(random_images())] == [
        lv.stride for lv in ours(random_images())
    ]


@pytest.mark.parametrize(
    ("supervised", "strides"), [("highest", [2]), ("lowest", [8, 2]), ("all", [8, 4, 2])]
)
def test_supervised_levels(supervised, strides):
    levels = SwitchedHourglass(**SMALL, supervised=supervised)(random_images())
    assert [level.stride for level in levels] == strides
    assert [level.scores.shape[-1] for level in levels] == [32 // stride for stride in strides]


@pytest.mark.parametrize("skips", ["sum", "none"])
def test_a_cut_waist_leaves_what_the_skips_carry(skips):
    """Zeros at the waist: without skips the answer no longer depends on the image."""
    model = same_seed(SwitchedHourglass, **SMALL, skips=skips)
    model.waist.register_forward_hook(lambda layer, inputs, output: torch.zeros_like(output))
    one, other = (
        level.scores for level in (model(random_images())[-1], model(1 - random_images())[-1])
    )
    assert torch.allclose(one, other) == (skips == "none")


def test_concatenation_keeps_both_maps_side_by_side():
    model = same_seed(SwitchedHourglass, **SMALL, skips="concat")
    seen = {}
    model.ups[0].register_forward_hook(lambda layer, inputs, output: seen.update(below=output))
    model.skips[0].register_forward_hook(lambda layer, inputs, output: seen.update(kept=output))
    head = model.heads["0"]
    head.register_forward_hook(lambda layer, inputs, output: seen.update(joined=inputs[0]))
    model(random_images())
    assert torch.equal(seen["joined"], torch.cat([seen["below"], seen["kept"]], dim=1))


@pytest.mark.parametrize("up", CHOICES["up"])
def test_no_way_up_moves_the_content(up):
    """A network and its mirror image: symmetric kernels give mirrored maps, shifted ones cannot."""
    model = same_seed(SwitchedHourglass, **SMALL, up=up)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if (
                values.ndim == 4
                and up == "shuffle"
                and name.startswith("ups")
                and values.shape[0] % 4 == 0
            ):
                values.copy_(
                    values.view(-1, 4, *values.shape[1:])
                    .mean(1, keepdim=True)
                    .expand(-1, 4, *values.shape[1:])
                    .reshape(values.shape)
                )
            if values.ndim == 4:
                values.copy_((values + values.flip(-1)) / 2)
    x = random_images()
    torch.testing.assert_close(
        model(x.flip(-1))[-1].scores, model(x)[-1].scores.flip(-1), atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize("norm", CHOICES["norm"])
def test_the_norm_is_the_one_asked_for(norm):
    kinds = {type(m).__name__ for m in SwitchedHourglass(**SMALL, norm=norm).modules()}
    wanted = {"batch": "BatchNorm2d", "group": "GroupNorm", "none": None}[norm]
    assert kinds & {"BatchNorm2d", "GroupNorm"} == ({wanted} if wanted else set())


def test_full_resolution_and_no_halving_at_all():
    (level,) = SwitchedHourglass(widths=(8,), stem_stride=1)(random_images())
    assert level.stride == 1 and level.scores.shape == (2, 2, 32, 32)


@pytest.mark.parametrize("standardise", [True, False])
def test_standardising_makes_brightness_irrelevant(standardise):
    model = same_seed(SwitchedHourglass, **SMALL, standardise=standardise)
    dark, bright = model(random_images() / 4)[-1].scores, model(random_images() / 2)[-1].scores
    change = (dark - bright).norm() / (bright - bright.mean()).norm()
    assert (change < 0.03) == standardise


@pytest.mark.parametrize(
    ("layers", "dilations", "sees"),
    [(1, (1,), 8), (4, (1,), 20), (12, (1,), 52), (3, (1, 2, 4), 32)],
)
def test_a_plain_network_sees_four_pixels_more_with_each_layer(layers, dilations, sees):
    field = receptive_field(PlainNetwork(layers=layers, width=4, dilations=dilations))
    assert field.any(dim=0).sum() == field.any(dim=1).sum() == sees


def test_coordinates_as_a_heat_map_are_read_back_and_their_loss_is_the_squared_distance():
    """Cross-entropy of two equal Gaussians: d^2 / (2 sigma^2), beyond that of a perfect answer."""
    sigma = 2.0  # wide enough for sums over cells to be integrals
    model = same_seed(PointRegression, widths=(8, 8), size=48, sigma=sigma)
    (level,) = model(random_images(1, 48))
    found = decode(level.maps, "taylor", stride=2).points.detach()  # (1, 2, 2)
    moved = found + torch.tensor([3.0, -4.0])  # 5 px = 2.5 cells
    objective = Objective(sigma=sigma)
    right, wrong = (total_loss([level], p, (48, 48), objective) for p in (found, moved))
    assert (wrong - right).item() == pytest.approx(2.5**2 / (2 * sigma**2), rel=0.02)


def test_regression_starts_in_the_middle_and_refuses_another_size():
    model = PointRegression(widths=(8, 8), size=48)
    with torch.no_grad():
        model.out.weight.zero_()
        model.out.bias.zero_()
    (level,) = model.eval()(random_images(1, 48))
    row, column = divmod(int(level.scores[0, 0].argmax()), 24)
    assert {row, column} <= {11, 12}
    with pytest.raises(ValueError, match="size=48"):
        model(random_images(1, 32))


@pytest.mark.parametrize(
    "wrong", [{"skips": "add"}, {"up": "magic"}, {"supervised": "some"}, {"norm": "layer"}]
)
def test_an_unknown_choice_is_named(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}='{value}'"):
        SwitchedHourglass(**wrong)
    assert "all" in CHOICES["supervised"]


def test_the_bare_way_up_is_that_of_2019_without_its_last_rectifier():
    torch.manual_seed(0)
    bare, whole = Repaired2019(up="bare", normalise=True), Original2019(normalise=True)
    torch.nn.init.constant_(bare.up1.conv.bias, -1.0)  # its scores are above 0 without
    whole.load_state_dict(bare.state_dict())
    images = torch.rand(2, 1, 96, 96)
    scores, rectified = bare(images)[-1].scores, whole(images)[-1].scores
    assert (scores < 0).any() and not torch.equal(scores, rectified)
    torch.testing.assert_close(torch.nn.functional.leaky_relu(scores, 0.2), rectified)


def test_our_way_up_in_the_network_of_2019_repeats_its_last_cells():
    scores = Repaired2019(normalise=True)(torch.rand(1, 1, 96, 96))[-1].scores  # (1, 2, 96, 96)
    torch.testing.assert_close(scores[..., ::2, ::2], scores[..., 1::2, 1::2])
    with pytest.raises(ValueError, match="up='shuffle' is not known; choose one of 'bare'"):
        Repaired2019(up="shuffle")
