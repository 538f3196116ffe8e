"""The site: its address in a fresh copy, its sources, and its pages where they have been built."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import nodes
import pytest
import toy_course as toy

import course
import notebooks
import website
from course import ROOT

HTML = ROOT / "build" / "site" / "html"
needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
LOADS = {  # what a browser fetches by itself
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "audio": "src",
    "video": "src",
}
LINKS = ("stylesheet", "preload", "modulepreload", "icon", "preconnect", "dns-prefetch", "manifest")

# ---- the address ----------------------------------------------------------------------------


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True)


def copy_with_origin(folder: Path, origin: str | None) -> Path:
    root = toy.make_root(folder)
    path = root / "notebooks" / toy.FILE
    path.write_text(notebooks.dump(toy.nbformat.v4.new_notebook(cells=toy.good_cells())))
    git(root, "init")
    if origin:
        git(root, "remote", "add", "origin", origin)
    return root


@needs_git
@pytest.mark.parametrize(
    "origin",
    [
        "https://github.com/ann/eyes",
        "https://github.com/ann/eyes.git",
        "git@github.com:ann/eyes.git",
        "ssh://git@github.com/ann/eyes",
        "https://x-access-token:word@github.com/ann/eyes.git",
    ],
)
def test_a_copy_takes_its_address_from_origin(tmp_path: Path, origin: str) -> None:
    root = copy_with_origin(tmp_path, origin)
    assert notebooks.main(["sync"], root) == 0
    assert course.read_course(root).slug == "ann/eyes"
    places = [f"notebooks/{toy.FILE}", "README.md", "CITATION.cff", "pyproject.toml"]
    for text in ((root / place).read_text() for place in places):
        assert "ann/eyes" in text and "OWNER/REPO" not in text
    assert notebooks.main(["sync", "--check"], root) == 0


@needs_git
@pytest.mark.parametrize("origin", [None, "https://gitlab.com/ann/eyes", "/home/ann/eyes"])
def test_without_an_origin_on_github_nothing_changes(tmp_path: Path, origin: str | None) -> None:
    root = copy_with_origin(tmp_path, origin)
    notebooks.main(["sync"], root)
    assert course.read_course(root).slug == course.PLACEHOLDER


@needs_git
def test_an_address_that_was_set_stays(tmp_path: Path) -> None:
    root = copy_with_origin(tmp_path, "https://github.com/ann/eyes")
    settings = root / "tools" / "course.toml"
    settings.write_text(settings.read_text().replace("OWNER/REPO", "ben/gaze"))
    notebooks.main(["sync"], root)
    assert course.read_course(root).slug == "ben/gaze"


@needs_git
def test_check_adopts_nothing(tmp_path: Path) -> None:
    """In a fresh fork the tests must not fail before the workflow has run."""
    root = copy_with_origin(tmp_path, None)
    notebooks.main(["sync"], root)
    git(root, "remote", "add", "origin", "https://github.com/ann/eyes")
    assert notebooks.main(["sync", "--check"], root) == 0
    assert course.read_course(root).slug == course.PLACEHOLDER


def test_the_workflow_adopts_it_on_the_first_push() -> None:
    """The workflow's own lines look for the placeholder as course.toml writes it."""
    text = (ROOT / ".github" / "workflows" / "pages.yml").read_text(encoding="utf-8")
    looked_for = re.search(r"grep -q '(.*)' tools/course\.toml", text)[1]
    line = f'slug = "{course.PLACEHOLDER}"  # the GitHub repository'
    assert re.search(looked_for, line)
    assert not re.search(looked_for, line.replace(course.PLACEHOLDER, "ann/eyes"))
    assert "tools/notebooks.py sync" in text and "contents: write" in text


# ---- the sources ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "source"
    website.stage(ROOT, folder)
    return folder


def test_every_notebook_is_in_the_contents(source: Path) -> None:
    index = (source / "index.md").read_text(encoding="utf-8")
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        if ".ipynb_checkpoints" not in path.parts:
            assert f"\n{path.relative_to(ROOT).with_suffix('')}\n" in index
    for name in website.CORE:
        assert f"\napi/{name}\n" in index and (source / "api" / f"{name}.md").exists()


def test_every_module_of_the_core_has_a_page() -> None:
    core = {path.stem for path in (ROOT / "hglib").glob("*.py")} - {"__init__", "__main__"}
    assert core == set(website.CORE)


def test_no_source_shows_an_image_from_elsewhere(source: Path) -> None:
    for path in [*source.rglob("*.md"), *source.rglob("*.ipynb")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"!\[[^\]]*\]\(https?:", text), path


def test_alt_texts_reach_the_pages(source: Path) -> None:
    wanted = 0
    for path in website.notebooks(source):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if alt := cell["metadata"].get("alt"):
                assert cell["metadata"]["mystnb"]["image"]["alt"] == alt
                wanted += 1
    assert wanted > 20


def test_settings_ask_nobody(source: Path) -> None:
    settings = runpy.run_path(str(source / "conf.py"))
    assert settings["nb_execution_mode"] == "off"
    assert settings["html_theme"] == "sphinx_book_theme"
    for name in ("mathjax_path", "html_favicon", *settings["html_css_files"]):
        assert not re.match(r"(https?:)?//", str(settings.get(name, name)))
    assert settings["html_theme_options"]["repository_url"].startswith("https://github.com/")


# ---- the pages ------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page loads, where it links to, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.bare: list[str] = []  # images without a word for those who cannot see them
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in LOADS and given.get(LOADS[tag]):
            self.loads.append(given[LOADS[tag]])
        if tag == "link" and given.get("rel") in LINKS:
            self.loads.append(given["href"])
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "img" and not given.get("alt"):
            self.bare.append(given["src"])


@pytest.fixture(scope="module")
def pages() -> dict[Path, Page]:
    if not (HTML / "index.html").exists():
        pytest.skip("the site has not been built here: `make site` builds it")
    return {path: Page(path) for path in HTML.rglob("*.html")}


def test_no_page_loads_anything_from_elsewhere(pages: dict[Path, Page]) -> None:
    outside = re.compile(r"(https?:)?//")
    found = [
        (path.name, at) for path, page in pages.items() for at in page.loads if outside.match(at)
    ]
    assert not found
    for path in HTML.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", path.read_text("utf-8")), path


def leads_somewhere(link: str, path: Path, pages: dict[Path, Page]) -> bool:
    """Whether the file is there, and in it the anchor; #a=b is the explorer's state, no anchor."""
    if re.match(r"[a-z]+:", link):
        return True
    address, _, anchor = unquote(link).partition("#")
    target = (path.parent / address.split("?")[0]).resolve() if address else path
    if not target.exists():
        return False
    page = pages.get(target / "index.html" if target.is_dir() else target)
    return not anchor or "=" in anchor or page is None or anchor in page.anchors


def test_links_inside_the_site_lead_somewhere(pages: dict[Path, Page]) -> None:
    broken = [
        f"{path.relative_to(HTML)}: {link}"
        for path, page in pages.items()
        for link in [*page.links, *page.loads]
        if not leads_somewhere(link, path, pages)
    ]
    assert not broken


def test_a_class_finds_its_pages(pages: dict[Path, Page]) -> None:
    """Glossary, teaching and slides are there, and the first page's contents lead to them."""
    assert "explorer/index.html" in pages[HTML / "look_inside.html"].links
    for name in ("docs/glossary.html", "docs/teaching.html", "docs/results.html", "slides.html"):
        assert (HTML / name).exists()
        assert name in pages[HTML / "index.html"].links
    assert "slides/index.html" in pages[HTML / "slides.html"].links
    assert (HTML / "slides" / "index.html").read_text(encoding="utf-8").count("<section") > 20


def test_images_have_words(pages: dict[Path, Page]) -> None:
    bare = [
        (path.name, src) for path, page in pages.items() for src in page.bare if "logo" not in src
    ]
    assert not bare


def test_pages_in_a_browser(pages: dict[Path, Page], tmp_path: Path) -> None:
    """No request leaves the site, formulas are set, the search finds, 360 px are enough."""
    path = nodes.browser()
    if not (nodes.EXPLORER / "node_modules" / "playwright-core").exists():
        pytest.skip("explorer/node_modules is missing: `make explorer` fetches it")
    seen = nodes.run("pages.mjs", tmp_path, {"browser": path, "html": str(HTML)})
    assert seen["outside"] == [] and seen["missing"] == [] and seen["errors"] == []
    assert seen["formulas"] > 0
    for word, notebook in {"hourglass": "03_the_hourglass", "skip": "03_the_hourglass"}.items():
        assert any(notebook in address for address in seen["found"][word]), seen["found"]
    assert set(seen["widths"].values()) == {360}, seen["widths"]
    assert seen["dark"] != seen["light"]
