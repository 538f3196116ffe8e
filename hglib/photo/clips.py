"""Video files and folders of frames: read, written down as rows, and written with the eyes marked.

A frame is (H, W, 3) uint8; times are in seconds. A folder of images needs nothing else; a video
file is read and written by PyAV (`pip install "hglib[video]"`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hglib.photo.crop import box_of_eyes
from hglib.photo.detect import FoundFace
from hglib.photo.files import cell, save_marked
from hglib.photo.image import annotate, check_size, read_photo
from hglib.photo.video import Seen

ENDINGS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".3gp", ".ogv")
COLUMNS = (
    "video",  # see `hglib.photo.files.cell`
    "frame",  # 0 is the first one
    "seconds",
    "face",  # a number of its own for every face, as long as it is followed
    *("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y"),  # as found in this frame
    *("steady_left_eye_x", "steady_left_eye_y", "steady_right_eye_x", "steady_right_eye_y"),
    "confidence",  # of the less certain eye
)


class Clip(NamedTuple):
    """A video that is read as it is asked for."""

    path: Path
    rate: float  # frames per second
    frames: Iterator[tuple[str, float, np.ndarray]]  # name, time in s, (H, W, 3) uint8
    count: int  # frames, as far as known before they are read; 0: not known


def open_clip(path: str | Path, rate: float = 25.0) -> Clip:
    """A video file, or a folder of images in the order of their names (frame2 before frame10).

    Args:
        path: the file or the folder.
        rate: frames per second, of a folder; a file says its own.

    Raises:
        FileNotFoundError: nothing there, or a folder without images.
        ValueError: not a video, or PyAV is not installed. While frames are read also where one is
            damaged or of another size, or the file ends early.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; give a video or a folder of frames")
    if path.is_dir():
        files = frame_files(path)
        images = ((str(file), n / rate, read_photo(file)) for n, file in enumerate(files))
        return Clip(path, rate, _one_size(images), len(files))
    return _open_file(path)


def frame_files(folder: Path) -> list[Path]:
    """The images in a folder, numbers in their names counted as numbers."""
    from PIL import Image

    def order(path: Path) -> list[tuple[bool, int, str]]:
        parts = re.split(r"([0-9]+)", path.name)
        return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]

    endings = Image.registered_extensions()
    files = [path for path in folder.iterdir() if path.suffix.lower() in endings]
    if not files:
        raise FileNotFoundError(f"{folder}: no image there; give a folder of frames")
    return sorted(files, key=order)


def _one_size(
    frames: Iterable[tuple[str, float, np.ndarray]],
) -> Iterator[tuple[str, float, np.ndarray]]:
    """The same frames; ValueError at the first that has not the size of the first one."""
    first = None
    for name, time, image in frames:
        height, width = image.shape[:2]
        if (first := first or (width, height)) != (width, height):
            raise ValueError(
                f"{name}: {width} x {height} pixels, the first frame has {first[0]} x {first[1]}; "
                "the frames of one video have one size"
            )
        yield name, time, image


def _open_file(path: Path) -> Clip:
    if not find_spec("av"):
        raise ValueError(
            f'{path}: a video needs PyAV (pip install "hglib[video]"); '
            "or give a folder of its frames with --fps"
        )
    import av

    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise ValueError(
            f"{path}: not a video that FFmpeg reads, or cut off ({_words(error)}); copy it again"
        ) from None
    if not container.streams.video:
        raise ValueError(f"{path}: no video in it; give a file with images that move")
    stream = container.streams.video[0]
    check_size(path, stream.width, stream.height)
    rate = float(stream.average_rate or 25)
    return Clip(path, rate, _one_size(_decoded(path, container, rate)), stream.frames)


def _decoded(path: Path, container: Any, rate: float) -> Iterator[tuple[str, float, np.ndarray]]:
    """The frames of a file as a viewer shows them: a phone held upright notes a rotation."""
    import av

    number, wanted = 0, container.streams.video[0].frames
    why = f"{path}: cut off or damaged after"
    with container:
        try:
            for number, frame in enumerate(container.decode(video=0), 1):
                time = (number - 1) / rate if frame.time is None else float(frame.time)
                turns = round(getattr(frame, "rotation", 0) / 90)  # against the clock
                image = np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
                yield f"{path}, frame {number - 1}", time, image
        except av.error.FFmpegError as error:
            raise ValueError(f"{why} {number} frames ({_words(error)}); copy it again") from None
    if number < max(1, 0.95 * wanted):  # a header may count a frame or two that are never shown
        raise ValueError(f"{why} {number} of {wanted or 'some'} frames; copy it again")


def _words(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:80]


class Marked:
    """Where the annotated frames of a clip go: a video for a video, images for a folder.

    A video is written beside its final name and takes it at the end, also after Ctrl-C. Nothing
    that is there is overwritten.
    """

    def __init__(self, folder: str | Path, clip: Clip) -> None:
        self.folder, self.clip, self.container = Path(folder), clip, None

    def __enter__(self) -> Marked:
        return self

    def add(self, name: str, image: np.ndarray, faces: Iterable[Seen]) -> None:
        """Mark the steadied eyes in a frame (H, W, 3), and write it."""
        found = [FoundFace(f.steady, box_of_eyes(f.steady), f.confidence) for f in faces]
        if self.clip.path.is_dir():
            save_marked(self.folder, name, image, found)
            return
        import av

        marked = np.asarray(annotate(image, found))
        rim = [(0, side % 2) for side in marked.shape[:2]]  # the codec takes even sizes only
        if self.container is None:
            self._open(marked.shape[1] + rim[1][1], marked.shape[0] + rim[0][1])
        frame = av.VideoFrame.from_ndarray(np.pad(marked, [*rim, (0, 0)], "edge"), format="rgb24")
        self._encode(frame)

    def _encode(self, frame: Any) -> None:
        """Write a frame; at the end None, for those that the codec has kept back."""
        import av

        try:
            self.container.mux(self.stream.encode(frame))
        except av.error.FFmpegError as error:
            raise OSError(f"{self.target}: not written ({_words(error)})") from None

    def _open(self, width: int, height: int) -> None:
        import av

        self.folder.mkdir(parents=True, exist_ok=True)
        stem = self.clip.path.stem
        names = (f"{stem}{f'-{n}' if n > 1 else ''}.mp4" for n in count(1))
        self.target = next(p for p in map(self.folder.joinpath, names) if not os.path.lexists(p))
        self.part = self.target.with_name(f"{self.target.name}.part")
        self.container = av.open(str(self.part), "w", format="mp4")
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        rate = Fraction(self.clip.rate).limit_denominator(1001)  # 30000 / 1001 is a usual one
        self.stream = self.container.add_stream(codec, rate=rate)
        self.stream.width, self.stream.height, self.stream.pix_fmt = width, height, "yuv420p"

    def __exit__(self, *_: object) -> None:
        if self.container is not None:
            self._encode(None)
            self.container.close()
            os.replace(self.part, self.target)


def rows(path: str | Path, number: int, time: float, faces: Iterable[Seen]) -> list[list[str]]:
    """The rows of `COLUMNS` for one frame, with thousandths of a pixel."""
    return [
        [
            cell(str(path)),
            str(number),
            f"{time:.3f}",
            str(one.face),
            *(f"{value:.3f}" for value in (*one.eyes.flat, *one.steady.flat)),
            f"{one.confidence:.3f}",
        ]
        for one in faces
    ]
