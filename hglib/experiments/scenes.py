"""How many faces the face detector finds in synthetic scenes whose faces lie at known places."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from hglib.checkpoint import WEIGHTS, load_model
from hglib.datasets.synthetic.scenes import KINDS, draw_scene
from hglib.experiments.record import Record
from hglib.experiments.runner import Jobs, Option, Options, keep_to
from hglib.photo.detect import ENOUGH, FoundFace, find_faces

MEASURES = "the faces that the face detector finds in synthetic scenes"
TAKES = "about three minutes on two cores"
DATA = "synthetic"
OPTIONS = {"scenes": Option(20, 1, "of each kind")}
CLOSE = 0.25  # of the eye distance: both eyes nearer than this, and the face counts as found


def jobs(options: Options, record: Record) -> Jobs:
    """One row for each kind of scene."""
    keep_to(record, options.save, f"synthetic scenes, {options.scenes} of each kind", enough=ENOUGH)
    model = load_model(WEIGHTS / "lean.safetensors")
    return {kind: partial(measure, model, kind, options.scenes) for kind in KINDS}


def match(faces: Sequence[FoundFace], true: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Hold found faces against the true pairs of eyes.

    true: (F, 2, 2) px. Gives for each true pair the error of its find, as a share of its eye
    distance, NaN if not found; and the finds, by number, that are no face.
    """
    errors, used = np.full(len(true), np.nan), set()
    for number, face in enumerate(faces):
        for row, pair in enumerate(true):
            off = np.hypot(*(face.eyes - pair).T) / np.hypot(*(pair[0] - pair[1]))  # (2,)
            if off.max() < CLOSE and np.isnan(errors[row]):
                errors[row] = off.mean()
                used.add(number)
    return errors, [number for number in range(len(faces)) if number not in used]


def measure(model: nn.Module, kind: str, count: int) -> dict[str, Any]:
    """Counts over `count` scenes of one kind."""
    errors, wrong = [], []
    for number in range(count):
        scene = draw_scene(kind, number)
        faces = find_faces(model, scene.image, enough=0.2)
        sure = [face for face in faces if face.support >= ENOUGH]
        error, false = match(sure, scene.eyes)
        errors.append(error)
        _, false_at_all = match(faces, scene.eyes)
        wrong.append((len(false), max((faces[n].support for n in false_at_all), default=0.0)))
    found = np.concatenate(errors)
    median = float(np.nanmedian(found)) if np.isfinite(found).any() else None
    return {
        "scenes": count,
        "faces": len(found),
        "found": int(np.isfinite(found).sum()),
        "false": int(sum(n for n, _ in wrong)),
        "median_error": median and round(median, 4),
        "most_support_of_no_face": round(max(support for _, support in wrong), 4),
    }
