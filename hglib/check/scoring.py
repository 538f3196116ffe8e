"""How far one is: which self-checks have been passed in this session."""

from __future__ import annotations

import re
import sys

from hglib.check.verdict import SOLVED


def score() -> None:
    """Print how many exercises are solved since the kernel was started, notebook by notebook.

    A notebook's exercises and those of its appendices count together; once solved is solved.
    """
    everything = exercises()
    done = sum((module, name) in SOLVED for module, names in everything.items() for name in names)
    print(f"Solved in this session: {done} of {sum(map(len, everything.values()))}")
    for module, names in everything.items():
        solved = [name for name in names if (module, name) in SOLVED]
        if solved:
            left = [name for name in names if name not in solved]
            line = f"  {notebook_of(module)}: {len(solved)} of {len(names)}"
            print(line + (f"; still open: {', '.join(left)}" if left else "; all of them"))


def exercises() -> dict[str, list[str]]:
    """The names of all self-checks by the module that holds them, in the course's order."""
    package = sys.modules["hglib.check"]
    found: dict[str, list[str]] = {}
    for name in package.__all__:
        module = getattr(package, name).__module__
        if module != __name__:
            found.setdefault(module, []).append(name)
    return dict(sorted(found.items(), key=lambda pair: notebook_of(pair[0])))


def notebook_of(module: str) -> str:
    """ "notebook 02", from the first line of the module's docstring, or the module's own name."""
    found = re.search(r"notebook \d\d", sys.modules[module].__doc__ or "")
    return found[0] if found else module.rpartition(".")[2]
