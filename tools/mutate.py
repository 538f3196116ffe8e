"""Break the library in many small ways, one at a time, and see whether its tests notice.

    make mutate MUTATE="--sample 20"           # of each module; the same ones for the same --seed
    python tools/mutate.py --only heatmap      # one module

Each mutant runs only the tests of its own module, in a copy of the repository under build/. Results
are kept in build/mutation.json: a run that was stopped goes on, and edited source is tried anew.
"""

from __future__ import annotations

import argparse
import ast
import copy
import difflib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import accumulate

from course import ROOT

TREE, RESULTS = ROOT / "build" / "mutants", ROOT / "build" / "mutation.json"
SECONDS = 240  # for the tests of one mutant: one that hangs them is noticed
TESTS = {  # module: what tests it, the quickest first
    "heatmap": ["tests/test_heatmap.py"],
    "metrics": ["tests/test_metrics.py"],
    "augment": ["tests/test_augment.py"],
    "losses": ["tests/test_losses.py"],
    "data": ["tests/test_data.py"],
    "datasets/split": ["tests/datasets/test_split.py"],
    "datasets/kaggle": ["tests/datasets/test_kaggle.py", "tests/test_data.py"],
    "inference": ["tests/test_inference.py"],
    "train": ["tests/test_train.py"],
    "checkpoint": ["tests/test_checkpoint.py"],
}
SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.RShift: ast.LShift,
}  # fmt: skip
NAMES = {"all": "any", "any": "all", "min": "max", "max": "min", "floor": "ceil", "ceil": "floor"}


Change = tuple[ast.AST, ast.AST]  # a node, and what takes its place


def changes(node: ast.AST) -> Iterator[Change]:
    """Every small change to one node: an operator, a number, a word, a result, a call left out."""
    field = next((f for f in ("op", "ops") if hasattr(node, f)), "")
    old = getattr(node, field, None)
    first = old[0] if isinstance(old, list) and old else old
    if type(first) in SWAPS:
        new, swapped = copy.deepcopy(node), SWAPS[type(first)]()
        setattr(new, field, [swapped, *old[1:]] if isinstance(old, list) else swapped)
        yield node, new
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield node, node.operand
    if isinstance(node, ast.Constant) and type(node.value) in (bool, int, float):
        wrong = [not node.value] if node.value in (True, False) else []
        wrong += [] if isinstance(node.value, bool) else [node.value + 1, node.value * 10]
        yield from ((node, ast.Constant(value)) for value in wrong if value is not node.value)
    if isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield node, ast.Attribute(node.value, NAMES[node.attr], node.ctx)
    if isinstance(node, ast.Return) and node.value is not None:
        yield node.value, ast.Constant(None)
    called = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    if called or isinstance(node, (ast.Raise, ast.Continue, ast.Break)):
        yield node, ast.Pass()
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        yield node.test, ast.UnaryOp(ast.Not(), node.test)


def every_change(source: str) -> Iterator[Change]:
    """Nothing inside annotations, which do nothing, and f-strings, whose places Python 3.11 and
    older do not know."""
    tree = ast.parse(source)
    skipped: set[int] = set()
    for node in ast.walk(tree):
        parts = [getattr(node, field, None) for field in ("annotation", "returns")]
        parts += node.values if isinstance(node, ast.JoinedStr) else []
        skipped |= {id(inner) for part in parts if part for inner in ast.walk(part)}
    for node in ast.walk(tree):
        if hasattr(node, "lineno") and id(node) not in skipped:
            yield from changes(node)


def mutants(source: str) -> list[tuple[int, str]]:
    """(line, the whole changed source) of every mutant; all other text stays as it is."""
    raw, found = source.encode(), {}
    starts = [0, *accumulate(map(len, raw.splitlines(keepends=True)))]
    for node, new in every_change(source):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        text = ast.unparse(ast.fix_missing_locations(new))
        text = f"({text})" if isinstance(new, ast.expr) else text
        found[(raw[:begin] + text.encode() + raw[end:]).decode()] = node.lineno
    return sorted((line, changed) for changed, line in found.items() if changed != source)


def survives(module: str, changed: str) -> bool:
    """Whether the module's tests pass although it is broken."""
    path = TREE / "hglib" / f"{module}.py"
    whole = path.read_text(encoding="utf-8")
    tests = [test for test in TESTS[module] if (TREE / test).exists()]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    extra = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(TREE)}
    try:
        path.write_text(changed, encoding="utf-8")
        run = subprocess.run(
            command, cwd=TREE, env=os.environ | extra, capture_output=True, timeout=SECONDS
        )
        return run.returncode == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        path.write_text(whole, encoding="utf-8")


def key(changed: str) -> str:
    return hashlib.sha256(changed.encode()).hexdigest()[:16]


def try_module(module: str, sample: int, seed: int, results: dict[str, dict]) -> list[bool]:
    """Try a sample; whether each mutant of today's source that was ever tried survived."""
    source = (ROOT / "hglib" / f"{module}.py").read_text(encoding="utf-8")
    every = mutants(source)
    if not survives(module, source):
        raise SystemExit(f"{module}: its tests fail before anything is broken")
    for line, changed in random.Random(f"{seed} {module}").sample(every, min(sample, len(every))):
        if key(changed) not in results:
            lived = survives(module, changed)
            pair = (source.splitlines(), changed.splitlines())
            diff = [*difflib.unified_diff(*pair, n=0, lineterm="")][3:]
            row = {"module": module, "line": line, "survived": lived, "diff": diff}
            results[key(changed)] = row
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    tried = [results[key(changed)] for _, changed in every if key(changed) in results]
    for row in tried:
        if row["survived"]:
            print(f"survived: hglib/{module}.py:{row['line']}", *row["diff"], sep="\n    ")
    caught = sum(not row["survived"] for row in tried)
    print(f"{module}: {caught} of {len(tried)} noticed ({len(every)} in all)", flush=True)
    return [row["survived"] for row in tried]


def main() -> None:
    options = argparse.ArgumentParser(prog="python tools/mutate.py", description=__doc__)
    options.add_argument("--only", choices=TESTS, action="append", help="one module (all nine)")
    options.add_argument("--sample", type=int, default=10, help="mutants of each module (10)")
    options.add_argument("--seed", type=int, default=0, help="another seed, another sample (0)")
    given = options.parse_args()
    shutil.rmtree(TREE, ignore_errors=True)
    skipped = shutil.ignore_patterns(".*", "build", "runs", "figures", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, TREE, ignore=skipped)
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    lived: list[bool] = []
    for module in given.only or TESTS:
        lived += try_module(module, given.sample, given.seed, results)
    print(f"score: {100 - 100 * sum(lived) / max(1, len(lived)):.1f} % of {len(lived)}")


if __name__ == "__main__":
    main()
