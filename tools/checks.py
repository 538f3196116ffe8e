"""What every notebook here must satisfy without being run: one small function per rule.

Each takes a Page and returns a list of complaints, empty when all is well. The tests apply every
function in CHECKS to every notebook, and to a broken one to see it complain.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

import notebooks
import prose
import reading
from course import Course, name_of

LARGEST = 1_000_000  # bytes; GitHub stops drawing a notebook not far above that
LONGEST_CELL = 20  # lines; longer code belongs in hglib
LONG_CELL, LONG_SHARE = 15, 0.2  # and at most one cell in five may be longer than this
SHORTEST_ALT = 8  # characters; "figure" says nothing
MACHINE_PATH = re.compile(r"(?<![\w.:/])(?:/work/|/root\b|/home/|/Users/|[A-Z]:\\Users)")
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
MARKER = re.compile(r"NBVAL_\w+")
NBVAL_TAGS = {"nbval-check-output", "nbval-ignore-output", "nbval-raises-exception", "nbval-skip"}
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)[^)]*\)")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Page:
    """A notebook, where it lies and the course it belongs to."""

    notebook: NotebookNode
    path: Path
    course: Course

    @property
    def file(self) -> str:
        """Its name in the course."""
        return name_of(self.path)

    def code(self) -> Iterator[tuple[int, NotebookNode]]:
        """Code cells that are not empty, with their place in the notebook."""
        for place, cell in enumerate(self.notebook.cells):
            if cell.cell_type == "code" and cell.source.strip():
                yield place, cell

    def outputs(self) -> Iterator[tuple[int, NotebookNode, NotebookNode]]:
        for place, cell in self.code():
            for output in cell.outputs:
                yield place, cell, output

    def markdown(self) -> Iterator[tuple[int, str]]:
        """Markdown sources without their code blocks and code spans."""
        for place, cell in enumerate(self.notebook.cells):
            if cell.cell_type == "markdown":
                prose = re.sub(r"(?ms)^```.*?^```", "", cell.source)
                yield place, re.sub(r"`[^`\n]*`", "", prose)


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def texts(output: NotebookNode) -> str:
    """All the text of an output, without the codes for colours."""
    data = output.get("data", {})
    kinds = [str(value) for kind, value in data.items() if not kind.startswith("image/")]
    written = "\n".join([output.get("text", ""), *output.get("traceback", []), *kinds])
    return re.sub(r"\x1b\[[\d;]*m", "", written)


# ---- outputs come from one clean run --------------------------------------------------------


def executed_in_order(page: Page) -> list[str]:
    counts = [cell.execution_count for _, cell in page.code()]
    if counts == list(range(1, len(counts) + 1)):
        return []
    return [f"execution counts are {counts}, not 1 to {len(counts)}: run `make execute`"]


def no_errors(page: Page) -> list[str]:
    bad = [
        (place, output.ename)
        for place, cell, output in page.outputs()
        if output.output_type == "error" and "raises-exception" not in tags(cell)
    ]
    return [f"cell {place} holds a {name} and no raises-exception tag" for place, name in bad]


def no_stderr(page: Page) -> list[str]:
    return notebooks.complaints(page.notebook)


def no_widget_state(page: Page) -> list[str]:
    found = ["metadata holds widget state"] if "widgets" in page.notebook.metadata else []
    return found + [
        f"cell {place} holds a widget: GitHub cannot draw it"
        for place, _, output in page.outputs()
        if notebooks.WIDGET in output.get("data", {})
    ]


def plain_kernel(page: Page) -> list[str]:
    name = page.notebook.metadata.get("kernelspec", {}).get("name")
    return [] if name == "python3" else [f"kernel is {name!r}, not 'python3'"]


def small(page: Page) -> list[str]:
    size = page.path.stat().st_size
    return [] if size < LARGEST else [f"{size} bytes; the limit is {LARGEST}"]


def no_machine_paths(page: Page) -> list[str]:
    sources = [(place, cell.source) for place, cell in enumerate(page.notebook.cells)]
    written = [(place, texts(output)) for place, _, output in page.outputs()]
    return [
        f"cell {place} holds a path of one machine: {found[0]!r}"
        for place, text in sources + written
        if (found := MACHINE_PATH.search(text))
    ]


def no_addresses(page: Page) -> list[str]:
    return [
        f"cell {place} shows a memory address; end its last line with a semicolon"
        for place, _, output in page.outputs()
        if ADDRESS.search(texts(output))
    ]


# ---- what nbval compares --------------------------------------------------------------------


def no_markers(page: Page) -> list[str]:
    """What nbval shall do stands in a cell's tags, where no reader sees it."""
    found = [f"cell {place} shows {marker[0]}; use a tag" for place, marker in marked(page)]
    for place, cell in page.code():
        named = [tag for tag in tags(cell) if tag.startswith("nbval")]
        found += [f"cell {place}: nbval knows no tag {t}" for t in named if t not in NBVAL_TAGS]
    return found


def marked(page: Page) -> Iterator[tuple[int, re.Match]]:
    for place, cell in enumerate(page.notebook.cells):
        if marker := MARKER.search(cell.source):
            yield place, marker


def no_asserts_alone(page: Page) -> list[str]:
    """A cell that only asserts is the author's test; a reader's cell shows something."""
    kinds = (ast.Assert, ast.Import, ast.ImportFrom)
    found = []
    for place, tree in syntax(page):
        asserts = any(isinstance(node, ast.Assert) for node in tree.body)
        if asserts and all(isinstance(node, kinds) for node in tree.body):
            found.append(f"cell {place} does nothing but assert")
    return found


def is_compared(output: NotebookNode) -> bool:
    """Whether nbval looks at this output, with what conftest.py leaves out left out."""
    if output.output_type == "stream":
        return output.name == "stdout"
    return "text/plain" in output.get("data", {}) and "image/png" not in output.data


def checked_cells_have_outputs(page: Page) -> list[str]:
    return [
        f"cell {place} is to be compared, but has no count or nothing that nbval compares"
        for place, cell in page.code()
        if "nbval-check-output" in tags(cell)
        if not (cell.execution_count and any(map(is_compared, cell.outputs)))
    ]


# ---- form -----------------------------------------------------------------------------------


def generated_cells(page: Page) -> list[str]:
    """Header, set-up, footer and metadata are what tools/course.toml says."""
    synced = notebooks.sync_notebook(notebooks.read(page.path), page.course, page.file)
    if synced == notebooks.read(page.path):
        return []
    return ["its header, set-up or closing cell is out of date: run `make sync`"]


def headings(page: Page) -> list[str]:
    """One first-level heading, at the top, and no level skipped on the way down."""
    pattern = re.compile(r"(?m)^(#{1,6}) +(.+)$")
    found = [hit for _, text in page.markdown() for hit in pattern.findall(text)]
    levels = [len(marks) for marks, _ in found]
    bad = []
    if levels.count(1) != 1 or levels[0] != 1:
        bad.append(f"{levels.count(1)} first-level headings; one is wanted, at the top")
    for before, level, (_, title) in zip(levels, levels[1:], found[1:], strict=False):
        if level > before + 1:
            bad.append(f"heading {title!r} jumps from level {before} to {level}")
    return bad


def stated_minutes(page: Page) -> list[str]:
    """The header's reading time is what was counted, to a minute."""
    stated, counted = page.course.find(page.file).read_minutes, reading.count(page.notebook)[0]
    if abs(stated - counted.minutes) <= 1:
        return []
    return [f"{stated} min to read are stated, {counted.minutes} are counted: run `make sync`"]


def light(page: Page) -> list[str]:
    """A notebook of the course is short enough for a class."""
    found = reading.count(page.notebook)[0]
    return reading.complaints(page.course.find(page.file).number, found)


def held_numbers(page: Page) -> list[str]:
    """A cell, a sum or a source holds every number in the prose."""
    return prose.complaints(page.notebook, page.path)


def says_the_score(page: Page) -> list[str]:
    """The exercises of the course say how to see how far one is."""
    core = page.course.find(page.file).number in reading.CORE
    sources = [cell.source for cell in page.notebook.cells if cell.cell_type == "markdown"]
    lacking = [s for s in sources if reading.EXERCISES.search(s) and "`check.score()`" not in s]
    return ["its exercises do not name `check.score()`"] if core and lacking else []


def short_cells(page: Page) -> list[str]:
    lengths = {place: len(cell.source.splitlines()) for place, cell in page.code()}
    found = [f"cell {p} has {n} lines" for p, n in lengths.items() if n > LONGEST_CELL]
    long = sum(length > LONG_CELL for length in lengths.values())
    if long > max(1, LONG_SHARE * len(lengths)):
        found.append(f"{long} of {len(lengths)} code cells have more than {LONG_CELL} lines")
    return found


def alt_texts_of_images(page: Page) -> list[str]:
    """Images in the prose: an alternative text, and an address that works in a copy on Drive."""
    found = []
    for place, text in page.markdown():
        for alt, target in IMAGE.findall(text):
            if len(alt.strip()) < SHORTEST_ALT:
                found.append(f"cell {place}: image {target[:40]} has no alternative text")
            if not target.startswith(("https://", "attachment:", "data:")):
                found.append(f"cell {place}: image {target[:40]} is lost in a copied notebook")
        for element in re.findall(r"<img\b[^>]*>", text):
            if not re.search(r"alt=(['\"])[^'\"]{8,}\1", element):
                found.append(f"cell {place}: <img> has no alternative text")
    return found


def alt_texts_of_outputs(page: Page) -> list[str]:
    shown = {
        place: str(cell.metadata.get("alt", ""))
        for place, cell, output in page.outputs()
        if any(kind.startswith("image/") for kind in output.get("data", {}))
    }
    return [
        f'cell {place} draws a figure and has no "alt" in its metadata'
        for place, alt in shown.items()
        if len(alt.strip()) < SHORTEST_ALT
    ]


def links(page: Page) -> list[str]:
    """Links within the repository lead somewhere; links to Colab open what they should."""
    found = []
    targets = [(place, t) for place, text in page.markdown() for t in LINK.findall(text)]
    for place, target in targets:
        local = target.split("#")[0]
        if local and "://" not in local and not (page.path.parent / local).exists():
            found.append(f"cell {place}: link to {target} leads nowhere")
    return found


def colab_badge(page: Page) -> list[str]:
    """The badge opens this very file in this very repository; other Colab links, a sister's."""
    sources = "\n".join(c.source for c in page.notebook.cells if c.cell_type == "markdown")
    opened = re.findall(r"https://colab\.research\.google\.com/github/[^)\s\"]+", sources)
    known = {page.course.colab(entry.file) for entry in page.course.everything}
    found = [f"Colab link opens another place: {url}" for url in opened if url not in known]
    if page.course.badge(page.file) not in sources:
        found.append("no badge that opens this notebook on Colab")
    return found


# ---- names ----------------------------------------------------------------------------------


def syntax(page: Page) -> Iterator[tuple[int, ast.Module]]:
    """The code cells as syntax trees, magics turned into Python first."""
    transform = TransformerManager().transform_cell
    for place, cell in page.code():
        yield place, ast.parse(transform(cell.source))


def imported(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """(name in the notebook, module, attribute or "") for each import of hglib."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "hglib":
                    whole = alias.name if alias.asname else "hglib"
                    yield alias.asname or "hglib", whole, ""
                    yield "", alias.name, ""
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hglib":
            for alias in node.names:
                yield alias.asname or alias.name, node.module or "", alias.name


def lookup(module: str, attribute: str = "") -> object:
    """The module, or what it calls `attribute` (a submodule too); AttributeError if neither."""
    try:
        value = importlib.import_module(module)
        return getattr(value, attribute) if attribute else value
    except AttributeError:
        try:
            return importlib.import_module(f"{module}.{attribute}")
        except ModuleNotFoundError:
            raise AttributeError(f"{module} has no {attribute}") from None
    except ModuleNotFoundError as error:
        raise AttributeError(str(error)) from None


def dotted(node: ast.Attribute) -> list[str]:
    """["hglib", "plots", "draw"] for `hglib.plots.draw`; [] if it does not start with a name."""
    parts = [node.attr]
    inner = node.value
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    return [inner.id, *reversed(parts)] if isinstance(inner, ast.Name) else []


def follow(value: object, parts: list[str]) -> None:
    """Walk down modules by name; AttributeError at the first that is not there."""
    for part in parts:
        if not isinstance(value, ModuleType):
            return  # an attribute of a class or an array: not ours to judge here
        value = lookup(value.__name__, part)


def names_exist(page: Page) -> list[str]:
    """Every name of hglib that the notebook uses is there, and no variable hides a module."""
    modules: dict[str, object] = {}
    found = []
    for place, tree in syntax(page):
        for name, module, attribute in imported(tree):
            try:
                modules[name] = lookup(module, attribute)
            except AttributeError as error:
                found.append(f"cell {place}: {error}")
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                hidden = isinstance(modules.get(node.id), ModuleType)
                found += [f"cell {place}: variable {node.id} hides the module"] if hidden else []
            if isinstance(node, ast.Attribute) and (parts := dotted(node))[:1]:
                try:
                    follow(modules.get(parts[0]), parts[1:])
                except AttributeError as error:
                    found.append(f"cell {place}: {error}")
    return sorted(set(found))


CHECKS = (
    executed_in_order,
    no_errors,
    no_stderr,
    no_widget_state,
    plain_kernel,
    small,
    no_machine_paths,
    no_addresses,
    no_markers,
    no_asserts_alone,
    checked_cells_have_outputs,
    generated_cells,
    headings,
    stated_minutes,
    light,
    held_numbers,
    says_the_score,
    short_cells,
    alt_texts_of_images,
    alt_texts_of_outputs,
    links,
    colab_badge,
    names_exist,
)
