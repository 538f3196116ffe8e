"""The head as a body in space, and which pixel shows which point of it.

Head coordinates: x to the subject's left (right in the image), y down, z towards the viewer, in
units of the distance between the eyes; the eyes lie near (+-.5, 0, 0). The head is an ellipsoid
with bumps and hollows on its front (nose, sockets, cheeks, lips, chin).
"""

from types import SimpleNamespace

import numpy as np

from .brush import at_least, bell, col, length, smooth
from .camera import Camera
from .style import SIZE, Array, Dice, Style, Throws

Shape = SimpleNamespace  # the numbers of a batch of heads, each (N,)


def head_shape(dice: Dice, style: Style) -> Shape:
    """Proportions of the heads, (N,) each; means of the real landmarks in eye distances."""
    d, k = dice.part("head"), float(style.shape)
    s = Shape()
    s.half_width = d.normal(1.15, 0.05 * k)
    s.half_height = d.normal(1.75, 0.10 * k)
    s.half_depth = d.normal(1.20, 0.10 * k)
    s.centre_y = d.normal(0.12, 0.06 * k)
    s.chin = d.normal(1.93, 0.10 * k)
    s.jaw = d.normal(0.96, 0.05 * k)
    s.jaw_power = d.uniform(2.4 - 0.4 * k, 2.4 + 0.6 * k)
    s.nose_y = d.normal(0.62, 0.06 * k)
    s.nose_height = d.normal(0.34, 0.06 * k)
    s.nose_width = d.normal(0.16, 0.02 * k)
    s.nose_bridge = d.normal(0.10, 0.04 * k)
    s.wing_x = d.normal(0.22, 0.025 * k)
    s.brow_ridge = d.normal(0.09, 0.04 * k)
    s.socket = d.normal(0.15, 0.05 * k)
    s.eyeball = d.normal(0.07, 0.02 * k)
    s.cheek = d.normal(0.10, 0.05 * k)
    s.cheek_y = d.normal(0.52, 0.06 * k)
    s.muzzle = d.normal(0.06, 0.03 * k)
    s.lips = d.normal(0.05, 0.02 * k)
    s.chin_bump = d.normal(0.13, 0.05 * k)
    s.fold = d.uniform(0.0, 0.06)
    _add_mouth(s, dice.part("mouth"), style)
    return s


def _add_mouth(s: Shape, e: Throws, style: Style) -> None:
    """The mouth, shut or open, and what a smile does to the face."""
    x, k = float(style.expression), float(style.shape)
    s.smile = x * e.choice((0, 1), (4, 6)) * e.uniform(0.2, 1.0)
    ajar = e.chance(0.35) * e.uniform(0.02, 0.30) * (1 - 0.6 * s.smile)
    grin = (s.smile > 0.4) * e.chance(0.75) * (0.05 + 0.10 * s.smile)
    s.gap = x * np.maximum(ajar, grin)  # between the lips
    s.lip_up = np.clip(e.normal(0.068, 0.015 * k), 0.03, None) * (1 - 0.3 * s.smile)
    s.lip_down = np.clip(e.normal(0.085, 0.018 * k), 0.04, None) * (1 - 0.25 * s.smile)
    s.mouth_y = e.normal(1.07, 0.05 * k) - 0.03 * s.smile
    s.mouth_x = e.normal(0.36, 0.035 * k) + 0.10 * s.smile
    s.cheek += 0.06 * s.smile
    s.fold += 0.05 * s.smile


def bumps(s: Shape, x: Array, y: Array) -> Array:
    """Height of the face's relief above the ellipsoid at (x, y), fields (N, h, w)."""
    c = {name: col(value) for name, value in vars(s).items()}
    side = np.abs(x)
    z = c["brow_ridge"] * bell((side - 0.42) / 0.33) * bell((y + 0.26) / 0.11)
    z -= c["socket"] * bell((side - 0.44) / 0.24) * bell((y - 0.01) / 0.115)
    z += c["eyeball"] * bell(length(side - 0.5, y - 0.01) / 0.13)
    z += c["cheek"] * bell((side - 0.58) / 0.28) * bell((y - c["cheek_y"]) / 0.2)
    down = y / c["nose_y"]  # 0 between the eyes, 1 at the tip
    rise = c["nose_bridge"] + (c["nose_height"] - c["nose_bridge"]) * smooth(down * 0.9 + 0.05)
    ridge = rise * smooth((down + 0.45) / 0.5) * smooth((1.36 - down) / 0.42)
    z += ridge * bell(x / (c["nose_width"] * (0.55 + 0.45 * np.clip(down, 0, 1))))
    wing = length(side - c["wing_x"] * 0.85, y - c["nose_y"] - 0.02)
    z += 0.10 * bell(wing / 0.085)
    lip_y = y - c["mouth_y"]
    z += c["muzzle"] * bell(x / 0.36) * bell(lip_y / 0.26)
    z += c["lips"] * bell(x / 0.24) * (bell((lip_y + 0.07) / 0.05) + bell((lip_y - 0.09) / 0.06))
    z += c["chin_bump"] * bell(x / 0.24) * bell((y - c["chin"] + 0.35) / 0.18)
    line = side - 0.20 - 0.42 * (y - c["nose_y"])  # from the nose's wings past the mouth
    z -= c["fold"] * bell(line / 0.05) * bell((y - 0.93) / 0.2)
    return z * smooth(4 - 3.6 * side / c["half_width"])


def surface(s: Shape, x: Array, y: Array) -> Array:
    """Depth z of the head's surface at points (x, y), (N, K)."""
    x, y = x[:, :, None], y[:, :, None]
    inside = 1 - (x / col(s.half_width)) ** 2 - ((y - col(s.centre_y)) / col(s.half_height)) ** 2
    z = col(s.half_depth) * np.sqrt(np.maximum(inside, 0.01)) + col(_centre_z(s))
    return (z + bumps(s, x, y))[:, :, 0]


def _centre_z(s: Shape) -> Array:
    """Where the ellipsoid's centre lies, so that its surface passes z = 0 at the eyes."""
    inside = 1 - (0.5 / s.half_width) ** 2 - (s.centre_y / s.half_height) ** 2
    return -s.half_depth * np.sqrt(inside)


class View(SimpleNamespace):
    """What each pixel of a coarse grid sees; fields (N, 48, 48).

    x, y: surface coordinates; depth: towards the viewer, in eye distances; rim: positive on the
    head, in pixels from its outline.
    """


def jaw_line(shape: Shape, view: View, scale: Array) -> Array:
    """Distance inside the outline of cheeks, jaw and chin, in pixels, (N, 48, 48)."""
    low = at_least(view.y - 0.35, 0) / col(shape.chin - 0.35)
    across = np.abs(view.x) / col(shape.half_width * shape.jaw)
    power = col(shape.jaw_power)
    r = (across**power + low**power + np.float32(1e-6)) ** (1 / power)
    return np.where(view.y > 0.35, (1 - r) * col(scale * 0.8), 9)


def look(shape: Shape, camera: Camera) -> View:
    """Find the point of the surface on each line of sight.

    The ellipsoid is met in closed form; two steps along the ray then add the relief.
    """
    half = np.arange(0.5, SIZE, 2, dtype=np.float32)  # centres of 2x2 pixels
    start, ahead = camera.rays(half[None, None, :], half[None, :, None])
    axes = [shape.half_width, shape.half_height, shape.half_depth]
    centre = [np.zeros_like(shape.centre_y), shape.centre_y, _centre_z(shape)]
    o = [(start[i] - col(centre[i])) / col(axes[i]) for i in range(3)]
    d = [ahead[i] / col(axes[i]) for i in range(3)]
    a, b = sum(k * k for k in d), sum(j * k for j, k in zip(o, d, strict=True))
    inside = b * b / a - sum(k * k for k in o) + 1  # 1 - (distance from the axis)^2
    reach = (np.sqrt(at_least(inside, 0) / a) - b / a).astype(np.float32)
    p = [start[i] + reach * ahead[i] for i in range(3)]
    normal = [(p[i] - col(centre[i])) / col(axes[i] ** 2) for i in range(3)]
    facing = sum(j * k for j, k in zip(normal, ahead, strict=True)) / at_least(normal[2], 1e-3)
    facing = at_least(facing, 0.35)
    step = np.zeros_like(reach)
    for _ in range(2):
        step = bumps(shape, p[0] + step * ahead[0], p[1] + step * ahead[1]) / facing
    return View(
        x=p[0] + step * ahead[0],
        y=p[1] + step * ahead[1],
        depth=reach + step,
        rim=inside * col(shape.half_width * camera.scale / 2),
    )
