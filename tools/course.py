"""The course as read from tools/course.toml, and every text that is generated from it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
COLAB = "https://colab.research.google.com/github"
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
GPU_HINT = "A GPU helps here. On Colab, before you start: *Runtime → Change runtime type → T4 GPU*."


def read_toml(path: Path) -> dict:
    return tomllib.loads(path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Notebook:
    """One `[[notebook]]` entry of course.toml."""

    file: str
    title: str
    question: str
    objectives: list[str]
    builds_on: list[str]  # numbers of other notebooks, such as "02"
    read_minutes: int
    cpu_seconds: int
    t4_seconds: int
    data: str
    gpu: bool = False  # asks Colab for a GPU

    @property
    def number(self) -> str:
        return self.file[:2]

    @property
    def link(self) -> str:
        return f"[{self.number} {self.title}]({self.file})"


@dataclass(frozen=True)
class Course:
    """The repository's address and the notebooks that exist, in reading order."""

    slug: str
    ref: str
    notebooks: tuple[Notebook, ...]

    def find(self, file: str) -> Notebook:
        for notebook in self.notebooks:
            if notebook.file == file:
                return notebook
        raise ValueError(f"notebooks/{file} has no entry in tools/course.toml; add one")

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
    try:
        entries = [Notebook(**entry) for entry in raw["notebook"]]
    except TypeError as error:
        raise ValueError(f"tools/course.toml: a [[notebook]] entry is wrong: {error}") from None
    found = tuple(entry for entry in entries if (root / "notebooks" / entry.file).exists())
    return Course(raw["repository"]["slug"], raw["repository"]["ref"], found)


# ---- texts ----------------------------------------------------------------------------------


def navigation(course: Course, file: str) -> str:
    """Previous, contents, next: relative links, and the same on Colab, where those do not work."""
    before, after = course.neighbours(file)
    here = [f"← {before.link}" if before else "", "[contents](../README.md)"]
    here += [f"{after.link} →" if after else ""]
    there = [f"[{n.number}]({course.colab(n.file)})" for n in (before, after) if n]
    there.insert(1 if before else 0, f"[contents](https://github.com/{course.slug}#readme)")
    return " · ".join(filter(None, here)) + "  \non Colab: " + " · ".join(there)


def header(course: Course, file: str) -> str:
    """The first cell: title, question, objectives, what it needs and how long it takes."""
    notebook = course.find(file)
    listed = {n.number: n for n in course.notebooks}
    known = [listed[number].link for number in notebook.builds_on if number in listed]
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
            "| builds on | reading | run, 2 CPU cores | run, Colab T4 (estimate) | data |",
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
    """The last cell: the way on."""
    return "---\n\n" + navigation(course, file)


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
    return "\n".join(rows)


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


NAMES = {
    "lean": "our default",
    "original": "the network of 2019",
    "shipped": "our default, from the shipped weights",
}


def by_setting(rows: list[dict]) -> dict[tuple[float, str], list[dict]]:
    """The rows of each budget and network, one per seed, without those of the flip test."""
    groups: dict[tuple[float, str], list[dict]] = {}
    for row in rows:
        if not row["flip"]:
            groups.setdefault((row["seconds"], row["network"]), []).append(row)
    return dict(sorted(groups.items()))


def readme_results(results: Path) -> str:
    """The README's table of errors, from the file that `python -m hglib.experiments.accuracy
    --save` writes."""
    saved = json.loads(results.read_text(encoding="utf-8"))
    lines = ["| network | training | seeds | mean px | median px | e<=.05 | e<=.10 | e<=.25 |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    guess = saved["mean_position_px"]
    lines.append(f"| always the mean position | none | | {guess:.2f} | | | | |")
    for (seconds, network), rows in by_setting(saved["rows"]).items():
        figures = ("mean_px", "median_px", "e05", "e10", "e25")
        middle = {name: median(row[name] for row in rows) for name in figures}
        shares = " | ".join(f"{100 * middle[name]:.1f} %" for name in ("e05", "e10", "e25"))
        means = f"{middle['mean_px']:.2f} | {middle['median_px']:.2f}"
        name = NAMES.get(network, network)
        lines.append(f"| {name} | {seconds:.0f} s | {len(rows)} | {means} | {shares} |")
    shipped = results.with_name("shipped_on_real.json")
    if shipped.exists():
        lines.append(shipped_row(json.loads(shipped.read_text(encoding="utf-8"))))
    return "\n".join([*lines, "", *readme_crossings(saved["rows"])])


def readme_crossings(rows: list[dict]) -> list[str]:
    """When the validation error of each network's runs first came down to so many px."""
    lines = []
    for (seconds, network), same in by_setting(rows).items():
        times = [row.get("seconds_to", {}) for row in same]
        levels = [px for px in times[0] if all(px in reached for reached in times)]
        when = ", ".join(f"{px} px after {median(t[px] for t in times):.0f} s" for px in levels)
        if when:
            lines.append(f"- {NAMES.get(network, network)}, {seconds:.0f} s in all: {when}")
    looks = "Each run looks at the validation part 20 times. Its error there was first at or below:"
    return [looks, "", *lines]


def shipped_row(saved: dict) -> str:
    """One line from what `python -m hglib evaluate --flip --json` said of the shipped weights."""
    row = saved["results"]["lean"]
    shares = " | ".join(f"{100 * row[name]:.1f} %" for name in ("e05", "e10", "e25"))
    means = f"{row['mean_px']:.2f} | {row['median_px']:.2f}"
    return f"| shipped: never saw a photograph | drawn faces only | 1 | {means} | {shares} |"


def readme_drawn(saved: Path) -> str:
    """The README's tables of what drawn faces teach, from `python -m
    hglib.experiments.synthetic_faces`."""
    px = {name: row["mean_px"] for name, row in json.loads(saved.read_text("utf-8")).items()}
    seeds = [px[name] for name in px if name.startswith("2000 drawn faces")]
    lost = {name: px[name] - sum(seeds) / len(seeds) for name in px if name.startswith("without ")}
    ranked = sorted(lost, key=lost.__getitem__, reverse=True)
    sizes = [name for name in px if name.endswith(" drawn faces")]
    lines = ["| drawn faces | error |", "|---|---|"]
    lines += [f"| {name.split()[0]} | {px[name]:.2f} px |" for name in sizes]
    lines += ["", "| taken away | error grows by |", "|---|---|"]
    lines += [f"| {name.removeprefix('without ')} | {lost[name]:+.2f} px |" for name in ranked]
    spread = f"{min(seeds):.2f} to {max(seeds):.2f}"
    lines += ["", f"Nothing taken away: {spread} px in {len(seeds)} seeds (2000 faces).", ""]
    lines += ["| real faces | from random weights | from the shipped weights |", "|---|---|---|"]
    counts = [name.split()[0] for name in px if name.endswith("real faces alone")]
    for count in counts:
        alone, after = px[f"{count} real faces alone"], px[f"shipped, then {count} real faces"]
        lines.append(f"| {count} | {alone:.2f} px | {after:.2f} px |")
    return "\n".join(lines)


def readme_gains(synthetic: Path, real: Path) -> str:
    """The README's table of gains, from the files that `python -m hglib study --save` writes."""
    kinds = [json.loads(path.read_text(encoding="utf-8"))["rows"] for path in (synthetic, real)]
    names = [name for name, row in kinds[0].items() if row["group"] == "repairs"] + ["default"]
    lines = ["| each on top of those before | drawn faces | real faces | e<=.05, real |"]
    lines.append("|---|---|---|---|")
    for name in names:
        drawn, photos = (list(rows[name]["runs"].values()) for rows in kinds)
        px = [fmean(run["mean_px"] for run in runs) for runs in (drawn, photos)]
        share = 100 * fmean(run["e05"] for run in photos)
        what = kinds[0][name]["what"]
        lines.append(f"| {what} | {px[0]:.2f} px | {px[1]:.2f} px | {share:.0f} % |")
    return "\n".join(lines)


COSTS = [  # group, beginning of the name, what the README calls it
    ("training", "faces per second", "training, everything included"),
    ("training", "share of the", "the same, share of what a matrix product reaches"),
    ("finding", "64 faces, one thread", "finding, per face in a batch, one core"),
    ("finding", "1 face, one thread", "finding, a face alone, one core"),
    ("heat maps", "gaussian maps", "Gaussian maps of 7000 faces"),
    ("heat maps", "  cell by cell", "their exponential ones as in 2019, cell by cell"),
    ("pictures", "augmented", "pictures changed at random"),
    ("pictures", "drawn", "faces drawn"),
    ("files", "load 7049 rows, npz", "loading 7049 faces, npz and csv"),
    ("files", "load 7049 rows, training", "loading 7049 faces, training.csv"),
    ("imports", "and load", "importing hglib, after torch"),
    ("memory", "20 steps", "peak memory, training on 7000 faces"),
]


def readme_costs(saved: Path) -> str:
    """The README's table of costs, from the file that `python -m hglib.experiments.costs --save`
    writes."""
    file = json.loads(saved.read_text(encoding="utf-8"))
    lines = ["| | measured | limit of the hardware | goal |", "|---|---|---|---|"]
    for group, start, label in COSTS:
        same = (row for row in file["rows"] if row["group"] == group)
        row = next((row for row in same if row["name"].startswith(start)), None)
        if row is None or row["value"] is None:  # not measured, or could not run
            continue
        goal = f"{row['goal']} {row['unit']}" if row["goal"] else ""
        cells = [label, amount(row["value"], row["unit"]), amount(row["limit"], row["unit"]), goal]
        lines.append(f"| {' | '.join(cells)} |")
    limits = [row for row in file["rows"] if row["group"].startswith("limits") and row["value"]]
    named = (f"{row['name']} {amount(row['value'], row['unit'])}" for row in limits)
    how = f"{file['machine']}, torch {file['torch']}, medians of {file['rounds']} rounds"
    return "\n".join([*lines, "", f"Measured in the same run ({how}): {'; '.join(named)}."])


def amount(value: float | None, unit: str) -> str:
    """A value to three digits with its unit; nothing for None."""
    if value is None:
        return ""
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
