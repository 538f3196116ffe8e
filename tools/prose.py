"""The numbers in a notebook's prose: each is held by a cell, a sum, a source or a short list.

Looked at are decimals, percentages, numbers with a unit, and whole numbers from 100 on. Not looked
at: code, formulas in LaTeX, headings, references, years, and what a reader is asked to suppose (the
questions of a quiz, the tasks of the exercises). A number counts as held where it

- stands in an output of its section, rounded as the prose is, or as a number in that section's
  code; for what looks back (`What you learned`, the quiz) any section of the notebook will do;
- follows "about", "some" or the like, and is within a tenth of such an output;
- is part of a sum that is right, "35 / 200 ≈ 0.18", or repeats one of the same paragraph;
- stands beside the name or the link of the notebook that shows it, or beside a link to elsewhere;
- is one of CONSTANTS.
"""

from __future__ import annotations

import ast
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode

# What any notebook may say: the number, and the notebook that prints it, or the sum that gives it.
CONSTANTS = {
    "36 px": "01",  # between the eyes
    "7049": "A1",  # faces in Kaggle's file
    "48,000": "05",  # synthetic faces that the pretrained weights have seen
    "2304": "48 * 48",  # cells of our map
    "9216": "96 * 96",  # pixels of an image
    "4000": "06",  # images that a row of the study is shown
    "20 px": "06",  # what the local network sees
    "1.8 px": "0.05 * 36",  # a twentieth of the distance between the eyes
    ".05": "05",  # the thresholds of the worst eye
    ".10": "05",
    ".25": "05",
}
NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
WRITTEN = re.compile(rf"(?<![\w.,/–#-])({NUMBER})( ?%| px| ms| s\b| MB| times)?(?![\w]|[.,]\d|–\d)")
PRINTED = re.compile(rf"(?:{NUMBER})(?:e[-+]?\d+)?")
SUM = re.compile(r"((?:[\d.,·×/+−√()½ ]|\bln |px)+)[=≈]( *)(" + NUMBER + ")")
NOT_PROSE = re.compile(
    r"^```.*?^```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|^#{1,6} .*?$|^ *\d+\. |\*\*\d+\.\*\*",
    re.DOTALL | re.MULTILINE,
)
SUPPOSED = re.compile(
    r"^### References.*?(?=^#|\Z)|^## Exercises.*|^### Exercise.*?(?=^##? |\Z)"
    r"|^\*\*\d+\.\*\*.*?(?=^<details>)",
    re.DOTALL | re.MULTILINE,
)
NAMED = re.compile(r"\b(?:[Nn]otebook (\d\d)|(A\d))\b|\((?:[\w./]*/)?(A?\d{1,2})_\w+\.ipynb")
ROUGHLY = re.compile(r"\b(?:about|some|near|nearly|almost|around)\W+$", re.IGNORECASE)
LOOKS_BACK = re.compile(r"(?m)^##+ (?:What you learned|Quiz)")


@dataclass(frozen=True)
class Held:
    """The numbers that a notebook shows, by the number of the `## ` section; -1 holds all."""

    outputs: dict[int, set[float]]
    code: dict[int, set[float]]


def value(text: str) -> float:
    return float(text.replace(",", ""))


def decimals(text: str) -> int:
    return len(text.partition(".")[2])


def printed(text: str) -> set[float]:
    return {value(found[0]) for found in PRINTED.finditer(text)}


def shown(output: NotebookNode) -> str:
    return output.get("text", "") + "\n" + output.get("data", {}).get("text/plain", "")


def sections(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    """Every cell with the number of the section in which it ends."""
    section = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            section += len(re.findall(r"(?m)^## ", cell.source))
        yield section, cell


def literals(source: str) -> set[float]:
    """The numbers that stand in code, in its strings too."""
    lines = (line for line in source.splitlines() if not line.lstrip().startswith(("%", "!")))
    try:
        nodes = list(ast.walk(ast.parse("\n".join(lines))))
    except SyntaxError:
        return set()
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    found = {float(v) for v in values if type(v) in (int, float)}
    return found.union(*(printed(v) for v in values if isinstance(v, str)))


@cache
def held(path: Path) -> Held:
    return held_by(nbformat.read(path, as_version=4))


def held_by(notebook: NotebookNode) -> Held:
    outputs: dict[int, set[float]] = defaultdict(set)
    code: dict[int, set[float]] = defaultdict(set)
    for section, cell in sections(notebook):
        if cell.cell_type == "code":
            for kept in (section, -1):
                outputs[kept] |= printed("\n".join(map(shown, cell.outputs)))
                code[kept] |= literals(cell.source)
    return Held(outputs, code)


def is_shown(text: str, unit: str, by: Held, section: int, roughly: bool = False) -> bool:
    """Whether an output, rounded as the prose is, or a number in the code is this one."""
    wanted = value(text)
    near = 0.1 * wanted if roughly else 0.5 * 10 ** -decimals(text) + 1e-9
    rounded, exact = by.outputs.get(section, set()), by.code.get(section, set())
    if unit.strip() == "%":  # .69 says 69 % too
        rounded = rounded | {100 * number for number in rounded if number <= 1}
        exact = exact | {100 * number for number in exact if number <= 1}
    close = any(abs(number - wanted) <= near for number in rounded)
    return close or any(abs(number - wanted) < 1e-9 for number in exact)


def calculated(expression: str) -> float | None:
    """The value of a sum as prose writes it; None if it is none."""
    text = expression.strip().replace("px", "").replace(",", "").replace("½", "0.5")
    for sign, python in (("·", "*"), ("×", "*"), ("−", "-")):
        text = text.replace(sign, python)
    text = re.sub(r"√ ?\(", "math.sqrt(", text)
    text = re.sub(r"√ ?([\d.]+)", r"math.sqrt(\1)", text)
    text = re.sub(r"\bln ([\d.]+)", r"math.log(\1)", text)
    if not re.search(r"[*/+\-]|math", text):
        return None
    try:
        return eval(text, {"__builtins__": {}, "math": math})  # SUM lets nothing but sums through
    except (SyntaxError, TypeError, ZeroDivisionError):
        return None


def sums(paragraph: str) -> Iterator[tuple[int, int, bool]]:
    """Where each sum begins and ends, and whether it is right."""
    for found in SUM.finditer(paragraph):
        left, _, right = found.groups()
        if (result := calculated(left)) is not None:
            off = abs(result - value(right))
            yield found.start(), found.end(), off <= 0.51 * 10 ** -decimals(right)


def counts(text: str, unit: str) -> bool:
    """Whether this is a number that the rule looks at."""
    number = value(text)
    year = 1900 <= number <= 2100 and "." not in text and not unit
    return not year and ("." in text or bool(unit) or number >= 100)


def folder(path: Path) -> Path:
    """notebooks/, from the path of a notebook or an appendix."""
    return path.parent.parent if path.parent.name == "appendix" else path.parent


def sources(paragraph: str, path: Path) -> Iterator[Path]:
    """The notebooks that a paragraph names or links to."""
    for names in NAMED.findall(paragraph):
        name = next(filter(None, names))
        yield from folder(path).glob(f"**/{name}_*.ipynb")


def is_sourced(paragraph: str, text: str, unit: str, path: Path) -> bool:
    if re.search(r"\]\(https?://", paragraph):
        return True
    named = map(held, sources(paragraph, path))
    return any(is_shown(text, unit, other, -1) for other in named)


def is_constant(text: str, unit: str, path: Path) -> bool:
    source = CONSTANTS.get(text + unit, CONSTANTS.get(text, ""))
    if "*" in source:
        return calculated(source.replace("*", "·")) == value(text)
    files = folder(path).glob(f"**/{source}_*.ipynb") if source else ()
    return any(is_shown(text, unit, held(file), -1) for file in files)


def paragraphs(notebook: NotebookNode) -> Iterator[tuple[int, int, str]]:
    """Place, section (-1 where it looks back) and text of every paragraph and table row."""
    section, back, exercises = 0, False, False
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown" or cell.metadata.get("hglib") or exercises:
            continue
        exercises = "\n## Exercises" in f"\n{cell.source}"
        blank = SUPPOSED.sub("", cell.source)
        for part in re.split(r"(?m)^(?=##? )|\n\s*\n|^(?=\|)", blank):
            section += bool(re.match(r"## ", part))
            back = bool(LOOKS_BACK.match(part)) or (back and not part.startswith("## "))
            yield place, -1 if back else section, NOT_PROSE.sub(" ", part)


def unheld(text: str, own: Held, section: int, path: Path) -> Iterator[re.Match]:
    """The numbers of one paragraph that nothing holds."""
    known = list(sums(text))
    worked = {n for start, end, right in known if right for n in printed(text[start:end])}
    for hit in WRITTEN.finditer(text):
        number, unit = hit[1], hit[2] or ""
        wrong = any(start <= hit.start() < end for start, end, right in known if not right)
        if not counts(number, unit) or (value(number) in worked and not wrong):
            continue
        roughly = bool(ROUGHLY.search(text[: hit.start()]))
        if wrong or not (
            is_shown(number, unit, own, section, roughly)
            or is_sourced(text, number, unit, path)
            or is_constant(number, unit.rstrip(), path)
        ):
            yield hit


def complaints(notebook: NotebookNode, path: Path) -> list[str]:
    """Every number in the prose that nothing holds, with the words around it."""
    own, found = held_by(notebook), []
    for place, section, paragraph in paragraphs(notebook):
        for hit in unheld(paragraph, own, section, path):
            around = paragraph[max(0, hit.start() - 40) : hit.end() + 20]
            around = " ".join(around.split())
            found.append(f"cell {place}: nothing holds {hit[0]} in '... {around} ...'")
    return found
