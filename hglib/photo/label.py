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


def crop_faces(photos: Sequence[np.ndarray], eyes: np.ndarray) -> Faces:
    """One 96x96 face for each grey photo (H, W) uint8, with its eyes moved along.

    eyes: (N, 2, 2), one marked face per photo. Each is cropped so that its eyes lie where an
    average face has them; the augmentation of the training moves them about again. Raises
    ValueError for eyes that are missing, in the wrong order, or not one pair per photo.

    >>> photo = np.zeros((300, 400), np.uint8)
    >>> crop_faces([photo], np.array([[[240.0, 100.0], [160.0, 104.0]]])).points.shape
    (1, 2, 2)

    Taught in: 07_your_own_photo
    """
    eyes = np.asarray(eyes, float)
    if eyes.shape != (len(photos), 2, 2):
        raise ValueError(f"eyes have shape {eyes.shape}; expected ({len(photos)}, 2, 2)")
    for row, pair in enumerate(eyes):
        if not pair[0, 0] > pair[1, 0]:  # NaN compares false
            raise ValueError(
                f"photo {row}: the eyes are {pair.tolist()}; mark both, first the subject's left "
                "eye, which is the one further right in the picture"
            )
    boxes = [box_of_eyes(pair) for pair in eyes]
    images = np.stack([cut(photo, box) for photo, box in zip(photos, boxes, strict=True)])
    points = np.stack([to_crop(pair, box) for pair, box in zip(eyes, boxes, strict=True)])
    rows = np.arange(len(photos))
    return Faces(images, points.astype(np.float32), EYES, rows, "eyes marked by hand")


def write_labels(folder: str | Path, faces: Faces) -> Path:
    """Write faces in Kaggle's layout, for `hglib.load(folder)`; returns the folder.

    `face_images.npz` holds the pictures, `facial_keypoints.csv` all 30 label columns, 1-based as
    Kaggle's are; cells of landmarks that these faces do not have stay empty.

    Taught in: 07_your_own_photo
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
