"""Hair in many styles, and hats."""

from types import SimpleNamespace

import numpy as np

from .brush import at_least, at_most, col, double, halve, mix, smooth, soft
from .style import Array, Dice, Style


def strands(dice: Dice, x: Array, y: Array) -> Array:
    """A texture of strands that run down and out from the crown, (N, 96, 96), sd about .5."""
    d = dice.part("hair").skip_to(48)
    table = dice.texture(1744, 1, 256)[:, 0]
    bend = d.normal(0, 0.3)
    fan = (x - col(d.normal(0, 0.25))) / (y + 3.2) * 3 + col(bend) * y
    wave = col(d.uniform(0, 0.06)) * np.sin(y * col(d.uniform(4, 14)) + col(d.uniform(0, 6)))
    at = (fan + wave) * col(d.uniform(18, 44)) + 128
    np.clip(at, 0, 255, out=at)
    low = at_most(np.floor(at), 254)
    at -= low  # 0 to 1: how far between two entries of the table
    base = (np.arange(dice.count) * 256)[:, None, None] + low.astype(np.intp)
    entries = table.reshape(-1) * np.float32(0.7)
    rise = np.diff(entries, append=np.float32(0))
    at *= rise.take(base)
    at += entries.take(base)
    return at


def hair_style(dice: Dice, style: Style) -> SimpleNamespace:
    """One haircut for each face, values (N,)."""
    d = dice.part("hair")
    h = SimpleNamespace()
    long = d.chance(0.38)
    bald = d.chance(0.10) * (1 - long)
    h.top, h.side = d.uniform(0.03, 0.40), d.uniform(0.0, 0.16) + long * d.uniform(0.0, 0.3)
    h.line = d.normal(-0.95, 0.15) - 1.2 * bald
    h.drop = d.uniform(0.2, 1.3)  # how far the hairline comes down at the temples
    h.power = d.uniform(2.5, 8.0)
    h.slant = d.normal(0, 0.25)
    fringe = d.chance(style.fringe_rate) * (1 - bald)
    h.line = np.where(fringe > 0, d.uniform(-0.80, -0.24), h.line).astype(np.float32)
    h.slant = np.where(d.chance(0.3) * fringe > 0, h.slant * 3, h.slant).astype(np.float32)
    h.ragged = d.uniform(0.0, 0.08)
    h.edge = d.uniform(0.7, 3.0)
    h.inner = np.where(long > 0, d.normal(1.02, 0.14), d.normal(1.13, 0.05)).astype(np.float32)
    h.inner_lean = d.normal(0.0, 0.15)
    h.length = np.where(long > 0, d.uniform(0.9, 4.0), d.uniform(-0.2, 0.5)).astype(np.float32)
    h.flare = long * d.normal(0.10, 0.15)
    h.shift = d.normal(0, 0.06)
    h.contrast, h.sheen = d.uniform(0.1, 0.6), d.uniform(0, 0.6)
    h.long = long
    return h


def outer_hair(h: SimpleNamespace, canvas: SimpleNamespace) -> Array:
    """Opacity of everything inside the outline of the hair (a mask behind the face)."""
    s, x, y = canvas.shape, canvas.flat_x, canvas.flat_y
    wiggle = col(h.ragged) * canvas.grain
    across = np.abs(x - col(h.shift)) - col(h.flare) * at_least(y, 0)
    across = across / col(s.half_width + h.side)
    up = at_most(y, 0) / col(s.half_height + h.top - 0.1)
    inside = 1 - np.sqrt(across * across + up * up) + 0.5 * wiggle
    alpha = soft(inside * col(canvas.camera.scale * 0.9 / h.edge))
    return alpha * smooth((col(h.length) - y) / 0.25 + wiggle)


def inner_hair(h: SimpleNamespace, canvas: SimpleNamespace) -> Array:
    """Opacity of the hair that lies on the face: above the hairline and beside the cheeks."""
    x, y = canvas.x - col(h.shift), canvas.y
    wiggle = col(h.ragged) * 1.5 * canvas.grain
    bend = col(h.drop) * double(at_most(np.abs(halve(x)), 1.2) ** col(h.power))
    line = col(h.line) + bend + col(h.slant) * x + wiggle
    scale = col(canvas.camera.scale / h.edge)
    above = soft((at_most(line, 0.6) - y) * scale)
    beside = np.abs(x) - col(h.inner) - col(h.inner_lean) * (y - 0.3) * col(h.long) + 0.7 * wiggle
    beside = soft(beside * scale) * smooth((col(h.length) - y) / 0.3)
    return np.maximum(above, beside)


def hair_colour(h: SimpleNamespace, canvas: SimpleNamespace) -> Array:
    """The hair's own tone: strands and sheen."""
    strand = 1 + col(h.contrast) * canvas.grain
    sheen = col(h.sheen) * at_least(1 - 3 * np.abs(canvas.flat_y + 1.0), 0)
    return col(canvas.hair_tone) * (strand + sheen)


def lit(colour: Array, light: Array | np.float32) -> Array:
    """Radiance of the hair, which takes some of the head's light."""
    return at_least(colour * (0.35 + 0.65 * light), 0.005)


def put_hat(canvas: SimpleNamespace, image: Array) -> Array:
    """A cap, woollen hat, scarf or helmet over the top of some heads."""
    d = canvas.dice.part("hat")
    h = SimpleNamespace(on=d.chance(0.08) * float(canvas.style.hats))
    h.line, h.bow = d.uniform(-0.95, -0.35), d.normal(0.08, 0.12)
    h.tone, h.ribs = d.uniform(0.03, 0.9), d.chance(0.4) * d.uniform(0.05, 0.4)
    h.brim, h.brim_tone = d.chance(0.5) * d.uniform(0.03, 0.2), d.uniform(0.3, 1.2)
    h.wide, h.shade = d.uniform(1.12, 1.6), d.uniform(0, 0.7)
    h.cover, h.frequency = d.chance(0.3), d.uniform(10, 40)
    rows = np.flatnonzero(h.on)
    if len(rows):
        image = image.copy()
        h = SimpleNamespace(**{name: col(value[rows]) for name, value in vars(h).items()})
        image[rows] = _hat(canvas, rows, h, image[rows])
    return image


def _hat(canvas: SimpleNamespace, rows: Array, h: SimpleNamespace, image: Array) -> Array:
    """Cloth above a line across the forehead, a band or brim along it, its shadow below."""
    x, y, around = canvas.flat_x[rows], canvas.flat_y[rows], np.abs(canvas.x[rows])
    grain, scale = canvas.grain[rows], col(canvas.camera.scale[rows])
    above = h.line + h.bow * x * x - y  # height over the hat's edge
    across = soft((h.wide - np.abs(x)) * scale)
    body = soft(above * scale) * across
    body = np.maximum(body, soft((around - 0.98) * scale) * across * h.cover * soft(-above * scale))
    cloth = h.tone * (1 + h.ribs * np.sin(x * h.frequency) + 0.15 * grain) * (1.1 - 0.35 * x * x)
    band = soft(above * scale) * soft((h.brim - above) * scale)
    cloth = at_least(mix(cloth, cloth * h.brim_tone, band), 0.01)
    under = smooth((above + 0.35) / 0.35) * h.shade * soft(-above * scale)
    return mix(image * (1 - under), cloth, body)
