"""hglib.data and hglib.datasets.kaggle: sources, file layouts, bad input, groups, split."""

import os
import subprocess
import sys
import types
import zipfile
from collections import defaultdict
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hglib import data
from hglib.data import EYES, LANDMARKS, Faces, duplicate_groups, split
from hglib.datasets import load, sources

COLUMNS = [f"{name}_{axis}" for name in LANDMARKS for axis in "xy"]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """No setting of the person who runs the tests, no network, no home folder."""
    monkeypatch.delenv("HGLIB_DATA", raising=False)
    monkeypatch.setenv("HGLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "kagglehub", None)  # importing it raises ImportError


def pictures(count, seed=0, size=96):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size)).astype(np.uint8)


def labels(count, seed=1, size=96):
    """1-based labels (N, 30) with some points missing, but never the first row's left eye."""
    rng = np.random.default_rng(seed)
    table = rng.uniform(1, size, (count, 15, 2))
    table[rng.random((count, 15)) < 0.2] = np.nan
    table[0, 0] = 66.25, 38.5
    return table.reshape(count, 30)


def write_npz(folder, images, values, key="face_images"):
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "face_images.npz", **{key: images})
    pd.DataFrame(values, columns=COLUMNS).to_csv(folder / "facial_keypoints.csv", index=False)
    return folder


def write_training(folder, images, values):
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(values, columns=COLUMNS)
    table["Image"] = [" ".join(map(str, picture.ravel().tolist())) for picture in images]
    table.to_csv(folder / "training.csv", index=False)
    return folder / "training.csv"


@pytest.fixture
def kaggle(tmp_path):
    """A folder as Kaggle's: 5 pictures in its (96, 96, N) layout."""
    return write_npz(tmp_path / "kaggle", np.moveaxis(pictures(5), 0, -1), labels(5))


def edit(folder, row, column, value):
    table = pd.read_csv(folder / "facial_keypoints.csv").astype(object)
    table.loc[row, column] = value
    table.to_csv(folder / "facial_keypoints.csv", index=False)


def faces_of(images, rows=None):
    points = np.full((len(images), 2, 2), 40, np.float32)
    rows = np.arange(len(images)) if rows is None else rows
    return Faces(images, points, EYES, rows, "test")


# --- reading -----------------------------------------------------------------------------------


def test_reads_pictures_and_labels_row_by_row(kaggle):
    faces = load(kaggle, "all")
    assert np.array_equal(faces.images, pictures(5))
    expected = labels(5).reshape(5, 15, 2) - 1  # Kaggle counts from 1
    assert np.allclose(faces.points, expected, atol=1e-5, equal_nan=True)
    assert faces.points.dtype == np.float32
    assert faces.landmarks == LANDMARKS
    assert faces.rows.tolist() == [0, 1, 2, 3, 4]


def test_first_pixel_says_what_the_file_counts_from(kaggle):
    from_one, from_zero = load(kaggle), load(kaggle, first_pixel=0)
    assert from_one.points[0, 0].tolist() == [65.25, 37.5]
    assert from_zero.points[0, 0].tolist() == [66.25, 38.5]
    with pytest.raises(ValueError, match="first_pixel=2"):
        load(kaggle, first_pixel=2)


def test_the_default_is_the_two_eyes(kaggle):
    faces = load(kaggle)
    assert faces.landmarks == ("left_eye_center", "right_eye_center")
    assert np.array_equal(faces.points, load(kaggle, "all").points[:, :2], equal_nan=True)


def test_landmarks_by_name_keep_the_order_asked_for(kaggle):
    everything = load(kaggle, "all").points
    some = load(kaggle, ["nose_tip", "mouth_left_corner", "left_eye_center"])
    assert np.array_equal(some.points, everything[:, [10, 11, 0]], equal_nan=True)
    one = load(kaggle, "nose_tip")
    assert one.landmarks == ("nose_tip",)
    assert np.array_equal(one.points, everything[:, [10]], equal_nan=True)


@pytest.mark.parametrize(
    ("landmarks", "named"),
    [("nose", "nose"), (["nose_tip", "chin"], "chin"), ([], "at least one"), (EYES * 2, "differ")],
)
def test_wrong_landmarks_are_named(kaggle, landmarks, named):
    with pytest.raises(ValueError, match=named):
        load(kaggle, landmarks)


def test_missing_points_stay_and_drop_no_row(kaggle):
    faces = load(kaggle, "all")
    missing = np.isnan(labels(5).reshape(5, 15, 2)[..., 0])
    assert missing.any()
    assert np.array_equal(~faces.present, missing)
    assert np.array_equal(np.isnan(faces.points).all(-1), missing)


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize(
    "convert",
    [
        lambda p: p,
        lambda p: p.astype(np.int64),
        lambda p: p.astype(np.float32),
        lambda p: p / 255,
        lambda p: (p / 255).astype(np.float32),
    ],
    ids=["uint8", "int64", "float 0..255", "float64 0..1", "float32 0..1"],
)
def test_layouts_and_grey_scales_give_the_same_pictures(tmp_path, axis, convert):
    stored = np.moveaxis(convert(pictures(5)), 0, axis)
    faces = load(write_npz(tmp_path / "d", stored, labels(5)))
    assert faces.images.dtype == np.uint8
    assert np.array_equal(faces.images, pictures(5))


def test_grey_levels_between_two_whole_ones_are_rounded(tmp_path):
    images = np.full((5, 96, 96), 100.6)
    images[1:] = 100.4
    for name, stored in (("levels", images), ("shares", images / 255)):
        faces = load(write_npz(tmp_path / name, stored, labels(5)))
        assert faces.images[:, 0, 0].tolist() == [101, 100, 100, 100, 100]


def test_more_pictures_than_one_block_and_as_many_as_pixels(tmp_path):
    for count, axis, size in ((300, 2, 20), (300, 0, 20), (20, 2, 20)):  # (20, 20, 20) is Kaggle's
        images, values = pictures(count, size=size), labels(count, size=size) % size
        stored = np.moveaxis(images / 255, 0, axis)
        faces = load(write_npz(tmp_path / f"{count}{axis}", stored, values))
        assert np.array_equal(faces.images, images)


def test_pictures_that_are_not_square(tmp_path):
    images = pictures(6)[:, :80]  # 80 rows, 96 columns
    for name, stored in (("first", images), ("last", np.moveaxis(images, 0, -1))):
        assert np.array_equal(load(write_npz(tmp_path / name, stored, labels(6))).images, images)


@pytest.mark.parametrize("count", [5, 260])  # fewer and more than one block
def test_the_competitions_file_gives_the_same_faces(tmp_path, count):
    images, values = pictures(count), labels(count)
    path = write_training(tmp_path / "competition", images, values)
    archive = write_npz(tmp_path / "other", images, values)
    for source in (path, path.parent, str(path)):
        faces, same = load(source, "all"), load(archive, "all")
        assert np.array_equal(faces.images, same.images)
        assert np.array_equal(faces.points, same.points, equal_nan=True)


def test_either_file_of_the_pair_stands_for_both(kaggle):
    expected = load(kaggle)
    for name in ("face_images.npz", "facial_keypoints.csv"):
        faces = load(kaggle / name)
        assert np.array_equal(faces.images, expected.images)
        assert np.array_equal(faces.points, expected.points, equal_nan=True)


def test_a_point_a_little_outside_is_kept(kaggle):
    edit(kaggle, 1, "left_eye_center_x", -47)
    edit(kaggle, 1, "left_eye_center_y", 143)
    assert load(kaggle).points[1, 0].tolist() == [-48, 142]


# --- bad input ---------------------------------------------------------------------------------


def refused(error, source, *parts, **options):
    """Loading raises `error`, and its message holds every part."""
    with pytest.raises(error) as caught:
        load(source, **options)
    for part in parts:
        assert part in str(caught.value), f"{part!r} not in: {caught.value}"
    return str(caught.value)


def test_a_path_that_does_not_exist(tmp_path):
    refused(FileNotFoundError, tmp_path / "gone", "gone", "source=", "HGLIB_DATA=synthetic")


def test_a_folder_without_the_files_lists_what_it_looked_for_and_found(tmp_path):
    (tmp_path / "notes.txt").touch()
    for name in ("face_images.npz", "facial_keypoints.csv", "training.csv"):
        refused(FileNotFoundError, tmp_path, name, "notes.txt", "kaggle.com")


def test_one_file_of_two(kaggle):
    (kaggle / "facial_keypoints.csv").rename(kaggle / "labels.csv")
    refused(FileNotFoundError, kaggle, "facial_keypoints.csv", "labels.csv")
    refused(FileNotFoundError, kaggle / "face_images.npz", "looked for facial_keypoints.csv")
    (kaggle / "face_images.npz").unlink()
    refused(FileNotFoundError, kaggle / "labels.csv", "looked for face_images.npz")


def test_another_kind_of_file(tmp_path):
    (tmp_path / "faces.mat").touch()
    refused(ValueError, tmp_path / "faces.mat", "faces.mat", ".npz")


def test_an_environment_variable_that_points_nowhere(monkeypatch, tmp_path):
    monkeypatch.setenv("HGLIB_DATA", str(tmp_path / "gone"))
    refused(FileNotFoundError, None, "HGLIB_DATA=", "gone")


def test_a_missing_column(kaggle):
    table = pd.read_csv(kaggle / "facial_keypoints.csv")
    table.drop(columns="right_eye_center_y").to_csv(kaggle / "facial_keypoints.csv", index=False)
    refused(ValueError, kaggle, "facial_keypoints.csv", "no column right_eye_center_y;")
    assert len(load(kaggle, "nose_tip")) == 5  # only what is asked for has to be there


def test_row_counts_that_differ(kaggle):
    table = pd.read_csv(kaggle / "facial_keypoints.csv")
    table[:-1].to_csv(kaggle / "facial_keypoints.csv", index=False)
    refused(ValueError, kaggle, "5 pictures", "4 rows", "face_images.npz", "facial_keypoints.csv")


def test_row_counts_that_differ_by_the_side_of_a_picture(tmp_path):
    stored = np.moveaxis(pictures(7), 0, -1)  # (96, 96, 7) beside 96 rows
    refused(ValueError, write_npz(tmp_path / "d", stored, labels(96)), "7 pictures", "96 rows")


def test_a_wrong_array_name(tmp_path):
    folder = write_npz(tmp_path / "d", pictures(5), labels(5), key="pictures")
    refused(ValueError, folder, "face_images.npz", "only pictures;", "np.savez")


@pytest.mark.parametrize("shape", [(5, 96, 96, 1), (5, 9216), (5, 80, 96 + 1)])
def test_a_wrong_shape(tmp_path, shape):
    rows = 4 if len(shape) == 3 else 5
    folder = write_npz(tmp_path / "d", np.zeros(shape, np.uint8), labels(rows))
    refused(ValueError, folder, "face_images.npz", str(shape), "(96, 96, ")


@pytest.mark.parametrize("share", [0.5, 0.01])
def test_a_zip_cut_short(kaggle, share):
    path = kaggle / "face_images.npz"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refused(ValueError, kaggle, "face_images.npz", "cut short", "download it again")


def test_a_zip_with_a_damaged_byte(kaggle):
    path = kaggle / "face_images.npz"
    content = bytearray(path.read_bytes())
    for place in (70, len(content) // 2):  # in the array's header, in its pixels
        damaged = content.copy()
        damaged[place] ^= 255
        path.write_bytes(damaged)
        refused(ValueError, kaggle, "face_images.npz", "damaged", "download it again")


def test_an_entry_that_is_no_array(kaggle):
    with zipfile.ZipFile(kaggle / "face_images.npz", "w") as archive:
        archive.writestr("face_images", b"hello")
    refused(ValueError, kaggle, "face_images.npz", "shape ()")


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_objects_are_refused_and_never_unpickled(tmp_path):
    trap = np.empty((5, 96, 96), object)
    trap[:] = Trap(tmp_path / "sprung")
    folder = write_npz(tmp_path / "d", trap, labels(5))
    refused(ValueError, folder, "face_images.npz", "never unpickled", "uint8")
    assert not (tmp_path / "sprung").exists()
    np.load(folder / "face_images.npz", allow_pickle=True)["face_images"]
    assert (tmp_path / "sprung").exists()  # the trap works


@pytest.mark.parametrize(
    ("value", "dtype", "part"),
    [
        (np.nan, float, "NaN"),
        (-1, float, "from -1"),
        (256, float, "to 256"),
        (300, np.int32, "to 300"),
        (-3, np.int32, "from -3"),
    ],
)
def test_grey_levels_that_are_out_of_range(tmp_path, value, dtype, part):
    images = pictures(5).astype(dtype)
    images[3, 2, 1] = value
    refused(ValueError, write_npz(tmp_path / "d", images, labels(5)), "face_images.npz", part)


def test_floats_that_fit_neither_scale(tmp_path):
    images = pictures(5) / 255
    for highest, good in ((1, True), (1.01, False), (1.99, False), (2, True)):
        images[3, 2, 1] = highest
        folder = write_npz(tmp_path / str(highest), images, labels(5))
        if good:
            assert load(folder).images[3, 2, 1] == (255 if highest == 1 else 2)
        else:
            refused(ValueError, folder, f"to {highest}", "floats from 0 to 1")


def test_pictures_of_text(tmp_path):
    folder = write_npz(tmp_path / "d", np.full((5, 96, 96), "a"), labels(5))
    refused(ValueError, folder, "face_images.npz", "dtype <U1")


@pytest.mark.parametrize("text", ["thirty", "66,03", "12 px"])
def test_text_in_a_number_column(kaggle, text):
    edit(kaggle, 3, "left_eye_center_y", text)
    refused(ValueError, kaggle, "facial_keypoints.csv", "row 3", "left_eye_center_y", repr(text))
    assert len(load(kaggle, "nose_tip")) == 5


@pytest.mark.parametrize(
    ("axis", "value"), [("x", 145), ("x", -49), ("y", 145), ("y", -49), ("x", 1e9), ("y", "inf")]
)
def test_a_point_far_outside(kaggle, axis, value):
    edit(kaggle, 2, "right_eye_center_x", 30)
    edit(kaggle, 2, "right_eye_center_y", 30)
    edit(kaggle, 2, f"right_eye_center_{axis}", value)
    column = f"right_eye_center_{axis}: {float(value):g} "
    refused(ValueError, kaggle, "facial_keypoints.csv", "row 2", column, "96x96")


def test_far_outside_is_measured_along_each_axis(tmp_path):
    values = np.full((6, 30), 100.0)  # inside for 80 rows and 200 columns
    images = np.zeros((6, 80, 200), np.uint8)
    assert len(load(write_npz(tmp_path / "in", images, values))) == 6
    values[4, 0:2] = 250, 100
    assert load(write_npz(tmp_path / "x", images, values)).points[4, 0].tolist() == [249, 99]
    values[4, 0:2] = 100, 250
    refused(ValueError, write_npz(tmp_path / "y", images, values), "row 4", "left_eye_center_y")


@pytest.mark.parametrize(("empty", "given"), ["xy", "yx"])
def test_half_a_point(kaggle, empty, given):
    edit(kaggle, 4, f"left_eye_center_{given}", 50)
    edit(kaggle, 4, f"left_eye_center_{empty}", np.nan)
    text = f"row 4 has left_eye_center_{given} but no left_eye_center_{empty}"
    refused(ValueError, kaggle, "facial_keypoints.csv", text)


def test_an_empty_set(tmp_path):
    folder = write_npz(tmp_path / "rows", pictures(5), labels(5)[:0])
    refused(ValueError, folder, "facial_keypoints.csv", "no rows")
    (folder / "facial_keypoints.csv").write_bytes(b"")
    refused(ValueError, folder, "facial_keypoints.csv", "comma-separated")
    folder = write_npz(tmp_path / "pictures", np.zeros((96, 96, 0), np.uint8), labels(5))
    refused(ValueError, folder, "face_images.npz", "no picture")


def test_all_points_missing(tmp_path):
    values = labels(5)
    values[:, :4] = np.nan
    folder = write_npz(tmp_path / "d", pictures(5), values)
    refused(ValueError, folder, "facial_keypoints.csv", "left_eye_center_x", "empty")
    assert len(load(folder, "all")) == 5


def test_a_table_that_is_no_table(kaggle):
    (kaggle / "facial_keypoints.csv").write_bytes(bytes(range(128, 256)))
    refused(ValueError, kaggle, "facial_keypoints.csv", "comma-separated")


def test_rows_longer_than_the_header(kaggle):
    path = kaggle / "facial_keypoints.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header] + [f"7,{row}" for row in rows]))  # would shift every column
    refused(ValueError, kaggle, "facial_keypoints.csv", "extra commas")


@pytest.mark.parametrize(
    ("cell", "part"),
    [
        ("1 2 3", "has 3 values"),
        ("", "has 0 values"),
        (" ".join(["7"] * 9217), "has 9217 values"),
        (" ".join(["7"] * 9215 + ["x"]), "'x'"),
        (" ".join(["7"] * 9215 + ["256"]), "'256'"),
        (" ".join(["7"] * 9215 + ["-1"]), "'-1'"),
        (" ".join(["7"] * 9215 + ["0.5"]), "'0.5'"),
        (" ".join(["7"] * 9216 + ["#", "note"]), "has 9218 values"),
    ],
)
def test_a_bad_image_cell(tmp_path, cell, part, count=4, row=2):
    path = write_training(tmp_path / "d", np.zeros((count, 96, 96), np.uint8), labels(count))
    table = pd.read_csv(path)
    table.loc[row, "Image"] = cell
    table.to_csv(path, index=False)
    refused(ValueError, path, "training.csv", f"row {row}, column Image", part, "9216")


def test_a_bad_image_cell_beyond_the_first_block(tmp_path):
    test_a_bad_image_cell(tmp_path, "1 2 3", "has 3 values", count=261, row=259)


def test_a_training_file_without_pictures(tmp_path):
    path = write_training(tmp_path / "d", pictures(2), labels(2))
    pd.read_csv(path).drop(columns="Image").to_csv(path, index=False)
    refused(ValueError, path.parent, "training.csv", "no column Image")


# --- sources -----------------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch):
    """A stand-in for the synthetic faces; gives the list of (n, seed) drawn so far."""
    calls = []

    def write_kaggle_files(folder, n, seed):
        calls.append((n, seed))
        write_npz(Path(folder), np.moveaxis(pictures(n, seed), 0, -1), labels(n, seed + 1))

    module = types.ModuleType("hglib.datasets.synthetic")
    module.VERSION, module.write_kaggle_files = 7, write_kaggle_files
    monkeypatch.setitem(sys.modules, "hglib.datasets.synthetic", module)
    return calls


def fake_kagglehub(monkeypatch, answer):
    """Puts a kagglehub in place that returns, or raises, `answer`; gives the handles asked for."""
    handles = []

    def dataset_download(handle):
        handles.append(handle)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    module = types.ModuleType("kagglehub")
    module.dataset_download = dataset_download
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    return handles


def test_the_order_of_the_sources(monkeypatch, tmp_path, kaggle, drawn, capsys):
    other = write_npz(tmp_path / "other", pictures(6), labels(6))
    third = write_npz(tmp_path / "third", pictures(7), labels(7))
    handles = fake_kagglehub(monkeypatch, third)
    monkeypatch.setenv("HGLIB_DATA", str(other))
    assert len(load(kaggle)) == 5  # the argument goes first
    faces = load()
    assert len(faces) == 6 and faces.source == f"HGLIB_DATA ({other})"
    assert handles == []  # Kaggle is not asked while there is an answer nearer by
    monkeypatch.setenv("HGLIB_DATA", "")  # empty counts as unset
    faces = load()
    assert len(faces) == 7 and faces.source.startswith("Kaggle")
    assert handles == ["drgilermo/face-images-with-marked-landmark-points/versions/1"]
    assert drawn == []
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    capsys.readouterr()
    faces = load(n_synthetic=8, seed=3)
    assert len(faces) == 8 and drawn == [(8, 3)] and "n=8, seed=3" in faces.source


def test_one_line_says_which_source(kaggle, drawn, monkeypatch, capsys):
    for source in (kaggle, "synthetic"):
        faces = load(source, n_synthetic=4)
        said = capsys.readouterr().out
        assert said.count("\n") == 1 and faces.source in said and f"{len(faces)} faces" in said
        load(source, n_synthetic=4, verbose=False)
        assert capsys.readouterr().out == ""


@pytest.mark.parametrize("missing", [True, False])
def test_kaggle_out_of_reach_is_said_in_one_line(missing, drawn, monkeypatch, capsys):
    if not missing:
        fake_kagglehub(monkeypatch, ConnectionError("no route\nto host\n" + "x" * 500))
    assert load(n_synthetic=4).source.startswith("synthetic")
    first, second = capsys.readouterr().out.splitlines()
    assert (
        "kagglehub is not installed" in first if missing else "ConnectionError: no route" in first
    )
    assert len(first) < 200 and "synthetic" in second
    load(n_synthetic=4, verbose=False)
    assert capsys.readouterr().out == ""


def test_kagglehub_with_a_cache_made_by_hand(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "kagglehub")
    kagglehub = pytest.importorskip("kagglehub", reason="kagglehub is an optional extra")
    owner, name, _, version = sources.KAGGLE_HANDLE.split("/")
    base = tmp_path / "hub" / "datasets" / owner / name
    write_npz(base / "versions" / version, np.moveaxis(pictures(9), 0, -1), labels(9))
    (base / f"{version}.complete").touch()
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("DISABLE_COLAB_CACHE", "1")
    monkeypatch.setenv("DISABLE_KAGGLE_CACHE", "1")
    refuse = pytest.fail
    monkeypatch.setattr("socket.socket.connect", lambda *_: refuse("asked the network"))
    faces = load()
    assert np.array_equal(faces.images, pictures(9)), kagglehub.__version__
    assert faces.source == f"Kaggle ({sources.KAGGLE_HANDLE})"


def test_synthetic_faces_are_drawn_once_for_each_setting(drawn, tmp_path):
    first = load("synthetic", n_synthetic=4)
    again = load("synthetic", n_synthetic=4)
    assert drawn == [(4, 0)]
    assert np.array_equal(first.images, again.images)
    load("synthetic", n_synthetic=5)
    load("synthetic", n_synthetic=4, seed=1)
    sys.modules["hglib.datasets.synthetic"].VERSION = 8  # a newer generator draws anew
    load("synthetic", n_synthetic=4)
    assert drawn == [(4, 0), (5, 0), (4, 1), (4, 0)]
    assert len(list((tmp_path / "cache").iterdir())) == 4


def test_the_word_works_in_the_environment_too(drawn, monkeypatch):
    handles = fake_kagglehub(monkeypatch, ConnectionError())
    monkeypatch.setenv("HGLIB_DATA", "synthetic")
    assert len(load(n_synthetic=6)) == 6
    assert handles == []


def test_an_interrupted_drawing_leaves_nothing_behind(drawn, monkeypatch, tmp_path):
    module = sys.modules["hglib.datasets.synthetic"]
    whole = module.write_kaggle_files

    def interrupted(folder, n, seed):
        (Path(folder) / "face_images.npz").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_kaggle_files", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load("synthetic", n_synthetic=4)
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.setattr(module, "write_kaggle_files", whole)
    assert len(load("synthetic", n_synthetic=4)) == 4


def test_the_drawn_folder_appears_in_one_step(drawn, monkeypatch, tmp_path):
    module = sys.modules["hglib.datasets.synthetic"]
    whole = module.write_kaggle_files
    written = []

    def watched(folder, n, seed):
        written.append(Path(folder).stat().st_ino)
        whole(folder, n, seed)

    monkeypatch.setattr(module, "write_kaggle_files", watched)
    load("synthetic", n_synthetic=4)
    (folder,) = (tmp_path / "cache").iterdir()
    assert written == [folder.stat().st_ino]  # renamed, not copied file by file


def test_two_processes_that_draw_at_once(drawn, monkeypatch, tmp_path):
    module = sys.modules["hglib.datasets.synthetic"]
    whole = module.write_kaggle_files

    def overtaken(folder, n, seed):
        whole(folder, n, seed)
        whole(tmp_path / "cache" / f"synthetic-v7-n{n}-seed{seed}", n, seed)  # the other's

    monkeypatch.setattr(module, "write_kaggle_files", overtaken)
    assert len(load("synthetic", n_synthetic=4)) == 4
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_cache_that_cannot_be_written(drawn, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HGLIB_CACHE", str(tmp_path / "file"))
    refused(OSError, "synthetic", "file", "HGLIB_CACHE")
    monkeypatch.setenv("HGLIB_CACHE", str(tmp_path / "cache"))
    refused(ValueError, "synthetic", "n_synthetic=0", n_synthetic=0)


def test_the_built_in_faces_themselves():
    synthetic = pytest.importorskip("hglib.datasets.synthetic")
    assert synthetic.LANDMARKS == LANDMARKS
    faces = load("synthetic", "all", n_synthetic=30)
    folder = sources._synthetic_folder(30, 0)
    truth = pd.read_csv(folder / "truth.csv")[COLUMNS].to_numpy().reshape(30, 15, 2)
    error = faces.points - truth  # truth.csv is 0-based: had 1 not been subtracted, this would be 1
    assert np.abs(np.nanmedian(error, axis=(0, 1))).max() < 0.25


# --- Faces -------------------------------------------------------------------------------------


def test_indexing_keeps_pictures_points_and_rows_together():
    images = pictures(6)
    points = np.arange(24, dtype=np.float32).reshape(6, 2, 2)
    faces = Faces(images, points, EYES, np.arange(10, 16), "here")
    mask = np.array([False, True, False, False, False, True])
    for index, rows in (
        (slice(1, 4), [1, 2, 3]),
        (np.array([4, 0]), [4, 0]),
        (mask, [1, 5]),
        (3, [3]),
        (-1, [5]),
        (np.array([], int), []),
    ):
        part = faces[index]
        assert part.rows.tolist() == [10 + row for row in rows]
        assert np.array_equal(part.images, images[rows])
        assert np.array_equal(part.points, points[rows])
        assert part.landmarks == EYES and part.source == "here" and len(part) == len(rows)
    assert [len(face) for face in faces] == [1] * 6  # a loop over faces ends
    with pytest.raises(FrozenInstanceError):
        faces.source = "elsewhere"


def test_present_needs_both_coordinates():
    points = np.array([[[1, 2], [np.nan, 2]], [[1, np.nan], [np.nan, np.nan]]], np.float32)
    faces = Faces(pictures(2), points, EYES, np.arange(2), "test")
    assert faces.present.tolist() == [[True, False], [False, False]]
    assert "3 of 4 points missing" in repr(faces)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("images", np.zeros((2, 96, 96, 1), np.uint8)),
        ("images", np.zeros((2, 96, 96), np.float32)),
        ("points", np.zeros((3, 2, 2), np.float32)),
        ("points", np.zeros((2, 3, 2), np.float32)),
        ("points", np.zeros((2, 2), np.float32)),
        ("points", np.zeros((2, 2, 2), np.float64)),
        ("rows", np.arange(3)),
        ("rows", np.zeros(2)),
    ],
)
def test_faces_check_their_shapes(field, value):
    good = {
        "images": pictures(2),
        "points": np.zeros((2, 2, 2), np.float32),
        "landmarks": EYES,
        "rows": np.arange(2),
        "source": "test",
    }
    Faces(**good)
    with pytest.raises(ValueError, match=f"Faces.{field}: got ") as caught:
        Faces(**{**good, field: value})
    assert str(value.shape) in str(caught.value) and str(value.dtype) in str(caught.value)


def test_mirror_order_swaps_left_and_right():
    assert faces_of(pictures(1)).mirror_order.tolist() == [1, 0]
    points = np.zeros((1, 15, 2), np.float32)
    faces = Faces(pictures(1), points, LANDMARKS, np.arange(1), "test")
    order = faces.mirror_order
    for name, partner in zip(LANDMARKS, order, strict=True):
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert LANDMARKS[partner] == swapped
    assert order[order].tolist() == list(range(15))  # twice is none
    assert order[[10, 13, 14]].tolist() == [10, 13, 14]  # nose and lips stay
    alone = Faces(pictures(1), points[:, :1], ("left_eye_center",), np.arange(1), "test")
    with pytest.raises(ValueError, match="left_eye_center into right_eye_center"):
        _ = alone.mirror_order


# --- groups ------------------------------------------------------------------------------------


def smooth(count, seed=0):
    """Pictures of 32x32 cells, so that a thumbnail keeps all there is."""
    cells = np.random.default_rng(seed).integers(20, 200, (count, 32, 32))
    return np.kron(cells, np.ones((3, 3))).astype(np.uint8)


def groups_by_definition(images, threshold):
    """Slow: numpy's correlation of every pair of mean thumbnails, then a walk along the links."""
    thumbnails = images.reshape(-1, 32, 3, 32, 3).mean(axis=(2, 4)).reshape(len(images), -1)
    near = np.corrcoef(thumbnails) > threshold
    groups = np.full(len(images), -1)
    for first in range(len(images)):
        waiting = [first] if groups[first] < 0 else []
        while waiting:
            member = waiting.pop()
            groups[member] = first
            waiting += [other for other in np.flatnonzero(near[member]) if groups[other] < 0]
    return groups


@pytest.mark.parametrize("threshold", [0.5, 0.96])
def test_groups_agree_with_the_definition(threshold):
    rng = np.random.default_rng(5)
    base = smooth(40).astype(float)
    weight = rng.uniform(0.6, 1, (600, 1, 1))  # more than one block of 512
    mixed = weight * base[rng.integers(0, 40, 600)] + (1 - weight) * smooth(600, seed=6)
    images = mixed.round().astype(np.uint8)
    expected = groups_by_definition(images, threshold)
    sizes = np.bincount(expected)
    assert 40 <= (sizes > 0).sum() < 600 and sizes.max() > 5  # neither all alone nor all together
    assert duplicate_groups(images, threshold).tolist() == expected.tolist()


def test_groups_join_through_a_third_picture():
    one, other = smooth(2).astype(float)
    chain = [np.uint8((1 - w) * one + w * other) for w in np.linspace(0, 1, 12)]
    shuffled = np.stack([chain[i] for i in (11, 0, 10, 1, 9, 2, 8, 3, 7, 4, 6, 5)])
    assert duplicate_groups(shuffled[:2]).tolist() == [0, 1]  # the ends are not alike
    assert duplicate_groups(shuffled).tolist() == [0] * 12


def test_a_group_carries_the_number_of_its_first_picture():
    images = smooth(4)[[2, 0, 2, 1, 0, 3]]
    brighter = images // 2 + 30  # correlation ignores brightness and contrast
    assert duplicate_groups(images).tolist() == [0, 1, 0, 3, 1, 5]
    assert duplicate_groups(np.concatenate([images, brighter]))[6:].tolist() == [0, 1, 0, 3, 1, 5]


def test_even_pictures_are_a_group_of_their_own():
    images = smooth(4)
    images[1], images[3] = 0, 200
    with np.errstate(all="raise"):
        assert duplicate_groups(images).tolist() == [0, 1, 2, 1]


def test_the_sums_are_whole_numbers_so_their_order_cannot_matter():
    images = np.full((2, 96, 96), 255, np.uint8)  # the largest sums there are
    images[1, :48] = 0
    cells = data._thumbnails(images)
    assert cells.shape == (2, 1024) and cells.max() == 9 * 255
    block_sums = images.astype(int).reshape(2, 32, 3, 32, 3).sum(axis=(2, 4)).reshape(2, -1)
    assert np.array_equal(cells, block_sums)
    for size in (20, 127, 400, 1000):
        cells = data._thumbnails(np.full((1, size, size), 255, np.uint8))
        assert np.array_equal(cells, np.rint(cells)) and cells.max() == 9 * 255
        assert cells.shape[1] * int((cells**2).sum()) < 2**53  # the largest number on the way


@pytest.mark.parametrize(("height", "width"), [(20, 20), (100, 130), (200, 96)])
def test_groups_of_pictures_of_another_size(height, width):
    images = np.random.default_rng(0).integers(0, 200, (3, height, width)).astype(np.uint8)
    assert duplicate_groups(images[[0, 1, 0, 2]]).tolist() == [0, 1, 0, 3]


def test_an_order_of_the_rows_changes_the_names_of_groups_only():
    images = smooth(30)[np.random.default_rng(1).integers(0, 30, 60)]
    shuffle = np.random.default_rng(2).permutation(60)
    together = np.equal.outer(*[duplicate_groups(images)] * 2)
    shuffled = np.equal.outer(*[duplicate_groups(images[shuffle])] * 2)
    assert np.array_equal(together[np.ix_(shuffle, shuffle)], shuffled)


def test_groups_refuse_other_input():
    with pytest.raises(ValueError, match="float64"):
        duplicate_groups(np.zeros((2, 96, 96)))
    with pytest.raises(ValueError, match=r"\(96, 96\)"):
        duplicate_groups(np.zeros((96, 96), np.uint8))
    for threshold in (1.0, -0.1):
        with pytest.raises(ValueError, match=f"threshold {threshold}"):
            duplicate_groups(pictures(2), threshold)


# --- split -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many():
    """600 faces, a third of them copies of others."""
    copies = np.random.default_rng(3).integers(0, 400, 200)
    return faces_of(smooth(400)[np.concatenate([np.arange(400), copies])])


def test_a_split_holds_every_face_once_in_its_shares(many, capsys):
    parts = split(many)
    assert parts._fields == ("train", "validation", "test")
    rows = np.concatenate([part.rows for part in parts])
    assert sorted(rows.tolist()) == list(range(600))
    # Five standard deviations of a binomial over 400 groups, scaled to faces.
    for part, share in zip(parts, (0.8, 0.1, 0.1), strict=True):
        assert abs(len(part) / 600 - share) < 5 * np.sqrt(share * (1 - share) / 400)
    assert capsys.readouterr().out == ""


def test_a_split_cuts_no_group(many):
    groups = duplicate_groups(many.images)
    assert len(np.unique(groups)) == 400
    seen = [set(groups[part.rows].tolist()) for part in split(many)]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_each_face_stays_where_it_is_when_others_come_or_the_order_changes(many):
    where = {row: number for number, part in enumerate(split(many)) for row in part.rows.tolist()}
    for some in (many[:450], many[np.random.default_rng(0).permutation(600)]):
        for number, part in enumerate(split(some)):
            assert {where[row] for row in part.rows.tolist()} == {number}


def test_the_smallest_source_row_decides_for_the_group():
    images = smooth(40)
    rows = np.arange(100, 140)
    before = split(faces_of(images, rows))
    where = {row: number for number, part in enumerate(before) for row in part.rows.tolist()}
    # Every picture once more, with larger rows and standing first: all follow their originals.
    twice = faces_of(np.concatenate([images, images]), np.concatenate([rows + 1000, rows]))
    for number, part in enumerate(split(twice)):
        assert {where[row % 1000] for row in part.rows.tolist()} == {number}


def test_a_split_is_the_same_in_another_process():
    code = "from hglib.data import _place; print([_place(s, r) for s in (0, 1) for r in range(50)])"
    places = [data._place(seed, row) for seed in (0, 1) for row in range(50)]
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            cwd=Path(data.__file__).parents[1],
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == str(places)


def test_places_are_uniform_and_seeds_independent():
    first, second = (np.array([data._place(s, r) for r in range(20000)]) for s in (0, 1))
    for places in (first, second):
        assert places.min() >= 0 and places.max() < 1
        # Kolmogorov-Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand.
        assert np.abs(np.sort(places) - (np.arange(20000) + 0.5) / 20000).max() < 1.95 / 20000**0.5
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / 20000**0.5
    both = ((first > 0.9) & (second > 0.9)).mean()
    assert abs(both - 0.01) < 4 * (0.01 * 0.99 / 20000) ** 0.5


def test_fractions_and_seed(many):
    halves = split(many, (0.5, 0.0, 0.5))
    assert len(halves.validation) == 0 and 200 < len(halves.train) < 400
    assert split(many, seed=1).test.rows.tolist() != split(many, seed=0).test.rows.tolist()
    for fractions in ((0.8, 0.1), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1)):
        with pytest.raises(ValueError, match="fractions=") as caught:
            split(many, fractions)
        assert str(fractions) in str(caught.value)


def test_a_part_without_a_face_is_refused():
    with pytest.raises(ValueError, match=r"no face for .*: 1 groups"):
        split(faces_of(smooth(1)[[0, 0, 0]]))


# --- the real data -----------------------------------------------------------------------------


def test_the_real_data(real_data_folder):
    faces = load(real_data_folder, "all")
    assert faces.images.shape == (7049, 96, 96)
    assert faces.present[:, :2].sum(axis=0).tolist() == [7039, 7036]
    assert faces.present[:, :2].all(axis=1).sum() == 7033
    assert faces.present.all(axis=1).sum() == 2140
    means = np.nanmean(faces.points[:, :2], axis=0)
    assert means == pytest.approx(np.array([[65.4, 36.7], [29.3, 37.0]]), abs=0.1)
    # Each side of the face: the subject's left has the larger x.
    order = faces.mirror_order
    mean_x = np.nanmean(faces.points[..., 0], axis=0)
    for k in np.flatnonzero(order != np.arange(15)):
        assert (mean_x[k] > mean_x[order[k]]) == ("left" in LANDMARKS[k])


def test_the_real_data_has_its_known_copies_in_one_part(real_data_folder, monkeypatch):
    faces = load(real_data_folder)
    groups = duplicate_groups(faces.images)
    monkeypatch.setattr(data, "duplicate_groups", lambda images: groups)  # once takes 2 s
    assert 6240 <= len(np.unique(groups)) <= 6255  # grey levels after JPEG vary with the decoder
    same_pixels = defaultdict(list)
    for row, picture in enumerate(faces.images):
        same_pixels[picture.tobytes()].append(row)
    copied = [rows for rows in same_pixels.values() if len(rows) > 1]
    assert len(copied) == 543 and sum(map(len, copied)) - len(copied) == 555
    part_of = np.empty(7049, int)
    for number, part in enumerate(split(faces)):
        part_of[part.rows] = number
    for rows in copied:
        assert len(set(part_of[rows].tolist())) == 1
    assert np.bincount(part_of) / 7049 == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
