"""Runs an experiment row by row: saved after each, shown from the first, interrupted and resumed.

An experiment is a module of this package (see `hglib.experiments`). `--budget tiny` takes seconds:
it proves that an experiment runs, not what it measures.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Event, Thread
from types import ModuleType
from typing import Any, NamedTuple

from hglib.data import Faces
from hglib.datasets import load
from hglib.experiments import EXPERIMENTS
from hglib.experiments.record import Record, read, surroundings
from hglib.train import Fit

RUNS = Path("runs/experiments")  # a reader's own results, never taken for the published ones
Options = argparse.Namespace  # of an experiment: its values by name
Jobs = dict[str, Callable[[], Any]]  # name of the row: measures it


class Option(NamedTuple):
    """An option of an experiment, with its value in each budget."""

    full: Any
    tiny: Any = None  # as in the full budget
    help: str = ""


def find(name: str) -> ModuleType:
    """The experiment of that name."""
    if name not in EXPERIMENTS:
        raise ValueError(f"no experiment is called {name!r}; there are {', '.join(EXPERIMENTS)}")
    return import_module(f"hglib.experiments.{EXPERIMENTS[name]}")


def print_list() -> None:
    """Every experiment: its name, what it measures, how long it takes."""
    for name in EXPERIMENTS:
        module = find(name)
        print(f"{name:16} {module.MEASURES} ({module.TAKES})")


def parser(name: str) -> argparse.ArgumentParser:
    """The options of an experiment: those of all, and a `--setting` for each of its own."""
    module = find(name)
    options = argparse.ArgumentParser(
        prog=f"python -m hglib experiment {name}",
        description=f"{module.MEASURES[0].upper()}{module.MEASURES[1:]}. Takes {module.TAKES}.",
    )
    options.add_argument("--data", help="as for `python -m hglib train`")
    options.add_argument("--seeds", type=int, nargs="+", metavar="N", help="one run for each")
    options.add_argument("--save", type=Path, metavar="FILE", help=f"({RUNS / name}.json)")
    options.add_argument(
        "--budget", default="full", choices=["tiny", "full"], help="tiny: seconds, as a test"
    )
    for key, option in module.OPTIONS.items():
        if key != "seeds":
            many = isinstance(option.full, list)
            first = (*option.full, "")[0] if many else option.full
            shown = " ".join(map(str, option.full)) if many else option.full
            more: dict[str, Any] = {"nargs": "+"} if many else {}
            help_ = f"{option.help} ({shown or 'all'})"
            options.add_argument(f"--{key.replace('_', '-')}", type=type(first), help=help_, **more)
    if hasattr(module, "print_rows"):
        options.add_argument("--list", action="store_true", help="print the rows, and stop")
    return options


def settings(name: str, given: argparse.Namespace) -> argparse.Namespace:
    """The options with the defaults of the budget filled in."""
    module = find(name)
    if given.seeds and "seeds" not in module.OPTIONS:
        raise ValueError("nothing here depends on a seed; leave --seeds away")
    if given.data not in (None, "synthetic") and module.DATA == "synthetic":
        raise ValueError("always measured on synthetic faces; leave --data away")
    for key, option in module.OPTIONS.items():
        short = given.budget == "tiny" and option.tiny is not None
        value = option.tiny if short else option.full
        if getattr(given, key) is None:
            setattr(given, key, value)
        elif isinstance(value, int | float) and not getattr(given, key) > 0:
            raise ValueError(f"--{key} {getattr(given, key)}: expected more than 0")
    tiny = "_tiny" if given.budget == "tiny" else ""
    if tiny and module.DATA != "real":
        given.data = given.data or "synthetic"  # whatever HGLIB_DATA says
    given.save = given.save or RUNS / f"{name}{tiny}.json"
    return given


def faces_for(options: argparse.Namespace, landmarks: str = "eyes") -> Faces:
    """The faces that the options name, synthetic ones as many as the budget says."""
    return load(options.data, landmarks, n_synthetic=options.synthetic_faces)


def real_faces(options: argparse.Namespace, landmarks: str = "eyes") -> Faces:
    """As `faces_for`; raises ValueError where the faces would be synthetic."""
    faces = load(options.data, landmarks, n_synthetic=20, verbose=False)
    if faces.source.startswith("synthetic"):
        raise ValueError("measured on real faces: give --data FOLDER or set HGLIB_DATA")
    print(f"Data: {faces.source}: {len(faces)} faces")
    return faces


def in_words(faces: Faces) -> str:
    """The data as a results file names them, without the reader's own path."""
    real = not faces.source.startswith("synthetic")
    return "Kaggle's files, labels minus 1" if real else faces.source


def open_record(name: str, path: Path, command: str) -> Record:
    """The record in the file, or a new one; ValueError if it is another experiment's."""
    record = read(path) if path.exists() else Record(name)
    if record.experiment != name:
        raise ValueError(f"{path}: results of {record.experiment}; give --save another name")
    record.command = command
    return record


def keep_to(record: Record, path: Path, data: str | None, **about: Any) -> None:
    """Note what the rows are measured on, in a file that holds no rows of anything else."""
    if record.figures:
        now, then = {"data": data, **about}, {"data": record.data, **record.about}
        for key, value in now.items():
            if then.get(key) != value:
                differs = f"rows for {key}={then.get(key)!r}, not {value!r}"
                raise ValueError(f"{path}: holds {differs}; give --save another file")
    record.data, record.about = data, {**record.about, **about}


def measure(record: Record, jobs: Jobs, path: Path) -> None:
    """Run the jobs whose rows are missing, one after the other, saving after each."""
    missing = [name for name in jobs if name not in record.figures]
    if len(missing) < len(jobs):
        print(f"{len(jobs) - len(missing)} of {len(jobs)} rows are in {path} already")
    start = time.perf_counter()
    with noted_ctrl_c() as pressed:
        for number, name in enumerate(missing):
            each = (time.perf_counter() - start) / max(number, 1)
            rest = f", about {each * (len(missing) - number) / 60:.1f} min left" if number else ""
            try:  # around the print too: Ctrl-C may come with the line
                print(f"[{number + 1}/{len(missing)}] {name}{rest} ...", flush=True)
                with heartbeat(name):
                    figures = jobs[name]()
                if pressed:
                    raise KeyboardInterrupt
            except KeyboardInterrupt:
                print(f"\ninterrupted; {number} new rows are in {path}, the same command goes on")
                raise
            record.figures[name] = figures
            for key, value in surroundings().items():
                setattr(record, key, value)
            record.save(path)


@contextmanager
def noted_ctrl_c() -> Iterator[list[int]]:
    """Ctrl-C is noted as well as raised: a KeyboardInterrupt can be lost in a callback."""
    pressed: list[int] = []

    def press(number: int, _: object) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def heartbeat(name: str, every: float = 20.0) -> Iterator[None]:
    """Say every few seconds that something still runs, and for how long it has."""
    stop, start = Event(), time.perf_counter()

    def beat() -> None:
        while not stop.wait(every):
            print(f"    {name}: {time.perf_counter() - start:.0f} s so far", flush=True)

    Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def whole(result: Fit) -> Fit:
    """The result of `fit`, unless Ctrl-C ended it early: half a training is no result."""
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def main(name: str, arguments: Sequence[str]) -> None:
    """Run an experiment with the arguments of its command line."""
    module = find(name)
    given = parser(name).parse_args(arguments)
    if getattr(given, "list", False):
        module.print_rows()
        return
    options = settings(name, given)
    command = " ".join(["python -m hglib experiment", name, *public(arguments)])
    record = open_record(name, options.save, command)
    if hasattr(options, "seeds") and options.seeds:
        record.seeds = sorted({*(record.seeds or []), *options.seeds})
    try:
        measure(record, module.jobs(options, record), options.save)
    except KeyboardInterrupt:
        sys.exit(130)
    module.show(record)
    print(f"kept in {options.save}", file=sys.stderr)


def public(arguments: Sequence[str]) -> list[str]:
    """The arguments as a results file keeps them: a reader's own paths say nothing to others."""
    hidden = {"--data": "FOLDER", "--save": "FILE"}
    before = ["", *arguments]
    return [hidden.get(b, a) for b, a in zip(before, arguments, strict=False)]
