"""hglib.datasets.cache: a cached set is what today's generator draws, or it is drawn again."""

import hashlib
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from kaggle_files import refused

from hglib.datasets import cache, load, synthetic
from hglib.datasets.cache import find_damage, generator_digest, synthetic_folder

COMMITTED = Path(__file__).parent / "six_synthetic_faces.npz"
N = 6


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """An empty cache."""
    monkeypatch.delenv("HGLIB_DATA", raising=False)
    monkeypatch.setenv("HGLIB_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    cache._temporary_folder.cache_clear()


@pytest.fixture
def drawn(monkeypatch):
    """The list of (n, seed) drawn so far."""
    calls, whole = [], synthetic.write_kaggle_files

    def counted(folder, n, seed, progress=False):
        calls.append((n, seed))
        return whole(folder, n, seed, progress=progress)

    monkeypatch.setattr(synthetic, "write_kaggle_files", counted)
    return calls


# --- what the generator draws --------------------------------------------------------------------


def test_the_generator_draws_what_it_drew_when_this_was_committed():
    """Labels to a thousandth of a pixel, images to within one grey level."""
    faces = load("synthetic", "all", n_synthetic=N, seed=0, verbose=False)
    with np.load(COMMITTED, allow_pickle=False) as wanted:
        np.testing.assert_allclose(faces.points, wanted["points"], atol=1e-3)
        apart = np.abs(faces.images[:2].astype(int) - wanted["images"])
    assert apart.max() <= 1


def test_the_name_follows_every_source_of_the_generator(monkeypatch, tmp_path):
    own = generator_digest()
    copied = tmp_path / "datasets"
    (copied / "synthetic").mkdir(parents=True)
    for path in Path(synthetic.__file__).parent.glob("*.py"):
        (copied / "synthetic" / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(cache, "__file__", str(copied / "cache.py"))

    def digest():
        generator_digest.cache_clear()
        return generator_digest()

    try:
        assert digest() == own
        names = sorted((copied / "synthetic").glob("*.py"))
        seen = {own}
        for path in names:
            path.write_bytes(path.read_bytes() + b"# another\n")
            seen.add(digest())
        assert len(seen) == len(names) + 1
        windows = names[0].read_bytes().replace(b"\n", b"\r\n")
        before = digest()
        names[0].write_bytes(windows)
        assert digest() == before
        monkeypatch.setattr(np, "__version__", "0.0")
        assert digest() != before
    finally:
        monkeypatch.undo()
        generator_digest.cache_clear()


def test_a_changed_generator_draws_anew(monkeypatch, folder, drawn):
    first = load("synthetic", n_synthetic=N, verbose=False)
    again = load("synthetic", n_synthetic=N, verbose=False)
    assert drawn == [(N, 0)] and np.array_equal(first.images, again.images)
    load("synthetic", n_synthetic=N, seed=1, verbose=False)
    monkeypatch.setattr(cache, "generator_digest", lambda: "another")
    load("synthetic", n_synthetic=N, verbose=False)
    assert drawn == [(N, 0), (N, 1), (N, 0)] and len(list(folder.iterdir())) == 3


# --- damage --------------------------------------------------------------------------------------


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "npz cut": lambda f: cut(f / "face_images.npz"),
    "npz flipped": lambda f: flip(f / "face_images.npz"),
    "csv gone": lambda f: (f / "facial_keypoints.csv").unlink(),
    "one label": lambda f: flip(f / "facial_keypoints.csv"),
    "truth cut": lambda f: cut(f / "truth.csv"),
    "no manifest": lambda f: (f / "manifest.json").unlink(),
    "manifest cut": lambda f: cut(f / "manifest.json"),
    "manifest of nothing": lambda f: (f / "manifest.json").write_text("{}", encoding="utf-8"),
    "manifest of another kind": lambda f: (f / "manifest.json").write_text("[1]", encoding="utf-8"),
    "empty": lambda f: [path.unlink() for path in f.iterdir()],
    "a file": lambda f: (f.rename(f.with_name("x")), f.touch()),
    "a dangling link": lambda f: (f.rename(f.with_name("x")), f.symlink_to("nowhere")),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_set_is_drawn_again_and_says_so(kind, folder, drawn, capsys):
    expected = load("synthetic", n_synthetic=N, verbose=False)
    (kept,) = folder.iterdir()
    DAMAGE[kind](kept)
    faces = load("synthetic", n_synthetic=N, verbose=False)
    assert drawn == [(N, 0)] * 2
    assert np.array_equal(faces.images, expected.images)
    assert np.array_equal(faces.points, expected.points, equal_nan=True)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and kept.name in said and "drawn again" in said
    assert find_damage(kept) is None
    load("synthetic", n_synthetic=N, verbose=False)
    assert len(drawn) == 2 and capsys.readouterr().err == ""


def test_the_manifest_is_that_of_the_files(folder):
    kept = synthetic_folder(N, 0)
    sums = json.loads((kept / "manifest.json").read_text(encoding="utf-8"))
    assert set(sums) == {p.name for p in kept.iterdir()} - {"manifest.json"}
    for name, digest in sums.items():
        assert hashlib.sha256((kept / name).read_bytes()).hexdigest() == digest


def test_an_interrupted_drawing_leaves_nothing_behind(folder, monkeypatch):
    def interrupted(folder, n, seed, progress=False):
        (Path(folder) / "face_images.npz").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "write_kaggle_files", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load("synthetic", n_synthetic=N)
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_left_is_removed_when_it_is_old(folder):
    for name, age in (("unfinished-old", 1e6), ("unfinished-new", 60.0), ("mine", 1e6)):
        (folder / name).mkdir(parents=True)
        (folder / name / "face_images.npz").touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    kept = synthetic_folder(N, 0)
    assert {path.name for path in folder.iterdir()} == {"unfinished-new", "mine", kept.name}


# --- several at once -----------------------------------------------------------------------------


@pytest.mark.parametrize("damaged", [False, True])
def test_processes_that_draw_the_same_set_at_once(folder, damaged):
    if damaged:
        cut(synthetic_folder(N, 0) / "face_images.npz")
    code = (
        "from hglib.datasets import load\n"
        f"print(load('synthetic', n_synthetic={N}, verbose=False).points.sum())"
    )
    call = [sys.executable, "-c", code]
    runs = [subprocess.Popen(call, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = {run.communicate(timeout=60)[0] for run in runs}
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert len(answers) == 1 and answers.pop().strip()
    (kept,) = folder.iterdir()
    assert find_damage(kept) is None


def test_a_process_that_was_first_is_believed(folder, monkeypatch, capsys):
    whole = synthetic.write_kaggle_files

    def overtaken(unfinished, n, seed, progress=False):
        monkeypatch.setattr(synthetic, "write_kaggle_files", whole)
        other = synthetic_folder(n, seed)  # another process draws it meanwhile
        (other / "mark").touch()
        return whole(unfinished, n, seed)

    monkeypatch.setattr(synthetic, "write_kaggle_files", overtaken)
    kept = synthetic_folder(N, 0)
    assert (kept / "mark").exists() and len(list(folder.iterdir())) == 1
    assert capsys.readouterr().err == ""


def test_a_cache_that_is_removed_while_it_is_read(folder, monkeypatch, drawn):
    import shutil

    from hglib.datasets import sources

    whole, calls = sources.read_kaggle, []

    def emptied(path, *rest):
        calls.append(path)
        if len(calls) == 1:
            shutil.rmtree(folder)
        return whole(path, *rest)

    monkeypatch.setattr(sources, "read_kaggle", emptied)
    assert len(load("synthetic", n_synthetic=N, verbose=False)) == N
    assert len(calls) == 2 and len(drawn) == 2


def test_a_cache_that_is_removed_while_it_is_drawn(folder, monkeypatch):
    import shutil

    whole = synthetic.write_kaggle_files

    def emptied(unfinished, n, seed, progress=False):
        whole(unfinished, n, seed)
        monkeypatch.setattr(synthetic, "write_kaggle_files", whole)
        shutil.rmtree(folder)

    monkeypatch.setattr(synthetic, "write_kaggle_files", emptied)
    assert len(load("synthetic", n_synthetic=N, verbose=False)) == N


# --- where it lies -------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode bits")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o755), (0o002, 0o775), (0o077, 0o700)])
def test_others_may_read_a_shared_cache_where_the_umask_says_so(folder, mask, mode):
    before = os.umask(mask)
    try:
        kept = synthetic_folder(N, 0)
    finally:
        os.umask(before)
    assert stat.S_IMODE(kept.stat().st_mode) == mode
    assert all(stat.S_IMODE(path.stat().st_mode) == mode & 0o666 for path in kept.iterdir())


def test_a_cache_that_cannot_be_written_does_not_stop_anybody(folder, monkeypatch, capsys):
    folder.parent.mkdir(exist_ok=True)
    folder.touch()  # a file where the folder should be
    assert len(load("synthetic", n_synthetic=N, verbose=False)) == N
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "temporary folder" in said and "HGLIB_CACHE" in said
    monkeypatch.setattr("tempfile.mkdtemp", lambda **_: (_ for _ in ()).throw(OSError("full")))
    cache._temporary_folder.cache_clear()
    refused(OSError, "synthetic", "full", "HGLIB_CACHE", n_synthetic=N)


def test_a_set_of_another_user_is_read_and_not_drawn(folder, monkeypatch, drawn):
    kept = synthetic_folder(N, 0)
    monkeypatch.setattr(Path, "mkdir", lambda *a, **k: (_ for _ in ()).throw(PermissionError()))
    assert synthetic_folder(N, 0) == kept and len(drawn) == 1


@pytest.mark.parametrize("home", ["", None])
def test_no_home_folder_does_not_stop_anybody(home, monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("HGLIB_CACHE")
    monkeypatch.chdir(tmp_path)
    if home is None:  # a uid without an entry in the table of users

        def nowhere(self):
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "expanduser", nowhere)
    else:
        monkeypatch.setenv("HOME", home)
        monkeypatch.setenv("USERPROFILE", home)
    kept = synthetic_folder(N, 0)
    assert find_damage(kept) is None and not list(tmp_path.iterdir())
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "no home folder" in said and "HGLIB_CACHE" in said


def test_the_temporary_folder_goes_with_its_process(tmp_path):
    (tmp_path / "file").touch()
    environment = {**os.environ, "HGLIB_CACHE": str(tmp_path / "file"), "TMPDIR": str(tmp_path)}
    code = f"from hglib.datasets import locate; print(locate('synthetic', n_synthetic={N}))"
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    said = Path(run.stdout.strip())
    assert said.is_relative_to(tmp_path) and not said.exists()
