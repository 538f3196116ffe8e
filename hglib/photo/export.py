"""A trained network as an ONNX file: grey faces in, eyes out, for programs without PyTorch.

ONNX (Open Neural Network Exchange) is a file format for networks that phones, browsers and
programs in other languages can run. The file holds more than the network: the division by 255, the
mirrored view and the decoder are in it too, so that whoever runs it cannot do them in another way.
Needs the optional packages `pip install hglib[onnx]`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from inspect import signature
from pathlib import Path

import torch
from torch import nn

from hglib.heatmap import CONFIDENCES, SHIFTS, Peaks, to_picture
from hglib.inference import MIRROR_EYES

NEEDED = ("onnx", "onnxscript")  # torch's exporter is written in the second
SIDE = 96  # pixels: the faces that the file takes
INPUT, OUTPUTS = "faces", ("points", "confidence")  # their names in the file
WINDOW = 7  # cells: as in `hglib.heatmap.decode`


class EyeFinder(nn.Module):
    """A network with its preparation and its decoder: (N, 96, 96) uint8 to points, confidence.

    forward returns points (N, K, 2) in picture pixels and confidence (N, K), the same numbers as
    `hglib.inference.predict`. It is written without conditions on values, so that it can be
    exported: a heat map that is not finite gives a meaningless point instead of an error.

    model: a network with softmax maps, such as the default one.
    mirror_order: the channel order of a mirrored face, or None for a single view.

    Raises ValueError for a network whose maps are not a softmax.

    >>> from hglib.hourglass import build
    >>> points, confidence = EyeFinder(build("lean"))(torch.zeros(3, 96, 96, dtype=torch.uint8))
    >>> points.shape, confidence.shape
    (torch.Size([3, 2, 2]), torch.Size([3, 2]))

    Taught in: 07_your_own_photo
    """

    def __init__(
        self, model: nn.Module, mirror_order: tuple[int, ...] | None = MIRROR_EYES
    ) -> None:
        super().__init__()
        if model.activation != "softmax":
            raise ValueError(
                f"the network's maps are {model.activation}; only softmax maps are exported"
            )
        self.model, self.mirror_order, self.decoder = model.eval(), mirror_order, model.decoder

    def forward(self, faces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pictures = faces[:, None].float() / 255  # (N, 1, H, W)
        maps = self.model(pictures)[-1].maps  # (N, K, h, w)
        if self.mirror_order is not None:
            mirrored = self.model(pictures.flip(-1))[-1].maps.flip(-1)
            maps = (maps + mirrored[:, list(self.mirror_order)]) / 2
        height, index = maps.flatten(2).max(dim=-1)  # (N, K)
        columns = maps.shape[-1]
        peaks = Peaks(index % columns, index // columns, height)
        shift = SHIFTS[self.decoder](maps, peaks, window=WINDOW, amplitude=1.0)  # (N, K, 2)
        cell = torch.stack([peaks.x, peaks.y], dim=-1) + shift
        points = to_picture(cell, pictures.shape[-1] // columns)
        return points, CONFIDENCES["mass"](maps, peaks, WINDOW).clamp(0, 1)


def export_onnx(
    model: nn.Module,
    path: str | Path,
    mirror_order: tuple[int, ...] | None = MIRROR_EYES,
) -> Path:
    """Write a network to `path` as ONNX, its decoder included; returns the path.

    The file has one input, `faces` (N, 96, 96) uint8 with any N, and two outputs, `points`
    (N, K, 2) and `confidence` (N, K).

    Raises ImportError where onnx or onnxscript is missing, ValueError as `EyeFinder` does.

    Taught in: 07_your_own_photo
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ImportError(f"exporting needs {' and '.join(missing)}: pip install 'hglib[onnx]'")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    exporter = (
        by_dynamo if "dynamic_shapes" in signature(torch.onnx.export).parameters else by_trace
    )
    with _quiet():
        exporter(EyeFinder(model, mirror_order).eval(), path)
    return path


def by_dynamo(finder: EyeFinder, path: Path) -> None:
    """Torch's exporter since 2.5, which captures the graph with `torch.export`.

    Taught in: 07_your_own_photo
    """
    faces = torch.zeros(2, SIDE, SIDE, dtype=torch.uint8)  # 2: a size of 1 would be taken as fixed
    torch.onnx.export(
        finder,
        (faces,),
        str(path),
        dynamo=True,
        external_data=False,  # the weights in the same file
        dynamic_shapes={"faces": {0: torch.export.Dim("N", min=1)}},
        opset_version=18,  # the oldest version of ONNX's operations that it writes by itself
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        verbose=False,
    )


def by_trace(finder: EyeFinder, path: Path) -> None:
    """The one before it, all that torch 2.4 has: it runs one example and writes down what happens.

    Taught in: 07_your_own_photo
    """
    old = {"dynamo": False} if "dynamo" in signature(torch.onnx.export).parameters else {}
    torch.onnx.export(
        finder,
        (torch.zeros(2, SIDE, SIDE, dtype=torch.uint8),),
        str(path),
        dynamic_axes={name: {0: "N"} for name in (INPUT, *OUTPUTS)},
        opset_version=17,  # the newest that it knows everything of
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        **old,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on packages that we do not use, and on itself."""
    logger = logging.getLogger("torch.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(before)
