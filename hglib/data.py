"""Faces and their landmarks: where they come from, which belong together, how they are split.

Axes: N faces, K landmarks, H rows, W columns. Points are (x, y) in picture pixels, 0-based, with
pixel centres at integers; NaN means missing. "Left" is the subject's left, the larger x. The file
formats are in `hglib.kaggle_files`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hglib.kaggle_files import find_files, read_kaggle
from hglib.synthetic.style import LANDMARKS

EYES = ("left_eye_center", "right_eye_center")
# A numbered version: the same pictures for everyone, and no question to the network once they are
# in the cache.
KAGGLE_HANDLE = "drgilermo/face-images-with-marked-landmark-points/versions/1"


@dataclass(frozen=True, eq=False, repr=False)
class Faces:
    """Pictures with their landmarks. Indexing by slice, index array or mask gives Faces again.

    images (N, H, W) uint8; points (N, K, 2) float32, 0-based (x, y), NaN missing; landmarks: K
    names; rows (N,) the row each face has in its source; source: where they came from, in words.
    Raises ValueError where shapes or types disagree. Taught in: 01_explore_the_data

    >>> points = np.array([[[65, 37], [29, 37]], [[64, 36], [np.nan, np.nan]]], np.float32)
    >>> faces = Faces(np.zeros((2, 96, 96), np.uint8), points, EYES, np.arange(2), "an example")
    >>> faces
    <Faces: 2 faces of 96x96, 2 landmarks, 1 of 4 points missing; from an example>
    >>> faces[1:].present.tolist(), faces.mirror_order.tolist()
    ([[True, False]], [1, 0])
    """

    images: np.ndarray
    points: np.ndarray
    landmarks: tuple[str, ...]
    rows: np.ndarray
    source: str

    def __post_init__(self) -> None:
        count, names = len(self.images), len(self.landmarks)
        wanted = {
            "images": (self.images.ndim == 3 and self.images.dtype == np.uint8, "(N, H, W) uint8"),
            "points": (
                self.points.shape == (count, names, 2) and self.points.dtype == np.float32,
                f"({count}, {names}, 2) float32: one (x, y) for each picture and landmark",
            ),
            "rows": (
                self.rows.shape == (count,) and self.rows.dtype.kind in "iu",
                f"({count},) integers",
            ),
        }
        for name, (good, expected) in wanted.items():
            if not good:
                got = getattr(self, name)
                raise ValueError(f"Faces.{name}: got {got.shape} {got.dtype}, expected {expected}")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice | int | np.ndarray) -> Faces:
        chosen = index if isinstance(index, slice) else np.atleast_1d(index)
        parts = (self.images[chosen], self.points[chosen], self.landmarks, self.rows[chosen])
        return Faces(*parts, self.source)

    def __repr__(self) -> str:
        return f"<Faces: {self._counts()}; from {self.source}>"

    def _counts(self) -> str:
        height, width = self.images.shape[1:]
        marks = f"{len(self.landmarks)} landmark{'s' * (len(self.landmarks) != 1)}"
        missing = f"{(~self.present).sum()} of {self.present.size} points missing"
        return f"{len(self)} faces of {width}x{height}, {marks}, {missing}"

    @property
    def present(self) -> np.ndarray:
        """(N, K) bool: which points are labelled."""
        return np.isfinite(self.points).all(axis=-1)

    @property
    def mirror_order(self) -> np.ndarray:
        """(K,) int: in mirrored pictures, channel k shows what mirror_order[k] showed before."""
        return np.array([self._mirrored(name) for name in self.landmarks])

    def _mirrored(self, name: str) -> int:
        swap = {"left": "right", "right": "left"}
        partner = "_".join(swap.get(word, word) for word in name.split("_"))
        if partner not in self.landmarks:
            raise ValueError(
                f"mirroring turns {name} into {partner}, which was not loaded; "
                "load both, or train without mirroring"
            )
        return self.landmarks.index(partner)


class Split(NamedTuple):
    """Three parts of the faces that share no picture. Taught in: 01_explore_the_data"""

    train: Faces
    validation: Faces
    test: Faces


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
    does not have them. `hglib.kaggle_files.find_files` tells the files apart. Taught in:
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
    from hglib.synthetic import VERSION, write_kaggle_files

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


def duplicate_groups(images: np.ndarray, threshold: float = 0.96) -> np.ndarray:
    """(N,) int: near-duplicate pictures share a number, the index of the first of them.

    images (N, H, W) uint8. Two pictures are near-duplicates where the normalised cross-correlation
    of their thumbnails (32x32 for 96x96 pictures) exceeds `threshold`; duplicates of duplicates
    join the same group. Pictures of one even grey, which have no correlation, form one group.
    Default .96: joins copies saved or cropped anew and neighbouring frames of one film, not
    different people.

    The same on every machine: thumbnails are integers, every sum below stays an integer under
    2**53, so float64 holds it exactly in whatever order it is summed. Raises ValueError where
    images or threshold are of another kind. Taught in: 01_explore_the_data

    >>> noise = np.random.default_rng(0).integers(0, 200, (3, 96, 96)).astype(np.uint8)
    >>> duplicate_groups(np.stack([noise[0], noise[1], noise[0] + 9, noise[2]])).tolist()
    [0, 1, 0, 3]
    """
    if images.ndim != 3 or images.dtype != np.uint8 or not 0 <= threshold < 1:
        raise ValueError(
            f"duplicate_groups: got images {images.shape} {images.dtype}, threshold {threshold}; "
            "expected (N, H, W) uint8 and a threshold from 0 to below 1"
        )
    cells = _thumbnails(images)  # (N, C), C cells each
    count = cells.shape[1]
    sums = cells.sum(axis=1)
    norms = np.sqrt(count * np.square(cells).sum(axis=1) - sums * sums)  # (N,)
    groups = np.arange(len(images))
    for start in range(
        0, len(images), 512
    ):  # 512 pictures against the rest at a time: about 100 MB
        some, rest = slice(start, start + 512), slice(start, None)
        covariance = count * (cells[some] @ cells[rest].T) - np.outer(sums[some], sums[rest])
        near = covariance > threshold * np.outer(norms[some], norms[rest])
        near |= np.logical_and.outer(norms[some] == 0, norms[rest] == 0)
        _join(groups, near, start)
    return groups


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """(N, C) float64 whole numbers: sums over blocks (32x32 blocks of 3x3 pixels for 96x96).

    Other sizes: blocks of H // 32 by W // 32 pixels, at least one; pixels at the edge that fill no
    block are left out.
    """
    count, height, width = images.shape
    high, wide = max(1, height // 32), max(1, width // 32)
    used = images[:, : height // high * high, : width // wide * wide]
    cells = np.zeros((count, height // high, width // wide), np.int64)
    for y in range(high):
        for x in range(wide):
            cells += used[:, y::high, x::wide]
    # Ninths of a grey level whatever the block: as 3x3 sums are, and bounded, so that large
    # pictures stay exact too.
    cells *= 9
    cells //= high * wide
    return cells.reshape(count, -1).astype(np.float64)


def _join(groups: np.ndarray, near: np.ndarray, start: int) -> None:
    """Merges in place: picture `start + i` joins the groups of all `start + j` near it."""
    for row in near:
        members = groups[start:][row]
        first = members.min()
        if (members != first).any():
            groups[np.isin(groups, members)] = first


def split(
    faces: Faces, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0
) -> Split:
    """Train, validation and test parts; near-duplicate pictures always stay together.

    A hash of `seed` and the smallest source row of a group decides where the group goes: no random
    generator, so the split is the same on every machine, and a face stays where it is when others
    are added. `fractions` are expected shares, so the parts' sizes differ from them a little.
    Raises ValueError for fractions that do not sum to 1 and for a part that comes out empty. Taught
    in: 01_explore_the_data

    >>> images = np.random.default_rng(0).integers(0, 256, (50, 96, 96)).astype(np.uint8)
    >>> faces = Faces(images, np.zeros((50, 2, 2), np.float32), EYES, np.arange(50), "noise")
    >>> sum(len(part) for part in split(faces))
    50
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions={fractions}: expected three numbers from 0 to 1 that sum to 1")
    groups = duplicate_groups(faces.images)
    smallest = faces.rows.copy()
    np.minimum.at(smallest, groups, faces.rows)
    places = np.array([_place(seed, row) for row in smallest[groups].tolist()])
    part = np.searchsorted(np.cumsum(fractions)[:2], places, side="right")
    for number, (name, fraction) in enumerate(zip(Split._fields, fractions, strict=True)):
        if fraction > 0 and not (part == number).any():
            raise ValueError(
                f"split: no face for {name}: {len(np.unique(groups))} groups are too few for "
                f"{fractions}; use more faces or another seed"
            )
    return Split(*(faces[part == number] for number in range(3)))


def _place(seed: int, row: int) -> float:
    """A number from 0 to below 1 that depends on seed and row alone."""
    digest = hashlib.sha256(f"{seed}:{row}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32
