"""The table of gains: its arithmetic against hand counts, and the course's files behind it."""

import itertools
import json
import re

import numpy as np
import pytest

from hglib.experiments.ablation import gains
from hglib.experiments.ablation.rows import GROUPS, all_plans
from hglib.experiments.ablation.study import FEWEST, MOST, WORDS, describe

KINDS = ("synthetic", "real")


def row(errors, group="parts", against="default", **more):
    runs = {str(i): {"mean_px": e, "e05": 0.5, "cpu_seconds": 2.0} for i, e in enumerate(errors)}
    text = {"what": "w", "pictures": 10, "mflop": 1.0}
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


def test_ranks_share_the_places_of_equal_values():
    assert gains.ranks([5, 1, 5, 5]).tolist() == [3, 1, 3, 3]


def test_spearman_equals_the_textbook_formula_without_ties():
    for order in itertools.permutations(range(5)):
        squares = sum((i - j) ** 2 for i, j in enumerate(order))
        expected = 1 - 6 * squares / (5 * 24)
        assert gains.spearman(range(5), order) == pytest.approx(expected)


def test_spearman_does_not_care_for_scale():
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 30))
    assert gains.spearman(np.exp(9 * a), -1 / b) == pytest.approx(gains.spearman(a, b))


def test_the_table_and_a_missing_file(tmp_path, monkeypatch):
    rows = {"default": row([1.0, 1.2]), "other": row([2.0, 2.4], group="hourglass"), "no": row([])}
    (tmp_path / "study_real.json").write_text(json.dumps({"rows": rows}))
    with pytest.raises(FileNotFoundError, match="python -m hglib study --save"):
        gains.load_rows("synthetic", tmp_path)
    monkeypatch.setattr(gains, "FOLDER", tmp_path)
    shown = gains.table("real")
    assert list(shown.index) == ["default", "other"]  # a row without a run has nothing to show
    assert shown.loc["other", "px"] == pytest.approx(2.2)
    assert shown.loc["other", "spread"] == pytest.approx(0.4)
    assert shown.loc["other", "saves"] == pytest.approx(-1.1)
    assert shown.loc["other", "+-"] == pytest.approx(0.1)
    assert np.isnan(shown.loc["default", "saves"]) and shown.loc["default", "e<=.05"] == 50
    assert list(gains.table("real", group="hourglass").index) == ["other"]


# ---- the course's own results ----------------------------------------------------------------


@pytest.fixture(params=KINDS)
def study(request):
    return json.loads((gains.FOLDER / f"study_{request.param}.json").read_text(encoding="utf-8"))


def test_at_least_thirty_rows_with_three_seeds_each(study):
    assert len(study["rows"]) >= 30
    for name, found in study["rows"].items():
        assert sorted(found["runs"]) == ["0", "1", "2"], name
        spread = np.ptp(gains.by_seed(found))
        assert np.isfinite(spread) and spread >= 0
        for run in found["runs"].values():
            assert 0 <= run["e05"] <= run["e10"] <= run["e25"] <= 1, name
            assert run["cpu_seconds"] > 0


def test_every_row_is_the_one_that_the_code_would_run_today(study):
    plans = all_plans()
    assert set(study["rows"]) == set(plans)
    for name, found in study["rows"].items():
        today = describe(plans[name])
        changed = [key for key in today if key not in WORDS and found.get(key) != today[key]]
        assert not changed, f"{name}: {changed} differ; run python -m hglib study again"


def test_every_row_says_what_it_asks_and_how_to_repeat_it(study):
    for name, found in study["rows"].items():
        assert found["command"] == f"python -m hglib study --rows {name}"
        assert found["question"].endswith("?") and found["group"] in GROUPS
        assert found["against"] in study["rows"]
        assert FEWEST <= found["pictures"] <= MOST


def test_equal_cost_means_equal_work(study):
    default = study["rows"]["default"]
    budget = default["pictures"] * default["mflop"]
    for name, found in study["rows"].items():
        if found["group"] in ("parts", "hourglass"):
            assert found["pictures"] * found["mflop"] == pytest.approx(budget, rel=0.01), name
        else:
            assert found["pictures"] == default["pictures"], name


def test_no_path_of_anybody_in_the_file(study):
    assert not re.search(r"/(home|work|root|tmp|Users)\b", json.dumps(study))


def test_decoders_share_one_training(study):
    rows = study["rows"]
    for seed in "012":
        times = {rows[n]["runs"][seed]["cpu_seconds"] for n in rows if n.startswith("decoder-")}
        assert times == {rows["default"]["runs"][seed]["cpu_seconds"]}
