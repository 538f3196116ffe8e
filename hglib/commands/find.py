"""`find`: find every face in photos, and both its eyes."""

from __future__ import annotations

import argparse
import glob
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hglib.commands.common import check_folder, number
from hglib.commands.evaluate import weight_files
from hglib.env import printable

if TYPE_CHECKING:
    from torch import nn

TABLES = (".csv", ".txt")  # no photo ends so: a forgotten file name cannot overwrite one
PLACE, SIDE = number(float, -1e6, 1e6), number(float, 8, 1e5)  # photo pixels


def add(commands: Any) -> None:
    """The options of `find`."""
    find = commands.add_parser("find", help="find every face in photos, and both its eyes")
    find.set_defaults(run=run)
    find.add_argument("photos", nargs="+", metavar="PHOTO", help="image files, or patterns: *.jpg")
    find.add_argument("--weights", help="a file from train (the pretrained ones)")
    find.add_argument("--csv", metavar="FILE", help="write the table there (to the screen)")
    find.add_argument("--annotate", metavar="FOLDER", help="save photos with the eyes marked")
    find.add_argument(
        "--box", nargs=4, type=PLACE, metavar=("X", "Y", "W", "H"), help="look only there, in px"
    )
    find.add_argument("--smallest", type=SIDE, metavar="PX", help="width of the smallest face")


def run(options: argparse.Namespace) -> None:
    """`find`: one line of csv per face, in its photo's own pixels, written as it is found.

    A photo that cannot be read or marked stops no other one; what is wrong is said at the end.
    """
    from hglib.photo.files import Table

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
