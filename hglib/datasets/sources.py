"""Where faces come from: a folder, Kaggle, or the synthetic faces, drawn once and kept."""

from __future__ import annotations

import os
import shutil
import tempfile
import textwrap
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hglib.data import EYES, LANDMARKS, Faces
from hglib.datasets.kaggle import find_files, read_kaggle

# A numbered version: the same pictures for everyone, and no question to the network once they are
# in the cache.
KAGGLE_HANDLE = "drgilermo/face-images-with-marked-landmark-points/versions/1"


def load(
    source: str | os.PathLike[str] | None = None,
    landmarks: str | Iterable[str] = "eyes",  # the two points of this course
    first_pixel: int = 1,  # Kaggle's labels call the first pixel 1
    n_synthetic: int = 2000,  # enough to train on, drawn in seconds
    seed: int = 0,
    verbose: bool = True,
) -> Faces:
    """Faces from the first source there is; one printed line says which.

    1. `source`: a folder, an .npz file (labels beside it), a training.csv, or the word "synthetic";
    2. the environment variable HGLIB_DATA, which takes the same;
    3. Kaggle, where kagglehub is installed and has the data in its cache or can download them;
    4. the built-in synthetic faces (`n_synthetic` of them, drawn from `seed`), kept in
       HGLIB_CACHE or ~/.cache/hglib.

    landmarks: "eyes", "all", one name or several of LANDMARKS. first_pixel: what the file calls the
    centre of the first pixel, 1 or 0; it is subtracted here, once. No row is dropped: missing
    points are NaN. Raises FileNotFoundError or ValueError naming the file, row or column and the
    remedy. Data: https://www.kaggle.com/datasets/drgilermo/face-images-with-marked-landmark-points
    Taught in: 01_explore_the_data

    >>> load("synthetic", n_synthetic=20, verbose=False).images.shape
    (20, 96, 96)
    """
    names = _landmark_names(landmarks)
    if first_pixel not in (0, 1):
        raise ValueError(f"first_pixel={first_pixel!r}: expected 1 (Kaggle's files) or 0")
    path, described = _choose_source(source, n_synthetic, seed, verbose)
    images, points = read_kaggle(path, names)
    points = (points - first_pixel).astype(np.float32)  # (N, K, 2), 0-based from here on
    faces = Faces(images, points, names, np.arange(len(images)), described)
    if verbose:
        print(f"Data: {faces.source}: {faces._counts()}")
    return faces


def locate(
    source: str | os.PathLike[str] | None = None, n_synthetic: int = 2000, seed: int = 0
) -> Path:
    """The folder or file that `load` reads, for whoever wants to open it by hand.

    Sources, defaults and errors as for `load`; the synthetic files are drawn first where the cache
    does not have them. `hglib.datasets.kaggle.find_files` tells the files apart. Taught in:
    01_explore_the_data

    >>> sorted(path.name for path in locate("synthetic", n_synthetic=20).iterdir())
    ['face_images.npz', 'facial_keypoints.csv', 'truth.csv']
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
        return _synthetic_folder(count, seed), f"synthetic faces (n={count}, seed={seed})"
    path = Path(source).expanduser()
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


def _synthetic_folder(count: int, seed: int) -> Path:
    """Draws the synthetic faces into the cache, unless they are there already."""
    from hglib.datasets.synthetic import VERSION, write_kaggle_files

    if count < 1:
        raise ValueError(f"n_synthetic={count}: expected at least one face")
    cache = Path(os.environ.get("HGLIB_CACHE") or "~/.cache/hglib").expanduser()
    folder = cache / f"synthetic-v{VERSION}-n{count}-seed{seed}"
    if folder.is_dir():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=cache))
    except OSError as error:
        raise OSError(
            f"{cache}: cannot write ({error}); set HGLIB_CACHE to a folder of yours"
        ) from error
    try:
        write_kaggle_files(unfinished, count, seed)
        unfinished.rename(folder)  # all or nothing: an interrupted run leaves nothing to be read
    except OSError:
        if not folder.is_dir():  # otherwise another process was first, with the same files
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder
