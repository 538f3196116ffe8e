"""All 15 landmarks, although two faces in three lack eleven of them.

Trains the default network in three ways that differ in nothing but the missing labels, with the
same number of images each, and measures them on the test part. Notebook 08 teaches it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hglib.data import EYES, Faces
from hglib.datasets import load
from hglib.datasets.split import Split, split
from hglib.experiments.record import Record, print_table, read
from hglib.experiments.runner import Jobs, Option, Options, in_words, keep_to, trained
from hglib.hourglass import build
from hglib.inference import predict
from hglib.metrics import evaluate, kaggle_rmse, mean_position_baseline
from hglib.recipes import recipe

MEASURES = "three ways to treat missing landmarks, on all 15"
TAKES = "about four minutes on two cores"
DATA = "any"
IMAGES = 30_000  # shown in every way: about five passes over the real training part
OPTIONS = {
    "seeds": Option([0]),
    "images": Option(IMAGES, 32, "shown in each way"),
    "only": Option("", help="ways whose name contains this"),
    "synthetic_faces": Option(2000, 60, "how many, where there are no real ones"),
}


WAYS = {
    "every row, gaps masked": lambda faces: faces,
    "complete rows only": lambda faces: faces[faces.present.all(axis=1)],
    # The usual mistake: every missing coordinate becomes 0, a label in the image's corner.
    "every row, gaps as zeros": lambda f: replace(f, points=np.nan_to_num(f.points, nan=0.0)),
}


def figures(points: ArrayLike, faces: Faces) -> dict[str, Any]:
    """What is measured of points (N, K, 2): root-mean-square errors per coordinate, px."""
    points, whole = np.asarray(points, float), faces.present.all(axis=1)
    eyes = tuple(map(faces.landmarks.index, EYES))
    report = evaluate(points, faces.points, eyes=eyes)
    off = np.linalg.norm(points - faces.points, axis=-1)[faces.present]
    corner = np.linalg.norm(points, axis=-1)[faces.present]
    columns = range(len(faces.landmarks))
    each = [kaggle_rmse(points[:, [k]], faces.points[:, [k]]) for k in columns]
    values = {
        "rmse": report.kaggle_rmse,  # over every label
        "rmse_complete": kaggle_rmse(points[whole], faces.points[whole]),
        "rmse_gaps": kaggle_rmse(points[~whole], faces.points[~whole]),
        "mean_px": report.mean_px,
        "e05": report.e05,
        "corner": float((corner < off).mean()),  # share nearer to (0, 0) than to their label
    }
    rounded = {name: round(value, 4) for name, value in values.items()}
    return {**rounded, "by_landmark": [round(value, 4) for value in each]}


def jobs(options: Options, record: Record) -> Jobs:
    """One row for each way and seed; the published scores lie beside them."""
    faces = load(options.data, "all", n_synthetic=options.synthetic_faces)
    parts = split(faces)
    guess = mean_position_baseline(parts.train.points, len(parts.test))
    about = {
        "landmarks": list(faces.landmarks),
        "train_faces": len(parts.train),
        "train_complete": int(parts.train.present.all(axis=1).sum()),
        "test_faces": len(parts.test),
        "test_complete": int(parts.test.present.all(axis=1).sum()),
        "mean_position": figures(guess, parts.test),
        "published": read("landmarks15").about["published"],
    }
    keep_to(record, options.save, in_words(faces), **about)
    return {
        f"{way}, {options.images} images, seed {seed}": partial(train, way, seed, options, parts)
        for seed in options.seeds
        for way in WAYS
        if options.only in way
    }


def train(way: str, seed: int, options: Options, parts: Split) -> dict[str, Any]:
    """Train from random weights, or go on where it was interrupted; measure on the test part."""
    faces, images = WAYS[way](parts.train), options.images
    make = partial(build, "lean", landmarks=len(faces.landmarks))
    # The strength of augmentation that suits the whole set, for all three: one difference only.
    augment = recipe("lean", epochs=images / len(parts.train)).augment
    config = recipe("lean", epochs=images / len(faces), seed=seed, validations=0, augment=augment)
    name = f"{way.replace(' ', '_').replace(',', '')}_{images}_{seed}"
    folder = options.save.with_suffix("") / name
    model, _ = trained(make, faces, config, folder=folder, resume=True)
    about = {"way": way, "images": images, "seed": seed, "faces": len(faces)}
    return {**about, **figures(predict(model, parts.test.images).points, parts.test)}


def show(record: Record) -> None:
    """Root-mean-square errors per coordinate, px."""
    names = ("rmse", "rmse_complete", "rmse_gaps", "mean_px", "corner")
    rows = {"mean position": record.about["mean_position"], **record.figures}
    print_table({key: {name: row[name] for name in names} for key, row in rows.items()}, head="px")
