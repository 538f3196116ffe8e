"""What can be adjusted about the drawn faces, and where their random numbers come from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

SIZE = 96  # side of an image in pixels: Kaggle's


@dataclass(frozen=True)
class Style:
    """What the faces look like: sizes and angles, and a switch for each part of the generator.

    Lengths are image pixels, angles degrees. The defaults follow the real training set, measured
    in 0-based pixels: eyes at (65.4, 36.7) and (29.3, 37.0), sd 3.0 to 3.4, 36.2 +- 3.9 apart.
    Turning a switch off leaves every other random number of a face as it was, so two styles can
    be compared face by face. Wider poses are had with `Style(yaw_sd=25, pitch_sd=15)`;
    no face turns sideways by more than 65 degrees.

    >>> Style(glasses=False).yaw_sd == Style().yaw_sd
    True
    """

    eyes_x: float = 47.3  # mid-point between the eyes
    eyes_y: float = 36.8
    eyes_x_sd: float = 2.0  # of most faces; one in eleven strays much further, as in the real set
    eyes_y_sd: float = 2.2
    distance: float = 36.9  # between the eyes, before the head turns (36.2 after)
    distance_sd: float = 3.2
    yaw_sd: float = 8.5  # the nose tips of real faces: sd of .09 eye distances sideways
    pitch_sd: float = 8.0
    roll_sd: float = 5.7
    dark_rate: float = 0.15  # share of dark skins
    fringe_rate: float = 0.22  # share of foreheads with hair down to the brows or the eyes
    glasses_rate: float = 0.22
    shape: bool = True  # heads and features differ in shape
    gaze: bool = True  # eyes look about
    lids: bool = True  # squinting, wide open and closed eyes
    expression: bool = True  # smiles, open mouths, raised brows
    wrinkles: bool = True
    beard: bool = True
    hair: bool = True
    hats: bool = True
    glasses: bool = True
    light: bool = True  # False: flat light from the front
    shadow: bool = True  # cast shadow
    clothes: bool = True
    background: bool = True  # False: a plain grey wall
    occlusion: bool = True  # hands and strands of hair in front
    blur: bool = True
    noise: bool = True
    jpeg: bool = True  # JPEG blocks, and enlarged small images
    contrast: bool = True  # False: every image well exposed

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, bool) and not np.isfinite(value):
                raise ValueError(f"Style.{name} must be a finite number, got {value!r}.")
            if name.endswith("_sd") and value < 0:
                raise ValueError(
                    f"Style.{name} is a standard deviation, not negative, got {value}."
                )
            if name.endswith("_rate") and not 0 <= value <= 1:
                raise ValueError(f"Style.{name} is a share from 0 to 1, got {value}.")
        if self.distance <= 0:
            raise ValueError(f"Style.distance must be positive, got {self.distance}.")
        if self.distance_sd * 2.8 >= self.distance:  # 2.8: where `Throws.normal` is cut
            raise ValueError(
                f"Style.distance_sd must be below distance / 2.8, got {self.distance_sd}."
            )


PARTS = (
    "place",
    "head",
    "eyes",
    "lids",
    "brows",
    "nose",
    "mouth",
    "skin",
    "beard",
    "hair",
    "hat",
    "glasses",
    "light",
    "clothes",
    "background",
    "occlusion",
    "camera",
    "tone",
)
BLOCK = 96  # uniform numbers kept for each part: a new number in one part moves no other part
NOISE = SIZE * SIZE + 4096  # white noise for the camera, then for textures


class Dice:
    """The random numbers of a batch of faces: face i of a seed has its own generator.

    A face therefore comes out the same alone, in a batch, or in another order.
    """

    def __init__(self, seed: int, indices: Sequence[int]) -> None:
        generators = [np.random.default_rng([seed, int(i)]) for i in indices]
        self.count = len(generators)
        shape = (2, len(PARTS), BLOCK)
        table = np.empty((self.count, *shape), np.float32)
        for row, g in zip(table, generators, strict=True):
            row[0] = g.random(shape[1:], np.float32)
            row[1] = g.standard_normal(shape[1:], np.float32)
        self._table = np.ascontiguousarray(table.transpose(1, 2, 3, 0))
        white = [g.standard_normal(NOISE, dtype=np.float32) for g in generators]
        self._white = np.stack(white)

    def part(self, name: str) -> "Throws":
        """The numbers of one part."""
        return Throws(*self._table[:, PARTS.index(name)])

    def film(self) -> Array:
        """White noise for the whole image, (N, 96, 96)."""
        return self._white[:, : SIZE * SIZE].reshape(-1, SIZE, SIZE)

    def texture(self, first: int, rows: int, columns: int) -> Array:
        """White noise (N, rows, columns), from place `first` of the 4096 kept for textures."""
        start = SIZE * SIZE + first
        return self._white[:, start : start + rows * columns].reshape(-1, rows, columns)


class Throws:
    """Uniform numbers handed out in order, turned into what a part asks for; each (N,) float32."""

    def __init__(self, flat: Array, bell: Array) -> None:
        self._flat, self._bell, self._next = flat, bell, 0

    def skip_to(self, place: int) -> "Throws":
        """Go on from this place: for a part that is painted in several steps."""
        self._next = place
        return self

    def _uniform(self) -> Array:
        self._next += 1
        return self._flat[self._next - 1]

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Array:
        """Evenly spread between the two."""
        return np.float32(low) + np.float32(high - low) * self._uniform()

    def normal(self, mean: float = 0.0, sd: float = 1.0, limit: float = 2.8) -> Array:
        """Bell-shaped, cut at `limit` sd so that no face is a monster."""
        self._next += 1
        z = np.minimum(np.maximum(self._bell[self._next - 1], -limit), limit)
        return np.float32(mean) + np.float32(sd) * z

    def chance(self, probability: float) -> Array:
        """1 with this probability, else 0."""
        return (self._uniform() < probability).astype(np.float32)

    def choice(self, values: Sequence[float], weights: Sequence[float]) -> Array:
        """One of the values, with these odds."""
        edges = np.cumsum(np.asarray(weights, float) / np.sum(weights))
        at = np.minimum(np.searchsorted(edges, self._uniform(), side="right"), len(values) - 1)
        return np.asarray(values, np.float32)[at]
