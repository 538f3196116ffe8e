"""The synthetic faces of `load`, drawn once and kept: the one module that knows where.

A cached set is named after a digest of what draws it, so that a changed generator can never be
served an older set. The digest is taken of the generator's source files (0.4 ms), not of probe
faces drawn at every load (13 ms for one face, 76 ms for 16): a few faces do not wear every hat and
show nothing of the flaws planted in the files, while the sources hold all of it. The price is that
a changed comment draws the set again, some seconds once. numpy's version is part of the digest,
because it may change its streams of random numbers.

Beside the files of a set lies `manifest.json` with their SHA-256; a set is only read after they
were compared (16 ms for 2000 faces).
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path

import numpy as np

from hglib.data import LANDMARKS

MANIFEST = "manifest.json"
UNFINISHED = "unfinished-"  # how the name of a folder that is being drawn begins
OLD = 24 * 3600.0  # seconds after which nobody can still be drawing
MOST_FACES = 50_000  # a set is drawn in memory: 1.5 GB
REMEDY = "set HGLIB_CACHE to a folder of yours"


def synthetic_folder(count: int, seed: int, progress: bool = False) -> Path:
    """The folder with `count` synthetic faces of `seed` in Kaggle's files, drawn where needed.

    A damaged set is drawn again. Where the cache cannot be written, the set is drawn into a
    temporary folder, which is removed when Python ends. Both are said in one line on stderr.

    Raises:
        ValueError: for a count or seed out of range.
        OSError: where not even a temporary folder can be written.
    """
    for name, value, low, high in (
        ("n_synthetic", count, 1, MOST_FACES),
        ("seed", seed, 0, 2**63 - 1),
    ):
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or not low <= value <= high:
            raise ValueError(f"{name}={value!r}: expected a whole number from {low} to {high}")
    name = f"synthetic-{generator_digest()}-n{count}-seed{seed}"
    try:
        return _drawn_in(cache_folder(), name, count, seed, progress)
    except OSError as error:
        _say(f"the cache cannot be used ({error}): using a temporary folder; to keep it, {REMEDY}")
    try:
        return _drawn_in(_temporary_folder(), name, count, seed, progress)
    except OSError as error:
        raise OSError(f"the synthetic faces cannot be written ({error}); {REMEDY}") from error


def cache_folder() -> Path:
    """The folder that HGLIB_CACHE names, or ~/.cache/hglib; it need not exist.

    Raises:
        OSError: where there is no home folder.
    """
    given = os.environ.get("HGLIB_CACHE")
    if not given and os.environ.get("HOME") == "":  # expanduser would answer the root folder
        raise OSError("no home folder: HOME is empty")
    try:
        return Path(given or "~/.cache/hglib").expanduser()
    except RuntimeError as error:
        raise OSError(f"no home folder: {error}") from error


@lru_cache
def generator_digest() -> str:
    """What draws the synthetic faces, in 12 hexadecimal digits: its sources, landmarks, numpy."""
    digest = hashlib.sha256(f"{LANDMARKS} numpy {np.__version__}".encode())
    for path in sorted((Path(__file__).parent / "synthetic").glob("*.py*")):
        source = path.read_bytes().replace(b"\r\n", b"\n")  # a checkout on Windows is the same
        digest.update(f"{path.name} {len(source)} ".encode() + source)
    return digest.hexdigest()[:12]


def _drawn_in(cache: Path, name: str, count: int, seed: int, progress: bool) -> Path:
    folder = cache / name
    damage = find_damage(folder)
    if damage is None:
        return folder
    if damage:
        _say(f"{folder}: {damage}: drawn again")
    from hglib.datasets.synthetic import write_kaggle_files

    cache.mkdir(parents=True, exist_ok=True)
    _remove_old(cache)
    # Not mkdtemp, whose folders only their owner can read: others may share the cache.
    unfinished = cache / f"{UNFINISHED}{secrets.token_hex(8)}"
    unfinished.mkdir()
    try:
        write_kaggle_files(unfinished, count, seed, progress=progress)
        sums = {path.name: _sha256(path) for path in sorted(unfinished.iterdir())}
        (unfinished / MANIFEST).write_text(json.dumps(sums, indent=1), encoding="utf-8")
        _publish(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def find_damage(folder: Path) -> str | None:
    """What is wrong with a cached set, in words; "" where there is none, None where all is well."""
    if not folder.exists() and not folder.is_symlink():
        return ""
    try:
        sums = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        wrong = [name for name, wanted in sums.items() if _sha256(folder / name) != wanted]
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        return f"damaged or only half written ({type(error).__name__})"
    return f"{wrong[0]} is damaged" if wrong else None if sums else "nothing in it"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _publish(unfinished: Path, folder: Path) -> None:
    """Give the finished folder its name in one step, in place of a damaged one."""
    for attempt in range(5):
        try:
            unfinished.rename(folder)
            return
        except OSError:
            damage = find_damage(folder)
            if damage is None:  # another process was first, with the same files
                return
            if attempt == 4 or not damage:
                raise
        aside = folder.with_name(f"{UNFINISHED}{secrets.token_hex(8)}")
        folder.rename(aside)
        if aside.is_dir() and not aside.is_symlink():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink()


def _remove_old(cache: Path) -> None:
    """Remove what a killed process left behind."""
    for path in cache.glob(f"{UNFINISHED}*"):
        try:
            if time.time() - path.stat().st_mtime > OLD:
                shutil.rmtree(path, ignore_errors=True)
        except OSError:  # another process removed it
            continue


@lru_cache
def _temporary_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="hglib-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _say(line: str) -> None:
    """On stderr: stdout may hold a command's JSON."""
    print(f"Synthetic faces: {line}", file=sys.stderr)
