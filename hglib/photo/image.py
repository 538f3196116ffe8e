"""Reading a photograph: any common file, any mode, the right way up; and drawing on it.

A photo is an array (H, W, 3) uint8, a grey one (H, W) uint8.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
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


def tell(line: str) -> None:
    """Print one line beside the results: to the error output."""
    print(line, file=sys.stderr)


def read_photo(path: str | Path, say: Callable[[str], None] = tell) -> np.ndarray:
    """The photo in a file as (H, W, 3) uint8, as a viewer shows it.

    The EXIF orientation is applied, and whatever is transparent becomes white. Grey levels of 16 or
    32 bits or floats become 8 bits by division, not by clipping; where they use less than half
    of their range, as those of a thermal camera do, what they use becomes 0 to 255. Of an animation
    the first frame is taken.

    Args:
        path: the file.
        say: called with one line if levels were stretched.

    Raises:
        FileNotFoundError: no such file, or a folder.
        ValueError: no image, not a whole one, of more than `LARGEST` pixels, or with a side of less
            than `SMALLEST`.
    """
    from PIL import Image, ImageOps

    path = Path(path)
    if not path.is_file():
        known = "a folder; name the images in it" if path.is_dir() else "no such file"
        raise FileNotFoundError(f"{path}: {known}; give the path of an image")
    with _in_one_sentence(path), Image.open(path) as opened:
        size = opened.size  # from the header: no pixel is read yet
    check_size(path, *size)
    with _in_one_sentence(path), Image.open(path) as opened:
        opened.load()
        image = ImageOps.exif_transpose(opened)
    return np.asarray(_to_rgb(path, image, say))


@contextmanager
def _in_one_sentence(path: Path) -> Iterator[None]:
    """Turn what Pillow says of a damaged or foreign file into one ValueError that names it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images: `check_size` decides
            yield
    except UnidentifiedImageError:
        raise ValueError(
            f"{path}: not an image in a format that Pillow reads (JPEG, PNG, WebP and others); "
            "save it as one of them, a phone's HEIC too"
        ) from None
    except Image.DecompressionBombError:  # Pillow's own limit, above ours
        raise ValueError(
            f"{path}: more than {LARGEST // 10**6} million pixels; make the image smaller first"
        ) from None
    except PermissionError:
        raise ValueError(
            f"{path}: you are not allowed to read it; change its permissions"
        ) from None
    except Exception as error:  # a damaged file can raise anything in Pillow's many readers
        words = " ".join(str(error).split())[:80]
        raise ValueError(f"{path}: not a whole image file ({words}); copy it again") from None


def check_size(path: str | Path, width: int, height: int) -> None:
    """Raise ValueError for an image of more than `LARGEST` pixels or with too short a side."""
    if width * height > LARGEST:
        raise ValueError(
            f"{path}: {width} x {height} pixels are more than {LARGEST // 10**6} million; "
            "make the image smaller first"
        )
    if min(width, height) < SMALLEST:
        raise ValueError(
            f"{path}: {width} x {height} pixels; give an image of at least {SMALLEST} pixels "
            "each way"
        )


def _to_rgb(path: Path, image: Image, say: Callable[[str], None]) -> Image:
    """An upright image of any mode in RGB, what is transparent over white."""
    from PIL import Image

    if image.mode[0] in "IF":  # Pillow's own conversion would clip at 255
        return Image.fromarray(_eight_bits(path, np.asarray(image), say)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    try:
        return image.convert("RGB")
    except ValueError:
        raise ValueError(
            f"{path}: the colours are {image.mode}; save it as RGB or grey first"
        ) from None


def _eight_bits(path: Path, levels: np.ndarray, say: Callable[[str], None]) -> np.ndarray:
    """Grey levels (H, W), integers or floats of any range, as uint8."""
    if not np.isfinite(levels).all():
        raise ValueError(f"{path}: some pixels are not finite; fill them and save it again")
    some = levels[:: max(1, len(levels) // 1000), :: max(1, levels.shape[1] // 1000)]
    low, high = (float(v) for v in np.percentile(some, (0.1, 99.9)))  # a few dead pixels count not
    whites = (1, 255, 65535) if levels.dtype.kind == "f" else (65535,)
    white = next((white for white in whites if levels.max() <= white), 0)
    if levels.min() >= 0 and high - low >= white / 2 > 0:
        low, high = 0.0, float(white)
    else:
        say(f"{path}: its grey levels from {low:g} to {high:g} are shown as 0 to 255")
    scaled, scale = np.empty(levels.shape, np.uint8), 255 / ((high - low) or 1.0)
    for row, out in zip(levels, scaled, strict=True):  # a row at a time: floats are large
        out[:] = np.rint((row.astype(float) - low) * scale).clip(0, 255)
    return scaled


def to_grey(photo: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 to grey (H, W) uint8: .299 R + .587 G + .114 B, by ITU-R BT.601.

    >>> to_grey(np.full((24, 24, 3), (255, 0, 0), np.uint8))[0, 0]
    np.uint8(76)
    """
    from PIL import Image

    return np.asarray(Image.fromarray(photo).convert("L"))


def annotate(photo: np.ndarray, faces: Iterable[FoundFace]) -> Image:
    """A copy of the photo (H, W, 3) with a frame round every face and a cross on every eye.

    The crosses lie on the pixels that hold the eyes.
    """
    from PIL import Image, ImageDraw

    image = Image.fromarray(photo)  # a copy
    draw = ImageDraw.Draw(image)
    for face in faces:
        left, top, side = face.box
        width = max(1, round(side / 96))
        draw.rectangle((left, top, left + side, top + side), outline=FRAME, width=width)
        arm = max(2, round(side / 24))
        for (x, y), colour in zip(face.eyes.round(), EYE_COLOURS, strict=True):
            for line, tone in ((3 * width, (0, 0, 0)), (width, colour)):  # an edge, then the cross
                draw.line((x - arm, y, x + arm, y), fill=tone, width=line)
                draw.line((x, y - arm, x, y + arm), fill=tone, width=line)
    return image
