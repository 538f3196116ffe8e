"""Glasses: rims, bridge, arms, tinted lenses, glare, shadow on the cheeks."""

from types import SimpleNamespace

import numpy as np

from .brush import Window, bell, col, mix, smooth, soft
from .style import Array

HEIGHT, WIDTH = 44, 56


def put_glasses(canvas: SimpleNamespace, image: Array) -> Array:
    """Paint glasses in front of the eyes of about a quarter of the faces."""
    g = _model(canvas)
    rows = np.flatnonzero(g.on)
    if len(rows) == 0:
        return image
    g = SimpleNamespace(**{name: col(value[rows]) for name, value in vars(g).items()})
    g.front = [field[rows] for field in canvas.camera.plane(0.22)]  # a plane before the eyes
    g.pixels = col(canvas.camera.scale[rows])
    image = image.copy()
    part = image[rows]
    for eye, side in ((0, 1.0), (1, -1.0)):
        window = Window(canvas.points[rows, eye], HEIGHT, WIDTH)
        window.put(part, _lens(window.take(part), window, g, side))
    image[rows] = _arms(part, g)
    return image


def _model(canvas: SimpleNamespace) -> SimpleNamespace:
    """Numbers of a pair of glasses for each face."""
    d = canvas.dice.part("glasses")
    g = SimpleNamespace()
    g.on = d.chance(canvas.style.glasses_rate) * float(canvas.style.glasses)
    g.x, g.y = d.normal(0.53, 0.03), d.normal(0.12, 0.05)
    g.half_x, g.half_y = d.normal(0.36, 0.045), d.normal(0.26, 0.06)
    g.half_y = np.clip(g.half_y, 0.14, 0.4)
    g.power = d.choice((2.0, 2.6, 4.0), (5, 4, 3))
    g.droop = d.uniform(0, 0.25)  # lower outside, as aviators are
    g.width = d.choice((0.009, 0.016, 0.030, 0.050), (5, 5, 2, 1)) * d.uniform(0.8, 1.3)
    metal = d.chance(0.3)
    g.tone = np.where(metal > 0, d.uniform(0.4, 1.2), d.uniform(0.01, 0.25)).astype(np.float32)
    g.rim = d.uniform(0.4, 1.0)
    g.top_only = d.chance(0.15)
    g.dark = d.chance(0.08) * d.uniform(0.5, 0.99)
    middle = 0.8 * (g.dark > 0)  # behind dark lenses annotators mark the middle
    g.y = mix(g.y, 0.05, middle)
    g.tint = np.maximum(d.uniform(-0.1, 0.2), g.dark)
    g.glare = d.chance(0.3) * d.uniform(0.1, 0.8)
    g.glare_x, g.glare_y = d.normal(0, 0.15), d.normal(-0.05, 0.12)
    g.glare_w, g.glare_h = d.uniform(0.03, 0.2), d.uniform(0.02, 0.16)
    g.glare_slant = d.normal(0, 0.7)
    g.bridge_y, g.shadow = d.normal(-0.04, 0.04), d.uniform(0, 0.35)
    return g


def _lens(p: Array, w: Window, g: SimpleNamespace, side: float) -> Array:
    """One rim with its lens, in a window round the eye."""
    u, v = side * w.take(g.front[0]) - g.x, w.take(g.front[1]) - g.y
    v = v - g.droop * u * 0.5
    r = (np.abs(u) / g.half_x) ** g.power + (np.abs(v) / g.half_y) ** g.power
    r = (r + np.float32(1e-6)) ** (1 / g.power)
    distance = (r - 1) * np.minimum(g.half_x, g.half_y)  # from the rim's middle line
    lens = soft(-distance * g.pixels)
    p = p * (1 - g.shadow * bell((distance - 0.05) / 0.03) * smooth(v / 0.1))
    p = mix(p, np.float32(0.02), lens * np.clip(g.tint, 0, 1))
    slanted = u - g.glare_x + g.glare_slant * v
    spot = bell(slanted / g.glare_w) * bell((v - g.glare_y) / g.glare_h)
    p = p + lens * g.glare * np.clip(spot * 1.5, 0, 1)
    rim = soft((g.width - np.abs(distance)) * g.pixels) * g.rim
    rim = rim * (1 - g.top_only * smooth(v / 0.1))
    return mix(p, g.tone, np.clip(rim * np.minimum(1, 2 * g.width * g.pixels), 0, 1))


def _arms(part: Array, g: SimpleNamespace) -> Array:
    """The bridge over the nose and the arms towards the ears."""
    side, y = np.abs(g.front[0]), g.front[1]
    inner, outer = g.x - g.half_x, g.x + g.half_x
    thick = np.maximum(g.width, 0.018)
    bow = y - (g.y + g.bridge_y) + 0.06 * (1 - (side / np.maximum(inner, 0.05)) ** 2)
    bridge = soft((thick - np.abs(bow)) * g.pixels) * soft((inner - side) * g.pixels)
    arm = soft((thick - np.abs(y - g.y + 0.08)) * g.pixels)
    arm = arm * soft((side - outer) * g.pixels) * smooth((1.12 - side) / 0.03)
    return mix(part, g.tone, np.maximum(bridge, arm) * g.rim)
