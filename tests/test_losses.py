"""Losses: oracles are explicit loops, torch's own losses, closed forms and invariances."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hglib.heatmap import exponential_maps, gaussian_maps, max_pool_pyramid
from hglib.hourglass import Level
from hglib.losses import (
    LOSSES,
    OBJECTIVE_2019,
    OBJECTIVE_PAPER,
    PAIRS,
    Objective,
    masked_mean,
    targets,
    total_loss,
)

torch.set_num_threads(1)

SIZE = (32, 48)


FITTING = {name: activations[0] for name, activations in PAIRS.items()}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_points(batch: int = 3, landmarks: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, landmarks, 2, generator=rng(seed)) * torch.tensor([47.0, 31.0])


def some_levels(
    batch: int = 3, landmarks: int = 2, strides=(8, 2), activation: str = "sigmoid", seed: int = 1
) -> list[Level]:
    shapes = [(batch, landmarks, SIZE[0] // s, SIZE[1] // s) for s in strides]
    scores = [torch.randn(shape, generator=rng(seed + i)) for i, shape in enumerate(shapes)]
    return [
        Level(s.requires_grad_(), stride, activation)
        for s, stride in zip(scores, strides, strict=True)
    ]


def loss_and_gradients(points, objective, levels=None, mask=None):
    levels = levels or some_levels(*points.shape[:2], activation=FITTING[objective.loss])
    loss = total_loss(levels, points, SIZE, objective, mask)
    gradients = torch.autograd.grad(loss, [level.scores for level in levels])
    return loss, gradients


# --- Each loss against another way of computing it -----------------------------------------------


def slow(name: str, level: Level, target: torch.Tensor, mask: torch.Tensor) -> float:
    """The definitions, image by image and cell by cell, in Python floats."""
    total, count = 0.0, 0
    rows, columns = target.shape[-2:]
    for b, k in itertools.product(*map(range, mask.shape)):
        if not mask[b, k]:
            continue
        count += 1
        scores = level.scores[b, k].flatten().tolist()
        wanted = target[b, k].flatten().tolist()
        p = [1 / (1 + math.exp(-s)) for s in scores]
        log_sum = math.log(sum(math.exp(s) for s in scores))
        total += {
            "sum_of_squares": sum((a - t) ** 2 for a, t in zip(p, wanted, strict=True)),
            "mean_squared_error": sum((a - t) ** 2 for a, t in zip(p, wanted, strict=True))
            / (rows * columns),
            "binary_cross_entropy": -sum(
                t * math.log(a) + (1 - t) * math.log(1 - a) for a, t in zip(p, wanted, strict=True)
            )
            / (rows * columns),
            "pixel_cross_entropy": -sum(
                t / sum(wanted) * (s - log_sum) for s, t in zip(scores, wanted, strict=True)
            ),
        }[name]
    return total if name == "sum_of_squares" else total / count


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_equals_its_definition(name):
    level = some_levels(strides=(4,), activation=FITTING[name])[0]
    target = gaussian_maps(some_points(), SIZE, stride=4, sigma=1.0)
    mask = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    assert LOSSES[name](level, target, mask).item() == pytest.approx(
        slow(name, level, target, mask), rel=1e-5
    )


def test_without_a_mask_the_losses_are_torchs():
    level = some_levels(strides=(2,))[0]
    target = gaussian_maps(some_points(), SIZE, stride=2)
    everything = torch.ones(3, 2)
    share = target.flatten(2) / target.flatten(2).sum(-1, keepdim=True)
    scores = level.scores.flatten(2)
    expected = {
        "sum_of_squares": torch.nn.MSELoss(reduction="sum")(level.scores.sigmoid(), target),
        "mean_squared_error": torch.nn.MSELoss()(level.scores.sigmoid(), target),
        "binary_cross_entropy": torch.nn.BCELoss()(level.scores.sigmoid(), target),
        "pixel_cross_entropy": torch.nn.CrossEntropyLoss()(
            scores.flatten(0, 1), share.flatten(0, 1)
        ),
    }
    assert expected.keys() == LOSSES.keys()
    for name, value in expected.items():
        fitting = level._replace(activation=FITTING[name])
        torch.testing.assert_close(LOSSES[name](fitting, target, everything), value)


@pytest.mark.parametrize("activation", ["sigmoid", "linear"])
def test_squared_errors_look_at_the_maps_after_the_activation(activation):
    level = some_levels(strides=(2,), activation=activation)[0]
    target = gaussian_maps(some_points(), SIZE, stride=2)
    loss = LOSSES["mean_squared_error"](level, target, torch.ones(3, 2))
    torch.testing.assert_close(loss, F.mse_loss(level.maps, target))


# --- Missing points ------------------------------------------------------------------------------

ALL_KINDS = [
    *(Objective(loss=name) for name in LOSSES),
    Objective("mean_squared_error", None, 0.1, "max_pool"),
]


@pytest.mark.parametrize("objective", ALL_KINDS, ids=lambda o: f"{o.loss}-{o.pyramid}")
def test_a_missing_point_changes_nothing_in_loss_or_gradient(objective):
    strides = (8, 2) if objective.pyramid == "render" else (8, 1)
    points = some_points()
    mask = torch.ones(3, 2)
    mask[1, 0] = 0
    elsewhere = points.clone()
    elsewhere[1, 0] = torch.tensor([3.0, 4.0])
    missing = points.clone()
    missing[1, 0] = math.nan
    half_missing = points.clone()
    half_missing[1, 0, 1] = math.nan
    made = {"strides": strides, "activation": FITTING[objective.loss]}
    base, slopes = loss_and_gradients(points, objective, some_levels(**made), mask)
    for other, other_mask in ((elsewhere, mask), (missing, None), (half_missing, None)):
        levels = some_levels(**made)
        for level in levels:  # nor do the scores of that map matter
            level.scores.data[1, 0] += 5
        loss, gradients = loss_and_gradients(other, objective, levels, other_mask)
        torch.testing.assert_close(loss, base)
        for mine, theirs in zip(gradients, slopes, strict=True):
            torch.testing.assert_close(mine, theirs)
            assert not mine[1, 0].any() and mine[0, 0].any()


@pytest.mark.parametrize(
    "name", ["mean_squared_error", "binary_cross_entropy", "pixel_cross_entropy"]
)
def test_the_masked_mean_is_the_mean_over_what_is_labelled(name):
    """Three images of which one is unlabelled count as the two others alone."""
    points = some_points()
    points[1] = math.nan
    levels = some_levels(activation=FITTING[name])
    rest = [Level(lv.scores[[0, 2]], lv.stride, lv.activation) for lv in levels]
    whole = total_loss(levels, points, SIZE, Objective(loss=name))
    part = total_loss(rest, points[[0, 2]], SIZE, Objective(loss=name))
    torch.testing.assert_close(whole, part)


def test_masked_mean_by_hand_and_with_nothing_labelled():
    values = torch.tensor([[1.0, 10.0], [100.0, 1000.0]])
    assert masked_mean(values, torch.tensor([[1.0, 0.0], [1.0, 0.0]])).item() == 50.5
    assert masked_mean(values, torch.zeros(2, 2)).item() == 0.0


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_without_labels_has_loss_zero_and_no_gradient(name):
    points = torch.full((3, 2, 2), math.nan)
    loss, gradients = loss_and_gradients(points, Objective(loss=name))
    assert loss.item() == 0.0
    assert not any(gradient.any() for gradient in gradients)


def test_a_mask_cannot_call_a_missing_point_labelled():
    points = some_points()
    points[0, 0] = math.nan
    levels = some_levels(activation="softmax")
    masked = total_loss(levels, points, SIZE, mask=torch.ones(3, 2))
    torch.testing.assert_close(masked, total_loss(levels, points, SIZE))


# --- Levels, targets, objectives -----------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_the_total_is_the_sum_over_levels(name):
    points, levels = some_points(), some_levels(strides=(8, 4, 2), activation=FITTING[name])
    single = [total_loss([level], points, SIZE, Objective(loss=name)) for level in levels]
    total = total_loss(levels, points, SIZE, Objective(loss=name))
    torch.testing.assert_close(total, single[0] + single[1] + single[2])
    assert single[0].item() != pytest.approx(single[1].item(), rel=1e-3)


def test_no_objective_means_the_default_one():
    points, levels = some_points(), some_levels(activation="softmax")
    named = total_loss(levels, points, SIZE, Objective("pixel_cross_entropy", sigma=0.6))
    torch.testing.assert_close(total_loss(levels, points, SIZE), named)


def max_pool_2x2(grid: np.ndarray) -> np.ndarray:
    rows, columns = grid.shape
    return grid.reshape(rows // 2, 2, columns // 2, 2).max(axis=(1, 3))


def test_the_2019_objective_is_the_originals_two_sums_of_squares():
    points = some_points().double() + 0.01
    levels = some_levels(strides=(16, 1), batch=3)
    expected = 0.0
    for b, k in itertools.product(range(3), range(2)):
        x, y = (math.floor(v + 0.5) for v in points[b, k].tolist())  # labels are rounded
        fine = np.zeros(SIZE)
        for row, column in itertools.product(range(SIZE[0]), range(SIZE[1])):
            fine[row, column] = math.exp(-0.1 * math.hypot(column - x, row - y))
        coarse = fine
        for _ in range(4):
            coarse = max_pool_2x2(coarse)
        for level, wanted in zip(levels, (coarse, fine), strict=True):
            mine = 1 / (1 + np.exp(-level.scores[b, k].detach().double().numpy()))
            expected += ((mine - wanted) ** 2).sum()
    loss = total_loss(levels, points, SIZE, OBJECTIVE_2019)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_targets_follow_the_order_of_the_strides():
    points = some_points()
    fine = exponential_maps(points, SIZE, alpha=0.1)
    pyramid = max_pool_pyramid(fine, levels=5)
    pooled = targets(points, SIZE, (16, 1, 2), Objective(sigma=None, alpha=0.1, pyramid="max_pool"))
    for mine, step in zip(pooled, (4, 0, 1), strict=True):
        assert torch.equal(mine, pyramid[step])
    drawn = targets(points, SIZE, (8, 2), Objective(sigma=0.9))
    for mine, stride in zip(drawn, (8, 2), strict=True):
        torch.testing.assert_close(mine, gaussian_maps(points, SIZE, stride, 0.9))


def test_rounding_the_labels_is_the_only_thing_round_labels_does():
    points = some_points()
    rounded = targets(points, SIZE, (2,), Objective(round_labels=True))[0]
    assert torch.equal(rounded, targets(points.round(), SIZE, (2,), Objective())[0])
    assert not torch.equal(rounded, targets(points, SIZE, (2,), Objective())[0])


def test_the_papers_objective_is_mse_to_a_gaussian_of_one_map_pixel():
    points, levels = some_points(), some_levels(strides=(4, 4), activation="linear")
    wanted = gaussian_maps(points, SIZE, stride=4, sigma=1.0)
    expected = sum(F.mse_loss(level.scores, wanted) for level in levels)
    torch.testing.assert_close(total_loss(levels, points, SIZE, OBJECTIVE_PAPER), expected)


# --- What the course says about the losses -------------------------------------------------------


def test_the_fine_level_drowns_the_coarse_one_in_the_2019_loss():
    """An all-zero output costs 156.7 at 96x96 and 2.64 at 6x6: 59 to 1; with means 1 to 4."""
    offsets = 6 * torch.rand(400, 2, 2, generator=rng()) - 3
    points = torch.tensor([[66.0, 37.0], [30.0, 37.0]]) + offsets
    zeros = [Level(torch.zeros(400, 2, 96 // s, 96 // s), s, "linear") for s in (16, 1)]
    coarse, fine = (
        total_loss([level], points, (96, 96), OBJECTIVE_2019).item() / 800 for level in zeros
    )
    assert fine == pytest.approx(156.7, abs=0.3)
    assert coarse == pytest.approx(2.64, abs=0.1)
    means = Objective("mean_squared_error", None, 0.1, "max_pool", round_labels=True)
    coarse, fine = (total_loss([level], points, (96, 96), means).item() for level in zeros)
    assert fine == pytest.approx(0.017, abs=0.0005)
    assert coarse == pytest.approx(0.073, abs=0.003)


@pytest.mark.parametrize(
    "kind, width, cost",
    [
        ("exponential", 0.1, 0.0170),
        ("exponential", 0.3, 0.0019),
        ("gaussian", 1.0, 0.00034),
        ("gaussian", 2.0, 0.0014),
        ("gaussian", 5.0, 0.0085),
    ],
)
def test_what_all_zeros_costs_for_each_target(kind, width, cost):
    """Energy over area: pi sigma^2, or pi / (2 alpha^2), over 96 * 96 pixels."""
    points = torch.tensor([[[66.2, 44.7], [31.4, 45.1]]])
    zeros = [Level(torch.zeros(1, 2, 96, 96), 1, "linear")]
    widths = {"sigma": width} if kind == "gaussian" else {"sigma": None, "alpha": width}
    loss = total_loss(zeros, points, (96, 96), Objective("mean_squared_error", **widths)).item()
    energy = math.pi * width**2 if kind == "gaussian" else math.pi / (2 * width**2)
    assert loss == pytest.approx(energy / 9216, rel=0.02)  # a cone's tip and tail are cut off
    assert loss == pytest.approx(cost, rel=0.04)


def test_pixel_cross_entropy_is_least_at_the_target_and_there_equals_its_entropy():
    target = gaussian_maps(some_points(), SIZE, stride=2, sigma=3.0).double()
    share = (target / target.sum(dim=(-2, -1), keepdim=True)).clamp(min=1e-300)
    entropy = -(share * share.log()).sum(dim=(-2, -1)).mean()
    best = Level(share.log() + 7.0, 2, "softmax")  # a constant changes nothing
    loss = LOSSES["pixel_cross_entropy"]
    everything = torch.ones(3, 2)
    torch.testing.assert_close(loss(best, target, everything), entropy)
    for seed in range(5):
        change = 0.01 * torch.randn(share.shape, generator=rng(seed), dtype=torch.float64)
        worse = Level(best.scores + change, 2, "softmax")
        assert loss(worse, target, everything) > entropy


@pytest.mark.parametrize(
    "output, squared, entropy",
    [(0.5, 0.25, 0.5), (0.1, 0.16, 0.90), (0.01, 0.020, 0.99), (0.001, 0.0020, 0.999)],
)
def test_squared_error_loses_its_pull_where_a_sigmoid_is_far_off(output, squared, entropy):
    """The gradient at one foreground pixel: 2 (1 - p) p (1 - p), against 1 - p."""
    pull = {}
    for name in ("mean_squared_error", "binary_cross_entropy"):
        scores = torch.tensor([[[[math.log(output / (1 - output))]]]], requires_grad=True)
        LOSSES[name](
            Level(scores, 1, "sigmoid"), torch.ones(1, 1, 1, 1), torch.ones(1, 1)
        ).backward()
        pull[name] = -scores.grad.item()
    assert pull["mean_squared_error"] == pytest.approx(2 * output * (1 - output) ** 2, rel=1e-4)
    assert pull["mean_squared_error"] == pytest.approx(squared, rel=0.03)
    assert pull["binary_cross_entropy"] == pytest.approx(entropy, rel=0.01)


# --- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, words",
    [
        ({"loss": "l1"}, ["loss 'l1'", "sum_of_squares", "pixel_cross_entropy"]),
        ({"pyramid": "mean"}, ["pyramid 'mean'", "render", "max_pool"]),
        ({"loss": ["l1"]}, ["loss ['l1']", "sum_of_squares"]),
        ({"sigma": math.nan}, ["sigma is nan"]),
        ({"sigma": -1.0}, ["sigma is -1.0"]),
        ({"sigma": True}, ["sigma is True"]),
        ({"sigma": None}, ["exactly one", "sigma", "alpha"]),
        ({"alpha": 0.1}, ["exactly one", "sigma=0.6", "alpha=0.1"]),
        ({"sigma": None, "alpha": math.inf}, ["alpha is inf"]),
        ({"round_labels": 1}, ["round_labels is 1"]),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(options, words):
    with pytest.raises(ValueError) as caught:
        Objective(**options)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("activation", ["sigmoid", "linear", "softmax"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_an_activation_that_do_not_go_together_are_refused(name, activation):
    levels, points = some_levels(activation=activation), some_points()
    if activation in PAIRS[name]:
        assert total_loss(levels, points, SIZE, Objective(name)) > 0
        return
    with pytest.raises(ValueError, match=f"{name} does not go with {activation} maps.*softmax"):
        total_loss(levels, points, SIZE, Objective(name))


def test_every_pair_that_the_ablation_trains_is_allowed():
    from hglib.experiments.ablation.rows import all_plans
    from hglib.experiments.ablation.study import build_network

    for plan in all_plans().values():
        assert build_network(plan).activation in PAIRS[plan.objective.loss], plan.name


@pytest.mark.parametrize("points", [(1, 2, 2), (3, 1, 2), (3, 3, 2)])
def test_one_image_or_one_point_is_not_repeated_over_many(points):
    with pytest.raises(ValueError, match=r"stride 8.*\(3, 2, 4, 6\)"):
        total_loss(some_levels(activation="softmax"), torch.zeros(points), SIZE)
    with pytest.raises(ValueError, match=r"mask is \(3, 1\)"):
        levels = some_levels(activation="softmax")
        total_loss(levels, some_points(), SIZE, mask=torch.ones(3, 1))


def test_a_network_without_output_has_no_loss():
    with pytest.raises(ValueError, match="no levels"):
        total_loss([], some_points(), SIZE)


def test_strides_that_no_pooling_gives_are_refused():
    with pytest.raises(ValueError, match="1, 2, 4, 8"):
        targets(some_points(), SIZE, (3, 1), OBJECTIVE_2019)


def test_a_target_far_outside_the_image_still_sums_to_one():
    """Its cells are tiny, and their sum far below 1: scaled all the same."""
    level = some_levels(strides=(4,), activation="softmax")[0]
    target = 1e-20 * gaussian_maps(some_points(), SIZE, stride=4, sigma=1.0)
    loss = LOSSES["pixel_cross_entropy"]
    everything = torch.ones(3, 2)
    torch.testing.assert_close(
        loss(level, target, everything), loss(level, 1e20 * target, everything)
    )
