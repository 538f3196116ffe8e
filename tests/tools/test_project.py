"""The files around the code agree with each other: versions, licences, addresses, commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import types
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from colab import PYTHON as COLAB_PYTHON
from colab import VERSIONS as COLAB
from course import ROOT, read_course, read_toml
from floors import floors, requirements
from hglib.env import GPU_HINT, check_env

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
CONDA_NAMES = {"pytorch": "torch"}
NOT_IN_CONDA = {"onnx", "onnxruntime", "onnxscript"}  # an extra that only one notebook offers
NOT_IN_CONDA |= {"sphinx", "myst-nb", "sphinx-book-theme"}  # the site is built by make and pip
PROJECT = read_toml(ROOT / "pyproject.toml")["project"]
REQUIREMENTS = [one for one in requirements() if one.name != "hglib"]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pins() -> list[Requirement]:
    lines = text("constraints.txt").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def applies(requirement: Requirement, python: str) -> bool:
    environment = {"python_version": python, "python_full_version": f"{python}.9"}
    return requirement.marker is None or requirement.marker.evaluate(environment)


# ---- versions -------------------------------------------------------------------------------


def test_floors_and_no_caps() -> None:
    wrong = [str(one) for one in REQUIREMENTS if [p.operator for p in one.specifier] != [">="]]
    assert not wrong


def test_one_exact_pin_within_the_range_for_every_python() -> None:
    """Of everything that pyproject.toml asks for; nothing is pinned twice for one Python."""
    wrong = []
    for python in PYTHONS:
        chosen = [one for one in pins() if applies(one, python)]
        found = {canonicalize_name(one.name): next(iter(one.specifier)) for one in chosen}
        wrong += [f"{one} is not exact" for one in found.values() if one.operator != "=="]
        if len(found) < len(chosen):
            wrong.append(f"{python}: a package is pinned twice")
        for one in REQUIREMENTS:
            pin = found.get(canonicalize_name(one.name))
            if applies(one, python) and not (pin and one.specifier.contains(pin.version)):
                wrong.append(f"{python}: {one} against {pin}")
    assert not wrong


def needed(names: list[str]) -> set[str]:
    """Names of everything installed that these packages need, themselves included."""
    seen, waiting = set(), [canonicalize_name(name) for name in names]
    while waiting:
        if (name := waiting.pop()) in seen:
            continue
        try:
            wanted = [Requirement(line) for line in metadata.requires(name) or []]
        except metadata.PackageNotFoundError:
            continue
        seen.add(name)
        wanted = [one for one in wanted if not one.marker or one.marker.evaluate({"extra": ""})]
        waiting += [canonicalize_name(one.name) for one in wanted]
    return seen


def test_everything_installed_is_pinned() -> None:
    if os.environ.get("CONSTRAINTS", "constraints.txt") != "constraints.txt":
        pytest.skip("installed with other constraints on purpose")
    installed = needed([one.name for one in REQUIREMENTS])
    torchs_own = {name for name in installed if re.match(r"nvidia-|cuda-|triton", name)}
    pinned = {canonicalize_name(one.name) for one in pins()}
    assert "torch" in installed
    assert sorted(installed - torchs_own - pinned) == []


def test_conda_says_the_same() -> None:
    lines = re.findall(r"(?m)^  - ([a-z-]+)>=(\S+)  # \w.*$", text("environment.yml"))
    stated = {CONDA_NAMES.get(name, name): version for name, version in lines}
    wanted = {one.name: next(iter(one.specifier)).version for one in REQUIREMENTS}
    wanted = {name: version for name, version in wanted.items() if name not in NOT_IN_CONDA}
    python = PROJECT["requires-python"].removeprefix(">=")
    assert stated == wanted | {"python": python}


def test_colab_keeps_its_own_packages() -> None:
    own = [Requirement(line) for line in PROJECT["dependencies"]]
    assert {one.name for one in own} <= set(COLAB)
    for one in requirements():
        if one.name in COLAB:
            assert one.specifier.contains(COLAB[one.name]), f"{one} would replace Colab's"
    assert Version(COLAB_PYTHON) >= Version(PROJECT["requires-python"].removeprefix(">="))


def test_floors_are_the_lowest_versions() -> None:
    lowest = {one.name: str(one.specifier) for one in map(Requirement, floors())}
    assert lowest == {one.name: str(one.specifier).replace(">", "=") for one in REQUIREMENTS}


# ---- citation and address -------------------------------------------------------------------


def test_citation_has_the_same_version() -> None:
    assert f"\nversion: {PROJECT['version']}\n" in text("CITATION.cff")


def test_address_is_written_by_sync_alone() -> None:
    """Outside the generated parts nobody writes the repository's address by hand."""
    address = f"github.com/{read_course().slug}"
    generated = {"CITATION.cff", "pyproject.toml"}
    for path in [*ROOT.glob("*.*"), *ROOT.glob("docs/*.md"), *ROOT.glob("hglib/**/*.py")]:
        if path.is_file() and path.name not in generated:
            own = re.sub(r"(?s)<!-- (\w+):start -->.*?<!-- \1:end -->", "", path.read_text("utf-8"))
            assert address not in own, f"{path.name} holds {address} outside the generated parts"


# ---- commands -------------------------------------------------------------------------------

OF_MAKE = ("MAKE", "MFLAGS", "HGLIB", "CONSTRAINTS")  # what an outer make hands on
needs_make = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


def make(*arguments: str, folder: Path, **environment: str) -> str:
    """Run make with a stand-in for .venv/bin whose programs print what they were told."""
    programs = folder / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name in ("python", "ruff", "jupyter-lab"):
        script = programs / name
        script.write_text(
            '#!/bin/sh\necho "$HGLIB_DATA|$HGLIB_CACHE|$MPLBACKEND|' + name + ' $*"\n'
        )
        script.chmod(0o755)
    (folder / ".installed").touch()
    keep = {k: v for k, v in os.environ.items() if not k.startswith(OF_MAKE)}
    command = ["make", "-s", f"VENV={folder}", *arguments]
    run = subprocess.run(
        command, cwd=ROOT, env=keep | environment, capture_output=True, text=True, check=True
    )
    return run.stdout


@needs_make
@pytest.mark.parametrize("target", ["run", "test"])
def test_run_and_test_are_the_same_everywhere(target: str, tmp_path: Path) -> None:
    """Synthetic faces, a cache under build/, no backend: whatever the shell says."""
    shell = {"HGLIB_DATA": "/mine", "HGLIB_CACHE": "/old", "MPLBACKEND": "TkAgg"}
    lines = make(target, folder=tmp_path, **shell).splitlines()
    pythons = [line for line in lines if "|python " in line]
    assert len(pythons) == 2
    assert all(line.startswith(f"synthetic|{ROOT}/build/cache|") for line in pythons)
    assert not any("TkAgg" in line for line in pythons)


@needs_make
def test_the_command_line_of_make_wins(tmp_path: Path) -> None:
    lines = make("run", "HGLIB_DATA=/mine", folder=tmp_path).splitlines()
    assert len(lines) == 2 and all(line.startswith("/mine|") for line in lines)


@needs_make
def test_lab_leaves_the_choice_of_data_alone(tmp_path: Path) -> None:
    (line,) = make("lab", folder=tmp_path, HGLIB_DATA="/mine").splitlines()
    assert line.startswith("/mine||") and "|jupyter-lab" in line


@needs_make
def test_nbval_sees_no_folder_of_figures(tmp_path: Path) -> None:
    """Notebooks save figures beside their own folder, where the committed ones lie."""
    line = make("nbval", folder=tmp_path).splitlines()[-1]
    notebooks = ROOT / line.split()[-1]
    wanted = sorted(p.name for p in (ROOT / "notebooks").rglob("*.ipynb"))
    assert sorted(p.name for p in notebooks.rglob("*.ipynb")) == wanted
    assert not (notebooks.parent / "figures").exists()


@needs_make
def test_workflow_calls_targets_that_exist() -> None:
    called = set(re.findall(r"\bmake ([a-z ]+\b)", text(".github/workflows/tests.yml")))
    targets = {target for names in called for target in names.split()}
    assert "unit" in targets
    keep = {k: v for k, v in os.environ.items() if not k.startswith(OF_MAKE)}
    command = ["make", "-n", *sorted(targets)]
    run = subprocess.run(command, cwd=ROOT, env=keep, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


# ---- check_env ------------------------------------------------------------------------------


def test_check_env_names_versions(capsys: pytest.CaptureFixture[str]) -> None:
    check_env()
    out = capsys.readouterr().out
    assert f"Python {sys.version.split()[0]}" in out
    for name in ("torch", "numpy", "pandas", "matplotlib"):
        assert f"{name} {metadata.version(name)}" in out


def test_gpu_hint_is_for_colab_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    check_env()
    assert GPU_HINT not in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    check_env()
    assert GPU_HINT in capsys.readouterr().out


def test_check_env_survives_a_missing_package(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hglib.env.PACKAGES", ("no-such-package",))
    check_env()
    assert "no-such-package (not installed)" in capsys.readouterr().out
