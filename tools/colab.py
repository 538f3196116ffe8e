"""Play Colab: run the notebooks from a wheel, each alone in an empty folder.

    make colab                 # all notebooks; or: python tools/colab.py --only 00

Two promises are checked. `resolve`: pip, asked for our requirements with Colab's own versions
pinned, changes none of them. `play`: a kernel that has a module `google.colab` and no hglib runs
every notebook; its set-up cell must install hglib, from a wheel of this checkout, with `--no-deps`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

from course import ROOT
from notebooks import notebook_paths

PYTHON = "3.13"  # Colab has 3.13.15
VERSIONS = {  # what Colab has installed; our floors must not ask for more, or it would be replaced
    "torch": "2.11.0",
    "numpy": "2.1.3",
    "pandas": "2.2.3",
    "matplotlib": "3.10.0",
    "pillow": "11.3.0",
    "safetensors": "0.8.0",
    "ipython": "7.34.0",
    "ipykernel": "6.17.1",
    "ipywidgets": "7.7.1",
    "kagglehub": "1.0.2",
}
PLATFORMS = ["manylinux2014_x86_64", *(f"manylinux_2_{n}_x86_64" for n in range(17, 36))]
# In the kernel: Colab's module exists, and `pip install` accepts just what the set-up cell may ask.
STAND_IN = """
import importlib.machinery, sys, types
for name in ("google", "google.colab", "google.colab.output"):
    module = sys.modules.setdefault(name, types.ModuleType(name))
    module.__spec__ = module.__spec__ or importlib.machinery.ModuleSpec(name, None)
    module.__path__ = []
sys.modules["google.colab.output"].eval_js = lambda code: ""  # a browser without a camera
"""
PIP = """
import sys, zipfile
options, (address,) = sys.argv[1:-1], sys.argv[-1:]
assert options == ["install", "-q", "--no-deps"], options
assert address.startswith("git+https://github.com/"), address
zipfile.ZipFile({wheel!r}).extractall({packages!r})
"""


def pins() -> str:
    """Colab's versions as a constraints file."""
    return "".join(f"{name}=={version}\n" for name, version in VERSIONS.items())


def build_wheel(folder: Path) -> Path:
    """A wheel of this checkout, built from a copy, so that nothing is left behind in it."""
    skipped = shutil.ignore_patterns(".*", "build", "runs", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder / "copy", ignore=skipped)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder)]
    subprocess.run([*command, str(folder / "copy")], check=True)
    (wheel,) = folder.glob("hglib-*.whl")
    return wheel


def resolve(wheel: Path, folder: Path) -> None:
    """Ask pip what it would install for Colab's Python with Colab's versions held still."""
    held = folder / "colab.txt"
    held.write_text(pins(), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--only-binary=:all:"]
    command += [f"--platform={platform}" for platform in PLATFORMS]
    command += ["--python-version", PYTHON, "--target", str(folder / "nowhere")]
    command += ["-c", str(held), str(wheel)]
    subprocess.run(command, check=True)
    print(f"pip keeps Colab's versions: {', '.join(VERSIONS)}")


def kernel_without_hglib(folder: Path, wheel: Path) -> Path:
    """A Python like this one, with its packages but without hglib, that believes it is Colab."""
    venv.create(folder / "colab", with_pip=False)
    python = folder / "colab" / "bin" / "python"
    find = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.check_output([python, "-c", find], text=True).strip())
    # Folders named in a .pth file are searched, but the links in them (to this checkout) are not.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (packages / "sitecustomize.py").write_text(STAND_IN)
    (packages / "pip").mkdir()
    (packages / "pip" / "__init__.py").touch()
    text = PIP.format(wheel=str(wheel), packages=str(packages))
    (packages / "pip" / "__main__.py").write_text(text)
    return python


def play(python: Path, wheel: Path, notebook: Path) -> float:
    """Run one notebook alone in an empty folder; returns its seconds."""
    for old in [*python.parent.parent.glob("lib/*/site-packages/hglib*")]:
        shutil.rmtree(old)
    with tempfile.TemporaryDirectory() as empty:
        copy = shutil.copy(notebook, empty)
        command = [python, "-c", "from nbclient.cli import main; main()", "--timeout=900", copy]
        begin = time.perf_counter()
        environment = os.environ | {"HGLIB_DATA": "synthetic", "JUPYTER_PLATFORM_DIRS": "1"}
        subprocess.run(command, check=True, cwd=empty, env=environment)
        return time.perf_counter() - begin


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, resolve, run; the exit status."""
    options = argparse.ArgumentParser(prog="python tools/colab.py", description=__doc__)
    options.add_argument("--only", default="", help="notebooks whose name starts with this")
    options.add_argument("--offline", action="store_true", help="do not ask pip to resolve")
    options.add_argument("--pins", action="store_true", help="print Colab's versions and stop")
    given = options.parse_args(arguments)
    if given.pins:
        print(pins(), end="")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build_wheel(folder)
        if not given.offline:
            resolve(wheel, folder)
        python = kernel_without_hglib(folder, wheel)
        for notebook in notebook_paths(ROOT, given.only):
            print(f"{notebook.name:32}{play(python, wheel, notebook):7.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
