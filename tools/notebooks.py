"""Keep the notebooks in step with tools/course.toml, and run them.

    python tools/notebooks.py sync            write headers, set-up cells, links, README's table
    python tools/notebooks.py sync --check    only say what would change
    python tools/notebooks.py execute         run them all from clean; save outputs if all pass
    python tools/notebooks.py execute --check run them, save nothing
    python tools/notebooks.py execute --to build/notebooks --only 02
    python tools/notebooks.py count           how long each takes to read

The first `sync` in a copy takes the repository's address from the checkout's `origin`.
`sync` owns three cells of each notebook, marked in their metadata as "hglib": "header", "setup" and
"footer". It makes them where they are missing; everything between them is the author's.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

import course as texts
import reading
import tables
from course import ROOT, Course, read_course

CELL_TIMEOUT = 600  # seconds; the longest cell, the training run, takes about 100
KEPT_METADATA = ("tags", "alt", "hglib")  # of a cell; all else is an editor's own
WIDGET = "application/vnd.jupyter.widget-view+json"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}


def read(path: Path) -> NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    notebook.nbformat_minor = max(notebook.nbformat_minor, 5)  # 4.5 is the first with cell ids
    return notebook


def dump(notebook: NotebookNode) -> str:
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def all_paths(root: Path) -> list[Path]:
    folder = root / "notebooks"
    return [*sorted(folder.glob("*.ipynb")), *sorted((folder / "appendix").glob("*.ipynb"))]


def notebook_paths(root: Path, only: str = "") -> list[Path]:
    """The notebooks in reading order, appendices last; `only` keeps names that start with it."""
    paths = all_paths(root)
    if not paths:
        raise SystemExit("There is no notebook in notebooks/.")
    kept = [path for path in paths if path.name.startswith(only)]
    if not kept:
        names = ", ".join(path.name for path in paths)
        raise SystemExit(f"No notebook starts with {only!r}; there are {names}.")
    return kept


# ---- sync -----------------------------------------------------------------------------------


def take(cells: list[NotebookNode], role: str, kind: str) -> NotebookNode:
    """Remove and return the cell marked with this role, or make a new one."""
    marked = [cell for cell in cells if cell.metadata.get("hglib") == role]
    for cell in marked:
        cells.remove(cell)
    if marked and marked[0].cell_type == kind:
        return marked[0]
    make = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
    return make(id=f"hglib-{role}", metadata={"hglib": role})


def fill(cell: NotebookNode, source: str) -> NotebookNode:
    """Set a cell's source; outputs that belong to another source are dropped."""
    if cell.source != source:
        cell.source = source
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return cell


def sync_notebook(notebook: NotebookNode, course: Course, file: str) -> NotebookNode:
    """Put the three generated cells in their places, and the Colab settings in the metadata."""
    cells = notebook.cells
    first = fill(take(cells, "header", "markdown"), texts.header(course, file))
    second = fill(take(cells, "setup", "code"), texts.setup(course))
    last = fill(take(cells, "footer", "markdown"), texts.footer(course, file))
    notebook.cells = [first, second, *cells, last]
    notebook.metadata.kernelspec = NotebookNode(KERNEL)
    notebook.metadata.pop("accelerator", None)
    notebook.metadata["colab"] = NotebookNode({"provenance": []})
    if course.find(file).gpu:
        notebook.metadata["accelerator"] = "GPU"
        notebook.metadata["colab"]["gpuType"] = "T4"
    return notebook


def fill_block(text: str, name: str, content: str, file: str) -> str:
    """Replace what stands between <!-- name:start --> and <!-- name:end -->."""
    pattern = re.compile(rf"(<!-- {name}:start -->\n).*?(<!-- {name}:end -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{file} lacks the lines <!-- {name}:start --> and <!-- {name}:end -->.")
    return pattern.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text)


def sync_readme(text: str, course: Course, root: Path) -> str:
    text = fill_block(text, "badges", texts.readme_badges(course), "README.md")
    text = fill_block(text, "clone", texts.readme_clone(course), "README.md")
    if (root / tables.RESULTS).exists():
        for name, make in tables.README.items():
            text = fill_block(text, name, make(root), "README.md")
    return fill_block(text, "notebooks", texts.readme_notebooks(course), "README.md")


def sync_results(text: str, root: Path) -> str:
    for name, make in tables.DOCS.items():
        text = fill_block(text, name, make(root), "docs/results.md")
    return text


def counted(course: Course, root: Path) -> Course:
    """The course with the minutes that were counted, where those stated are more than one off."""

    def right(entry: texts.Notebook) -> texts.Notebook:
        minutes = reading.read(root / "notebooks" / entry.file).minutes
        near = abs(minutes - entry.read_minutes) <= 1
        return entry if near else replace(entry, read_minutes=minutes)

    both = (tuple(map(right, some)) for some in (course.notebooks, course.appendices))
    return Course(course.slug, course.ref, *both)


def sync_minutes(text: str, course: Course) -> str:
    """Write every `read_minutes` into course.toml."""
    for entry in course.everything:
        name = re.escape(Path(entry.file).name)
        pattern = rf'(?ms)(^file = "{name}"$(?:(?!^\[\[).)*?^read_minutes = )\d+'
        text = re.sub(pattern, rf"\g<1>{entry.read_minutes}", text)
    return text


def sync_address(text: str, key: str, course: Course) -> str:
    """Set the address in the one line of CITATION.cff or pyproject.toml that holds it."""
    pattern = rf'(?m)^({re.escape(key)}\s*)"https://github\.com/[^"]*"'
    return re.sub(pattern, rf'\g<1>"https://github.com/{course.slug}"', text)


def planned(root: Path = ROOT) -> dict[Path, str]:
    """Every file that `sync` would change, with its new text."""
    course, wanted = counted(read_course(root), root), {}
    for path in all_paths(root):
        if read(path) != (synced := sync_notebook(read(path), course, texts.name_of(path))):
            wanted[path] = dump(synced)
    rules = {
        "tools/course.toml": lambda text: sync_minutes(text, course),
        "README.md": lambda text: sync_readme(text, course, root),
        "docs/results.md": lambda text: sync_results(text, root),
        "CITATION.cff": lambda text: sync_address(text, "repository-code:", course),
        "pyproject.toml": lambda text: sync_address(text, "Repository =", course),
    }
    for name, rule in rules.items():
        path = root / name
        if path.exists() and (new := rule(text := path.read_text(encoding="utf-8"))) != text:
            wanted[path] = new
    return wanted


def sync(root: Path, check: bool) -> int:
    if not check and (slug := texts.adopt_slug(root)):
        print(f"tools/course.toml: the repository is {slug}, as `origin` says")
    changes = planned(root)
    for path, text in changes.items():
        print(f"{path.relative_to(root)}: {'is out of date' if check else 'written'}")
        if not check:
            path.write_text(text, encoding="utf-8")
    if check and changes:
        print("Run `make sync`.")
    return int(check and bool(changes))


# ---- execute --------------------------------------------------------------------------------


def clean(notebook: NotebookNode) -> NotebookNode:
    """Keep what a reader needs and what is the same on every machine."""
    for cell in notebook.cells:
        cell.metadata = NotebookNode({k: v for k, v in cell.metadata.items() if k in KEPT_METADATA})
        if cell.cell_type == "code":
            static = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
            cell.outputs = [shorten(output) for output in join_streams(static)]
    kept = {k: notebook.metadata[k] for k in ("accelerator", "colab") if k in notebook.metadata}
    notebook.metadata = NotebookNode(kernelspec=KERNEL, language_info=LANGUAGE, **kept)
    return notebook


def join_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """One output for consecutive prints: where a kernel cuts them is a matter of luck."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def shorten(output: NotebookNode) -> NotebookNode:
    """An expected error keeps its last line: the frames hold paths of this machine."""
    if output.output_type == "error":
        output.traceback = [f"{output.ename}: {output.evalue}"]
    return output


def complaints(notebook: NotebookNode) -> list[str]:
    """What went wrong in a run without an exception: warnings and magics that do not exist."""
    found = []
    for place, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                found.append(f"cell {place} wrote to stderr: {output.text.strip()[:300]}")
    return found


def run(path: Path) -> tuple[NotebookNode, float]:
    """Execute one notebook in a fresh kernel, in its own folder; SystemExit if it does not pass."""
    notebook = read(path)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    place = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=CELL_TIMEOUT, kernel_name="python3", resources=place)
    client.extra_arguments = ["--IPKernelApp.log_level=ERROR"]  # the kernel's own chatter
    begin = time.perf_counter()
    try:
        client.execute()
    except CellExecutionError as error:
        raise SystemExit(f"{path.name} failed:\n{error}") from None
    if found := complaints(notebook):
        raise SystemExit(f"{path.name} ran, but\n  " + "\n  ".join(found))
    return clean(notebook), time.perf_counter() - begin


def execute(root: Path, only: str, check: bool, to: str | None) -> int:
    """Run the notebooks; save the outputs only if all of them passed."""
    data = os.environ.setdefault("HGLIB_DATA", "synthetic")
    os.environ.pop("MPLBACKEND", None)  # the kernel's inline backend must win
    if not check and to is None and data != "synthetic":
        raise SystemExit("Outputs in notebooks/ come from the synthetic faces: unset HGLIB_DATA.")
    course, done, total = read_course(root), {}, 0.0
    for path in notebook_paths(root, only):
        stated = course.find(texts.name_of(path)).cpu_seconds
        print(f"{path.name:32}", end="", flush=True)
        done[path], seconds = run(path)
        total += seconds
        print(f"{seconds:7.1f} s   (header says {stated} s)", flush=True)
    print(f"{'together':32}{total:7.1f} s")
    if not check:
        save(done, root / to if to else root / "notebooks")
    return 0


def save(done: dict[Path, NotebookNode], folder: Path) -> None:
    for path, notebook in done.items():
        place = folder / texts.name_of(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(dump(notebook), encoding="utf-8")
    print(f"Saved with their outputs in {folder}")


# ---- count ----------------------------------------------------------------------------------


def show_counts(root: Path, only: str) -> int:
    """Print what there is to read in each notebook, exercises apart; 1 if one is too long."""
    total, bad = 0, []
    print(f"{'':40}words  code figures sections minutes  exercises")
    for path in notebook_paths(root, only):
        found, apart = reading.count(read(path))
        number = path.name.split("_")[0]
        total += found.minutes * (number in reading.CORE)
        bad += [f"{path.name}: {words}" for words in reading.complaints(number, found)]
        print(f"{path.name:40}{found.words:5}{found.code:6}{found.figures:8}", end="")
        print(f"{found.sections:9}{found.minutes:8}{apart.minutes:11}")
    print(f"The course, {reading.CORE[0]} to {reading.CORE[-1]}: {total} min")
    print("\n".join(bad)) if bad else None
    return int(bool(bad) or total > reading.TOGETHER)


# ---- command line ---------------------------------------------------------------------------


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("sync", help="write the generated cells, links and tables")
    one.add_argument("--check", action="store_true", help="change nothing; fail if something would")
    two = commands.add_parser("execute", help="run the notebooks and save their outputs")
    two.add_argument("--check", action="store_true", help="save nothing")
    two.add_argument("--only", default="", metavar="NN", help="only notebooks starting with NN")
    two.add_argument("--to", metavar="FOLDER", help="save copies there, not in notebooks/")
    three = commands.add_parser("count", help="print how long each notebook takes to read")
    three.add_argument("--only", default="", metavar="NN", help="only notebooks starting with NN")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    given = parse(arguments)
    try:
        if given.command == "sync":
            return sync(root, given.check)
        if given.command == "count":
            return show_counts(root, given.only)
        return execute(root, given.only, given.check, given.to)
    except ValueError as error:  # something in course.toml
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
