"""hglib.datasets.load: which source is used, and what it says."""

import sys
import types

import numpy as np
import pandas as pd
import pytest
from kaggle_files import COLUMNS, labels, noise, refused, write_npz

from hglib import commands
from hglib.data import EYES
from hglib.datasets import cache, load, locate, sources
from hglib.datasets.synthetic.kaggle import CONVENTIONS


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """No setting of the person who runs the tests, no network, no home folder."""
    monkeypatch.delenv("HGLIB_DATA", raising=False)
    monkeypatch.setenv("HGLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "kagglehub", None)  # importing it raises ImportError


@pytest.fixture
def kaggle(tmp_path):
    return write_npz(tmp_path / "kaggle", np.moveaxis(noise(5), 0, -1), labels(5))


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


def test_the_order_of_the_sources(monkeypatch, tmp_path, kaggle):
    other = write_npz(tmp_path / "other", noise(6), labels(6))
    third = write_npz(tmp_path / "third", noise(7), labels(7))
    handles = fake_kagglehub(monkeypatch, third)
    monkeypatch.setenv("HGLIB_DATA", str(other))
    assert len(load(kaggle)) == 5  # the argument goes first
    faces = load()
    assert len(faces) == 6 and faces.source == f"HGLIB_DATA ({other})" and locate() == other
    assert handles == []  # Kaggle is not asked while there is an answer nearer by
    monkeypatch.setenv("HGLIB_DATA", "")  # empty counts as unset
    faces = load()
    assert len(faces) == 7 and faces.source.startswith("Kaggle")
    assert handles == ["drgilermo/face-images-with-marked-landmark-points/versions/1"]
    assert not (tmp_path / "cache").exists()  # nothing was drawn
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    faces = load(n_synthetic=8, seed=3)
    assert len(faces) == 8 and "n=8, seed=3" in faces.source
    monkeypatch.setenv("HGLIB_DATA", "synthetic")
    fake_kagglehub(monkeypatch, pytest.fail)
    assert len(load(n_synthetic=8, seed=3)) == 8


def test_one_line_says_which_source(kaggle, capsys):
    for source in (kaggle, "synthetic"):
        faces = load(source, n_synthetic=4)
        said = capsys.readouterr().out
        assert said.count("\n") == 1 and faces.source in said and f"{len(faces)} faces" in said
        load(source, n_synthetic=4, verbose=False)
        assert capsys.readouterr().out == ""


@pytest.mark.parametrize("missing", [True, False])
def test_kaggle_out_of_reach_is_said_in_one_line(missing, monkeypatch, capsys):
    if not missing:
        fake_kagglehub(monkeypatch, ConnectionError("no route\nto host\n" + "x" * 500))
    assert load(n_synthetic=4).source.startswith("synthetic")
    first, second = capsys.readouterr().out.splitlines()
    assert ("kagglehub is not installed" if missing else "ConnectionError: no route") in first
    assert len(first) < 200 and "synthetic" in second


def test_kagglehub_with_a_cache_made_by_hand(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "kagglehub")
    pytest.importorskip("kagglehub", reason="kagglehub is an optional extra")
    owner, name, _, version = sources.KAGGLE_HANDLE.split("/")
    base = tmp_path / "hub" / "datasets" / owner / name
    write_npz(base / "versions" / version, np.moveaxis(noise(9), 0, -1), labels(9))
    (base / f"{version}.complete").touch()
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("DISABLE_COLAB_CACHE", "1")
    monkeypatch.setenv("DISABLE_KAGGLE_CACHE", "1")
    refuse = pytest.fail
    monkeypatch.setattr("socket.socket.connect", lambda *_: refuse("asked the network"))
    faces = load()
    assert np.array_equal(faces.images, noise(9))
    assert faces.source == f"Kaggle ({sources.KAGGLE_HANDLE})"


def test_sources_that_are_nowhere(monkeypatch, tmp_path):
    monkeypatch.setenv("HGLIB_DATA", str(tmp_path / "gone"))
    refused(FileNotFoundError, None, "HGLIB_DATA=", "gone")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        locate("nowhere")
    refused(FileNotFoundError, "~nobody-of-this-name/faces", "~nobody-of-this-name")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"landmarks": "nose"}, ["nose"]),
        ({"landmarks": ["nose_tip", "chin"]}, ["chin"]),
        ({"landmarks": []}, ["at least one"]),
        ({"landmarks": EYES * 2}, ["differ"]),
        ({"first_pixel": 2}, ["first_pixel=2"]),
        ({"n_synthetic": 0}, ["n_synthetic=0", "50000"]),
        ({"n_synthetic": 2.5}, ["n_synthetic=2.5"]),
        ({"n_synthetic": True}, ["n_synthetic=True"]),
        ({"n_synthetic": 10**9}, ["n_synthetic=1000000000"]),
        ({"seed": -1}, ["seed=-1"]),
    ],
)
def test_options_out_of_range_are_named(options, parts):
    refused(ValueError, "synthetic", *parts, **options)


def test_the_synthetic_faces_are_0_based():
    faces = load("synthetic", "all", n_synthetic=30)
    folder = cache.synthetic_folder(30, 0)
    table = pd.read_csv(folder / "truth.csv")
    truth = table[COLUMNS].to_numpy().reshape(30, 15, 2)
    truth += np.array(CONVENTIONS)[table["convention"]][:, None]
    error = faces.points - truth  # truth.csv is 0-based: had 1 not been subtracted, this would be 1
    assert np.abs(np.nanmedian(error, axis=(0, 1))).max() < 0.25


def test_the_command_line_says_how_labels_are_written(tmp_path, capsys):
    folder = write_npz(tmp_path / "d", noise(20), labels(20) / 96)
    assert commands.main(["data", "--data", str(folder)]) == 1
    assert "--labels fraction" in capsys.readouterr().err
    assert commands.main(["data", "--data", str(folder), "--labels", "fraction"]) == 0
    expected = np.nanmean(labels(20)[:, 0]) - 1
    assert f"left_eye_center: x {expected:.1f}" in capsys.readouterr().out
