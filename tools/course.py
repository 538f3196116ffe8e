"""The course as read from tools/course.toml, and every text that is generated from it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from reading import CORE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
COLAB = "https://colab.research.google.com/github"
APPENDIX = "appendix/"  # the folder of the appendices, in notebooks/
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
PLACEHOLDER = "OWNER/REPO"  # the slug of a copy that has not been published yet
ORIGIN = re.compile(r"(?:github\.com[:/])([\w.-]+/[\w.-]+?)(?:\.git)?/?$")
GPU_HINT = "A GPU helps here. On Colab, before you start: *Runtime → Change runtime type → T4 GPU*."


def read_toml(path: Path) -> dict:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """How the course calls a notebook: its path in notebooks/, as in "appendix/A1_labels.ipynb"."""
    return f"{APPENDIX}{path.name}" if path.parent.name == APPENDIX.strip("/") else path.name


@dataclass(frozen=True)
class Notebook:
    """One `[[notebook]]` or `[[appendix]]` entry of course.toml."""

    file: str  # below notebooks/
    title: str
    question: str
    objectives: list[str]
    builds_on: list[str]  # numbers of other notebooks, such as "02"; what an appendix belongs to
    read_minutes: int  # written by `make sync`, which counts
    cpu_seconds: int
    t4_seconds: int
    data: str
    gpu: bool = False  # asks Colab for a GPU

    @property
    def is_appendix(self) -> bool:
        return self.file.startswith(APPENDIX)

    @property
    def number(self) -> str:
        return self.file.removeprefix(APPENDIX).split("_")[0]

    def link(self, start: Notebook | None = None) -> str:
        """A link to this notebook from `start`, or from the folder notebooks/."""
        up = "../" if start and start.is_appendix else ""
        return f"[{self.number} {self.title}]({up}{self.file})"


@dataclass(frozen=True)
class Course:
    """The repository's address and the notebooks that exist, in reading order."""

    slug: str
    ref: str
    notebooks: tuple[Notebook, ...]
    appendices: tuple[Notebook, ...] = ()

    def find(self, file: str) -> Notebook:
        for notebook in self.everything:
            if notebook.file == file:
                return notebook
        raise ValueError(f"notebooks/{file} has no entry in tools/course.toml; add one")

    @property
    def everything(self) -> tuple[Notebook, ...]:
        return self.notebooks + self.appendices

    def known(self, numbers: list[str]) -> list[Notebook]:
        """The notebooks of these numbers that exist."""
        listed = {n.number: n for n in self.everything}
        return [listed[number] for number in numbers if number in listed]

    def appendices_of(self, number: str) -> list[Notebook]:
        return [one for one in self.appendices if number in one.builds_on]

    def neighbours(self, file: str) -> tuple[Notebook | None, Notebook | None]:
        """The notebooks before and after this one, None at the ends."""
        place = self.notebooks.index(self.find(file))
        before = self.notebooks[place - 1] if place else None
        after = self.notebooks[place + 1] if place + 1 < len(self.notebooks) else None
        return before, after

    def colab(self, file: str) -> str:
        return f"{COLAB}/{self.slug}/blob/{self.ref}/notebooks/{file}"

    def badge(self, file: str) -> str:
        return f"[![Open in Colab]({BADGE})]({self.colab(file)})"


def read_course(root: Path = ROOT) -> Course:
    """Read course.toml and keep the notebooks that lie in notebooks/."""
    raw = read_toml(root / "tools" / "course.toml")
    found = []
    for kind, folder in (("notebook", ""), ("appendix", APPENDIX)):
        try:
            raws = [entry | {"file": folder + entry["file"]} for entry in raw.get(kind, [])]
            entries = [Notebook(**entry) for entry in raws]
        except (TypeError, KeyError) as error:
            raise ValueError(f"tools/course.toml: a [[{kind}]] entry is wrong: {error}") from None
        found.append(tuple(n for n in entries if (root / "notebooks" / n.file).exists()))
    return Course(raw["repository"]["slug"], raw["repository"]["ref"], *found)


# ---- address --------------------------------------------------------------------------------


def slug_of_origin(root: Path = ROOT) -> str | None:
    """The slug of the checkout's `origin`, if that is on GitHub; None for any other."""
    command = ["git", "-C", str(root), "config", "--get", "remote.origin.url"]
    try:
        run = subprocess.run(command, capture_output=True, text=True)
    except OSError:  # no git
        return None
    found = ORIGIN.search(run.stdout.strip())
    return found[1] if found else None


def adopt_slug(root: Path = ROOT) -> str | None:
    """Write the slug of `origin` into course.toml where the placeholder stands; returns it.

    A slug that somebody has set stays. None: nothing was written.
    """
    path = root / "tools" / "course.toml"
    text, slug = path.read_text(encoding="utf-8"), slug_of_origin(root)
    placeholder = f'slug = "{PLACEHOLDER}"'
    if slug is None or slug == PLACEHOLDER or placeholder not in text:
        return None
    path.write_text(text.replace(placeholder, f'slug = "{slug}"', 1), encoding="utf-8")
    return slug


# ---- texts ----------------------------------------------------------------------------------


def navigation(course: Course, file: str) -> str:
    """Previous, contents, next: relative links, and the same on Colab, where those do not work."""
    notebook = course.find(file)
    if notebook.is_appendix:
        return back(course, notebook)
    before, after = course.neighbours(file)
    here = [f"← {before.link()}" if before else "", "[contents](../README.md)"]
    here += [f"{after.link()} →" if after else ""]
    there = [f"[{n.number}]({course.colab(n.file)})" for n in (before, after) if n]
    there.insert(1 if before else 0, f"[contents](https://github.com/{course.slug}#readme)")
    return " · ".join(filter(None, here)) + "  \non Colab: " + " · ".join(there)


def back(course: Course, appendix: Notebook) -> str:
    """The ways out of an appendix: the notebooks that it belongs to, and the contents."""
    parents = course.known(appendix.builds_on)
    here = [f"← back to {parent.link(appendix)}" for parent in parents]
    there = [f"[{parent.number}]({course.colab(parent.file)})" for parent in parents]
    there.append(f"[contents](https://github.com/{course.slug}#readme)")
    contents = "[contents](../../README.md)"
    return " · ".join([*here, contents]) + "  \non Colab: " + " · ".join(there)


def header(course: Course, file: str) -> str:
    """The first cell: title, question, objectives, what it needs and how long it takes."""
    notebook = course.find(file)
    known = [other.link(notebook) for other in course.known(notebook.builds_on)]
    relation = "belongs to" if notebook.is_appendix else "builds on"
    return "\n".join(
        [
            f"# {notebook.number} · {notebook.title}",
            "",
            course.badge(file),
            "",
            f"**{notebook.question}**",
            "",
            "You will be able to:",
            "",
            *[f"- {objective}" for objective in notebook.objectives],
            "",
            f"| {relation} | reading | run, 2 CPU cores | run, Colab T4 (estimate) | data |",
            "|---|---|---|---|---|",
            f"| {', '.join(known) or 'nothing'} | {notebook.read_minutes} min "
            f"| {duration(notebook.cpu_seconds)} | {duration(notebook.t4_seconds)} "
            f"| {notebook.data} |",
            *(["", GPU_HINT] if notebook.gpu else []),
            "",
            navigation(course, file),
        ]
    )


def setup(course: Course) -> str:
    """The second cell, the same in every notebook."""
    return "\n".join(
        [
            "# Set-up: on Colab it installs hglib, and no other package; elsewhere hglib is there.",
            "import sys",
            "",
            'if "google.colab" in sys.modules:',
            f"    %pip install -q --no-deps git+https://github.com/{course.slug}@{course.ref}",
            "",
            "import hglib",
            "",
            "hglib.check_env()",
        ]
    )


def footer(course: Course, file: str) -> str:
    """The last cell: the way on, and the appendices for those who want more of this."""
    more = [one.link() for one in course.appendices_of(course.find(file).number)]
    aside = f"To look closer: {', '.join(more)}\n\n" if more else ""
    return f"---\n\n{aside}{navigation(course, file)}"


def duration(seconds: int) -> str:
    return f"{seconds} s" if seconds < 90 else f"{seconds / 60:.3g} min"


def readme_notebooks(course: Course) -> str:
    """The README's table of notebooks."""
    rows = ["| | notebook | the question it answers | reading | run (2 cores) | |"]
    rows.append("|---|---|---|---|---|---|")
    for n in course.notebooks:
        title = f"[{n.title}](notebooks/{n.file})"
        times = f"{n.read_minutes} min | {duration(n.cpu_seconds)}"
        rows.append(f"| {n.number} | {title} | {n.question} | {times} | {course.badge(n.file)} |")
    core = [n for n in course.notebooks if n.number in CORE]
    if core:
        total = sum(n.read_minutes for n in core)
        rows += ["", f"{core[0].number} to {core[-1].number} are the course: {total} minutes to "]
        rows[-1] += "read at 180 words a minute, exercises apart. The others are for later."
    if course.appendices:
        rows += ["", "Appendices, to look closer: " + ", ".join(map(in_readme, course.appendices))]
        rows[-1] += "."
    return "\n".join(rows)


def in_readme(n: Notebook) -> str:
    return f"[{n.number} {n.title}](notebooks/{n.file}) ({n.read_minutes} min)"


def readme_badges(course: Course) -> str:
    """The README's first line: the state of the tests, the way to Colab, the licences."""
    tests = f"https://github.com/{course.slug}/actions/workflows/tests.yml"
    first = course.badge(course.notebooks[0].file) if course.notebooks else ""
    licences = "[code: MIT](LICENSE) · [text: CC BY 4.0](LICENSE-TEXT)"
    return " ".join(filter(None, [f"[![Tests]({tests}/badge.svg)]({tests})", first, licences]))


def readme_clone(course: Course) -> str:
    """The README's way in: the repository, then the two commands."""
    folder = course.slug.split("/")[1]
    lines = [f"git clone https://github.com/{course.slug}", f"cd {folder}", "make run", "make test"]
    return "\n".join(["```bash", *lines, "```"])
