"""What a set of faces says about itself: copies, label noise, shifted labels, doubtful ones.

Nothing here looks at a network. Axes: N faces, K landmarks, H rows, W columns, P pairs. Points are
(x, y) in image pixels, 0-based; NaN means missing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from hglib.data import EYES, Faces
from hglib.datasets.split import duplicate_groups
from hglib.metrics import errors_px, inter_ocular, mean_position_baseline

MAD_TO_SD = 1.4826  # a normal distribution's sd over its median absolute deviation
REACH_X, REACH_Y = 12, 8  # pixels to each side of an eye: the eye and its brow, not the other eye
MAX_SHIFT = 6  # pixels that two average eyes are slid against each other
CORE_POINTS = 4  # the real files label two kinds of rows: with 4 points, and with up to 15
TENTHS = 10  # parts whose scatter gives a standard error, to one figure
REAL_DATA = Path(__file__).parent / "real_data.json"


def copy_pairs(images: np.ndarray) -> np.ndarray:
    """(P, 2) int: every image that equals an earlier one, after the first image it equals.

    images (N, H, W) uint8; only exact copies count.

    >>> grey = np.zeros((4, 96, 96), np.uint8)
    >>> grey[1] = 7
    >>> copy_pairs(grey).tolist()
    [[0, 2], [0, 3]]
    """
    first: dict[bytes, int] = {}
    seen = [first.setdefault(image.tobytes(), row) for row, image in enumerate(images)]
    pairs = [(earlier, row) for row, earlier in enumerate(seen) if earlier != row]
    return np.array(pairs, dtype=int).reshape(-1, 2)


def label_noise(points: np.ndarray, pairs: np.ndarray) -> float:
    """Standard deviation of one label along one axis, in pixels, from images labelled twice.

    points (N, K, 2), pairs (P, 2). The difference of two independent labels varies by sqrt(2) times
    what each varies. It is taken from the median absolute difference, which a few gross
    errors cannot move. Raises ValueError where no pair has two labels.

    >>> points = np.random.default_rng(0).normal(40, 0.5, (2000, 2, 2))
    >>> round(label_noise(points, np.arange(2000).reshape(-1, 2)), 1)
    0.5
    """
    difference = points[pairs[:, 1]] - points[pairs[:, 0]]  # (P, K, 2)
    difference = difference[np.isfinite(difference)]
    if not difference.size:
        raise ValueError(f"label_noise: none of the {len(pairs)} pairs has two labels to compare")
    return float(MAD_TO_SD * np.median(np.abs(difference)) / np.sqrt(2))


def mean_patch(images: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(17, 25) float64: the mean of what lies around one landmark, nearest pixel in the middle.

    images (N, H, W), points (N, 2). A point that is missing or nearer to the border than the patch
    reaches is left out. Rounding to pixels moves single patches by up to half a pixel and their
    mean by nothing. Raises ValueError where no point is left.

    >>> column = np.broadcast_to(np.arange(96, dtype=np.uint8), (2, 96, 96))
    >>> mean_patch(column, np.array([[40.0, 30.0], [50.0, 31.0]]))[8, 10:15].tolist()
    [43.0, 44.0, 45.0, 46.0, 47.0]
    """
    height, width = images.shape[1:]
    finite = np.isfinite(points).all(axis=1)
    x, y = np.rint(np.where(finite[:, None], points, -1)).astype(int).T  # (N,) each
    inside = (x >= REACH_X) & (x < width - REACH_X) & (y >= REACH_Y) & (y < height - REACH_Y)
    chosen = np.flatnonzero(finite & inside)
    if not len(chosen):
        raise ValueError(f"mean_patch: none of the {len(points)} points has a patch around it")
    total = np.zeros((2 * REACH_Y + 1, 2 * REACH_X + 1))
    for n in chosen:
        rows = slice(y[n] - REACH_Y, y[n] + REACH_Y + 1)
        total += images[n, rows, x[n] - REACH_X : x[n] + REACH_X + 1]
    return total / len(chosen)


def mirror_match(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slide the mirrored right eye over the left one: shifts (S,) in pixels, correlations (S,).

    left, right: patches of `mean_patch`, (17, 25).
    """
    mirrored, width = right[:, ::-1], right.shape[1]
    shifts = np.arange(-MAX_SHIFT, MAX_SHIFT + 1)
    middle = left[:, MAX_SHIFT : width - MAX_SHIFT].ravel()
    slid = [mirrored[:, MAX_SHIFT + s : width - MAX_SHIFT + s].ravel() for s in shifts]
    return shifts, np.array([np.corrcoef(middle, other)[0, 1] for other in slid])


def label_shift(faces: Faces) -> float:
    """How many pixels the eye labels lie to the right of the eyes, judged by symmetry alone.

    A subject's two eyes are mirror images of each other, on average over many faces. Labels that
    all lie b pixels to the right show both eyes b pixels to the left of their patches' middles;
    mirroring one of them turns that into 2 b between the two, wherever the images were cropped.
    Says nothing about y. Positive: labels too far right. Loaded with first_pixel=0, the answer is
    the number to subtract. Raises ValueError without both eyes, and where the labels are further
    off than 3 px.

    >>> from hglib.datasets import load
    >>> faces = load("synthetic", n_synthetic=20, first_pixel=0, verbose=False)
    >>> 0 < label_shift(faces) < 2
    True
    """
    absent = [name for name in EYES if name not in faces.landmarks]
    if absent:
        raise ValueError(f"label_shift: {absent[0]} was not loaded; load both eyes")
    left, right = (
        mean_patch(faces.images, faces.points[:, faces.landmarks.index(name)]) for name in EYES
    )
    shifts, match = mirror_match(left, right)
    best = int(match.argmax())
    if best in (0, len(shifts) - 1):
        raise ValueError(f"label_shift: the eyes do not match within {MAX_SHIFT // 2} px")
    before, top, after = match[best - 1 : best + 2]
    fraction = (before - after) / (before - 2 * top + after) / 2  # vertex of a parabola
    return float(shifts[best] + fraction) / 2


def label_shift_parts(eyes: Faces, part: np.ndarray) -> tuple[float, float]:
    """`label_shift` of one part (N,) bool less that of the others, and its standard error, px.

    The error is from the scatter of tenths. NaN for both where the mirror cannot decide.
    """
    shift, variance = 0.0, 0.0
    try:
        for sign, some in ((1, eyes[part]), (-1, eyes[~part])):
            tenths = [label_shift(some[start::TENTHS]) for start in range(TENTHS)]
            shift += sign * label_shift(some)
            variance += np.var(tenths, ddof=1) / TENTHS
    except ValueError:  # the eyes of some tenth do not match
        return np.nan, np.nan
    return shift, float(np.sqrt(variance))


def eye_offsets(images: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """(N, 2) how far the eyes of each face lie from their labels, judged by the mean eye, px.

    images (N, H, W), eyes (N, 2, 2), left first. A third witness, for both axes and for each face,
    but only for differences: where the labels of all faces lie is not seen, since the mean eye lies
    there too. The patch around a label is the mean patch T moved by d, to first order T - d . grad
    T, and least squares give d (Lucas and Kanade, IJCAI 1981). Faces differ, which shrinks d a
    little; by how much is seen by moving all patches some pixels. NaN where a label is missing or
    too near the border; d is to be trusted up to about 2 px.
    """
    away = np.full(eyes.shape, np.nan)  # (N, 2, 2)
    reach = np.array([REACH_X, REACH_Y]) + 2  # patches are moved by up to two pixels
    for k in range(2):
        at = np.rint(np.where(np.isfinite(eyes[:, k]), eyes[:, k], -1)).astype(int)  # (N, 2)
        inside = ((at >= reach) & (at < np.array(images.shape[:0:-1]) - reach)).all(axis=1)
        if inside.any():
            found = _against_mean(images[inside], at[inside])
            away[inside, k] = found - (eyes[inside, k] - at[inside])
    return away.mean(axis=1)


def _against_mean(images: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(M, 2) by how much the patches around pixels `at` (M, 2) are moved against their mean."""
    mean = _patches(images, at).mean(axis=0)  # (17, 25)
    down, across = np.gradient(mean)
    solve = np.linalg.pinv(np.stack([across.ravel(), down.ravel()], axis=1))  # (2, 425)

    def moved(x: int, y: int) -> np.ndarray:
        return (mean - _patches(images, at + np.array([x, y]))).reshape(
            len(at), -1
        ) @ solve.T  # (M, 2)

    def response(x: int, y: int) -> np.ndarray:
        return np.median(moved(-x, -y) - moved(x, y), axis=0) / 2  # (2,)

    # Near the identity. From one and two pixels to the limit of small moves: Richardson.
    gain = [(4 * response(x, y) - response(2 * x, 2 * y) / 2) / 3 for x, y in ((1, 0), (0, 1))]
    return moved(0, 0) @ np.linalg.pinv(gain)


def _patches(images: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(M, 17, 25) float32: the surroundings of pixels (M, 2), each with mean 0 and sd 1."""
    x, y = at.T[..., None, None]  # (M, 1, 1) each
    down, across = np.mgrid[-REACH_Y : REACH_Y + 1, -REACH_X : REACH_X + 1]
    patch = images[np.arange(len(images))[:, None, None], y + down, x + across].astype(np.float32)
    patch -= patch.mean(axis=(1, 2), keepdims=True)
    return patch / np.maximum(patch.std(axis=(1, 2), keepdims=True), 1)


def sharpness(images: np.ndarray) -> np.ndarray:
    """(N,) contrast between neighbouring pixels over contrast four pixels apart: low is blurred.

    images (N, H, W). Noise counts as sharp; 0 for a image of one grey.

    >>> ramp = np.broadcast_to(np.arange(96, dtype=np.uint8), (1, 96, 96))
    >>> sharpness(np.concatenate([ramp, 90 * (ramp % 2)])).round(2).tolist()
    [0.25, 1.0]
    """
    grey = images.astype(np.int16)
    near = np.abs(np.diff(grey, axis=2)).mean(axis=(1, 2))
    far = np.abs(grey[:, :, 4:] - grey[:, :, :-4]).mean(axis=(1, 2))
    return near / np.maximum(np.maximum(far, near), 1e-6)


def doubt(faces: Faces) -> np.ndarray:
    """(N,) how strange the eye labels of each face are, in robust standard deviations.

    Each eye is predicted from the other points that most faces have (a straight-line fit, repeated
    without the faces that do not follow it); a label far from its prediction is doubtful. NaN where
    a point is missing. Both eyes must be loaded; other landmarks help. Raises ValueError without
    both eyes or where fewer than 50 faces have the points.

    >>> from hglib.datasets import load
    >>> faces = load("synthetic", "all", n_synthetic=200, verbose=False)
    >>> faces.points[7, :2] = faces.points[7, 1::-1]  # left and right confused
    >>> int(np.nanargmax(doubt(faces)))
    7
    """
    absent = [name for name in EYES if name not in faces.landmarks]
    if absent:
        raise ValueError(f"doubt: {absent[0]} was not loaded; load both eyes")
    common = faces.present.mean(axis=0) > 0.9
    worst = np.zeros(len(faces))
    for name in EYES:
        eye = faces.landmarks.index(name)
        others = [k for k in np.flatnonzero(common) if k != eye]
        worst = np.maximum(worst, _strangeness(faces.points, eye, others))  # NaN stays
    return worst


def _strangeness(points: np.ndarray, eye: int, others: list[int]) -> np.ndarray:
    """(N,) largest robust z of the residuals of one landmark predicted from others."""
    known = points[:, others].reshape(len(points), -1).astype(float)  # (N, 2 len(others))
    known = np.column_stack([known, np.ones(len(points))])
    target = points[:, eye].astype(float)  # (N, 2)
    complete = np.isfinite(known).all(axis=1) & np.isfinite(target).all(axis=1)
    if complete.sum() < 50:
        raise ValueError(f"doubt: {complete.sum()} faces have the points; 50 are needed for a fit")
    kept, z = complete, np.zeros(len(points))
    for _ in range(3):  # the second fit already leaves the gross errors out, the third settles
        fit = np.linalg.lstsq(known[kept], target[kept], rcond=None)[0]
        away = np.abs(target - known @ fit)  # (N, 2)
        z = (away / (MAD_TO_SD * np.median(away[kept], axis=0))).max(axis=1)
        kept = complete & (z < 4)
    return z


# ---- all figures of one data set ------------------------------------------------------------


def describe(faces: Faces) -> dict[str, Any]:
    """Every figure of notebook 01 for one data set, ready for JSON; distances in pixels.

    Load with landmarks="all": rows with more than 4 points are described apart from the others.
    Raises ValueError where there are too few faces; some hundreds are enough.
    """
    eyes = _eyes(faces)
    ruler = inter_ocular(eyes.points)
    off = errors_px(mean_position_baseline(eyes.points, len(eyes)), eyes.points)
    many = faces.present.sum(axis=1) > CORE_POINTS
    groups = duplicate_groups(faces.images)
    present = faces.present.sum(axis=0).tolist()
    return {
        "faces": len(faces),
        "both_eyes": int(eyes.present.all(axis=1).sum()),
        "complete": int(faces.present.all(axis=1).sum()),
        "labelled": dict(zip(faces.landmarks, present, strict=True)),
        "eyes_mean": _rounded(np.nanmean(eyes.points, axis=0)),
        "eyes_sd": _rounded(np.nanstd(eyes.points, axis=0)),
        "inter_ocular": {"mean": _rounded(np.nanmean(ruler)), "sd": _rounded(np.nanstd(ruler))},
        "mean_position_error": {
            "mean": _rounded(np.nanmean(off)),
            "median": _rounded(np.nanmedian(off)),
        },
        "copies": _describe_copies(eyes),
        "near_duplicate_groups": len(np.unique(groups)),
        "groups_with_both_kinds_of_rows": len(np.intersect1d(groups[many], groups[~many])),
        "doubtful_above_6_sd": int((doubt(faces) > 6).sum()),
        "rows_with_more_than_4_points": _describe_part(eyes[many]),
        "rows_with_4_points_or_fewer": _describe_part(eyes[~many]),
    }


def _eyes(faces: Faces) -> Faces:
    where = [faces.landmarks.index(name) for name in EYES]
    return Faces(faces.images, faces.points[:, where], EYES, faces.rows, faces.source)


def _describe_copies(eyes: Faces) -> dict[str, Any]:
    pairs = copy_pairs(eyes.images)
    apart = errors_px(eyes.points[pairs[:, 1]], eyes.points[pairs[:, 0]])  # (P, K), inf: unlabelled
    apart = apart[np.isfinite(apart)]
    return {
        "images": len(np.unique(pairs[:, 0])),
        "extra": len(pairs),
        "distance_median": _rounded(np.median(apart)),
        "distance_mean": _rounded(apart.mean()),
        "noise_sd_per_axis": _rounded(label_noise(eyes.points, pairs)),
    }


def _describe_part(eyes: Faces) -> dict[str, Any]:
    tenths = [label_shift(eyes[start::TENTHS]) for start in range(TENTHS)]
    order = np.argsort(sharpness(eyes.images), kind="stable")
    return {
        "faces": len(eyes),
        "first_row": int(eyes.rows.min()),
        "last_row": int(eyes.rows.max()),
        "mid_point_x": _rounded(np.nanmean(eyes.points[..., 0].mean(axis=1))),
        "label_shift": _rounded(label_shift(eyes)),
        "label_shift_se": _rounded(np.std(tenths, ddof=1) / np.sqrt(TENTHS)),
        "label_shift_blurred_to_sharp": [
            _rounded(label_shift(eyes[third])) for third in np.array_split(order, 3)
        ],
    }


def _rounded(value: Any) -> Any:
    return np.round(np.asarray(value, float), 2).tolist()


def real_data() -> dict[str, Any]:
    """What `describe` found in Kaggle's files; hglib ships the figures, not the images.

    >>> real_data()["faces"]
    7049
    """
    return json.loads(REAL_DATA.read_text(encoding="utf-8"))
