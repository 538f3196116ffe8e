"""`python -m hglib find`, called as a user calls it: tables, marked pictures, mistakes."""

import csv
import io

import numpy as np
import pytest
import torch
from PIL import Image

from hglib import commands
from hglib.datasets.synthetic.collage import draw_collage
from hglib.photo.files import COLUMNS
from hglib.photo.image import read_photo


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A colour photo with one face, stored lying on its side with an EXIF note; and its eyes."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("photos")
    scene = draw_collage((200, 240), sides=[140], seed=12)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees, clockwise, to view
    stored = Image.fromarray(np.rot90(scene.image)).convert("RGB")
    stored.save(folder / "face.jpg", quality=95, exif=exif)
    Image.fromarray(np.full((100, 120), 90, np.uint8)).save(folder / "wall.png")
    (folder / "note.txt").write_text("not a picture")
    return folder, scene.eyes


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def eyes_of(row):
    return np.array([float(row[name]) for name in COLUMNS[2:6]]).reshape(2, 2)


def test_eyes_come_in_pixels_of_the_upright_photo(photos, capsys):
    folder, true = photos
    assert commands.main(["find", str(folder / "face.jpg")]) == 0
    (row,) = table(capsys.readouterr().out)
    assert row["photo"].endswith("face.jpg") and row["face"] == "0"
    assert abs(eyes_of(row) - true[0]).max() < 0.15 * 53  # px: the eyes are about 53 px apart
    assert 0.45 <= float(row["support"]) <= 1
    assert all(len(row[name].split(".")[1]) == 2 for name in COLUMNS[2:6])


def test_table_and_marked_picture_are_written(photos, tmp_path, capsys):
    folder, _ = photos
    out, marked = tmp_path / "eyes.csv", tmp_path / "marked"
    command = ["find", str(folder / "face.jpg"), "--csv", str(out), "--annotate", str(marked)]
    assert commands.main(command) == 0
    assert capsys.readouterr().out == ""
    (row,) = table(out.read_text())
    picture = read_photo(marked / "face.png")
    assert picture.shape == (200, 240, 3)  # upright
    changed = (picture.astype(int) - read_photo(folder / "face.jpg")).any(axis=-1)
    for x, y in eyes_of(row).round().astype(int):
        assert changed[y, x]
    assert 0.01 < changed.mean() < 0.2


def test_nothing_is_overwritten(photos, tmp_path):
    folder, _ = photos
    wall = str(folder / "wall.png")
    assert commands.main(["find", wall, wall, "--annotate", str(tmp_path)]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["wall-2.png", "wall.png"]


def test_a_photo_without_a_face_is_said(photos, capsys):
    folder, _ = photos
    assert commands.main(["find", str(folder / "wall.png")]) == 0
    told = capsys.readouterr()
    assert told.out == ",".join(COLUMNS) + "\n"
    assert "wall.png: no face found; try --smallest or --box" in told.err


def test_a_box_always_gets_an_answer(photos, capsys):
    folder, _ = photos
    box = ["--box", "20", "10", "60", "70"]
    assert commands.main(["find", str(folder / "wall.png"), *box]) == 0
    (row,) = table(capsys.readouterr().out)
    assert float(row["support"]) < 0.45


def test_an_unreadable_photo_stops_no_other_one(photos, capsys):
    folder, _ = photos
    names = [str(folder / name) for name in ("note.txt", "wall.png", "gone.jpg")]
    assert commands.main(["find", *names]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("photo,face,") and "wall.png: no face found" in told.err
    last = told.err.splitlines()[-1]
    assert "note.txt: not a picture" in last and "gone.jpg: no such file" in last


def test_an_empty_box_is_refused(photos, capsys):
    folder, _ = photos
    assert commands.main(["find", str(folder / "wall.png"), "--box", "0", "0", "0", "9"]) == 1
    assert "width 0 and height 9" in capsys.readouterr().err
