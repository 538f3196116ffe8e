"""Light: shading from the form, hollows that see less sky, cast shadow."""

from types import SimpleNamespace

import numpy as np

from .brush import at_least, col, double, halve, smooth, widen
from .style import Array, Dice, Style


def shade(view: SimpleNamespace, scale: Array, dice: Dice, style: Style) -> tuple[Array, Array]:
    """Brightness and gloss of the head's surface, two fields (N, 96, 96); 1 is a lit forehead."""
    d = dice.part("light")
    on = float(style.light)
    depth = view.depth * col(scale) / 2  # in pixels of the coarse grid, like its rows and columns
    slope_y, slope_x = np.gradient(depth, axis=(1, 2))
    length = np.sqrt(1 + slope_x**2 + slope_y**2)
    side = on * np.where(d.chance(0.3) > 0, d.normal(0, 0.8), d.normal(0, 0.35))
    height = on * np.where(d.chance(0.15) > 0, d.uniform(1.0, 2.2), d.normal(0.45, 0.4))
    beam = _unit(side, -height, np.ones_like(side))
    lit = _facing(slope_x, slope_y, length, beam)
    wrap = col(on * d.uniform(0.0, 0.5))
    direct = at_least((lit + wrap) / (1 + wrap), 0)
    hard = on * d.chance(0.5) * d.uniform(0.2, 0.9) * float(style.shadow)
    if hard.any():
        direct *= 1 - col(hard) * _cast_shadow(depth, beam)
    fill_beam = _unit(d.normal(0, 1.0), d.normal(-0.3, 0.6), np.ones_like(side))
    fill = at_least(_facing(slope_x, slope_y, length, fill_beam), 0)
    ambient, second = d.uniform(0.15, 0.6), on * d.uniform(0.0, 0.4)
    around = double(widen(halve(depth), np.full_like(scale, 1.5), 3))
    hollow = np.clip((around - depth) / col(scale / 2), -0.1, 0.3)
    open_sky = 1 - col(d.uniform(0.5, 3.5)) * hollow
    light = (col(ambient) + col(second) * fill) * open_sky + col(1 - ambient) * direct
    gloss = _gloss(slope_x, slope_y, length, _unit(side, -height, np.full_like(side, 2.2)))
    gloss = gloss * col(d.chance(0.5) * d.uniform(0, 0.35))
    return at_least(double(light), 0.02), at_least(double(gloss), 0)


def _gloss(slope_x: Array, slope_y: Array, length: Array, half_way: list[Array]) -> Array:
    """Shine where the normal points half-way between the light and the camera (Blinn, 1977)."""
    gloss = at_least(_facing(slope_x, slope_y, length, half_way), 0)
    for _ in range(4):
        gloss = gloss * gloss  # to the 16th power
    return gloss


def _unit(x: Array, y: Array, z: Array) -> list[Array]:
    """A direction of length 1."""
    length = np.sqrt(x * x + y * y + z * z)
    return [x / length, y / length, z / length]


def _facing(slope_x: Array, slope_y: Array, length: Array, beam: list[Array]) -> Array:
    """Cosine of the angle between the surface's normal and a direction towards the light."""
    return (col(beam[2]) - slope_x * col(beam[0]) - slope_y * col(beam[1])) / length


def _cast_shadow(depth: Array, beam: list[Array]) -> Array:
    """1 where something nearer the light stands in the way: a march along the beam."""
    n, h, w = depth.shape
    across = np.maximum(np.hypot(beam[0], beam[1]), 0.2)
    step_x, step_y, climb = beam[0] / across, beam[1] / across, beam[2] / across
    base = (np.arange(n) * h * w)[:, None, None]
    rows, columns = np.arange(h)[None, :, None], np.arange(w)[None, None, :]
    blocked = np.zeros_like(depth)
    for reach in (1.5, 3.0, 4.5, 6.5, 9.0):
        r = np.clip(rows + np.rint(col(step_y) * reach).astype(int), 0, h - 1)
        c = np.clip(columns + np.rint(col(step_x) * reach).astype(int), 0, w - 1)
        ahead = depth.reshape(-1)[base + r * w + c]
        over = ahead - depth - col(climb) * reach
        blocked = np.maximum(blocked, smooth(over / 1.5) * (over < 14))
    return widen(blocked, np.full(n, 0.8, np.float32), 2)
