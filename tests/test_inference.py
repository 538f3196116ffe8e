"""Prediction: whatever way the same images come in, the same points come out."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from hglib.heatmap import decode, gaussian_maps
from hglib.hourglass import Level, build
from hglib.inference import (
    MIRROR_EYES,
    as_input,
    autocast,
    fuse_conv_bn,
    has_fast_bfloat16,
    predict,
    predict_maps,
)

torch.set_num_threads(1)


def network(seed: int = 0) -> nn.Module:
    """A small network with random weights, and BatchNorms that have seen a few images."""
    torch.manual_seed(seed)
    model = build("lean", widths=(4, 8))
    for _ in range(3):
        model(torch.rand(8, 1, 32, 32))
    return model.eval()


def random_images(n: int = 7, size: tuple[int, int] = (32, 32), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *size), dtype=np.uint8)


class Drawing(nn.Module):
    """A perfect network: the image's brightest pixel, left half to map 1, right half to map 0."""

    def __init__(self, stride: int = 1, activation: str = "linear") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.stride, self.activation = stride, activation

    def forward(self, x: torch.Tensor) -> list[Level]:
        coarse = nn.functional.avg_pool2d(x, self.stride)  # (B, 1, h, w)
        half = torch.arange(coarse.shape[-1]) >= coarse.shape[-1] / 2
        scores = torch.cat([coarse * half, coarse * ~half], dim=1) * self.weight
        fine = Level(scores, self.stride, self.activation, "taylor")
        return [Level(scores[..., ::2, ::2], 2 * self.stride), fine]


def drawn_eyes(stride: int = 1) -> tuple[np.ndarray, torch.Tensor]:
    points = torch.tensor([[[23.3, 14.8], [8.2, 15.1]], [[22.6, 12.0], [9.4, 11.7]]])
    return gaussian_maps(points, (32, 32), sigma=1.5 * stride).sum(dim=1).clamp(
        max=1
    ).numpy(), points


# --- as_input ------------------------------------------------------------------------------------


def test_uint8_and_float_images_are_the_same_input():
    images = random_images()
    for other in (images / 255, (images / 255).astype(np.float32), torch.from_numpy(images)):
        torch.testing.assert_close(as_input(other), as_input(images))
    inputs = as_input(images)
    assert inputs.shape == (7, 1, 32, 32) and inputs.dtype == torch.float32
    assert inputs[3, 0, 5, 9].item() == pytest.approx(images[3, 5, 9] / 255)
    assert torch.equal(as_input(images[3]), inputs[3:4])  # one image may come alone


def test_views_and_read_only_arrays_are_welcome():
    images = random_images()
    locked = images.copy()
    locked.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(as_input(locked), as_input(images))
        assert torch.equal(as_input(images[:, :, ::-1]), as_input(images).flip(-1))
        assert torch.equal(as_input(images[::2]), as_input(images)[::2])


def test_the_input_is_a_copy():
    images = random_images().astype(np.float32) / 255
    inputs = as_input(images)
    inputs += 1
    assert images.max() <= 1


@pytest.mark.parametrize(
    "images, words",
    [
        (np.zeros((2, 1, 8, 8), np.uint8), ["(2, 1, 8, 8)", "(N, H, W)"]),
        (np.zeros(8, np.uint8), ["(8,)", "(N, H, W)"]),
        (np.zeros((2, 8, 8), np.int64), ["int64", "uint8"]),
        (np.full((2, 8, 8), 255.0), ["255", "divide by 255"]),
        (np.full((2, 8, 8), -0.5), ["-0.5", "0 to 1"]),
        (np.full((2, 8, 8), np.nan), ["nan", "0 to 1"]),
        (np.full((2, 8, 8), np.inf), ["inf", "0 to 1"]),
    ],
)
def test_images_of_another_kind_are_refused_with_a_reason(images, words):
    with pytest.raises(ValueError) as caught:
        as_input(images)
    assert all(word in str(caught.value) for word in words)


# --- predict -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2])
def test_known_eyes_are_found_in_image_pixels(stride):
    images, points = drawn_eyes(stride)
    found = predict(Drawing(stride), images, precision="float32")
    assert (found.points - points).norm(dim=-1).max() < 0.06 * stride
    assert found.points.shape == (2, 2, 2) and found.confidence.shape == (2, 2)


@pytest.mark.parametrize("mirror_order", [None, MIRROR_EYES])
def test_the_batch_size_does_not_matter(mirror_order):
    model, images = network(), random_images()
    whole = predict(model, images, mirror_order, batch=64, precision="float32")
    for batch in (1, 3, 7):
        parts = predict(model, images, mirror_order, batch=batch, precision="float32")
        torch.testing.assert_close(parts.points, whole.points, rtol=0, atol=1e-3)
        torch.testing.assert_close(parts.confidence, whole.confidence, rtol=0, atol=1e-5)


def test_the_flip_test_makes_any_network_equivariant():
    model, images = network(), random_images()
    straight = predict(model, images, MIRROR_EYES, precision="float32")
    mirrored = predict(model, images[:, :, ::-1], MIRROR_EYES, precision="float32")
    expected = straight.points.flip(1)  # left and right trade places
    expected[..., 0] = 31 - expected[..., 0]
    torch.testing.assert_close(mirrored.points, expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(mirrored.confidence, straight.confidence.flip(1))
    plain = predict(model, images[:, :, ::-1], precision="float32").points
    assert (plain - expected).abs().max() > 1  # this network alone is not


def test_the_flip_test_averages_both_views():
    model, images = network(), as_input(random_images())
    with torch.no_grad():
        one, two = model(images)[-1].maps, model(images.flip(-1))[-1].maps
    expected = (one + torch.stack([two[:, 1], two[:, 0]], dim=1).flip(-1)) / 2
    maps = predict_maps(model, images, MIRROR_EYES, "float32")
    torch.testing.assert_close(maps, expected)
    torch.testing.assert_close(predict_maps(model, images, None, "float32"), one)


@pytest.mark.parametrize("training", [True, False])
def test_the_networks_mode_is_restored_and_nothing_is_learnt(training):
    model = network().train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    eval_points = predict(network(), random_images(), precision="float32").points
    points = predict(model, random_images(), precision="float32").points
    assert torch.equal(points, eval_points)  # eval mode inside, whatever the mode outside
    assert model.training == training and not points.requires_grad
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    with pytest.raises(ValueError):
        predict(model, random_images(size=(30, 30)))
    assert model.training == training


def test_the_networks_own_decoder_is_the_default():
    images, _ = drawn_eyes()
    model = Drawing()
    maps = predict_maps(model, as_input(images), None, "float32")
    for name in ("taylor", "argmax", "soft"):
        expected = decode(maps, name)
        found = predict(model, images, decoder=name, precision="float32")
        assert torch.equal(found.points, expected.points)
    default = predict(model, images, precision="float32")
    assert torch.equal(default.points, decode(maps, "taylor").points)


@pytest.mark.parametrize("name", ["lean", "original", "stacked"])
def test_every_network_says_how_it_is_decoded(name):
    torch.manual_seed(0)
    model = build(name, **({"widths": (4, 8)} if name == "lean" else {}))
    found = predict(model, random_images(2), precision="float32")
    assert found.points.shape == (2, 2, 2) and found.points.isfinite().all()


def test_no_images_is_an_error():
    with pytest.raises(ValueError, match="no images"):
        predict(network(), np.zeros((0, 32, 32), np.uint8))


# --- Precision -----------------------------------------------------------------------------------


def test_precision_names():
    with pytest.raises(ValueError, match=r"precision='half'.*auto.*float32.*bfloat16"):
        autocast("half")
    product = {}
    for precision in ("auto", "float32", "bfloat16"):
        with autocast(precision):
            product[precision] = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    fast = torch.bfloat16 if has_fast_bfloat16() else torch.float32
    assert product == {"auto": fast, "float32": torch.float32, "bfloat16": torch.bfloat16}
    assert not has_fast_bfloat16("meta")


def test_bfloat16_maps_are_close_to_float32_ones():
    if not has_fast_bfloat16():
        pytest.skip("this processor has no bfloat16 arithmetic: emulated, it would be slow")
    model, images = network(), as_input(random_images())
    exact = predict_maps(model, images, None, "float32")
    rounded = predict_maps(model, images, None, "bfloat16")
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)  # it was used
    torch.testing.assert_close(rounded, exact, rtol=0.1, atol=0.05 * exact.max().item())


def test_the_activation_is_computed_in_float32():
    """A sigmoid near 1 in bfloat16 has steps of 0.004: peaks would have flat tops."""

    class Rounded(Drawing):
        def forward(self, x: torch.Tensor) -> list[Level]:
            level = super().forward(x)[-1]
            return [level._replace(scores=(4 * level.scores).bfloat16())]

    inputs = as_input(drawn_eyes()[0])
    model = Rounded(activation="sigmoid")
    expected = model(inputs)[-1].scores.float().sigmoid()
    assert torch.equal(predict_maps(model, inputs, None, "float32"), expected)
    flipped = model(inputs.flip(-1))[-1].scores.float().sigmoid().flip(-1).flip(1)
    both = predict_maps(model, inputs, MIRROR_EYES, "float32")
    torch.testing.assert_close(both, (expected + flipped) / 2, rtol=0, atol=1e-7)


def seasoned(name):
    """A network whose BatchNorms have seen data, so that folding them has something to do."""
    torch.manual_seed(3)
    model = build(name).train()
    for _ in range(3):
        model(torch.rand(4, 1, 64, 64))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.uniform_(module.bias, -1, 1)
    return model.eval()


@pytest.mark.parametrize("name", ["lean", "original", "stacked"])
def test_a_folded_network_gives_the_same_scores_and_leaves_its_model_alone(name):
    model, x = seasoned(name), torch.rand(2, 1, 64, 64)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    expected = model(x)
    for ours, theirs in zip(fuse_conv_bn(model)(x), expected, strict=True):
        assert theirs.scores.std() > 1e-4  # not a comparison of constants
        torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-4, atol=1e-4)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_folding_leaves_no_norm_behind_a_convolution():
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in build("lean").modules())
    assert not any(
        isinstance(m, torch.nn.BatchNorm2d) for m in fuse_conv_bn(build("lean")).modules()
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_folded_network_finds_the_same_points_in_either_precision(precision):
    from hglib.checkpoint import load_model, pretrained
    from hglib.datasets.synthetic import draw_faces

    model, images = load_model(pretrained()["lean"]), draw_faces(range(7000, 7008)).images
    ours = predict(fuse_conv_bn(model, precision), images, precision=precision).points
    theirs = predict(model, images, precision=precision).points
    near = 1e-3 if precision == "float32" else 0.25  # px: 8 binary digits in every layer
    assert (ours - theirs).norm(dim=-1).max() < near
    assert (ours[0] - ours[1]).norm(dim=-1).min() > near  # and images do differ


def test_folding_refuses_a_precision_that_does_not_exist():
    with pytest.raises(ValueError, match="precision='half' is not known"):
        fuse_conv_bn(build("lean"), "half")


# --- A reader's own network ----------------------------------------------------------------------


class Own(nn.Module):
    """Meets the protocol of `hglib.hourglass` and shares no line with it: maps of stride 4."""

    def __init__(self, landmarks: int = 2, activation: str = "sigmoid") -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=4, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.head, self.kind = nn.Conv2d(8, landmarks, 1), activation

    def forward(self, images: torch.Tensor) -> list[Level]:
        return [Level(self.head(self.body(images)), 4, self.kind)]


@pytest.mark.parametrize("activation", ["sigmoid", "linear", "softmax"])
def test_an_own_network_is_read_as_its_level_says(activation):
    torch.manual_seed(0)
    model, images = Own(3, activation).eval(), random_images()
    found = predict(model, images, precision="float32")
    maps = model(as_input(images))[-1].maps
    method, trust = ("soft", "mass") if activation == "softmax" else ("quarter", "peak")
    expected = decode(maps, method, stride=4, confidence=trust)
    torch.testing.assert_close(found.points, expected.points)
    torch.testing.assert_close(found.confidence, expected.confidence)
    fused = predict(fuse_conv_bn(model), images, precision="float32").points
    torch.testing.assert_close(fused, found.points, rtol=0, atol=1e-2)


@pytest.mark.parametrize("order", [(1, 0), (0, 0, 1), (1, 2, 0), (0, 1, 3), (-1, 1, 0)])
def test_a_mirror_order_that_does_not_fit_is_refused(order):
    with pytest.raises(ValueError, match="does not fit 3 landmarks"):
        predict(Own(3), random_images(), order)


def test_broken_weights_are_named():
    model = network()
    model.stem[0].weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"LeanHourglass: .*not finite.*stem\.0\.weight"):
        predict(model, random_images())


@pytest.mark.parametrize("batch", [0, -1, 2.5, True])
def test_a_batch_is_a_number_of_images(batch):
    with pytest.raises(ValueError, match="batch is"):
        predict(network(), random_images(), batch=batch)


def test_masked_images_are_refused():
    with pytest.raises(ValueError, match="MaskedArray"):
        as_input(np.ma.masked_equal(random_images(), 0))


def test_floats_just_above_one_are_refused():
    with pytest.raises(ValueError, match="0 to 1"):
        as_input(np.full((1, 8, 8), 1.01))
