"""Networks against slow loops, closed forms, symmetries and, where installed, TensorFlow."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hglib.heatmap import decode
from hglib.hourglass import (
    Hourglass,
    LeanHourglass,
    Level,
    Residual,
    StackedHourglass,
    build,
    check_network,
)
from hglib.original2019 import Original2019, UpSample

SMALL = {
    "original": {},
    "stacked": {"width": 16, "stacks": 2, "depth": 3},
    "lean": {"widths": (4, 6, 8)},
}


def small(name, **options):
    torch.manual_seed(0)
    return build(name, **{**SMALL[name], **options}).double().eval()


def random_images(count=2, rows=64, columns=64, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, rows, columns, generator=generator, dtype=torch.float64)


# ------------------------------------------------------------------ the form all networks share


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("rows", "columns", "landmarks"), [(96, 96, 2), (32, 64, 5)])
def test_every_level_covers_the_image(name, rows, columns, landmarks):
    levels = small(name, landmarks=landmarks)(random_images(3, rows, columns))
    assert levels
    for level in levels:
        assert isinstance(level, Level)
        assert level.scores.shape == (3, landmarks, rows // level.stride, columns // level.stride)
        assert level.maps.shape == level.scores.shape


@pytest.mark.parametrize("name", SMALL)
def test_images_do_not_influence_each_other(name):
    model, x = small(name), random_images(3)
    for together, alone in zip(model(x), model(x[1:2]), strict=True):
        torch.testing.assert_close(together.scores[1:2], alone.scores)


def test_defaults_are_the_published_forms():
    with torch.no_grad():
        x = torch.zeros(1, 1, 96, 96)
        forms = {name: [(m.stride, m.activation) for m in build(name)(x)] for name in SMALL}
    assert forms["original"] == [(16, "sigmoid"), (1, "sigmoid")]
    assert forms["stacked"] == [(2, "linear"), (2, "linear")]
    assert forms["lean"][-1] == (2, "softmax")


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("activation", ["sigmoid", "linear", "softmax"])
def test_maps_are_the_activated_scores(name, activation):
    x = random_images().to(memory_format=torch.channels_last)
    level = small(name, activation=activation)(x)[-1]
    scores = level.scores.detach().numpy()
    whole = np.exp(scores).sum(axis=(2, 3), keepdims=True)
    expected = {
        "sigmoid": 1 / (1 + np.exp(-scores)),
        "linear": scores,
        "softmax": np.exp(scores) / whole,
    }
    np.testing.assert_allclose(level.maps.detach().numpy(), expected[activation], atol=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_gradient_reaches_every_parameter(name):
    model = small(name)  # evaluation mode: in training a BatchNorm cancels the bias before it
    levels = model(random_images())
    sum((level.scores**2).sum() for level in levels).backward()
    untouched = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert untouched == []


def test_build_refuses_unknown_names_and_options():
    with pytest.raises(ValueError, match=r"name='hrnet'.*'lean', 'original', 'stacked'"):
        build("hrnet")
    with pytest.raises(TypeError, match="dept"):
        build("stacked", dept=3)


@pytest.mark.parametrize("name", SMALL)
def test_bad_options_are_named(name):
    with pytest.raises(ValueError, match=r"activation='tanh'.*'sigmoid'"):
        build(name, activation="tanh")
    with pytest.raises(ValueError, match="landmarks=0"):
        build(name, landmarks=0)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("original", {"init": "xavier"}, "init='xavier'.*'2019', 'he'"),
        ("stacked", {"stacks": 0}, "stacks=0"),
        ("stacked", {"depth": -1}, "depth=-1"),
        ("stacked", {"width": 20}, "width=20.*multiple of 8"),
        ("stacked", {"stem_stride": 3}, "stem_stride=3.*2, 4"),
        ("stacked", {"stem_kernel": 5}, "stem_kernel=5.*7, 8"),
        ("lean", {"widths": ()}, r"len\(widths\)=0"),
        ("lean", {"widths": (8, 0)}, r"min\(widths\)=0"),
    ],
)
def test_options_out_of_range(name, options, reason):
    with pytest.raises(ValueError, match=reason):
        build(name, **options)


@pytest.mark.parametrize(
    ("name", "options", "shape", "reason"),
    [
        ("original", {}, (90, 96), "90 x 96.*multiples of 16"),
        ("original", {}, (96, 8), "96 x 8.*multiples of 16"),
        (
            "stacked",
            {"stem_stride": 4, "depth": 4},
            (96, 96),
            "96 x 96.*multiples of 64.*stem_stride 4.*depth 4",
        ),
        ("stacked", {"depth": 3}, (96, 100), "multiples of 16"),
        ("lean", {"widths": (4, 6, 8)}, (96, 100), "multiples of 8"),
        ("lean", {"widths": (4, 6, 8)}, (0, 8), "0 x 8.*multiples of 8"),
    ],
)
def test_sizes_that_do_not_divide_say_which_do(name, options, shape, reason):
    with pytest.raises(ValueError, match=reason):
        build(name, **options)(torch.zeros(1, 1, *shape))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("shape", [(96, 96), (1, 96, 96), (1, 3, 96, 96)])
def test_wrong_axes_are_named(name, shape):
    with pytest.raises(ValueError, match=r"shape \(" + ", ".join(map(str, shape))):
        build(name, **SMALL[name])(torch.zeros(shape))


# ------------------------------------------- the 2019 network against loops written from its text


def slow_same_padding(size, kernel, stride):
    """TensorFlow's "SAME": (outputs, padding before); the odd pixel of padding goes after."""
    outputs = math.ceil(size / stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    return outputs, total // 2


def slow_taps(size, kernel, stride):
    """All (output, kernel, input) indices along one axis that fall inside the input."""
    outputs, before = slow_same_padding(size, kernel, stride)
    for output in range(outputs):
        for tap in range(kernel):
            if 0 <= output * stride + tap - before < size:
                yield output, tap, output * stride + tap - before


def slow_conv(x, kernel, bias):
    """x (H, W, in), kernel (kh, kw, in, out) -> (H, W, out)."""
    result = np.zeros((*x.shape[:2], kernel.shape[3])) + bias
    for row, a, from_row in slow_taps(x.shape[0], kernel.shape[0], 1):
        for column, b, from_column in slow_taps(x.shape[1], kernel.shape[1], 1):
            result[row, column] += x[from_row, from_column] @ kernel[a, b]
    return result


def slow_conv_transpose(x, kernel):
    """Stride 2: what a strided convolution gathers, its transpose scatters.

    x (h, w, in), kernel (kh, kw, out, in) -> (2h, 2w, out).
    """
    result = np.zeros((2 * x.shape[0], 2 * x.shape[1], kernel.shape[2]))
    for row, a, to_row in slow_taps(result.shape[0], kernel.shape[0], 2):
        for column, b, to_column in slow_taps(result.shape[1], kernel.shape[1], 2):
            result[to_row, to_column] += kernel[a, b] @ x[row, column]
    return result


def slow_pool(x, stride):
    """2x2 max pool, "SAME"."""
    rows, columns = (slow_same_padding(size, 2, stride)[0] for size in x.shape[:2])
    result = np.full((rows, columns, x.shape[2]), -np.inf)
    for row, _, from_row in slow_taps(x.shape[0], 2, stride):
        for column, _, from_column in slow_taps(x.shape[1], 2, stride):
            cell = x[from_row, from_column]
            result[row, column] = np.maximum(result[row, column], cell)
    return result


def slow_leaky(x, slope):
    return np.where(x > 0, x, slope * x)


def slow_up(x, kernel, bias):
    return slow_leaky(slow_pool(slow_conv_transpose(x, kernel), 1) + bias, 0.2)


def slow_down(x, conv, conv_bias, project, project_bias):
    local = slow_leaky(slow_pool(slow_conv(x, conv, conv_bias), 2), 0.01)
    return local + slow_pool(slow_conv(x, project, project_bias), 2)


def slow_original(image, v):
    """image (H, W), v the 32 variables in the order of creation -> scores (coarse, fine)."""
    cv1 = slow_down(image[:, :, None], *v[0:4])
    cv2 = slow_down(cv1, *v[6:10])
    cv3 = slow_down(cv2, *v[12:16]) / 10
    cv4 = slow_down(cv3, *v[18:22])
    up = slow_up(cv4, *v[22:24])
    up = slow_up(up + slow_conv(cv3, *v[16:18]), *v[24:26])
    up = slow_up(up + slow_conv(cv2, *v[10:12]), *v[26:28])
    up = slow_up(up + slow_conv(cv1, *v[4:6]), *v[28:30])
    return slow_conv(cv4, *v[30:32]), up


def conv_shapes(size, inputs, filters):
    return [(size, size, inputs, filters), (filters,)]


VARIABLE_SHAPES = [
    *(conv_shapes(3, 1, 4) + conv_shapes(1, 1, 4) + conv_shapes(1, 4, 8)),
    *(conv_shapes(3, 4, 8) + conv_shapes(1, 4, 8) + conv_shapes(1, 8, 16)),
    *(conv_shapes(3, 8, 16) + conv_shapes(1, 8, 16) + conv_shapes(1, 16, 32)),
    *(conv_shapes(3, 16, 32) + conv_shapes(1, 16, 32)),
    *[(3, 3, 32, 32), (32,), (3, 3, 16, 32), (16,), (3, 3, 8, 16), (8,), (3, 3, 2, 8), (2,)],
    *conv_shapes(1, 32, 2),
]


def random_variables(seed=0):
    """Large enough that every layer's non-linearity matters; float64."""
    rng = np.random.default_rng(seed)
    scales = [
        2 / math.sqrt(math.prod(s[:2]) * max(s[2:])) if s[1:] else 0.3 for s in VARIABLE_SHAPES
    ]
    return [rng.normal(0, scale, s) for scale, s in zip(scales, VARIABLE_SHAPES, strict=True)]


def load_tf_variables(model, arrays):
    """The 32 variables of the TensorFlow graph, kernel and bias in turn, in the order of layers.

    Kernels are (kh, kw, in, out), transposed ones (kh, kw, out, in).
    """
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    modules = model.named_modules()
    layers = [layer for name, layer in modules if isinstance(layer, kinds) and name != "skip"]
    parts = [part for layer in layers for part in (layer.weight, layer.bias)]
    with torch.no_grad():
        for part, array in zip(parts, arrays, strict=True):
            given = torch.as_tensor(array)
            part.copy_(given.permute(3, 2, 0, 1) if given.ndim == 4 else given)


def test_up_sample_is_the_slow_loop():
    rng = np.random.default_rng(0)
    x, kernel, bias = rng.normal(size=(3, 5, 2)), rng.normal(size=(3, 3, 4, 2)), rng.normal(size=4)
    module = UpSample(2, 4).double()
    with torch.no_grad():
        module.conv.weight.copy_(torch.tensor(kernel).permute(3, 2, 0, 1))
        module.conv.bias.copy_(torch.tensor(bias))
        result = module(torch.tensor(x).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    np.testing.assert_allclose(result.numpy(), slow_up(x, kernel, bias), atol=1e-12)


def test_original_is_the_slow_loop():
    variables = random_variables()
    model = Original2019().double()
    load_tf_variables(model, variables)
    x = random_images(1, 48, 32)
    coarse, fine = model(x)
    expected = slow_original(x[0, 0].numpy(), variables)
    for level, slow in zip((coarse, fine), expected, strict=True):
        result = level.scores[0].permute(1, 2, 0).detach().numpy()
        assert slow.std() > 1e-2  # the comparison is not one of constants
        np.testing.assert_allclose(result, slow, atol=1e-12)


def tensorflow_graph(tf, x, variables):
    """The 2019 graph, x (B, H, W, 1), from TensorFlow's own operations; activated maps."""
    given = iter(variables)

    def conv(x):
        return tf.nn.conv2d(x, next(given), strides=1, padding="SAME") + next(given)

    def pool(x, stride):
        return tf.nn.max_pool2d(x, ksize=2, strides=stride, padding="SAME")

    def down(x):
        local = tf.nn.leaky_relu(pool(conv(x), 2), alpha=0.01)
        return local + pool(conv(x), 2)

    def up(x):
        kernel, bias = next(given), next(given)
        shape = [x.shape[0], 2 * x.shape[1], 2 * x.shape[2], kernel.shape[2]]
        grown = tf.nn.conv2d_transpose(x, kernel, shape, strides=2, padding="SAME")
        return tf.nn.leaky_relu(pool(grown, 1) + bias)

    laterals = []
    for divisor in (1, 1, 10):
        x = down(x) / divisor
        laterals.append(conv(x))
    waist = down(x)
    fine = up(waist)
    while laterals:
        fine = up(fine + laterals.pop())
    return [tf.sigmoid(conv(waist)).numpy(), tf.sigmoid(fine).numpy()]


def test_original_is_tensorflows():
    tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    variables = [v.astype(np.float32) for v in random_variables(seed=1)]
    x = random_images(2, 96, 96).float()
    model = Original2019()
    load_tf_variables(model, variables)
    expected = tensorflow_graph(tf, x.permute(0, 2, 3, 1).numpy(), variables)
    for level, maps in zip(model(x), expected, strict=True):
        result = level.maps.permute(0, 2, 3, 1).detach().numpy()
        assert maps.std() > 0.05
        np.testing.assert_allclose(result, maps, atol=2e-6)


def test_original_has_the_parameters_of_its_layers():
    total = sum(math.prod(shape) for shape in VARIABLE_SHAPES)
    assert sum(p.numel() for p in Original2019().parameters()) == total == 22_852


def test_original_keeps_its_names():
    layers = ["down1.conv", "down1.project", "lateral1", "down2.conv", "down2.project", "lateral2"]
    layers += ["down3.conv", "down3.project", "lateral3", "down4.conv", "down4.project"]
    layers += ["up4.conv", "up3.conv", "up2.conv", "up1.conv", "head"]
    expected = [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
    assert list(Original2019().state_dict()) == expected


def test_repairs_stand_beside_the_layers_of_2019():
    model = Original2019(full_resolution_skip=True, normalise=True)
    names = {name for name, _ in model.named_parameters()}
    assert {name for name, _ in Original2019().named_parameters()} < names
    before = model.skip.weight.clone()
    load_tf_variables(model, random_variables())
    torch.testing.assert_close(model.skip.weight, before)


# --------------------------------------------------- initialisation and repairs of the 2019 network


def layers_and_fan_in(model):
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            yield layer, layer.in_channels * math.prod(layer.kernel_size)


def test_init_2019_is_a_truncated_normal_of_one_over_fan_in():
    torch.manual_seed(0)
    layers = list(layers_and_fan_in(Original2019()))
    density = math.exp(-2) / math.sqrt(2 * math.pi)  # variance of a normal cut at 2 sd
    truncated = math.sqrt(1 - 4 * density / math.erf(math.sqrt(2)))
    for layer, fan_in in layers:
        assert layer.weight.abs().max() * fan_in <= 2 + 1e-5
        assert layer.bias.abs().max() * layer.out_channels <= 2 + 1e-5
        error = 1 / math.sqrt(layer.weight.numel())
        assert abs(layer.weight.std() * fan_in - truncated) < 5 * error
    kernels = torch.cat([layer.weight.flatten() * fan_in for layer, fan_in in layers])
    biases = torch.cat([layer.bias.flatten() * layer.out_channels for layer, _ in layers])
    assert kernels.std().item() == pytest.approx(truncated, abs=0.02)
    assert biases.std().item() == pytest.approx(truncated, abs=0.15)  # 222 values
    assert kernels.abs().max() > 1.95


def test_init_he_keeps_the_signal_alive():
    x = random_images(8, 96, 96).float()
    sd = {}
    for init in ("2019", "he"):
        torch.manual_seed(0)
        model = Original2019(init=init)
        with torch.no_grad():
            sd[init] = float(model(x)[0].scores.std(dim=(0, 2, 3)).mean())
    kernels = torch.cat(
        [layer.weight.flatten() * (fan_in / 2) ** 0.5 for layer, fan_in in layers_and_fan_in(model)]
    )
    assert kernels.std().item() == pytest.approx(1, abs=0.03)
    assert not any(layer.bias.any() for layer, _ in layers_and_fan_in(model))
    assert sd["2019"] < 1e-3 < 1e-2 < sd["he"]


def test_full_resolution_skip_adds_what_it_sees():
    plain, repaired = small("original"), small("original", full_resolution_skip=True)
    repaired.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        repaired.skip.weight.zero_()
        repaired.skip.weight[:, :, 1, 1] = 3  # the image itself, three times
        repaired.skip.bias.fill_(0.5)
    x = random_images()
    torch.testing.assert_close(repaired(x)[0].scores, plain(x)[0].scores)
    torch.testing.assert_close(repaired(x)[1].scores, plain(x)[1].scores + 3 * x + 0.5)


def test_normalise_standardises_every_step_but_the_last():
    model = small("original", normalise=True).train()
    steps = {name: m for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    outputs = {}
    for name, norm in steps.items():
        norm.register_forward_hook(lambda _, __, y, name=name: outputs.update({name: y.detach()}))
    x = 100 * random_images(4)  # large, so that BatchNorm's epsilon does not show
    with torch.no_grad():
        model(x)
    expected = {"down1", "down2", "down3", "down4", "up4", "up3", "up2"}
    assert {name.split(".")[0] for name in outputs} == expected
    for y in outputs.values():
        torch.testing.assert_close(y.mean(dim=(0, 2, 3)), torch.zeros_like(y[0, :, 0, 0]))
    deviations = outputs["down1.norm"].std(dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(deviations, torch.ones_like(deviations), rtol=1e-3, atol=0)


# -------------------------------------------------------------------- alignment and mirror symmetry


def centroid(x):
    """Centre of mass (column, row) of a map (1, 1, h, w)."""
    weights = x[0, 0] / x.sum()
    rows, columns = torch.meshgrid(*(torch.arange(n).to(x) for n in weights.shape), indexing="ij")
    return float((weights * columns).sum()), float((weights * rows).sum())


def naive_step(x, kernel):
    """The usual PyTorch port: one pixel per side of padding, then the same pool."""
    grown = F.conv_transpose2d(x, kernel, stride=2, padding=1, output_padding=1)
    return F.max_pool2d(F.pad(grown, (0, 1, 0, 1), value=-math.inf), 2, stride=1)


def test_half_pixel_shifts_cancel():
    step = UpSample(1, 1).double()
    nn.init.ones_(step.conv.weight)
    nn.init.zeros_(step.conv.bias)
    x = torch.zeros(1, 1, 6, 6, dtype=torch.float64)
    x[0, 0, 3, 2] = 1
    naive = x
    with torch.no_grad():
        for stage in range(1, 5):
            x, naive = step(x), naive_step(naive, step.conv.weight)
            scale = 2**stage
            true = tuple((i + 0.5) * scale - 0.5 for i in (2, 3))
            assert centroid(x) == pytest.approx(true, abs=1e-9)
            behind = scale - 1  # 1, 3, 7, 15 px, left and up
            assert centroid(naive) == pytest.approx([t - behind for t in true], abs=1e-9)


def symmetrise(model):
    """Kernels symmetric in x, and BatchNorm statistics that are not the initial 0 and 1."""
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.weight.data = (layer.weight.data + layer.weight.data.flip(-1)) / 2
        elif isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.2, 1.5)
    return model


def mirror_error(model):
    x = random_images()
    with torch.no_grad():
        pairs = zip(model(x.flip(-1)), model(x), strict=True)
        return max(float((a.scores - b.scores.flip(-1)).abs().max()) for a, b in pairs)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lean", {}),
        ("stacked", {}),
        ("stacked", {"stem_stride": 4, "depth": 2}),
        ("stacked", {"depth": 0, "stacks": 1}),
    ],
)
def test_mirrored_image_gives_mirrored_maps(name, options):
    assert mirror_error(symmetrise(small(name, **options))) < 1e-10


def test_the_papers_odd_stem_kernel_breaks_the_mirror():
    assert mirror_error(symmetrise(small("stacked", stem_kernel=7))) > 1e-3


# ------------------------------------------------------------------------- the paper's modules


def perturb(model):
    """Random BatchNorm parameters and statistics, so that a skipped or swapped norm shows."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.bias, layer.running_mean):
                nn.init.normal_(values)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return model.double().eval()


@pytest.mark.parametrize(("inputs", "outputs"), [(8, 8), (8, 12)])
def test_residual_is_the_papers_formula(inputs, outputs):
    torch.manual_seed(0)
    block = perturb(Residual(inputs, outputs))
    x = torch.randn(2, inputs, 5, 6, dtype=torch.float64)
    y = x
    for first, kernel in ((0, 1), (3, 3), (6, 1)):
        norm, conv = block.body[first], block.body[first + 2]
        assert conv.kernel_size == (kernel, kernel)
        deviation = (norm.running_var + norm.eps).sqrt()
        scale, shift = (
            norm.weight / deviation,
            norm.bias - norm.running_mean * norm.weight / deviation,
        )
        y = (y * scale[:, None, None] + shift[:, None, None]).clamp(min=0)
        y = F.conv2d(y, conv.weight, conv.bias, padding=kernel // 2)
    assert [block.body[i].out_channels for i in (2, 5, 8)] == [outputs // 2, outputs // 2, outputs]
    if inputs == outputs:
        expected = x + y
    else:
        expected = y + F.conv2d(x, block.project.weight, block.project.bias)
    torch.testing.assert_close(block(x), expected)


def silence_residuals(model):
    """Make every Residual the identity: its last convolution gives nothing."""
    for block in model.modules():
        if isinstance(block, Residual):
            nn.init.zeros_(block.body[-1].weight)
            nn.init.zeros_(block.body[-1].bias)
    return model


def slow_pyramid_sum(x, depth):
    """(h, w): the map plus its halved self, recursively, doubled by repeating cells."""
    if depth == 0:
        return x
    rows, columns = x.shape
    halved = x.reshape(rows // 2, 2, columns // 2, 2).max(axis=(1, 3))
    inner = slow_pyramid_sum(halved, depth - 1)
    return x + np.kron(inner, np.ones((2, 2)))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_hourglass_adds_every_resolution(depth):
    x = np.random.default_rng(0).normal(size=(1, 2, 8, 16))
    model = silence_residuals(Hourglass(depth, 2)).double().eval()
    result = model(torch.tensor(x)).detach().numpy()
    for channel in range(2):
        expected = slow_pyramid_sum(x[0, channel], depth)
        np.testing.assert_allclose(result[0, channel], expected, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_hourglass_holds_three_residuals_per_level_and_one_at_the_waist(depth):
    residuals = [m for m in Hourglass(depth, 8).modules() if isinstance(m, Residual)]
    assert len(residuals) == 3 * depth + 1


@pytest.mark.parametrize("stacks", [1, 2, 3])
@pytest.mark.parametrize(("stem_stride", "depth"), [(2, 0), (2, 4), (4, 3)])
def test_stacks_depths_and_stems(stacks, stem_stride, depth):
    model = small("stacked", stacks=stacks, stem_stride=stem_stride, depth=depth)
    levels = model(random_images(1, 96, 96))
    assert [level.stride for level in levels] == [stem_stride] * stacks
    assert all(level.scores.shape[-1] == 96 // stem_stride for level in levels)
    depths = [m for m in model.modules() if isinstance(m, Hourglass)]
    assert len(depths) == stacks * depth


def test_stem_of_stride_four_is_max_pooled_halfway():
    half, quarter = (small("stacked", stem_stride=stride).stem for stride in (2, 4))
    quarter.load_state_dict(half.state_dict())
    expected = half[5:](F.max_pool2d(half[:4](random_images()), 2))
    torch.testing.assert_close(quarter(random_images()), expected)


def residual_size(inputs, outputs):
    middle = outputs // 2
    norms = 2 * (inputs + 2 * middle)
    convs = (inputs + 1) * middle + (9 * middle + 1) * middle + (middle + 1) * outputs
    return norms + convs + (0 if inputs == outputs else (inputs + 1) * outputs)


@pytest.mark.parametrize("kernel", [7, 8])
@pytest.mark.parametrize(("stacks", "depth", "width", "landmarks"), [(2, 4, 64, 2), (3, 1, 16, 5)])
def test_stacked_has_the_parameters_of_its_layers(stacks, depth, width, landmarks, kernel):
    quarter, half = width // 4, width // 2
    stem = (kernel**2 + 1) * quarter + 2 * quarter
    stem += residual_size(quarter, half) + residual_size(half, half) + residual_size(half, width)
    body = (3 * depth + 2) * residual_size(width, width) + (width + 1) * width + 2 * width
    head, again = (width + 1) * landmarks, (width + 1) * width + (landmarks + 1) * width
    model = StackedHourglass(landmarks, stacks, depth, width, stem_kernel=kernel)
    expected = stem + stacks * (body + head) + (stacks - 1) * again
    assert sum(p.numel() for p in model.parameters()) == expected


def test_second_stack_starts_from_the_first_ones_input():
    model = small("stacked")
    model.bodies[1].load_state_dict(model.bodies[0].state_dict())
    model.heads[1].load_state_dict(model.heads[0].state_dict())
    for layer in (model.from_features[0], model.from_scores[0]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    first, second = model(random_images())
    torch.testing.assert_close(first.scores, second.scores)


def test_supervision_flows_backwards_through_the_stacks_only():
    model = small("stacked", stacks=3)
    levels = model(random_images())
    (levels[1].scores ** 2).sum().backward(retain_graph=True)
    reached = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    later = {n for n, _ in model.named_parameters() if n.startswith(("bodies.2", "heads.2"))}
    later |= {
        n for n, _ in model.named_parameters() if n.startswith(("from_features.1", "from_sc"))
    }
    later -= {"from_scores.0.weight", "from_scores.0.bias"}
    assert reached == {n for n, _ in model.named_parameters()} - later
    (levels[2].scores ** 2).sum().backward()
    assert all(p.grad.any() for p in model.parameters())


def test_stacked_keeps_its_names():
    names = {name.split(".")[0] for name in StackedHourglass(width=8).state_dict()}
    assert names == {"stem", "bodies", "heads", "from_features", "from_scores"}
    inside = {name.split(".")[0] for name in Hourglass(2, 8).state_dict()}
    assert inside == {"skip", "down", "inner", "up"}


# ------------------------------------------------------------------------------- our default


@pytest.mark.parametrize("widths", [(4,), (4, 8), (4, 8, 12, 16)])
def test_lean_has_one_resolution_per_width(widths):
    model = LeanHourglass(widths=widths)
    smallest = []
    model.waist.register_forward_hook(lambda _, __, y: smallest.append(tuple(y.shape[1:])))
    model(torch.zeros(1, 1, 64, 96))
    scale = 2 ** len(widths)
    assert smallest == [(widths[-1], 64 // scale, 96 // scale)]


# ------------------------------------------------------------------------------- the protocol


X = torch.zeros(2, 1, 32, 48)


def level(*shape, stride=4, **fields):
    return Level(torch.zeros(shape), stride, **fields)


def test_levels_that_meet_the_protocol_pass():
    check_network([level(2, 5, 2, 3, stride=16), level(2, 5, 8, 12)], X, landmarks=5)
    check_network((level(2, 1, 32, 48, stride=1, activation="softmax", decoder="taylor"),), X)


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        (torch.zeros(2, 2, 8, 12), "returned a Tensor.*list of Level"),
        (level(2, 2, 8, 12), "returned a Level.*list of Level"),
        (None, "returned a NoneType"),
        ([], "not empty"),
        ([torch.zeros(2, 2, 8, 12)], "level 0 is a Tensor"),
        ([level(2, 2, 8, 12), (1, 2)], "level 1 is a tuple"),
        ([Level("scores", 4)], "level 0: scores"),
        ([Level(torch.zeros(2, 2, 8, 12, dtype=int), 4)], "int64.*float"),
        ([level(2, 8, 12)], r"\(2, 8, 12\).*\(B, K, h, w\)"),
        ([level(2, 2, 8, 12, stride=2)], r"expected \(2, 2, 16, 24\).*stride 2"),
        ([level(2, 2, 8, 12, stride=0)], "stride is 0"),
        ([level(2, 2, 8, 12, stride=4.0)], "stride is 4.0"),
        ([level(2, 2, 8, 12, stride=True)], "stride is True"),
        ([level(1, 2, 8, 12)], r"expected \(2, 2"),
        ([level(2, 0, 8, 12)], r"\(2, 0, 8, 12\)"),
        ([level(2, 2, 8, 12), level(2, 3, 8, 12)], r"level 1.*expected \(2, 2"),
        ([level(2, 2, 8, 12, activation="tanh")], "activation='tanh'.*softmax"),
        ([level(2, 2, 8, 12, decoder="dark")], "decoder='dark'.*taylor"),
        ([Level(torch.full((2, 2, 8, 12), math.nan), 4)], "level 0: scores are not finite"),
    ],
)
def test_output_that_does_not_meet_the_protocol_is_described(levels, words):
    with pytest.raises(ValueError, match=words):
        check_network(levels, X)


def test_the_wanted_number_of_landmarks_is_checked():
    with pytest.raises(ValueError, match=r"scores are \(2, 2, 8, 12\), expected \(2, 15, 8, 12\)"):
        check_network([level(2, 2, 8, 12)], X, landmarks=15)


@pytest.mark.parametrize("activation", ["sigmoid", "linear", "softmax"])
def test_a_level_decodes_as_its_activation_says(activation):
    scores = torch.randn(3, 2, 8, 12, generator=torch.Generator().manual_seed(0))
    own = Level(scores, 4, activation)
    mass = activation == "softmax"
    method = "soft" if mass else "quarter"
    expected = decode(own.maps, method, 4, confidence="mass" if mass else "peak")
    for mine, theirs in zip(own.decode(), expected, strict=True):
        assert torch.equal(mine, theirs)
    named = own._replace(decoder="taylor")
    assert torch.equal(named.decode().points, decode(own.maps, "taylor", 4).points)
    assert torch.equal(named.decode("argmax").points, decode(own.maps, "argmax", 4).points)
    assert torch.equal(
        own.decode(maps=own.maps.flip(-1)).points, decode(own.maps.flip(-1), method, 4).points
    )
