"""Node, the explorer's packages and a browser, where this machine has them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
EXPLORER = ROOT / "explorer"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def node() -> str:
    """The path of Node 20 or newer; the test is skipped where there is none."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("no Node.js: the explorer is not tested")
    version = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
    if int(version.lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"Node.js {version.strip()} is older than 20: the explorer is not tested")
    return found


def browser() -> str:
    """The path of Chromium or Chrome; HGLIB_BROWSER names another."""
    names = [os.environ["HGLIB_BROWSER"]] if os.environ.get("HGLIB_BROWSER") else BROWSERS
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium or Chrome: the page is not tested (HGLIB_BROWSER names one)")
    return found


def build() -> None:
    """Make explorer/dist anew, in a second; its packages come from `make explorer`."""
    if not (EXPLORER / "node_modules" / "playwright-core").exists():
        pytest.skip("explorer/node_modules is missing: `make explorer` fetches it")
    subprocess.run([node(), "build.mjs"], cwd=EXPLORER, check=True, capture_output=True)


def run(script: str, folder: Path, job: dict, timeout: float = 240) -> dict:
    """What a script of explorer/tests saw when it did a job; both are JSON files in `folder`."""
    answers, task = folder / "seen.json", folder / "job.json"
    task.write_text(json.dumps({**job, "seen": str(answers)}), encoding="utf-8")
    command = [node(), EXPLORER / "tests" / script, task]
    done = subprocess.run(command, cwd=EXPLORER, capture_output=True, text=True, timeout=timeout)
    assert not done.returncode, done.stderr[-3000:]
    return json.loads(answers.read_text(encoding="utf-8"))
