"""Augmentation: a blob drawn at a point must be found at the moved point, whatever was changed.

The oracle never looks at the affine map: it draws one landmark per image and measures the centre
of mass of what comes out.
"""

import math
from dataclasses import fields, replace

import pytest
import torch

from hglib import augment as augmentation
from hglib.augment import (
    Augment,
    augment,
    erase,
    hide_outside,
    mirror_points,
    random_affine,
    relight,
    sampling_grid,
    warp,
)
from hglib.heatmap import gaussian_maps

torch.set_num_threads(1)

NONE = Augment.none()
GEOMETRY = {
    "mirror": replace(NONE, mirror=1.0),
    "rotation": replace(NONE, rotation=0.3),
    "scale": replace(NONE, scale=0.15),
    "shift": replace(NONE, shift=3.0),
    "all": replace(NONE, mirror=0.5, rotation=0.3, scale=0.15, shift=3.0),
}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def eyes_near_the_middle(batch: int, size: tuple[int, int], seed: int = 1) -> torch.Tensor:
    """(B, 2, 2) sub-pixel points; eye 0 has the larger x."""
    height, width = size
    middle = torch.tensor([[width / 2 + 6.3, height / 2 - 2.1], [width / 2 - 6.8, height / 2]])
    return middle + 3 * torch.rand(batch, 2, 2, generator=rng(seed))


def centres_of_mass(images: torch.Tensor) -> torch.Tensor:
    """(B, 1, H, W) to (B, 2): x and y, the dark background weighing nothing."""
    height, width = images.shape[-2:]
    mass = images[:, 0].double()
    x = (mass.sum(dim=1) * torch.arange(width)).sum(dim=-1) / mass.sum(dim=(1, 2))
    y = (mass.sum(dim=2) * torch.arange(height)).sum(dim=-1) / mass.sum(dim=(1, 2))
    return torch.stack([x, y], dim=-1).float()


def noise_images(batch: int = 6, size: tuple[int, int] = (32, 32), seed: int = 2) -> torch.Tensor:
    return torch.rand(batch, 1, *size, generator=rng(seed))


# --- Images and points move together -----------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 64), (64, 96)])
@pytest.mark.parametrize("name", GEOMETRY)
def test_blobs_are_where_the_moved_points_are(name, size):
    points = eyes_near_the_middle(40, size)
    blobs = gaussian_maps(points, size, sigma=2.0)  # (B, 2, H, W)
    results = [augment(blobs[:, [k]], points, GEOMETRY[name], rng()) for k in (0, 1)]
    moved = results[0][1]
    found = torch.stack([centres_of_mass(image) for image, _ in results], dim=1)  # (B, 2, 2)
    mirrored = found[:, 0, 0] < found[:, 1, 0]  # eye 0 was drawn to the right of eye 1
    found = torch.where(mirrored[:, None, None], found.flip(1), found)
    assert (found - moved).norm(dim=-1).max() < 0.05
    if name != "mirror":
        assert ((found - points).norm(dim=-1) > 0.5).float().mean() > 0.5  # they did move
    assert mirrored.float().mean() == {"mirror": 1, "all": mirrored.float().mean()}.get(name, 0)
    if name == "all":
        assert 0.2 < mirrored.float().mean() < 0.8


def test_mirroring_swaps_the_channels():
    points = eyes_near_the_middle(5, (32, 48))
    blobs = gaussian_maps(points, (32, 48), sigma=1.5)
    both = blobs[:, [0]] + 0.4 * blobs[:, [1]]  # eye 0, on the right, is the brighter one
    changed, moved = augment(both, points, GEOMETRY["mirror"], rng())
    assert (moved[:, 0, 0] > moved[:, 1, 0]).all()  # channel 0 is still the eye with the larger x
    for image, (first, second) in zip(changed[:, 0], moved.round().long().tolist(), strict=True):
        assert image[first[1], first[0]] < 0.5 < image[second[1], second[0]]


def test_other_mirror_orders_are_followed():
    points = torch.tensor([[[20.0, 5.0], [10.0, 6.0], [14.0, 20.0]]])  # two eyes and a nose
    _, moved = augment(
        torch.zeros(1, 1, 32, 32), points, GEOMETRY["mirror"], rng(), mirror_order=[1, 0, 2]
    )
    expected = torch.tensor([[[21.0, 6.0], [11.0, 5.0], [17.0, 20.0]]])
    torch.testing.assert_close(moved, expected)
    torch.testing.assert_close(mirror_points(points, 32, [1, 0, 2]), expected)


def test_mirror_points_is_its_own_inverse_and_keeps_nan():
    points = torch.tensor([[[20.0, 5.0], [math.nan, math.nan]]])
    once = mirror_points(points, 96, [1, 0])
    assert once[0, 0].isnan().all() and once[0, 1].tolist() == [75.0, 5.0]
    torch.testing.assert_close(mirror_points(once, 96, [1, 0]), points, equal_nan=True)


@pytest.mark.parametrize("size", [(32, 32), (48, 64), (96, 96)])
def test_a_pure_mirror_is_the_flipped_image(size):
    images = noise_images(size=size)
    changed, _ = augment(images, eyes_near_the_middle(6, size), GEOMETRY["mirror"], rng())
    # Sampling positions are float32: 96 * 1e-7 px off, times a difference of at most 1.
    torch.testing.assert_close(changed, images.flip(-1), rtol=0, atol=2e-5)


def test_a_shift_by_whole_pixels_is_a_slice_and_the_edge_is_repeated():
    images = noise_images()
    points = torch.tensor([[[10.0, 12.0]]]).expand(6, 1, 2)
    shift = torch.tensor([[3.0, -2.0]]).expand(6, 2)
    changed, moved = warp(images, points, torch.eye(2).expand(6, 2, 2), shift)
    torch.testing.assert_close(changed[..., :-2, 3:], images[..., 2:, :-3], rtol=0, atol=1e-5)
    torch.testing.assert_close(
        changed[..., :-2, :3], images[..., 2:, :1].expand(6, 1, 30, 3), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(moved, points + torch.tensor([3.0, -2.0]))


def test_an_even_grey_stays_even_under_every_motion():
    images = torch.full((30, 1, 32, 32), 0.7)
    changed, _ = augment(images, eyes_near_the_middle(30, (32, 32)), GEOMETRY["all"], rng())
    torch.testing.assert_close(changed, images)


# --- Missing points ------------------------------------------------------------------------------


def test_missing_points_stay_missing_and_disturb_nothing():
    points = eyes_near_the_middle(20, (64, 64))
    holes = points.clone()
    holes[::2, 0] = math.nan
    holes[1, :, 1] = math.nan  # half a point is no point
    images = noise_images(20, (64, 64))
    settings = replace(GEOMETRY["all"], mirror=0.0)
    expected_images, expected = augment(images, points, settings, rng())
    changed, moved = augment(images, holes, settings, rng())
    assert torch.equal(changed, expected_images)
    missing = holes.isnan().any(dim=-1)
    assert moved[missing].isnan().all()
    assert torch.equal(moved[~missing], expected[~missing])
    _, mirrored = augment(images, holes, GEOMETRY["mirror"], rng())
    assert torch.equal(mirrored.isnan().any(dim=-1), missing.flip(1))  # the gap changes sides


def test_points_that_leave_the_image_become_missing():
    points = torch.rand(200, 2, 2, generator=rng(4)) * torch.tensor([63.0, 31.0])
    settings = replace(NONE, shift=12.0)
    _, moved = augment(torch.zeros(200, 1, 32, 64), points, settings, rng(5))
    _, shift, _ = random_affine(200, settings, rng(5))
    free = points + shift[:, None]
    for before, after in zip(free.flatten(0, 1).tolist(), moved.flatten(0, 1), strict=True):
        inside = -0.5 < before[0] < 63.5 and -0.5 < before[1] < 31.5
        assert inside != bool(after.isnan().any())
        assert after.isnan().all() or after.tolist() == pytest.approx(before, abs=1e-4)
    assert 0.1 < moved.isnan().float().mean() < 0.9


@pytest.mark.parametrize(
    "point, visible",
    [
        ((-0.4, 5.0), True),
        ((-0.6, 5.0), False),
        ((19.4, 5.0), True),
        ((19.6, 5.0), False),
        ((5.0, -0.6), False),
        ((5.0, 9.4), True),
        ((5.0, 9.6), False),
    ],
)
def test_the_image_ends_half_a_pixel_beyond_the_outer_pixel_centres(point, visible):
    kept = hide_outside(torch.tensor([[point]]), height=10, width=20)
    assert kept.isfinite().all() == visible and (visible or kept.isnan().all())


# --- Each setting does what it says --------------------------------------------------------------


def test_none_changes_nothing_and_default_names_every_part():
    images, points = noise_images(), eyes_near_the_middle(6, (32, 32))
    changed, moved = augment(images, points, NONE, rng())
    assert torch.equal(changed, images) and torch.equal(moved, points)
    names = [field.name for field in fields(Augment)]
    assert [name for name in names if getattr(Augment(), name) == 0] == ["mirror"]
    assert Augment().without(*names) == NONE
    assert Augment().without("noise") == replace(Augment(), noise=0.0)


@pytest.mark.parametrize("name", ["gamma", "light", "noise", "erase"])
def test_light_moves_no_points_and_motion_draws_no_light(name):
    images, points = noise_images(), eyes_near_the_middle(6, (32, 32))
    changed, moved = augment(images, points, replace(NONE, **{name: 1.0}), rng())
    assert (changed - images).abs().max() > 0.05
    torch.testing.assert_close(moved, points)
    assert torch.equal(relight(images, NONE, rng()), images)
    assert torch.equal(erase(images, 0.0, rng()), images)


def test_zero_geometry_is_the_identity_map():
    matrix, shift, mirrored = random_affine(50, Augment.none(), rng())
    assert torch.equal(matrix, torch.eye(2).expand(50, 2, 2))
    assert not shift.any() and not mirrored.any()


def test_the_generator_is_the_only_source_of_randomness():
    images, points = noise_images(), eyes_near_the_middle(6, (32, 32))
    torch.manual_seed(1)
    first = augment(images, points, Augment(), rng(7))
    torch.manual_seed(2)
    again = augment(images, points, Augment(), rng(7))
    other = augment(images, points, Augment(), rng(8))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1].nan_to_num(-99), again[1].nan_to_num(-99))
    assert not torch.equal(first[0], other[0])


def test_switching_one_part_off_leaves_the_others_as_they_were():
    """The same numbers are drawn whatever is switched off, so ablations compare like with like."""
    images, points = noise_images(), eyes_near_the_middle(6, (32, 32))
    _, moved = augment(images, points, Augment(), rng())
    for name in ("gamma", "light", "noise", "erase"):
        _, same = augment(images, points, Augment().without(name), rng())
        assert torch.equal(moved.nan_to_num(-99), same.nan_to_num(-99))
    without_shift, _ = augment(images, points, replace(NONE, erase=1.0), rng())
    with_noise, _ = augment(images, points, replace(NONE, erase=1.0, noise=1e-6), rng())
    torch.testing.assert_close(without_shift, with_noise, rtol=0, atol=1e-4)


@pytest.mark.parametrize("mirror", [0.0, 0.3])
def test_motion_has_the_stated_distribution(mirror):
    settings = Augment(mirror=mirror, rotation=0.2, scale=0.1, shift=2.5)
    matrix, shift, mirrored = random_affine(20_000, settings, rng())
    area = torch.linalg.det(matrix)  # scale squared, negative where mirrored
    assert torch.equal(area < 0, mirrored)
    log_scale = area.abs().log() / 2
    angle = torch.atan2(-matrix[:, 0, 1], matrix[:, 1, 1])  # the second column is never mirrored
    for values, sd in ((log_scale, 0.1), (angle, 0.2), (shift[:, 0], 2.5), (shift[:, 1], 2.5)):
        assert values.std().item() == pytest.approx(sd, rel=0.03)
        assert abs(values.mean().item()) < 0.03 * sd
    assert mirrored.float().mean().item() == pytest.approx(mirror, abs=0.015)
    gram = matrix @ matrix.transpose(1, 2)  # a similarity: scale squared times the identity
    torch.testing.assert_close(gram, area.abs()[:, None, None] * torch.eye(2).expand_as(gram))


# --- Light ---------------------------------------------------------------------------------------


def test_light_and_noise_scale_with_the_contrast_of_the_image():
    images = noise_images()
    settings = replace(NONE, light=0.3, noise=0.1)
    change = relight(images, settings, rng()) - images
    dim = 0.2 * images + 0.3  # a fifth of the contrast, other brightness
    torch.testing.assert_close(relight(dim, settings, rng()) - dim, 0.2 * change, rtol=0, atol=1e-6)


def test_gamma_is_a_power_with_the_stated_spread():
    images = 0.05 + 0.9 * noise_images(4000, (4, 4))
    changed = relight(images, replace(NONE, gamma=0.3), rng())
    exponents = changed.log() / images.log()  # (B, 1, 4, 4): one exponent per image
    torch.testing.assert_close(
        exponents, exponents[..., :1, :1].expand_as(exponents), rtol=1e-3, atol=0
    )
    exponents = exponents[:, 0, 0, 0].log()
    assert exponents.std().item() == pytest.approx(0.3, rel=0.05)
    assert abs(exponents.mean().item()) < 0.02


def test_light_is_smooth_with_the_stated_spread_and_noise_is_bounded():
    images = noise_images(4000, (9, 9))
    contrast = images.flatten(1).std(dim=1)[:, None, None, None]
    light = (relight(images, replace(NONE, light=0.3), rng()) - images) / contrast
    corners = light[..., ::8, ::8]  # nodes of the coarse grid
    assert corners.std().item() == pytest.approx(0.3, rel=0.05)
    bend = light[..., 0, 1:4] - (light[..., 0, 0:3] + light[..., 0, 2:5]) / 2
    assert bend.abs().max() < 1e-4  # straight lines between the nodes
    noise = (relight(images, replace(NONE, noise=0.1), rng()) - images) / contrast
    level = noise.flatten(1).std(dim=1)  # (B,) uniform in 0 .. 0.2
    assert level.mean().item() == pytest.approx(0.1, rel=0.05)
    assert level.std().item() == pytest.approx(0.2 / math.sqrt(12), rel=0.1)


# --- Erasing -------------------------------------------------------------------------------------


def axis_coverage(n: int) -> torch.Tensor:
    """For each of n pixels the chance that an interval of half-width 2..10 around a uniformly
    drawn place in [0, n) covers it, by the midpoint rule."""
    half = 2 + 8 * (torch.arange(1000) + 0.5) / 1000
    pixel = torch.arange(n)[:, None]
    overlap = (pixel + half).clamp(max=n) - (pixel - half).clamp(min=0)
    return (overlap / n).mean(dim=1)


@pytest.mark.parametrize("probability", [0.5, 1.0])
def test_erasing_covers_the_share_that_geometry_predicts(probability):
    images = noise_images(6000, (24, 40))
    covered = erase(images, probability, rng()) != images
    once = probability * axis_coverage(24)[:, None] * axis_coverage(40)[None, :]  # (H, W)
    expected = 1 - (1 - once) ** 2  # either of two rectangles
    assert covered.float().mean().item() == pytest.approx(expected.mean().item(), rel=0.04)
    per_row = covered.float().mean(dim=(0, 1, 3))
    torch.testing.assert_close(per_row, expected.mean(dim=1), rtol=0.12, atol=0.0)


def test_an_erased_part_is_one_rectangle_of_one_grey():
    images = noise_images(50, (64, 64))
    changed = erase(images, 1.0, rng(), count=1)
    for before, after in zip(images[:, 0], changed[:, 0], strict=True):
        rows, columns = (before != after).nonzero(as_tuple=True)
        box = after[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert box.numel() == len(rows) and box.unique().numel() == 1
        assert max(box.shape) <= 20


def test_erasing_leaves_its_input_alone_and_covers_every_pixel_within_reach():
    """Against a mask over every pixel: |column - centre| < half the width, and so for rows."""
    images = torch.rand(50, 1, 40, 56)
    before = images.clone()
    changed = erase(images, 0.7, torch.Generator().manual_seed(3), count=1)
    assert torch.equal(images, before)
    u = torch.rand(5, 50, generator=torch.Generator().manual_seed(3))
    columns, rows = torch.arange(56)[None, None], torch.arange(40)[None, :, None]
    near_x = (columns - u[0, :, None, None] * 56).abs() < 2 + 8 * u[2, :, None, None]
    near_y = (rows - u[1, :, None, None] * 40).abs() < 2 + 8 * u[3, :, None, None]
    hidden = near_x & near_y & (u[4, :, None, None] < 0.7)
    assert torch.equal((changed != images)[:, 0], hidden)


@pytest.mark.parametrize("size", [(96, 96), (5, 8)])
def test_the_sampling_grid_is_torchs(size):
    theta = torch.randn(4, 2, 3)
    expected = torch.nn.functional.affine_grid(theta, [4, 1, *size], align_corners=False)
    assert torch.allclose(sampling_grid(theta, *size), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (24, 48)])
def test_a_gpu_covers_the_same_pixels(size, monkeypatch):
    images = noise_images(40, size)
    cut = erase(images, 0.6, rng(4))
    monkeypatch.setattr(augmentation, "cover_cut", augmentation.cover_all)
    assert torch.equal(erase(images, 0.6, rng(4)), cut) and not torch.equal(cut, images)


def test_the_formula_of_the_inverse_is_that_of_linear_algebra():
    matrix, _, _ = random_affine(500, Augment(mirror=0.5), rng())

    class Elsewhere(torch.Tensor):
        is_cpu = False

    found = augmentation.invert(matrix.as_subclass(Elsewhere)).as_subclass(torch.Tensor)
    torch.testing.assert_close(found, torch.linalg.inv(matrix), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_what_changes_is_of_the_same_kind():
    """Other random numbers, the same distributions; and no step of it waits for the GPU."""
    images, points = noise_images(2000, (32, 32)), eyes_near_the_middle(2000, (32, 32))
    settings, ours = Augment(mirror=0.5, shift=1.0), torch.Generator("cuda").manual_seed(0)
    given = images.cuda(), points.cuda()
    augment(*given, settings, ours)
    torch.cuda.set_sync_debug_mode("error")
    try:
        changed, moved = augment(*given, settings, ours)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    theirs, places = augment(images, points, settings, rng())
    assert changed.std().item() == pytest.approx(theirs.std().item(), rel=0.03)
    torch.testing.assert_close(moved.nanmean(0).cpu(), places.nanmean(0), rtol=0, atol=0.3)
