"""Reading a photograph: any common file, any mode, the right way up; and drawing on it.

A photo is an array (H, W, 3) uint8, a grey one (H, W) uint8.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

    from hglib.photo.detect import FoundFace

LARGEST = 100_000_000  # pixels, 300 MB as RGB; a small file can claim to be larger than any memory
SMALLEST = 24  # pixels a side: no network finds an eye in less
FRAME = (0, 158, 115)  # the course's green; the eyes have the colours of its figures
EYE_COLOURS = ((213, 94, 0), (86, 180, 233))  # the subject's left eye, the right one


def read_photo(path: str | Path) -> np.ndarray:
    """The photo in a file as (H, W, 3) uint8, as a viewer shows it.

    The EXIF orientation is applied, 16 bits become 8 by division (not by clipping), whatever is
    transparent becomes white. Of an animation the first picture is taken.

    Raises FileNotFoundError, or ValueError for what is no picture, not a whole one, of more than
    `LARGEST` pixels, or with a side of less than `SMALLEST`.

    Taught in: 07_your_own_photo
    """
    from PIL import Image

    path = Path(path)
    if not path.is_file():
        known = "a folder; name the pictures in it" if path.is_dir() else "no such file"
        raise FileNotFoundError(f"{path}: {known}; give the path of a picture")
    with _in_one_sentence(path), Image.open(path) as opened:
        size = opened.size  # from the header: no pixel is read yet
    _check_size(path, *size)
    with _in_one_sentence(path), Image.open(path) as opened:
        return _upright(opened)


@contextmanager
def _in_one_sentence(path: Path) -> Iterator[None]:
    """Turn what Pillow says of a damaged or foreign file into one ValueError that names it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures: `_check_size` decides
            yield
    except UnidentifiedImageError:
        raise ValueError(
            f"{path}: not a picture in a format that Pillow reads (JPEG, PNG, WebP and others); "
            "save it as one of them, a phone's HEIC too"
        ) from None
    except Image.DecompressionBombError:  # Pillow's own limit, above ours
        raise ValueError(
            f"{path}: more than {LARGEST // 10**6} million pixels; make the picture smaller first"
        ) from None
    except (OSError, SyntaxError, ValueError, MemoryError) as error:
        raise ValueError(f"{path}: not a whole picture file ({error}); copy it again") from None


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > LARGEST:
        raise ValueError(
            f"{path}: {width} x {height} pixels are more than {LARGEST // 10**6} million; "
            "make the picture smaller first"
        )
    if min(width, height) < SMALLEST:
        raise ValueError(
            f"{path}: {width} x {height} pixels; give a picture of at least {SMALLEST} pixels "
            "each way"
        )


def _upright(opened: Image) -> np.ndarray:
    """Pixels of an opened picture, (H, W, 3) uint8, with its EXIF orientation applied."""
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(opened)
    if picture.mode.startswith("I"):  # 16 bits: Pillow's own conversion would clip at 255
        levels = np.asarray(picture).astype(np.float64) / 257  # 65535 becomes 255
        picture = Image.fromarray(np.rint(levels.clip(0, 255)).astype(np.uint8))
    elif picture.mode == "F":
        raise ValueError("floating-point pixels without a known white; save it with 8 or 16 bits")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return np.asarray(picture.convert("RGB"))


def to_grey(photo: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 to grey (H, W) uint8: .299 R + .587 G + .114 B, by ITU-R BT.601.

    >>> to_grey(np.full((24, 24, 3), (255, 0, 0), np.uint8))[0, 0]
    np.uint8(76)

    Taught in: 07_your_own_photo
    """
    from PIL import Image

    return np.asarray(Image.fromarray(photo).convert("L"))


def annotate(photo: np.ndarray, faces: Iterable[FoundFace]) -> Image:
    """A copy of the photo (H, W, 3) with a frame round every face and a cross on every eye.

    The crosses lie on the pixels that hold the eyes. Taught in: 07_your_own_photo
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(photo)  # a copy
    draw = ImageDraw.Draw(picture)
    for face in faces:
        left, top, side = face.box
        width = max(1, round(side / 96))
        draw.rectangle((left, top, left + side, top + side), outline=FRAME, width=width)
        arm = max(2, round(side / 24))
        for (x, y), colour in zip(face.eyes.round(), EYE_COLOURS, strict=True):
            for line, tone in ((3 * width, (0, 0, 0)), (width, colour)):  # an edge, then the cross
                draw.line((x - arm, y, x + arm, y), fill=tone, width=line)
                draw.line((x, y - arm, x, y + arm), fill=tone, width=line)
    return picture
