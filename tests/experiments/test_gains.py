"""The table of gains: its arithmetic against hand counts, and the course's files behind it."""

import itertools
import json

import numpy as np
import pytest

from hglib.experiments.ablation import gains
from hglib.experiments.ablation.rows import GROUPS, all_plans
from hglib.experiments.ablation.study import IMAGES, describe
from hglib.experiments.record import Record

KINDS = ("synthetic", "real")


def row(errors, group="parts", against="default", **more):
    runs = {str(i): {"mean_px": e, "e05": 0.5, "cpu_seconds": 2.0} for i, e in enumerate(errors)}
    text = {"what": "w", "images": 10, "mflop": 1.0}
    return {"group": group, "against": against, "runs": runs, **text, **more}


# ---- arithmetic ------------------------------------------------------------------------------


def test_a_paired_gain_by_hand():
    found = gains.paired([1.0, 2.0, 3.0], [1.5, 2.4, 3.9])  # saved .5, .4, .9: mean .6
    assert found.px == pytest.approx(0.6)
    assert found.error == pytest.approx(np.sqrt((0.01 + 0.04 + 0.09) / 2) / np.sqrt(3))
    assert found.sure and not gains.Gain(-0.1, 0.06).sure and gains.Gain(-0.2, 0.06).sure


def test_what_all_seeds_share_is_no_luck():
    """Seeds of very different difficulty, the same gain in each: the standard error is nought."""
    hard = np.array([1.0, 5.0, 20.0])
    assert gains.paired(hard, hard + 0.3).error == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [([1.0], [2.0]), ([1.0, 2.0], [1.0, 2.0, 3.0]), (1.0, 2.0)])
def test_gains_need_the_same_seeds(a, b):
    with pytest.raises(ValueError, match="same seeds"):
        gains.paired(a, b)


def test_luck_is_pooled_over_rows_that_learnt():
    rows = {
        "a": row([1.0, 1.2]),  # squares .02, one degree of freedom
        "b": row([2.0, 2.3, 2.6]),  # squares .18, two
        "stuck": row([60.0, 3.0]),
        "elsewhere": row([1.0, 3.0], group="repairs"),
        "single": row([1.0]),
    }
    assert gains.luck(rows) == pytest.approx(np.sqrt(0.20 / 3))
    with pytest.raises(ValueError, match="two seeds"):
        gains.luck({"single": row([1.0])})


def test_luck_finds_the_spread_that_was_put_in():
    rng = np.random.default_rng(0)
    rows = {str(i): row(rng.normal(2 + i / 100, 0.05, 3)) for i in range(200)}
    assert gains.luck(rows) == pytest.approx(0.05, rel=0.1)


def test_a_gain_with_pooled_luck():
    rows = {"default": row([1.0, 1.0, 1.0]), "other": row([1.5, 1.5, 1.5])}
    assert gains.gain(rows, "other") == gains.Gain(-0.5, 0.0)
    found = gains.gain(rows, "other", pooled=0.3)
    assert found.px == pytest.approx(-0.5)
    assert found.error == pytest.approx(0.3 * np.sqrt(2 / 3))
    assert gains.gain(rows, "default", against="other").px == pytest.approx(0.5)


def test_a_gain_uses_the_seeds_that_both_rows_have():
    rows = {"default": row([1.0, 2.0, 9.0]), "other": row([1.5, 2.5])}
    assert gains.gain(rows, "other", pooled=0.1) == gains.Gain(-0.5, pytest.approx(0.1))
    assert gains.gain(rows, "other").px == -0.5


def test_a_row_that_did_not_learn_has_a_luck_of_its_own():
    rows = {"default": row([1.0, 1.1]), "stuck": row([40.0, 61.1])}
    found = gains.gain(rows, "stuck", pooled=0.01)
    assert found == gains.paired([40.0, 61.1], [1.0, 1.1]) and found.error > 5


def test_seeds_are_in_the_order_of_their_numbers():
    runs = {"10": {"mean_px": 3.0}, "2": {"mean_px": 1.0}}
    assert gains.by_seed({"runs": runs}).tolist() == [1.0, 3.0]


def test_equal_values_share_their_ranks():
    ranks = [3, 1, 3, 3]  # of 5 1 5 5
    expected = np.corrcoef(ranks, [1, 2, 3, 4])[0, 1]
    assert gains.spearman([5, 1, 5, 5], [1, 2, 3, 4]) == pytest.approx(expected)


def test_spearman_equals_the_textbook_formula_without_ties():
    for order in itertools.permutations(range(5)):
        squares = sum((i - j) ** 2 for i, j in enumerate(order))
        expected = 1 - 6 * squares / (5 * 24)
        assert gains.spearman(range(5), order) == pytest.approx(expected)


def test_spearman_does_not_care_for_scale():
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 30))
    assert gains.spearman(np.exp(9 * a), -1 / b) == pytest.approx(gains.spearman(a, b))


def test_the_table_of_a_record():
    errors = {"default": [1.0, 1.2], "other": [2.0, 2.4], "no": []}
    about = {name: row([], group="hourglass" if name == "other" else "parts") for name in errors}
    figures = {
        f"{name}, seed {seed}": {"mean_px": px, "e05": 0.5, "cpu_seconds": 2.0}
        for name, values in errors.items()
        for seed, px in enumerate(values)
    }
    record = Record("ablation", about={"rows": about}, figures=figures)
    shown = gains.table(record)
    assert list(shown.index) == ["default", "other"]  # a row without a run has nothing to show
    assert shown.loc["other", "px"] == pytest.approx(2.2)
    assert shown.loc["other", "spread"] == pytest.approx(0.4)
    assert shown.loc["other", "saves"] == pytest.approx(-1.1)
    assert shown.loc["other", "+-"] == pytest.approx(0.1)
    assert np.isnan(shown.loc["default", "saves"]) and shown.loc["default", "e<=.05"] == 50
    assert list(gains.table(record, group="hourglass").index) == ["other"]


# ---- the published results -------------------------------------------------------------------


@pytest.fixture(params=KINDS)
def rows(request):
    return gains.load_rows(request.param)


def test_every_row_has_three_seeds_and_is_the_one_that_the_code_would_run_today(rows):
    plans = all_plans()
    # The step from the last repair to our default has a file of its own.
    assert list(rows) == [name for name in plans if plans[name].group != "step"] and len(rows) >= 30
    for name, found in rows.items():
        today = json.loads(json.dumps(describe(plans[name])))
        assert not [key for key in today if found[key] != today[key]], f"{name}: measure it again"
        assert sorted(found["runs"]) == ["0", "1", "2"], name
        assert found["question"].endswith("?") and found["group"] in GROUPS
        assert found["against"] in rows
        for run in found["runs"].values():
            assert 0 <= run["e05"] <= run["e10"] <= run["e25"] <= 1, name
            assert run["cpu_seconds"] > 0


def test_equal_cost_means_equal_work(rows):
    budget = rows["default"]["images"] * rows["default"]["mflop"]
    for name, found in rows.items():
        if found["group"] in ("parts", "hourglass"):
            assert found["images"] * found["mflop"] == pytest.approx(budget, rel=0.01), name
        else:
            assert found["images"] == IMAGES, name


def test_decoders_share_one_training(rows):
    for seed in "012":
        times = {rows[n]["runs"][seed]["cpu_seconds"] for n in rows if n.startswith("decoder-")}
        assert times == {rows["default"]["runs"][seed]["cpu_seconds"]}
