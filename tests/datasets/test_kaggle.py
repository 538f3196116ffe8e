"""hglib.datasets.kaggle and what it reads with: layouts, units, damage."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pytest
from kaggle_files import COLUMNS, FACE, edit, labels, noise, refused, write_npz, write_training

from hglib.data import EYES, LANDMARKS
from hglib.datasets import load
from hglib.datasets.labels import Reading
from hglib.datasets.npz import read_images


@pytest.fixture
def kaggle(tmp_path):
    """A folder as Kaggle's: 5 images in its (96, 96, N) layout."""
    return write_npz(tmp_path / "kaggle", np.moveaxis(noise(5), 0, -1), labels(5))


def points_of(folder, names="all", **options):
    return load(folder, names, verbose=False, **options).points


def same(one, other):
    return np.allclose(one, other, atol=1e-4, equal_nan=True)


# --- layouts -------------------------------------------------------------------------------------


def test_reads_images_and_labels_row_by_row(kaggle):
    faces = load(kaggle, "all")
    assert np.array_equal(faces.images, noise(5))
    assert same(faces.points, labels(5).reshape(5, 15, 2) - 1)  # Kaggle counts from 1
    assert faces.points.dtype == np.float32 and faces.landmarks == LANDMARKS
    assert faces.rows.tolist() == [0, 1, 2, 3, 4]
    missing = np.isnan(labels(5).reshape(5, 15, 2)[..., 0])
    assert missing.any() and np.array_equal(~faces.present, missing)
    assert load(kaggle, first_pixel=0).points[0, 0].tolist() == [66.25, 38.5]


def test_landmarks_by_name_keep_the_order_asked_for(kaggle):
    everything = points_of(kaggle)
    assert same(load(kaggle).points, everything[:, :2]) and load(kaggle).landmarks == EYES
    some = points_of(kaggle, ["nose_tip", "mouth_left_corner", "left_eye_center"])
    assert same(some, everything[:, [10, 11, 0]])
    assert same(points_of(kaggle, "right_eye_center"), everything[:, [1]])


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize(
    "convert",
    [lambda p: p, np.int64, np.float32, lambda p: p / 255, lambda p: (p / 255).astype(">f4"),
     np.asfortranarray],
)  # fmt: skip
def test_layouts_and_grey_scales_give_the_same_images(tmp_path, axis, convert):
    stored = convert(np.moveaxis(noise(5), 0, axis))
    faces = load(write_npz(tmp_path / "d", stored, labels(5)))
    assert np.array_equal(faces.images, noise(5))


def test_grey_levels_between_two_whole_ones_are_rounded(tmp_path):
    images = np.full((5, 96, 96), 200.6)
    images[1:] = 200.4
    for name, stored in (("levels", images), ("shares", images / 255)):
        faces = load(write_npz(tmp_path / name, stored, labels(5)))
        assert faces.images[:, 0, 0].tolist() == [201, 200, 200, 200, 200]


def smooth(count, height=96, width=96):
    """Images whose neighbouring pixels are alike, as faces' are."""
    coarse = np.random.default_rng(2).integers(0, 256, (count, height // 16, width // 16))
    return np.kron(coarse, np.ones((16, 16))).astype(np.uint8)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((96, 96, 96), 0), ((96, 96, 96), 2), ((300, 96, 96), 0), ((300, 96, 96), 2),
     ((96, 80, 64), 0), ((96, 80, 64), 2), ((96, 80, 96), 0)],
)  # fmt: skip
def test_the_axis_that_counts_the_images_is_found(tmp_path, shape, axis):
    """As many images as pixels: the smoother axes are those of the image."""
    images = smooth(*shape)
    np.savez(tmp_path / "x.npz", face_images=np.moveaxis(images, 0, axis))
    assert np.array_equal(read_images(tmp_path / "x.npz", shape[0]), images)


def test_where_pixels_do_not_tell_the_layout_is_kaggles(tmp_path):
    np.savez(tmp_path / "x.npz", face_images=np.moveaxis(noise(20, size=20), 0, -1))
    assert np.array_equal(read_images(tmp_path / "x.npz", 20), noise(20, size=20))


@pytest.mark.parametrize("count", [5, 260])  # fewer and more than one block
def test_the_competitions_file_gives_the_same_faces(tmp_path, count):
    path = write_training(tmp_path / "competition", noise(count), labels(count))
    archive = write_npz(tmp_path / "other", noise(count), labels(count))
    written = path.read_text(encoding="utf-8")
    for floats in (False, True):
        if floats:  # 165.0 is 165
            path.write_text(written.replace(" 7 ", " 7.0 "), encoding="utf-8")
        for source in (path, path.parent):
            faces, expected = load(source, "all"), load(archive, "all")
            assert np.array_equal(faces.images, expected.images)
            assert same(faces.points, expected.points)


def test_either_file_of_the_pair_stands_for_both(kaggle):
    for name in ("face_images.npz", "facial_keypoints.csv"):
        assert np.array_equal(load(kaggle / name).images, noise(5))


# --- what the numbers mean -----------------------------------------------------------------------


def faces_as(folder, change, count=60):
    """Labels with a few missing eyes, changed as a whole; and the true points, 0-based."""
    points = labels(count).reshape(count, 15, 2)
    points[[3, 17], 0] = np.nan
    write_npz(folder, noise(count), change(points.copy()).reshape(count, 30))
    return points - 1


def fill(value):
    return lambda p: np.where(np.isnan(p), value, p)


def crossed(points):
    names = [
        n.replace("left", "?").replace("right", "left").replace("?", "right") for n in LANDMARKS
    ]
    return points[:, [LANDMARKS.index(name) for name in names]]


WRITTEN = {
    "fraction": lambda p: p / 96,
    "signed": lambda p: (p - 48) / 48,
    "centred": lambda p: p / 96 - 0.5,
    "missing=0": fill(0),
    "missing=-1": fill(-1),
    "missing=-9999": fill(-9999),
    "missing=999": fill(999),
    "swapped": crossed,
    "yx": lambda p: p[..., ::-1],
    "fraction, missing=0": lambda p: fill(0)(p / 96),
    "signed, missing=-1": lambda p: fill(-1)((p - 48) / 48),
    "swapped, yx": lambda p: crossed(p)[..., ::-1],
    "signed, missing=-9, swapped, yx": lambda p: fill(-9)(crossed((p - 48) / 48)[..., ::-1]),
}  # fmt: skip


@pytest.mark.parametrize("words", WRITTEN)
@pytest.mark.parametrize("names", ["all", "eyes", "right_eye_center"])
def test_another_unit_is_refused_and_read_on_purpose(tmp_path, words, names):
    truth = faces_as(tmp_path, WRITTEN[words])
    parts = ("facial_keypoints.csv: column ", "_x: ", f"labels={words!r}")
    refused(ValueError, tmp_path, *parts, landmarks=names)
    kept = {"all": slice(None), "eyes": [0, 1], "right_eye_center": [1]}[names]
    assert same(points_of(tmp_path, names, labels=words), truth[:, kept])


@pytest.mark.parametrize(
    ("written", "words"),
    [("fraction", "percent"), ("fraction", "signed"), ("signed", "fraction"), ("signed", "percent"),
     ("missing=-1", "missing=0"), ("missing=0", "fraction"), ("swapped", "yx"), ("yx", "swapped"),
     ("swapped, yx", "yx"), ("fraction, missing=0", "fraction"), ("", "fraction"),
     ("", "signed"), ("", "swapped"), ("", "yx")],
)  # fmt: skip
def test_the_wrong_words_are_refused_too(tmp_path, written, words):
    faces_as(tmp_path, WRITTEN.get(written, lambda p: p))
    refused(ValueError, tmp_path, "facial_keypoints.csv", labels=words)


def test_labels_that_look_wrong_can_be_taken_as_they_stand(tmp_path):
    truth = faces_as(tmp_path, crossed)
    assert same(points_of(tmp_path, labels="unchecked"), crossed(truth))
    truth = faces_as(tmp_path, WRITTEN["fraction"])
    as_signed = points_of(tmp_path, labels="signed, unchecked")
    assert same(as_signed, (truth + 1) / 2 + 47)


@pytest.mark.parametrize("words", ["inches", "missing", "missing=nan", "fraction,percent", "yx=1"])
def test_words_that_say_nothing_are_named(kaggle, words):
    refused(ValueError, kaggle, f"labels={words!r}", "percent", labels=words)


def eyes_in_noise(count, blobs):
    """Bright images with dark eyes at `blobs` (N, 2, 2), 0-based."""
    y, x = np.mgrid[:96, :96]
    images = np.full((count, 96, 96), 200.0)
    for n, eyes in enumerate(blobs):
        for centre_x, centre_y in eyes:
            images[n] -= 150 * np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / 8)
    return (images + np.random.default_rng(0).normal(0, 5, images.shape)).round().astype(np.uint8)


def test_per_cent_shows_where_the_pupils_are(tmp_path):
    truth = labels(60).reshape(60, 15, 2) - 1
    truth[:, :2] = np.where(np.isnan(truth[:, :2]), FACE[:2] - 1, truth[:, :2])
    images = eyes_in_noise(60, truth[:, :2])
    good = write_npz(tmp_path / "good", images, (truth + 1).reshape(60, 30))
    assert same(points_of(good), truth)
    assert same(points_of(write_npz(tmp_path / "0", images, truth.reshape(60, 30)),
                          first_pixel=0), truth)  # fmt: skip
    odd = write_npz(tmp_path / "percent", images, ((truth + 1) / 0.96).reshape(60, 30))
    refused(ValueError, odd, "facial_keypoints.csv", "per cent", "labels='percent'")
    assert same(points_of(odd, labels="percent"), truth)


def odd_rows(values):
    """One odd face of each kind."""
    points = values.reshape(-1, 15, 2)
    points[5, :2] = points[5, 1::-1]
    points[6] = points[6, :, ::-1]
    points[7] = points[7] / 96
    points[8, 0] = 0
    points[9, 1] = -1
    points[10] = (points[10] - 48) / 48
    return points.reshape(-1, 30)


def test_a_few_odd_faces_stop_no_good_set(tmp_path):
    odd_points = odd_rows(labels(120))
    assert len(load(write_npz(tmp_path / "odd", noise(120), odd_points), "all")) == 120


def test_the_synthetic_and_the_real_set_with_odd_faces_pass(tmp_path, real_data_folder):
    for name, source in (("real", real_data_folder), ("drawn", None)):
        if source is None:
            from hglib.datasets.synthetic import write_kaggle_files

            source = write_kaggle_files(tmp_path / "s", 200)
        table = pd.read_csv(source / "facial_keypoints.csv")[COLUMNS]
        images = load(source, verbose=False).images
        values = odd_rows(table.to_numpy())
        assert len(load(write_npz(tmp_path / name, images, values), "all")) == len(table)
        percent = write_npz(tmp_path / f"{name} percent", images, table.to_numpy() / 0.96)
        refused(ValueError, percent, "per cent")


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_tiny_sets_are_only_refused_on_good_evidence(tmp_path, count):
    values = np.tile(FACE.reshape(1, 30), (count, 1))
    assert len(load(write_npz(tmp_path / "good", noise(count), values))) == count
    refused(ValueError, write_npz(tmp_path / "unit", noise(count), values / 96), "0 to 1")
    one = values.reshape(-1, 15, 2).copy()
    one[0, :2] = one[0, 1::-1]
    assert len(load(write_npz(tmp_path / "one", noise(count), one.reshape(-1, 30)))) == count


def test_reading_is_the_inverse_of_writing():
    rng = np.random.default_rng(4)
    points = rng.uniform(0, 96, (7, 15, 2)) * (2, 1)
    for unit, (scale, offset) in (("fraction", (1, 0)), ("signed", (2, -1)), ("percent", (100, 0))):
        written = points / (192, 96) * scale + offset
        assert same(Reading(unit=unit).apply(written, LANDMARKS, (96, 192)), points)


# --- bad input: the table ------------------------------------------------------------------------


def test_files_that_are_not_there(kaggle, tmp_path):
    refused(FileNotFoundError, tmp_path / "gone", "gone", "source=", "HGLIB_DATA=synthetic")
    refused(FileNotFoundError, tmp_path, "face_images.npz", "training.csv", "kaggle.com")
    (tmp_path / "faces.mat").touch()
    refused(ValueError, tmp_path / "faces.mat", "faces.mat", ".npz")
    (kaggle / "facial_keypoints.csv").rename(kaggle / "other.csv")
    refused(FileNotFoundError, kaggle, "facial_keypoints.csv", "other.csv")
    refused(FileNotFoundError, kaggle / "face_images.npz", "looked for facial_keypoints.csv")
    (kaggle / "face_images.npz").unlink()
    refused(FileNotFoundError, kaggle / "other.csv", "looked for face_images.npz")


def rewrite(folder, change, encoding="utf-8"):
    path = folder / "facial_keypoints.csv"
    path.write_bytes(change(path.read_text(encoding="utf-8")).encode(encoding))


@pytest.mark.parametrize(
    ("change", "encoding"),
    [
        (lambda t: t, "utf-8-sig"),
        (lambda t: t, "utf-16"),
        (lambda t: t, "utf-32"),
        (lambda t: "\n".join(f"{line},größe" for line in t.splitlines()) + "\n", "latin-1"),
        (lambda t: t.replace(",", ";"), "utf-8"),
        (lambda t: t.replace(",", ";").replace(".", ","), "utf-8"),
        (lambda t: t.replace(",", "\t"), "utf-8"),
        (lambda t: t.replace(",", " , "), "utf-8"),
        (lambda t: t.replace("\n", "\r\n"), "utf-8"),
        (lambda t: t.replace("\n", "\n\n"), "utf-8"),
        (lambda t: t.replace(",,", ",NaN,"), "utf-8"),
        (lambda t: t.rstrip("\n"), "utf-8"),
        (lambda t: ",".join(f'"{n}"' for n in COLUMNS) + t[t.index("\n") :], "utf-8"),
    ],
)
def test_harmless_ways_to_write_a_table_are_read(kaggle, change, encoding):
    expected = points_of(kaggle)
    rewrite(kaggle, change, encoding)
    assert same(points_of(kaggle), expected)


def doubled(text):
    return "\n".join(f"{line},{line.split(',')[0]}" for line in text.splitlines()) + "\n"


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda t: t.replace("right_eye_center_y", "y"), ["no column right_eye_center_y;"]),
        (doubled, ["2 columns are called left_eye_center_x"]),
        (lambda t: t[: t.index("\n") + 1], ["no rows"]),
        (lambda t: "", ["empty"]),
        (lambda t: "\0" + t, ["facial_keypoints.csv"]),
        (lambda t: t[: t.rindex(",")], ["row 4 has 29 values", "cut short"]),
        (lambda t: t[: t.rindex("\n", 0, -1) + 40], ["row 4 has", "cut short"]),
        (lambda t: t.replace("\n", "\n7,"), ["row 0 has 31 values", "extra commas"]),
        (lambda t: t.replace("\n66.25", "\nTrue"), ["row 0, column left_eye_center_x: 'True'"]),
        (lambda t: t.replace("\n66.25", "\n6_6"), ["row 0, column left_eye_center_x: '6_6'"]),
        (lambda t: t.replace("\n66.25", "\n12 px"), ["left_eye_center_x: '12 px'"]),
        (lambda t: t.replace("\n66.25", '\n"66,25"'), ["left_eye_center_x: '66,25'"]),
        (lambda t: t.replace("\n66.25", "\ninf"), ["left_eye_center_x: inf lies far outside"]),
        (lambda t: t.replace("\n66.25", '\n"66.25'), ["facial_keypoints.csv"]),
    ],
)  # fmt: skip
def test_a_table_that_is_wrong_is_refused(kaggle, change, parts):
    rewrite(kaggle, change)
    refused(ValueError, kaggle, "facial_keypoints.csv", *parts)


def test_a_number_cut_at_the_end_of_the_file_is_refused(tmp_path):
    values = np.full((3, 30), 30.125)
    values[:, ::4] = 60.125
    folder = write_npz(tmp_path / "d", noise(3), values)
    whole = (folder / "facial_keypoints.csv").read_text(encoding="utf-8").rstrip("\n")
    for cut in range(1, 6):
        (folder / "facial_keypoints.csv").write_text(whole[:-cut], encoding="utf-8")
        refused(ValueError, folder, "row 2", "cut short")


def test_only_what_is_asked_for_has_to_be_right(kaggle):
    edit(kaggle, 3, "left_eye_center_y", "thirty")
    refused(ValueError, kaggle, "row 3", "left_eye_center_y", "'thirty'")
    assert len(load(kaggle, "nose_tip")) == 5


@pytest.mark.parametrize(
    ("axis", "value", "good"),
    [("x", 144, True), ("x", 145, False), ("x", -48, True), ("x", -49, False),
     ("y", 120, True), ("y", 121, False), ("y", -40, True), ("y", -41, False)],
)  # fmt: skip
def test_a_point_may_lie_half_a_side_outside_along_each_axis(tmp_path, axis, value, good):
    """A cropped face, not another unit."""
    values = labels(6)
    column = COLUMNS.index(f"left_eye_center_{axis}")
    values[2, :2], values[2, column] = 40, value
    folder = write_npz(tmp_path / "d", noise(6)[:, :80], values)
    if good:
        assert load(folder).points[2, 0, "xy".index(axis)] == value - 1
    else:
        refused(
            ValueError, folder, "row 2", f"left_eye_center_{axis}: {value} ", "96x80", "missing="
        )


@pytest.mark.parametrize(("empty", "given"), ["xy", "yx"])
def test_half_a_point(kaggle, empty, given):
    edit(kaggle, 4, f"left_eye_center_{given}", 50)
    edit(kaggle, 4, f"left_eye_center_{empty}", np.nan)
    refused(ValueError, kaggle, f"row 4 has left_eye_center_{given} but no left_eye_center_{empty}")


def test_all_points_missing(tmp_path):
    values = labels(5)
    values[:, :4] = np.nan
    folder = write_npz(tmp_path / "d", noise(5), values)
    refused(ValueError, folder, "facial_keypoints.csv", "left_eye_center_x", "empty")
    assert len(load(folder, "all")) == 5


# --- bad input: images ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "parts"),
    [
        (np.zeros((5, 96, 96, 1), np.uint8), ["(5, 96, 96, 1)", "(5, 96, 96)"]),
        (np.zeros((5, 9216), np.uint8), ["(5, 9216)"]),
        (np.zeros((7, 80, 97), np.uint8), ["(7, 80, 97)", "neither"]),
        (np.zeros((96, 96, 7), np.uint8), ["7 images", "5 rows", "same download"]),
        (np.zeros((96, 96, 0), np.uint8), ["no image"]),
        (np.full((5, 96, 96), "a"), ["dtype <U1"]),
        (np.ones((5, 96, 96), bool), ["dtype |b1"]),
        (np.ones((5, 96, 96), complex), ["dtype <c16"]),
        (noise(5) // 128, ["brightest pixel of all is 1,"]),
        ((noise(5) // 128).astype(float), ["0 and 1"]),
        (noise(5) / 2.55, ["brightest pixel of all is 100,"]),
        (noise(5) / 255 + 0.01, ["brightest pixel of all is 1.01"]),
        (noise(5) * 2.0, ["to 510"]),
        (noise(5) - 1.0, ["from -1"]),
        (np.where(noise(5) == 7, np.nan, noise(5)), ["NaN"]),
        (np.where(noise(5) == 7, np.inf, noise(5)), ["inf"]),
        (noise(5).astype(np.int32) + 1, ["to 256"]),
    ],
)
def test_images_that_are_wrong_are_refused(tmp_path, stored, parts):
    refused(ValueError, write_npz(tmp_path, stored, labels(5)), "face_images.npz", *parts)


def test_many_images_that_are_all_dark_have_another_scale(tmp_path):
    for name, stored in (("few", noise(5) // 4), ("many", noise(6) // 4)):
        folder = write_npz(tmp_path / name, stored, labels(len(stored)))
        if name == "few":
            assert np.array_equal(load(folder).images, stored)
        else:
            refused(ValueError, folder, "brightest pixel of all is 63")
    path = write_training(tmp_path / "t", noise(4) // 128, labels(4))
    refused(ValueError, path, "training.csv: column Image", "brightest pixel of all is 1")


def test_another_name_in_the_archive(tmp_path):
    folder = write_npz(tmp_path, noise(5), labels(5), key="photos")
    refused(ValueError, folder, "face_images.npz", "only photos;", "np.savez")


@pytest.mark.parametrize("share", [0.01, 0.5, 0.98])
def test_a_zip_cut_short(kaggle, share):
    path = kaggle / "face_images.npz"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refused(ValueError, kaggle, "face_images.npz", "cut short", "download it again")


@pytest.mark.parametrize("method", ["STORED", "DEFLATED", "LZMA", "BZIP2"])
def test_no_damaged_byte_is_read_as_another_image(kaggle, method):
    path = kaggle / "face_images.npz"
    stored = io.BytesIO()
    np.save(stored, noise(5))
    with zipfile.ZipFile(path, "w", getattr(zipfile, f"ZIP_{method}")) as archive:
        archive.writestr("face_images.npy", stored.getvalue())
    content = path.read_bytes()
    for place in np.linspace(0, len(content) - 1, 60).astype(int):
        damaged = bytearray(content)
        damaged[place] ^= 255
        path.write_bytes(damaged)
        try:
            images = load(kaggle, verbose=False).images
        except ValueError as error:
            assert "face_images.npz" in str(error)
        else:  # a byte of the directory that says nothing about the content
            assert np.array_equal(images, noise(5))


def npz_with(folder, header, content=b"", name="face_images.npy"):
    """An archive whose array begins with this header."""
    write_npz(folder, noise(5), labels(5))
    text = header.encode("latin-1") if isinstance(header, str) else header
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content
    with zipfile.ZipFile(folder / "face_images.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, array)
    return folder


def header(shape, descr="'|u1'", fortran=False):
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    "text",
    [
        header((5, 96, 96)),  # no pixels
        header((96, 96, 10**12)),
        header((5, 10**9, 10**9)),
        header((10**30, 1, 1)),
        header((-5, 96, 96)),
        header((5, 96)),
        header("(" * 9000 + ")" * 9000),
        header("-" * 9000 + "1"),
        header((5, 96, 96), "'|O'"),
        header((5, 96, 96), "[('a', '|O')]"),
        header((5, 96, 96), "'|u3'"),
        header((5, 96, 96), "__import__('os')"),
        "{}",
        "",
        b"\xff" * 50,
        " " * 60_000,
    ],
)
def test_headers_that_lie_cost_nothing(tmp_path, text):
    folder = npz_with(tmp_path, text)
    tracemalloc.start()
    refused(ValueError, folder, "face_images.npz")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_an_array_with_more_or_fewer_bytes_than_its_shape(tmp_path):
    good = noise(5).tobytes()
    assert np.array_equal(
        load(npz_with(tmp_path / "a", header((5, 96, 96)), good)).images, noise(5)
    )
    for k, content in enumerate((good[:-1], good + b"1")):
        folder = npz_with(tmp_path / str(k), header((5, 96, 96)), content)
        refused(ValueError, folder, "face_images.npz", "damaged")


def test_entries_that_are_no_arrays_or_encrypted(kaggle):
    path = kaggle / "face_images.npz"
    for name in ("face_images", "face_images.npy"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"hello")
        refused(ValueError, kaggle, "face_images.npz", "no array")
    stored = io.BytesIO()
    np.save(stored, noise(5))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("face_images.npy", stored.getvalue())
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + at] |= 1
    path.write_bytes(content)
    refused(ValueError, kaggle, "face_images.npz", "encrypted")


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
    ("cell", "part"),
    [
        ("1 2 3", "has 3 values"),
        ("", "has 0 values"),
        (" ".join(["7"] * 9217), "has 9217 values"),
        (" ".join(["7"] * 9215 + ["x"]), "'x'"),
        (" ".join(["7"] * 9215 + ["256"]), "'256'"),
        (" ".join(["7"] * 9215 + ["-1"]), "'-1'"),
        (" ".join(["7"] * 9215 + ["0.5"]), "'0.5'"),
        (" ".join(["7"] * 9215 + ["nan"]), "'nan'"),
        (" ".join(["7"] * 9216 + ["#", "note"]), "has 9218 values"),
    ],
)
@pytest.mark.parametrize(("count", "row"), [(4, 2), (261, 259)])  # the first block, the second
def test_a_bad_image_cell(tmp_path, cell, part, count, row):
    path = write_training(tmp_path / "d", np.full((count, 96, 96), 200, np.uint8), labels(count))
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[row + 1] = lines[row + 1].rsplit(",", 1)[0] + "," + cell
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    refused(ValueError, path, "training.csv", f"row {row}, column Image", part, "9216")


def test_a_number_that_only_python_can_read(tmp_path):
    """float("1_0") is 10, NumPy's reader refuses it: the rows are named, nothing is guessed."""
    path = write_training(tmp_path / "d", np.full((4, 96, 96), 200, np.uint8), labels(4))
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("200 200", "2_0 200", 1), encoding="utf-8")
    refused(ValueError, path, "training.csv", "rows 0 to 3, column Image", "9216 whole numbers")


def test_a_folder_of_other_files_is_told_in_eight_names(tmp_path):
    for number in range(10):
        (tmp_path / f"file{number}.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"file7\.txt; ") as told:
        load(tmp_path)
    assert "file8" not in str(told.value)


def test_a_training_file_without_images(tmp_path):
    path = write_training(tmp_path / "d", noise(2), labels(2))
    pd.read_csv(path).drop(columns="Image").to_csv(path, index=False)
    refused(ValueError, path.parent, "training.csv", "no column Image")


# --- the real data -------------------------------------------------------------------------------


def test_the_real_data(real_data_folder):
    faces = load(real_data_folder, "all")
    assert faces.images.shape == (7049, 96, 96)
    assert faces.present[:, :2].sum(axis=0).tolist() == [7039, 7036]
    assert faces.present[:, :2].all(axis=1).sum() == 7033
    assert faces.present.all(axis=1).sum() == 2140
    means = np.nanmean(faces.points[:, :2], axis=0)
    assert means == pytest.approx(np.array([[65.4, 36.7], [29.3, 37.0]]), abs=0.1)
    order = faces.mirror_order  # each side of the face: the subject's left has the larger x
    mean_x = np.nanmean(faces.points[..., 0], axis=0)
    for k in np.flatnonzero(order != np.arange(15)):
        assert (mean_x[k] > mean_x[order[k]]) == ("left" in LANDMARKS[k])
