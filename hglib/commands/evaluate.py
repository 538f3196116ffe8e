"""`evaluate`: measure the error of one or more networks."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hglib.commands.common import PARTS, add_data, add_network, add_raw_labels, load_parts
from hglib.data import EYES, Faces
from hglib.env import printable

if TYPE_CHECKING:
    import numpy as np


def add(commands: Any) -> None:
    """The options of `evaluate`."""
    judge = commands.add_parser("evaluate", help="measure a network's error on the test part")
    judge.set_defaults(run=run)
    judge.add_argument("weights", nargs="*", help="files from train (the pretrained ones)")
    judge.add_argument("--part", default="test", choices=PARTS, help="which faces (test)")
    judge.add_argument("--flip", action="store_true", help="average with the mirrored image")
    style = judge.add_mutually_exclusive_group()
    style.add_argument("--json", action="store_true", help="print figures for a program to read")
    style.add_argument("--table", action="store_true", help="print one line per network (default)")
    add_network(judge)
    add_data(judge)
    add_raw_labels(judge)


def run(options: argparse.Namespace) -> None:
    """`evaluate`: figures of one or more networks, beside the mean-position baseline.

    Where labels were harmonised, those against the labels of the file stand beside them.
    """
    from hglib.metrics import evaluate, mean_position_baseline

    parts = load_parts(options, verbose=not options.json)
    part: Faces = getattr(parts.used, options.part)
    eyes, found = tuple(map(part.landmarks.index, EYES)), {}
    problems = []  # a file that cannot be read must not lose the figures of the others
    for name, path in weight_files(options.weights).items():
        try:
            found[name] = find_in_part(path, part, options.flip, options.device)
        except (ValueError, OSError, RuntimeError) as error:
            problems.append(str(error))
    figures = {}
    for which, split in zip(("results", "raw_results"), parts.different(), strict=False):
        points = getattr(split, options.part).points
        guess = mean_position_baseline(split.train.points, len(points))
        every = {"mean position": (guess, None), **found}
        figures[which] = {n: evaluate(p, points, c, eyes).row() for n, (p, c) in every.items()}
    if options.json:
        about = {"data": part.source, "part": options.part, "flip": options.flip}
        about["labels"] = parts.finding.row() if parts.finding else None
        print(json.dumps({**about, **plain(figures)}, indent=2, allow_nan=False))
    else:
        print_tables(figures)
    if problems:
        raise ValueError("; ".join(problems))


def plain(figures: Any) -> Any:
    """JSON has no NaN: a figure that is not defined (a baseline's confidence) is null."""
    if isinstance(figures, dict):
        return {name: plain(value) for name, value in figures.items()}
    return figures if figures == figures else None


def weight_files(given: Sequence[str]) -> dict[str, Path]:
    """Name and path of each weights file: those given, or all that come along."""
    from hglib.checkpoint import pretrained

    return {path: Path(path) for path in given} if given else pretrained()


def find_in_part(
    path: Path, part: Faces, flip: bool, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, K, 2) and confidences (N, K) that the network in one file finds."""
    from hglib.checkpoint import load_model
    from hglib.env import choose_device
    from hglib.inference import predict

    model = load_model(path).to(choose_device(device))
    count = model.settings.get("landmarks", len(EYES))
    if count != len(part.landmarks):
        raise ValueError(
            f"{path} finds {count} points, but {len(part.landmarks)} were asked for: "
            "choose --landmarks eyes or --landmarks all, as in training"
        )
    found = predict(model, part.images, part.mirror_order if flip else None)
    return found.points.numpy(), found.confidence.numpy()


def print_tables(figures: dict[str, dict[str, dict[str, float]]]) -> None:
    """The table of the labels that were used; below it that of the file's, where they differ."""
    if "raw_results" in figures:
        print("harmonised labels:")
    print_table(figures["results"])
    if "raw_results" in figures:
        print("labels as the file has them:")
        print_table(figures["raw_results"])


def print_table(rows: dict[str, dict[str, float]]) -> None:
    """One line per network, the columns a reader compares."""
    rows = {printable(name): row for name, row in rows.items()}
    width = max(len(name) for name in rows)
    print(f"{'':{width}}  mean px  median  e<=.05  e<=.10  e<=.25   faces")
    for name, row in rows.items():
        shares = "  ".join(f"{100 * row[key]:5.1f}%" for key in ("e05", "e10", "e25"))
        middle = f"{row['mean_px']:7.2f}  {row['median_px']:6.2f}  {shares}"
        print(f"{name:{width}}  {middle}  {row['n']:6.0f}")
