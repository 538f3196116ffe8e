"""`python -m hglib.experiments.landmarks15`: all 15 points, although two faces in three lack
eleven of them.

Trains the default network in three ways that differ in nothing but the missing labels, with the
same number of pictures each, and measures them on the test part of the real faces. A run that was
interrupted goes on where it stopped, and rows that the results file already holds are not run
again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from hglib.data import EYES, Faces, Split, split
from hglib.datasets import load
from hglib.hourglass import build
from hglib.inference import predict
from hglib.metrics import evaluate, kaggle_rmse, mean_position_baseline
from hglib.recipes import recipe
from hglib.train import fit

RESULTS = Path(__file__).parent / "results" / "fifteen_points.json"
RUNS = Path("runs/fifteen_points")  # where an interrupted run is resumed from
PICTURES = 30_000  # shown in every way: about five passes over the real training part

# Scores on Kaggle's own test pictures, whose labels Kaggle keeps: not those of our test part.
# "private" and "public" are the two parts of its leader board; one file scores differently on each.
_FCN = "https://github.com/LazyBusyYang/facial-keypoints-detection-FCN-pytorch"
_HOURGLASS = "https://github.com/raymon-tian/hourglass-facekeypoints-detection"
_SECOND = "https://cbenge509.github.io/projects/facial-keypoints"
PUBLISHED: list[dict[str, Any]] = [
    {"system": "second place: ten networks stacked", "rmse": 1.286, "board": "", "url": _SECOND},
    {"system": "convolutional network, heat maps", "rmse": 1.462, "board": "private", "url": _FCN},
    {"system": "the same network", "rmse": 1.783, "board": "public", "url": _FCN},
    {"system": "hourglass, gaps masked", "rmse": 1.809, "board": "", "url": _HOURGLASS},
    {"system": "the same, complete rows only", "rmse": 2.92, "board": "", "url": _HOURGLASS},
]


def complete_rows(faces: Faces) -> Faces:
    """The faces that lack no point. Taught in: 08_further_and_faster"""
    return faces[faces.present.all(axis=1)]


def gaps_as_zeros(faces: Faces) -> Faces:
    """The usual mistake: every missing coordinate becomes 0, a label in the picture's corner.

    Taught in: 08_further_and_faster
    """
    return replace(faces, points=np.nan_to_num(faces.points, nan=0.0))


WAYS = {
    "every row, gaps masked": lambda faces: faces,
    "complete rows only": complete_rows,
    "every row, gaps as zeros": gaps_as_zeros,
}


def figures(points: ArrayLike, faces: Faces) -> dict[str, Any]:
    """What is measured of predicted points (N, K, 2): root-mean-square errors per coordinate, px.

    "rmse" over every label, as Kaggle counts; "rmse_complete" and "rmse_gaps" over the faces with
    and without all their points; "by_landmark" in the order of the landmarks; "corner" is the
    share of points put nearer to the picture's corner (0, 0) than to their label.

    Taught in: 08_further_and_faster
    """
    points, whole = np.asarray(points, float), faces.present.all(axis=1)
    eyes = tuple(map(faces.landmarks.index, EYES))
    report = evaluate(points, faces.points, eyes=eyes)
    off = np.linalg.norm(points - faces.points, axis=-1)[faces.present]
    corner = np.linalg.norm(points, axis=-1)[faces.present]
    columns = range(len(faces.landmarks))
    each = [kaggle_rmse(points[:, [k]], faces.points[:, [k]]) for k in columns]
    values = {
        "rmse": report.kaggle_rmse,
        "rmse_complete": kaggle_rmse(points[whole], faces.points[whole]),
        "rmse_gaps": kaggle_rmse(points[~whole], faces.points[~whole]),
        "mean_px": report.mean_px,
        "e05": report.e05,
        "corner": float((corner < off).mean()),
    }
    rounded = {name: round(value, 4) for name, value in values.items()}
    return {**rounded, "by_landmark": [round(value, 4) for value in each]}


def train_one(way: str, pictures: int, seed: int, real: Split) -> dict[str, Any]:
    """One row of the results: train from random weights, or go on, and measure on the test part.

    Taught in: 08_further_and_faster
    """
    faces = WAYS[way](real.train)
    torch.manual_seed(seed)
    model = build("lean", landmarks=len(faces.landmarks))
    # The strength of augmentation that suits the whole set, for all three: one difference only.
    augment = recipe("lean", epochs=pictures / len(real.train)).augment
    config = recipe("lean", epochs=pictures / len(faces), seed=seed, validations=0, augment=augment)
    folder = RUNS / f"{way.replace(' ', '_').replace(',', '')}_{pictures}_{seed}"
    result = fit(model, faces, None, config, folder, resume=True)
    if result.interrupted:
        raise KeyboardInterrupt
    about = {"way": way, "pictures": pictures, "seed": seed, "faces": len(faces)}
    return {**about, **figures(predict(model, real.test.images).points, real.test)}


def save(path: Path, source: str, real: Split, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows with what they were measured on, and the published scores beside them.

    Taught in: 08_further_and_faster
    """
    guess = mean_position_baseline(real.train.points, len(real.test))
    about = {
        "data": source if source.startswith("synthetic") else "Kaggle's files, labels minus 1",
        "command": "python -m hglib.experiments.landmarks15 --data FOLDER --pictures PICTURES",
        "date": time.strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "landmarks": list(real.test.landmarks),
        "train_faces": len(real.train),
        "train_complete": len(complete_rows(real.train)),
        "test_faces": len(real.test),
        "test_complete": len(complete_rows(real.test)),
        "mean_position": figures(guess, real.test),
        "published": PUBLISHED,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, "rows": list(rows)}, indent=1) + "\n")


def parser() -> argparse.ArgumentParser:
    """The options. Taught in: 08_further_and_faster"""
    options = argparse.ArgumentParser(
        prog="python -m hglib.experiments.landmarks15", description=__doc__
    )
    options.add_argument("--data", help="the real faces, as for `python -m hglib train`")
    options.add_argument("--pictures", type=int, default=PICTURES, help=f"shown ({PICTURES})")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", default="", help="ways whose name contains this")
    options.add_argument("--save", type=Path, default=RESULTS, help="the results file")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows that are missing; the exit status."""
    options = parser().parse_args(arguments)
    faces = load(options.data, landmarks="all")
    real = split(faces)
    rows = json.loads(options.save.read_text())["rows"] if options.save.exists() else []
    done = {(row["way"], row["pictures"], row["seed"]) for row in rows}
    for way in WAYS:
        if (way, options.pictures, options.seed) in done or options.only not in way:
            continue
        rows.append(train_one(way, options.pictures, options.seed, real))
        print(f"{way}: {rows[-1]['rmse']:.3f} px per coordinate")
        save(options.save, faces.source, real, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
