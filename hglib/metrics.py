"""Metrics: how far are the decoded points from the true ones, in image pixels?

`pred` and `true` are (N, K, 2): N faces, K landmarks, (x, y). Not finite in `true` is an unlabelled
point, left out of everything; not finite in `pred`, where there is a label, a point *not found*:
its error is infinite, so it misses every threshold; means and medians are over the points found.
Shares are in [0, 1]. `eyes` numbers the two eye centres; None means (0, 1) of two landmarks, else
"no eyes", and all that is measured in inter-ocular distances is NaN. Notebook 05_evaluation.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Eyes = tuple[int, int] | None

BIOID_THRESHOLDS = (0.025, 0.05, 0.10, 0.25)  # about: pupil, iris, eye, "somewhere on the eye"
NME_LIMIT = 0.10  # beyond it a face counts as failed: the custom of 300W and COFW (FR@0.1)


def errors_px(pred: ArrayLike, true: ArrayLike) -> Array:
    """Distance of every point from its label (N, K): NaN without a label, inf where not found.

    >>> errors_px([[[3.0, 4.0], [np.nan, 0.0]]], [[[0.0, 0.0], [5.0, 5.0]]])
    array([[ 5., inf]])
    """
    pred, true = _pair(pred, true)
    labelled = np.isfinite(true).all(axis=-1)  # (N, K)
    found = np.isfinite(pred).all(axis=-1)  # (N, K)
    difference = np.where((labelled & found)[..., None], pred - true, 0)  # (N, K, 2)
    distance = np.hypot(difference[..., 0], difference[..., 1])
    return np.where(labelled, np.where(found, distance, np.inf), np.nan)


def inter_ocular(true: ArrayLike, eyes: Eyes = None) -> Array:
    """Distance (N,) between the two eye centres, the field's ruler; NaN where an eye is unlabelled.

    Raises ValueError when the eyes of a face coincide or `eyes` are not two landmarks.
    """
    true = _points("true", true)
    pair = _eye_pair(true.shape[1], eyes)
    if pair is None:
        return np.full(len(true), np.nan)
    first, second = (true[:, eye] for eye in pair)  # (N, 2) each
    distance = np.hypot(*(first - second).T)
    if len(faces := np.flatnonzero(distance == 0)):
        at = first[faces[0]]
        raise ValueError(f"both eyes of face {faces[0]} are at {at}; their distance is 0")
    return distance


def nme(pred: ArrayLike, true: ArrayLike, eyes: Eyes = None) -> Array:
    """Normalised mean error of every face (N,): mean distance over its labels / inter-ocular.

    NaN without both eye labels, inf when a labelled point was not found.

    >>> nme([[[67.8, 37.0], [30.0, 37.0]]], [[[66.0, 37.0], [30.0, 37.0]]]).round(4)
    array([0.025])
    """
    errors, ruler = errors_px(pred, true), inter_ocular(true, eyes)
    labelled = ~np.isnan(errors)
    total = np.where(labelled, errors, 0).sum(axis=1)
    return total / np.maximum(labelled.sum(axis=1), 1) / ruler  # (N,)


def worst_eye(pred: ArrayLike, true: ArrayLike, eyes: Eyes = None) -> Array:
    """Jesorsky's error of every face (N,): max(left, right) / inter-ocular distance.

    NaN without both eye labels, inf when an eye was not found. Source: Jesorsky et al. 2001,
    "Robust face detection using the Hausdorff distance", section 4.
    """
    errors, ruler = errors_px(pred, true), inter_ocular(true, eyes)
    pair = _eye_pair(errors.shape[1], eyes) or ()  # no eyes: NaN throughout, as the ruler is
    return errors[:, list(pair)].max(axis=1, initial=0) / ruler  # (N,)


def bioid(
    pred: ArrayLike,
    true: ArrayLike,
    thresholds: Sequence[float] = BIOID_THRESHOLDS,
    eyes: Eyes = None,
) -> dict[float, float]:
    """Share of the faces with both eyes labelled whose worst eye is within each threshold.

    >>> bioid([[[67.0, 37.0], [30.0, 37.0]]], [[[66.0, 37.0], [30.0, 37.0]]], (0.025, 0.05))
    {0.025: 0.0, 0.05: 1.0}
    """
    worst = worst_eye(pred, true, eyes)
    worst = worst[~np.isnan(worst)]
    return {threshold: _mean(worst <= threshold) for threshold in thresholds}


def auc(values: ArrayLike, limit: float = NME_LIMIT) -> float:
    """Area under the curve of the share of values at most x, x up to `limit`; at best 1.

    NaN is left out. Exact, not by trapezia: a value v adds the part of 0..limit that lies above it.
    """
    return float(np.clip(1 - _values(values, limit) / limit, 0, 1).mean())


def failure_rate(values: ArrayLike, limit: float = NME_LIMIT) -> float:
    """Share of values above `limit`, inf too, NaN left out; of NME the FR@0.1 of 300W and COFW."""
    return float((_values(values, limit) > limit).mean())


def kaggle_rmse(pred: ArrayLike, true: ArrayLike) -> float:
    """The competition's score: root of the mean squared error per *coordinate*, in pixels.

    Over the coordinates labelled and found: for whole points, root-mean-square distance / sqrt(2).

    >>> kaggle_rmse([[[3.0, 4.0]]], [[[0.0, 0.0]]]) == (25 / 2) ** 0.5
    True
    """
    pred, true = _pair(pred, true)
    both = np.isfinite(pred) & np.isfinite(true)
    return _mean((pred[both] - true[both]) ** 2) ** 0.5


def mean_position_baseline(train_points: ArrayLike, n: int) -> Array:
    """The answer that ignores the image: the mean labelled position, `n` times: (n, K, 2).

    Raises ValueError for a landmark without a single label.
    """
    points = _points("train_points", train_points)
    labelled = np.isfinite(points).all(axis=-1, keepdims=True)  # (N, K, 1)
    counts = labelled.sum(axis=0)  # (K, 1)
    if len(missing := np.flatnonzero(counts == 0)):
        raise ValueError(f"landmark {missing[0]} has no label in train_points; leave it out")
    mean = np.where(labelled, points, 0).sum(axis=0) / counts  # (K, 2)
    return np.tile(mean, (n, 1, 1))


def risk_coverage(errors: ArrayLike, confidence: ArrayLike) -> tuple[Array, Array]:
    """(coverage, risk): the share of answers kept, most confident first, and their mean error.

    Equal confidences are kept together; NaN errors are left out.

    >>> risk_coverage([1.0, 2.0, 9.0, 4.0], [0.9, 0.8, 0.1, 0.8])
    (array([0.25, 0.75, 1.  ]), array([1.        , 2.33333333, 4.        ]))
    """
    errors, confidence = _numbers(errors), _numbers(confidence)
    if errors.shape != confidence.shape:
        raise ValueError(f"errors are {errors.shape} but confidence is {confidence.shape}")
    kept = ~np.isnan(errors)
    errors, confidence = errors[kept], confidence[kept]
    if not len(errors) or np.isnan(confidence).any():
        raise ValueError("every error needs a confidence that is not NaN, and there must be one")
    order = np.argsort(-confidence)
    errors, confidence = errors[order], confidence[order]
    last = np.append(confidence[1:] != confidence[:-1], True)  # the last of each run of equals
    count = np.flatnonzero(last) + 1
    return count / len(errors), np.cumsum(errors)[last] / count


def bootstrap(
    values: ArrayLike,
    statistic: Callable[[Array], float] = np.nanmean,
    level: float = 0.95,
    repeats: int = 1000,  # the ends then move by a few per cent of the width from seed to seed
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile interval (low, high) of a statistic, by redrawing faces with replacement.

    `values` has one row per face: the eyes of a face fail together and stay together. To compare A
    with B give the differences on the same faces. Source: Efron 1979, "Bootstrap methods: another
    look at the jackknife".

    >>> low, high = bootstrap([0.0, 1.0] * 50)  # the share of heads in 100 throws: 0.5 +- 0.1
    >>> 0.39 < low < 0.42 and 0.58 < high < 0.61
    True
    """
    values = _numbers(values)
    if values.ndim == 0 or len(values) < 2:
        raise ValueError(f"values have shape {values.shape}; an interval needs two faces or more")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie between 0 and 1, such as 0.95")
    rng, n = np.random.default_rng(seed), len(values)
    drawn = [statistic(values[rng.integers(0, n, n)]) for _ in range(repeats)]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Report:
    """All figures of one evaluation; made by `evaluate`. Shares in [0, 1], distances in px."""

    n: int  # faces with at least one label
    found: float  # share of the labelled points with a prediction
    mean_px: float  # over the points found, as the next three
    median_px: float
    rmse_px: float  # root-mean-square distance
    kaggle_rmse: float  # per coordinate
    nme: float  # mean over the faces with all their labelled points found
    e025: float  # share of faces with worst-eye error <= .025, and so on
    e05: float
    e10: float
    e25: float
    auc: float  # of the NME curve up to .10
    failure_rate: float  # share of faces with NME > .10
    aurc_px: float  # mean error averaged over all coverages; NaN without confidences

    def row(self) -> dict[str, float]:
        """The figures by name, for a table or JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.n} faces, {self.found:.1%} of points found, mean {self.mean_px:.2f} px, "
            f"median {self.median_px:.2f} px, NME {self.nme:.2%}, "
            f"e<=.05 {self.e05:.1%}, e<=.10 {self.e10:.1%}, failures {self.failure_rate:.1%}"
        )


def evaluate(
    pred: ArrayLike, true: ArrayLike, confidence: ArrayLike | None = None, eyes: Eyes = None
) -> Report:
    """Every figure of this module for one set of predictions.

    `confidence` (N, K) gives the risk-coverage area. Raises ValueError for shapes that do not fit,
    no labelled point at all, or the two eyes of a face in one place.
    """
    errors = errors_px(pred, true)  # (N, K)
    labelled, found = ~np.isnan(errors), np.isfinite(errors)
    if not labelled.any():
        raise ValueError(f"none of the {errors.size} true points is labelled; nothing to measure")
    distances, normalised = errors[found], nme(pred, true, eyes)
    shares = bioid(pred, true, BIOID_THRESHOLDS, eyes).values()
    with_eyes = not np.isnan(normalised).all()
    return Report(
        n=int(labelled.any(axis=1).sum()),
        found=float(found.sum() / labelled.sum()),
        mean_px=_mean(distances),
        median_px=float(np.median(distances)) if len(distances) else float("nan"),
        rmse_px=_mean(distances**2) ** 0.5,
        kaggle_rmse=kaggle_rmse(pred, true),
        nme=_mean(normalised[np.isfinite(normalised)]),
        **dict(zip(("e025", "e05", "e10", "e25"), shares, strict=True)),
        auc=auc(normalised) if with_eyes else float("nan"),
        failure_rate=failure_rate(normalised) if with_eyes else float("nan"),
        aurc_px=_aurc(errors, found, confidence),
    )


def _aurc(errors: Array, found: NDArray[np.bool_], confidence: ArrayLike | None) -> float:
    """Area under the risk-coverage curve of the points found."""
    if confidence is None or not found.any():
        return float("nan")
    confidence = _numbers(confidence)
    if confidence.shape != errors.shape:
        raise ValueError(f"confidence is {confidence.shape}; expected (N, K) = {errors.shape}")
    coverage, risk = risk_coverage(errors[found], confidence[found])
    return float((risk * np.diff(coverage, prepend=0)).sum())


def _mean(values: NDArray) -> float:
    """The mean, or NaN (without numpy's warning) of nothing."""
    return float(values.mean()) if values.size else float("nan")


def _numbers(values: ArrayLike) -> Array:
    """As float64; what a masked array hides is NaN."""
    if isinstance(values, np.ma.MaskedArray):
        values = values.astype(float).filled(np.nan)
    return np.asarray(values, dtype=float)


def _points(name: str, points: ArrayLike) -> Array:
    points = _numbers(points)
    if points.ndim != 3 or points.shape[-1] != 2:
        raise ValueError(f"{name} has shape {points.shape}; expected (N, K, 2): faces, points, x y")
    if points.size == 0:
        raise ValueError(f"{name} has shape {points.shape}: there is no point in it")
    return np.where(np.isfinite(points), points, np.nan)


def _pair(pred: ArrayLike, true: ArrayLike) -> tuple[Array, Array]:
    pred, true = _points("pred", pred), _points("true", true)
    if pred.shape != true.shape:
        raise ValueError(f"pred has shape {pred.shape} but true has shape {true.shape}")
    return pred, true


def _eye_pair(landmarks: int, eyes: Eyes) -> tuple[int, int] | None:
    if eyes is None:
        return (0, 1) if landmarks == 2 else None
    if len(eyes) != 2 or len(set(eyes)) != 2 or not all(0 <= eye < landmarks for eye in eyes):
        raise ValueError(f"eyes is {eyes}; expected two different numbers below {landmarks}")
    return eyes


def _values(values: ArrayLike, limit: float) -> Array:
    values = _numbers(values).ravel()
    values = values[~np.isnan(values)]
    if not len(values) or (values < 0).any():
        raise ValueError("values must hold at least one number that is not NaN, and none below 0")
    if not 0 < limit < np.inf:
        raise ValueError(f"limit is {limit}; it must be positive and finite")
    return values
