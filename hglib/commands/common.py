"""What several commands share: where the faces come from, and how a table is printed."""

from __future__ import annotations

import argparse

from hglib.data import Split, split
from hglib.datasets import load

PARTS = ("train", "validation", "test")
DATA_HELP = (
    "a folder with Kaggle's face_images.npz and facial_keypoints.csv, a training.csv, or the word "
    "synthetic; without it: the variable HGLIB_DATA, then Kaggle, then synthetic faces"
)


def add_data(command: argparse.ArgumentParser, count: int = 2000) -> None:
    """The options that choose the faces. Taught in: 00_start_here"""
    command.add_argument("--data", help=DATA_HELP)
    command.add_argument("--synthetic-faces", type=int, default=count, metavar="N")


def add_network(command: argparse.ArgumentParser) -> None:
    """The options that choose the points and the device. Taught in: 00_start_here"""
    command.add_argument("--landmarks", default="eyes", choices=["eyes", "all"], help="(eyes)")
    command.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])


def load_parts(options: argparse.Namespace, verbose: bool = True) -> Split:
    """The data set of the command line, split. Taught in: 00_start_here"""
    count, landmarks = options.synthetic_faces, options.landmarks
    faces = load(options.data, landmarks, n_synthetic=count, verbose=verbose)
    return split(faces)
