"""Finding faces in a photograph with a network that only knows how to find eyes in a face.

The network is asked about many overlapping windows of the photo, small and large. It never says
"there is no face": it always answers with two points. But where a face is, windows that lie a
little differently give the same two points of the *photo*; elsewhere their answers scatter. So
every window votes for a pair of eyes, and a pair that many windows agree on is a face.

Axes: H, W rows and columns of a photo; N windows, each 96 x 96; eyes are (2, 2), (x, y) of the
subject's left eye, then of the right one. Points and boxes are in photo pixels, see
`hglib.photo.crop`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from hglib.inference import predict
from hglib.photo.crop import (
    DISTANCE,
    MIDDLE,
    SIZE,
    Box,
    box_of_eyes,
    cut,
    resample,
    square,
    to_photo,
)

STEP = 32  # window pixels from one window to the next: half of that is the most a face can be off
OVERHANG = 16  # window pixels by which windows may reach over the photo's edge
ZOOM = math.sqrt(2)  # from one level of the pyramid to the next
FINEST = 8  # the smallest window, as a share of the photo's longer side; half costs four times
LEAST = 16  # photo pixels: a smaller window shows the network less than 6 between the eyes
MOST = 30_000  # windows: about a minute on one core, and 300 MB
PART = 1024  # windows that become floats at a time
TURNS = (180, 90, 270, 45, 135, 225, 315)  # degrees clockwise
BARELY = 1.5  # a face less than so many smallest windows wide may have smaller neighbours
SURE = 0.15  # votes below this confidence do not count
STRETCH = (0.5, 2.0)  # eye distances that count, in those of an average face
TILT = 0.6  # the steepest line through both eyes that counts: tan 31 degrees
AGREE = 0.2  # eye distances within which two votes mean the same pair
CANDIDATES = 40  # how many pairs, those with the most votes first, get a closer look
NEARBY = (14, (1.0,))  # crops for an exact answer: moved by so many crop pixels, and enlarged
FAR = (24, (0.7, 1.0, 1.4))  # crops for the support: as far as a face is still found from
# The support from which a pair counts as a face: `python -m hglib experiment scenes` measures
# what both sides of it have.
ENOUGH = 0.45
# Fourteen scenes, turned by quarters: wrong finds had a support of up to .61, right ones from .66.
CLEAR = 0.7  # below it the other quarter turns are looked at as well
FLAT = 4  # grey levels: an image with no two further apart shows nothing
# What `search_faces` tries: what it says before, the smallest window as a share of the photo's
# longer side, the turn in degrees, and whether as a negative.
TRIES = (
    ("", FINEST, 0, False),
    ("with windows half as large", 2 * FINEST, 0, False),
    *((f"with the photo turned by {turn} degrees", FINEST, turn, False) for turn in TURNS),
    ("in the inverted image", FINEST, 0, True),
    ("with windows a quarter as large (the longest try)", 4 * FINEST, 0, False),
)


@dataclass(frozen=True)
class FoundFace:
    """One face in a photo."""

    eyes: np.ndarray  # (2, 2) photo pixels
    box: Box  # the crop in which these eyes lie as in an average face
    support: float  # 0 to 1: how many moved crops find the same eyes, and how surely
    turn: int = 0  # degrees: turn the photo so far clockwise, and this face stands upright


class Votes(NamedTuple):
    """What N windows say."""

    eyes: np.ndarray  # (N, 2, 2) photo pixels
    confidence: np.ndarray  # (N,) in [0, 1]: of the less certain eye; 0 for an impossible pair
    boxes: np.ndarray  # (N, 3): left, top, side of each window

    def near(self, eyes: np.ndarray) -> np.ndarray:
        """Which votes (N,) bool mean this pair: both eyes within `AGREE` of its distance."""
        off = np.hypot(*np.moveaxis(self.eyes - eyes, -1, 0)).max(axis=-1)  # (N,)
        return (off < AGREE * _distance(eyes)) & (self.confidence > SURE)


def window_sides(shape: tuple[int, int], smallest: float | None = None) -> list[float]:
    """The sides of the windows of each level, from the photo's shorter side down, in photo pixels.

    Raises:
        ValueError: `smallest` is not a number from `LEAST` up, or means more than `MOST` windows.

    >>> [round(side) for side in window_sides((400, 600))]
    [400, 283, 200, 141, 100]
    """
    least = max(SIZE / 2, max(shape) / FINEST) if smallest is None else smallest
    if not LEAST <= least < math.inf:
        raise ValueError(f"smallest={least:g}: expected a window's side in px, from {LEAST} up")
    sides = [float(min(shape))]
    while sides[-1] / ZOOM >= least:
        sides.append(sides[-1] / ZOOM)
    if (count := sum(math.prod(_grid(shape, side)) for side in sides)) > MOST:
        photo = f"a photo of {shape[1]} x {shape[0]} px"
        raise ValueError(
            f"{photo} is too long for its width: cut it into parts"
            if len(sides) == 1
            else f"smallest={least:g} means {count} windows of {photo}, more than {MOST}: raise it"
        )
    return sides


def _grid(shape: tuple[int, int], side: float) -> list[int]:
    """How many windows of this side lie beside each other on each axis: x, y."""
    spare = [length * SIZE / side + 2 * OVERHANG - SIZE for length in shape[::-1]]
    return [max(0, math.ceil(room / STEP - 1e-6)) + 1 for room in spare]


def windows(grey: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """One level: overlapping windows (N, 96, 96) uint8 of this side, and their boxes (N, 3).

    The photo is resampled once, so that `side` becomes 96 pixels, and the windows are its parts.

    >>> images, boxes = windows(np.zeros((96, 192), np.uint8), side=96)
    >>> images.shape, boxes[0].tolist()
    ((10, 96, 96), [-16.0, -16.0, 96.0])
    """
    scale = side / SIZE  # photo pixels per window pixel
    count = _grid(grey.shape, side)
    size = [SIZE + STEP * (n - 1) for n in count]  # window pixels
    corner = [(a - b * scale) / 2 for a, b in zip(grey.shape[::-1], size, strict=True)]
    level = resample(grey, (corner[0], corner[1]), scale, (size[0], size[1]))
    parts = np.lib.stride_tricks.sliding_window_view(level, (SIZE, SIZE))[::STEP, ::STEP]
    rows, columns = np.mgrid[: count[1], : count[0]].reshape(2, -1) * STEP * scale
    boxes = np.stack([corner[0] + columns, corner[1] + rows, np.full(len(rows), side)], axis=1)
    return parts.reshape(-1, SIZE, SIZE), boxes


def ask(model: nn.Module, images: np.ndarray, boxes: np.ndarray) -> Votes:
    """Run the network on windows (N, 96, 96); the answers in photo pixels.

    A pair that is far too near, too wide or too steep for a face gets the confidence 0.
    """
    said = [predict(model, images[n : n + PART]) for n in range(0, len(images), PART)]
    points, sure = (
        torch.cat(part).numpy() for part in zip(*said, strict=True)
    )  # (N, 2, 2), (N, 2)
    across, down = np.moveaxis(points[:, 0] - points[:, 1], -1, 0)  # (N,)
    stretch = np.hypot(across, down) / DISTANCE
    possible = (stretch > STRETCH[0]) & (stretch < STRETCH[1]) & (abs(down) < TILT * across)
    eyes = [to_photo(p, Box(*b)) for p, b in zip(points, boxes, strict=True)]
    return Votes(np.array(eyes), sure.min(axis=1) * possible, boxes)


def vote(model: nn.Module, grey: np.ndarray, smallest: float | None = None) -> Votes:
    """The votes of every window on every level."""
    sides = window_sides(grey.shape, smallest)
    levels = [ask(model, *windows(grey, side)) for side in sides]
    return Votes(*(np.concatenate(part) for part in zip(*levels, strict=True)))


def gather(votes: Votes) -> list[tuple[float, np.ndarray]]:
    """Pairs of eyes with the sum of the confidences that they gathered, the largest first.

    The surest vote begins; votes that agree with it are used up and give their median.
    """
    votes = Votes(*(column[votes.confidence > SURE] for column in votes))
    pairs = []
    while len(votes.eyes):
        agree = votes.near(votes.eyes[votes.confidence.argmax()])
        total = float(votes.confidence[agree].sum())
        pairs.append((total, np.median(votes.eyes[agree], axis=0)))
        votes = Votes(*(column[~agree] for column in votes))
    return sorted(pairs, key=lambda pair: -pair[0])


def look_closer(model: nn.Module, grey: np.ndarray, eyes: np.ndarray) -> FoundFace:
    """Crop around a pair of eyes in other ways, and see which crops find the same pair.

    Nine crops that are moved a little give the answer, their median. 27 that are moved as far as a
    face can be and still be found give its support: the confidence of those that agree, over 27.
    The answer of the first nine has to be the same pair, or the support is 0.
    """
    votes = ask_around(model, grey, eyes, *NEARBY)
    agree = votes.near(eyes)
    if 2 * agree.sum() < len(agree):
        return FoundFace(eyes, box_of_eyes(eyes), 0.0)
    eyes = np.median(votes.eyes[agree], axis=0)
    votes = ask_around(model, grey, eyes, *FAR)
    support = votes.confidence[votes.near(eyes)].sum() / len(votes.confidence)
    return FoundFace(eyes, box_of_eyes(eyes), float(support))


def ask_around(
    model: nn.Module, grey: np.ndarray, eyes: np.ndarray, reach: float, scales: Sequence[float]
) -> Votes:
    """What crops say that hold a pair of eyes (2, 2) in its usual place, and moved by `reach` crop
    pixels in eight directions; each once for every one of `scales`, in the order of these.
    """
    box, steps = box_of_eyes(eyes), (-reach, 0, reach)
    crops = [_moved(box, x, y, scale) for scale in scales for y in steps for x in steps]
    return ask(model, np.stack([cut(grey, crop) for crop in crops]), np.array(crops))


def find_faces(
    model: nn.Module,
    grey: np.ndarray,
    smallest: float | None = None,
    enough: float = ENOUGH,
) -> list[FoundFace]:
    """Every upright face in a photo, those with the most support first: one plain pass.

    Args:
        model: a network for two eyes, such as the pretrained one.
        grey: the photo, (H, W) uint8.
        smallest: side of the smallest window in photo pixels; the eyes of a face it fits are 0.38
            of it apart. None: an eighth of the photo's longer side. Half of it takes four times as
            long.
        enough: the least support (0 to 1) of a face.

    Raises:
        ValueError: an image that is not (H, W) uint8, and as `window_sides`.
    """
    _check(grey)
    pairs = gather(vote(model, grey, smallest))[:CANDIDATES]
    looked = [look_closer(model, grey, eyes) for _, eyes in pairs]
    return nms([face for face in looked if face.support >= enough])


def search_faces(
    model: nn.Module,
    grey: np.ndarray,
    smallest: float | None = None,
    say: Callable[[str], None] | None = None,
) -> list[FoundFace]:
    """Every face in a photo, however it is held: `find_faces` again and again until there is one.

    What is tried, in this order: the photo as it is, smaller windows, quarter turns, eighths of a
    turn, the negative, windows that are smaller still. A large photo is shrunk first to what the
    smallest windows can show.

    Args:
        model, grey, smallest: as for `find_faces`. With `smallest` no other size is tried.
        say: called with one line for each further try, and for what it came to.

    Returns:
        Faces in photo pixels; eye 0 is the subject's left one whatever the `turn`.

    Raises:
        ValueError: as `find_faces`.
    """
    _check(grey)
    say = say or (lambda line: None)
    window_sides(grey.shape, smallest)  # refuses before any work
    if np.ptp(grey) < FLAT:
        say("the photo is of one even grey: there is nothing to find in it")
        return []
    for words, share, turn, negative in TRIES:
        if smallest is not None and share != FINEST:
            continue
        if words:
            say(f"no face found; looking again {words}")
        view = 255 - grey if negative else grey
        least = _least(grey, share) if smallest is None else smallest
        faces = _search_view(model, view, least, turn)
        if faces and faces[0].support < CLEAR:
            faces = _surest(model, view, least, faces)
        if faces:
            _say_how(say, faces[0].turn, negative)
            barely = min(face.box.side for face in faces) < BARELY * least
            if share > FINEST or smallest is not None or not barely:
                return faces
            say(f"{len(faces)} found, of the smallest size looked for; looking for smaller ones")
            more = _search_view(model, view, _least(grey, 2 * share), faces[0].turn)
            return nms(faces + more)
    return []


def _least(grey: np.ndarray, share: float) -> float:
    """The smallest window: this share of the photo's longer side, if that has enough pixels."""
    return max(LEAST, SIZE / 2 * FINEST / share, max(grey.shape) / share)


def _search_view(model: nn.Module, grey: np.ndarray, least: float, turn: int) -> list[FoundFace]:
    """The faces in a photo that is turned first, and shrunk where that loses nothing."""
    window_sides(grey.shape, least)  # refuses before any work
    step = max(1.0, least / (2 * SIZE))
    view = _turned(_shrunk(grey, step), turn)
    faces = find_faces(model, view, least / step)
    if faces and _is_upside_down(model, view, faces):
        view, turn = np.ascontiguousarray(view[::-1, ::-1]), (turn + 180) % 360
        faces = find_faces(model, view, least / step)
    return [_in_photo(face, view.shape, grey.shape, step, turn) for face in faces]


def _surest(
    model: nn.Module, grey: np.ndarray, least: float, faces: list[FoundFace]
) -> list[FoundFace]:
    """A doubtful find, or what has more support when the photo is turned by quarters.

    A face that lies on its side is at times found askew by an upright search, never surely.
    """
    turns = [turn for turn in (0, 90, 180, 270) if turn != faces[0].turn]
    finds = [faces, *(_search_view(model, grey, least, turn) for turn in turns)]
    return max(finds, key=lambda found: found[0].support if found else 0.0)


def _is_upside_down(model: nn.Module, view: np.ndarray, faces: list[FoundFace]) -> bool:
    """Whether the same places have more support when the photo is turned by 180 degrees.

    A face upside down is often found, with left and right exchanged, but never as surely.
    """
    over = np.ascontiguousarray(view[::-1, ::-1])
    corner = np.array(view.shape[::-1]) - 1
    looked = [look_closer(model, over, corner - face.eyes[::-1]) for face in faces]
    return sum(face.support for face in looked) > sum(face.support for face in faces)


def _shrunk(grey: np.ndarray, step: float) -> np.ndarray:
    height, width = (math.ceil(length / step) for length in grey.shape)
    return grey if step == 1 else resample(grey, (0.0, 0.0), step, (width, height))


def _turned(grey: np.ndarray, turn: int) -> np.ndarray:
    """The photo turned clockwise by a multiple of 45 degrees, its centre still in the centre."""
    from PIL import Image

    bilinear, tone = Image.Resampling.BILINEAR, int(grey.mean())
    image = Image.fromarray(grey).rotate(-turn, bilinear, expand=True, fillcolor=tone)
    return np.asarray(image)


def _in_photo(
    face: FoundFace, view: tuple[int, int], photo: tuple[int, int], step: float, turn: int
) -> FoundFace:
    """A face of a view that was shrunk by `step` and turned, in the photo's own pixels."""
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    back = np.array([[cos, -sin], [sin, cos]])  # for rows (x, y), y pointing down
    here, there = (np.array(shape[::-1]) / 2 for shape in (view, photo))
    shrunk = np.ceil(there * 2 / step) / 2  # the middle of the shrunk photo, before the turn

    def out(edges: np.ndarray) -> np.ndarray:
        return ((edges - here) @ back + shrunk) * step

    left, top, side = face.box
    corner = out(np.array([left, top]) + side / 2) - side * step / 2
    box = Box(float(corner[0]), float(corner[1]), side * step)
    return FoundFace(out(face.eyes + 0.5) - 0.5, box, face.support, turn)


def _say_how(say: Callable[[str], None], turn: int, negative: bool) -> None:
    if turn:
        say(f"found after turning the photo by {turn} degrees clockwise")
    if negative:
        say("found in the inverted image: the photo is a negative")


def _check(grey: np.ndarray) -> None:
    if grey.ndim != 2 or grey.dtype != np.uint8 or not grey.size:
        raise ValueError(f"the photo is {grey.shape} {grey.dtype}; expected grey (H, W) uint8")


def find_in_box(
    model: nn.Module, grey: np.ndarray, x: float, y: float, width: float, height: float
) -> FoundFace:
    """The eyes of the one face in a box that somebody drew, in photo pixels.

    The square around the box is cut out; what is found there is looked at more closely. There is
    always an answer: look at its support.

    Raises:
        ValueError: a box that is empty, not finite, not in the photo, or far larger than it.
    """
    _check(grey)
    box = square(x, y, width, height)
    tall, wide = grey.shape
    middle = x + width / 2, y + height / 2
    if box.side > 2 * max(wide, tall) or not (0 <= middle[0] <= wide and 0 <= middle[1] <= tall):
        raise ValueError(
            f"the box {x:g} {y:g} {width:g} {height:g} does not lie in the photo of "
            f"{wide} x {tall} px; give x y w h in px"
        )
    eyes = ask(model, cut(grey, box)[None], np.array([box])).eyes[0]
    return look_closer(model, grey, eyes)


def nms(faces: list[FoundFace]) -> list[FoundFace]:
    """One entry for each face: of two whose middles are less than an eye distance apart, the one
    with more support. Known as non-maximum suppression."""
    kept: list[FoundFace] = []
    for face in sorted(faces, key=lambda face: -face.support):
        middle, reach = face.eyes.mean(axis=0), _distance(face.eyes)
        apart = [math.dist(middle, other.eyes.mean(axis=0)) for other in kept]
        reaches = [max(reach, _distance(other.eyes)) for other in kept]
        if all(a > r for a, r in zip(apart, reaches, strict=True)):
            kept.append(face)
    return kept


def _distance(eyes: np.ndarray) -> float:
    return math.dist(eyes[0], eyes[1])


def _moved(box: Box, x: float, y: float, scale: float) -> Box:
    """The box shifted by crop pixels, and scaled about the middle between the eyes."""
    pixel, side = box.side / SIZE, box.side * scale
    held_x, held_y = ((m + 0.5) * pixel * (1 - scale) for m in MIDDLE)
    return Box(box.left + held_x + x * pixel, box.top + held_y + y * pixel, side)
