"""From a picture file to the 96x96 grey face that the networks take."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SIDE = 96  # pixels: the size of the faces that the networks are trained on


def read_face(path: str | Path, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """A picture that one face fills, as (side, side) uint8 grey, and how much it was shrunk.

    The EXIF orientation is applied, colour becomes grey by ITU-R 601 weights, and the whole picture
    is resized with an antialiasing filter. The second value is (2,), photo pixels per face pixel in
    x and in y, so that a point goes back by `(p + 0.5) * scale - 0.5`.

    Raises FileNotFoundError, or ValueError for a file that is not a whole picture.
    Taught in: 07_your_own_photo
    """
    from PIL import Image, ImageOps

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give the path of a picture")
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert("L")
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged files
        raise ValueError(f"{path}: not a whole picture file ({error})") from None
    scale = np.array(picture.size, float) / side  # (width, height) over side
    face = picture.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=None)
    return np.asarray(face, np.uint8), scale
