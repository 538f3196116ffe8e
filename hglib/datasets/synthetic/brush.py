"""Small tools of the painter: soft edges, windows of an image, smooth noise."""

from functools import lru_cache

import numpy as np

from .style import SIZE, Array


def col(values: Array) -> Array:
    """(N,) to (N, 1, 1), to meet fields (N, h, w)."""
    return values[:, None, None]


def bell(x: Array) -> Array:
    """exp(-x^2 / 2)."""
    out = x * x
    out *= -0.5
    return np.exp(out, out=out)


def soft(distance: Array) -> Array:
    """0 to 1 across one unit round 0: an anti-aliased edge when the distance is in pixels."""
    out = distance + np.float32(0.5)
    return np.clip(out, 0, 1, out=out)


def smooth(x: Array) -> Array:
    """0 below 0, 1 above 1, and 3x^2 - 2x^3 between."""
    x = np.clip(x, 0, 1)
    out = x * -2
    out += 3
    out *= x
    out *= x
    return out


def at_least(x: Array, low: float) -> Array:
    """`np.maximum(x, low)` for fields: with a number NumPy's clip takes a third of the time."""
    return np.clip(x, low, np.inf)


def at_most(x: Array, high: float) -> Array:
    """`np.minimum(x, high)` for fields, as `at_least`."""
    return np.clip(x, -np.inf, high)


def length(x: Array, y: Array) -> Array:
    """sqrt(x^2 + y^2): `np.hypot`, which guards against overflow, takes five times as long."""
    out = x * x
    out += y * y
    return np.sqrt(out, out=out)


def mix(under: Array, over: Array, alpha: Array) -> Array:
    """`over` painted on `under` with this opacity."""
    out = over - under
    if np.shape(out) != np.broadcast_shapes(np.shape(out), np.shape(alpha)):
        return under + out * alpha
    out *= alpha
    out += under
    return out


class Window:
    """A rectangle of each image round a point of its own, so that a feature touches few pixels.

    `rows` and `columns` are the pixel coordinates inside, (N, h, 1) and (N, 1, w).
    """

    def __init__(self, centre: Array, height: int, width: int) -> None:
        top = np.rint(centre[:, 1] - height / 2).clip(0, SIZE - height).astype(int)
        left = np.rint(centre[:, 0] - width / 2).clip(0, SIZE - width).astype(int)
        self._slices = [
            (slice(t, t + height), slice(f, f + width)) for t, f in zip(top, left, strict=True)
        ]
        self.rows = (top[:, None] + np.arange(height)).astype(np.float32)[:, :, None]
        self.columns = (left[:, None] + np.arange(width)).astype(np.float32)[:, None, :]

    def take(self, field: Array) -> Array:
        """The window's part of each image, (N, h, w): a copy."""
        return np.stack([field[i][s] for i, s in enumerate(self._slices)])

    def put(self, field: Array, values: Array) -> None:
        """Write the window's pixels back."""
        for i, s in enumerate(self._slices):
            field[i][s] = values[i]


@lru_cache(maxsize=64)
def _interpolation(coarse: int, fine: int) -> Array:
    """Cubic B-spline weights (fine, coarse) that spread coarse samples over fine pixels."""
    at = np.linspace(0.5, coarse - 1.5, fine)
    d = np.abs(at[:, None] - np.arange(coarse)[None, :])
    w = np.where(d < 1, 2 / 3 - d**2 + d**3 / 2, np.clip(2 - d, 0, None) ** 3 / 6)
    return (w / w.sum(1, keepdims=True)).astype(np.float32)


def resample(field: Array, rows: Array, columns: Array) -> Array:
    """rows @ field @ columns.T, (N, r, c) to (N, h, w), in four strips of rows.

    BLAS gives larger products to threads of its own, which then wait for each other beside ours:
    that took more than half of the time of drawing.
    """
    parts = 1 if len(rows) % 4 else 4
    strips = rows.reshape(parts, -1, rows.shape[1]) @ field[:, None]  # (N, 4, h/4, c)
    return (strips @ columns.T).reshape(len(field), len(rows), len(columns))


def cloud(white: Array, height: int = SIZE, width: int = SIZE) -> Array:
    """Smooth noise (N, height, width) from coarse white noise (N, r, c), sd roughly .5."""
    rows = _interpolation(white.shape[1], height)
    return resample(white, rows, _interpolation(white.shape[2], width))


def double(field: Array) -> Array:
    """(N, h, w) to (N, 2h, 2w): linear, with pixel centres where they belong; past an end the line
    goes straight on."""
    n, h, w = field.shape
    tall = np.empty((n, 2 * h, w), field.dtype)
    step = (field[:, 1:] - field[:, :-1]) * np.float32(0.25)  # samples lie a quarter to each side
    np.subtract(field[:, 1:], step, out=tall[:, 2::2])
    np.add(field[:, :-1], step, out=tall[:, 1:-1:2])
    np.subtract(field[:, 0], step[:, 0], out=tall[:, 0])
    np.add(field[:, -1], step[:, -1], out=tall[:, -1])
    wide = np.empty((n, 2 * h, 2 * w), field.dtype)
    step = (tall[:, :, 1:] - tall[:, :, :-1]) * np.float32(0.25)
    np.subtract(tall[:, :, 1:], step, out=wide[:, :, 2::2])
    np.add(tall[:, :, :-1], step, out=wide[:, :, 1:-1:2])
    np.subtract(tall[:, :, 0], step[:, :, 0], out=wide[:, :, 0])
    np.add(tall[:, :, -1], step[:, :, -1], out=wide[:, :, -1])
    return wide


def halve(field: Array) -> Array:
    """(N, 2h, 2w) to (N, h, w): means of 2x2 pixels."""
    rows = field[:, ::2] + field[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]) * np.float32(0.25)


def widen(field: Array, sigma: Array, reach: int) -> Array:
    """Gaussian blur with one sigma (N,) in pixels for each image, borders repeated."""
    _, h, w = field.shape
    offsets = np.arange(reach + 1, dtype=np.float32)
    kernel = bell(offsets / np.maximum(sigma, np.float32(0.05))[:, None])
    kernel /= 2 * kernel.sum(1, keepdims=True) - 1  # every offset but 0 counts twice
    kernel = kernel.T[:, :, None, None]  # (reach + 1, N, 1, 1)
    padded = field[:, np.clip(np.arange(-reach, h + reach), 0, h - 1)]
    field = field * kernel[0]
    for k in range(1, reach + 1):
        pair = padded[:, reach - k : reach - k + h] + padded[:, reach + k : reach + k + h]
        pair *= kernel[k]
        field += pair
    padded = field[:, :, np.clip(np.arange(-reach, w + reach), 0, w - 1)]
    field *= kernel[0]
    for k in range(1, reach + 1):
        pair = padded[:, :, reach - k : reach - k + w] + padded[:, :, reach + k : reach + k + w]
        pair *= kernel[k]
        field += pair
    return field
