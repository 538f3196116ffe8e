"""What several commands share: options with a range, where the faces come from, safe printing."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

from hglib.datasets import load
from hglib.datasets.conventions import Finding, harmonise
from hglib.datasets.split import Split, split
from hglib.env import printable

PARTS = ("train", "validation", "test")
DATA_HELP = (
    "a folder with Kaggle's face_images.npz and facial_keypoints.csv, a training.csv, or the word "
    "synthetic; without it: the variable HGLIB_DATA, then Kaggle, then synthetic faces"
)


MOST_FACES = 50_000  # as `hglib.load`: more do not fit a laptop's memory


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one sentence on one line."""

    def error(self, message: str) -> NoReturn:
        """Print the complaint and exit with status 2."""
        self.exit(2, f"{self.prog}: {printable(message)}; {self.prog} --help lists the options\n")


def number(
    kind: type[int] | type[float], least: float, most: float, above: bool = False
) -> Callable[[str], float]:
    """A type for `add_argument`: a number from `least` to `most`; with `above`, more than `least`.

    >>> number(int, 1, 9)("3")
    3
    """
    words = f"{'a whole number' if kind is int else 'a number'} "
    words += f"above {least:g} and up to {most:g}" if above else f"from {least:g} to {most:g}"

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most or (above and value == least):  # NaN fails too
            raise argparse.ArgumentTypeError(f"{text!r} is not {words}")
        return value

    return parse


SEED = number(int, 0, 2**31 - 1)


def survive_any_terminal() -> None:
    """What a terminal cannot show is written as an escape: no row is lost to an encoding."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def check_folder(option: str, folder: Path) -> None:
    """Make the folder that an option names; OSError where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"{option}: cannot write into {folder} ({error.strerror}); choose another folder"
        ) from error


def add_data(command: argparse.ArgumentParser, count: int = 2000) -> None:
    """The options that choose the faces."""
    command.add_argument("--data", help=DATA_HELP)
    command.add_argument(
        "--labels",
        metavar="WORDS",
        help="how its labels are written, where not in pixels: fraction, signed, centred or "
        "percent, missing=0, swapped (left and right), yx, unchecked; with commas between them",
    )
    faces = number(int, 1, MOST_FACES)
    command.add_argument("--synthetic-faces", type=faces, default=count, metavar="N")


def add_network(command: argparse.ArgumentParser) -> None:
    """The options that choose the points and the device."""
    command.add_argument("--landmarks", default="eyes", choices=["eyes", "all"], help="(eyes)")
    command.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])


def add_raw_labels(command: argparse.ArgumentParser) -> None:
    """The option that leaves labels of two conventions as they are."""
    command.add_argument(
        "--raw-labels",
        action="store_true",
        help="labels as the file has them; without it, two conventions are moved to their mean",
    )


class Parts(NamedTuple):
    """A split data set, as it is used and as the file has it."""

    used: Split
    raw: Split  # the same faces; the same labels too where `finding` moved none
    finding: Finding | None  # None: not asked

    def different(self) -> list[Split]:
        """The labels that figures are given for: those used, then the file's where they differ."""
        return [self.used, self.raw] if self.finding and self.finding.moved else [self.used]


def load_parts(options: argparse.Namespace, verbose: bool = True) -> Parts:
    """The data set of the command line, split; its labels are harmonised unless --raw-labels."""
    count, landmarks = options.synthetic_faces, options.landmarks
    faces = load(options.data, landmarks, n_synthetic=count, verbose=verbose, labels=options.labels)
    raw = split(faces)
    if options.raw_labels:
        return Parts(raw, raw, None)
    faces, finding = harmonise(faces)
    if verbose:
        print(finding.line())
    # `load` numbers the rows from 0, and a split depends on images and rows alone.
    used = Split(*(faces[part.rows] for part in raw)) if finding.moved else raw
    return Parts(used, raw, finding)
