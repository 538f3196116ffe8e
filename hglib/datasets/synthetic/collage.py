"""Large cluttered images with drawn faces at known places: what a face detector has to search."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .brush import cloud, mix, soft
from .draw import draw_faces
from .style import SIZE, Array

# Around the eyes (SIZE pixels of a face): what is pasted, fading out towards the rim.
MIDDLE, HALF_WIDTH, HALF_HEIGHT, FADE = (47.3, 46.0), 40.0, 47.0, 0.12


@dataclass(frozen=True)
class Collage:
    """An image and the eyes in it.

    image: (H, W) uint8. eyes: (F, 2, 2) float64, one row for each of F faces, 0-based image
    pixels, the subject's left eye first.
    """

    image: Array
    eyes: Array


def draw_collage(
    size: tuple[int, int] = (480, 600),
    sides: Sequence[float] = (200, 130),
    seed: int = 0,
    turns: int = 0,
) -> Collage:
    """Clutter with one drawn face for each of `sides`, at places that do not overlap.

    Args:
        size: (H, W) of the image.
        sides: how wide each face's square of 96 pixels becomes, in pixels of the image.
        seed: for the clutter, the places and the faces.
        turns: quarter turns of the whole image, against the clock, as a camera held on its side.

    Raises ValueError if the faces do not find room.

    >>> scene = draw_collage(sides=[150, 100, 80])
    >>> scene.image.shape, scene.eyes.shape
    ((480, 600), (3, 2, 2))
    """
    rng = np.random.default_rng([seed, 7])
    image = clutter(size, rng)
    faces = draw_faces(range(len(sides)), seed=10_000 + seed)
    taken, eyes = [], np.empty((len(sides), 2, 2))
    for number in np.argsort(sides)[::-1]:  # the largest first: it is the hardest to place
        side = float(sides[number])
        left, top = _place(rng, size, side, taken)
        taken.append((left, top, side))
        _paste(image, faces.images[number], left, top, side)
        points = faces.points[number, :2].astype(float)  # (2, 2)
        eyes[number] = (points + 0.5) * side / SIZE - 0.5 + [left, top]
    grey = np.clip(image + rng.normal(0, 2, size), 0, 255)
    return _turned(np.rint(grey).astype(np.uint8), eyes, turns)


def clutter(size: tuple[int, int], rng: np.random.Generator) -> Array:
    """Clouds, leaning boxes, discs and stripes of all sizes, (H, W) float64 grey levels."""
    height, width = size
    rows, columns = np.ogrid[:height, :width]  # (H, 1), (1, W)
    image = np.full(size, rng.uniform(60, 190))
    for cells, strength in ((6, 60), (20, 30), (60, 15)):
        white = rng.normal(size=(1, cells, cells))
        image = image + strength * rng.uniform(0, 1) * cloud(white, height, width)[0]
    for _ in range(rng.integers(20, 60)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        reach = min(size) * np.exp(rng.uniform(np.log(0.01), np.log(0.3)))
        lean, ratio = rng.normal(0, 0.4), rng.uniform(0.2, 1)
        band = slice(max(0, int(y - reach / ratio) - 1), int(y + reach / ratio) + 3)  # rows it has
        down = rows[band] - y  # (h, 1)
        across, along = columns - x - lean * down, down * ratio
        far = np.maximum(abs(across), abs(along)) if rng.random() < 0.5 else np.hypot(across, along)
        tone = rng.uniform(0, 255)
        if rng.random() < 0.3:
            tone = tone + 60 * np.sin(along * 2 * np.pi / rng.uniform(4, 30))
        image[band] = mix(image[band], tone, soft(reach - far))
    return np.clip(image, 0, 255)


def _place(
    rng: np.random.Generator, size: tuple[int, int], side: float, taken: list[tuple]
) -> tuple[float, float]:
    """A corner for a square inside the image that touches none of the taken ones."""
    for _ in range(1000 if side <= min(size) else 0):
        left, top = rng.uniform(0, size[1] - side), rng.uniform(0, size[0] - side)
        off = [(abs(left - x + (side - s) / 2), abs(top - y + (side - s) / 2)) for x, y, s in taken]
        if all(max(gaps) > (side + s) / 2 for gaps, (_, _, s) in zip(off, taken, strict=True)):
            return left, top
    raise ValueError(f"no room for a face of {side:g} pixels in {size[0]} x {size[1]}; use fewer")


def _paste(image: Array, face: Array, left: float, top: float, side: float) -> None:
    """Put an enlarged face into the image (in place), fading out in an oval."""
    from PIL import Image

    x0, y0 = int(np.floor(left)), int(np.floor(top))
    n = int(np.ceil(side)) + 1
    rows, columns = np.mgrid[y0 : y0 + n, x0 : x0 + n]
    x = (columns + 0.5 - left) * SIZE / side - 0.5  # where each image pixel lies in the face
    y = (rows + 0.5 - top) * SIZE / side - 0.5
    step = side / SIZE
    large = Image.fromarray(face).transform(
        (n, n),
        Image.Transform.AFFINE,
        (1 / step, 0, (x0 - left) / step, 0, 1 / step, (y0 - top) / step),
        Image.Resampling.BICUBIC,
    )
    far = np.hypot((x - MIDDLE[0]) / HALF_WIDTH, (y - MIDDLE[1]) / HALF_HEIGHT)
    inside = (x > -0.5) & (x < SIZE - 0.5) & (y > -0.5) & (y < SIZE - 0.5)
    alpha = np.clip((1 - far) / FADE, 0, 1) * inside
    here = np.s_[y0 : y0 + n, x0 : x0 + n]
    h, w = image[here].shape
    image[here] = mix(image[here], np.asarray(large, float)[:h, :w], alpha[:h, :w])


def _turned(image: Array, eyes: Array, turns: int) -> Collage:
    """The image and its eyes after quarter turns against the clock."""
    for _ in range(turns % 4):
        eyes = np.stack([eyes[..., 1], image.shape[1] - 1 - eyes[..., 0]], axis=-1)
        image = np.rot90(image)
    return Collage(np.ascontiguousarray(image), eyes)
