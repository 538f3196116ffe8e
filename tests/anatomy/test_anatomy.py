"""The table has the shape of an hourglass; the receptive field is what a perturbation finds."""

import pytest
import torch
from torch import nn

from hglib.anatomy import count_flops, count_parameters, flops, receptive_field, trace
from hglib.hourglass import Level, build
from hglib.original2019 import Original2019


class OneLevel(nn.Module):
    """A chain of layers in the form that hglib's networks have."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return [Level(self.layers(x), stride=1)]


def test_count_parameters_leaves_out_frozen_ones():
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
    assert count_parameters(model) == 3 * 5 + 5 + 2 * 5
    model[0].bias.requires_grad_(False)
    assert count_parameters(model) == 3 * 5 + 2 * 5


# ---------------------------------------------------------------------------------- trace


@pytest.mark.parametrize("name", ["original", "stacked", "lean"])
def test_trace_is_as_wide_as_the_maps_and_counts_everything(name, capsys):
    model = build(name, **({"stacks": 1} if name == "stacked" else {}))
    trace(model, torch.zeros(1, 1, 96, 96))
    lines = capsys.readouterr().out.splitlines()
    bars = [line[:48].strip() for line in lines]
    columns = [int(line[48:].split("x")[2].split()[0]) for line in lines]
    assert [len(bar) for bar in bars] == [max(1, round(48 * c / 96)) for c in columns]
    assert set("".join(bars)) == {"#"}
    parameters = [int(line.split()[-2].replace(",", "")) for line in lines]
    assert sum(parameters) == count_parameters(model)
    waist = columns.index(min(columns))
    assert columns[0] == 96 and 0 < waist < len(columns) - 1 and columns[-1] >= 48
    assert sorted(set(columns), reverse=True) == list(dict.fromkeys(columns[: waist + 1]))


def test_trace_names_blocks_in_the_order_of_computation(capsys):
    trace(Original2019(), torch.zeros(1, 1, 32, 48))
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[-1] for line in lines]
    for before, after in [("down1", "down2"), ("down4", "up4"), ("up4", "up3"), ("up3", "up1")]:
        assert names.index(before) < names.index(after)
    assert names[0] == "input" and names[-1] == "up1"
    (line,) = (line for line in lines if line.endswith("down2"))
    assert line.split()[1:] == ["8", "x", "8", "x", "12", "336", "down2"]
    assert line.index("#") == 18  # 12 of 48 columns, in the middle


def test_trace_leaves_the_network_as_it_was(capsys):
    model = build("lean", widths=(4, 8))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trace(model, torch.rand(2, 1, 32, 32))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match="do not fit"):
        trace(model, torch.rand(1, 1, 33, 32))
    capsys.readouterr()
    model(torch.rand(2, 1, 32, 32))
    assert capsys.readouterr().out == ""
    assert not any(module._forward_hooks for module in model.modules())


# -------------------------------------------------------------------------- receptive field


def extent(seen):
    """First and last column, first and last row."""
    columns, rows = seen.any(dim=0).nonzero().flatten(), seen.any(dim=1).nonzero().flatten()
    return int(columns[0]), int(columns[-1]), int(rows[0]), int(rows[-1])


def test_receptive_field_of_known_chains():
    three = OneLevel(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(3)))
    assert extent(receptive_field(three, (20, 30), output_pixel=(11, 9))) == (8, 14, 6, 12)
    pooled = OneLevel(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    # cell 5 covers pixels 10 and 11, and one more on either side
    assert extent(receptive_field(pooled, (16, 16), output_pixel=(5, 2))) == (9, 12, 3, 6)
    holes = OneLevel(nn.Conv2d(1, 1, 3, padding=2, dilation=2))
    seen = receptive_field(holes, (16, 16), output_pixel=(8, 8))
    assert seen.nonzero().tolist() == [[r, c] for r in (6, 8, 10) for c in (6, 8, 10)]


def test_receptive_field_defaults_to_the_middle_of_the_last_map():
    middle = receptive_field(Original2019(), (64, 96))
    assert middle.shape == (64, 96) and middle.dtype == torch.bool
    assert torch.equal(middle, receptive_field(Original2019(), (64, 96), -1, (48, 32)))


@pytest.mark.parametrize("name", ["original", "lean", "stacked"])
def test_receptive_field_agrees_with_perturbation(name):
    """Changing what is not seen changes nothing; in a random net, what is seen shows."""
    options = {
        "original": {"init": "he"},
        "lean": {"widths": (4, 6)},
        "stacked": {"width": 8, "stacks": 1, "depth": 1},
    }
    torch.manual_seed(0)
    model = build(name, **options[name]).double().eval()
    model.standardise = nn.Identity()  # every pixel reaches every other through its mean
    x = torch.rand(1, 1, 96, 96, dtype=torch.float64)
    column = row = model(x)[-1].scores.shape[-1] // 3
    seen = receptive_field(model, output_pixel=(column, row))
    assert 0 < int(seen.sum()) < seen.numel()

    def answer(image):
        return model(image)[-1].scores[0, :, row, column]

    with torch.no_grad():
        elsewhere = torch.where(seen, x, torch.rand_like(x))
        assert torch.equal(answer(elsewhere), answer(x))
        left, right, *_ = extent(seen)
        for columns in (slice(left, left + 1), slice(right, right + 1)):
            changes = []
            for _ in range(60):  # a max pool or a rectifier hides most single changes
                changed = 10 * torch.randn_like(x)
                again = changed.clone()
                again[..., columns] = 10 * torch.randn_like(again[..., columns])
                changes.append(not torch.equal(answer(again), answer(changed)))
            assert any(changes), f"column {columns.start} is reported as seen, without effect"


def test_original_sees_less_than_a_face():
    """The derived numbers: 46 px at the waist; 62 or 78 px at full resolution, 30 to 45 a side."""
    model = Original2019()
    left, right, top, bottom = extent(receptive_field(model, (256, 256), 0, (8, 8)))
    assert right - left + 1 == bottom - top + 1 == 46
    widths, reaches = set(), set()
    for x in range(128, 144):  # all positions modulo 16
        left, right, *_ = extent(receptive_field(model, (256, 256), -1, (x, 130)))
        widths.add(right - left + 1)
        reaches |= {x - left, right - x}
    assert widths == {62, 78}
    assert (min(reaches), max(reaches)) == (30, 45)


@pytest.mark.parametrize("name", ["lean", "stacked"])
def test_our_default_and_the_papers_see_the_whole_face(name):
    for pixel in ((0, 0), (24, 20), (47, 47)):
        assert receptive_field(build(name), output_pixel=pixel).all()


def test_receptive_field_leaves_the_network_alone():
    model = build("lean", widths=(4, 8))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    receptive_field(model)
    assert model.training and all(p.requires_grad for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("pixel", [(48, 0), (0, 48), (-1, 3)])
def test_pixels_outside_the_map_are_refused(pixel):
    with pytest.raises(ValueError, match=r"output_pixel=\(.*48 columns and 48 rows"):
        receptive_field(build("lean", widths=(4,)), output_pixel=pixel)


def test_flops_of_convolutions_by_hand_and_the_mode_is_kept():
    model = nn.Sequential(nn.Conv2d(1, 3, 1, bias=False), nn.Conv2d(3, 5, 3, padding=1)).train()
    assert flops(model, size=8) == 2 * 64 * (1 * 3 + 9 * 3 * 5)
    assert model.training


def test_the_operations_of_a_convolution_are_those_of_the_formula():
    layer, x = nn.Conv2d(3, 5, 3, padding=1, bias=False), torch.zeros(2, 3, 8, 10)
    one_way = 2 * 2 * (8 * 10) * 5 * (3 * 3 * 3)  # 2 x images x cells x channels x kernel
    assert count_flops(lambda: layer(x)) == one_way
    # Backward: one such product for the kernel's gradient; none for the image, which needs none.
    assert count_flops(lambda: layer(x).sum().backward()) == 2 * one_way


def test_flops_of_one_image_and_the_mode_is_kept():
    layer = nn.Conv2d(3, 5, kernel_size=3, padding=1).train()
    model = nn.Sequential(nn.Conv2d(1, 3, 1), layer)
    assert flops(model, size=8) == 2 * 64 * (1 * 3 + 9 * 3 * 5)
    assert layer.training
