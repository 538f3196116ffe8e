"""What make_weights.py made and was committed: small, complete, what the library still draws."""

from __future__ import annotations

import json

import nodes
import numpy as np
import pytest

from hglib.checkpoint import load_model, pretrained
from hglib.datasets.synthetic.draw import draw_faces
from hglib.hourglass import build
from hglib.inference import fuse_conv_bn
from hglib.photo.eyes import find_eyes

DATA = nodes.EXPLORER / "data"
GRAPHS = json.loads((DATA / "graphs.json").read_text(encoding="utf-8"))
TRAINING = json.loads((DATA / "training.json").read_text(encoding="utf-8"))
SEED, FACES = 77, (40, 17, 49, 56, 42, 51, 2, 46, 19, 54)


def weights(name: str) -> int:
    return sum(int(np.prod(shape)) for _, shape in GRAPHS[name]["weights"])


def test_the_slider_is_small_and_complete() -> None:
    moments = TRAINING["moments"]
    size = (DATA / "training.bin").stat().st_size
    assert size == 2 * len(moments) * (weights("small") + weights("original"))
    assert len(moments) == 12 and size < 4e6 and 50_000 < weights("small") < 70_000
    values = np.fromfile(DATA / "training.bin", np.float16).astype(float)
    assert np.isfinite(values).all() and values.std() > 0


def test_the_slider_tells_the_story_of_its_text() -> None:
    """From random to about a pixel; the network of 2019 needs thousands of images."""
    first, last = TRAINING["moments"][0], TRAINING["moments"][-1]
    assert first["images"] == 0 and first["small_px"] > 20 > 1.5 > last["small_px"]
    waiting = [m["original_px"] for m in TRAINING["moments"] if 640 <= m["images"] <= 12_000]
    assert len(waiting) > 6 and min(waiting) > 50


@pytest.mark.parametrize("name", ["lean", "original"])
def test_graphs_take_all_weights_of_their_network(name: str) -> None:
    model = fuse_conv_bn(build(name))
    shapes = {key: list(tensor.shape) for key, tensor in model.state_dict().items() if tensor.ndim}
    unused = {"head.weight", "head.bias"}  # the coarse map of 2019, which the page does not show
    assert dict(GRAPHS[name]["weights"]) == {k: v for k, v in shapes.items() if k not in unused}


def test_the_pretrained_network_fits_its_graph() -> None:
    state = fuse_conv_bn(load_model(pretrained()["lean"])).state_dict()
    assert {k: list(state[k].shape) for k, _ in GRAPHS["lean"]["weights"]} == dict(
        GRAPHS["lean"]["weights"]
    )


def test_the_ten_faces_are_those_of_the_generator() -> None:
    drawn = draw_faces(FACES, seed=SEED)
    kept = np.fromfile(DATA / "faces.bin", np.uint8).reshape(10, 96, 96)
    points = np.array(json.loads((DATA / "faces.json").read_text(encoding="utf-8")))
    assert np.abs(kept.astype(int) - drawn.images).max() <= 1
    np.testing.assert_allclose(points, drawn.points[:, :2], atol=1e-3)
    assert np.linalg.norm(find_eyes(kept) - points, axis=-1).mean() < 1


def test_versions_are_pinned() -> None:
    package = json.loads((nodes.EXPLORER / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((nodes.EXPLORER / "package-lock.json").read_text(encoding="utf-8"))
    for group in ("dependencies", "devDependencies"):
        for name, version in package[group].items():
            assert lock["packages"][f"node_modules/{name}"]["version"] == version


def test_images_for_the_readme_are_small() -> None:
    assert (nodes.ROOT / "figures" / "explorer.gif").stat().st_size < 1.5e6
    assert (nodes.ROOT / "figures" / "explorer.png").stat().st_size < 0.5e6
