"""hglib.datasets.audit: copies, noise, shifted labels, doubt; and the figures shipped for the
real data."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hglib.data import EYES, LANDMARKS, Faces
from hglib.datasets import audit, load, locate
from hglib.datasets.audit import copy_pairs, doubt, label_noise, label_shift, mean_patch, sharpness


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """300 synthetic faces, all landmarks, 0-based."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HGLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        return load("synthetic", "all", n_synthetic=300, verbose=False)


def eyes_of(faces):
    return Faces(faces.images, faces.points[:, :2], EYES, faces.rows, faces.source)


def random_images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 96, 96)).astype(np.uint8)


# --- copies and noise ----------------------------------------------------------------------------


def test_copies_equal_a_double_loop():
    images = random_images(6)[[0, 1, 0, 2, 1, 0, 3]]
    slow = []
    for row in range(len(images)):
        equal = [k for k in range(row) if (images[k] == images[row]).all()]
        slow += [(equal[0], row)] if equal else []
    assert copy_pairs(images).tolist() == [list(pair) for pair in slow]
    images[5, 95, 95] += 1  # one pixel makes another image
    assert len(copy_pairs(images)) == len(slow) - 1


def test_no_copies_are_an_empty_array_of_pairs():
    assert copy_pairs(random_images(3)).shape == (0, 2)


@pytest.mark.parametrize("sd", [0.3, 0.57, 2.0])
def test_noise_is_found_and_gross_errors_do_not_move_it(sd):
    rng = np.random.default_rng(3)
    points = 40 + rng.normal(0, sd, (8000, 2, 2))
    pairs = np.arange(8000).reshape(-1, 2)
    assert label_noise(points, pairs) == pytest.approx(sd, rel=0.03)
    points[:40:2] += 30
    points[50, 0] = np.nan
    assert label_noise(points, pairs) == pytest.approx(sd, rel=0.04)


def test_noise_without_two_labels_is_refused():
    points = np.full((4, 2, 2), np.nan)
    with pytest.raises(ValueError, match="none of the 2 pairs"):
        label_noise(points, np.array([[0, 1], [2, 3]]))


# --- patches and the mirror ----------------------------------------------------------------------


def test_mean_patch_is_the_mean_of_the_patches():
    images = random_images(4)
    points = np.array([[30.4, 40.0], [50.6, 33.2], [np.nan, np.nan], [5.0, 40.0]])
    first, second = images[0, 32:49, 18:43], images[1, 25:42, 39:64]
    assert np.allclose(mean_patch(images, points), (first.astype(float) + second) / 2)


INSIDE = [(12, 8), (83, 87), (50, 50)]
OUTSIDE = [(11, 8), (12, 7), (84, 87), (83, 88)]


@pytest.mark.parametrize("point", INSIDE + OUTSIDE)
def test_a_patch_reaches_exactly_to_the_border(point):
    images, points = random_images(1), np.array([point], float)
    if point in INSIDE:
        assert mean_patch(images, points).shape == (17, 25)
    else:
        with pytest.raises(ValueError, match="none of the 1 points"):
            mean_patch(images, points)


def drawn_eyes(shift):
    """Mirror-symmetric faces: a blob with a tail on the inner side of each eye; labels shifted."""
    rng = np.random.default_rng(5)
    middle = rng.uniform(40, 55, 60)
    y, x = np.mgrid[:96, :96]
    images, points = [], []
    for m in middle:
        grey = np.full((96, 96), 200.0)
        for side in (1, -1):
            centre = m + side * 18
            grey -= 120 * np.exp(-((x - centre) ** 2 + (y - 40) ** 2) / 18)
            grey -= 60 * np.exp(-((x - centre + side * 5) ** 2 + (y - 38) ** 2) / 8)
        images.append(grey.round().astype(np.uint8))
        points.append([[m + 18 + shift, 40], [m - 18 + shift, 40]])
    rows = np.arange(len(images))
    return Faces(np.stack(images), np.array(points, np.float32), EYES, rows, "drawn")


@pytest.mark.parametrize("shift", [-1.6, -0.5, 0.0, 0.4, 1.0, 2.0])
def test_shifted_labels_are_measured_wherever_the_face_lies(shift):
    assert label_shift(drawn_eyes(shift)) == pytest.approx(shift, abs=0.08)


def test_the_shift_of_the_mirrored_image_is_the_opposite():
    faces = drawn_eyes(0.7)
    points = faces.points[:, ::-1].copy()
    points[..., 0] = 95 - points[..., 0]
    mirrored = replace(faces, images=faces.images[:, :, ::-1], points=points)
    assert label_shift(mirrored) == pytest.approx(-label_shift(faces), abs=0.03)


def test_a_synthetic_file_counts_from_one(synthetic):
    faces = eyes_of(synthetic)
    as_written = replace(faces, points=faces.points + 1)
    assert abs(label_shift(faces)) < 0.2
    assert label_shift(as_written) == pytest.approx(1 + label_shift(faces), abs=0.1)


def test_labels_far_off_are_refused():
    with pytest.raises(ValueError, match="do not match within 3 px"):
        label_shift(drawn_eyes(3.4))


@pytest.mark.parametrize("function", [label_shift, doubt])
def test_a_landmark_that_was_not_loaded_is_named(function):
    points = np.zeros((2, 1, 2), np.float32)
    faces = Faces(random_images(2), points, EYES[:1], np.arange(2), "test")
    with pytest.raises(ValueError, match="right_eye_center was not loaded"):
        function(faces)


def test_blurring_lowers_sharpness():
    images = random_images(5)
    blurred = ((images.astype(int) + np.roll(images, 1, axis=2)) / 2).astype(np.uint8)
    assert (sharpness(blurred) < 0.9 * sharpness(images)).all()
    assert sharpness(np.zeros((1, 96, 96), np.uint8)).tolist() == [0]


def test_sharpness_does_not_depend_on_contrast():
    images = random_images(5) // 4 * 2  # even, so that halving is exact
    assert np.allclose(sharpness(images // 2), sharpness(images))


# --- doubt ---------------------------------------------------------------------------------------


def test_spoilt_labels_are_the_most_doubtful(synthetic):
    points = synthetic.points.copy()
    points[11, :2] = points[11, 1::-1]  # left and right confused
    points[23, 1] += (0, 25)
    strange = np.nan_to_num(doubt(replace(synthetic, points=points)))
    assert {11, 23} <= set(np.argsort(-strange)[:4].tolist())
    assert min(strange[11], strange[23]) > 8
    assert np.median(strange) < 2


def test_a_face_elsewhere_in_the_image_is_not_doubtful(synthetic):
    """Each eye is judged by the other points of its own face, not by where eyes usually are."""
    before = doubt(synthetic)
    row = int(np.nanargmin(before))
    points = synthetic.points.copy()
    points[row] += (-25, 20)
    assert doubt(replace(synthetic, points=points))[row] < 5


def test_a_missing_eye_has_no_doubt(synthetic):
    points = synthetic.points.copy()
    points[5, 0] = np.nan
    assert np.isnan(doubt(replace(synthetic, points=points))[5])


def test_doubt_needs_faces(synthetic):
    with pytest.raises(ValueError, match="50 are needed"):
        doubt(synthetic[:20])


# --- everything together -------------------------------------------------------------------------


def test_describe_agrees_with_plain_numpy(synthetic):
    found = audit.describe(synthetic)
    eyes = synthetic.points[:, :2]
    both = np.isfinite(eyes).all(axis=(1, 2))
    assert found["faces"] == 300
    assert found["both_eyes"] == both.sum()
    assert found["labelled"]["nose_tip"] == synthetic.present[:, LANDMARKS.index("nose_tip")].sum()
    distance = np.linalg.norm(eyes[both, 0] - eyes[both, 1], axis=1)
    assert found["inter_ocular"]["mean"] == pytest.approx(distance.mean(), abs=0.006)
    distinct = len(np.unique(synthetic.images.reshape(300, -1), axis=0))
    assert found["copies"]["extra"] == 300 - distinct
    parts = [found[f"rows_with_{kind}"] for kind in ("more_than_4_points", "4_points_or_fewer")]
    assert parts[0]["faces"] == (synthetic.present.sum(axis=1) > 4).sum()
    assert sum(part["faces"] for part in parts) == 300
    for part, chosen in zip(parts, (True, False), strict=True):
        rows = np.flatnonzero((synthetic.present.sum(axis=1) > 4) == chosen)
        mid = eyes[rows, :, 0].mean(axis=1)
        assert part["mid_point_x"] == pytest.approx(np.nanmean(mid), abs=0.006)
        assert (part["first_row"], part["last_row"]) == (rows[0], rows[-1])
    json.dumps(found, allow_nan=False)


def test_the_shipped_figures_are_those_of_the_real_data(real_data_folder):
    found = audit.describe(load(real_data_folder, "all", verbose=False))
    shipped = audit.real_data()
    assert {name: shipped[name] for name in found} == found


def test_locate_is_where_load_reads(tmp_path, monkeypatch):
    """Notebook 01 opens by hand what load has opened."""
    np.savez(tmp_path / "face_images.npz", face_images=np.moveaxis(random_images(3), 0, -1))
    columns = ",".join(f"{name}_{axis}" for name in EYES for axis in "xy")
    (tmp_path / "facial_keypoints.csv").write_text(columns + "\n" + "66,38,30,38\n" * 3)
    monkeypatch.setenv("HGLIB_DATA", str(tmp_path))
    assert locate() == tmp_path
    assert np.array_equal(load(verbose=False).images, random_images(3))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        locate("nowhere")
