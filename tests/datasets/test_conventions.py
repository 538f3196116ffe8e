"""hglib.datasets.conventions: what is planted is found to .1 px, and nothing else."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hglib.data import EYES, Faces
from hglib.datasets import audit, breaks, load, locate
from hglib.datasets.conventions import Finding, harmonise, learn
from hglib.datasets.synthetic.kaggle import CONVENTIONS, first_part

N = 1200
STEP = np.subtract(CONVENTIONS[1], CONVENTIONS[0])  # eyes less labels, first part less second


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """Faces as `load` gives them, and the convention (N,) of each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HGLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        faces = load("synthetic", "all", n_synthetic=N, verbose=False)
        truth = pd.read_csv(locate("synthetic", n_synthetic=N) / "truth.csv")
        yield faces, truth["convention"].to_numpy()


@pytest.fixture(scope="module")
def plain(synthetic):
    """The same faces, all labels under one convention; and eye centres found to .6 px."""
    faces, convention = synthetic
    return moved(faces, -np.array(CONVENTIONS)[convention])


@pytest.fixture(scope="module")
def found(plain):
    noise = np.random.default_rng(1).normal(0, 0.6, (N, 2, 2))
    return np.nan_to_num(plain.points[:, :2], nan=48) + noise


def moved(faces, by):
    """by (N, 2)."""
    return replace(faces, points=(faces.points + np.asarray(by)[:, None]).astype(np.float32))


def eyes_only(faces):
    return replace(faces, points=faces.points[:, :2], landmarks=EYES)


def check_planted(finding, step=STEP, within=0.1):
    assert finding.verdict == "two conventions", finding.line()
    (a, b), (c, d) = finding.moves
    np.testing.assert_allclose([a - c, b - d], step, atol=within)
    share = finding.part.mean()
    assert abs(share * a + (1 - share) * c) < 0.01 > abs(share * b + (1 - share) * d)


# --- what is planted is found --------------------------------------------------------------------


def test_the_pretrained_network_finds_what_the_synthetic_files_hold(synthetic):
    faces, convention = synthetic
    better, finding = harmonise(faces)
    check_planted(finding)
    assert (finding.part == (convention == 0)).all()
    assert finding.where == f"rows 0 to {first_part(N) - 1}" and finding.sigmas > 15
    assert set(finding.witnesses) == {"mean eye", "network", "mirror"}
    for name, witness in finding.witnesses.items():
        off = np.abs(witness.shift - STEP) / witness.se
        assert np.nanmax(off) < 3.5 and np.nanmax(witness.se) < 0.13, name
    truth = pd.read_csv(locate("synthetic", n_synthetic=N) / "truth.csv")
    truth = truth[[f"{name}_{axis}" for name in EYES for axis in "xy"]].to_numpy()
    error = better.points[:, :2] - truth.reshape(N, 2, 2)
    for part in (0, 1):  # both now lie at their common mean, which is the truth
        assert np.abs(np.nanmedian(error[convention == part], axis=(0, 1))).max() < 0.1


def test_without_any_network_it_is_found_too(synthetic):
    faces, convention = synthetic
    finding = harmonise(faces, network=False).finding
    check_planted(finding, within=0.25)
    assert (finding.part == (convention == 0)).mean() > 0.98
    assert set(finding.witnesses) == {"mean eye", "mirror"}


@pytest.mark.parametrize("step", [(0.6, 0.0), (0.0, -0.7), (-0.5, 0.8), (1.2, 1.0)])
@pytest.mark.parametrize("row", [120, 600, 1000])
def test_any_step_at_any_row_is_found(plain, found, step, row):
    first = np.arange(N) < row
    finding = learn(eyes_only(moved(plain, -np.outer(first, step))), found)
    check_planted(finding, step)
    assert np.abs(finding.part.sum() - row) < 12


def test_the_part_that_lies_in_the_middle_of_a_shuffled_file_is_found_by_its_points(
    synthetic, found
):
    faces, convention = synthetic
    order = np.random.default_rng(2).permutation(N)
    mixed = replace(faces[order], rows=np.arange(N))
    finding = learn(mixed, found[order])
    check_planted(finding)
    assert (finding.part == (convention[order] == 0)).all()
    assert finding.where == f"{first_part(N)} faces with more than 4 points"
    blind = learn(eyes_only(mixed), found[order])  # neither an order nor a pattern is left
    assert not blind.moved


def test_the_order_of_the_faces_does_not_matter_but_their_rows(synthetic, found):
    faces, _ = synthetic
    order = np.random.default_rng(3).permutation(N)
    one, other = learn(eyes_only(faces), found), learn(eyes_only(faces[order]), found[order])
    assert (one.moves, one.where) == (other.moves, other.where)
    assert (one.part[order] == other.part).all()


# --- what is not there is not found --------------------------------------------------------------


def test_one_convention_is_left_alone(plain, found):
    for finding in (learn(plain, found), learn(moved(plain, np.full((N, 2), 0.7)), found)):
        assert finding.verdict == "one convention" and finding.sigmas < 4
    assert harmonise(plain).finding.verdict == "one convention"
    assert not learn(plain).moved


def test_each_part_alone_is_left_alone(synthetic, found):
    faces, convention = synthetic
    for part in (0, 1):
        only = convention == part
        assert not learn(faces[only], found[only]).moved


def test_noise_is_hardly_ever_taken_for_a_break():
    """The best of 800 breaks of pure noise: far below the six sigmas that are asked for."""
    rng = np.random.default_rng(4)
    best = [breaks.best_row(rng.standard_t(3, (1000, 2)), np.arange(1000))[1] for _ in range(200)]
    assert np.median(best) < 3 and max(best) < 5


def test_harmonising_twice_moves_nothing(synthetic):
    once, finding = harmonise(synthetic[0])
    twice, again = harmonise(once)
    assert finding.moved and again.verdict == "one convention"
    assert twice is once


def test_small_steps_and_absurd_ones_are_left_alone(plain, found):
    first = np.arange(N) < 500
    for step, verdict in (((0.2, 0.2), "one convention"), ((3.0, 0.0), "too little evidence")):
        shifted = moved(plain, -np.outer(first, step))
        better, finding = shifted, learn(shifted, found)
        assert finding.verdict == verdict, finding.line()
        assert better.points is shifted.points
    assert "too large" in finding.reason


def test_witnesses_that_disagree_stop_it(plain, found):
    """A network that errs on one half of the images alone says nothing about labels."""
    first = np.arange(N) < 500
    finding = learn(plain, found + np.where(first, 0.8, 0)[:, None, None])
    assert finding.verdict == "too little evidence" and "mean eye" in finding.reason
    assert not finding.moved


@pytest.mark.parametrize("count", [1, 20, 150])
def test_few_faces_are_too_little_evidence(synthetic, count):
    faces, finding = harmonise(synthetic[0][:count])
    assert finding.verdict == "too little evidence" and f"{count} faces" not in finding.verdict
    assert "fewer than 200" in finding.reason and finding.row()["witnesses"] == {}
    assert faces is not None and np.array_equal(
        faces.points, synthetic[0].points[:count], equal_nan=True
    )


def test_other_images_and_single_eyes_are_not_judged(synthetic):
    faces = synthetic[0]
    half = Faces(faces.images[:, ::2, ::2], faces.points / 2, faces.landmarks, faces.rows, "half")
    assert "48x48" in harmonise(half).finding.reason
    one = replace(faces, points=faces.points[:, :1], landmarks=EYES[:1])
    assert harmonise(one).finding.reason == "both eyes are needed"


def test_missing_points_stay_missing_and_all_points_of_a_face_move_alike(synthetic):
    faces = synthetic[0]
    points = faces.points.copy()
    points[::50, 0] = np.nan
    faces = replace(faces, points=points)
    better, finding = harmonise(faces, network=False)
    assert finding.moved and np.array_equal(np.isnan(better.points), np.isnan(points))
    by = better.points - points  # (N, 15, 2)
    expected = np.where(finding.part[:, None], *np.array(finding.moves))
    known = faces.present
    np.testing.assert_allclose(by[known], np.repeat(expected, known.sum(1), axis=0), atol=1e-4)
    assert better.images is faces.images and np.array_equal(faces.points, points, equal_nan=True)


# --- how it is said ------------------------------------------------------------------------------


def test_one_line_and_json(synthetic, found):
    finding = learn(synthetic[0], found)
    assert (
        "\n" not in finding.line() and f"rows 0 to {first_part(N) - 1} moved by" in finding.line()
    )
    assert "to be moved by" in finding.line(done=False)
    for said in ("by the mean eye (", "by the network (", " px in x; a step of "):
        assert said in finding.line()
    assert finding.line().endswith(f"{finding.sigmas:.0f} standard errors")
    said = json.loads(json.dumps(finding.row(), allow_nan=False))
    assert said["verdict"] == "two conventions" and said["witnesses"]["mirror"]["shift"][1] is None
    assert said["witnesses"]["network"]["first_row"] == pytest.approx(first_part(N), abs=12)
    assert Finding("one convention", "why").line().endswith("one convention (why)")


def test_load_harmonises_on_request_and_says_so(synthetic, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HGLIB_CACHE", str(tmp_path))
    raw = load("synthetic", n_synthetic=300, verbose=False)
    better = load("synthetic", n_synthetic=300, harmonise=True)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2 and said[1].startswith("Labels: two conventions: rows 0 to ")
    last = int(said[1].partition("rows 0 to ")[2].partition(" moved")[0])
    assert abs(last - (first_part(300) - 1)) < 8  # two points say nothing of the pattern
    by = np.nanmedian(better.points[:90] - raw.points[:90], axis=(0, 1))
    assert (by > 0.3).all()


# --- the mean eye --------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [(1.0, 0.0), (0.0, -1.0), (0.7, 0.7)])
def test_labels_moved_by_a_step_move_the_offset_of_the_eyes_back(plain, step):
    first = np.arange(N) % 2 == 0
    before, after = (
        audit.eye_offsets(f.images, f.points[:, :2])
        for f in (plain, moved(plain, np.outer(first, step)))
    )
    change = np.subtract(breaks.difference(after, first)[0], breaks.difference(before, first)[0])
    np.testing.assert_allclose(change, np.negative(step), atol=0.12)
    assert np.isnan(audit.eye_offsets(plain.images[:1], np.full((1, 2, 2), np.nan))).all()


def test_the_best_row_agrees_with_a_slow_loop():
    rng = np.random.default_rng(5)
    away = rng.normal(0, 1, (400, 2)) + np.outer(np.arange(400) < 250, [0.8, -0.5])
    z, slow = breaks.scores(away), []
    for k in range(50, 351):
        gap = z[:k].mean(axis=0) - z[k:].mean(axis=0)
        slow.append(np.sqrt((gap**2).sum() / (1 / k + 1 / (400 - k))))  # z has mean 0, variance 1
    row, sigmas = breaks.best_row(away, np.arange(400))
    assert row == 50 + int(np.argmax(slow)) and sigmas == pytest.approx(max(slow))
    assert abs(row - 250) < 15 and np.cov(z.T) == pytest.approx(np.eye(2), abs=1e-6)


# --- the real files ------------------------------------------------------------------------------


def test_the_real_file_has_two_conventions_and_breaks_at_row_2284(real_data_folder):
    faces = load(real_data_folder, "all", verbose=False)
    better, finding = harmonise(faces)
    assert finding.moved and finding.where == "rows 0 to 2283" and finding.sigmas > 30
    for witness in finding.witnesses.values():
        off = np.abs(witness.shift - np.array([0.79, 0.77]))
        assert np.nanmax(off) < 0.15
    alone = harmonise(faces, network=False).finding
    assert alone.where == "rows 0 to 2283" and alone.sigmas > 25
    assert not harmonise(better).finding.moved
    for part in (finding.part, ~finding.part):
        assert not harmonise(faces[part], network=False).finding.moved
