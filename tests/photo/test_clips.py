"""`python -m hglib find` on videos and folders of frames, called as a user calls it."""

import csv
import io
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from films import errors, film
from PIL import Image

from hglib import commands
from hglib.checkpoint import load_model, pretrained
from hglib.photo import clips
from hglib.photo.clips import COLUMNS, frame_files, open_clip, rows
from hglib.photo.image import read_photo
from hglib.photo.video import Follower, Seen

COUNT = 8


@pytest.fixture(scope="module")
def frames():
    """Frames (8, 161, 241) of one face: odd sides, which no codec takes; and its eyes."""
    torch.set_num_threads(1)
    images, true = film([220], seed=5, count=COUNT, size=(161, 241))
    return images, true[:, 0]


@pytest.fixture
def folder(frames, tmp_path):
    """The frames as a folder of images."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for n, image in enumerate(frames[0]):
        Image.fromarray(image).save(folder / f"frame{n + 5}.png")  # frame10 after frame9
    return folder


@pytest.fixture
def film_file(frames, tmp_path):
    """The frames as a video of 12.5 frames per second."""
    av = pytest.importorskip("av", reason='no video reader here: pip install "hglib[video]"')
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(25, 2))
        stream.width, stream.height, stream.pix_fmt = 240, 160, "yuv420p"
        stream.bit_rate = 2_000_000
        for image in frames[0]:
            colour = np.ascontiguousarray(image[:160, :240, None].repeat(3, axis=2))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(colour, format="rgb24")))
        container.mux(stream.encode())
    return path


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def eyes_of(row, first="left_eye_x"):
    start = COLUMNS.index(first)
    return np.array([float(row[name]) for name in COLUMNS[start : start + 4]]).reshape(2, 2)


def find(*words):
    return commands.main(["find", *map(str, words)])


# ---- folders --------------------------------------------------------------------------------


def test_a_folder_of_frames_becomes_rows_and_marked_frames(folder, frames, tmp_path, capsys):
    marked = tmp_path / "marked"
    assert find(folder, "--fps", 10, "--annotate", marked) == 0
    found = table(capsys.readouterr().out)
    assert [(r["frame"], r["seconds"], r["face"]) for r in found] == [
        (str(n), f"{n / 10:.3f}", "0") for n in range(COUNT)
    ]
    for row, true in zip(found, frames[1], strict=True):
        assert errors(eyes_of(row), true) < 0.1 and 0.25 <= float(row["confidence"]) <= 1
        assert errors(eyes_of(row, "steady_left_eye_x"), true) < 0.15
    assert (eyes_of(found[0]) == eyes_of(found[0], "steady_left_eye_x")).all()
    assert sorted(p.name for p in marked.iterdir()) == sorted(p.name for p in folder.iterdir())
    before, after = (read_photo(place / "frame9.png") for place in (folder, marked))
    x, y = eyes_of(found[4], "steady_left_eye_x")[0].round().astype(int)
    assert before.shape == after.shape and (before[y, x] != after[y, x]).any()


def test_rows_are_what_the_follower_says(folder, frames, capsys):
    find(folder, "--fps", 10)
    follower = Follower(load_model(pretrained()["lean"]))
    for n, (row, image) in enumerate(zip(table(capsys.readouterr().out), frames[0], strict=True)):
        (one,) = follower.step(image, n / 10)
        np.testing.assert_allclose(eyes_of(row), one.eyes, atol=6e-4)
        np.testing.assert_allclose(eyes_of(row, "steady_left_eye_x"), one.steady, atol=6e-4)


def test_numbers_in_names_are_counted(tmp_path):
    names = ["b2.png", "b10.png", "a.png", "b1x3.png", "b1x20.png", "note.txt", "b010.jpg"]
    for name in names:
        (tmp_path / name).touch()
    found = [path.name for path in frame_files(tmp_path)]
    assert found == ["a.png", "b1x3.png", "b1x20.png", "b2.png", "b010.jpg", "b10.png"]


def test_a_frame_of_another_size_is_named_and_the_rows_before_it_kept(folder, tmp_path, capsys):
    Image.fromarray(np.zeros((60, 70), np.uint8)).save(folder / "frame8.png")
    out = tmp_path / "eyes.csv"
    assert find(folder, "--fps", 10, "--csv", out) == 1
    assert "frame8.png: 70 x 60 pixels, the first frame has 241 x 161" in capsys.readouterr().err
    assert [row["frame"] for row in table(out.read_text())] == ["0", "1", "2"]


def test_a_damaged_frame_is_named_and_the_rows_before_it_kept(folder, tmp_path, capsys):
    data = (folder / "frame7.png").read_bytes()
    (folder / "frame7.png").write_bytes(data[: len(data) // 2])
    out = tmp_path / "eyes.csv"
    assert find(folder, "--fps", 10, "--csv", out) == 1
    assert "frame7.png: not a whole image file" in capsys.readouterr().err
    assert len(table(out.read_text())) == 2


@pytest.mark.parametrize("video", [False, True])
def test_what_was_found_before_an_interruption_is_kept(
    request, folder, tmp_path, monkeypatch, video
):
    clip = request.getfixturevalue("film_file") if video else folder
    real, left = Follower.step, iter(range(3))

    def interrupted(self, grey, time):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(self, grey, time)

    monkeypatch.setattr(Follower, "step", interrupted)
    out, marked = tmp_path / "eyes.csv", tmp_path / "marked"
    assert find(clip, "--csv", out, "--annotate", marked, *([] if video else ["--fps", 9])) == 130
    assert [row["frame"] for row in table(out.read_text())] == ["0", "1", "2"]
    assert len(list(marked.iterdir())) == (1 if video else 3)
    if video:
        assert len(list(open_clip(marked / "clip.mp4").frames)) == 3


def test_progress_is_said_to_a_person(folder, monkeypatch, capsys):
    from hglib.commands import find as command

    moments = iter(range(0, 1000, 3))  # s: three for each frame
    monkeypatch.setattr(command, "monotonic", lambda: next(moments))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert find(folder, "--fps", 10) == 0
    assert f"frames: frame 2 of {COUNT}" in capsys.readouterr().err


def test_no_face_is_said(tmp_path, capsys):
    Image.fromarray(np.full((60, 70), 90, np.uint8)).save(tmp_path / "wall.png")
    assert find(tmp_path, "--fps", 10) == 0
    told = capsys.readouterr()
    assert told.out == ",".join(COLUMNS) + "\n" and "no face found; try --smallest" in told.err


def test_no_video_name_becomes_a_formula():
    pair = np.zeros((2, 2))
    (row,) = rows("=1+1.mp4", 0, 0.0, [Seen(0, pair, pair, 1.0)])
    assert row[0] == "'=1+1.mp4" and len(row) == len(COLUMNS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone", "--fps", "9"], "gone: no such file; give a video or a folder"),
        (["gone.mp4"], "gone.mp4: no such file"),
        (["empty", "--fps", "9"], "empty: no image there"),
        (["a.png", "clip.mp4"], "photos and videos have different tables"),
        (["clip.mp4", "--box", "0", "0", "9", "9"], "--box is for photos"),
        (["a.png", "--fps", "9"], "a.png: --fps is for folders of frames"),
        (["clip.mp4", "--csv", "file/eyes.csv"], "--csv: cannot write into"),
        (["clip.mp4", "--annotate", "file"], "--annotate: cannot write into"),
    ],
)
def test_mistakes_end_in_one_sentence(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    for name in ("a.png", "clip.mp4", "file"):
        Path(name).write_text("any")
    assert find(*words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


# ---- video files ----------------------------------------------------------------------------


def test_without_a_reader_one_sentence_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "clip.mov").write_text("any")
    monkeypatch.setattr(clips, "find_spec", lambda name: None)
    assert find(tmp_path / "clip.mov") == 1
    assert 'clip.mov: a video needs PyAV (pip install "hglib[video]")' in capsys.readouterr().err


def test_a_video_is_read_followed_and_marked(film_file, frames, tmp_path, capsys):
    marked = tmp_path / "marked"
    for _ in range(2):  # the second one overwrites nothing
        assert find(film_file, "--annotate", marked) == 0
        found = table(capsys.readouterr().out)
    assert [(r["frame"], r["seconds"]) for r in found] == [
        (str(n), f"{n / 12.5:.3f}") for n in range(COUNT)
    ]
    assert max(errors(eyes_of(r), true) for r, true in zip(found, frames[1], strict=True)) < 0.1
    assert sorted(p.name for p in marked.iterdir()) == ["clip-2.mp4", "clip.mp4"]
    plain, drawn = open_clip(film_file), open_clip(marked / "clip.mp4")
    assert drawn.rate == plain.rate == 12.5
    pairs = list(zip(plain.frames, drawn.frames, strict=True))
    assert len(pairs) == COUNT
    for (_, time, before), (_, same, after) in pairs:
        change = abs(before.astype(int) - after).max(axis=2)  # compressed twice: a little
        assert time == same and 0.002 < (change > 60).mean() < 0.1
        assert np.median(change) < 8


def test_a_video_of_odd_sides_is_written(frames, tmp_path):
    pytest.importorskip("av", reason='no video reader here: pip install "hglib[video]"')
    image = frames[0][0][:, :, None].repeat(3, axis=2)  # (161, 241, 3)
    clip = clips.Clip(tmp_path / "odd.mov", 30000 / 1001, iter(()), 1)
    with clips.Marked(tmp_path / "marked", clip) as marked:
        marked.add("odd.mov, frame 0", image, [])
    back = open_clip(tmp_path / "marked" / "odd.mp4")
    ((_, _, frame),) = back.frames
    assert frame.shape == (162, 242, 3) and back.rate == pytest.approx(30000 / 1001)
    assert np.median(abs(frame[:161, :241].astype(int) - image)) < 5


def test_a_phone_held_upright_is_shown_upright(film_file):
    """The header's matrix says x' = -y + ..., y' = x: the upper left corner goes to the right."""
    plain = [image for _, _, image in open_clip(film_file).frames]
    data = bytearray(film_file.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # behind the flags, times, number and duration
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    assert data[place : place + 36] == identity
    data[place : place + 36] = struct.pack(
        ">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 160 << 16, 0, 1 << 30
    )
    film_file.write_bytes(data)
    for (_, _, image), before in zip(open_clip(film_file).frames, plain, strict=True):
        assert image.shape == (240, 160, 3)
        np.testing.assert_array_equal(image[0, -1], before[0, 0])
        np.testing.assert_array_equal(image, before.transpose(1, 0, 2)[:, ::-1])


def test_a_file_that_is_no_video_is_named(tmp_path, capsys):
    pytest.importorskip("av", reason='no video reader here: pip install "hglib[video]"')
    (tmp_path / "note.mp4").write_text("not a video" * 100)
    assert find(tmp_path / "note.mp4") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "note.mp4: not a video that FFmpeg reads, or cut off" in line


@pytest.mark.parametrize("part", [0.6, 0.8])
def test_a_video_that_is_cut_off_is_named(film_file, tmp_path, capsys, part):
    """Once its index is gone, and once, with the index in front, its last frames are."""
    import av

    early = tmp_path / "early.mp4"
    with av.open(str(film_file)) as source:
        options = {"movflags": "faststart"}
        with av.open(str(early), "w", options=options) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
    for path in (film_file, early):
        path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
        out = tmp_path / f"{path.stem}.csv"
        assert find(path, "--csv", out) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{path.name}: " in line and "cut off" in line and "copy it again" in line
    assert 0 < len(table(out.read_text())) < COUNT  # of the one with its index in front
