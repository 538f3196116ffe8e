"""Slides from the notebooks' own figures: build/slides.html, one file that needs no network.

    make slides

The course's first figure of each section becomes a slide: the section's heading, the question that
stands before the figure ("Predict: ..."), and, with the next key, the figure; "n" shows the first
words after it. A cell tagged "slide" gives one more, one tagged "no-slide" none. No framework: what
reveal.js would be loaded for here, next and back, is the script below, and nothing is fetched.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import notebooks
from course import ROOT, Notebook, read_course
from reading import CORE, EXERCISES

PREDICT = re.compile(r"\*\*Predict:\*\*\s*(.+)")
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ margin: 0; font: 3.2vmin/1.4 system-ui, sans-serif; color: #222; background: #fff }}
section {{ display: none; box-sizing: border-box; height: 100vh; padding: 4vmin 6vmin }}
section.now {{ display: flex; flex-direction: column }}
h1 {{ font-size: 7vmin; margin: auto 0 2vmin }} h2 {{ font-size: 4.4vmin; margin: 0 0 1vmin }}
p {{ margin: .6vmin 0 }} .cover p {{ margin-bottom: auto; font-size: 4vmin }}
img {{ flex: 1; min-height: 0; object-fit: contain; margin-top: 2vmin; visibility: hidden }}
.shown img {{ visibility: visible }} aside {{ display: none; color: #555 }}
.notes aside {{ display: block }} .question {{ color: #a33 }}
@media print {{ section {{ display: flex; flex-direction: column; break-after: page }}
  img {{ visibility: visible }} }}
</style>
{slides}
<script>
const all = [...document.querySelectorAll("section")];
let now = Math.min(all.length, Math.max(1, parseInt(location.hash.slice(1)) || 1)) - 1;
function show(place, shown) {{
  now = Math.min(all.length - 1, Math.max(0, place));
  all.forEach((s, i) => s.classList.toggle("now", i === now));
  if (shown || !all[now].querySelector(".question")) all[now].classList.add("shown");
  location.replace("#" + (now + 1));
}}
function next() {{
  const here = all[now].classList;
  if (here.contains("shown")) show(now + 1); else here.add("shown");
}}
addEventListener("keydown", e => {{
  if (["ArrowRight", " ", "PageDown"].includes(e.key)) {{ e.preventDefault(); next(); }}
  if (["ArrowLeft", "PageUp"].includes(e.key)) show(now - 1, true);
  if (e.key === "n") document.body.classList.toggle("notes");
}});
addEventListener("click", next);
show(now);
</script></html>
"""


@dataclass(frozen=True)
class Slide:
    """A figure with its heading, its alternative text and what is said around it."""

    heading: str
    png: str  # base64
    alt: str
    question: str = ""
    note: str = ""


def figures(cells: list) -> Iterator[Slide]:
    """The slides of one notebook, in order."""
    heading, question, taken = "", "", False
    for place, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            if EXERCISES.search(cell.source):
                return
            for line in cell.source.splitlines():
                if line.startswith("## "):
                    heading, question, taken = line[3:].strip(), "", False
                if found := PREDICT.search(line):
                    question = found[1]
            continue
        tags = cell.metadata.get("tags", [])
        images = [o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})]
        if images and "no-slide" not in tags and (not taken or "slide" in tags):
            after = next((c.source for c in cells[place + 1 :] if c.cell_type == "markdown"), "")
            alt = cell.metadata.get("alt", "")
            yield Slide(heading, "".join(images[0].split()), alt, question, first_words(after))
            taken = True
        question = "" if images else question


def first_words(text: str) -> str:
    """The first paragraph, if it is prose."""
    first = text.strip().split("\n\n")[0]
    return "" if first.startswith(("#", "|", "<", "**Predict", "-", "$")) else first


def plain(text: str) -> str:
    """Markdown's bold, italics, code and links as HTML, all else as it is."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", html.escape(text, quote=False))
    for mark, tag in ((r"\*\*", "b"), (r"\*", "i"), ("`", "code")):
        text = re.sub(rf"{mark}(\S(?:.*?\S)?){mark}", rf"<{tag}>\1</{tag}>", text)
    return text


def draw(slide: Slide) -> str:
    parts = [f"<h2>{plain(slide.heading)}</h2>"]
    if slide.question:
        parts.append(f'<p class="question"><b>Predict:</b> {plain(slide.question)}</p>')
    alt = html.escape(slide.alt)
    parts.append(f'<img alt="{alt}" src="data:image/png;base64,{slide.png}">')
    if slide.note:
        parts.append(f"<aside>{plain(slide.note)}</aside>")
    return "<section>" + "\n".join(parts) + "</section>"


def cover(entry: Notebook) -> str:
    title = f"<h1>{html.escape(f'{entry.number} · {entry.title}')}</h1>"
    return f'<section class="cover">{title}<p>{html.escape(entry.question)}</p></section>'


def page(root: Path = ROOT) -> str:
    """The whole file."""
    slides = []
    for entry in read_course(root).notebooks:
        if entry.number in CORE:
            cells = notebooks.read(root / "notebooks" / entry.file).cells
            slides += [cover(entry), *map(draw, figures(cells))]
    return PAGE.format(title="Hourglass networks and heat maps", slides="\n".join(slides))


def main(root: Path = ROOT) -> int:
    text, place = page(root), root / "build" / "slides.html"
    place.parent.mkdir(exist_ok=True)
    place.write_text(text, encoding="utf-8")
    print(f"{place}: {text.count('<section')} slides, {len(text) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
