"""Both eyes in one call: which images and which weights it takes."""

import os

import numpy as np
import pytest
import torch

from hglib.checkpoint import save
from hglib.hourglass import build
from hglib.photo.eyes import find_eyes


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build("lean", widths=(4, 8)).eval()


def faces(n: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 96, 96)).astype(np.uint8)


@pytest.mark.parametrize("shape", [(200, 100), (3, 96, 64), (3, 48, 48)])
def test_find_eyes_takes_faces_of_96_pixels(shape):
    with pytest.raises(ValueError, match="96 x 96"):
        find_eyes(np.zeros(shape, np.uint8))


def test_a_replaced_weights_file_is_read_again(tmp_path):
    """Of the same size, and with the old time of writing set back on it."""
    path, images = tmp_path / "eyes.safetensors", faces()
    save(path, network(0))
    before, stamp = find_eyes(images, path), path.stat()
    assert np.array_equal(find_eyes(images, path), before)
    save(path, network(1))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert path.stat().st_size == stamp.st_size
    assert abs(find_eyes(images, path) - before).max() > 1
    again = find_eyes(images, path)
    torch.manual_seed(2)
    content = network(2)
    save(tmp_path / "other", content)
    path.write_bytes((tmp_path / "other").read_bytes())  # the same inode
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert abs(find_eyes(images, path) - again).max() > 1


def test_weights_that_find_eyes_cannot_use_are_named(tmp_path):
    path = tmp_path / "fifteen.safetensors"
    save(path, build("lean", landmarks=15, widths=(4, 8)))
    with pytest.raises(ValueError, match=r"fifteen\.safetensors: a network for 15 landmarks"):
        find_eyes(faces(), path)
    model = network()
    model.heads[0].bias.data[:] = torch.inf
    save(path, model)
    with pytest.raises(ValueError, match=r"fifteen.safetensors: .*heads\.0\.bias"):
        find_eyes(faces(), path)
