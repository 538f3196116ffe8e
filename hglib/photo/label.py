"""Labels of your own: from eyes marked in photos to faces that a network can be trained on.

Eyes are (2, 2): (x, y) of the subject's left eye, then of the right one, in photo pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hglib.data import EYES, LANDMARKS, Faces
from hglib.datasets.kaggle import IMAGES_FILE, LABELS_FILE
from hglib.datasets.npz import IMAGES_KEY
from hglib.photo.crop import box_of_eyes, cut, to_crop

NEAREST = 4  # pixels between two eyes: with fewer the crop is a blur


def crop_faces(photos: Sequence[np.ndarray], eyes: np.ndarray) -> Faces:
    """One 96x96 face for each photo, cropped so that its eyes lie where an average face has them.

    The augmentation of the training moves them about again.

    Args:
        photos: N grey ones, (H, W) uint8 each.
        eyes: (N, 2, 2), one marked face per photo.

    Raises:
        ValueError: eyes that are missing, in the wrong order, outside their photo or in one place,
            or not one pair per photo; a photo that is not grey.

    >>> photo = np.zeros((300, 400), np.uint8)
    >>> crop_faces([photo], np.array([[[240.0, 100.0], [160.0, 104.0]]])).points.shape
    (1, 2, 2)
    """
    eyes = np.asarray(eyes, float)
    if not len(photos) or eyes.shape != (len(photos), 2, 2):
        raise ValueError(f"eyes have shape {eyes.shape}; expected ({len(photos) or 'N'}, 2, 2)")
    for row, (photo, pair) in enumerate(zip(photos, eyes, strict=True)):
        _check_marks(row, photo, pair)
    boxes = [box_of_eyes(pair) for pair in eyes]
    images = np.stack([cut(photo, box) for photo, box in zip(photos, boxes, strict=True)])
    points = np.stack([to_crop(pair, box) for pair, box in zip(eyes, boxes, strict=True)])
    rows = np.arange(len(photos))
    return Faces(images, points.astype(np.float32), EYES, rows, "eyes marked by hand")


def _check_marks(row: int, photo: np.ndarray, pair: np.ndarray) -> None:
    """Raise ValueError unless this pair of eyes (2, 2) can be one of this photo's."""
    if photo.ndim != 2 or photo.dtype != np.uint8:
        raise ValueError(f"photo {row}: {photo.shape} {photo.dtype}; expected grey (H, W) uint8")
    height, width = photo.shape
    words = f"photo {row}: the eyes are {pair.tolist()}"
    if not pair[0, 0] > pair[1, 0]:  # NaN compares false
        raise ValueError(
            f"{words}; mark both, first the subject's left eye, which is the one further right in "
            "the image"
        )
    if not ((pair > -1) & (pair < [width, height])).all():
        raise ValueError(f"{words}; they lie outside its {width} x {height} pixels")
    if np.hypot(*(pair[0] - pair[1])) < NEAREST:
        raise ValueError(f"{words}, nearer than {NEAREST} pixels; mark both on a larger photo")


def write_labels(folder: str | Path, faces: Faces) -> Path:
    """Write faces in Kaggle's layout, for `hglib.load(folder)`; returns the folder.

    `face_images.npz` holds the images, `facial_keypoints.csv` all 30 label columns, 1-based as
    Kaggle's are; cells of landmarks that these faces do not have stay empty.
    """
    import pandas as pd

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / IMAGES_FILE, **{IMAGES_KEY: np.moveaxis(faces.images, 0, -1)})
    columns = [f"{name}_{axis}" for name in LANDMARKS for axis in "xy"]
    table = pd.DataFrame(index=range(len(faces)), columns=columns, dtype=float)
    for number, name in enumerate(faces.landmarks):
        table[[f"{name}_x", f"{name}_y"]] = faces.points[:, number] + 1  # the files count from 1
    table.to_csv(folder / LABELS_FILE, index=False, float_format="%.4f")
    return folder
