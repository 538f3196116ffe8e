"""Print the lowest versions that pyproject.toml admits, as a constraints file.

    python tools/floors.py > build/floors.txt && make test CONSTRAINTS=build/floors.txt

The floor lane of the workflow installs exactly these, so that a floor is a promise and not a guess.
"""

from __future__ import annotations

from pathlib import Path

from packaging.requirements import Requirement

from course import ROOT, read_toml


def requirements(root: Path = ROOT) -> list[Requirement]:
    """What pyproject.toml asks for: the dependencies, then those of every extra."""
    project = read_toml(root / "pyproject.toml")["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(text) for group in groups for text in group]


def floor(requirement: Requirement) -> str | None:
    """`name==lowest` for a requirement with a floor; None for one without (our own extras)."""
    lowest = [part.version for part in requirement.specifier if part.operator == ">="]
    if not lowest:
        return None
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}=={lowest[0]}{marker}"


def floors() -> list[str]:
    """The floor of every dependency and every extra, sorted by name."""
    return sorted(line for requirement in requirements() if (line := floor(requirement)))


if __name__ == "__main__":
    print("\n".join(floors()))
