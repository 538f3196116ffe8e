"""Make explorer/data/: graphs without weights, a small network while it learns, ten faces.

    python explorer/make_weights.py            all of it, under three minutes on one core
    python explorer/make_weights.py graphs     only what needs no training

The files are committed, so that neither a visitor nor `make explorer` needs torch. A graph (ONNX)
names its weights and where they lie in a block of float32 numbers, and the page fills in the block:
for our default from hglib/weights/lean.safetensors, or from a checkpoint that a visitor drops on
the page; for the slider from training.bin, one block in float16 for each moment.
Needs `pip install hglib[onnx]`.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx.external_data_helper import set_external_data
from torch import nn

from hglib import build, find_eyes, split
from hglib.data import Faces
from hglib.datasets.synthetic.draw import draw_faces
from hglib.datasets.synthetic.exact import exact_faces
from hglib.hourglass import LeanHourglass
from hglib.inference import fuse_conv_bn
from hglib.recipes import recipe
from hglib.train import Trainer, batches

DATA = Path(__file__).resolve().parent / "data"
BLOCK = "weights.bin"  # the name under which the page hands over the block
SMALL = (8, 12, 20, 28, 36)  # widths of the network on the slider: 61,000 weights
IMAGES = (0, 160, 320, 640, 960, 1600, 2400, 3600, 5200, 8000, 12_000, 16_000)
FACES = 3000  # the slider's network learns from these, drawn from seed 0
FRESH = 200  # synthetic faces of another seed: the error beside the slider
SPRITE_SEED, SPRITE = 77, (40, 17, 49, 56, 42, 51, 2, 46, 19, 54)  # easy ones first


class Switched(nn.Module):
    """Our default with its inner maps as outputs and a switch on every way up.

    forward takes images (N, 1, 96, 96) in 0..1 and switches (2 * steps,), 1 on and 0 off: first
    those of the skips, then those of what comes from below, both from the finest step to the
    coarsest. It returns the maps in the order of `names`; with all switches on the last are the
    scores of the plain network.
    """

    def __init__(self, model: LeanHourglass) -> None:
        super().__init__()
        self.model, steps = model, range(len(model.ups))
        down = [name for i in steps for name in (f"skip{i}", f"down{i + 1}")]
        self.names = ["down0", *down, "waist", *(f"up{i}" for i in reversed(steps)), "scores"]

    def forward(self, images: torch.Tensor, switches: torch.Tensor) -> tuple[torch.Tensor, ...]:
        m, steps = self.model, len(self.model.ups)
        x = m.stem(m.standardise(images))  # (N, widths[0], 48, 48)
        seen, kept = [x], []
        for skip, down in zip(m.skips, m.downs, strict=True):
            kept.append(skip(x))
            x = down(x)
            seen += [kept[-1], x]
        x = m.waist(x)
        seen.append(x)
        for i in reversed(range(steps)):
            x = m.ups[i](x) * switches[steps + i] + kept[i] * switches[i]  # (N, widths[i], h, w)
            seen.append(x)
        return (*seen, m.heads[0](x))


class Scores(nn.Module):
    """Any network of the course, its finest scores alone: (N, 1, 96, 96) to (N, K, h, w)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images)[-1].scores


# ---- graphs ---------------------------------------------------------------------------------


def export(module: nn.Module, inputs: tuple[torch.Tensor, ...], names: list[str]) -> bytes:
    """The network as ONNX, any number of images at a time."""
    several = torch.export.Dim("N", min=1)
    shapes = ({0: several}, *({} for _ in inputs[1:]))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's remarks on itself
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            module.eval(),
            inputs,
            str(path),
            dynamo=True,
            external_data=False,
            dynamic_shapes=shapes,
            opset_version=18,
            input_names=["images", "switches"][: len(inputs)],
            output_names=names,
            verbose=False,
        )
        return path.read_bytes()


def strip(graph: bytes, module: nn.Module) -> tuple[bytes, list[tuple[str, list[int]]]]:
    """The graph with its weights moved out, and their names and shapes in the block's order."""
    model, order, offset = onnx.load_from_string(graph), [], 0
    own = {name: tensor for name, tensor in module.state_dict().items() if tensor.ndim}
    for tensor in sorted(model.graph.initializer, key=lambda tensor: tensor.name):
        if tensor.name not in own:
            continue  # a constant of the graph itself
        length = len(tensor.raw_data)
        set_external_data(tensor, BLOCK, offset, length)
        tensor.ClearField("raw_data")
        order.append((tensor.name.removeprefix("model."), list(tensor.dims)))
        offset += length
    unused = {"model.head.weight", "model.head.bias"}  # the coarse map of 2019
    if missing := set(own) - {f"model.{name}" for name, _ in order} - unused:
        raise ValueError(f"the exporter lost the weights {sorted(missing)}")
    for node in model.graph.node:  # where in torch's code it came from: megabytes for nobody
        del node.metadata_props[:]
        node.ClearField("doc_string")
    del model.metadata_props[:], model.graph.metadata_props[:], model.graph.value_info[:]
    return model.SerializeToString(), order


def block(model: nn.Module, order: list[tuple[str, list[int]]], kind: type) -> bytes:
    """The weights of a fused network, one after the other."""
    state = model.state_dict()
    return b"".join(state[name].contiguous().numpy().astype(kind).tobytes() for name, _ in order)


def fused(model: nn.Module) -> nn.Module:
    """A copy whose BatchNorms are inside the convolutions, its tensors in their plain order."""
    return fuse_conv_bn(model).to(memory_format=torch.contiguous_format)


def all_different(model: nn.Module) -> nn.Module:
    """Fused, and every tensor random: the exporter would keep one of two equal ones, such as 0."""
    model = fused(model)
    for tensor in model.parameters():
        nn.init.normal_(tensor)
    return model


def graphs() -> dict[str, dict]:
    """Write the three graphs; returns what the page must know of each."""
    images, switches = torch.rand(2, 1, 96, 96), torch.ones(8)
    lean = Switched(all_different(build("lean")))
    small, original = build("lean", widths=SMALL), build("original")
    wanted = {
        "lean": (lean, (images, switches), lean.names),
        "small": (Scores(all_different(small)), (images,), ["scores"]),
        "original": (Scores(all_different(original)), (images,), ["scores"]),
    }
    about = {}
    for name, (module, inputs, outputs) in wanted.items():
        graph, order = strip(export(module, inputs, outputs), module)
        (DATA / f"{name}.onnx").write_bytes(graph)
        about[name] = {"outputs": outputs, "weights": [list(pair) for pair in order]}
        print(f"{name}.onnx: {len(graph):,} bytes, {len(order)} weights outside")
    (DATA / "graphs.json").write_text(json.dumps(about) + "\n")
    return about


# ---- the slider -----------------------------------------------------------------------------


def moments(
    name: str, model: nn.Module, order: list, train: Faces, fresh: Faces
) -> Iterator[tuple[int, bytes, dict]]:
    """Train on synthetic faces, and stop at every one of IMAGES: its weights and figures."""
    config = recipe(name, epochs=IMAGES[-1] / len(train), precision="float32")
    run = Trainer(model, train, fresh, config)
    source = batches(len(train), config.batch, seed=0)
    for images in IMAGES:
        for index in islice(source, images // config.batch - run.state.step):
            run.step(index)
        yield images, block(fused(run.model), order, np.float16), run.validate()


def slider(about: dict[str, dict]) -> None:
    """Write training.bin: for every moment the small network, then that of 2019, in float16."""
    torch.manual_seed(0)
    small, original = build("lean", widths=SMALL), build("original")
    faces = split(exact_faces(FACES)).train, exact_faces(FRESH, seed=1)
    pairs = zip(
        moments("lean", small, about["small"]["weights"], *faces),
        moments("original", original, about["original"]["weights"], *faces),
        strict=True,
    )
    parts, rows = [], []
    for (images, ours, good), (_, theirs, old) in pairs:
        parts += [ours, theirs]
        errors = [round(figures["val_mean_px"], 3) for figures in (good, old)]
        rows.append({"images": images, "small_px": errors[0], "original_px": errors[1]})
        print(*rows[-1].items(), flush=True)
    text = {"faces": FACES, "fresh_faces": FRESH, "moments": rows}
    (DATA / "training.bin").write_bytes(b"".join(parts))
    (DATA / "training.json").write_text(json.dumps(text, indent=1) + "\n")


# ---- faces ----------------------------------------------------------------------------------


def sprite() -> None:
    """Write ten synthetic faces, one after the other, and their true points."""
    faces = draw_faces(SPRITE, seed=SPRITE_SEED)
    eyes = faces.points[:, :2]  # (10, 2, 2): the first two landmarks are the eye centres
    off = np.linalg.norm(find_eyes(faces.images) - eyes, axis=-1).mean()
    (DATA / "faces.bin").write_bytes(faces.images.tobytes())
    (DATA / "faces.json").write_text(json.dumps(np.round(eyes, 4).astype(float).tolist()) + "\n")
    print(f"ten faces; the pretrained network is {off:.2f} px off")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="?", choices=("all", "graphs"), default="all")
    what = parser.parse_args().what
    torch.set_num_threads(1)
    DATA.mkdir(exist_ok=True)
    about = graphs()
    sprite()
    if what == "all":
        slider(about)


if __name__ == "__main__":
    main()
