"""`experiment`: measure what the notebooks and docs/results.md show."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
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
    from hglib.experiments import EXPERIMENTS, runner

    if options.list or options.name is None:
        for name in EXPERIMENTS:
            module = runner.find(name)
            print(f"{name:16} {module.MEASURES} ({module.TAKES})")
    else:
        run_one(options.name, options.rest)


def run_one(name: str, arguments: Sequence[str]) -> None:
    """Run an experiment with the arguments of its command line, print and keep its results."""
    from hglib.experiments import runner

    module = runner.find(name)
    given = parser(name, module).parse_args(arguments)
    if getattr(given, "list", False):
        module.print_rows()
        return
    command = " ".join(["python -m hglib experiment", name, *public(arguments)])
    try:
        record = runner.run(name, given, command)
    except KeyboardInterrupt:
        sys.exit(130)
    getattr(module, "show", runner.show)(record)
    print(f"kept in {given.save}", file=sys.stderr)


def parser(name: str, module: ModuleType) -> argparse.ArgumentParser:
    """The options of an experiment: those of all, and a `--setting` for each of its own."""
    options = argparse.ArgumentParser(
        prog=f"python -m hglib experiment {name}",
        description=f"{module.MEASURES[0].upper()}{module.MEASURES[1:]}. Takes {module.TAKES}.",
    )
    where, budgets = f"(runs/experiments/{name}.json)", ["tiny", "full"]
    options.add_argument("--data", help="as for `python -m hglib train`")
    options.add_argument("--seeds", type=int, nargs="+", metavar="N", help="one run for each")
    options.add_argument("--save", type=Path, metavar="FILE", help=where)
    options.add_argument("--budget", default="full", choices=budgets, help="tiny: seconds, a test")
    for key, option in module.OPTIONS.items():
        if key != "seeds":
            add_setting(options, key, option.full, option.help)
    if hasattr(module, "print_rows"):
        options.add_argument("--list", action="store_true", help="print the rows, and stop")
    return options


def add_setting(options: argparse.ArgumentParser, key: str, full: Any, what: str) -> None:
    """`--key`, of the type of its value in the full budget; a list takes several."""
    several = isinstance(full, list)
    values = full if several else [full]
    kind = type(values[0]) if values else str
    shown = " ".join(map(str, values)) or "all"
    more: dict[str, Any] = {"nargs": "+"} if several else {}
    options.add_argument(f"--{key.replace('_', '-')}", type=kind, help=f"{what} ({shown})", **more)


def public(arguments: Sequence[str]) -> list[str]:
    """The arguments as a results file keeps them: a reader's own paths say nothing to others."""
    hidden = {"--data": "FOLDER", "--save": "FILE"}
    before = ["", *arguments]
    return [hidden.get(b, a) for b, a in zip(before, arguments, strict=False)]
