"""The explorer's arithmetic against hglib: maps, decoders, receptive fields, weights."""

from __future__ import annotations

import json
import math

import nodes
import numpy as np
import pytest
import torch
from torch import nn

from hglib.anatomy import receptive_field
from hglib.checkpoint import load_model, pretrained
from hglib.datasets.synthetic.draw import draw_faces
from hglib.heatmap import SHIFTS, decode, render
from hglib.hourglass import Level, build
from hglib.inference import fuse_conv_bn

TOLERANCE = 1e-3  # pixels
METHODS = list(SHIFTS)
POINTS = 1000
GRAPHS = json.loads((nodes.EXPLORER / "data" / "graphs.json").read_text(encoding="utf-8"))


class OneMap(nn.Module):
    """A network of which only one inner map is left: what `receptive_field` can be asked about."""

    def __init__(self, name: str, off: list[str], **options: object) -> None:
        super().__init__()
        self.model, self.name, self.off = build("lean", **options), name, off

    def forward(self, x: torch.Tensor) -> list[Level]:
        m, kept = self.model, []
        maps = {"down0": (x := m.stem(m.standardise(x)))}
        for i, (skip, down) in enumerate(zip(m.skips, m.downs, strict=True)):
            kept.append(skip(x))
            maps[f"down{i + 1}"] = x = down(x)
        maps["waist"] = x = m.waist(x)
        for i in reversed(range(len(m.ups))):
            below = m.ups[i](x) * (f"b{i}" not in self.off)
            maps[f"up{i}"] = x = below + kept[i] * (f"s{i}" not in self.off)
        scores = maps[self.name]
        return [Level(scores, 96 // scores.shape[-1])]


def targets(rng: np.random.Generator) -> list[dict]:
    """Random points, also near the border and beyond it, with random shapes and strides."""
    made = []
    for _ in range(POINTS):
        x, y = rng.uniform(-0.5, 95.5, 2).round(4).tolist()
        stride = int(rng.choice([1, 2, 4, 8]))
        width = rng.uniform(0.7, 3.0) if rng.random() < 0.5 else None
        alpha = rng.uniform(0.05, 0.4) if width is None else None
        made.append({"x": x, "y": y, "stride": stride, "sigma": width, "alpha": alpha})
    return made


PAIRS = [
    {"first": [20.3, 30.6], "second": [60.1, 70.9], "share": 0.7},
    {"first": [20.3, 30.6], "second": [60.1, 70.9], "share": 0.3},
    {"first": [48.5, 10.5], "second": [48.5, 80.5], "share": 0.6},
]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> dict:
    rng = np.random.default_rng(0)
    levels = [level for level in GRAPHS["lean"]["outputs"] if not level.startswith("skip")][:-1]
    off = [[], ["b0"], ["b1", "s2"], ["s0", "b0"]]
    total = sum(int(np.prod(shape)) for _, shape in GRAPHS["lean"]["weights"])
    random = rng.normal(size=(20, 48 * 48)) * 3
    return {
        "targets": targets(rng),
        "scores": [{"cells": row.tolist(), "rows": 48, "columns": 48} for row in random],
        "cells": [
            {"level": level, "index": index, "off": ways}
            for level in levels
            for index in (0, 2)
            for ways in off
        ],
        "pairs": PAIRS,
        "checkpoint": str(pretrained()["lean"]),
        "order": GRAPHS["lean"]["weights"],
        "places": rng.integers(0, total, 500).tolist(),
        "halves": [0, 1, 1023, 0x0400, 0x3C00, 0xC000, 0x7BFF, 0x7C00, 0xFC00, 0x8001],
        "broken": [[], [1, 2, 3], [255] * 64, [2, 0, 0, 0, 0, 0, 0, 0, 123, 125]],
        "face": draw_faces(1).images[0].flatten().tolist(),
    }


@pytest.fixture(scope="module")
def said(job: dict, tmp_path_factory: pytest.TempPathFactory) -> dict:
    return nodes.run("formulas.mjs", tmp_path_factory.mktemp("formulas"), job)


def drawn(target: dict) -> torch.Tensor:
    point = torch.tensor([[[target["x"], target["y"]]]], dtype=torch.float64)
    width = {key: target[key] for key in ("sigma", "alpha") if target[key] is not None}
    return render(point, stride=target["stride"], **width)


def test_maps_are_those_of_hglib(job: dict, said: dict) -> None:
    for target, cells in zip(job["targets"], said["rendered"], strict=False):
        np.testing.assert_allclose(cells, drawn(target).flatten(), atol=1e-6)


def test_a_thousand_points_decode_to_the_same(job: dict, said: dict) -> None:
    worst = dict.fromkeys(METHODS, 0.0)
    for target, answers in zip(job["targets"], said["decoded"], strict=True):
        maps = drawn(target).float()
        for method, (x, y, trust) in zip(METHODS, answers, strict=True):
            point, confidence = (part.flatten() for part in decode(maps, method, target["stride"]))
            off = math.dist((x, y), point.tolist())
            worst[method] = max(worst[method], off, abs(trust - float(confidence)))
    assert len(said["decoded"]) == POINTS
    assert max(worst.values()) < TOLERANCE, worst


def test_softmax_maps_decode_to_the_same(job: dict, said: dict) -> None:
    for scores, answer in zip(job["scores"], said["scores"], strict=True):
        level = Level(torch.tensor(scores["cells"]).reshape(1, 1, 48, 48), 2, "softmax")
        for method, (x, y, _) in zip(METHODS, answer["points"], strict=True):
            point = level.decode(method).points.flatten()
            assert math.dist((x, y), point.tolist()) < TOLERANCE, method
        places = 2 * torch.arange(48) + 0.5  # the image coordinate of cell i: (i + .5) * 2 - .5
        share = level.maps[0, 0].double()
        mean = [(share.sum(0) * places).sum(), (share.sum(1) * places).sum()]
        np.testing.assert_allclose(answer["mean"], mean, atol=TOLERANCE)
        far = (places - mean[0])[None] ** 2 + (places - mean[1])[:, None] ** 2
        assert answer["spread"] == pytest.approx(float((share * far).sum() / 2) ** 0.5, abs=1e-3)


def test_two_places_of_a_map_are_found(said: dict) -> None:
    """Two narrow Gaussians far apart: their middles and their shares come back."""
    for pair, found in zip(PAIRS, said["places"], strict=True):
        shares = pair["share"], 1 - pair["share"]
        wanted = sorted(zip(shares, (pair["first"], pair["second"]), strict=True), reverse=True)
        for (share, (x, y)), answer in zip(wanted, found, strict=True):
            np.testing.assert_allclose(answer, [x, y, share], atol=2e-2)


def test_what_a_cell_sees(job: dict, said: dict) -> None:
    """Against the gradient of a network in which nothing cancels."""
    known: dict[tuple, OneMap] = {}
    for cell, seen in zip(job["cells"], said["seen"], strict=True):
        key = cell["level"], tuple(cell["off"])
        network = known.get(key) or OneMap(cell["level"], cell["off"], widths=[2] * 5)
        known[key] = network
        field = receptive_field(network, output_pixel=(cell["index"], cell["index"]))
        columns = field.any(dim=0).nonzero().flatten().tolist()
        assert seen == ([columns[0], columns[-1]] if columns else None), cell


def test_levels_are_those_of_the_network(said: dict) -> None:
    for name, *shape in said["levels"]:
        image = torch.zeros(1, 1, 96, 96)
        assert list(OneMap(name, [])(image)[0].scores.shape[1:]) == shape, name


def test_weights_are_folded_as_torch_does(job: dict, said: dict) -> None:
    state = fuse_conv_bn(load_model(pretrained()["lean"])).state_dict()
    block = torch.cat([state[name].contiguous().flatten() for name, _ in job["order"]])
    assert said["block"]["length"] == len(block)
    np.testing.assert_allclose(said["block"]["some"], block[job["places"]], rtol=1e-4, atol=1e-6)


def test_half_precision_is_read(job: dict, said: dict) -> None:
    wanted = np.array(job["halves"], np.uint16).view(np.float16).astype(float).tolist()
    finite = [value if np.isfinite(value) else str(value) for value in wanted]
    names = {"inf": "Infinity", "-inf": "-Infinity"}
    assert said["halves"] == [names.get(value, value) for value in finite]


def test_what_is_no_checkpoint_is_refused_in_one_sentence(said: dict) -> None:
    assert said["refused"][:3] == ["this is no safetensors file"] * 3
    assert said["refused"][3].startswith("this is not our default network: it lacks ")


def test_turning_and_blurring(job: dict, said: dict) -> None:
    face = np.array(job["face"], np.uint8).reshape(96, 96)
    turned = np.array(said["turned"]["quarter"]).reshape(96, 96)
    assert np.abs(turned - np.rot90(face, -1).astype(int)).max() <= 1  # clockwise
    assert said["turned"]["still"]
    np.testing.assert_allclose(said["turnedPoint"], [95 - 40, 30], atol=1e-9)
    weights = np.exp(-(np.arange(-6, 7) ** 2) / 8)
    padded = np.pad(face.astype(float), 6, mode="edge")
    rows = np.apply_along_axis(np.convolve, 1, padded, weights / weights.sum(), "valid")
    slow = np.apply_along_axis(np.convolve, 0, rows, weights / weights.sum(), "valid")
    assert np.abs(np.array(said["blurred"]).reshape(96, 96) - slow).max() <= 0.51
