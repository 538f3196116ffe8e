"""`experiment`: measure what the notebooks and docs/results.md show."""

from __future__ import annotations

import argparse
from typing import Any


def add(commands: Any) -> None:
    """The options of `experiment`; each experiment has its own besides."""
    experiment = commands.add_parser(
        "experiment",
        help="measure what the notebooks and docs/results.md show",
        usage="python -m hglib experiment [--list | NAME [--help] [options of NAME]]",
    )
    experiment.set_defaults(run=run)
    experiment.add_argument("--list", action="store_true", help="name all experiments")
    experiment.add_argument("name", nargs="?", metavar="NAME", help="as --list shows them")
    experiment.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> None:
    """`experiment`: list them, or run one and keep its results."""
    from hglib.experiments import runner

    if options.list or options.name is None:
        runner.print_list()
    else:
        runner.main(options.name, options.rest)
