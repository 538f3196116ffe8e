"""Right answers pass, and each usual mistake, written as a reader would, is called by its name."""

import pytest
import torch
import torch.nn.functional as F
from helpers import assert_correct, assert_not_yet
from torch import nn

from hglib import check
from hglib.anatomy import receptive_field
from hglib.hourglass import Level
from hglib.original2019 import Original2019

# ---- the recursion --------------------------------------------------------------------------


def hourglass(x, depth):
    if depth == 0:
        return x
    return x + F.interpolate(hourglass(F.max_pool2d(x, 2), depth - 1), scale_factor=2)


def slow_hourglass(x, depth):
    """The same without recursion and without torch's resizing: cell by cell."""
    total = x.clone()
    for level in range(1, depth + 1):
        side = 2**level
        for row in range(x.shape[2]):
            for column in range(x.shape[3]):
                rows = slice(row // side * side, row // side * side + side)
                columns = slice(column // side * side, column // side * side + side)
                total[:, :, row, column] += x[:, :, rows, columns].amax(dim=(2, 3))
    return total


def without_skip(x, depth):
    if depth == 0:
        return x
    return F.interpolate(without_skip(F.max_pool2d(x, 2), depth - 1), scale_factor=2)


def skip_at_the_top(x, depth):
    return x + without_skip(x, depth) if depth else x


def too_shallow(x, depth):
    return hourglass(x, max(depth - 1, 0))


def too_deep(x, depth):
    return hourglass(x, depth + 1)


def too_deep_below(x, depth):
    return hourglass(x, depth + 1) if depth else x


def averaged(x, depth):
    if depth == 0:
        return x
    return x + F.interpolate(averaged(F.avg_pool2d(x, 2), depth - 1), scale_factor=2)


def interpolated(x, depth):
    if depth == 0:
        return x
    inner = interpolated(F.max_pool2d(x, 2), depth - 1)
    return x + F.interpolate(inner, scale_factor=2, mode="bilinear")


def concatenated(x, depth):
    if depth == 0:
        return x
    inner = F.interpolate(concatenated(F.max_pool2d(x, 2), depth - 1), scale_factor=2)
    return torch.cat([x, inner], dim=1)


def halved_late(x, depth):
    if depth == 0:
        return x
    return x + F.interpolate(F.max_pool2d(halved_late(x, depth - 1), 2), scale_factor=2)


def in_place(x, depth):
    """Spoils the tensor it is given, which is its own copy."""
    answer = hourglass(x, depth).clone()
    x.zero_()
    return answer


@pytest.mark.parametrize("right", [hourglass, slow_hourglass, in_place])
def test_right_recursions_pass(right, capsys):
    assert check.recursion(right) is True
    assert_correct(capsys)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (without_skip, "the skip is missing"),
        (skip_at_the_top, "at the top only"),
        (too_shallow, "one level too few"),
        (too_deep, "return x itself"),
        (too_deep_below, "one level too many"),
        (halved_late, "halve x before the recursion"),
        (averaged, "by the maximum"),
        (interpolated, "by repeating cells"),
        (concatenated, "do not concatenate"),
        (lambda x, depth: ..., "returns nothing"),
        (lambda x, depth: x[..., ::2] if depth else x, "the shape is"),
        (lambda x, depth: x + 1 if depth else x, "off"),
    ],
)
def test_mistakes_in_the_recursion_are_named(wrong, words, capsys):
    assert check.recursion(wrong) is False
    assert_not_yet(capsys, words)


# ---- the residual module --------------------------------------------------------------------


class Good(nn.Module):
    def __init__(self, inputs, outputs, norm=nn.BatchNorm2d, padding=1, convs=2, project=True):
        super().__init__()
        body, channels = [], inputs
        for _ in range(convs):
            conv = nn.Conv2d(channels, outputs, 3, padding=padding)
            body += [norm(channels) if norm else nn.Identity(), nn.ReLU(), conv]
            channels = outputs
        self.body = nn.Sequential(*body)
        keep = inputs == outputs or not project
        self.project = nn.Identity() if keep else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x):
        return self.project(x) + self.body(x)


def residual_with(forward, **options):
    class Changed(Good):
        def __init__(self, inputs, outputs):
            super().__init__(inputs, outputs, **options)

    Changed.forward = forward
    return Changed


def good(self, x):
    return Good.forward(self, x)


def cut_in_two(inputs, outputs):
    """Its first convolutions carry x; nothing else does where the channels differ."""
    made = Good(inputs, outputs)
    if inputs != outputs:
        made.forward = made.body.forward
    return made


class ByHand(nn.Module):
    """Its layers in any order of their own; `relu` and `order` say how forward uses them."""

    relu = staticmethod(F.relu)

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm2, self.norm1 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(inputs)
        self.carry = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x):
        y = self.conv1(self.relu(self.norm1(x)))
        y = self.conv2(self.relu(self.norm2(y)))
        return y + (x if self.carry is None else self.carry(x))


def by_hand(relu):
    return type("ByHand", (ByHand,), {"relu": staticmethod(relu)})


def layers(order):
    """A residual of these layers: n BatchNorm, r ReLU, c convolution."""

    class Ordered(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            body, channels = [], inputs
            for letter in order:
                if letter == "c":
                    body.append(nn.Conv2d(channels, outputs, 3, padding=1))
                    channels = outputs
                else:
                    body.append(nn.BatchNorm2d(channels) if letter == "n" else nn.ReLU())
            self.body = nn.Sequential(*body)
            keep = inputs == outputs
            self.carry = nn.Identity() if keep else nn.Conv2d(inputs, outputs, 1)

        def forward(self, x):
            return self.carry(x) + self.body(x)

    return Ordered


RELUS = [torch.relu, lambda y: y.relu(), lambda y: y.relu_(), lambda y: y.clamp(min=0)]
RELUS += [nn.ReLU(inplace=True)]


@pytest.mark.parametrize(
    "right", [Good, residual_with(good), layers("nrcnrc"), ByHand, *map(by_hand, RELUS)]
)
def test_right_residuals_pass(right, capsys):
    assert check.residual(right) is True
    assert_correct(capsys)


RESIDUALS = {
    "x is not added": residual_with(lambda self, x: self.body(x)),
    "no ReLU after the sum": residual_with(lambda self, x: Good.forward(self, x).relu()),
    "added twice": residual_with(lambda self, x: Good.forward(self, x) + self.project(x)),
    "do not concatenate": residual_with(lambda self, x: torch.cat([x, self.body(x)], dim=1)),
    "needs padding=1": residual_with(lambda self, x: self.body(x), padding=0),
    "x is lost": cut_in_two,
    "1 convolutions of 3 x 3": residual_with(good, convs=1),
    "a BatchNorm2d is wanted": residual_with(good, norm=None),
    "change nothing": residual_with(lambda self, x: self.project(x)),
    "returns nothing": residual_with(lambda self, x: None),
    "empty so far": type("Empty", (nn.Module,), {}),
    "made from nn.Module": lambda inputs, outputs: lambda x: x,
    "stopped with RuntimeError": residual_with(good, project=False),
    "6 are wanted": lambda inputs, outputs: Good(inputs, 4),
}


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("cnrcnr", "the wrong order"),
        ("crncrn", "the wrong order"),
        ("rncrnc", "the ReLU comes after its BatchNorm"),
        ("nrcrnc", "the ReLU comes after its BatchNorm"),
        ("ncnc", "a ReLU is missing"),
        ("nrcnc", "a ReLU is missing"),
        ("nnrcrc", "a BatchNorm2d is wanted before each"),
        ("nrcnrcr", "nothing is left to do after the second"),
    ],
)
def test_another_order_of_the_layers_is_named(order, words, capsys):
    assert check.residual(layers(order)) is False
    assert_not_yet(capsys, words)


def test_what_stands_between_the_layers_is_named(capsys):
    assert check.residual(by_hand(F.leaky_relu)) is False
    assert_not_yet(capsys, "a ReLU, and nothing else")

    def of_twice_x(self, x):
        carried = x if self.carry is None else self.carry(x)
        return carried + self.conv2(self.norm2(self.conv1(self.norm1(2 * x).relu())).relu())

    wrong = type("OfTwiceX", (ByHand,), {"forward": of_twice_x})
    assert check.residual(wrong) is False
    assert_not_yet(capsys, "gets something else than x")


@pytest.mark.parametrize("words", RESIDUALS)
def test_mistakes_in_the_residual_are_named(words, capsys):
    assert check.residual(RESIDUALS[words]) is False
    assert_not_yet(capsys, words)


# ---- the receptive field of a chain ---------------------------------------------------------


def field(layers):
    seen, jump = 1, 1
    for kernel, stride in layers:
        seen += (kernel - 1) * jump
        jump *= stride
    return seen


def field_from_the_end(layers):
    """The other way round: from one output back to the pixels it needs."""
    seen = 1
    for kernel, stride in reversed(layers):
        seen = (seen - 1) * stride + kernel
    return seen


class Chain(nn.Module):
    def __init__(self, layers):
        super().__init__()
        convs = (nn.Conv2d(1, 1, k, stride=s, padding=k // 2) for k, s in layers)
        self.layers = nn.Sequential(*convs)

    def forward(self, x):
        return [Level(self.layers(x), stride=1)]


def field_by_probing(layers):
    seen = receptive_field(Chain(layers), size=(160, 160))
    return int(seen.any(dim=0).sum())


def no_strides(layers):
    return 1 + sum(kernel - 1 for kernel, _ in layers)


def from_zero(layers):
    return field(layers) - 1


def own_stride(layers):
    seen, jump = 1, 1
    for kernel, stride in layers:
        jump *= stride
        seen += (kernel - 1) * jump
    return seen


def whole_kernels(layers):
    seen, jump = 1, 1
    for kernel, stride in layers:
        seen += kernel * jump
        jump *= stride
    return seen


def product(layers):
    seen = 1
    for kernel, _ in layers:
        seen *= kernel
    return seen


def stride_of_all(layers):
    whole = 1
    for _, stride in layers:
        whole *= stride
    return whole


@pytest.mark.parametrize("right", [field, field_from_the_end, field_by_probing])
def test_right_fields_pass(right, capsys):
    assert check.field_of_chain(right) is True
    assert "46 pixels" in capsys.readouterr().out


def test_46_is_what_the_network_of_2019_sees():
    seen = receptive_field(Original2019(), level=0)
    assert int(seen.any(dim=0).sum()) == field([(3, 1), (2, 2)] * 4) == 46


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (no_strides, "the strides are missing"),
        (from_zero, "one too few"),
        (own_stride, "own stride counts"),
        (whole_kernels, "k - 1 steps, not k"),
        (product, "do not multiply"),
        (lambda layers: field(layers[::-1]), "wrong order"),
        (stride_of_all, "the stride of the whole chain"),
        (lambda layers: None, "returns nothing"),
        (lambda layers: field(layers) + 5, "5 off"),
        (lambda layers: layers[9], "IndexError"),
    ],
)
def test_mistakes_in_the_field_are_named(wrong, words, capsys):
    assert check.field_of_chain(wrong) is False
    assert_not_yet(capsys, words)


# ---- sizes that divide ----------------------------------------------------------------------


def deepest(size, stem_stride):
    size, depth = size // stem_stride, 0
    while size % 2 == 0:
        size, depth = size // 2, depth + 1
    return depth


def deepest_by_bits(size, stem_stride):
    cells = size // stem_stride
    return (cells & -cells).bit_length() - 1


def no_stem(size, stem_stride):
    return deepest(size, 1)


def until_one(size, stem_stride):
    size, depth = size // stem_stride, 0
    while size > 1:
        size, depth = size // 2, depth + 1
    return depth


def waist(size, stem_stride):
    return size // stem_stride // 2 ** deepest(size, stem_stride)


@pytest.mark.parametrize("right", [deepest, deepest_by_bits])
def test_right_depths_pass(right, capsys):
    assert check.deepest(right) is True
    assert "96 pixels allow 3" in capsys.readouterr().out
    assert (right(96, 4), right(96, 2)) == (3, 4)  # what the praise says


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (no_stem, "the stem is missing"),
        (until_one, "stop at the first odd size"),
        (lambda size, stem: deepest(size, stem) + 1, "one too many"),
        (lambda size, stem: deepest(size, stem) - 1, "one too few"),
        (waist, "the size of the waist"),
        (lambda size, stem: ..., "returns nothing"),
    ],
)
def test_mistakes_in_the_depth_are_named(wrong, words, capsys):
    assert check.deepest(wrong) is False
    assert_not_yet(capsys, words)
