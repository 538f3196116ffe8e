"""The eyes: lids, lashes, crease, white, iris, pupil, highlight; and what is called their centre.

Lengths are distances between the eyes. In the frame of one eye, `u` points outwards (to the ear)
and `v` down, with its origin where the centre of an eye lies that looks straight ahead.

The centre is what the annotators of the real set mark: the iris. On the mean image round their
labels the iris is sharp and centred to .2 px; the labels lie .49 of the way from the inner to the
outer corner and .026 eye distances (.9 px) above the line between the corners.
"""

from types import SimpleNamespace

import numpy as np

from .brush import Window, at_least, bell, col, length, mix, smooth, soft
from .style import Array, Dice, Style, Throws

CORNER_Y = 0.027  # both corners lie this far below the origin
# What is left of the difference between trained networks and annotators on real validation faces:
CENTRE_U = -0.004  # the mark lies .15 px on the nose's side of the iris's centre
CENTRE_V = 0.004  # and as much below it
OUTWARDS = 0.010  # the middle between the corners lies this far outside the origin
HEIGHT, WIDTH = 30, 36  # pixels of the window an eye is painted in


def eye_shape(dice: Dice, style: Style, smile: Array) -> list[SimpleNamespace]:
    """Shape, lids and gaze of the two eyes (left, right), each value (N,)."""
    d, k = dice.part("eyes"), float(style.shape)
    both = SimpleNamespace(
        half=d.normal(0.196, 0.014 * k),
        tilt=d.normal(0.0, 0.07 * k),
        peak=d.normal(-0.10, 0.12 * k),  # where the upper lid is highest: a little inwards
        roundness=d.uniform(0.75 - 0.15 * k, 0.75 + 0.25 * k),
        iris=d.normal(0.092, 0.005 * k),
        crease=d.uniform(0.025, 0.085),
        hooded=d.chance(0.35 * k) * d.uniform(0.2, 1.0),
    )
    g = float(style.gaze)
    far = np.where(d.uniform() < 0.25, 1.8, 0.6).astype(np.float32)
    across, down = d.normal(0, 0.030 * g, 2.4) * far, d.normal(0.0, 0.014 * g) * far
    lids = dice.part("lids")
    opening = _opening(lids, style, smile)
    eyes = []
    for side in (1.0, -1.0):
        e = SimpleNamespace(**vars(both))
        e.side = side
        e.open = np.clip(opening * lids.normal(1, 0.05 * k), 0.02, 1.5)
        e.x = lids.normal(0.5, 0.006 * k)
        e.y = lids.normal(0.0, 0.006 * k)
        e.iris_u = side * across + lids.normal(0, 0.006 * g)
        e.iris_v = down
        _set_lids(e)
        eyes.append(e)
    return eyes


def _opening(d: Throws, style: Style, smile: Array) -> Array:
    """How far the lids are apart: 1 is usual, 0 shut."""
    usual = d.normal(0.90, 0.14 * float(style.shape)) * (1 - 0.35 * smile)
    squint, narrow = d.chance(0.25), d.uniform(0.25, 0.75)
    shut, wide, widely = d.chance(0.035), d.chance(0.05), d.uniform(1.1, 1.4)
    if not style.lids:
        return usual
    usual = np.where(squint > 0, narrow, np.where(wide > 0, widely, usual))
    return np.where(shut > 0, 0.02, usual).astype(np.float32)


def _set_lids(e: SimpleNamespace) -> None:
    """Heights of the lids' middles above and below the line of the corners, and the eye centre."""
    e.upper = 0.106 * e.open + 0.012 * (e.open - 1) - 0.5 * e.iris_v
    e.lower = 0.058 * np.sqrt(e.open) * np.clip(e.open * 4, 0, 1)
    e.upper = np.maximum(e.upper, -e.lower + 0.004)  # shut lids meet at the lower one
    middle = CORNER_Y + (e.lower - e.upper) / 2
    room = np.maximum((e.lower + e.upper) / 2 - 0.3 * e.iris, 0)
    e.iris_v = np.clip(0.4 * e.iris_v, middle - room, middle + room)
    e.centre_u = 0.85 * e.iris_u + CENTRE_U  # on looks aside they hold to the middle a little
    e.centre_v = 0.6 * e.iris_v + 0.4 * middle + CENTRE_V


def eye_points(e: SimpleNamespace) -> Array:
    """Centre, inner and outer corner in head coordinates, (N, 3, 2)."""
    cos, sin = np.cos(e.tilt), np.sin(e.tilt)
    u = np.stack([e.centre_u, OUTWARDS - e.half, OUTWARDS + e.half], 1)
    v = np.stack([e.centre_v, 0 * e.half + CORNER_Y, 0 * e.half + CORNER_Y], 1)
    out = u * cos[:, None] + v * sin[:, None]
    low = v * cos[:, None] - u * sin[:, None]
    return np.stack([e.side * (e.x[:, None] + out), e.y[:, None] + low], -1)


def paint_eye(canvas: SimpleNamespace, e: SimpleNamespace, at: Array) -> None:
    """Paint one eye of every face in a window round the pixel `at` (N, 2)."""
    w, look = Window(at, HEIGHT, WIDTH), _eye_look(canvas)
    f = _frame(w.take(canvas.x), w.take(canvas.y), e)
    f.pixels = col(canvas.camera.scale)
    skin = _paint_lids(w.take(canvas.albedo), look, e, f)
    aperture = soft((f.v - f.upper) * f.pixels) * soft((f.lower - f.v) * f.pixels)
    aperture = aperture * col(look.clear) * (np.abs(f.t) < 1)
    skin = mix(skin, _paint_ball(look, e, f), aperture)
    w.put(canvas.albedo, _paint_lashes(skin, look, f))
    spot_u = f.u - col(e.iris_u + e.side * look.spot_x)
    spot_v = f.v - col(e.iris_v + look.spot_y)
    spot = bell(length(spot_u, spot_v) / col(look.spot_size))
    w.put(canvas.shine, w.take(canvas.shine) + spot * col(look.spot) * aperture)


def _frame(x: Array, y: Array, e: SimpleNamespace) -> SimpleNamespace:
    """Coordinates u, v of one eye, t = -1 to 1 from corner to corner, the lids' edges at each u."""
    out, low = e.side * x - col(e.x), y - col(e.y)
    cos, sin = col(np.cos(e.tilt)), col(np.sin(e.tilt))
    f = SimpleNamespace(u=out * cos - low * sin, v=low * cos + out * sin)
    f.t = (f.u - np.float32(OUTWARDS)) / col(e.half)
    arch = at_least(1 - f.t * f.t, 0) ** col(e.roundness)
    beyond = at_least(np.abs(f.t) - 1, 0)
    peak = col(e.peak)
    f.upper = CORNER_Y - col(e.upper) * arch * (1 + 0.5 * f.t * peak) + 0.08 * beyond
    f.lower = CORNER_Y + col(e.lower) * arch * (1 - 0.4 * f.t * peak + 0.1 * f.t)
    return f


def _eye_look(canvas: SimpleNamespace) -> SimpleNamespace:
    """Colours of the eyes; the same numbers for both eyes of a face."""
    d = canvas.dice.part("eyes").skip_to(48)
    skin = canvas.skin
    return SimpleNamespace(
        white=np.clip(d.normal(0.66, 0.13), 0.3, 0.92) * (0.6 + 0.4 * skin / 0.6),
        iris=d.choice((0.05, 0.09, 0.17, 0.28), (5, 4, 3, 3)) * d.uniform(0.7, 1.3),
        ring=d.uniform(0.3, 0.9),
        pupil=d.uniform(0.28, 0.55),
        lid_shade=d.uniform(0.2, 0.6),
        socket=d.uniform(0.0, 0.45),
        nasal=d.uniform(0.05, 0.45),
        corner=d.uniform(0.3, 0.95),
        hood=d.uniform(0.0, 0.45),
        crease=d.uniform(0.0, 0.4),
        lid=d.normal(0.14, 0.15),
        make_up=d.chance(0.2) * d.uniform(0.2, 0.8),
        clear=1 - d.chance(0.15) * d.uniform(0.0, 0.6),  # faint eyes, as in faded images
        lash=d.uniform(0.2, 0.95),
        lash_width=d.uniform(0.010, 0.026),
        low_lash=d.uniform(0.05, 0.5),
        bag=d.uniform(0.05, 0.45),
        bag_y=d.uniform(0.06, 0.14),
        spot=d.chance(0.65) * d.uniform(0.05, 0.6),
        spot_x=d.normal(0, 0.03),
        spot_y=d.normal(-0.025, 0.02),
        spot_size=d.uniform(0.009, 0.019),
    )


def _paint_lids(
    skin: Array, look: SimpleNamespace, e: SimpleNamespace, f: SimpleNamespace
) -> Array:
    """Skin round the eye: hollow, upper lid, crease, bags."""
    hollow = bell((f.u - 0.02) / 0.30) * bell((f.v - 0.03) / 0.14)
    skin = skin * (1 - col(look.socket) * hollow)
    nasal = bell((f.u + 0.23) / 0.08) * bell((f.v - 0.005) / 0.07)
    hood = bell((f.u - 0.17) / 0.10) * bell((f.v + 0.04) / 0.06)  # the lid's outer fold in shadow
    skin = skin * (1 - col(look.nasal) * nasal) * (1 - col(look.hood) * hood)
    fade = smooth((1.35 - np.abs(f.t)) / 0.5)
    above = f.upper - f.v  # height above the lash line
    width = col(e.crease * (1 - 0.6 * e.hooded) + 0.01)
    lid = smooth(above / 0.02) * smooth((width - above) / 0.02 + 0.5) * fade
    skin = skin * (1 + lid * (col(look.lid) - 0.6 * col(look.make_up)))
    crease = bell((above - width) / (0.014 + 0.3 * width)) * fade
    skin = skin * (1 - col(look.crease) * crease)
    below = f.v - f.lower
    bag = bell((below - col(look.bag_y)) / 0.025) * smooth((1.3 - np.abs(f.t + 0.1)) / 0.6)
    bulge = bell((below - 0.4 * col(look.bag_y)) / 0.03) * fade
    return skin * (1 - col(look.bag) * bag + 0.3 * col(look.bag) * bulge)


def _paint_ball(look: SimpleNamespace, e: SimpleNamespace, f: SimpleNamespace) -> Array:
    """White, iris and pupil, in the shadow of the upper lid."""
    corners = smooth((np.abs(f.t + 0.15) - 0.35) / 0.75)  # the outer corner is deeper in shadow
    white = col(look.white) * (1 - col(look.corner) * corners * (0.7 + 0.3 * f.t))
    from_iris = length(f.u - col(e.iris_u), f.v - col(e.iris_v))
    radius = col(e.iris)
    tone = col(look.iris) * (1 - col(look.ring) * smooth(from_iris / radius * 2.5 - 1.4))
    ball = mix(white, tone, soft((radius - from_iris) * f.pixels * 0.9))
    pupil = soft((radius * col(look.pupil) - from_iris) * f.pixels * 0.9)
    ball = mix(ball, np.float32(0.015), pupil)
    shade = col(look.lid_shade) * bell((f.v - f.upper) / 0.035)
    return ball * (1 - shade) * (1 - 0.25 * bell((f.lower - f.v) / 0.012))


def _paint_lashes(skin: Array, look: SimpleNamespace, f: SimpleNamespace) -> Array:
    """Dark rims of the lids; the upper one grows outwards."""
    outwards = smooth((f.t + 1.1) / 1.2)
    width = col(look.lash_width) * (0.5 + 0.8 * outwards)
    ends = smooth((1.22 - np.abs(f.t - 0.06)) / 0.16)
    line = bell((f.v - f.upper + 0.4 * width) / width) * ends
    skin = skin * (1 - col(look.lash) * line * (0.55 + 0.45 * outwards))
    width = 0.7 * col(look.lash_width) + 0.004
    line = bell((f.v - f.lower) / width) * smooth((1.05 - np.abs(f.t)) / 0.15)
    return skin * (1 - col(look.low_lash) * (1 + col(look.make_up)) * 0.7 * line)
