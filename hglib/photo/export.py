"""A trained network as an ONNX file: grey faces in, eyes out, for programs without PyTorch.

ONNX (Open Neural Network Exchange) is a file format for networks that phones, browsers and
programs in other languages can run. The file holds more than the network: the division by 255, the
mirrored view and the decoder are in it too, so that whoever runs it cannot do them in another way.
Needs the optional packages `pip install hglib[onnx]`. Notebook 07_your_own_photo teaches it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from inspect import signature
from pathlib import Path

import torch
from torch import nn

from hglib.hourglass import check_network
from hglib.inference import MIRROR_EYES, SIDE, check_mirror_order, finest_level

NEEDED = ("onnx", "onnxscript")  # torch's exporter is written in the second
INPUT, OUTPUTS = "faces", ("points", "confidence")  # their names in the file


class EyeFinder(nn.Module):
    """A network with its preparation and its decoder: (N, 96, 96) uint8 to points, confidence.

    forward returns points (N, K, 2) in image pixels and confidence (N, K), the same numbers as
    `hglib.inference.predict`. It is written without conditions on values, so that it can be
    exported: a heat map that is not finite gives a meaningless point instead of an error.

    model: any network that meets the protocol of `hglib.hourglass`; it is tried on a blank face.
    mirror_order: the channel order of a mirrored face, or None for a single view.

    Raises ValueError for a network that does not meet it, or a mirror order that does not fit.

    >>> from hglib.hourglass import build
    >>> points, confidence = EyeFinder(build("lean"))(torch.zeros(3, 96, 96, dtype=torch.uint8))
    >>> points.shape, confidence.shape
    (torch.Size([3, 2, 2]), torch.Size([3, 2]))
    """

    def __init__(self, model: nn.Module, mirror_order: Sequence[int] | None = MIRROR_EYES) -> None:
        super().__init__()
        self.model, self.mirror_order = model.eval(), mirror_order
        blank = torch.zeros(1, 1, SIDE, SIDE)
        with torch.no_grad():
            levels = model(blank)
        check_network(levels, blank)
        if mirror_order is not None:
            self.mirror_order = check_mirror_order(mirror_order, levels[-1].scores.shape[1])

    def forward(self, faces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        images = faces[:, None].float() / 255  # (N, 1, H, W)
        level, maps = finest_level(self.model, images, self.mirror_order, "float32", check=False)
        points, confidence = level.decode(maps=maps, check=False)
        return points, confidence


def export_onnx(
    model: nn.Module,
    path: str | Path,
    mirror_order: Sequence[int] | None = MIRROR_EYES,
) -> Path:
    """Write a network to `path` as ONNX, its decoder included; returns the path.

    The file has one input, `faces` (N, 96, 96) uint8 with any N, and two outputs, `points`
    (N, K, 2) and `confidence` (N, K).

    Raises ImportError where onnx or onnxscript is missing, ValueError as `EyeFinder` does.
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


def by_dynamo(network: EyeFinder, path: Path) -> None:
    """Torch's exporter since 2.5, which captures the graph with `torch.export`."""
    faces = torch.zeros(2, SIDE, SIDE, dtype=torch.uint8)  # 2: a size of 1 would be taken as fixed
    torch.onnx.export(
        network,
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


def by_trace(network: EyeFinder, path: Path) -> None:
    """The one before it, all that torch 2.4 has: it runs one example and notes what happens."""
    old = {"dynamo": False} if "dynamo" in signature(torch.onnx.export).parameters else {}
    torch.onnx.export(
        network,
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
