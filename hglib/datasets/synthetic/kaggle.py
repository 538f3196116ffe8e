"""Synthetic faces in Kaggle's files, with the flaws of those files, and the truth beside them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hglib.data import LANDMARKS

from .draw import draw_faces
from .style import Array, Style

CORE = ("left_eye_center", "right_eye_center", "nose_tip", "mouth_center_bottom_lip")
COPIES = 555 / 7049  # rows whose image stands in another row too
DETAILED = 2284 / 7049  # the first rows of the file: more than the four core points, other labels
CONVENTIONS = ((-0.53, -0.52), (0.26, 0.25))  # px (x, y) beside the truth: first rows, the others
NOISE_SD = 0.57  # pixels per axis: the two labels of one real image differ by 1.4 px on average
GROSS = 0.004  # eye labels that are plainly wrong
ODD = {"left_eye_center": 10, "right_eye_center": 13, "mouth_center_bottom_lip": 33}  # of 7049


@dataclass(frozen=True)
class _Rows:
    """The planted rows: which face each shows, its labels (0-based) and its flaws."""

    face: Array  # (N,) number of the drawn face
    labels: Array  # (N, 15, 2), NaN missing
    gross: Array  # (N,) bool
    copy: Array  # (N,) bool: the same image as an earlier row of the same part


def write_kaggle_files(
    folder: str | Path,
    n: int,
    seed: int = 0,
    style: Style | None = None,
    progress: bool = False,
) -> Path:
    """Write n rows in Kaggle's layout, flaws included, and return the folder.

    `face_images.npz` holds `face_images` (96, 96, n) uint8, `facial_keypoints.csv` the 30 label
    columns, **1-based** as Kaggle's are. Planted: points missing at the real rates, images that
    stand in two rows with labels of their own, annotator noise (.57 px sd on each axis), a few
    gross errors, and two conventions: the labels of the first third, which has up to 15 points, lie
    .8 px left of and above those of the others, as in the real file. `truth.csv` keeps the true
    points (0-based, complete), the number of the drawn face, the columns `copy` and `gross` that
    tell which rows were tampered with, and `convention`, 0 or 1 of CONVENTIONS.

    Raises ValueError unless n is at least 1.

    >>> import tempfile
    >>> folder = write_kaggle_files(tempfile.mkdtemp(), n=4)
    >>> sorted(path.name for path in folder.iterdir())
    ['face_images.npz', 'facial_keypoints.csv', 'truth.csv']
    """
    import pandas as pd

    if n < 1:
        raise ValueError(f"n must be at least 1 row, got {n}.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 2**32 - 1])  # a stream that no face has
    copy = rng.random(n) < COPIES
    first = first_part(n)
    copy[[0, min(first, n - 1)]] = False  # no image stands in both parts
    drawn = draw_faces(int((~copy).sum()), seed, style, progress=progress)
    rows = _plant(rng, copy, drawn.points)
    images = np.ascontiguousarray(drawn.images[rows.face].transpose(1, 2, 0))
    np.savez_compressed(folder / "face_images.npz", face_images=images)
    columns = [f"{name}_{axis}" for name in LANDMARKS for axis in "xy"]
    table = pd.DataFrame(rows.labels.reshape(n, -1) + 1, columns=columns)
    table.to_csv(folder / "facial_keypoints.csv", index=False, float_format="%.6f")
    truth = pd.DataFrame(drawn.points[rows.face].reshape(n, -1), columns=columns)
    truth.insert(0, "face", rows.face)
    truth["copy"], truth["gross"] = rows.copy, rows.gross
    truth["convention"] = (np.arange(n) >= first).astype(int)
    truth.to_csv(folder / "truth.csv", index=False, float_format="%.4f")
    return folder


def first_part(n: int) -> int:
    """How many of n rows belong to the first part.

    >>> first_part(7049)
    2284
    """
    return round(n * DETAILED)


def _plant(rng: np.random.Generator, copy: Array, points: Array) -> _Rows:
    """Choose which row shows which face, and spoil the labels."""
    n = len(copy)
    face, second = np.cumsum(~copy) - 1, np.arange(n) >= first_part(n)
    start = face[second][0] if second.any() else 0  # the first face of the second part
    lowest = np.where(second, start, 0)
    face[copy] = [rng.integers(lowest[i], face[i] + 1) for i in np.flatnonzero(copy)]
    labels = points[face] + rng.normal(0, NOISE_SD, (n, len(LANDMARKS), 2))
    labels += np.where(second[:, None], CONVENTIONS[1], CONVENTIONS[0])[:, None]
    gross = rng.random(n) < GROSS
    for i in np.flatnonzero(gross):
        if rng.random() < 0.5:
            labels[i, :2] = labels[i, 1::-1]  # left and right confused
        else:
            labels[i, rng.integers(0, 2)] += rng.normal(0, 12, 2)
    labels[~_present(rng, n)] = np.nan
    return _Rows(face, labels, gross, copy)


def _present(rng: np.random.Generator, n: int) -> Array:
    """Which points are labelled, (n, 15): the first third has nearly all, the others four."""
    core = np.isin(LANDMARKS, CORE)
    detailed = np.arange(n) < first_part(n)
    present = core[None] | (detailed[:, None] & (rng.random((n, len(LANDMARKS))) > 0.004))
    for name, count in ODD.items():
        present[:, LANDMARKS.index(name)] &= rng.random(n) >= count / 7049
    return present
