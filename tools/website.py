"""Build the site: all notebooks with outputs, docs, slides, API, the explorer. `make site`.

    python tools/website.py             build/site/html from the committed notebooks; runs none
    python tools/website.py --sources   only lay out build/site/source, which needs no Sphinx

The sources are copies: links to the README become links to the first page, and an image from
another server becomes a link, so that no page of the site asks anybody else for anything.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import slides
from course import ROOT, Course, read_course

PAGES = ("ARCHITECTURE.md", "docs", "notes", "figures", "notebooks")
FILES = ("LICENSE", "LICENSE-TEXT", "CITATION.cff", "pyproject.toml")
SITE = Path("docs") / "site"
MATHJAX = Path("explorer") / "node_modules" / "mathjax" / "es5" / "tex-svg.js"
CORE = (  # in reading order, as in ARCHITECTURE.md
    *("data", "heatmap", "hourglass", "original2019", "augment", "losses", "train"),
    *("recipes", "checkpoint", "inference", "metrics", "env"),
)
LINKED_IMAGE = re.compile(r"\[!\[([^\]]*)\]\(https?://[^)]*\)\]\(([^)]*)\)")
ANCHOR = re.compile(r"(\]\([^)\s]*\.ipynb#)([^)\s]+)(?=\))")
IMAGE = re.compile(r"!\[([^\]]*)\]\((https?://[^)]*)\)")


def offline(text: str) -> str:
    """Markdown in which an image from elsewhere is a link.

    >>> offline("[![Colab](https://x.org/badge.svg)](https://colab.org/a)")
    '[Colab](https://colab.org/a)'
    >>> offline("![a face](figures/face.png)")
    '![a face](figures/face.png)'
    """
    return IMAGE.sub(r"[\1](\2)", LINKED_IMAGE.sub(r"[\1](\2)", text))


def rehome(text: str) -> str:
    """Links to the README lead to the site's first page, which holds it."""
    return re.sub(r"\]\(((?:\.\./)*)README\.md", r"](\1index.md", text)


def reanchor(text: str) -> str:
    """Anchors in notebooks as Sphinx writes them; Jupyter keeps capitals and question marks.

    >>> reanchor("[the files](01_explore.ipynb#The-files?)")
    '[the files](01_explore.ipynb#the-files)'
    """
    return ANCHOR.sub(lambda found: found[1] + re.sub(r"[^\w-]", "", found[2].lower()), text)


def unpack(cell: dict, folder: Path) -> str:
    """A cell's Markdown with its attachments as files in the folder: myst-nb reads no others."""
    text = "".join(cell["source"])
    for name, kinds in cell.pop("attachments", {}).items():
        (folder / name).write_bytes(base64.b64decode("".join(next(iter(kinds.values())))))
        text = text.replace(f"(attachment:{name})", f"({name})")
    return text


def stage_notebook(path: Path) -> None:
    """Offline Markdown cells, and every image's alt text where myst-nb looks for it."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = reanchor(rehome(offline(unpack(cell, path.parent))))
        if alt := cell["metadata"].get("alt"):
            cell["metadata"]["mystnb"] = {"image": {"alt": alt}}
    path.write_text(json.dumps(notebook, indent=1), encoding="utf-8")


def toctree(caption: str, names: list[str]) -> str:
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *names, "```", ""])


def first_page(root: Path, source: Path, course: Course) -> str:
    """The README, and the table of contents of everything."""
    text = offline((root / "README.md").read_text(encoding="utf-8"))
    known = [f"notebooks/{notebook.file.removesuffix('.ipynb')}" for notebook in course.notebooks]
    found = sorted(str(p.relative_to(source).with_suffix("")) for p in notebooks(source))
    books = [name for name in known if name in found]
    books += [name for name in found if name not in books]
    docs = sorted(f"docs/{path.stem}" for path in (source / "docs").glob("*.md"))
    parts = {
        "Look inside": ["look_inside"],
        "Notebooks": books,
        "More": [*docs, "slides", "ARCHITECTURE", "notes/house"],
        "The library": [f"api/{name}" for name in CORE],
    }
    return "\n".join([rehome(text), *(toctree(name, pages) for name, pages in parts.items())])


def notebooks(folder: Path) -> list[Path]:
    return sorted((folder / "notebooks").rglob("*.ipynb"))


def api_page(name: str) -> str:
    return f"# hglib.{name}\n\n```{{eval-rst}}\n.. automodule:: hglib.{name}\n```\n"


def stage(root: Path, source: Path) -> None:
    """Lay out everything that Sphinx reads in a fresh folder."""
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    skip = shutil.ignore_patterns("site", ".ipynb_checkpoints", "__pycache__")
    for name in PAGES:
        if (path := root / name).is_dir():
            shutil.copytree(path, source / name, ignore=skip)
        elif path.exists():
            shutil.copy(path, source / name)
    for name in FILES:
        shutil.copy(root / name, source / name)
    for path in source.rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        path.write_text(reanchor(rehome(offline(text))), encoding="utf-8")
    for path in notebooks(source):
        stage_notebook(path)
    for name in CORE:
        (source / "api").mkdir(exist_ok=True)
        (source / "api" / f"{name}.md").write_text(api_page(name), encoding="utf-8")
    stage_settings(root, source)


def stage_settings(root: Path, source: Path) -> None:
    course = read_course(root)
    for name in ("conf.py", "look_inside.md", "slides.md"):
        shutil.copy(root / SITE / name, source / name)
    settings = {"slug": course.slug, "ref": course.ref}
    (source / "site.json").write_text(json.dumps(settings), encoding="utf-8")
    (source / "index.md").write_text(first_page(root, source, course), encoding="utf-8")
    static = source / "_static"
    (static / "mathjax").mkdir(parents=True)
    shutil.copy(root / SITE / "own.css", static)
    shutil.copy(root / "explorer" / "src" / "icon.svg", static)
    if (root / MATHJAX).exists():
        shutil.copy(root / MATHJAX, static / "mathjax")


def build(root: Path, source: Path, html: Path) -> None:
    """Run Sphinx, and put the explorer and the slides beside its pages."""
    for needed in (MATHJAX, Path("explorer") / "dist" / "index.html"):
        if not (root / needed).exists():
            raise SystemExit(f"{needed} is missing: run `make explorer`")
    shutil.rmtree(html, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", str(source), str(html)]
    if code := subprocess.run(command, cwd=root).returncode:
        raise SystemExit(code)
    shutil.copytree(root / "explorer" / "dist", html / "explorer")
    (html / "slides").mkdir()
    (html / "slides" / "index.html").write_text(slides.page(root), encoding="utf-8")
    (html / ".nojekyll").touch()  # GitHub Pages would drop folders that begin with _
    shutil.rmtree(html / ".doctrees", ignore_errors=True)
    for template in (html / "_static").glob("*webpack-macros.html"):  # left over by the theme
        template.unlink()


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sources", action="store_true", help="do not run Sphinx")
    given = parser.parse_args(arguments)
    place = root / "build" / "site"
    stage(root, place / "source")
    if not given.sources:
        build(root, place / "source", place / "html")
        print(f"{place / 'html'}: the site; look at it with `node explorer/serve.mjs {place}/html`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
