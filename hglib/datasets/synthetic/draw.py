"""Draw faces: the order of the layers, batches, threads, progress."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from hglib.data import LANDMARKS
from hglib.env import keep_freed_memory

from . import eyes as eye_parts
from . import face, glasses, hair, light, photo, scene
from .brush import at_least, bell, cloud, col, double, mix, smooth, soft
from .camera import Camera
from .head import head_shape, jaw_line, look, surface
from .style import SIZE, Array, Dice, Style

BATCH = 64  # faces at a time: fewer calls for two threads to take turns at than with 16


@dataclass(frozen=True)
class SyntheticFaces:
    """Drawn faces and where their landmarks truly are.

    images: (N, 96, 96) uint8. points: (N, 15, 2) float32, (x, y) in pixels, 0-based, in the order
    of `landmarks` (Kaggle's columns; the subject's left eye first).
    """

    images: Array
    points: Array
    landmarks: tuple[str, ...] = LANDMARKS

    def __len__(self) -> int:
        return len(self.images)


def draw_faces(
    indices: int | Sequence[int],
    seed: int = 0,
    style: Style | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> SyntheticFaces:
    """Draw the faces with these numbers; a plain integer n means faces 0 to n - 1.

    Face i of a seed is the same image alone, in a batch, or on another machine (to within one
    grey level). `threads` defaults to the number of cores, `progress` shows a line on stderr.

    Raises ValueError for negative numbers or a negative seed.

    >>> faces = draw_faces([3, 7], seed=1)
    >>> faces.images.shape, faces.points.shape
    ((2, 96, 96), (2, 15, 2))
    """
    indices = _check(indices, seed)
    style = style or Style()
    images = np.empty((len(indices), SIZE, SIZE), np.uint8)
    points = np.empty((len(indices), len(LANDMARKS), 2), np.float32)
    workers = threads or os.cpu_count() or 1
    size = max(1, min(BATCH, -(-len(indices) // workers)))  # few faces: some for every thread

    def fill(start: int) -> None:
        part = slice(start, start + size)
        images[part], points[part] = _draw_batch(seed, indices[part], style)

    keep_freed_memory()
    with ThreadPoolExecutor(workers) as pool:
        for done, _ in enumerate(pool.map(fill, range(0, len(indices), size)), 1):
            if progress:
                _report(min(done * size, len(indices)), len(indices))
    return SyntheticFaces(images, points)


def _check(indices: int | Sequence[int], seed: int) -> Array:
    """The numbers as an array, or an error that names what is wrong."""
    wanted = np.asarray(indices)
    if wanted.size and (wanted.min() < 0 or wanted.dtype.kind not in "iu"):
        raise ValueError(f"Face numbers must be integers from 0, got {wanted.min()!r}.")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}.")
    return np.arange(wanted) if wanted.ndim == 0 else wanted


def _report(done: int, total: int) -> None:
    """One line on stderr, rewritten every few hundred faces."""
    if done == total or done % (BATCH * 8) == 0:
        end = "\n" if done == total else ""
        print(f"\rdrawn {done} of {total} faces", end=end, file=sys.stderr, flush=True)


def _draw_batch(seed: int, indices: Sequence[int], style: Style) -> tuple[Array, Array]:
    """Images (n, 96, 96) uint8 and points (n, 15, 2)."""
    *_, (_, light, canvas) = layers(Dice(seed, indices), style)  # the last layer holds them all
    images = photo.develop(light(), canvas.dice, style)
    return np.rint(images).astype(np.uint8), canvas.points


def draw_layers(index: int, seed: int = 0, style: Style | None = None) -> list[tuple[str, Array]]:
    """How one face is drawn: the image (96, 96) uint8 after each layer, with the layer's name.

    >>> [name for name, image in draw_layers(5)][:3]
    ['background', 'neck and clothes', 'form and light']
    """
    style = style or Style()
    dice, pages = Dice(seed, [index]), []
    for name, light_so_far, _ in layers(dice, style):
        image = light_so_far()
        shown = np.clip(image[0], 0, 1) ** np.float32(0.7) * 255  # roughly a screen's gamma
        pages.append((name, np.rint(shown).astype(np.uint8)))
    final = photo.develop(image, dice, style)[0]
    return [*pages, ("photograph", np.rint(final).astype(np.uint8))]


Layer = tuple[str, Callable[[], Array], SimpleNamespace]


def layers(dice: Dice, style: Style) -> Iterator[Layer]:
    """Yield (name, light(), canvas) after each layer, from the back to the front.

    `light()` gives the image so far, (N, 96, 96); nobody who skips a layer pays for it.
    """
    canvas = _prepare(dice, style)
    image = scene.background(dice, style)
    yield "background", lambda: image, canvas
    if style.hair:
        canvas.behind = hair.outer_hair(canvas.hair, canvas)
        canvas.hair.colour = hair.hair_colour(canvas.hair, canvas)
        tint = hair.lit(canvas.hair.colour, np.float32(0.4))
        image = mix(image, tint, canvas.behind)
    canvas.back = image = scene.put_body(canvas, image)
    yield "neck and clothes", lambda: image, canvas
    yield "form and light", lambda: _lit_head(canvas), canvas
    _paint_features(canvas)
    yield "features", lambda: _lit_head(canvas), canvas
    if style.beard:
        face.paint_beard(canvas)
    yield "beard", lambda: _lit_head(canvas), canvas
    image = glasses.put_glasses(canvas, _lit_head(canvas))
    yield "glasses", lambda: image, canvas
    if style.hair:
        tint = hair.lit(canvas.hair.colour, canvas.light)
        over = hair.inner_hair(canvas.hair, canvas) * canvas.behind
        image = mix(image, tint, over)
    image = hair.put_hat(canvas, image)
    yield "hair and hat", lambda: image, canvas
    image = scene.put_in_front(canvas, image.copy())
    yield "in front", lambda: image, canvas


def _lit_head(canvas: SimpleNamespace) -> Array:
    """The head as painted so far, in its light, before the background."""
    skin = canvas.albedo * canvas.light
    skin += canvas.gloss
    skin += canvas.shine
    return mix(canvas.back, skin, canvas.outline)


def _prepare(dice: Dice, style: Style) -> SimpleNamespace:
    """Shape, pose, landmarks, the surface under every pixel, and the light on it."""
    c = SimpleNamespace(dice=dice, style=style)
    c.shape = head_shape(dice, style)
    at = np.array([[0.5, -0.5]], np.float32).repeat(dice.count, 0)  # x of the eyes, at y = 0
    c.camera = Camera(dice, style, np.stack([at, 0 * at, surface(c.shape, at, 0 * at)], -1))
    c.eyes = eye_parts.eye_shape(dice, style, c.shape.smile)
    c.brows = face.brow_shape(dice, style)
    c.points = _landmarks(c)
    view = look(c.shape, c.camera)
    c.x, c.y = double(view.x), double(view.y)
    c.flat_x, c.flat_y = c.camera.plane(-0.5)  # through the ears: what stands beside the head
    c.outline = soft(double(np.minimum(view.rim, jaw_line(c.shape, view, c.camera.scale))))
    _choose_tones(c)
    c.hair = hair.hair_style(dice, style)
    c.grain = hair.strands(dice, c.flat_x, c.flat_y)
    c.fuzz = cloud(dice.texture(144, 40, 40))
    c.light, c.gloss = light.shade(view, c.camera.scale, dice, style)
    c.albedo = np.repeat(np.repeat(col(c.skin), SIZE, 1), SIZE, 2)
    c.shine = np.zeros_like(c.albedo)
    return c


def _choose_tones(c: SimpleNamespace) -> None:
    """Skin from dark to light, hair from black to white, brows darker than the skin."""
    d = c.dice.part("skin")
    c.skin = np.where(d.chance(c.style.dark_rate) > 0, d.uniform(0.12, 0.3), d.uniform(0.35, 0.75))
    c.skin = c.skin.astype(np.float32)
    dark, fair = d.uniform(0.01, 0.12), d.uniform(0.15, 0.75)
    c.hair_tone = np.where((d.chance(0.45) > 0) & (c.skin > 0.3), fair, dark).astype(np.float32)
    c.brow_strength = d.uniform(0.75, 1.0)
    c.brow_tone = np.minimum(c.hair_tone, c.skin * d.uniform(0.1, 0.55))


def _landmarks(c: SimpleNamespace) -> Array:
    """The 15 points (N, 15, 2) in Kaggle's order, projected from the head's surface."""
    left, right = (eye_parts.eye_points(e) for e in c.eyes)
    brows = [face.brow_points(b) for b in c.brows]
    nose = np.stack([0 * c.shape.nose_y, c.shape.nose_y], -1)[:, None]
    mouth = face.mouth_points(c.shape)
    flat = np.concatenate(
        [left[:, :1], right[:, :1], left[:, 1:], right[:, 1:], *brows, nose, mouth], 1
    ).astype(np.float32)
    depth = surface(c.shape, flat[:, :, 0], flat[:, :, 1])
    return c.camera.project(np.concatenate([flat, depth[:, :, None]], 2)).astype(np.float32)


def _paint_features(c: SimpleNamespace) -> None:
    """Everything that lies on the skin."""
    face.paint_skin(c)
    face.paint_nose(c, c.points[:, 10])
    face.paint_mouth(c, c.points[:, 11:15].mean(1))
    for k, brow in enumerate(c.brows):
        face.paint_brow(c, brow, c.points[:, 6 + 2 * k : 8 + 2 * k].mean(1))
    for k, eye in enumerate(c.eyes):
        eye_parts.paint_eye(c, eye, c.points[:, k])
    low = at_least(c.y[:, face.BEARD] - col(c.shape.chin) + 0.35, 0)
    c.albedo[:, face.BEARD] *= 1 - 0.3 * smooth(low / 0.4) * bell(c.x[:, face.BEARD] / 0.8)
