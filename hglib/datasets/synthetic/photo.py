"""The photograph: exposure and tone curve, blur, motion, noise, JPEG blocks."""

from functools import lru_cache

import numpy as np

from .brush import at_least, at_most, cloud, col, double, halve, mix, resample, widen
from .style import SIZE, Array, Dice, Style, Throws


def develop(radiance: Array, dice: Dice, style: Style) -> Array:
    """Turn light (N, 96, 96) into grey levels 0 to 255, float32, as a camera and its file would."""
    image = _lens(radiance, dice.part("camera"), style)
    image = _tone(image, dice, style)
    camera = dice.part("camera")
    camera.skip_to(24)
    if style.noise:
        image = _noise(image, camera, dice)
    camera.skip_to(48)
    if style.jpeg:
        image = _jpeg(image, camera)
        image = _enlarged(image, camera)
    return np.clip(image, 0, 255)


def _lens(image: Array, d: Throws, style: Style) -> Array:
    """Soft focus or enlargement from few pixels, and shake of the camera."""
    sharp, mid, far = d.uniform(0.2, 0.7), d.uniform(0.6, 1.2), d.uniform(1.1, 2.2)
    kind = d.uniform()
    sigma = np.where(kind < 0.62, sharp, np.where(kind < 0.91, mid, far)).astype(np.float32)
    shake, angle, length = d.chance(0.06), d.uniform(0, np.pi), d.uniform(1.5, 4)
    if not style.blur:
        return image
    image = image.copy()
    for rows, reach in ((sigma < 0.7, 2), ((sigma >= 0.7) & (sigma < 1.3), 4), (sigma >= 1.3, 6)):
        if rows.any():
            image[rows] = widen(image[rows], sigma[rows], reach)
    edge = d.chance(0.4) * d.uniform(0.2, 1.2)  # sharpened by a camera or scanner: halos
    rows = np.flatnonzero(edge)
    if len(rows):
        clear = image[rows]  # blurred on a coarse grid: a quarter of the work
        wide = double(widen(halve(clear), np.full(len(rows), 0.75, np.float32), 2))
        image[rows] = clear + col(edge[rows]) * (clear - wide)
    for i in np.flatnonzero(shake):
        image[i] = _shake(image[i], float(angle[i]), float(length[i]))
    return image


def _shake(image: Array, angle: float, length: float) -> Array:
    """The mean of one image shifted along a line of this many pixels."""
    total = np.zeros_like(image)
    padded = np.pad(image, 4, mode="edge")
    for t in np.linspace(-0.5, 0.5, 5):
        dx, dy = length * t * np.cos(angle) + 4, length * t * np.sin(angle) + 4
        c, r = int(np.floor(dx)), int(np.floor(dy))
        fx, fy = np.float32(dx - c), np.float32(dy - r)
        block = padded[r : r + SIZE + 1, c : c + SIZE + 1]
        block = mix(block[:-1], block[1:], fy) if block.shape[0] > SIZE else block
        total += mix(block[:, :SIZE], block[:, 1 : SIZE + 1], fx)
    return total / 5


def _tone(image: Array, dice: Dice, style: Style) -> Array:
    """Exposure, gamma and contrast; faded and harsh old photographs too. Light to 0..255.

    The levels are set so that mean and sd of the images follow the real set's (grey mean
    125 +- 30, standard deviation 50 +- 13).
    """
    d = dice.part("tone")
    gamma, mean, sd = d.uniform(0.45, 1.0), d.normal(125, 29), d.normal(50, 13)
    harsh, vignette = d.chance(0.1) * d.uniform(0.3, 1.0), d.chance(0.1) * d.uniform(0, 0.5)
    if not style.contrast:
        gamma, mean, sd, harsh = gamma * 0 + 0.7, mean * 0 + 125, sd * 0 + 50, harsh * 0
    grey = at_least(image, 1e-3) ** col(gamma)
    ends = np.linspace(-1, 1, SIZE, dtype=np.float32) ** 2
    rows = np.flatnonzero(vignette)
    grey[rows] *= 1 - col(vignette[rows]) * (ends[:, None] + ends[None, :]) / 2
    middle = grey.mean((1, 2), keepdims=True)
    z = grey - middle
    sigma = np.sqrt((z * z).mean((1, 2), keepdims=True))
    z /= np.maximum(sigma, 0.02)
    rows = np.flatnonzero(harsh)
    z[rows] = mix(z[rows], 1.6 * np.tanh(z[rows] * 1.3), col(harsh[rows]))
    z = at_most(z, 1.2) + np.tanh(at_least(z - 1.2, 0))  # a soft shoulder, as film has
    return np.clip(col(mean) + col(np.maximum(sd, 18)) * z, 0, 255).astype(np.float32)


def _noise(image: Array, d: Throws, dice: Dice) -> Array:
    """Fine noise of the sensor and coarse grain of the film."""
    fine = d.uniform(0.3, 3.0) + d.chance(0.08) * d.uniform(1, 10)
    coarse = d.chance(0.2) * d.uniform(1, 7)
    image = image + dice.film() * col(fine)
    if coarse.any():
        image += 2 * cloud(dice.texture(144, 40, 40)) * col(coarse)
    return image


_COSINE = np.array(
    [[np.cos(np.pi * (2 * x + 1) * u / 16) / 2 for x in range(8)] for u in range(8)], np.float32
)
_COSINE[0] /= np.float32(np.sqrt(2))
_STEP = 10 + 6 * np.add.outer(np.arange(8), np.arange(8)).astype(np.float32)  # like JPEG's table


def _enlarged(image: Array, d: Throws) -> Array:
    """Some images were small, with blocks of their own, before they were enlarged."""
    small, quality = d.chance(0.22), d.uniform(0.1, 1.5)
    width = d.choice((72, 64, 48, 40, 32), (2, 2, 3, 2, 1)) * small
    for size in (72, 64, 48, 40, 32):
        rows = np.flatnonzero(width == size)
        if len(rows):
            shrink, grow = _resampling(SIZE, size), _resampling(size, SIZE)
            tiny = _blocks(resample(image[rows], shrink, shrink), quality[rows])
            image[rows] = resample(tiny, grow, grow)
    return image


@lru_cache
def _resampling(source: int, target: int) -> Array:
    """Weights (target, source) of linear interpolation; a wider triangle when shrinking."""
    at = (np.arange(target) + 0.5) * source / target - 0.5
    apart = np.abs(at[:, None] - np.arange(source)[None, :]) / max(1, source / target)
    weights = np.clip(1 - apart, 0, None)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _jpeg(image: Array, d: Throws) -> Array:
    """Some images were saved badly, most well."""
    quality = np.where(d.chance(0.15) > 0, d.uniform(0.8, 2.4), d.uniform(0.15, 0.8))
    return _blocks(image, quality)


def _blocks(image: Array, quality: Array) -> Array:
    """Rounded cosine coefficients of 8x8 blocks.

    The rounding is a smooth staircase, so that the last bit of a machine's arithmetic cannot
    flip a whole step.
    """
    n, size = image.shape[:2]
    blocks = size // 8
    x = image.reshape(n, blocks, 8, blocks, 8).transpose(0, 1, 3, 2, 4)
    step = _STEP * quality.astype(np.float32)[:, None, None, None, None]
    c = (_COSINE @ x @ _COSINE.T) / step
    for _ in range(2):
        c = c - np.sin(np.float32(2 * np.pi) * c) / np.float32(2 * np.pi)
    x = _COSINE.T @ (c * step) @ _COSINE
    return np.ascontiguousarray(x.transpose(0, 1, 3, 2, 4)).reshape(n, size, size)
