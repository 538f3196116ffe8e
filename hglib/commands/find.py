"""`find`: find every face in photos, and both its eyes."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hglib.commands.evaluate import weight_files


def add(commands: Any) -> None:
    """The options of `find`. Taught in: 07_your_own_photo"""
    find = commands.add_parser("find", help="find every face in photos, and both its eyes")
    find.set_defaults(run=run)
    find.add_argument("photos", nargs="+", metavar="PHOTO", help="picture files of any size")
    find.add_argument("--weights", help="a file from train (the shipped ones)")
    find.add_argument("--csv", metavar="FILE", help="write the table there (to the screen)")
    find.add_argument("--annotate", metavar="FOLDER", help="save pictures with the eyes marked")
    find.add_argument(
        "--box", nargs=4, type=float, metavar=("X", "Y", "W", "H"), help="look only there, in px"
    )
    find.add_argument("--smallest", type=float, metavar="PX", help="width of the smallest face")


def run(options: argparse.Namespace) -> None:
    """`find`: one line of csv per face, in its photo's own pixels.

    A photo that cannot be read stops no other one; all that is wrong is said at the end.

    Taught in: 07_your_own_photo
    """
    from hglib.checkpoint import load_model
    from hglib.photo.files import save_marked, search, table_rows, write_table

    (path,) = list(weight_files([options.weights] if options.weights else []).values())[:1]
    model, rows, unread = load_model(path), [], []
    for photo in options.photos:
        try:
            picture, faces = search(model, photo, options.box, options.smallest)
        except (ValueError, OSError) as error:
            unread.append(str(error))
            continue
        rows += table_rows(photo, faces)
        if not faces:
            print(f"{photo}: no face found; try --smallest or --box", file=sys.stderr)
        if options.annotate:
            save_marked(Path(options.annotate), photo, picture, faces)
    if len(unread) < len(options.photos):
        with open(options.csv, "w", newline="") if options.csv else nullcontext(sys.stdout) as file:
            write_table(file, rows)
    if unread:
        raise ValueError("; ".join(unread))
