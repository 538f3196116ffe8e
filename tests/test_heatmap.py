"""Heat maps: oracles are slow loops, closed forms, round trips and symmetries."""

import doctest
import itertools
import math

import numpy as np
import pytest
import torch

from hglib import heatmap
from hglib.heatmap import (
    channels_last_layout,
    decode,
    exponential_maps,
    gaussian_maps,
    max_pool_pyramid,
    render,
    render_pyramid,
    to_image,
    to_map,
)

WIDTHS = {"exponential": {"alpha": 0.1}, "gaussian": {"sigma": 1.5}}  # of the render's two kinds


def width_of(kind: str, width: float) -> dict[str, float]:
    return {"alpha" if kind == "exponential" else "sigma": width}


ARGMAX_FLOOR = (math.sqrt(2) + math.asinh(1)) / 6  # mean distance to the middle of a unit square


def subpixel_points(middle: float = 12.0, stride: int = 1, n: int = 32) -> torch.Tensor:
    """n * n points (n * n, 1, 2) spread evenly over the cell around `middle`, none on a tie."""
    offsets = (torch.arange(n, dtype=torch.float64) + 0.5) / n - 0.5
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    return middle + stride * torch.stack([x, y], dim=-1).reshape(-1, 1, 2)


def mean_error(decoded: torch.Tensor, points: torch.Tensor) -> float:
    return float((decoded - points).norm(dim=-1).mean())


def random_points(batch: int = 3, seed: int = 0, size: float = 96) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 2, 2, generator=generator, dtype=torch.float64) * size


def random_maps(rows: int, columns: int, batch: int = 40, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 2, rows, columns, generator=generator, dtype=torch.float64)


# --- Coordinates ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, 4, 16])
def test_coordinates_round_trip_and_block_middles(stride):
    blocks = torch.arange(96.0).reshape(-1, stride)  # the pixels of every cell
    cells = torch.arange(96.0 // stride)
    torch.testing.assert_close(to_image(cells, stride), blocks.mean(dim=1))
    torch.testing.assert_close(to_map(to_image(cells, stride), stride), cells)


@pytest.mark.parametrize("stride", [2, 4])
def test_mixed_conventions_cost_the_known_half_pixels(stride):
    points = random_points()
    mixed = (to_map(points, stride)) * stride  # honest encoding, "index * stride" decoding
    expected = torch.full_like(points, -(stride - 1) / 2)
    torch.testing.assert_close(mixed - points, expected)


def test_mirroring_commutes_with_the_stride():
    points = random_points()
    mirrored = to_map(95 - points, 4)
    torch.testing.assert_close(mirrored, 23 - to_map(points, 4))


# --- Targets -------------------------------------------------------------------------------------


def original_maps(points: np.ndarray) -> np.ndarray:
    """The original project's targets: a double loop over the image, then a transposition."""
    maps = np.zeros((len(points), points.shape[1], 96, 96))
    for n, face in enumerate(points):
        for k, landmark in enumerate(face):
            for i in range(96):
                for j in range(96):
                    maps[n, k, i, j] = np.exp(-0.1 * np.linalg.norm(np.array([i, j]) - landmark))
    return maps.transpose(0, 3, 2, 1)


@pytest.mark.parametrize("points", [[[66, 37], [30, 36]], [[66.3, 36.8], [29.51, 95.7]]])
def test_exponential_maps_are_the_originals(points):
    expected = original_maps(np.array([points], dtype=float))
    maps = exponential_maps(torch.tensor([points], dtype=torch.float64))
    result = channels_last_layout(maps)
    assert result.shape == (1, 96, 96, 2)
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (3, 1)])
def test_a_side_of_one_pixel_is_a_map_too(size):
    maps = exponential_maps(torch.zeros(1, 1, 2), size=size, alpha=0.5)
    rows, columns = np.indices(size)
    np.testing.assert_allclose(maps[0, 0], np.exp(-0.5 * np.hypot(rows, columns)), rtol=1e-6)


@pytest.mark.parametrize("kind", ["exponential", "gaussian"])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_targets_against_a_loop_at_every_stride(kind, stride):
    points, width = random_points(2, size=12), 0.7
    maps = render(points, size=(8, 12), stride=stride, **width_of(kind, width))
    assert maps.shape == (2, 2, 8 // stride, 12 // stride)
    for b, k, row, column in np.ndindex(*maps.shape):
        x, y = points[b, k].tolist()
        d = math.hypot((column + 0.5) * stride - 0.5 - x, (row + 0.5) * stride - 0.5 - y)
        gaussian = math.exp(-((d / stride) ** 2) / (2 * width**2))
        expected = math.exp(-width * d) if kind == "exponential" else gaussian
        assert maps[b, k, row, column].item() == pytest.approx(expected, abs=1e-12)


def test_labelled_needs_both_coordinates():
    nan, inf = math.nan, math.inf
    points = torch.tensor([[[1.0, 2.0], [nan, 2.0]], [[1.0, inf], [nan, nan]]])
    assert heatmap.labelled(points).tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize("kind", ["exponential", "gaussian"])
def test_targets_are_differentiable(kind):
    points = random_points(2, size=6).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: render(p, (6, 6), 2, **width_of(kind, 0.8)), points)


@pytest.mark.parametrize("kind", ["exponential", "gaussian"])
def test_gradient_on_a_cell_centre_is_zero_and_not_nan(kind):
    points = torch.tensor([[[3.0, 2.0]]], requires_grad=True)
    render(points, (6, 8), **WIDTHS[kind])[0, 0, 2, 3].backward()
    assert torch.equal(points.grad, torch.zeros(1, 1, 2))


@pytest.mark.parametrize("kind", ["exponential", "gaussian"])
def test_missing_points_give_zero_maps_and_leave_the_others_alone(kind):
    nan, inf = float("nan"), float("inf")
    points = torch.tensor([[[nan, nan], [3.0, 2.5]], [[nan, 1.0], [1.0, inf]]], requires_grad=True)
    maps = render(points, (6, 8), **WIDTHS[kind])
    assert maps[0, 1].max() > 0.7
    missing = torch.stack([maps[0, 0], maps[1, 0], maps[1, 1]])
    assert torch.equal(missing, torch.zeros(3, 6, 8))
    torch.testing.assert_close(maps[0, 1], render(points[:1, 1:], (6, 8), **WIDTHS[kind])[0, 0])
    maps[:, :, 1].sum().backward()
    assert points.grad.isfinite().all()
    assert points.grad[0, 1].abs().min() > 0
    assert torch.equal(points.grad[1], torch.zeros(2, 2))


@pytest.mark.parametrize("kind", ["exponential", "gaussian"])
@pytest.mark.parametrize("stride", [1, 4])
def test_mirrored_points_make_mirrored_maps_with_channels_swapped(kind, stride):
    points = random_points()
    mirrored = points.clone()
    mirrored[..., 0] = 95 - points[..., 0]
    maps = render(mirrored.flip(1), stride=stride, **WIDTHS[kind])
    torch.testing.assert_close(maps, render(points, stride=stride, **WIDTHS[kind]).flip(1, 3))


@pytest.mark.parametrize("kind", ["exponential", "gaussian"])
def test_targets_keep_device_and_type(kind):
    for dtype in (torch.float32, torch.float64):
        points = torch.zeros(1, 2, 2, dtype=dtype)
        assert render(points, (4, 4), **WIDTHS[kind]).dtype == dtype
    assert render(points.to("meta"), (4, 4), **WIDTHS[kind]).device.type == "meta"
    whole = torch.tensor([[[1, 2]]])
    torch.testing.assert_close(
        render(whole, (4, 4), **WIDTHS[kind]), render(whole * 1.0, (4, 4), **WIDTHS[kind])
    )


@pytest.mark.parametrize(
    ("kind", "width", "energy"),
    [
        # the integral of the squared map over the plane
        ("exponential", 0.1, math.pi / (2 * 0.1**2)),
        ("exponential", 0.3, math.pi / (2 * 0.3**2)),
        ("gaussian", 1.0, math.pi),
        ("gaussian", 2.0, math.pi * 2**2),
        ("gaussian", 5.0, math.pi * 5**2),
    ],
)
def test_loss_of_an_all_zero_answer_is_the_targets_energy(kind, width, energy):
    maps = render(subpixel_points(48.0, n=8), **width_of(kind, width))
    assert maps.square().mean().item() == pytest.approx(energy / 96**2, rel=2e-3)


def test_share_of_bright_cells_is_a_disc():
    radius = math.log(2) / 0.1  # half height
    bright = (exponential_maps(subpixel_points(48.0)) > 0.5).double().mean().item()
    assert bright == pytest.approx(math.pi * radius**2 / 96**2, rel=5e-3)


# --- Pyramids ------------------------------------------------------------------------------------


def test_rendered_pyramid_is_each_level_rendered():
    points = random_points()
    pyramid = render_pyramid(points, (96, 96), (1, 4, 16), alpha=0.2)
    for maps, stride in zip(pyramid, (1, 4, 16), strict=True):
        assert torch.equal(maps, exponential_maps(points, stride=stride, alpha=0.2))


def test_both_pyramids_have_the_same_sizes_by_default():
    points = random_points()
    pooled = max_pool_pyramid(gaussian_maps(points))
    assert [m.shape[-1] for m in pooled] == [96, 48, 24, 12, 6]
    assert [m.shape for m in render_pyramid(points, sigma=1.5)] == [m.shape for m in pooled]


def test_gaussian_peaks_have_the_same_shape_on_every_level():
    in_cells = torch.tensor([[[2.3, 2.6]]], dtype=torch.float64)
    fine, coarse = (
        gaussian_maps(to_image(in_cells, stride), (6 * stride, 6 * stride), stride)
        for stride in (1, 16)
    )
    torch.testing.assert_close(fine, coarse)


def test_max_pooling_against_a_loop():
    maps = random_maps(8, 12, batch=2)
    pyramid = max_pool_pyramid(maps, levels=3)
    assert pyramid[0] is maps
    for level, factor in ((1, 2), (2, 4)):
        for b, k, row, column in np.ndindex(2, 2, 8 // factor, 12 // factor):
            block = maps[b, k, row * factor :, column * factor :][:factor, :factor]
            assert pyramid[level][b, k, row, column] == block.max()
        assert pyramid[level].shape == (2, 2, 8 // factor, 12 // factor)


def test_max_pooled_targets_get_hotter_and_rendered_ones_do_not():
    points = random_points(20) * 0.6 + 20
    pooled = [float(maps.mean()) for maps in max_pool_pyramid(exponential_maps(points))]
    drawn = [float(m.mean()) for m in render_pyramid(points, alpha=0.1)]
    assert all(coarse > fine for fine, coarse in itertools.pairwise(pooled))
    assert pooled[4] / pooled[0] == pytest.approx(0.148 / 0.064, rel=0.05)
    assert drawn == pytest.approx([pooled[0]] * 5, rel=0.03)


@pytest.mark.parametrize(("level", "loss"), [(2, 0.37), (3, 0.96)])
def test_max_pooling_keeps_the_cell_but_loses_the_place_in_it(level, loss):
    stride = 2**level
    points = subpixel_points(47.5 + stride / 2, stride)
    maps = max_pool_pyramid(gaussian_maps(points, sigma=1.5 * stride))[level]
    drawn = gaussian_maps(points, stride=stride, sigma=1.5)
    cell = decode(drawn, "argmax", stride).points
    torch.testing.assert_close(decode(maps, "argmax", stride).points, cell)
    assert mean_error(decode(drawn, "taylor", stride).points, points) < 1e-6
    assert mean_error(decode(maps, "taylor", stride).points, points) == pytest.approx(loss, rel=0.1)


# --- Decoders: round trips -----------------------------------------------------------------------

GAUSSIANS = [("gaussian", sigma) for sigma in (1.0, 1.5, 2.0, 3.0, 5.0)]
EXPONENTIALS = [("exponential", alpha) for alpha in (0.05, 0.1, 0.3)]


def round_trip(kind: str, width: float, method: str, stride: int = 1, **options) -> float:
    points = subpixel_points(11.5 * stride - 0.5 + stride / 2, stride)
    maps = render(points, (24 * stride, 24 * stride), stride, **width_of(kind, width))
    return mean_error(decode(maps, method, stride, **options).points, points)


@pytest.mark.parametrize(("kind", "width"), GAUSSIANS + EXPONENTIALS)
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_argmax_and_quarter_floors_do_not_depend_on_the_target(kind, width, stride):
    floor = ARGMAX_FLOOR * stride
    assert round_trip(kind, width, "argmax", stride) == pytest.approx(floor, rel=2e-3)
    assert round_trip(kind, width, "quarter", stride) == pytest.approx(floor / 2, rel=2e-3)


@pytest.mark.parametrize(("kind", "width"), GAUSSIANS)
@pytest.mark.parametrize("stride", [1, 4])
def test_taylor_is_exact_on_gaussians_and_newton_is_not(kind, width, stride):
    assert round_trip(kind, width, "taylor", stride) < 1e-6
    assert round_trip(kind, width, "newton", stride) == pytest.approx(0.078 * stride, rel=0.03)


@pytest.mark.parametrize(("kind", "width"), EXPONENTIALS)
def test_newton_is_exact_on_exponentials_and_taylor_is_not(kind, width):
    assert round_trip(kind, width, "newton") < 1e-6
    assert round_trip(kind, width, "taylor") == pytest.approx(0.065, rel=0.03)


@pytest.mark.parametrize("stride", [2, 4])
def test_newton_is_exact_on_exponentials_at_any_stride(stride):
    assert round_trip("exponential", 0.1, "newton", stride) < 1e-6


def test_float32_is_enough_for_the_exact_decoders():
    points = subpixel_points().float()
    for kind, method in (("gaussian", "taylor"), ("exponential", "newton")):
        maps = render(points, (24, 24), **WIDTHS[kind])
        assert mean_error(decode(maps, method).points, points) < 1e-4


@pytest.mark.parametrize(
    ("kind", "width", "window", "expected"),
    [
        ("gaussian", 1.0, 9, 0.0),
        ("gaussian", 1.5, 9, 0.009),
        ("gaussian", 2.0, 9, 0.054),
        ("gaussian", 3.0, 9, 0.168),
        ("gaussian", 5.0, 9, 0.284),
        ("exponential", 0.1, 9, 0.313),
        ("gaussian", 1.0, 7, 0.002),
    ],
)
def test_centroid_is_pulled_to_the_cell_by_what_the_window_cuts_off(kind, width, window, expected):
    error = round_trip(kind, width, "soft", window=window)
    assert error == pytest.approx(expected, rel=0.05, abs=1e-3)


def test_default_window_holds_a_default_peak_out_to_two_sigma():
    maps = gaussian_maps(subpixel_points(n=4), (24, 24))
    assert torch.equal(decode(maps).points, decode(maps, "soft", window=2 * 3 + 1).points)


def test_centroid_of_the_whole_peak_is_exact():
    assert round_trip("gaussian", 1.5, "soft", window=23) < 1e-6
    assert round_trip("gaussian", 1.5, "soft", window=1) == pytest.approx(ARGMAX_FLOOR, rel=2e-3)


def test_newton_needs_the_height_of_the_tip():
    points = subpixel_points()
    maps = 0.4 * exponential_maps(points, (24, 24))
    assert mean_error(decode(maps, "newton", amplitude=0.4).points, points) < 1e-6
    blind = decode(maps / maps.amax((2, 3), keepdim=True), "newton").points
    assert mean_error(blind, points) > 0.02  # divided by its own maximum: the tip is cut off
    wrong = mean_error(decode(maps, "newton").points, points)
    assert 0.02 < wrong < 0.07  # most of the cone is left, as for taylor
    assert mean_error(decode(2 * maps, "newton", amplitude=0.1).points, points) < ARGMAX_FLOOR


def test_taylor_does_not_mind_the_height():
    maps = gaussian_maps(subpixel_points(), (24, 24))
    torch.testing.assert_close(decode(0.01 * maps, "taylor").points, decode(maps, "taylor").points)


def test_taylor_solves_for_a_tilted_gaussian_with_the_cross_term():
    precision = torch.tensor([[0.5, 0.2], [0.2, 0.4]], dtype=torch.float64)
    grid = torch.arange(24, dtype=torch.float64)
    y, x = torch.meshgrid(grid, grid, indexing="ij")
    points = 12 + 0.6 * (subpixel_points() - 12)
    d = torch.stack([x, y], dim=-1) - points[:, :, None, None]  # (B, 1, H, W, 2)
    maps = torch.exp(-0.5 * torch.einsum("bkhwi,ij,bkhwj->bkhw", d, precision, d))
    assert mean_error(decode(maps, "taylor").points, points) < 1e-6


@pytest.mark.parametrize("method", list(heatmap.SHIFTS))
@pytest.mark.parametrize("stride", [1, 4])
def test_decoding_commutes_with_mirroring(method, stride):
    maps = random_maps(24, 24)
    straight = decode(maps, method, stride).points
    mirrored = decode(maps.flip(-1), method, stride).points
    torch.testing.assert_close(24 * stride - 1 - mirrored[..., 0], straight[..., 0])
    torch.testing.assert_close(mirrored[..., 1], straight[..., 1])


@pytest.mark.parametrize("method", list(heatmap.SHIFTS))
def test_decoding_commutes_with_transposing(method):
    maps = random_maps(7, 9)
    straight = decode(maps, method).points
    torch.testing.assert_close(decode(maps.mT, method).points.flip(-1), straight)


# --- Decoders: one map at a time, in plain numpy -------------------------------------------------


def newton_by_hand(f: np.ndarray, x: int, y: int) -> tuple[float, float]:
    """numpy's solver on the 2 x 2 system, with the border rule and the ridge rule spelt out."""
    rows, columns = f.shape
    gx = hx = gy = hy = hxy = 0.0
    if 0 < x < columns - 1:
        gx, hx = (f[y, x + 1] - f[y, x - 1]) / 2, f[y, x + 1] + f[y, x - 1] - 2 * f[y, x]
    if 0 < y < rows - 1:
        gy, hy = (f[y + 1, x] - f[y - 1, x]) / 2, f[y + 1, x] + f[y - 1, x] - 2 * f[y, x]
    if hx < 0 and hy < 0:
        corners = f[y - 1 : y + 2 : 2, x - 1 : x + 2 : 2]
        hxy = (corners[1, 1] - corners[1, 0] - corners[0, 1] + corners[0, 0]) / 4
        if hx * hy - hxy**2 > heatmap.RIDGE * hx * hy:
            step = -np.linalg.solve([[hx, hxy], [hxy, hy]], [gx, gy])
            return tuple(np.clip(step, -0.5, 0.5))
    return (-gx / hx if hx < 0 else 0.0), (-gy / hy if hy < 0 else 0.0)


def decode_by_hand(h: np.ndarray, method: str, window: int) -> tuple[float, float]:
    rows, columns = h.shape
    y, x = np.unravel_index(h.argmax(), h.shape)
    dx = dy = 0.0
    if method == "quarter":
        if 0 < x < columns - 1:
            dx = 0.25 * np.sign(h[y, x + 1] - h[y, x - 1])
        if 0 < y < rows - 1:
            dy = 0.25 * np.sign(h[y + 1, x] - h[y - 1, x])
    elif method == "taylor":
        dx, dy = newton_by_hand(np.log(np.maximum(h, 1e-10)), x, y)
    elif method == "newton":
        dx, dy = newton_by_hand(-(np.log(np.clip(h, 1e-10, 1)) ** 2), x, y)
    elif method == "soft":
        r = window // 2
        sums = [0.0, 0.0, 0.0]
        for row in range(max(0, y - r), min(rows, y + r + 1)):
            for column in range(max(0, x - r), min(columns, x + r + 1)):
                weight = max(h[row, column], 0.0)
                sums = [sums[0] + weight, sums[1] + weight * column, sums[2] + weight * row]
        if sums[0] > 0:
            return sums[1] / sums[0], sums[2] / sums[0]
    return x + dx, y + dy


@pytest.mark.parametrize("method", list(heatmap.SHIFTS))
@pytest.mark.parametrize("shape", [(5, 4), (1, 6), (2, 2), (1, 1), (9, 3)])
def test_decoders_against_a_loop_on_random_maps_with_border_peaks(method, shape):
    maps = random_maps(*shape) * 1.6 - 0.4  # below 0 and above 1 too
    points = decode(maps, method, stride=2, window=5).points
    for b, k in np.ndindex(len(maps), 2):
        by_hand = np.array(decode_by_hand(maps[b, k].numpy(), method, window=5))
        np.testing.assert_allclose(points[b, k].numpy(), (by_hand + 0.5) * 2 - 0.5, atol=1e-9)


@pytest.mark.parametrize("method", ["quarter", "taylor", "newton"])
def test_border_peaks_shift_along_the_border_only(method):
    maps = exponential_maps(torch.tensor([[[-0.3, 5.3]]]), (12, 12))
    x, y = decode(maps, method).points[0, 0].tolist()
    assert x == 0
    assert 5.1 < y < 5.5


@pytest.mark.parametrize("method", ["quarter", "taylor", "newton"])
def test_equal_neighbours_give_no_shift(method):
    maps = gaussian_maps(torch.tensor([[[5.0, 5.3]]]), (12, 12))
    x, y = decode(maps, method).points[0, 0].tolist()
    assert x == pytest.approx(5, abs=1e-6)
    assert y > 5.2


def test_the_first_of_equal_cells_counts():
    maps = torch.zeros(1, 1, 5, 5)
    maps[0, 0, 1, 3] = maps[0, 0, 3, 1] = maps[0, 0, 3, 3] = 1
    assert decode(maps, "argmax").points.tolist() == [[[3, 1]]]


@pytest.mark.parametrize("method", list(heatmap.SHIFTS))
def test_an_all_zero_map_has_no_confidence(method):
    points, confidence = decode(torch.zeros(1, 2, 8, 8), method, stride=4)
    assert points.tolist() == [[[1.5, 1.5]] * 2]
    assert confidence.tolist() == [[0, 0]]


@pytest.mark.parametrize("method", list(heatmap.SHIFTS))
@pytest.mark.parametrize("value", [1.0, 0.5, 1e-30, -1.0])
def test_flat_and_tiny_maps_never_give_nan(method, value):
    maps = torch.full((1, 1, 8, 8), value)
    maps[0, 0, 4, 4] *= 1 - 1e-6 if value < 0 else 1 + 1e-6
    points, confidence = decode(maps, method)
    assert points.isfinite().all() and confidence.isfinite().all()
    assert (points - 4).abs().max() <= 0.5


@pytest.mark.parametrize("method", ["taylor", "newton", "soft"])
def test_gradients_through_a_decoder_are_finite_on_flat_maps_and_borders(method):
    peaks = gaussian_maps(torch.tensor([[[4.3, 4.2], [0.0, 3.2]]]), (8, 8))
    maps = torch.cat([peaks, torch.full_like(peaks, 0.5), torch.zeros_like(peaks)])
    maps.requires_grad_()
    decode(maps, method).points.sum().backward()
    assert maps.grad.isfinite().all()
    assert maps.grad[0].abs().amax((1, 2)).min() > 0


# --- Confidence ----------------------------------------------------------------------------------


def test_confidence_is_the_peak_or_the_mass_of_the_window():
    maps = random_maps(12, 12) * 3 - 1
    for method in heatmap.SHIFTS:
        peak = decode(maps, method, confidence="peak").confidence
        torch.testing.assert_close(peak, maps.amax((2, 3)).clamp(0, 1))
    softmax = (maps * 4).flatten(2).softmax(-1).reshape(maps.shape)
    mass = decode(softmax, "soft", window=5).confidence
    assert torch.equal(mass, decode(softmax, "argmax", window=5, confidence="mass").confidence)
    for b, k in np.ndindex(len(maps), 2):
        y, x = divmod(int(softmax[b, k].argmax()), 12)
        block = softmax[b, k, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        assert mass[b, k].item() == pytest.approx(block.sum().item(), abs=1e-12)
    torch.testing.assert_close(decode(softmax, "soft", window=25).confidence, torch.ones_like(mass))


def test_every_other_method_defaults_to_the_peak():
    maps = 0.01 * random_maps(12, 12)
    for method in ("argmax", "quarter", "taylor", "newton"):
        torch.testing.assert_close(decode(maps, method).confidence, maps.amax((2, 3)))
    assert (decode(maps).confidence > maps.amax((2, 3))).all()


# --- Types, sizes and bad input ------------------------------------------------------------------


@pytest.mark.parametrize("method", list(heatmap.SHIFTS))
def test_half_precision_maps_are_decoded_in_float32(method):
    maps = gaussian_maps(torch.tensor([[[80.3, 70.4]]])).half()
    points, confidence = decode(maps, method)
    assert points.dtype == confidence.dtype == torch.float32
    expected = decode(maps.float(), method).points
    torch.testing.assert_close(points, expected)


def test_an_empty_batch_is_no_error():
    points, confidence = decode(gaussian_maps(torch.zeros(0, 2, 2)))
    assert points.shape == (0, 2, 2) and confidence.shape == (0, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, m: render(p, (96, 90), 4, sigma=1.0), "96 x 90 .* stride 4"),
        (lambda p, m: render(p, (90, 96), 4, alpha=0.1), "90 x 96 .* stride 4"),
        (lambda p, m: render(p, (0, 96), sigma=1.0), "0 x 96"),
        (lambda p, m: render(p[0], sigma=1.0), r"points have shape \(2, 2\)"),
        (lambda p, m: render(torch.zeros(1, 2, 3), sigma=1.0), r"points have shape \(1, 2, 3\)"),
        (lambda p, m: render(p), "exactly one.*sigma.*alpha"),
        (lambda p, m: render(p, sigma=1.0, alpha=0.1), "exactly one.*sigma.*alpha"),
        (lambda p, m: render(p, sigma=math.nan), "sigma is nan"),
        (lambda p, m: render(p, alpha=math.inf), "alpha is inf"),
        (lambda p, m: render(p, sigma=True), "sigma is True"),
        (lambda p, m: render(p, sigma="1"), "sigma is '1'"),
        (lambda p, m: render(p, sigma=1e-50), "sigma is 1e-50"),
        (lambda p, m: render(p, stride=math.nan, sigma=1.0), "stride is nan"),
        (lambda p, m: decode(m, ["soft"]), r"method is \['soft'\]"),
        (lambda p, m: decode(m, window=3.0), "window is 3.0"),
        (lambda p, m: render(p, stride=0, sigma=1.0), "stride is 0"),
        (lambda p, m: exponential_maps(p, alpha=0), "alpha is 0"),
        (lambda p, m: gaussian_maps(p, sigma=-1), "sigma is -1"),
        (lambda p, m: max_pool_pyramid(m, 3), "6 x 8 .* halved 2 times"),
        (lambda p, m: max_pool_pyramid(m.mT, 3), "8 x 6 .* halved 2 times"),
        (lambda p, m: max_pool_pyramid(m, 0), "levels is 0"),
        (lambda p, m: channels_last_layout(m[0]), r"maps have shape \(2, 6, 8\)"),
        (lambda p, m: decode(m[0]), r"maps have shape \(2, 6, 8\)"),
        (lambda p, m: decode(m.int()), "type torch.int32"),
        (lambda p, m: decode(m[..., :0]), r"maps have shape \(1, 2, 6, 0\)"),
        (
            lambda p, m: decode(m, "dark"),
            "method is 'dark'; .*argmax, quarter, taylor, newton, soft",
        ),
        (lambda p, m: decode(m, confidence="sum"), "confidence is 'sum'; .*peak, mass"),
        (lambda p, m: decode(m, stride=1.5), "stride is 1.5"),
        (lambda p, m: decode(m, window=4), "window is 4"),
        (lambda p, m: decode(m, window=-1), "window is -1"),
        (lambda p, m: decode(m, amplitude=0), "amplitude is 0"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(1, 2, 2), torch.zeros(1, 2, 6, 8))


def test_a_window_wider_than_the_map_is_the_whole_map():
    maps = random_maps(5, 9)
    whole, wider = decode(maps, window=17), decode(maps, window=10**9 + 1)
    assert torch.equal(whole.points, wider.points)
    total = maps.sum((2, 3)).clamp(0, 1)
    torch.testing.assert_close(wider.confidence, total)


def test_a_ridge_is_stepped_over_one_axis_at_a_time():
    """Along a diagonal ridge the 2 x 2 system is nearly singular: numpy's solver is far off."""
    grid = torch.arange(3.0, dtype=torch.float64) - 1
    y, x = torch.meshgrid(grid, grid, indexing="ij")
    bend = 1 - heatmap.RIDGE / 4  # the determinant is RIDGE / 2 of the product of the curvatures
    maps = torch.exp(0.02 * x - 0.5 * (x**2 + y**2 + 2 * bend * x * y))[None, None]
    maps[..., 0, 2] = maps[..., 2, 0] = maps.min()  # corners lower than the middle ...
    log = maps[0, 0].log()
    twist = -2 * bend  # ... and the mixed difference as it was
    log[2, 2] = twist * 2 - log[0, 0] + log[0, 2] + log[2, 0]
    points = decode(log.exp()[None, None], "taylor").points[0, 0].tolist()
    assert points == pytest.approx(newton_by_hand(log.numpy(), 1, 1) + np.ones(2), abs=1e-9)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_maps_that_are_not_finite_are_named(value):
    maps = random_maps(6, 8, batch=4)
    maps[2, 1, 3, 3] = value
    with pytest.raises(ValueError, match=f"image 2, landmark 1 .*{value}"):
        decode(maps)


def test_doctests():
    result = doctest.testmod(heatmap)
    assert result.attempted > 0
    assert result.failed == 0
