"""The exported network gives the same points as the one in torch, in batches of any size."""

import builtins
import importlib.util

import numpy as np
import pytest
import torch

from hglib.checkpoint import WEIGHTS, load_model
from hglib.datasets.synthetic import draw_faces
from hglib.heatmap import SHIFTS
from hglib.hourglass import Level, build
from hglib.inference import MIRROR_EYES, predict
from hglib.photo import export

ONNX = ("onnx", "onnxscript", "onnxruntime")
needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ONNX),
    reason="needs pip install 'hglib[onnx]'",
)


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return load_model(WEIGHTS / "lean.safetensors")


@pytest.fixture(scope="module")
def faces():
    return draw_faces(100, seed=3).images


@pytest.mark.parametrize("mirror_order", [None, MIRROR_EYES])
def test_the_module_to_export_agrees_with_predict(model, faces, mirror_order):
    network = export.EyeFinder(model, mirror_order)
    with torch.no_grad():
        points, confidence = network(torch.from_numpy(faces[:20]))
    expected = predict(model, faces[:20], mirror_order, precision="float32")
    torch.testing.assert_close(points, expected.points, rtol=0, atol=1e-4)
    torch.testing.assert_close(confidence, expected.confidence, rtol=0, atol=1e-5)


def test_a_mirror_order_of_another_number_of_landmarks_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"mirror_order \(1, 0\) does not fit 15 landmarks"):
        export.EyeFinder(build("lean", widths=[4], landmarks=15))


class Own(torch.nn.Module):
    """A reader's own network: maps of stride 4."""

    def __init__(self, landmarks: int, activation: str, decoder: str | None = None) -> None:
        super().__init__()
        self.body = torch.nn.Conv2d(1, landmarks, 8, stride=4, padding=2)
        self.activation, self.decoder = activation, decoder

    def forward(self, images: torch.Tensor) -> list[Level]:
        return [Level(self.body(images), 4, self.activation, self.decoder)]


@pytest.mark.parametrize("missing", [["onnx"], ["onnxscript"], ["onnx", "onnxscript"]])
def test_missing_packages_are_named(model, tmp_path, monkeypatch, missing):
    monkeypatch.setattr(export, "find_spec", lambda name: None if name in missing else builtins)
    with pytest.raises(ImportError, match=" and ".join(missing) + ": pip install"):
        export.export_onnx(model, tmp_path / "eyes.onnx")
    assert not (tmp_path / "eyes.onnx").exists()


@pytest.fixture(scope="module", params=["torch's own choice", "as in torch 2.4"])
def session(request, model, tmp_path_factory):
    import onnxruntime

    path = tmp_path_factory.mktemp("onnx") / "new" / "eyes.onnx"
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "as in torch 2.4":
            patch.setattr(export, "by_dynamo", export.by_trace)
        export.export_onnx(model, path)
    assert [file.name for file in path.parent.iterdir()] == ["eyes.onnx"]  # all in one file
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@needs_onnx
@pytest.mark.parametrize("count", [1, 2, 33, 100])
def test_onnx_agrees_with_torch(model, faces, session, count):
    points, confidence = session.run(None, {"faces": faces[:count]})
    expected = predict(model, faces[:count], MIRROR_EYES, precision="float32")
    assert points.shape == (count, 2, 2)
    assert abs(points - expected.points.numpy()).max() < 1e-4  # px
    assert abs(confidence - expected.confidence.numpy()).max() < 1e-5


@needs_onnx
def test_onnx_says_what_goes_in_and_out(session):
    (given,), (points, confidence) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape[1:]) == ("faces", "tensor(uint8)", [96, 96])
    assert isinstance(given.shape[0], str)  # any number of faces
    assert (points.name, points.type) == ("points", "tensor(float)")
    assert (confidence.name, confidence.type) == ("confidence", "tensor(float)")


@needs_onnx
def test_exporting_says_nothing(model, tmp_path, capfd, recwarn):
    """The remarks of torch's exporter on other packages would stand in the notebook."""
    export.export_onnx(model, tmp_path / "eyes.onnx")
    assert not capfd.readouterr().err and not recwarn.list


@needs_onnx
def test_blank_faces_give_finite_points(session):
    points, _ = session.run(None, {"faces": np.zeros((2, 96, 96), np.uint8)})
    assert np.isfinite(points).all()


@needs_onnx
@pytest.mark.parametrize("decoder", [None, *SHIFTS])
def test_an_own_network_with_any_decoder_is_exported(faces, tmp_path, decoder):
    import onnxruntime

    torch.manual_seed(0)
    own = Own(3, "softmax" if decoder in (None, "soft") else "sigmoid", decoder).eval()
    path = export.export_onnx(own, tmp_path / "own.onnx", mirror_order=(1, 0, 2))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    points, confidence = session.run(None, {"faces": faces[:5]})
    expected = predict(own, faces[:5], (1, 0, 2), precision="float32")
    assert abs(points - expected.points.numpy()).max() < 1e-2
    assert abs(confidence - expected.confidence.numpy()).max() < 1e-5
