"""The library's shape: imports run one way, everything public is documented and taught."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import hglib

ROOT = Path(hglib.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py"))
LONGEST = 45  # lines of code in one function, docstring and blank lines not counted


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.Module) -> set[str]:
    """The hglib modules that are imported when this one is (not those inside functions)."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.startswith("hglib.")}


def test_imports_have_no_circle():
    known = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
    graph = {name: imported(tree) & set(known) - {name} for name, tree in known.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"modules import each other: {error.args[1]}")
    assert order.index("hglib.heatmap") < order.index("hglib.losses") < order.index("hglib.train")


def test_import_is_light():
    """`import hglib` alone loads neither torch nor pandas nor matplotlib."""
    code = (
        "import sys, hglib; "
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [n for n in hglib.__all__ if n != "__version__"])
def test_top_level_names_stay_what_they_are(name):
    """A submodule of the same name would hide the function once it is imported."""
    first = getattr(hglib, name)
    assert getattr(hglib, name) is first
    assert callable(first)
    assert not (ROOT / f"{name}.py").exists()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'heatmaps'"):
        _ = hglib.heatmaps


def public_definitions(path: Path) -> list[ast.FunctionDef | ast.ClassDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node for node in tree.body if isinstance(node, kinds) and node.name[0] != "_"]


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_everything_public_is_documented_and_says_where_it_is_taught(path):
    for node in public_definitions(path):
        text = ast.get_docstring(node) or ""
        assert text, f"{path.name}: {node.name} has no docstring"
        if node.name not in ("main",) and "synthetic" not in path.parts:
            assert "Taught" in text, f"{path.name}: {node.name} does not say where it is taught"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_functions_are_short_and_typed(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            length = code_lines(node)
            assert length <= LONGEST, f"{path.name}: {node.name} has {length} lines"
            wanted = [a for a in node.args.args + node.args.kwonlyargs if a.arg not in SELF]
            untyped = [a.arg for a in wanted if a.annotation is None]
            assert not untyped, f"{path.name}: {node.name} does not type {untyped}"


SELF = ("self", "cls")


def code_lines(node: ast.FunctionDef) -> int:
    documented = ast.get_docstring(node) is not None
    body = node.body[1:] if documented else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0
