"""Numbered scenes of three kinds: what a face detector is measured on."""

import numpy as np

from .collage import Collage, draw_collage

KINDS = ("upright", "no face", "quarter turn")
SIDES = (75, 190)  # px: the faces' squares, in scenes of 480 x 600


def draw_scene(kind: str, number: int) -> Collage:
    """Scene `number` of a kind: one to three faces, none, or one to three lying on their side.

    >>> draw_scene("no face", 0).eyes.shape
    (0, 2, 2)
    """
    rng = np.random.default_rng([number, KINDS.index(kind)])
    count = 0 if kind == "no face" else rng.integers(1, 4)
    sides = np.exp(rng.uniform(*np.log(SIDES), count))
    seed = 1000 * (1 + KINDS.index(kind)) + number
    return draw_collage(sides=list(sides), seed=seed, turns=int(kind == "quarter turn"))
