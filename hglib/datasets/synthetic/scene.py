"""What is round the head: background, neck, shoulders, collar; and what comes before it."""

from types import SimpleNamespace

import numpy as np

from .brush import at_least, bell, cloud, col, length, mix, smooth, soft
from .style import SIZE, Array, Dice, Style, Throws


def background(dice: Dice, style: Style) -> Array:
    """From a plain wall to clutter, (N, 96, 96)."""
    d = dice.part("background")
    level = np.where(d.chance(0.3) > 0, d.choice((0.02, 0.95), (1, 1)), d.uniform(0.05, 0.9))
    image = np.repeat(np.repeat(col(level.astype(np.float32)), SIZE, 1), SIZE, 2)
    if not style.background:
        return image * 0 + np.float32(0.5)
    grid = np.linspace(-1, 1, SIZE, dtype=np.float32)
    down, across = grid[None, :, None], grid[None, None, :]
    slope_x, slope_y = d.normal(0, 0.12), d.normal(0, 0.12)
    image += col(slope_x) * across
    image += col(slope_y) * down
    busy = d.chance(0.55) * d.uniform(0.0, 1.0)
    finer = busy * d.uniform(0, 0.5)
    rows = np.flatnonzero(busy)
    image[rows] += cloud(dice.texture(2000, 8, 8)[rows]) * col(busy[rows] * 0.45)
    image[rows] += cloud(dice.texture(2064, 26, 26)[rows]) * col(finer[rows])
    _clutter(image, d, down, across)
    return np.clip(image, 0.0, 1.1)


def _clutter(image: Array, d: Throws, rows: Array, columns: Array) -> None:
    """Up to four leaning boxes in about half of the images (in place)."""
    things = d.chance(0.45)
    for _ in range(4):
        b = SimpleNamespace(x=d.uniform(-1.2, 1.2), y=d.uniform(-1.2, 1))
        b.wide, b.high = d.uniform(0.03, 0.6), d.uniform(0.1, 1)
        b.tone, b.lean = d.uniform(0, 1), d.normal(0, 0.3)
        n = np.flatnonzero(things * d.chance(0.6))
        if len(n):
            b = SimpleNamespace(**{name: col(value[n]) for name, value in vars(b).items()})
            across = np.abs(columns - b.x - b.lean * rows)
            box = soft((b.wide - across) * 40) * soft((b.high - np.abs(rows - b.y)) * 40)
            image[n] = mix(image[n], b.tone, box)


def put_body(canvas: SimpleNamespace, image: Array) -> Array:
    """Ears, neck, shoulders and collar, behind the head."""
    top = 24  # rows of pixels above hold neither ears nor clothes
    image = image.copy()
    image[:, top:] = _body(canvas, image[:, top:], slice(top, None))
    return image


def _body(canvas: SimpleNamespace, image: Array, rows: slice) -> Array:
    """Neck, then cloth with a collar, then ears, in some rows of the images."""
    d, s = canvas.dice.part("clothes"), canvas.shape
    x, y, scale = canvas.flat_x[:, rows], canvas.flat_y[:, rows], col(canvas.camera.scale)
    skin, on, side = col(canvas.skin), float(canvas.style.clothes), np.abs(x)
    wide, slope = d.uniform(0.55, 0.85), d.uniform(0.25, 0.9)
    top, tone = d.uniform(1.75, 2.3), d.uniform(0.02, 0.95)
    collar, collar_tone = d.chance(0.5), d.uniform(0.02, 1.0)
    open_neck, stripes = d.uniform(0.1, 0.7), d.chance(0.3) * d.uniform(0, 0.4)
    neck_light, period = d.uniform(0.25, 0.85), d.uniform(8, 30)
    neck = soft((col(wide) + 0.25 * at_least(y - 1.8, 0) - side) * scale) * smooth(y * 2 - 1)
    image = mix(image, skin * col(neck_light) * (1 - 0.35 * x * x), neck)
    line = col(top) + col(slope) * at_least(side - col(wide) * 0.8, 0) * 0.6
    line = line + col(open_neck) * at_least(1 - side / col(wide), 0)
    weave = 1 + 0.12 * canvas.grain[:, rows]
    n = np.flatnonzero(stripes)
    weave[n] += col(stripes[n]) * np.sin(x[n] * col(period[n]))
    cloth = col(tone) * weave
    image = mix(image, at_least(cloth, 0.01), soft((y - line) * scale) * on)
    edge = bell((y - line - 0.1) / 0.08) * col(collar) * on
    image = mix(image, col(collar_tone), edge * soft((1.0 - side) * scale))
    ear_x, ear_y, ear = d.normal(1.06, 0.04), d.normal(0.22, 0.08), d.uniform(0.10, 0.2)
    r = length((side - col(ear_x * s.half_width / 1.1)) / col(ear), (y - col(ear_y)) / 0.34)
    lobe = skin * (0.55 + 0.35 * smooth(r)) * (1 - 0.5 * bell(r / 0.35))
    return mix(image, lobe, soft((1 - r) * 0.2 * scale))


def put_in_front(canvas: SimpleNamespace, image: Array) -> Array:
    """Loose strands of hair across the face, and hands or objects before it (in place)."""
    if canvas.style.occlusion:
        d = canvas.dice.part("occlusion")
        _strands(d, canvas, image)
        _hands(d.skip_to(24), canvas, image)
        _things(d.skip_to(40), canvas, image)
    return image


def _things(d: Throws, canvas: SimpleNamespace, image: Array) -> None:
    """Something grey that cuts off a side of the face."""
    rows = np.flatnonzero(d.chance(0.04))
    place, size, grey = d.uniform(0, 6.3), d.uniform(0.9, 1.3), d.uniform(0, 1)
    if len(rows):
        x, y = canvas.flat_x[rows], canvas.flat_y[rows] - 0.4
        far = x * col(np.cos(place[rows])) + y * col(np.sin(place[rows]))
        alpha = soft((far - col(size[rows])) * 30)
        image[rows] = mix(image[rows], col(grey[rows]) * (1 + 0.2 * canvas.grain[rows]), alpha)


def _hands(d: Throws, canvas: SimpleNamespace, image: Array) -> None:
    """Four fingers side by side and the back of the hand below them."""
    rows = np.flatnonzero(d.chance(0.06))
    h = SimpleNamespace(x=d.normal(0, 0.6), y=d.uniform(0.7, 1.5), lean=d.normal(0, 0.6))
    h.skin, h.width = canvas.skin * d.uniform(0.7, 1.1), d.uniform(0.10, 0.16)
    h.scale = canvas.camera.scale
    if len(rows) == 0:
        return
    h = SimpleNamespace(**{name: col(value[rows]) for name, value in vars(h).items()})
    v = canvas.flat_y[rows] - h.y
    u = canvas.flat_x[rows] - h.x - h.lean * v
    finger = (u / h.width + 40.5) % 2 - 1  # -1 to 1 across one finger
    number = np.floor(u / h.width / 2 + 0.75)
    tip = 0.12 * np.cos(number) + 0.06 * np.sin(3 * number) + 0.1 * finger**2
    inside = soft((v - tip) * h.scale) * soft((4 * h.width - np.abs(u)) * h.scale)
    roundness = 1 - 0.45 * np.abs(finger) ** 3 * smooth((0.8 - v) / 0.3)
    image[rows] = mix(image[rows], h.skin * roundness * 0.85, inside)


def _strands(d: Throws, canvas: SimpleNamespace, image: Array) -> None:
    """Up to three thin curves of hair."""
    rows = np.flatnonzero(d.chance(0.08) * float(canvas.style.hair))
    end = d.uniform(-0.4, 1.5)
    for _ in range(3):
        numbers = d.normal(0, 0.6), d.normal(0, 0.5), d.normal(0, 0.4), d.uniform(0.01, 0.04)
        present = d.chance(0.6)
        if len(rows) == 0:
            continue
        start, lean, bend, width = (col(value[rows]) for value in numbers)
        x, y = canvas.flat_x[rows], canvas.flat_y[rows]
        at = start + lean * (y + 0.8) + bend * (y + 0.8) ** 2
        line = soft((width - np.abs(x - at)) * col(canvas.camera.scale[rows]))
        alpha = line * col(present[rows]) * smooth((col(end[rows]) - y) / 0.3) * 0.8
        image[rows] = mix(image[rows], col(canvas.hair_tone[rows]) * 0.8, alpha)
