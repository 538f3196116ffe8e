"""`find`: find every face in photos, and both its eyes; in videos, follow them."""

from __future__ import annotations

import argparse
import glob
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from hglib.commands.common import check_folder, number
from hglib.commands.evaluate import weight_files
from hglib.env import printable

if TYPE_CHECKING:
    from torch import nn

TABLES = (".csv", ".txt")  # no photo ends so: a forgotten file name cannot overwrite one
PLACE, SIDE = number(float, -1e6, 1e6), number(float, 8, 1e5)  # photo pixels
RATE = number(float, 0.01, 10_000)  # frames per second


def add(commands: Any) -> None:
    """The options of `find`."""
    find = commands.add_parser(
        "find", help="find every face in photos or videos, and both its eyes"
    )
    find.set_defaults(run=run)
    find.add_argument(
        "photos", nargs="+", metavar="PHOTO", help="images or videos, or patterns: *.jpg"
    )
    find.add_argument("--weights", help="a file from train (the pretrained ones)")
    find.add_argument("--csv", metavar="FILE", help="write the table there (to the screen)")
    find.add_argument("--annotate", metavar="FOLDER", help="save them with the eyes marked")
    find.add_argument(
        "--box", nargs=4, type=PLACE, metavar=("X", "Y", "W", "H"), help="look only there, in px"
    )
    find.add_argument("--smallest", type=SIDE, metavar="PX", help="width of the smallest face")
    find.add_argument(
        "--fps", type=RATE, metavar="N", help="a folder holds a video's frames, N in each second"
    )


def run(options: argparse.Namespace) -> None:
    """`find`: one line of csv per face, in its photo's own pixels, written as it is found.

    A photo that cannot be read or marked stops no other one; what is wrong is said at the end.
    """
    from hglib.photo.files import Table

    if clips := clips_in(options):
        return follow(clips, options)
    photos = expand(options.photos)
    check_targets(options.csv, options.annotate, photos)
    model, problems = eye_network(options.weights), []
    with Table(options.csv) as table:
        for number_, photo in enumerate(photos):
            if len(photos) > 1 and sys.stderr.isatty():
                print(f"{number_ + 1} of {len(photos)}: {printable(photo)}", file=sys.stderr)
            problems += find_in(photo, model, table, options)
    if problems:
        raise ValueError("; ".join(problems))


def find_in(photo: str, model: nn.Module, table: Any, options: argparse.Namespace) -> list[str]:
    """Find the faces of one photo and write them down; returns what went wrong, in words."""
    from hglib.photo.files import save_marked, search

    def say(text: str) -> None:
        print(f"{printable(photo)}: {text}", file=sys.stderr, flush=True)

    try:
        image, faces = search(model, photo, options.box, options.smallest, say)
    except (ValueError, OSError, MemoryError) as error:
        return [str(error) or f"{photo}: not enough memory; make the photo smaller first"]
    table.add(photo, faces)
    if not faces:
        say("no face found; try --smallest or --box")
    if options.annotate:
        try:
            save_marked(Path(options.annotate), photo, image, faces)
        except (ValueError, OSError) as error:
            return [f"{photo}: not marked ({error})"]
    return []


def clips_in(options: argparse.Namespace) -> list[str]:
    """The videos and, with --fps, the folders of frames; none where photos are asked for."""
    from hglib.photo.clips import ENDINGS

    names = options.photos if options.fps else expand(options.photos)
    clips = [name for name in names if options.fps or name.lower().endswith(ENDINGS)]
    files = [name for name in clips if os.path.isfile(name)]
    if options.fps and (photos := [name for name in files if not name.lower().endswith(ENDINGS)]):
        raise ValueError(f"{photos[0]}: --fps is for folders of frames; name the folder")
    if clips and len(clips) < len(names):
        raise ValueError("photos and videos have different tables: call find once for each")
    if clips and options.box:
        raise ValueError("--box is for photos: in a video faces are followed; leave it out")
    return clips


def follow(clips: Sequence[str], options: argparse.Namespace) -> None:
    """`find` with videos: one line of csv for each face in each frame, written as it is found."""
    from hglib.photo.clips import COLUMNS
    from hglib.photo.files import Table

    check_targets(options.csv, options.annotate, clips)
    model, problems = eye_network(options.weights), []
    with Table(options.csv, COLUMNS) as table:
        for clip in clips:
            try:
                follow_in(clip, model, table, options)
            except (ValueError, OSError, MemoryError) as error:
                problems.append(str(error) or f"{clip}: not enough memory for its frames")
    if problems:
        raise ValueError("; ".join(problems))


def follow_in(path: str, model: nn.Module, table: Any, options: argparse.Namespace) -> None:
    """Follow the faces of one clip and write them down, frame by frame."""
    from hglib.photo.clips import Marked, open_clip, rows
    from hglib.photo.image import to_grey
    from hglib.photo.video import Follower

    clip, follower = open_clip(path, options.fps or 25), Follower(model, options.smallest)
    marked = Marked(options.annotate, clip) if options.annotate else None
    any_face, progress = False, Progress(path, clip.count)
    with marked or nullcontext():
        for n, (name, time, image) in enumerate(clip.frames):
            faces = follower.step(to_grey(image), time)
            table.write(rows(path, n, time, faces))
            if marked:
                marked.add(name, image, faces)
            any_face |= bool(faces)
            progress(n + 1)
    if not any_face:
        print(f"{printable(path)}: no face found; try --smallest", file=sys.stderr)


class Progress:
    """One line on the error output every two seconds, where a person looks at it."""

    def __init__(self, path: str, count: int) -> None:
        self.path, self.of = printable(path), f" of {count}" if count else ""
        self.said = monotonic()

    def __call__(self, done: int) -> None:
        """Say how many frames are done, unless that was said a moment ago."""
        if sys.stderr.isatty() and monotonic() - self.said >= 2:
            self.said = monotonic()
            print(f"{self.path}: frame {done}{self.of}", file=sys.stderr, flush=True)


def expand(names: Sequence[str]) -> list[str]:
    """The photos that names, patterns and folders stand for; Windows' shell expands no pattern."""
    from PIL import Image

    photos: list[str] = []
    for name in names:
        if os.path.isdir(name):
            endings = Image.registered_extensions()
            inside = sorted(p for p in Path(name).iterdir() if p.suffix.lower() in endings)
            found = [str(path) for path in inside if path.is_file()]
        elif not os.path.lexists(name) and glob.has_magic(name):
            found = sorted(glob.glob(name, recursive=True))
        else:
            found = [name]  # the reader says so if it is not there
        if not found:
            raise FileNotFoundError(f"{name}: no image there; name the photos")
        photos += found
    return photos


def check_targets(csv: str | None, annotate: str | None, photos: Sequence[str]) -> None:
    """Raise before the work what would lose it: a table over a photo, a folder without leave."""
    if csv is not None:
        if Path(csv).suffix.lower() not in TABLES:
            raise ValueError(
                f"--csv {csv}: a table's name ends in {' or '.join(TABLES)}; "
                "give one before the photos"
            )
        taken = os.path.isdir(csv) or any(
            os.path.realpath(csv) == os.path.realpath(p) for p in photos
        )
        if taken:
            raise ValueError(f"--csv {csv}: a folder or one of the photos; choose another name")
        check_folder("--csv", Path(csv).absolute().parent)
    if annotate is not None:
        check_folder("--annotate", Path(annotate))


def eye_network(weights: str | None) -> nn.Module:
    """The network of a file, or the pretrained one; ValueError unless it marks the two eyes."""
    from hglib.checkpoint import load_model

    path = next(iter(weight_files([weights] if weights else []).values()))
    model = load_model(path)
    count = model.settings.get("landmarks", 2)
    if count != 2:
        raise ValueError(
            f"{path}: marks {count} points; find needs a network for the two eyes "
            "(train --landmarks eyes)"
        )
    return model
