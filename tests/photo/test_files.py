"""`python -m hglib find`, called as a user calls it: tables, marked images, mistakes."""

import csv
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hglib import checkpoint, commands
from hglib.commands.find import expand
from hglib.datasets.synthetic.collage import draw_collage
from hglib.hourglass import build
from hglib.photo.detect import FoundFace
from hglib.photo.files import COLUMNS, cell, table_rows
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
    (folder / "note.txt").write_text("not an image")
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


def test_table_and_marked_image_are_written(photos, tmp_path, capsys):
    folder, _ = photos
    out, marked = tmp_path / "eyes.csv", tmp_path / "marked"
    command = ["find", str(folder / "face.jpg"), "--csv", str(out), "--annotate", str(marked)]
    assert commands.main(command) == 0
    assert capsys.readouterr().out == ""
    (row,) = table(out.read_text())
    image = read_photo(marked / "face.png")
    assert image.shape == (200, 240, 3)  # upright
    changed = (image.astype(int) - read_photo(folder / "face.jpg")).any(axis=-1)
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
    assert "note.txt: not an image" in last and "gone.jpg: no such file" in last


def test_an_empty_box_is_refused(photos, capsys):
    folder, _ = photos
    assert commands.main(["find", str(folder / "wall.png"), "--box", "0", "0", "0", "9"]) == 1
    assert "width 0 and height 9" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["eyes.png", "face.jpg", "."])
def test_a_table_never_lands_on_a_photo_or_a_folder(photos, tmp_path, monkeypatch, capsys, name):
    """`find --csv *.png` with the name of the table forgotten."""
    monkeypatch.chdir(tmp_path)
    for photo in ("eyes.png", "face.jpg"):
        Image.fromarray(np.full((60, 60), 90, np.uint8)).save(photo)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert commands.main(["find", "--csv", name, "face.jpg"]) == 1
    assert f"--csv {name}" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_table_is_refused_where_it_is_also_a_photo(tmp_path, capsys):
    photo = tmp_path / "photo.txt"
    photo.write_bytes(b"any")
    (tmp_path / "link.csv").symlink_to(photo)
    assert commands.main(["find", str(photo), "--csv", str(tmp_path / "link.csv")]) == 1
    assert "one of the photos" in capsys.readouterr().err and photo.read_bytes() == b"any"


@pytest.mark.parametrize("option", ["--csv", "--annotate"])
def test_a_folder_that_cannot_be_written_is_said_before_the_work(photos, tmp_path, capsys, option):
    folder, _ = photos
    (tmp_path / "file").write_text("no folder")
    target = tmp_path / "file" / "eyes.csv"
    assert commands.main(["find", str(folder / "wall.png"), option, str(target)]) == 1
    said = capsys.readouterr().err
    assert f"{option}: cannot write into" in said and "no face found" not in said


def rows_of_two(monkeypatch, tmp_path, second):
    """Run find on two photos with a table; `second` is what happens to the second."""
    from hglib.photo import files

    face = files.FoundFace
    answers = iter([lambda: (None, [_face(face)]), second])
    monkeypatch.setattr(files, "search", lambda *_: next(answers)())
    out = tmp_path / "eyes.csv"
    return commands.main(["find", "a.png", "b.png", "--csv", str(out)]), out


def _face(kind):
    eyes = np.array([[60.0, 40.0], [30.0, 41.0]])
    return kind(eyes=eyes, support=0.9, box=(0.0, 0.0, 96.0))


def test_what_was_found_before_an_interruption_is_kept(monkeypatch, tmp_path):
    def interrupted():
        raise KeyboardInterrupt

    status, out = rows_of_two(monkeypatch, tmp_path, interrupted)
    assert status == 130 and [row["photo"] for row in table(out.read_text())] == ["a.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["eyes.csv"]


def test_a_photo_too_large_for_the_memory_loses_no_row(monkeypatch, tmp_path, capsys):
    def too_large():
        raise MemoryError

    status, out = rows_of_two(monkeypatch, tmp_path, too_large)
    assert status == 1 and [row["photo"] for row in table(out.read_text())] == ["a.png"]
    assert "b.png: not enough memory" in capsys.readouterr().err


def test_rows_that_the_disk_refuses_go_to_the_screen(monkeypatch, tmp_path, capsys):
    from hglib.photo import files

    out = tmp_path / "eyes.csv"
    out.write_text("older")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    status, _ = rows_of_two(monkeypatch, tmp_path, lambda: (None, []))
    told = capsys.readouterr()
    assert status == 1 and [row["photo"] for row in table(told.out)] == ["a.png"]
    assert "No space left" in told.err and out.read_text() == "older"


def test_marking_that_fails_loses_no_row(photos, tmp_path, monkeypatch, capsys):
    from hglib.photo import files

    def fails(*_):
        raise OSError("disk gone")

    monkeypatch.setattr(files, "annotate", fails)
    folder, _ = photos
    command = ["find", str(folder / "face.jpg"), "--annotate", str(tmp_path / "marked")]
    assert commands.main(command) == 1
    told = capsys.readouterr()
    assert len(table(told.out)) == 1 and "face.jpg: not marked (disk gone)" in told.err


def test_marking_follows_no_link(photos, tmp_path):
    folder, _ = photos
    (tmp_path / "wall.png").symlink_to(tmp_path / "elsewhere")
    commands.main(["find", str(folder / "wall.png"), "--annotate", str(tmp_path)])
    assert not (tmp_path / "elsewhere").exists() and (tmp_path / "wall-2.png").is_file()


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\tx", "\n=1", " =1", "a\nb", "a\x1bb"])
def test_no_file_name_becomes_a_formula_or_a_second_line(name):
    shown = cell(name)
    assert shown.isprintable() and shown[0] not in "=+-@ " and "\n" not in shown
    (row,) = table_rows(name, [_face(FoundFace)])
    text = io.StringIO()
    csv.writer(text).writerow(row)
    assert text.getvalue().count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_name_that_the_terminal_cannot_show_loses_no_row(photos, tmp_path, encoding):
    folder, _ = photos
    odd = [os.fsdecode(b"\xff\xfe.jpg"), "\u76ee.jpg", "\u0430.jpg"]
    for name in odd:
        shutil.copy(folder / "face.jpg", tmp_path / name)
    call = [sys.executable, "-m", "hglib", "find", *odd, "--box", "70", "50", "140", "140"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert len(table(done.stdout.decode(encoding))) == len(odd)


def test_patterns_and_folders_are_expanded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.jpg", "note.txt", "[x].jpg"):
        (tmp_path / name).touch()
    assert expand(["*.jpg"]) == ["[x].jpg", "a.jpg", "b.jpg"]
    assert expand(["[x].jpg", "note.txt"]) == ["[x].jpg", "note.txt"]  # a name comes first
    assert [Path(name).name for name in expand([str(tmp_path)])] == ["[x].jpg", "a.jpg", "b.jpg"]
    with pytest.raises(FileNotFoundError, match=r"\*\.gif: no image there"):
        expand(["*.gif"])


def test_a_network_of_another_number_of_points_is_refused(tmp_path, capsys):
    path = tmp_path / "fifteen.safetensors"
    checkpoint.save(path, build("lean", widths=[4, 8], landmarks=15))
    assert commands.main(["find", "any.jpg", "--weights", str(path)]) == 1
    assert "fifteen.safetensors: marks 15 points" in capsys.readouterr().err
