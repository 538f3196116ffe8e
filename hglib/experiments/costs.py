"""`python -m hglib.experiments.costs`: what everything in this course costs on this machine.

One table: training, finding, heat maps, pictures, files, imports, memory. All times are taken in
turns in one run, the limits of the hardware among them, so that each stands beside what the machine
could do at most in those same minutes. Everything runs on the CPU.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hglib.data import Faces
from hglib.experiments import cost_tasks as tasks
from hglib.experiments.cost_tasks import (
    BATCH,
    CELLS,
    COPIED,
    CPU,
    DRAWN,
    FACES,
    LOADED,
    MAPS,
    Maker,
    tried,
)
from hglib.experiments.detectors import FINDERS, Finder, errors
from hglib.experiments.pretrain import FRESH_SEED, drawn
from hglib.experiments.speed import Unavailable, in_turns, make_tasks, save
from hglib.heatmap import SHIFTS
from hglib.inference import choose_precision

RESULTS = Path(__file__).parent / "results" / "costs.json"
ROWS = 7049  # of Kaggle's files
STRANGERS = 100  # drawn faces on which other finders are compared
NAN = float("nan")


@dataclass(frozen=True)
class Cost:
    """One line of the table. Taught in: 08_further_and_faster"""

    group: str
    name: str
    value: float  # the median over the rounds; NaN where it could not run
    unit: str
    low: float = NAN  # lower and upper quartile
    high: float = NAN
    limit: float = NAN  # what the hardware could do at most, in the same unit, from the same run
    goal: str = ""  # such as "<= 1" or ">= 65", in the same unit
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is no goal, or no value.

        >>> Cost("", "", 0.4, "s", goal="<= 1").met, Cost("", "", 0.4, "s", goal=">= 1").met
        (True, False)
        """
        if not self.goal or self.value != self.value:
            return None
        sign, bound = self.goal.split()
        return self.value <= float(bound) if sign == "<=" else self.value >= float(bound)


class Seconds(dict[str, np.ndarray]):
    """The times of every task (rounds,) by its name; a task that could not run is `Unavailable`.

    Taught in: 08_further_and_faster
    """

    def __init__(self, measured: Mapping[str, np.ndarray], missing: Mapping[str, str]) -> None:
        super().__init__(measured)
        self.missing = missing

    def __missing__(self, name: str) -> np.ndarray:
        raise Unavailable(self.missing[name])


Formula = Callable[[Seconds], np.ndarray]  # one value per round


@dataclass(frozen=True)
class Quantity:
    """A line of the table before it is measured. Taught in: 08_further_and_faster"""

    name: str
    unit: str
    of: Formula
    limit: Formula | None = None
    goal: str = ""
    note: str = ""

    def cost(self, group: str, seconds: Seconds) -> Cost:
        """Median and quartiles over the rounds; the reason where it could not run."""
        try:
            low, middle, high = np.percentile(self.of(seconds), [25, 50, 75]).tolist()
            limit = float(np.median(self.limit(seconds))) if self.limit else NAN
        except Unavailable as reason:
            return Cost(group, self.name, NAN, self.unit, goal=self.goal, note=str(reason))
        return Cost(group, self.name, middle, self.unit, low, high, limit, self.goal, self.note)


@dataclass(frozen=True)
class Group:
    """What is timed together, and what follows from it. Taught in: 08_further_and_faster"""

    tasks: Mapping[str, Maker]
    quantities: Sequence[Quantity]
    rounds: int = 1_000_000  # at most; fewer for what takes long and varies little


def scaled(name: str, factor: float) -> Formula:
    """A time, multiplied. Taught in: 08_further_and_faster

    >>> scaled("step", 1000)({"step": 0.05})
    50.0
    """
    return lambda seconds: seconds[name] * factor


def per_second(name: str, count: float) -> Formula:
    """`count` things in a time, as a rate. Taught in: 08_further_and_faster

    >>> per_second("step", 32)({"step": 0.5})
    64.0
    """
    return lambda seconds: count / seconds[name]


def share(name: str, work: float, peak: str) -> Formula:
    """Percent of the peak: `work` (billions of operations) in a time, against the time in which the
    matrix product `peak` does as many. Both are of the same round.

    >>> share("step", 4, "product")({"step": 0.1, "product": 0.01})  # 40 of 100 GFLOP/s
    40.0

    Taught in: 08_further_and_faster
    """
    return lambda seconds: 100 * work * seconds[peak] / seconds[name]


def gigabytes(cells: float) -> float:
    """The memory of so many float32 numbers. Taught in: 08_further_and_faster

    >>> gigabytes(1e9)
    4.0
    """
    return cells * 4 / 1e9


# ---- the groups ---------------------------------------------------------------------------------


def limits() -> Group:
    """The hardware's own limits. Taught in: 08_further_and_faster"""
    sides = ", ".join(map(str, tasks.SIDES))
    rows = [
        Quantity(
            f"matrix product, {kind}, {threads}",
            "GFLOP/s",
            per_second(f"product {kind}, {count}", 1),
            note=f"the best of sides {sides}",
        )
        for kind in ("float32", "bfloat16")
        for threads, count in (("one thread", "one"), ("all threads", "all"))
    ]
    note = f"a copy of {COPIED * 500:.0f} MB, read and written"
    rows.append(Quantity("memory", "GB/s", per_second("copy", 1), note=note))
    return Group(tasks.limit_tasks(), rows)


def training(faces: Faces) -> Group:
    """A step of `fit` with our default network, and its parts. Taught in: 08_further_and_faster"""
    parts, kind = tasks.Parts(faces), choose_precision()
    work = BATCH * parts.operations()  # GFLOP per step, both ways
    peak = f"product {kind}, all"
    rows = [
        Quantity(
            "faces per second",
            "faces/s",
            per_second("step", BATCH),
            limit=lambda t: BATCH / (work * t[peak]),
            note=f"{work / BATCH:.3f} GFLOP a face; limit: these alone, at the {kind} peak",
        ),
        Quantity("reached", "GFLOP/s", per_second("step", work), per_second(peak, 1)),
        Quantity(f"share of the {kind} peak", "%", share("step", work, peak), goal=">= 65"),
    ]
    if kind != "float32":
        in_float32 = share("step", work, "product float32, all")
        rows.append(Quantity("the same as a share of the float32 peak", "%", in_float32))
    forward = BATCH * parts.operations("forward")
    return Group(tasks.training_tasks(faces), [*rows, *step_parts(forward, work, peak)])


def step_parts(forward: float, both: float, peak: str) -> list[Quantity]:
    """Where the time of a step goes; `forward` and `both` ways in GFLOP per step.

    Taught in: 08_further_and_faster
    """
    named = {
        "batch": ("  of it the batch", None, "indexing, floats, random changes"),
        "forward": ("  forward", forward, "limit: its products at the peak"),
        "loss": ("  loss", None, "targets rendered, distance taken"),
        "backward": ("  backward", both - forward, "limit: its products at the peak"),
        "update": ("  Adam", None, ""),
    }

    def at_the_peak(work: float | None) -> Formula | None:
        return None if work is None else lambda t: 1000 * work * t[peak]

    rows = [
        Quantity(label, "ms", scaled(name, 1000), at_the_peak(work), note=note)
        for name, (label, work, note) in named.items()
    ]
    whole = Quantity("a step of 32 faces", "ms", scaled("step", 1000), at_the_peak(both))
    rest = Quantity(
        "  the rest", "ms", lambda t: 1000 * (t["step"] - sum(t[name] for name in named))
    )
    return [whole, *rows, rest]


def finding(faces: Faces) -> Group:
    """`predict` with the shipped network, decoding included. Taught in: 08_further_and_faster"""
    work, kind = tasks.finding_operations(), choose_precision()
    rows = []
    for batch, label in (("batch", "64 faces"), ("alone", "1 face")):
        for count, threads in (("one", "one thread"), ("all", "all threads")):
            name, peak = f"{batch}, {count}", f"product {kind}, {count}"
            goal = {"batch, one": "<= 1", "alone, one": "<= 3"}.get(name, "")
            at_best = partial(lambda t, peak: 1000 * work * t[peak], peak=peak)
            note = f"{1000 * work:.0f} MFLOP; limit: these alone, at the {kind} peak"
            rows.append(
                Quantity(f"{label}, {threads}", "ms", scaled(name, 1000), at_best, goal, note)
            )
            part = Quantity(
                f"  share of the peak, {label}, {threads}", "%", share(name, work, peak)
            )
            rows.append(part)
    note = "with the mirrored picture too; the network is read once"
    rows.append(Quantity("find_eyes, one face", "ms", scaled("find_eyes", 1000), note=note))
    return Group(tasks.finding_tasks(faces), rows)


def maps(faces: Faces) -> Group:
    """Points to maps and back. Taught in: 02_heatmaps, 08_further_and_faster"""
    written, read = gigabytes(FACES * 2 * CELLS), gigabytes(MAPS * 48 * 48)
    note = f"{written:.2f} GB; limit: writing them to memory"
    rows = [
        Quantity(
            f"{kind} maps of {FACES} faces",
            "s",
            scaled(f"render {kind}", 1),
            limit=scaled("copy", written),
            goal="<= 1",
            note=note,
        )
        for kind in ("gaussian", "exponential")
    ]
    once = "the original's double loop: one face timed, multiplied"
    rows.append(Quantity("  cell by cell", "s", scaled("loop", FACES), note=once))
    times = Quantity(
        "  times as fast as cell by cell", "", lambda t: FACES * t["loop"] / t["render exponential"]
    )
    decoders = [
        Quantity(
            f"decode {MAPS} maps, {method}",
            "ms",
            scaled(f"decode {method}", 1000),
            limit=scaled("copy", 1000 * read),
            note="48x48; limit: reading them from memory",
        )
        for method in SHIFTS
    ]
    return Group(tasks.map_tasks(faces), [*rows, times, *decoders])


def pictures(faces: Faces) -> Group:
    """Changed and drawn faces. Taught in: 08_further_and_faster"""
    each = gigabytes(2 * CELLS)  # read once, written once
    rows = [
        Quantity(
            "augmented",
            "faces/s",
            per_second("augment", BATCH),
            limit=lambda t: 1 / (each * t["copy"]),
            note="limit: reading and writing each once",
        ),
        Quantity("drawn", "faces/s", per_second("draw", DRAWN), note="hundreds of layers of NumPy"),
    ]
    return Group(tasks.picture_tasks(faces), rows)


def files() -> Group:
    """Loading Kaggle's two forms. Taught in: 08_further_and_faster"""
    note = f"drawn faces in Kaggle's form: {LOADED} rows timed, multiplied"
    rows = [
        Quantity(f"load {ROWS} rows, {form}", "s", scaled(form, ROWS / LOADED), note=note)
        for form in ("npz and csv", "training.csv")
    ]
    return Group(tasks.loading_tasks(), rows)


def imports() -> Group:
    """What importing costs beyond torch's own import. Taught in: 08_further_and_faster"""
    rows = [
        Quantity("import hglib", "s", scaled("import hglib", 1), note="after torch, a new process"),
        Quantity(
            "and load, build, fit, predict",
            "s",
            scaled("import all", 1),
            goal="<= 0.3",
            note="as above, every module these need",
        ),
    ]
    return Group(tasks.import_tasks(), rows)


def memory() -> Group:
    """The most memory that a process holds. Taught in: 08_further_and_faster"""
    names = {
        "importing": "imports, torch included",
        "training": f"20 steps on {FACES} faces",
        "rendering": f"maps of {FACES} faces",
    }
    rows = [
        Quantity(label, "GB", scaled(name, 1), goal="<= 2", note="peak of a process of its own")
        for name, label in names.items()
    ]
    return Group(tasks.memory_tasks(), rows, rounds=3)


def others() -> Group:
    """Other finders, where they are installed, on the same drawn faces.

    Their networks were made for photographs, ours for drawn faces: see notebook 05 for real ones.
    Taught in: 08_further_and_faster
    """
    faces, makers, rows = drawn(STRANGERS, FRESH_SEED), {}, []
    for name, make in FINDERS.items():
        makers[name] = partial(finder_task, make, faces)
        rows.append(Quantity(name, "ms", scaled(name, 1000), note="one face at a time"))
        rows += accuracy(name, make, faces)
    return Group(makers, rows)


def finder_task(make: Callable[[], Finder], faces: Faces) -> tasks.Task:
    """Seconds per face of one finder. Taught in: 08_further_and_faster"""
    find, few = make(), faces.images[:10]
    task = tasks.timed(lambda: [find(face) for face in few], tasks.ALL, CPU, times=1)
    return lambda: task() / len(few)


def accuracy(name: str, make: Callable[[], Finder], faces: Faces) -> list[Quantity]:
    """The error of one finder on drawn faces; no row where it is not installed.

    Taught in: 08_further_and_faster
    """
    try:
        off = tried(lambda: errors(make(), faces.images, faces.points))()
    except Unavailable:
        return []
    found = off[np.isfinite(off)]
    note = f"found both eyes in {len(found)} of {len(off)} drawn faces; quartiles over these"
    px = found if len(found) else np.array([NAN])
    return [Quantity(f"  error of {name}", "px", lambda t: px, note=note)]


def groups(faces: Faces) -> dict[str, Callable[[], Group]]:
    """Everything in the table, by the name of its group. Taught in: 08_further_and_faster"""
    return {
        "limits of the hardware": limits,
        "training": partial(training, faces),
        "finding": partial(finding, faces),
        "heat maps": partial(maps, faces),
        "pictures": partial(pictures, faces),
        "files": files,
        "imports": imports,
        "memory": memory,
        "other finders, on drawn faces": others,
    }


# ---- the table ----------------------------------------------------------------------------------


def make_groups(
    makers: Mapping[str, Callable[[], Group]], only: str
) -> tuple[dict[str, Group], list[Cost]]:
    """The groups whose name contains `only`, and the limits; a line for each that cannot be made.

    Taught in: 08_further_and_faster
    """
    made, failed = {}, []
    for number, (name, make) in enumerate(makers.items()):
        if number and only not in name:  # the limits come first, and are always needed
            continue
        try:
            made[name] = tried(make)()
        except Unavailable as reason:
            failed.append(Cost(name, "all of it", NAN, "", note=str(reason)))
    return made, failed


def measure(made: Mapping[str, Group], rounds: int) -> list[Cost]:
    """Time every task of every group in turns; the lines of the table.

    Groups with fewer rounds of their own are timed by themselves. Taught in: 08_further_and_faster
    """
    measured: dict[str, np.ndarray] = {}
    missing: dict[str, str] = {}
    for most in sorted({group.rounds for group in made.values()}, reverse=True):
        together = [group for group in made.values() if group.rounds == most]
        makers = {n: tried(make) for group in together for n, make in group.tasks.items()}
        ready, absent = make_tasks(makers)
        seconds = in_turns(ready, min(rounds, most))  # (rounds, tasks)
        measured |= {name: seconds[:, i] for i, name in enumerate(ready)}
        missing |= absent
    times = Seconds(measured, missing)
    return [one.cost(name, times) for name, group in made.items() for one in group.quantities]


def short(value: float) -> str:
    """Three digits that matter; nothing for NaN.

    >>> short(7049.2), short(0.57312), short(float("nan"))
    ('7,049', '0.573', '')

    Taught in: 08_further_and_faster
    """
    if value != value:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def print_costs(costs: Sequence[Cost]) -> None:
    """The table, group by group. Taught in: 08_further_and_faster"""
    group = None
    for cost in costs:
        if cost.group != group:
            group = cost.group
            print(f"{group:44}{'value':>9} {'':8}{'quartiles':>17}{'limit':>9}   goal")
        start = f"  {cost.name:42}{short(cost.value):>9} {cost.unit:8}"
        if cost.value != cost.value:
            print(f"{start}{cost.note}")
            continue
        spread = f"{short(cost.low)} - {short(cost.high)}"
        met = {True: "met", False: "missed", None: ""}[cost.met]
        end = f"{cost.goal:8}{met:7}{cost.note}"
        print(f"{start}{spread:>17}{short(cost.limit):>9}   {end}".rstrip())


def read(path: Path = RESULTS) -> Iterator[Cost]:
    """The lines of a table that `--save` wrote. Taught in: 08_further_and_faster"""
    for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        yield Cost(**{key: NAN if value is None else value for key, value in row.items()})


def parser() -> argparse.ArgumentParser:
    """The options. Taught in: 08_further_and_faster"""
    options = argparse.ArgumentParser(prog="python -m hglib.experiments.costs", description=__doc__)
    options.add_argument("--rounds", type=int, default=15, help="how often each is timed (15)")
    options.add_argument("--only", default="", help="groups whose name contains this, and limits")
    options.add_argument("--save", type=Path, help="also write the table to this JSON file")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status."""
    options = parser().parse_args(arguments)
    if options.rounds < 1:
        raise SystemExit(f"--rounds {options.rounds}: expected 1 or more")
    made, failed = make_groups(groups(drawn(320)), options.only)
    costs = measure(made, options.rounds) + failed
    print_costs(costs)
    if options.save:
        save(options.save, costs, CPU, options.rounds, "python -m hglib.experiments.costs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
