"""`python -m hglib.experiments.scenes`: how many faces the finder finds in scenes with known
places.

Drawn scenes only, so that everybody can repeat it; the results go to `hglib/results/finder.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import nn

from hglib.checkpoint import WEIGHTS, load_model
from hglib.datasets.synthetic.collage import Collage, draw_collage
from hglib.photo.detect import ENOUGH, FoundFace, find_faces

SAVED = Path(__file__).parent / "results" / "finder.json"
CLOSE = 0.25  # of the eye distance: both eyes nearer than this, and the face counts as found
KINDS = ("upright", "no face", "quarter turn")
SIDES = (75, 190)  # px: the faces' squares, in scenes of 480 x 600


def scene(kind: str, number: int) -> Collage:
    """Scene `number` of a kind: one to three faces, none, or one to three lying on their side.

    Taught in: 07_your_own_photo
    """
    rng = np.random.default_rng([number, KINDS.index(kind)])
    count = 0 if kind == "no face" else rng.integers(1, 4)
    sides = np.exp(rng.uniform(*np.log(SIDES), count))
    seed = 1000 * (1 + KINDS.index(kind)) + number
    return draw_collage(sides=list(sides), seed=seed, turns=int(kind == "quarter turn"))


def match(faces: Sequence[FoundFace], true: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """For each true pair (F, 2, 2) the error of its find, as a share of its eye distance, NaN if
    it was not found; and the finds, by number, that are no face. Taught in: 07_your_own_photo"""
    errors, used = np.full(len(true), np.nan), set()
    for number, face in enumerate(faces):
        for row, pair in enumerate(true):
            off = np.hypot(*(face.eyes - pair).T) / np.hypot(*(pair[0] - pair[1]))  # (2,)
            if off.max() < CLOSE and np.isnan(errors[row]):
                errors[row] = off.mean()
                used.add(number)
    return errors, [number for number in range(len(faces)) if number not in used]


def measure(model: nn.Module, kind: str, count: int) -> dict[str, float]:
    """Counts over `count` scenes of one kind. Taught in: 07_your_own_photo"""
    errors, wrong = [], []
    for number in range(count):
        drawn = scene(kind, number)
        faces = find_faces(model, drawn.image, enough=0.2)
        sure = [face for face in faces if face.support >= ENOUGH]
        error, false = match(sure, drawn.eyes)
        errors.append(error)
        _, false_at_all = match(faces, drawn.eyes)
        wrong.append((len(false), max((faces[n].support for n in false_at_all), default=0.0)))
    found = np.concatenate(errors)
    median = float(np.nanmedian(found)) if np.isfinite(found).any() else None
    return {
        "scenes": count,
        "faces": len(found),
        "found": int(np.isfinite(found).sum()),
        "false": int(sum(n for n, _ in wrong)),
        "median_error": median and round(median, 4),
        "most_support_of_no_face": round(max(support for _, support in wrong), 3),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every kind, print and save; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m hglib.experiments.scenes", description=__doc__)
    parser.add_argument("--scenes", type=int, default=20, help="of each kind (20)")
    parser.add_argument("--save", type=Path, default=SAVED, metavar="FILE")
    options = parser.parse_args(arguments)
    model = load_model(WEIGHTS / "lean.safetensors")
    rows = {kind: measure(model, kind, options.scenes) for kind in KINDS}
    command = f"python -m hglib.experiments.scenes --scenes {options.scenes}"
    said = {"command": command, "enough": ENOUGH, "rows": rows}
    options.save.write_text(json.dumps(said, indent=1) + "\n")
    print(json.dumps(said, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
