"""Faces and their landmarks (notebook 01); `hglib.datasets` reads and splits them.

Axes: N faces, K landmarks, H rows, W columns. Points are (x, y) in image pixels, 0-based, with
pixel centres at integers; NaN means missing. "Left" is the subject's left, the larger x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LANDMARKS = (  # Kaggle's column order
    *("left_eye_center", "right_eye_center"),
    *("left_eye_inner_corner", "left_eye_outer_corner"),
    *("right_eye_inner_corner", "right_eye_outer_corner"),
    *("left_eyebrow_inner_end", "left_eyebrow_outer_end"),
    *("right_eyebrow_inner_end", "right_eyebrow_outer_end"),
    *("nose_tip", "mouth_left_corner", "mouth_right_corner"),
    *("mouth_center_top_lip", "mouth_center_bottom_lip"),
)
EYES = LANDMARKS[:2]


@dataclass(frozen=True, eq=False, repr=False)
class Faces:
    """Images with their landmarks. Indexing by slice, index array or mask gives Faces again.

    Raises ValueError where shapes or types disagree, a point is infinite, or an array is masked.

    >>> points = np.array([[[65, 37], [29, 37]], [[64, 36], [np.nan, np.nan]]], np.float32)
    >>> faces = Faces(np.zeros((2, 96, 96), np.uint8), points, EYES, np.arange(2), "an example")
    >>> faces
    <Faces: 2 faces of 96x96, 2 landmarks, 1 of 4 points missing; from an example>
    >>> faces[1:].present.tolist(), faces.mirror_order.tolist()
    ([[True, False]], [1, 0])
    """

    images: np.ndarray  # (N, H, W) uint8
    points: np.ndarray  # (N, K, 2) float32, (x, y) from 0, NaN where a point is missing
    landmarks: tuple[str, ...]  # K different names
    rows: np.ndarray  # (N,) the row that each face has in its source
    source: str  # where they came from, in words

    def __post_init__(self) -> None:
        size, names = np.shape(self.images), len(self.landmarks)
        wanted = {
            "images": (size if len(size) == 3 else "(N, H, W)", "uint8"),
            "points": ((*size[:1], names, 2), "float32"),  # one (x, y) for each image and landmark
            "rows": (size[:1], "integers"),
        }
        for name, (shape, kind) in wanted.items():
            got = getattr(self, name)
            if not isinstance(got, np.ndarray) or isinstance(got, np.ma.MaskedArray):
                given, remedy = type(got).__name__, "give a plain NumPy array, NaN where masked"
                raise ValueError(f"Faces.{name}: got a {given}: {remedy}")
            good = got.dtype == kind if kind != "integers" else got.dtype.kind in "iu"
            if got.shape != shape or not good:
                given = f"{got.shape} {got.dtype}"
                raise ValueError(f"Faces.{name}: got {given}, expected {shape} {kind}")
        if np.isinf(self.points).any():
            raise ValueError("Faces.points: some are infinite; a missing point is NaN")
        strings = all(isinstance(name, str) for name in self.landmarks)
        if isinstance(self.landmarks, str) or not strings or len(set(self.landmarks)) < names:
            raise ValueError(f"Faces.landmarks: got {self.landmarks!r}, expected different names")

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
        """(N, K) bool: which points are labelled, with both coordinates."""
        return np.isfinite(self.points).all(axis=-1)

    @property
    def mirror_order(self) -> np.ndarray:
        """(K,) int: in mirrored images, channel k shows what mirror_order[k] showed before."""
        swap, order = {"left": "right", "right": "left"}, []
        for name in self.landmarks:
            partner = "_".join(swap.get(word, word) for word in name.split("_"))
            if partner not in self.landmarks:
                raise ValueError(
                    f"mirroring turns {name} into {partner}, which was not loaded; "
                    "load both, or train without mirroring"
                )
            order.append(self.landmarks.index(partner))
        return np.array(order)
