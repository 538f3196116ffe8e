"""Runs an experiment row by row: saved after each, shown from the first, interrupted and resumed.

An experiment is a module of this package (see `hglib.experiments`). `--budget tiny` takes seconds:
it proves that an experiment runs, not what it measures. What those that train share stands below.
"""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Event, Thread
from types import ModuleType
from typing import Any, NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import nn

from hglib.data import Faces
from hglib.experiments import EXPERIMENTS
from hglib.experiments.record import Record, print_table, read, surroundings
from hglib.gpu import fit
from hglib.metrics import evaluate
from hglib.train import Fit, TrainConfig

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


def run(name: str, options: Options, command: str) -> Record:
    """Measure the rows that are missing in the file `options.save`, which the record is kept in."""
    module = find(name)
    fill_in(name, module, options)
    record = read(options.save) if options.save.exists() else Record(name)
    if record.experiment != name:
        raise ValueError(
            f"{options.save}: results of {record.experiment}; give --save another name"
        )
    record.command = command
    if options.seeds:
        record.seeds = sorted({*(record.seeds or []), *options.seeds})
    measure(record, module.jobs(options, record), options.save)
    return record


def fill_in(name: str, module: ModuleType, options: Options) -> None:
    """Check the options that are given, and set the others as the budget says."""
    if options.seeds and "seeds" not in module.OPTIONS:
        raise ValueError("nothing here depends on a seed; leave --seeds away")
    if options.data not in (None, "synthetic") and module.DATA == "synthetic":
        raise ValueError("always measured on synthetic faces; leave --data away")
    tiny = options.budget == "tiny"
    for key, option in module.OPTIONS.items():
        value = option.tiny if tiny and option.tiny is not None else option.full
        if getattr(options, key) is None:
            setattr(options, key, value)
        elif isinstance(value, int | float) and not getattr(options, key) > 0:
            raise ValueError(f"--{key} {getattr(options, key)}: expected more than 0")
    if tiny and module.DATA != "real":
        options.data = options.data or "synthetic"  # whatever HGLIB_DATA says
    options.save = options.save or RUNS / f"{name}{'_tiny' * tiny}.json"


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


def show(record: Record) -> None:
    """One line for each row, of the figures that are one number."""
    several = (list, dict)
    rows = {
        name: {key: value for key, value in row.items() if not isinstance(value, several)}
        for name, row in record.figures.items()
    }
    print_table(rows, head=record.experiment)


# ---- what experiments that train share -------------------------------------------------------

FIGURES = ("mean_px", "median_px", "e05", "e10", "e25")  # of every network that is measured


def in_words(faces: Faces) -> str:
    """The data as a results file names them, without the reader's own path."""
    real = not faces.source.startswith("synthetic")
    return "Kaggle's files, labels minus 1" if real else faces.source


def trained(
    make: Callable[[], nn.Module],
    train: Faces,
    config: TrainConfig,
    validation: Faces | None = None,
    **others: Any,
) -> tuple[nn.Module, Fit]:
    """A network made and trained with the seed of `config`, and what `fit` says of it.

    Raises KeyboardInterrupt where Ctrl-C ended it early: half a training is no result.
    """
    torch.manual_seed(config.seed)
    model = make()
    result = fit(model, train, validation, config, **others)
    if result.interrupted:
        raise KeyboardInterrupt
    return model, result


def errors(found: ArrayLike, true: ArrayLike) -> dict[str, float]:
    """FIGURES of points (N, K, 2) that a network found, to four digits after the point."""
    report = evaluate(found, true).row()
    return {name: round(report[name], 4) for name in FIGURES}
