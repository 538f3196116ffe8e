"""Where faces come from: a folder, Kaggle, or the synthetic faces. Taught in notebook 01."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hglib.data import EYES, LANDMARKS, Faces
from hglib.datasets import conventions
from hglib.datasets.cache import synthetic_folder
from hglib.datasets.kaggle import find_files, read_kaggle

# A numbered version: the same images for everyone, and no question to the network once they are
# in the cache.
KAGGLE_HANDLE = "drgilermo/face-images-with-marked-landmark-points/versions/1"


def load(
    source: str | os.PathLike[str] | None = None,
    landmarks: str | Iterable[str] = "eyes",  # the two points of this course
    first_pixel: int = 1,  # Kaggle's labels call the first pixel 1
    n_synthetic: int = 2000,  # enough to train on, drawn in seconds
    seed: int = 0,
    verbose: bool = True,
    labels: str | None = None,  # in pixels, empty where missing, and checked
    harmonise: bool = False,  # labels as the file has them: what a notebook asks is the file
) -> Faces:
    """Faces from the first source there is; one printed line says which.

    1. `source`: a folder, an .npz file (labels beside it), a training.csv, or the word "synthetic";
    2. the environment variable HGLIB_DATA, which takes the same;
    3. Kaggle, where kagglehub is installed and has the data in its cache or can download them;
    4. the built-in synthetic faces (`n_synthetic` of them, drawn from `seed`), kept in
       HGLIB_CACHE or ~/.cache/hglib.

    No row is dropped: missing points are NaN.
    Data: https://www.kaggle.com/datasets/drgilermo/face-images-with-marked-landmark-points

    Args:
        landmarks: "eyes", "all", one name or several of LANDMARKS.
        first_pixel: what the file calls the centre of the first pixel, 1 or 0; it is subtracted
            here, once, whatever the unit.
        labels: how the file's labels are written where they are not pixels with empty cells for
            what is missing: words with commas between them, "fraction" (0..1 of the side),
            "signed" (-1..1), "centred" (-0.5..0.5), "percent", "missing=0" (or another number in
            both cells), "swapped" (left and right), "yx" (x and y). "unchecked": taken as the other
            words say, and not refused where they look like something else.
        harmonise: move labels of two conventions to their mean where the faces show that there are
            two, and say so in a line (`hglib.datasets.conventions`); some seconds.

    Raises:
        FileNotFoundError, ValueError: naming the file, row or column and the remedy.

    >>> load("synthetic", n_synthetic=20, verbose=False).images.shape
    (20, 96, 96)
    """
    names = _landmark_names(landmarks)
    if first_pixel not in (0, 1):
        raise ValueError(f"first_pixel={first_pixel!r}: expected 1 (Kaggle's files) or 0")
    path, described = _choose_source(source, n_synthetic, seed, verbose)
    try:
        images, points = read_kaggle(path, names, labels)
    except FileNotFoundError:
        # The cache was emptied in the meantime: drawn once more. Another file is really gone.
        path, described = _choose_source(source, n_synthetic, seed, verbose=False)
        images, points = read_kaggle(path, names, labels)
    points = (points - first_pixel).astype(np.float32)  # (N, K, 2), 0-based from here on
    faces = Faces(images, points, names, np.arange(len(images)), described)
    if verbose:
        print(f"Data: {faces.source}: {faces._counts()}")
    if not harmonise:
        return faces
    faces, finding = conventions.harmonise(faces)
    if verbose:
        print(finding.line())
    return faces


def locate(
    source: str | os.PathLike[str] | None = None, n_synthetic: int = 2000, seed: int = 0
) -> Path:
    """The folder or file that `load` reads, for whoever wants to open it by hand.

    Sources, defaults and errors as for `load`; the synthetic files are drawn first where the cache
    does not have them. `hglib.datasets.kaggle.find_files` tells the files apart.

    >>> sorted(path.name for path in locate("synthetic", n_synthetic=20).iterdir())
    ['face_images.npz', 'facial_keypoints.csv', 'manifest.json', 'truth.csv']
    """
    return _choose_source(source, n_synthetic, seed, verbose=False)[0]


def _landmark_names(landmarks: str | Iterable[str]) -> tuple[str, ...]:
    named = {"eyes": EYES, "all": LANDMARKS}
    names = named.get(landmarks, (landmarks,)) if isinstance(landmarks, str) else tuple(landmarks)
    unknown = [name for name in names if name not in LANDMARKS]
    if unknown or not names or len(set(names)) < len(names):
        problem = f"unknown: {unknown}" if unknown else "expected different names, at least one"
        raise ValueError(
            f'landmarks={landmarks!r}: {problem}; choose "eyes", "all" or from {LANDMARKS}'
        )
    return names


def _choose_source(
    source: str | os.PathLike[str] | None, count: int, seed: int, verbose: bool
) -> tuple[Path, str]:
    """The path to read and its description in words."""
    named = "source"
    if source is None and os.environ.get("HGLIB_DATA"):
        source, named = os.environ["HGLIB_DATA"], "HGLIB_DATA"
    if source is None:
        path = _ask_kaggle(verbose)
        if path is not None:
            return path, f"Kaggle ({KAGGLE_HANDLE})"
        source = "synthetic"
    if str(source) == "synthetic":
        folder = synthetic_folder(count, seed, progress=verbose and count > 2000)
        return folder, f"synthetic faces (n={count}, seed={seed})"
    try:
        path = Path(source).expanduser()
    except RuntimeError as error:  # "~nobody", or no home folder
        raise FileNotFoundError(f"{named}={os.fspath(source)!r}: {error}") from error
    try:
        find_files(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{named}={os.fspath(source)!r}: {error}") from error
    return path, f"HGLIB_DATA ({source})" if named == "HGLIB_DATA" else str(source)


def _ask_kaggle(verbose: bool) -> Path | None:
    try:
        import kagglehub

        return Path(kagglehub.dataset_download(KAGGLE_HANDLE))
    except ImportError:
        reason = "kagglehub is not installed (pip install kagglehub)"
    except Exception as error:  # kagglehub passes on whatever the network layer raises
        said = textwrap.shorten(str(error), 100, placeholder="...")
        reason = f"the download failed ({type(error).__name__}: {said})"
    if verbose:
        print(f"Kaggle not used: {reason}")
    return None
