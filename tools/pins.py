"""Write constraints.txt: the exact version of everything `make` installs.

    pip install uv && python tools/pins.py

One resolution serves Python 3.10 to 3.14: where the newest release of a package has dropped an old
Python, the line appears twice, each with a marker. Needs uv; nothing else in this repository does.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from packaging.requirements import Requirement

from course import ROOT
from floors import requirements

TORCH = "torch==2.13.0"  # held back on purpose: the results in the README were made with it
TORCHS_OWN = re.compile(r"^(nvidia-|cuda-|triton)")  # torch's wheel already pins these exactly

HEAD = """\
# Exact versions of everything that `make` installs: the set this repository was last tested with.
# Ranges are in pyproject.toml; this file only says which release inside them. A line with a marker
# is for the Pythons named in it. Written by tools/pins.py; do not edit by hand.
"""


def resolve(root: Path) -> list[str]:
    """Every pin for every extra, one line each, as uv resolves them for Python 3.10 and newer."""
    command = "uv pip compile pyproject.toml --all-extras --universal --python-version 3.10"
    options = ["--no-header", "--no-annotate", "--quiet", "--constraint", "-"]
    run = subprocess.run(
        [*command.split(), *options], cwd=root, input=TORCH, capture_output=True, text=True
    )
    if run.returncode:
        raise SystemExit(f"uv could not resolve pyproject.toml:\n{run.stderr}")
    return [line for line in run.stdout.splitlines() if not TORCHS_OWN.match(line)]


def keep_python_markers(line: str) -> str:
    """Drop what a marker says about platforms: a constraint nobody asks for does nothing anyway."""
    pin, _, marker = line.partition(";")
    versions = re.findall(r"python_full_version [<>=]+ '[^']+'", marker)
    versions = [] if "sys_platform" in marker or "os_name" in marker else versions
    return pin.strip() + (f" ; {' and '.join(versions)}" if versions else "")


def render(lines: list[str], direct: set[str]) -> str:
    """The file: what pyproject.toml names first, then what those packages need."""
    named = [line for line in lines if Requirement(line).name in direct]
    rest = [line for line in lines if line not in named]
    parts = [HEAD, "# named in pyproject.toml", *named, "", "# what those need", *rest, ""]
    return "\n".join(parts)


def main() -> None:
    direct = {requirement.name for requirement in requirements()}
    lines = sorted({keep_python_markers(line) for line in resolve(ROOT)})
    (ROOT / "constraints.txt").write_text(render(lines, direct), encoding="utf-8")
    print(f"constraints.txt: {len(lines)} pins")


if __name__ == "__main__":
    main()
