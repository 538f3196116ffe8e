"""`data`: say what is in a data set, and how it is split."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from hglib.commands.common import PARTS, add_data, check_folder
from hglib.datasets import load
from hglib.datasets.audit import describe
from hglib.datasets.conventions import harmonise
from hglib.datasets.split import duplicate_groups, split


def add(commands: Any) -> None:
    """The options of `data`."""
    data = commands.add_parser("data", help="say what is in a data set, and how it is split")
    data.set_defaults(run=run)
    data.add_argument("--save", metavar="FILE", help="also write a description of it as JSON")
    add_data(data)


def run(options: argparse.Namespace) -> None:
    """`data`: counts, duplicates, split, positions."""
    if options.save:
        check_folder("--save", Path(options.save).absolute().parent)
    how = {"n_synthetic": options.synthetic_faces, "labels": options.labels}
    faces = load(options.data, **how)
    groups = duplicate_groups(faces.images)
    print(f"groups of near-duplicates counted once: {len(np.unique(groups))} images")
    print("split:", ", ".join(f"{n} {len(p)}" for n, p in zip(PARTS, split(faces), strict=True)))
    mean, sd = np.nanmean(faces.points, axis=0), np.nanstd(faces.points, axis=0)  # (K, 2)
    for name, m, s in zip(faces.landmarks, mean, sd, strict=True):
        print(f"{name}: x {m[0]:.1f} +- {s[0]:.1f}, y {m[1]:.1f} +- {s[1]:.1f} px, 0-based")
    print(harmonise(faces).finding.line(done=False))
    if options.save:
        every = load(options.data, "all", verbose=False, **how)
        command = "python -m hglib data --data FOLDER --save FILE"
        said = {"about": every.source, "command": command, **describe(every)}
        Path(options.save).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
