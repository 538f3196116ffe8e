"""The drawn faces: the same everywhere, the points where the eyes are, the flaws where planted."""

import importlib
import itertools
import math

import numpy as np
import pytest

from hglib.datasets.synthetic import (
    LANDMARKS,
    Style,
    brush,
    camera,
    draw_faces,
    draw_layers,
    eyes,
    head,
    kaggle,
    light,
    photo,
    write_kaggle_files,
)
from hglib.datasets.synthetic.draw import _landmarks, _prepare
from hglib.datasets.synthetic.style import BLOCK, PARTS, Dice

PLAIN = Style(
    lids=False, hair=False, hats=False, glasses=False, light=False, shadow=False, occlusion=False,
    beard=False, blur=False, noise=False, jpeg=False, contrast=False, wrinkles=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def faces():
    return draw_faces(300, seed=5)


@pytest.fixture(scope="module")
def heads():
    """A batch of prepared heads: no image drawn yet."""
    return _prepare(Dice(3, range(24)), Style())


# --- the same face everywhere -------------------------------------------------------------------


def test_a_face_is_the_same_alone_in_a_batch_and_in_another_order(faces):
    alone = draw_faces([70], seed=5)
    mixed = draw_faces([9, 299, 70, 2], seed=5, threads=1)
    np.testing.assert_allclose(alone.images[0].astype(int), faces.images[70], atol=1)
    np.testing.assert_allclose(mixed.images[2].astype(int), faces.images[70], atol=1)
    np.testing.assert_allclose(mixed.points, faces.points[[9, 299, 70, 2]], atol=1e-4)


def test_seeds_and_numbers_give_different_faces(faces):
    other = draw_faces([70], seed=6)
    for image in (other.images[0], faces.images[71]):
        assert np.abs(image.astype(int) - faces.images[70]).mean() > 5


def test_the_last_bit_of_the_arithmetic_does_not_show():
    """Another machine's exp may differ in the last bit: grey levels may then move by one."""
    dice, rng = Dice(1, range(8)), np.random.default_rng(0)
    image = rng.random((8, 96, 96), np.float32)
    nudged = image * (1 + rng.choice([-3e-7, 3e-7], image.shape).astype(np.float32))
    first, second = (photo.develop(p, dice, Style()) for p in (image, nudged))
    assert np.abs(first - second).max() < 0.5


def test_a_switch_leaves_the_rest_of_the_face_alone(faces):
    bare = draw_faces(60, seed=5, style=Style(glasses=False))
    np.testing.assert_array_equal(bare.points, faces.points[:60])
    changed = (np.abs(bare.images.astype(int) - faces.images[:60]).max((1, 2)) > 1).mean()
    assert 0.1 < changed < 0.4  # those who wore glasses


@pytest.mark.parametrize(
    "switch",
    ["hair", "hats", "light", "shadow", "wrinkles", "beard", "clothes", "background",
     "occlusion", "blur", "noise", "jpeg", "contrast", "shape", "gaze", "lids", "expression"],
)  # fmt: skip
def test_every_switch_changes_some_images(faces, switch):
    without = draw_faces(48, seed=5, style=Style(**{switch: False}), threads=1)
    assert np.abs(without.images.astype(int) - faces.images[:48]).max() > 20


def test_parts_draw_from_places_of_their_own():
    dice = Dice(0, [1, 2])
    taken = np.concatenate([dice.part(name).uniform()[None] for name in PARTS])
    assert len(np.unique(taken)) == taken.size
    throws = dice.part("eyes")
    for _ in range(BLOCK):
        throws.uniform()
    with pytest.raises(IndexError):
        throws.uniform()  # never the next part's numbers


# --- points -------------------------------------------------------------------------------------


def test_the_iris_is_where_the_point_is():
    """On plain faces the darkness round the two points is centred on them."""
    faces = draw_faces(96, seed=2, style=PLAIN)
    grid = np.arange(-4, 5)
    offsets = []
    for image, points in zip(255.0 - faces.images, faces.points[:, :2], strict=True):
        for x, y in points:
            column, row = round(float(x)), round(float(y))
            if not (5 < column < 90 and 5 < row < 90):
                continue
            patch = image[row - 4 : row + 5, column - 4 : column + 5]
            dark = (patch - patch.min()) ** 3 + 1e-6
            offsets.append(
                [
                    (dark.sum(0) * grid).sum() / dark.sum() + column - x,
                    (dark.sum(1) * grid).sum() / dark.sum() + row - y,
                ]
            )
    offsets = np.array(offsets)
    assert np.abs(np.median(offsets, 0)).max() < 0.6  # lashes above pull the darkness up
    assert np.median(np.abs(offsets), 0).max() < 0.9


def test_the_surface_seen_at_a_projected_eye_is_the_eye(heads):
    """Projecting a point and asking the pixel there for its surface point is a round trip."""
    for k, eye in enumerate(heads.eyes):
        wanted = eyes.eye_points(eye)[:, 0]
        for i in range(24):
            x, y = heads.points[i, k]
            if not (1 < x < 94 and 1 < y < 94):
                continue
            column, row = int(x), int(y)
            fx, fy = x - column, y - row
            for field, value in ((heads.x, wanted[i, 0]), (heads.y, wanted[i, 1])):
                upper = field[i, row, column] * (1 - fx) + field[i, row, column + 1] * fx
                lower = field[i, row + 1, column] * (1 - fx) + field[i, row + 1, column + 1] * fx
                assert upper * (1 - fy) + lower * fy == pytest.approx(value, abs=0.012)


def test_projection_agrees_with_one_point_at_a_time(heads):
    camera, rng = heads.camera, np.random.default_rng(1)
    points = rng.normal(size=(24, 3, 3)).astype(np.float32) * 0.5
    together = camera.project(points)
    for n in (0, 11):
        q = camera.rotation[n] @ points[n, 1]
        near = 1 - q[2] * camera.closeness[n]
        alone = camera.origin[n] + camera.scale[n] * q[:2] / near
        np.testing.assert_allclose(together[n, 1], alone, rtol=1e-4, atol=1e-3)


def test_the_pose_is_a_rotation_and_has_the_right_signs():
    one = np.float32([0.3])
    zero = 0 * one
    for r in (camera._rotation(one, -one, 2 * one)[0], camera._rotation(zero, zero, one)[0]):
        np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(r) == pytest.approx(1, abs=1e-5)
    rolled = camera._rotation(zero, zero, one)[0] @ [1, 0, 0]
    np.testing.assert_allclose(rolled, [math.cos(0.3), math.sin(0.3), 0], atol=1e-6)
    nose = np.array([0, 0, 1])
    assert (camera._rotation(one, zero, zero)[0] @ nose)[0] > 0.2  # yaw moves it sideways
    assert (camera._rotation(zero, one, zero)[0] @ nose)[1] < -0.2  # pitch lifts it


def test_wide_poses_keep_both_eyes_apart_and_in_order():
    """With an sd of 13 degrees a head could turn past 90, where the eyes change sides."""
    drawn = draw_faces(60, seed=1, style=Style(yaw_sd=60, pitch_sd=15))
    assert np.isfinite(drawn.points).all()
    assert (drawn.points[:, 0, 0] - drawn.points[:, 1, 0]).min() > 10


def test_the_points_are_where_a_face_has_them(faces):
    at = {name: faces.points[:, k] for k, name in enumerate(LANDMARKS)}
    tilt = at["left_eye_center"][:, 1] - at["right_eye_center"][:, 1]
    turn = at["nose_tip"][:, 0] - (at["left_eye_center"] + at["right_eye_center"])[:, 0] / 2
    upright = (np.abs(tilt) < 3) & (np.abs(turn) < 5)  # neither tilted nor in profile
    assert upright.sum() > 100
    for side, sign in (("left", 1), ("right", -1)):
        order = [f"{side}_eye_inner_corner", f"{side}_eye_center", f"{side}_eye_outer_corner"]
        inner, centre, outer = (at[name][upright, 0] * sign for name in order)
        assert (inner < centre).all() and (centre < outer).all()
        assert (at[f"{side}_eyebrow_inner_end"][upright, 1] < at[order[1]][upright, 1]).all()
    heights = ["left_eye_center", "nose_tip", "mouth_center_top_lip", "mouth_center_bottom_lip"]
    for upper, lower in itertools.pairwise(heights):
        assert (at[upper][upright, 1] < at[lower][upright, 1]).all()


def test_the_eyes_follow_the_real_statistics():
    points = np.concatenate([_landmarks_only(7, range(i, i + 500)) for i in (0, 500, 1000)])
    left, right = points[:, 0], points[:, 1]
    np.testing.assert_allclose(left.mean(0), [65.4, 36.7], atol=0.5)
    np.testing.assert_allclose(right.mean(0), [29.3, 37.0], atol=0.5)
    for eye in (left, right):
        assert ((eye.std(0) > 2.7) & (eye.std(0) < 3.9)).all()
    apart = np.hypot(*(left - right).T)
    assert apart.mean() == pytest.approx(36.2, abs=0.6)
    assert 3.2 < apart.std() < 4.6


def test_the_statistics_can_be_moved():
    base = _landmarks_only(7, range(200))
    moved = _landmarks_only(7, range(200), eyes_x=40.3, eyes_y=50.0)
    np.testing.assert_allclose((moved - base)[:, :2].mean((0, 1)), [-7, 13.2], atol=0.1)
    still = _landmarks_only(7, range(200), yaw_sd=0.0, pitch_sd=0.0, roll_sd=0.0)
    tilt = (still[:, 0] - still[:, 1])[:, 1]
    assert np.abs(tilt).max() < 2.5 < np.abs((base[:, 0] - base[:, 1])[:, 1]).max()


def _landmarks_only(seed, indices, **changes):
    """Points without drawing, through the parts that place them."""
    from types import SimpleNamespace

    from hglib.datasets.synthetic import face

    dice, style = Dice(seed, indices), Style(**changes)
    c = SimpleNamespace(shape=head.head_shape(dice, style))
    at = np.array([[0.5, -0.5]], np.float32).repeat(dice.count, 0)
    places = np.stack([at, 0 * at, head.surface(c.shape, at, 0 * at)], -1)
    c.camera = camera.Camera(dice, style, places)
    c.eyes = eyes.eye_shape(dice, style, c.shape.smile)
    c.brows = face.brow_shape(dice, style)
    return _landmarks(c)


# --- tools of the painter -----------------------------------------------------------------------


def test_windows_cut_and_put_back():
    field = np.arange(2 * 96 * 96, dtype=np.float32).reshape(2, 96, 96)
    window = brush.Window(np.array([[10.2, 20.7], [95.0, -3.0]]), 8, 6)
    cut = window.take(field)
    np.testing.assert_array_equal(cut[0], field[0, 17:25, 7:13])
    np.testing.assert_array_equal(cut[1], field[1, :8, 90:])
    np.testing.assert_array_equal(window.rows[0, :, 0], np.arange(17, 25))
    window.put(field, cut + 1)
    assert field[0, 17, 7] == cut[0, 0, 0] + 1 and field[0, 16, 7] == 16 * 96 + 7


def test_doubling_keeps_a_plane_and_undoes_halving():
    rows, columns = np.meshgrid(np.arange(12.0), np.arange(10.0), indexing="ij")
    plane = (3 * rows - 2 * columns + 1)[None]
    np.testing.assert_allclose(brush.double(plane[:, ::1])[0, 0, 0], 1 - 0.75 + 0.5)
    fine_rows, fine_columns = np.meshgrid(np.arange(24.0), np.arange(20.0), indexing="ij")
    fine = 3 * (fine_rows / 2 - 0.25) - 2 * (fine_columns / 2 - 0.25) + 1
    np.testing.assert_allclose(brush.double(plane)[0], fine, atol=1e-9)


def test_blur_agrees_with_a_slow_loop():
    rng = np.random.default_rng(2)
    field, sigma = rng.random((2, 9, 8)), np.array([0.6, 1.4])
    fast = brush.widen(field, sigma, 3)
    for n, (i, j) in ((0, (0, 0)), (1, (4, 7))):
        total = weights = 0.0
        for a in range(-3, 4):
            for b in range(-3, 4):
                w = math.exp(-(a * a + b * b) / 2 / sigma[n] ** 2)
                total += w * field[n, min(max(i + a, 0), 8), min(max(j + b, 0), 7)]
                weights += w
        assert fast[n, i, j] == pytest.approx(total / weights, rel=1e-4)


def test_clouds_are_smooth_and_keep_a_constant():
    assert brush.cloud(np.full((1, 5, 7), 2.5, np.float32)) == pytest.approx(2.5, abs=1e-5)
    noise = brush.cloud(np.random.default_rng(0).normal(size=(4, 12, 12)).astype(np.float32))
    assert np.abs(np.diff(noise, axis=2)).mean() < 0.2 * noise.std()


def test_soft_edges():
    x = np.linspace(-2, 2, 41)
    np.testing.assert_allclose(brush.soft(x), np.clip(x + 0.5, 0, 1))
    t = np.clip(x, 0, 1)
    np.testing.assert_allclose(brush.smooth(x), 3 * t**2 - 2 * t**3, atol=1e-12)
    np.testing.assert_allclose(brush.bell(x), np.exp(-(x**2) / 2))
    np.testing.assert_allclose(brush.mix(x, 2 * x, np.float64(0.25)), 1.25 * x)


def test_light_from_the_left_lights_the_left():
    """A ball lit from a side is brighter there, and a wall casts its shadow away from the lamp."""
    rows, columns = np.meshgrid(np.arange(48) - 23.5, np.arange(48) - 23.5, indexing="ij")
    slope_y, slope_x = np.gradient(np.sqrt(np.maximum(900 - rows**2 - columns**2, 1)))[:2]
    length = np.sqrt(1 + slope_x**2 + slope_y**2)
    beam = light._unit(np.array([-1.0]), np.array([0.0]), np.array([1.0]))
    lit = light._facing(slope_x[None], slope_y[None], length[None], beam)[0]
    assert lit[24, 10] > 0.9 > 0.5 > lit[24, 38]
    wall = np.zeros((1, 48, 48))
    wall[:, :, 22:26] = 6.0
    blocked = light._cast_shadow(wall, beam)[0]
    assert blocked[24, 28] > 0.5 and blocked[24, 18] < 0.1


def test_jpeg_basis_is_orthonormal_and_fine_steps_change_nothing():
    np.testing.assert_allclose(photo._COSINE @ photo._COSINE.T, np.eye(8), atol=1e-6)
    image = np.random.default_rng(3).random((3, 96, 96)).astype(np.float32) * 255

    class Fine:
        def chance(self, p):
            return np.zeros(3, np.float32)

        def uniform(self, low, high):
            return np.full(3, 1e-3, np.float32)

    np.testing.assert_allclose(photo._jpeg(image, Fine()), image, atol=0.5)


def test_coarse_jpeg_steps_leave_flat_blocks():
    """Detail far below the rounding step vanishes; the blocks' mean levels stay near."""
    rng = np.random.default_rng(4)
    image = (120 + rng.normal(0, 3, (2, 96, 96))).astype(np.float32)
    rough = photo._blocks(image, np.full(2, 4.0, np.float32))
    blocks = rough.reshape(2, 12, 8, 12, 8)
    assert blocks.std((2, 4)).max() < 0.3
    assert np.abs(blocks.mean((2, 4)) - 120).max() < 4


# --- pages, files, bad input --------------------------------------------------------------------


def test_layers_end_in_the_face_itself():
    pages = draw_layers(4, seed=5)
    names = [name for name, _ in pages]
    assert len(set(names)) == len(names) and names[-1] == "photograph"
    np.testing.assert_allclose(pages[-1][1].astype(int), draw_faces([4], seed=5).images[0], atol=1)
    assert all(p.shape == (96, 96) and p.dtype == np.uint8 for _, p in pages)
    assert not np.array_equal(pages[0][1], pages[3][1])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    pandas = pytest.importorskip("pandas")
    folder = write_kaggle_files(tmp_path_factory.mktemp("kaggle"), 400, seed=3)
    with np.load(folder / "face_images.npz", allow_pickle=False) as archive:
        images = archive["face_images"].transpose(2, 0, 1)
    labels = pandas.read_csv(folder / "facial_keypoints.csv")
    return images, labels, pandas.read_csv(folder / "truth.csv")


def test_files_have_kaggles_layout(written):
    images, labels, truth = written
    assert images.shape == (400, 96, 96) and images.dtype == np.uint8
    assert list(labels.columns) == [f"{name}_{axis}" for name in LANDMARKS for axis in "xy"]
    assert len(labels) == len(truth) == 400


def test_labels_are_one_based_and_noisy(written):
    _, labels, truth = written
    fair = ~truth["gross"].to_numpy()
    error = (labels - truth[labels.columns]).to_numpy()[fair]
    planted = np.array(kaggle.CONVENTIONS)[truth["convention"][fair]]  # (M, 2)
    error -= np.tile(planted, len(LANDMARKS))
    assert np.nanmean(error) == pytest.approx(1, abs=0.03)
    assert np.nanstd(error) == pytest.approx(kaggle.NOISE_SD, abs=0.03)


def test_missing_points_come_at_the_real_rates(written):
    _, labels, _ = written
    share = labels.notna().mean()
    assert share["left_eye_center_x"] > 0.98 and share["nose_tip_y"] == 1
    assert 0.25 < share["mouth_left_corner_x"] < 0.4
    assert (labels.notna().to_numpy()[:, ::2] == labels.notna().to_numpy()[:, 1::2]).all()


def test_two_conventions_as_in_the_real_file(written):
    """The first rows have the points, other labels, and images of their own."""
    _, labels, truth = written
    first, detailed = truth["convention"] == 0, labels.notna().sum(axis=1) > 10
    assert first.sum() == round(400 * 2284 / 7049) and (first == detailed).all()
    assert first.is_monotonic_decreasing
    assert not set(truth["face"][first]) & set(truth["face"][~first])
    error = (labels - truth[labels.columns]).to_numpy().reshape(400, 15, 2) - 1
    step = np.nanmedian(error[~first], axis=(0, 1)) - np.nanmedian(error[first], axis=(0, 1))
    np.testing.assert_allclose(step, [0.79, 0.77], atol=0.1)


def test_the_two_conventions_cancel_over_all_rows():
    share = kaggle.first_part(7049) / 7049
    (a, b), (c, d) = kaggle.CONVENTIONS
    assert abs(share * a + (1 - share) * c) < 0.01 > abs(share * b + (1 - share) * d)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_handful_of_rows_has_both_parts_or_one(n, tmp_path):
    truth = pytest.importorskip("pandas").read_csv(write_kaggle_files(tmp_path, n) / "truth.csv")
    assert (truth["convention"] == 0).sum() == kaggle.first_part(n) and len(truth) == n


def test_copies_show_one_image_with_labels_of_their_own(written):
    images, labels, truth = written
    copies = np.flatnonzero(truth["copy"])
    assert 0.03 < len(copies) / 400 < 0.14
    for i in copies:
        first = int(np.flatnonzero(truth["face"] == truth["face"][i])[0])
        assert first < i
        np.testing.assert_array_equal(images[i], images[first])
        assert not np.allclose(labels.iloc[i, 20:22], labels.iloc[first, 20:22])
    rest = truth["face"][~truth["copy"]]
    assert rest.is_unique


def test_gross_errors_are_few_and_gross():
    rng = np.random.default_rng(0)
    points = np.tile(np.linspace(20, 70, 30).reshape(1, 15, 2), (5000, 1, 1))
    rows = kaggle._plant(rng, np.zeros(5000, bool), points)
    share = rows.gross.mean()
    assert share == pytest.approx(kaggle.GROSS, abs=0.003)
    error = np.abs(rows.labels - points)[:, :2].max((1, 2))
    assert np.nanmedian(error[rows.gross]) > 3 > np.nanmax(error[~rows.gross])


def test_landmarks_are_those_of_the_loader():
    data = pytest.importorskip("hglib.data")
    assert data.LANDMARKS == LANDMARKS


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: draw_faces([-1]), "Face numbers.*-1"),
        (lambda: draw_faces([0.5]), "Face numbers.*0.5"),
        (lambda: draw_faces(-3), "Face numbers.*-3"),
        (lambda: draw_faces([1], seed=-2), "seed.*-2"),
        (lambda: Style(yaw_sd=-1), r"Style\.yaw_sd.*-1"),
        (lambda: Style(eyes_x=float("nan")), r"Style\.eyes_x.*nan"),
        (lambda: Style(distance=0), r"Style\.distance.*0"),
        (lambda: Style(distance_sd=20), r"Style\.distance_sd.*20"),  # some would be negative
        (lambda: write_kaggle_files("nowhere", 0), "n must.*0"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_no_faces_and_progress(capsys):
    assert len(draw_faces([])) == 0
    draw_faces(3, progress=True)
    assert "3 of 3" in capsys.readouterr().err


def test_the_package_is_light_to_import():
    module = importlib.import_module("hglib.datasets.synthetic.draw")
    assert not {"pandas", "matplotlib", "torch"} & set(vars(module))
