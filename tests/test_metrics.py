"""Metrics: oracles are closed forms, slow loops and invariances."""

import dataclasses
import doctest
import json
import math

import numpy as np
import pytest
import torch

from hglib import heatmap, metrics
from hglib.metrics import (
    auc,
    bioid,
    bootstrap,
    errors_px,
    evaluate,
    failure_rate,
    inter_ocular,
    kaggle_rmse,
    mean_position_baseline,
    nme,
    risk_coverage,
    worst_eye,
)
from hglib.plots.results import cumulative_curve

LEVEL = np.array([[66.0, 37.0], [30.0, 37.0]])  # a level pair of eyes, 36 px apart
IOD = 36.0


def faces(n: int = 50, k: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Predictions about 2 px off labels whose first two landmarks are 30..42 px apart."""
    rng = np.random.default_rng(seed)
    true = rng.uniform(20, 76, (n, k, 2))
    true[:, 0] = LEVEL[0] + rng.uniform(-3, 3, (n, 2))
    true[:, 1] = LEVEL[1] + rng.uniform(-3, 3, (n, 2))
    return true + rng.normal(0, 1.5, true.shape), true


def with_gaps(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The same with unlabelled points, lost points, and points that are both."""
    pred, true = faces(seed=seed)
    true[3, 0] = true[5, 1] = true[7] = np.nan
    pred[5, 0] = pred[7, 1] = pred[9, 1] = np.nan
    pred[11] = np.nan
    return pred, true


def level_faces(n: int = 4) -> np.ndarray:
    return np.tile(LEVEL, (n, 1, 1))


# --- Errors of points ----------------------------------------------------------------------------


def test_errors_against_a_loop():
    pred, true = with_gaps()
    errors = errors_px(pred, true)
    for n, k in np.ndindex(len(true), 2):
        if np.isnan(true[n, k]).any():
            assert math.isnan(errors[n, k])
        elif np.isnan(pred[n, k]).any():
            assert errors[n, k] == math.inf
        else:
            assert errors[n, k] == pytest.approx(math.dist(pred[n, k], true[n, k]))


def test_half_a_label_is_no_label_and_half_a_point_is_not_found():
    true, pred = level_faces(2), level_faces(2)
    true[0, :, 1] = np.nan
    pred[0, 1] = np.nan  # half a label does not become a lost point either
    pred[1, 0, 0] = np.inf
    errors = errors_px(pred, true)
    assert np.isnan(errors[0]).all() and errors[1, 0] == math.inf


def test_inter_ocular_uses_the_named_eyes():
    _, true = faces(k=4)
    swapped = true[:, [2, 1, 3, 0]]  # the eyes are now landmarks 3 and 1
    np.testing.assert_allclose(inter_ocular(swapped, (3, 1)), inter_ocular(true, (0, 1)))
    assert inter_ocular(true, (0, 1))[0] == pytest.approx(math.dist(true[0, 0], true[0, 1]))
    assert np.isnan(inter_ocular(true)).all()  # four landmarks, and nobody said which are eyes


def test_normalised_errors_against_a_loop():
    pred, true = with_gaps()
    means, worsts = nme(pred, true), worst_eye(pred, true)
    for n in range(len(true)):
        if np.isnan(true[n]).any():
            assert math.isnan(means[n]) and math.isnan(worsts[n])
        elif np.isnan(pred[n]).any():
            assert means[n] == worsts[n] == math.inf
        else:
            ruler = math.dist(true[n, 0], true[n, 1])
            both = [math.dist(pred[n, k], true[n, k]) for k in (0, 1)]
            assert means[n] == pytest.approx(sum(both) / 2 / ruler)
            assert worsts[n] == pytest.approx(max(both) / ruler)


def test_nme_averages_over_the_labelled_points_only():
    pred, true = faces(k=5)
    true[:, 4] = np.nan
    expected = nme(pred[:, :4], true[:, :4], (0, 1))
    np.testing.assert_allclose(nme(pred, true, (0, 1)), expected)


def test_worst_eye_is_no_better_than_any_eye_nor_the_mean():
    pred, true = faces()
    errors, worst = errors_px(pred, true) / inter_ocular(true)[:, None], worst_eye(pred, true)
    assert (worst[:, None] >= errors).all()
    assert (worst > nme(pred, true)).all()


def test_worst_eye_looks_at_the_eyes_only():
    pred, true = faces(k=3)
    expected = worst_eye(pred[:, :2], true[:, :2])
    pred[:, 2] += 50
    np.testing.assert_allclose(worst_eye(pred, true, (1, 0)), expected)


# --- Shares and curves ---------------------------------------------------------------------------


def test_bioid_shares_are_counts():
    pred, true = level_faces(4), level_faces(4)
    pred[0, 0, 0] += 0.02 * IOD
    pred[1, 1, 1] -= 0.04 * IOD
    pred[2, 0, 1] += 0.20 * IOD
    pred[3, 1] = np.nan  # not found: misses every threshold
    assert bioid(pred, true) == {0.025: 0.25, 0.05: 0.5, 0.10: 0.5, 0.25: 0.75}
    true[3, 0] = np.nan  # one eye without a label: no inter-ocular distance, face left out
    assert bioid(pred, true)[0.25] == 1


def test_a_worst_eye_error_on_the_threshold_is_within():
    true = level_faces(1)
    assert bioid(true + np.array([IOD / 4, 0]), true) == {0.025: 0, 0.05: 0, 0.10: 0, 0.25: 1}


def test_perfect_maps_at_stride_four_fail_bioid_without_a_sub_pixel_decoder():
    steps = (torch.arange(24, dtype=torch.float64) + 0.5) / 24 - 0.5
    grid = 4 * torch.cartesian_prod(steps, steps)  # every place in a cell of 4 x 4
    order = torch.randperm(len(grid), generator=torch.Generator().manual_seed(0))
    cells = torch.tensor([[65.5, 37.5], [29.5, 37.5]])  # middles of two cells, 36 px apart
    true = torch.stack([grid, grid[order]], dim=1) + cells
    maps = heatmap.gaussian_maps(true, stride=4)
    argmax = bioid(heatmap.decode(maps, "argmax", 4).points, true)
    within = math.pi * 0.45**2  # one eye within .05 * 36 px = .45 cells of its cell's middle
    assert argmax[0.05] == pytest.approx(within**2, abs=0.04)
    taylor = bioid(heatmap.decode(maps, "taylor", 4).points, true)
    assert taylor[0.025] == 1


def test_cumulative_curve_counts():
    values = np.random.default_rng(0).uniform(0, 0.2, 40)
    values[:3] = values[3]  # equal values
    x, share = cumulative_curve(np.append(values, np.nan), limit=0.1)
    assert x[0] == 0 and x[-1] == 0.1 and (np.diff(x) > 0).all()
    for at, reached in zip(x, share, strict=True):
        assert reached == sum(v <= at for v in values) / 40


def test_auc_is_the_area_under_the_staircase():
    values = np.append(np.random.default_rng(0).uniform(0, 0.2, 40), [np.inf, 0.0, 0.1])
    x, share = cumulative_curve(values, limit=0.1)
    assert auc(values, 0.1) == pytest.approx((share[:-1] * np.diff(x)).sum() / 0.1)


@pytest.mark.parametrize(("value", "area"), [(0.0, 1.0), (0.03, 0.7), (0.1, 0.0), (9.0, 0.0)])
def test_auc_of_a_single_step(value, area):
    assert auc([value, np.nan], 0.1) == pytest.approx(area)


def test_failure_rate_is_what_the_curve_does_not_reach():
    values = [0.01, 0.1, 0.2, np.nan, np.inf]
    assert failure_rate(values, 0.1) == 0.5
    assert failure_rate(values, 0.1) == 1 - cumulative_curve(values, 0.1)[1][-1]
    assert failure_rate(values, 0.15) == failure_rate(values) and failure_rate(values, 0.3) == 0.25


def test_risk_coverage_against_a_loop():
    rng = np.random.default_rng(0)
    errors, confidence = rng.uniform(0, 5, (30, 2)), rng.integers(0, 8, (30, 2)) / 8
    errors[4, 1] = np.nan
    coverage, risk = risk_coverage(errors, confidence)
    labelled = ~np.isnan(errors)
    levels = np.unique(confidence[labelled])[::-1]
    assert len(levels) == len(coverage) == 8
    for level, share, mean in zip(levels, coverage, risk, strict=True):
        kept = errors[labelled & (confidence >= level)]
        assert share == pytest.approx(len(kept) / 59) and mean == pytest.approx(kept.mean())


# --- The interval --------------------------------------------------------------------------------


def test_bootstrap_of_a_mean_is_the_normal_interval():
    values = np.random.default_rng(0).normal(3, 2, 400)
    low, high = bootstrap(values)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    narrow = bootstrap(values, level=0.5)
    assert low < narrow[0] < values.mean() < narrow[1] < high


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    ends = [bootstrap(rng.exponential(1, 60), level=0.8, repeats=200) for _ in range(200)]
    covered = np.mean([low <= 1 <= high for low, high in ends])
    assert 0.70 < covered < 0.88


def test_bootstrap_keeps_the_eyes_of_a_face_together():
    """Two equal columns hold no more than one: the interval must not shrink by sqrt(2)."""
    column = np.random.default_rng(0).normal(0, 1, 100)
    twice = np.stack([column, column], axis=1)
    assert bootstrap(twice) == pytest.approx(bootstrap(column))


def test_bootstrap_leaves_out_missing_labels_and_takes_any_statistic():
    values = np.where(np.arange(40) % 4 == 1, np.nan, 1.0)
    assert bootstrap(values) == (1.0, 1.0)
    assert bootstrap([0.0, 10.0], np.max, repeats=500) == (0.0, 10.0)


def test_bootstrap_depends_on_its_seed_and_on_nothing_else():
    values = np.random.default_rng(0).normal(0, 1, 50)
    np.random.seed(1)
    first = bootstrap(values, seed=5)
    np.random.seed(2)
    assert bootstrap(values, seed=5) == first != bootstrap(values, seed=6)


# --- The baseline --------------------------------------------------------------------------------


def test_mean_position_is_the_best_constant():
    _, true = with_gaps()
    baseline = mean_position_baseline(true, 50)
    assert baseline.shape == (50, 2, 2)
    best = kaggle_rmse(baseline, true)
    for shift in ([0.1, 0], [-0.1, 0], [0, 0.1], [0, -0.1]):
        assert kaggle_rmse(baseline + shift, true) > best


# --- The report ----------------------------------------------------------------------------------


def test_report_of_a_uniform_offset():
    true = level_faces(5)
    report = evaluate(true + np.array([0.9, -1.2]), true, np.ones((5, 2)))
    expected = {
        "n": 5, "found": 1, "mean_px": 1.5, "median_px": 1.5, "rmse_px": 1.5,
        "kaggle_rmse": 1.5 / math.sqrt(2), "nme": 1.5 / IOD, "e025": 0, "e05": 1, "e10": 1,
        "e25": 1, "auc": 1 - 1.5 / IOD / 0.1, "failure_rate": 0, "aurc_px": 1.5,
    }  # fmt: skip
    assert report.row() == pytest.approx(expected)


def test_report_against_loops():
    pred, true = with_gaps()
    report = evaluate(pred, true)
    distances, squares, means, worsts = [], [], [], []
    for p, t in zip(pred, true, strict=True):
        for k in (0, 1):
            if not np.isnan(p[k]).any() and not np.isnan(t[k]).any():
                distances.append(math.dist(p[k], t[k]))
                squares += list((p[k] - t[k]) ** 2)
        if not np.isnan(t).any():
            error = [math.dist(p[k], t[k]) / math.dist(t[0], t[1]) for k in (0, 1)]
            means.append(math.inf if np.isnan(p).any() else sum(error) / 2)
            worsts.append(math.inf if np.isnan(p).any() else max(error))
    finite = [m for m in means if m < math.inf]
    assert len(means) == 47 and len(finite) == 45
    assert report.n == 49
    assert report.found == (2 * 50 - 4 - 4) / (2 * 50 - 4)
    assert report.mean_px == pytest.approx(np.mean(distances))
    assert report.median_px == pytest.approx(np.median(distances))
    assert report.rmse_px == pytest.approx(math.sqrt(np.mean(np.square(distances))))
    assert report.kaggle_rmse == pytest.approx(math.sqrt(np.mean(squares)))
    assert report.nme == pytest.approx(np.mean(finite))
    for name, limit in (("e025", 0.025), ("e05", 0.05), ("e10", 0.1), ("e25", 0.25)):
        assert getattr(report, name) == sum(w <= limit for w in worsts) / 47
    assert report.auc == pytest.approx(np.mean([max(0, 1 - m / 0.1) for m in means]))
    assert report.failure_rate == sum(m > 0.1 for m in means) / 47
    assert math.isnan(report.aurc_px)


def test_report_does_not_depend_on_the_order_of_the_faces():
    pred, true = with_gaps()
    confidence = np.random.default_rng(1).integers(0, 5, (50, 2))
    order = np.random.default_rng(2).permutation(50)
    shuffled = evaluate(pred[order], true[order], confidence[order])
    assert shuffled.row() == pytest.approx(evaluate(pred, true, confidence).row())


def test_enlarging_everything_scales_pixels_and_nothing_else():
    pred, true = with_gaps()
    confidence = np.random.default_rng(1).uniform(size=(50, 2))
    small, large = (evaluate(f * pred, f * true, confidence).row() for f in (1, 3))
    for name, value in small.items():
        in_pixels = name.endswith("_px") or name == "kaggle_rmse"
        assert large[name] == pytest.approx(value * 3 if in_pixels else value)


def test_turning_everything_changes_nothing():
    pred, true = faces()
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    turned = evaluate(pred @ turn, true @ turn).row()
    assert turned == pytest.approx(evaluate(pred, true).row(), nan_ok=True)


def test_losing_points_costs_shares_but_not_the_mean():
    pred, true = level_faces(4) + 1.0, level_faces(4)
    pred[0, 0] = np.nan
    report = evaluate(pred, true)
    assert report.mean_px == pytest.approx(math.sqrt(2)) and report.found == 7 / 8
    assert report.e25 == 0.75 and report.failure_rate == 0.25
    assert report.auc == pytest.approx(0.75 * (1 - math.sqrt(2) / IOD / 0.1))


@pytest.mark.filterwarnings("error")
def test_nothing_found_is_a_total_failure_and_no_number():
    true = level_faces(3)
    report = evaluate(np.full_like(true, np.nan), true, np.zeros((3, 2)))
    assert (report.found, report.e25, report.auc, report.failure_rate) == (0, 0, 0, 1)
    for name in ("mean_px", "median_px", "rmse_px", "kaggle_rmse", "nme", "aurc_px"):
        assert math.isnan(getattr(report, name))


@pytest.mark.parametrize("k", [1, 4])
def test_without_eyes_only_the_pixels_are_measured(k):
    pred, true = faces(k=4)
    report = evaluate(pred[:, :k], true[:, :k])
    assert report.mean_px == pytest.approx(errors_px(pred, true)[:, :k].mean())
    for name in ("nme", "e025", "e05", "e10", "e25", "auc", "failure_rate"):
        assert math.isnan(getattr(report, name))


def test_with_named_eyes_all_landmarks_count_for_nme_and_two_for_bioid():
    pred, true = faces(k=4)
    report = evaluate(pred, true, eyes=(0, 1))
    assert report.nme == pytest.approx(nme(pred, true, (0, 1)).mean())
    assert report.e05 == bioid(pred[:, :2], true[:, :2])[0.05]


def test_good_confidence_has_a_smaller_risk_area_than_bad():
    pred, true = with_gaps()
    errors = errors_px(pred, true)
    confidence = -np.nan_to_num(errors, nan=0, posinf=0)
    good, bad = evaluate(pred, true, confidence), evaluate(pred, true, -confidence)
    flat = evaluate(pred, true, np.zeros((50, 2)))
    assert good.aurc_px < flat.aurc_px < bad.aurc_px
    assert flat.aurc_px == pytest.approx(flat.mean_px)
    ranked = np.sort(errors[np.isfinite(errors)])
    running = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    assert good.aurc_px == pytest.approx(running.mean())


def test_report_reads_as_one_line_and_as_json():
    pred, true = faces()
    report = evaluate(pred, true)
    line = str(report)
    assert "\n" not in line
    for part in ("50 faces", f"{report.mean_px:.2f} px", f"e<=.05 {100 * report.e05:.1f}%"):
        assert part in line
    assert json.loads(json.dumps(report.row()))["e10"] == report.e10
    assert list(report.row()) == [field.name for field in dataclasses.fields(report)]
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.n = 0


def test_tensors_and_float32_are_welcome():
    pred, true = (points.astype(np.float32) for points in faces())
    tensors = evaluate(torch.from_numpy(pred), torch.from_numpy(true))
    arrays = evaluate(pred.astype(float), true.astype(float))
    assert tensors.row() == pytest.approx(arrays.row(), nan_ok=True)


def test_missing_points_raise_no_warnings():
    pred, true = with_gaps()
    true[20, 1] = pred[20, 1] = np.inf
    with np.errstate(all="raise"):
        assert evaluate(pred, true, np.zeros((50, 2))).n == 49


# --- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: errors_px(t[:2], t), r"pred has shape \(2, 2, 2\) but true .*\(3, 2, 2\)"),
        (lambda t: errors_px(t, t[0]), r"true has shape \(2, 2\)"),
        (lambda t: errors_px(t[..., :1], t), r"pred has shape \(3, 2, 1\)"),
        (lambda t: evaluate(t[:0], t[:0]), r"pred has shape \(0, 2, 2\)"),
        (lambda t: evaluate(t, t * np.nan), "none of the 6 true points"),
        (lambda t: evaluate(t, t, np.ones(3)), r"confidence is \(3,\); .* \(3, 2\)"),
        (lambda t: inter_ocular(t, (0, 2)), r"eyes is \(0, 2\); .* below 2"),
        (lambda t: inter_ocular(t, (-1, 0)), r"eyes is \(-1, 0\)"),
        (lambda t: inter_ocular(t, (1, 1)), r"eyes is \(1, 1\)"),
        (lambda t: inter_ocular(t[:, [0, 0]]), "both eyes of face 0"),
        (lambda t: auc([np.nan]), "values must hold"),
        (lambda t: auc([0.1, -0.1]), "none below 0"),
        (lambda t: failure_rate([0.1], limit=0), "limit is 0"),
        (lambda t: mean_position_baseline(t * [[[1], [np.nan]]], 2), "landmark 1 has no label"),
        (lambda t: risk_coverage([1.0], [1.0, 2.0]), r"errors are \(1,\) .* \(2,\)"),
        (lambda t: risk_coverage([1.0], [np.nan]), "confidence that is not NaN"),
        (lambda t: risk_coverage([np.nan], [1.0]), "there must be one"),
        (lambda t: bootstrap([1.0]), r"values have shape \(1,\)"),
        (lambda t: bootstrap(1.0), r"values have shape \(\)"),
        (lambda t: bootstrap([1.0, 2.0], level=95), "level is 95"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(level_faces(3))


def test_the_face_with_coinciding_eyes_is_named():
    true = level_faces(4)
    true[0] = np.nan
    true[2, 1] = true[2, 0]
    with pytest.raises(ValueError, match="both eyes of face 2"):
        evaluate(level_faces(4), true)


def test_doctests():
    result = doctest.testmod(metrics)
    assert result.attempted > 0
    assert result.failed == 0


def test_a_half_labelled_point_is_left_out_of_the_mean_position():
    points = [[[1.0, 2.0]], [[3.0, np.nan]]]
    assert mean_position_baseline(points, n=2).tolist() == [[[1.0, 2.0]]] * 2


def test_what_a_masked_array_hides_is_missing():
    true = np.ma.masked_equal([[[1.0, 2.0], [9.0, 2.0]]], 9.0)
    errors = errors_px([[[1.0, 5.0], [0.0, 0.0]]], true)
    assert errors[0, 0] == 3 and np.isnan(errors[0, 1])
    assert failure_rate(np.ma.masked_equal([0.0, 5.0, 0.2], 5.0)) == 0.5
