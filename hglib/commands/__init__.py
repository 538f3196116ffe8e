"""The command line: `python -m hglib data | train | evaluate | find | experiment`.

A thin layer: each command turns its arguments into one call of the library and prints the result.
Each module here holds one command: `add` declares its options, `run` carries it out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from hglib.commands import data, evaluate, experiment, find, train
from hglib.commands.common import Parser, survive_any_terminal
from hglib.env import printable

COMMANDS = (data, train, evaluate, find, experiment)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = Parser(
        prog="python -m hglib",
        description="Find the centres of both eyes in 96x96 grey faces with an hourglass network.",
        epilog="Start with: python -m hglib train --seconds 30",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status. Errors that a user can correct are one line."""
    survive_any_terminal()
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except BrokenPipeError:  # whoever read our output has closed it: `find ... | head`
        sys.stdout = None  # or Python complains again when it flushes at the end
        return 1
    except KeyboardInterrupt:
        print(f"hglib {options.command}: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        said = printable(str(error)) or f"{type(error).__name__}"
        print(f"hglib {options.command}: {said}", file=sys.stderr)
        return 1
    return 0
