"""The pretrained network, and the command that makes it."""

import json
import os

import numpy as np
import pytest
import torch

import hglib
from hglib import checkpoint
from hglib.checkpoint import WEIGHTS, load_model, pretrained, read
from hglib.commands.experiment import run_one
from hglib.datasets.synthetic import draw_faces
from hglib.datasets.synthetic.exact import exact_faces
from hglib.experiments import pretrain, synthetic_faces
from hglib.experiments.record import read as read_record
from hglib.photo import eyes
from hglib.photo.eyes import find_eyes


@pytest.fixture(scope="module")
def fresh():
    """Faces drawn from a seed that no training run uses."""
    return draw_faces(200, seed=pretrain.FRESH_SEED + 1)


def test_the_text_beside_the_weights_is_the_header_of_the_file():
    about = json.loads((WEIGHTS / "lean.json").read_text())
    assert read(WEIGHTS / "lean.safetensors")[1]["about"] == about
    assert about["command"].startswith("python -m hglib")


def test_weights_are_small_and_the_default_is_among_them():
    assert "lean" in pretrained()
    assert all(path.stat().st_size <= 3e6 for path in pretrained().values())


def test_pretrained_weights_reach_their_figures_on_fresh_faces(fresh):
    """Within what 200 faces can tell: three standard errors of the mean."""
    about = json.loads((WEIGHTS / "lean.json").read_text())
    miss = np.linalg.norm(find_eyes(fresh.images) - fresh.points[:, :2], axis=-1).mean(axis=1)
    slack = 3 * miss.std() / np.sqrt(len(miss))
    assert abs(miss.mean() - about["figures_on_fresh_faces"]["mean_px"]) < slack
    assert miss.mean() < 1.2


def test_find_eyes_takes_one_picture_floats_and_bytes(fresh):
    one = fresh.images[0]
    points, confidence = find_eyes(one, confidence=True)
    assert points.shape == (1, 2, 2) and confidence.shape == (1, 2)
    assert ((confidence > 0) & (confidence <= 1)).all()
    np.testing.assert_allclose(find_eyes(one / 255.0), points, atol=1e-3)
    assert points[0, 0, 0] > points[0, 1, 0]  # the subject's left eye is first, on the right


def test_find_eyes_of_a_mirrored_picture_are_the_mirrored_eyes(fresh):
    plain, mirrored = find_eyes(fresh.images[:20]), find_eyes(fresh.images[:20, :, ::-1])
    back = mirrored[:, ::-1] * [-1, 1] + [95, 0]
    np.testing.assert_allclose(back, plain, atol=0.05)


def test_find_eyes_reads_other_weights(tmp_path, fresh):
    torch.manual_seed(0)
    path = tmp_path / "other.safetensors"
    checkpoint.save(path, hglib.build("lean", widths=[4, 8]))
    assert not np.allclose(find_eyes(fresh.images[:1], path), find_eyes(fresh.images[:1]))
    with pytest.raises(FileNotFoundError, match=r"gone\.safetensors: no such checkpoint"):
        find_eyes(fresh.images[:1], tmp_path / "gone.safetensors")


def test_find_eyes_reads_a_file_once_until_it_is_written_anew(tmp_path, fresh, monkeypatch):
    path, reads = tmp_path / "own.safetensors", []
    load = eyes.load_model
    monkeypatch.setattr(eyes, "load_model", lambda p: reads.append(p) or load(p))
    answers = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        checkpoint.save(path, hglib.build("lean"))
        os.utime(path, ns=(seed, seed))  # two files written within one tick of the clock
        answers += [find_eyes(fresh.images[:1], path) for _ in range(2)]
    assert reads == [path, path]
    assert np.array_equal(answers[0], answers[1]) and not np.allclose(answers[1], answers[2])


def test_pretraining_writes_weights_that_load_and_the_text_beside_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    command = ["--faces", "64", "--epochs", "1", "--fresh", "20", "--out", "weights"]
    run_one("pretrain", command)
    assert load_model(tmp_path / "weights/lean.safetensors").settings["name"] == "lean"
    about = json.loads((tmp_path / "weights/lean.json").read_text())
    said = "python -m hglib experiment pretrain --faces 64 --epochs 1 --seeds 0"
    assert about["command"] == said
    assert about["figures_on_fresh_faces"]["mean_px"] > 1.2  # two steps do not make an eye finder


def test_exact_faces_are_the_generators_own():
    faces, same = exact_faces(5, seed=3), draw_faces(5, seed=3)
    assert np.array_equal(faces.images, same.images)
    assert np.array_equal(faces.points, same.points[:, :2])
    assert faces.mirror_order.tolist() == [1, 0]


def test_the_study_of_synthetic_faces_has_a_row_for_every_part():
    assert {"hair", "light", "glasses", "blur"} <= set(synthetic_faces.parts_of_the_generator())
    lacking = {name for name in read_record("synthetic_faces").figures if "without" in name}
    assert lacking == {f"without {part}" for part in synthetic_faces.parts_of_the_generator()}
