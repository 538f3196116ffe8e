"""What is painted on the head besides the eyes: skin, brows, nose, mouth, wrinkles, beard."""

from types import SimpleNamespace

import numpy as np

from .brush import Window, at_least, bell, cloud, col, length, mix, smooth, soft
from .style import Array, Dice, Style, Throws


def brow_shape(dice: Dice, style: Style) -> list[SimpleNamespace]:
    """Both brows (left, right) in eye distances, each value (N,)."""
    d, k = dice.part("brows"), float(style.shape)
    lift = d.normal(0, 0.035 * float(style.expression))
    y_in, y_out = d.normal(-0.215, 0.045 * k), d.normal(-0.195, 0.045 * k)
    x_in, x_out = d.normal(0.23, 0.05 * k), d.normal(0.875, 0.045 * k)
    frown = float(style.expression) * d.chance(0.2) * d.uniform(0, 0.07)
    arch, where = d.normal(0.08, 0.03 * k), d.normal(0.3, 0.15 * k)
    thick, taper = d.normal(0.066, 0.018 * k), d.uniform(0.3, 1.0)
    dark, soft_edge = d.uniform(0.4, 1.0), d.uniform(0.012, 0.045)
    brows = []
    for side in (1.0, -1.0):
        b = SimpleNamespace(side=side, arch=arch, where=where, thick=np.abs(thick), taper=taper)
        b.dark, b.soft = dark, soft_edge
        b.x_in, b.x_out = x_in + d.normal(0, 0.012 * k), x_out + d.normal(0, 0.015 * k)
        b.y_in = y_in + lift + frown + d.normal(0, 0.012 * k)
        b.y_out = y_out + lift + d.normal(0, 0.012 * k)
        brows.append(b)
    return brows


def brow_points(b: SimpleNamespace) -> Array:
    """Inner and outer end in head coordinates, (N, 2, 2)."""
    inner = np.stack([b.side * b.x_in, b.y_in], -1)
    return np.stack([inner, np.stack([b.side * b.x_out, b.y_out], -1)], 1)


def paint_skin(canvas: SimpleNamespace) -> None:
    """Tone, blotches, cheeks and wrinkles of the skin."""
    d = canvas.dice.part("skin").skip_to(8)
    blotch, fine = d.uniform(0.01, 0.06), d.uniform(0.0, 0.04)
    rouge = d.uniform(0, 0.18)
    texture = 2 * cloud(canvas.dice.texture(0, 12, 12)) * col(blotch)
    texture += 2 * canvas.fuzz * col(fine)
    side = np.abs(canvas.x)
    cheeks = bell((side - 0.6) / 0.22) * bell((canvas.y - 0.55) / 0.2)
    canvas.albedo *= (1 + texture) * (1 - col(rouge) * cheeks)
    _paint_wrinkles(canvas, d)


def _paint_wrinkles(canvas: SimpleNamespace, d: Throws) -> None:
    """Lines on the forehead, beside the eyes, between the brows, from nose to mouth."""
    w = SimpleNamespace(old=d.chance(0.45) * d.uniform(0, 1) * float(canvas.style.wrinkles))
    w.period, w.phase, w.bend = d.uniform(0.11, 0.2), d.uniform(0, 6.3), d.normal(0, 0.08)
    w.feet, w.frown = d.uniform(0, 0.5), d.chance(0.4) * d.uniform(0, 0.5)
    w.fold = d.uniform(0, 0.35)
    rows = np.flatnonzero(w.old)
    if len(rows) == 0:
        return
    w = SimpleNamespace(**{name: col(value[rows]) for name, value in vars(w).items()})
    y, side = canvas.y[rows], np.abs(canvas.x[rows])
    wave = np.cos((y + w.bend * side) * (np.float32(2 * np.pi) / w.period) + w.phase)
    wave = at_least(wave, 0)
    amount = 0.28 * wave * wave * wave * smooth((-0.32 - y) / 0.1) * smooth((0.8 - side) / 0.3)
    fan = at_least(np.cos((y - 0.02) / (0.12 + 0.5 * np.abs(side - 0.7)) * 12), 0)
    amount += w.feet * fan * fan * bell((side - 0.80) / 0.06) * bell((y - 0.03) / 0.1)
    amount += w.frown * bell((side - 0.1) / 0.02) * bell((y + 0.15) / 0.1)
    line = side - 0.23 - 0.42 * (y - 0.62)
    amount += w.fold * bell(line / 0.025) * bell((y - 0.9) / 0.13)
    canvas.albedo[rows] *= 1 - w.old * amount


def paint_brow(canvas: SimpleNamespace, b: SimpleNamespace, at: Array) -> None:
    """One brow of every face, in a window round the pixel `at` (N, 2)."""
    w = Window(at, 24, 44)
    x, y = b.side * w.take(canvas.x), w.take(canvas.y)
    t = (x - col(b.x_in)) / col(b.x_out - b.x_in)  # 0 at the inner end, 1 at the outer
    arch = col(b.arch) * 4 * t * (1 - t) * (1 + col(b.where) * (2 * t - 1) * 1.5)
    middle = mix(col(b.y_in), col(b.y_out), t) - arch * ((t > -0.3) & (t < 1.3))
    thick = col(b.thick) * (1 - col(b.taper) * 0.8 * smooth((t - 0.35) / 0.75)) * (0.75 + 0.5 * t)
    body = soft((thick - np.abs(y - middle)) / (2 * col(b.soft)))
    body *= smooth((t + 0.06) / 0.14) * smooth((1.08 - t) / 0.2)
    hairs = 1.0 + 0.45 * w.take(canvas.grain)
    alpha = np.clip(body * hairs, 0, 1) * col(canvas.brow_strength * b.dark)
    w.put(canvas.albedo, mix(w.take(canvas.albedo), col(canvas.brow_tone), alpha))


def paint_nose(canvas: SimpleNamespace, at: Array) -> None:
    """Nostrils and the dark line under the tip; the rest of the nose is form and light."""
    s, d = canvas.shape, canvas.dice.part("nose")
    w = Window(at, 28, 36)
    side, y = np.abs(w.take(canvas.x)), w.take(canvas.y)
    hole_x, hole_y = s.wing_x * 0.5, s.nose_y + d.uniform(0.06, 0.11)
    size, dark = d.uniform(0.025, 0.045), d.uniform(0.05, 0.7)
    hole = bell(length((side - col(hole_x)) / 1.6, y - col(hole_y)) / col(size * 0.8))
    under = bell(side / 0.14) * bell((y - col(hole_y) - 0.02) / 0.04)
    wing = bell((side - col(s.wing_x) - 0.02) / 0.022) * bell((y - col(s.nose_y) - 0.02) / 0.07)
    amount = col(dark) * hole + col(d.uniform(0, 0.25)) * under + col(d.uniform(0, 0.3)) * wing
    w.put(canvas.albedo, w.take(canvas.albedo) * (1 - np.clip(amount, 0, 0.95)))


def mouth_line(shape: SimpleNamespace, x: Array) -> Array:
    """Height of the line between closed lips at x: a smile lifts the corners."""
    t = np.clip((x / col(shape.mouth_x)) ** 2, 0, 1.5)
    return col(shape.mouth_y) - col(0.11 * shape.smile - 0.01) * t + col(0.02 * shape.smile)


def paint_mouth(canvas: SimpleNamespace, at: Array) -> None:
    """Lips, and between them teeth or the dark."""
    s, d = canvas.shape, canvas.dice.part("mouth").skip_to(24)
    w = Window(at, 36, 48)
    x, y, skin = w.take(canvas.x), w.take(canvas.y), w.take(canvas.albedo)
    pixels = col(canvas.camera.scale)
    tone, lower_tone = d.uniform(0.45, 1.0), d.uniform(0.9, 1.15)
    gap, up, down = s.gap, s.lip_up, s.lip_down
    span = np.sqrt(at_least(1 - (x / col(s.mouth_x)) ** 2, 0))
    line = mouth_line(s, x)
    top, bottom = line - col(gap) * 0.35 * span, line + col(gap) * 0.65 * span
    upper = soft((y - top + col(up) * span) * pixels) * soft((top - y) * pixels)
    lower = soft((y - bottom) * pixels) * soft((bottom + col(down) * span - y) * pixels)
    skin = mix(skin, skin * col(tone), upper * (span > 0))
    skin = mix(skin, skin * np.minimum(col(tone * lower_tone), 1.1), lower * (span > 0))
    between = soft((y - top) * pixels) * soft((bottom - y) * pixels) * (span > 0)
    teeth = col(np.clip(d.normal(0.75, 0.12), 0.3, 1)) * (0.85 + 0.15 * np.cos(x * 70))
    shown = col((d.chance(0.6) + (s.smile > 0.4)).clip(0, 1) * d.uniform(0.5, 1.0))
    reach = soft((top + 0.13 * shown - y) * pixels) * soft((0.8 * col(s.mouth_x) - np.abs(x)) * 12)
    inside = mix(np.float32(0.03), teeth * (0.4 + 0.6 * span), reach * (shown > 0.4))
    skin = mix(skin, inside, between)
    seam = bell((y - top) / 0.013) * smooth((1.06 - np.abs(x) / col(s.mouth_x)) / 0.15)
    skin = skin * (1 - col(d.uniform(0.2, 0.8)) * seam)
    corner = length(np.abs(x) - col(s.mouth_x), y - line)
    skin = skin * (1 - col(d.uniform(0.0, 0.5)) * bell(corner / 0.035))
    under = bell((y - bottom - col(down) - 0.03) / 0.025) * bell(x / 0.16)
    w.put(canvas.albedo, skin * (1 - col(d.uniform(0, 0.3)) * under))


def mouth_points(shape: SimpleNamespace) -> Array:
    """Left corner, right corner, top lip, bottom lip in head coordinates, (N, 4, 2)."""
    zero = np.zeros_like(shape.mouth_x)
    corner_y = shape.mouth_y - 0.11 * shape.smile + 0.01 + 0.02 * shape.smile
    middle = shape.mouth_y + 0.02 * shape.smile
    top = np.stack([zero, middle - 0.35 * shape.gap - shape.lip_up], -1)
    bottom = np.stack([zero, middle + 0.65 * shape.gap + shape.lip_down], -1)
    left = np.stack([shape.mouth_x, corner_y], -1)
    return np.stack([left, left * np.array([-1, 1], np.float32), top, bottom], 1)


def paint_beard(canvas: SimpleNamespace) -> None:
    """Stubble, moustache, beard on chin and jaw."""
    d = canvas.dice.part("beard")
    b = SimpleNamespace(stubble=d.chance(0.22) * d.uniform(0.05, 0.4))
    b.moustache = d.chance(0.17) * d.uniform(0.4, 1.0)
    b.full = d.chance(0.11) * d.uniform(0.5, 1.0)
    b.goatee = d.chance(0.06) * d.uniform(0.4, 1.0)
    b.tone = mix(canvas.hair_tone, d.uniform(0.3, 0.7), d.chance(0.2))
    b.droop, b.half = d.uniform(0, 0.3), d.uniform(0.3, 0.5)
    rows = np.flatnonzero(b.stubble + b.moustache + b.full + b.goatee)
    if len(rows):
        b = SimpleNamespace(**{name: col(value[rows]) for name, value in vars(b).items()})
        alpha = _beard_opacity(canvas, rows, b)
        canvas.albedo[rows, BEARD] = mix(canvas.albedo[rows, BEARD], b.tone, alpha)


BEARD = slice(40, None)  # rows of pixels; above them is no beard


def _beard_opacity(canvas: SimpleNamespace, rows: Array, b: SimpleNamespace) -> Array:
    mouth_x, mouth_y = col(canvas.shape.mouth_x[rows]), col(canvas.shape.mouth_y[rows])
    side, y = np.abs(canvas.x[rows, BEARD]), canvas.y[rows, BEARD]
    lip = y - mouth_y
    jaw = smooth((lip - 0.12 + 0.9 * (side - 0.25)) / 0.12) * smooth((side - 0.1 + lip) / 0.2)
    cheek = smooth((y - 0.55 - 0.35 * (0.9 - side)) / 0.2)
    lips = length(side / (mouth_x + 0.02), lip / 0.13)
    area = np.maximum(jaw, smooth((side - 0.42) / 0.12)) * cheek * smooth((lips - 0.8) / 0.3)
    upper = bell((lip + 0.17 - b.droop * side**2) / 0.055) * smooth((b.half - side) / 0.12)
    chin = smooth((lip - 0.16) / 0.06) * smooth((0.3 - side) / 0.1)
    alpha = np.maximum(area * np.maximum(b.full, b.stubble), chin * np.maximum(b.goatee, b.full))
    alpha = np.maximum(alpha, upper * np.maximum(b.moustache, b.full))
    return np.clip(alpha * (0.9 + 0.6 * canvas.fuzz[rows, BEARD]), 0, 1)
