"""Synthetic faces with their exact points, as a data set: none of the flaws of Kaggle's files."""

from collections.abc import Sequence

import numpy as np

from hglib.data import EYES, LANDMARKS, Faces

from .draw import draw_faces
from .style import Style


def exact_faces(
    count: int, seed: int = 0, style: Style | None = None, landmarks: Sequence[str] = EYES
) -> Faces:
    """Synthetic faces with exact labels, straight from the generator.

    >>> exact_faces(3).points.shape
    (3, 2, 2)
    """
    faces = draw_faces(count, seed=seed, style=style, progress=count > 2000)
    columns = [LANDMARKS.index(name) for name in landmarks]
    source = f"synthetic faces, exact labels (n={count}, seed={seed})"
    return Faces(faces.images, faces.points[:, columns], tuple(landmarks), np.arange(count), source)
