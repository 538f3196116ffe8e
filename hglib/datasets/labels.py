"""What the numbers of a label table mean: their unit, what stands for missing, which side is which.

Raw labels are (N, K, 2) float64 as the file has them. The evidence is always that of the whole set
(shares of all points, of all faces), so that a single odd face never stops a good set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hglib.data import EYES, LANDMARKS

UNITS = {  # unit: (scale, offset), pixels = (label * scale + offset) * side of the image
    "fraction": (1.0, 0.0),
    "signed": (0.5, 0.5),
    "centred": (1.0, 0.5),
    "percent": (0.01, 0.0),
}
RANGES = {
    "fraction": "0 to 1",
    "signed": "-1 to 1",
    "centred": "-0.5 to 0.5",
    "percent": "0 to 100, per cent",
}
SIDES = {"left": "right", "right": "left"}
NEARLY_ALL = 0.9
ENOUGH = 3  # faces that must agree before sides or axes are called swapped
ENOUGH_TO_LOOK = 40  # faces whose pixels must be looked at before pixels are called per cent


@dataclass(frozen=True)
class Reading:
    """How a label table is to be read: the words of `load(labels=...)`.

    >>> Reading.parse("fraction, missing=0")
    Reading(unit='fraction', missing=0.0, swapped=False, yx=False, checked=True)
    """

    unit: str = "pixels"
    missing: float | None = None
    swapped: bool = False
    yx: bool = False
    checked: bool = True

    @classmethod
    def parse(cls, text: str | None) -> Reading:
        """From words with commas between them; raises ValueError for any other word."""
        found: dict[str, object] = {}
        for word in (text or "").replace(" ", "").split(",") if text else ():
            name, _, value = word.partition("=")
            if word in (*UNITS, "pixels") and "unit" not in found:
                found["unit"] = word
            elif word in ("swapped", "yx"):
                found[word] = True
            elif word == "unchecked":
                found["checked"] = False
            elif name == "missing" and "missing" not in found and _is_number(value):
                found["missing"] = float(value)
            else:
                raise ValueError(
                    f"labels={text!r}: {word!r} is not understood or comes twice; expected one of "
                    f"pixels, {', '.join(UNITS)}, and any of missing=NUMBER, swapped, yx, "
                    "unchecked, with commas between them"
                )
        return cls(**found)  # type: ignore[arg-type]

    def words(self) -> str:
        """The text that `parse` reads."""
        parts = [self.unit] * (self.unit != "pixels")
        parts += [] if self.missing is None else [f"missing={self.missing:g}"]
        return ", ".join(parts + ["swapped"] * self.swapped + ["yx"] * self.yx)

    def apply(self, raw: np.ndarray, names: Sequence[str], size: tuple[int, int]) -> np.ndarray:
        """Points in pixels (N, K, 2), NaN missing; size (H, W). `swapped` needs both sides."""
        points = raw.copy()
        if self.missing is not None:
            points[(points == self.missing).all(axis=-1)] = np.nan
        if self.yx:
            points = points[..., ::-1]
        if self.unit != "pixels":
            scale, offset = UNITS[self.unit]
            points = (points * scale + offset) * np.array(size[::-1], float)
        if self.swapped:
            order = [names.index(p) if (p := partner(name)) in names else -1 for name in names]
            points = points[:, order]
            points[:, np.array(order) < 0] = np.nan
        return points


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def partner(name: str) -> str:
    """The landmark of the other side; the landmark itself where it lies in the middle."""
    return "_".join(SIDES.get(word, word) for word in name.split("_"))


def check(
    raw: np.ndarray,
    names: Sequence[str],
    asked: Sequence[str],
    reading: Reading,
    images: np.ndarray,
    file: str,
) -> None:
    """Refuse labels that are plainly not in the unit, or on the side, that `reading` says.

    Args:
        raw: (N, K, 2), as the file has them, of all its landmarks.
        names: the K landmarks.
        asked: those of them that are wanted: only their sides are judged.
        images: (N, H, W) uint8.
        file: its name, for the message.

    Raises:
        ValueError: naming the file, the column, what is likely, and how to read it on purpose.
    """
    if not reading.checked:
        return
    size = images.shape[1:]
    faults: list[tuple[int, str]] = []
    better = reading
    missing = _stand_in(Reading(missing=reading.missing).apply(raw, names, size))
    if missing is not None:
        value, where = missing
        better = replace(better, missing=value)
        column = int(where.sum(axis=0).argmax())
        faults.append(
            (column, f"{where.sum()} points are exactly ({value:g}, {value:g}), likely missing")
        )
    points = replace(better, unit="pixels").apply(raw, names, size)
    unit = _likely_unit(points, names, images)
    if unit not in (None, reading.unit) and {unit, reading.unit} != {"signed", "centred"}:
        better = replace(better, unit=unit)
        fault = f"no {reading.unit} of a {size[1]}x{size[0]} image, likely {RANGES[unit]}"
        faults.append((int(np.isfinite(points[..., 0]).sum(axis=0).argmax()), fault))
    points = better.apply(raw, names, size)
    turned = _axes_swapped(points, names)
    if turned is not None:
        better = replace(better, yx=not better.yx)
        faults.append((turned, "the two sides lie above each other, likely x and y swapped"))
        points = better.apply(raw, names, size)
    crossed = _sides_swapped(points, names, asked)
    if crossed is not None:
        better = replace(better, swapped=not better.swapped)
        text = "the subject's left has the smaller x, likely left and right swapped"
        faults.append((crossed, text))
    if faults:
        told = "; ".join(f"column {names[k]}_x: {text}" for k, text in faults)
        words = better.words() or "pixels"
        raise ValueError(
            f"{file}: {told}; read it with labels={words!r} (--labels {words.replace(' ', '')}), "
            "or add the word unchecked if it is right as it stands"
        )


def _stand_in(raw: np.ndarray) -> tuple[float, np.ndarray] | None:
    """A number that fills both cells of at least two points, no place in a face; and where."""
    finite = np.isfinite(raw).all(axis=-1)
    same = finite & (raw[..., 0] == raw[..., 1])  # (N, K)
    same &= (raw[..., 0] <= 0) | (raw[..., 0] > 256)  # a label may well be (48, 48)
    values, counts = np.unique(raw[same][:, 0], return_counts=True)
    if not len(values) or counts.max() < 2:
        return None
    value = float(values[counts.argmax()])
    where = same & (raw[..., 0] == value)
    if value == 0 and (where == finite).all():  # every label at one place: no stand-in
        return None
    return value, where


def _likely_unit(points: np.ndarray, names: Sequence[str], images: np.ndarray) -> str | None:
    """The unit that labels read as pixels are likely in; None where pixels are possible."""
    values = points[np.isfinite(points).all(axis=-1)]  # (M, 2)
    if len(values) < 2:
        return None
    if (np.abs(values) <= 1.3).mean() > NEARLY_ALL:
        if (values < 0).mean() < 0.05:
            return "fraction"
        return "centred" if _half_wide(points, names) else "signed"
    sides = np.array(images.shape[:0:-1], float)  # width, height
    inside = ((values >= -5) & (values <= 105)).mean() > 0.99
    if not inside:
        return None
    if (values > sides * 1.1).any(axis=1).mean() > 0.1:
        return "percent"
    return "percent" if _darker_as_percent(points, names, images) else None


def _half_wide(points: np.ndarray, names: Sequence[str]) -> bool:
    """Whether labels around 0 reach half as far as those from -1 to 1 do."""
    if set(EYES) <= set(names):
        left, right = (points[:, list(names).index(name)] for name in EYES)
        apart = np.hypot(*(left - right).T)
        if np.isfinite(apart).any():
            return bool(np.nanmedian(apart) < 0.5)
    return bool(np.nanmax(np.abs(points)) <= 0.5)


def _darker_as_percent(points: np.ndarray, names: Sequence[str], images: np.ndarray) -> bool:
    """Whether the pixels are darker, as pupils are, where the eyes lie if labels are per cent.

    Of the real and the synthetic faces 3 to 13 % are darker at the label itself when it is per
    cent, and 64 to 73 % when it is pixels.
    """
    if not set(EYES) <= set(names):
        return False
    eyes = points[:, [list(names).index(name) for name in EYES]]  # (N, 2, 2)
    whole = np.isfinite(eyes).all(axis=(1, 2))
    if whole.sum() < ENOUGH_TO_LOOK:
        return False
    images, eyes = images[whole], eyes[whole]
    sides = np.array(images.shape[:0:-1], float)
    as_percent = eyes * sides / 100
    if np.abs(as_percent - eyes).max() < 1:
        return False
    here, there = _grey_at(images, eyes - 1), _grey_at(images, as_percent - 1)
    differ = here != there
    return bool((here < there)[differ].mean() < 0.25) if differ.mean() > 0.5 else False


def _grey_at(images: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) mean grey of 3x3 pixels around the points (N, K, 2) of each image."""
    height, width = images.shape[1:]
    x, y = np.rint(points).astype(int).transpose(2, 0, 1)  # (N, K) each
    rows = np.arange(len(images))[:, None]
    total = np.zeros(len(images))
    for a in (-1, 0, 1):
        for b in (-1, 0, 1):
            at = images[rows, np.clip(y + a, 0, height - 1), np.clip(x + b, 0, width - 1)]
            total += at.mean(axis=1)
    return total / 9


def _pairs(names: Sequence[str]) -> list[tuple[int, int]]:
    """(left, right) places of the landmarks that have two sides, the eye centres first."""
    names = list(names)
    lefts = [name for name in LANDMARKS if "left" in name.split("_")]
    return [
        (names.index(name), names.index(partner(name)))
        for name in lefts
        if name in names and partner(name) in names
    ]


def _axes_swapped(points: np.ndarray, names: Sequence[str]) -> int | None:
    """A landmark that lies above or below its other side in nearly all faces."""
    for left, right in _pairs(names):
        apart = points[:, left] - points[:, right]
        apart = np.abs(apart[np.isfinite(apart).all(axis=1)])
        if len(apart) >= ENOUGH and (apart[:, 1] > 2 * apart[:, 0]).mean() >= NEARLY_ALL:
            return left
    return None


def _sides_swapped(points: np.ndarray, names: Sequence[str], asked: Sequence[str]) -> int | None:
    """A left landmark with the smaller x in nearly all faces."""
    for left, right in _pairs(names):
        apart = points[:, left, 0] - points[:, right, 0]
        apart = apart[np.isfinite(apart)]
        wanted = names[left] in asked or names[right] in asked
        if wanted and len(apart) >= ENOUGH and (apart < 0).mean() >= NEARLY_ALL:
            return left
    return None
