"""`study`: measure what each part is worth, row by row."""

from __future__ import annotations

import argparse
from typing import Any

from hglib.commands.common import DATA_HELP


def add(commands: Any) -> None:
    """The options of `study`. Taught in: 06_why_it_works"""
    study = commands.add_parser("study", help="measure what each part is worth, row by row")
    study.set_defaults(run=run)
    study.add_argument("--rows", nargs="+", metavar="NAME", help="only these rows (all)")
    study.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(0 1 2)")
    study.add_argument("--save", metavar="FILE", help="where results are kept and looked for")
    study.add_argument("--list", action="store_true", help="print the rows and what they cost")
    study.add_argument("--data", help=DATA_HELP)
    study.add_argument("--synthetic-faces", type=int, default=6000, metavar="N")


def run(options: argparse.Namespace) -> None:
    """`study`: train and measure the missing rows, and print them. Taught in: 06_why_it_works"""
    from hglib.experiments.ablation.study import run_study as study

    study(options)
