"""What everything in this course costs on this machine, beside what the hardware could do at most.

A group is a list of rows; each says what is timed and in which unit it is shown. To measure more,
add a row to a group, or a group to GROUPS. The tasks of a group take turns with the limits of the
hardware in one run, so that each stands beside what the machine could do in those same minutes.
What fails loses its own rows, which say why. Everything runs on the CPU.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from hglib.anatomy import count_flops, flops
from hglib.augment import Augment, augment
from hglib.checkpoint import WEIGHTS, load_model
from hglib.data import EYES, Faces
from hglib.datasets import load, locate
from hglib.datasets.kaggle import LABELS_FILE, TRAINING_FILE
from hglib.datasets.synthetic import draw_faces
from hglib.datasets.synthetic.exact import exact_faces
from hglib.experiments import record as results
from hglib.experiments import timing
from hglib.experiments.record import Record
from hglib.experiments.runner import Jobs, Option, Options, keep_to
from hglib.experiments.timing import NAN, Maker, Task, Times, timed
from hglib.gpu import fit
from hglib.heatmap import render
from hglib.hourglass import Level, build
from hglib.inference import as_input, autocast, choose_precision, fuse_conv_bn, predict
from hglib.losses import total_loss
from hglib.train import TrainConfig, Trainer, step_rng

MEASURES = "what everything costs here, beside the limits of the hardware"
TAKES = "about six minutes on two cores"
DATA = "synthetic"
OPTIONS = {
    "rounds": Option(15, 1, "how often each is timed"),
    "only": Option("", "heat maps", "groups whose name contains this"),
    "faces": Option(7000, 64, "in the tasks of a whole data set; Kaggle's files hold 7049"),
}
SIDES = (256, 512, 1024)  # of square matrices: which is fastest depends on the caches
COPIED = 0.256  # GB: 128 MB read and 128 MB written, more than any cache holds
BATCH, FOUND, DRAWN = 32, 64, 256  # faces per training step, at a time in `predict`, drawn at once
LOADED, ROWS = 2000, 7049  # rows of the synthetic files at most, and of Kaggle's
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
THREADS = {"one thread": 1, "all threads": None}
Count = Callable[[], float]  # billions of operations
Values = Callable[[Times], np.ndarray]  # from the seconds of tasks: (rounds,) in the unit of a row


@dataclass(frozen=True)
class Row:
    """One line of the table: a task that is timed, or a figure made of the times of others."""

    name: str
    unit: str  # a rate such as "faces/s", or what seconds are shown in
    make: Maker | None = None  # prepares the task, whose times others find under the name
    amount: float = 1.0  # of the unit: what one run does if it is a rate, else the length of 1 s
    value: Values | None = None  # made of other tasks; None: of its own
    limit: Values | None = None  # what the hardware could do at most, in the same unit
    goal: str = ""  # such as "<= 1" or ">= 65", in the same unit
    note: str = ""

    def values(self, t: Times) -> np.ndarray:
        """(rounds,) in the unit of the row."""
        if self.value:
            return self.value(t)
        seconds = t[self.name]
        return self.amount / seconds if self.unit.endswith("/s") else self.amount * seconds

    def figures(self, t: Times) -> dict[str, Any]:
        """The line as it is kept, with NaN for what could not run and the reason as its note."""
        low = value = high = limit = NAN
        note = self.note
        try:
            low, value, high = timing.quartiles(self.values(t))
            limit = float(np.median(self.limit(t))) if self.limit else NAN
        except Exception as error:
            note = timing.reason(error)
        found = {"value": value, "unit": self.unit, "low": low, "high": high}
        return {**found, "limit": limit, "goal": self.goal, "note": note}


def product(kind: torch.dtype, threads: int | None) -> Maker:
    """Seconds per billion operations of a square matrix product, the fastest of `SIDES`."""

    def make() -> Task:
        tasks = []
        for side in SIDES:
            a, billions = torch.rand(side, side).to(kind), 2 * side**3 / 1e9
            times = max(1, round(0.5 / billions))
            tasks.append((timed(partial(torch.mm, a, a), times, threads), billions))
        return lambda: min(task() / billions for task, billions in tasks)

    return make


def copying() -> Task:
    """Seconds per GB that is read or written, in a copy of 128 MB."""
    source = torch.zeros(round(COPIED * 1e9 / 8))  # half of it read, half written; 4 bytes each
    target = torch.empty_like(source)
    task = timed(lambda: target.copy_(source))
    return lambda: task() / COPIED


def limits() -> list[Row]:
    """What the hardware can do at most; timed beside every group."""
    note = f"the best of sides {', '.join(map(str, SIDES))}"
    rows = [
        Row(f"matrix product, {kind}, {label}", "GFLOP/s", product(number, threads), note=note)
        for kind, number in PRECISIONS.items()
        for label, threads in THREADS.items()
    ]
    note = f"a copy of {COPIED * 500:.0f} MB, read and written"
    return [*rows, Row("memory", "GB/s", copying, note=note)]


def at_peak(gflop: Count, factor: float = 1.0, threads: str = "all threads") -> Values:
    """The seconds of so many operations at the peak of a matrix product, times a factor."""
    return lambda t: factor * gflop() * t[f"matrix product, {choose_precision()}, {threads}"]


def share(task: str, peak: Values) -> Values:
    """What a task reaches of the peak, in %; `peak` in ms."""
    return lambda t: 100 * peak(t) / (1000 * t[task])


class Parts:
    """A training step of `fit`, and its parts one by one."""

    def __init__(self, faces: Faces) -> None:
        torch.manual_seed(0)
        # More epochs than will be run: the schedule never reaches its end.
        self.trainer = Trainer(build("lean"), faces, None, TrainConfig(epochs=1e6))
        self.index = np.arange(BATCH)
        images, self.points = self.trainer.get_batch(self.index)
        self.images = images.contiguous(memory_format=torch.channels_last)  # (B, 1, H, W)

    def forward(self) -> list[Level]:
        """The network's scores."""
        self.trainer.optimizer.zero_grad(set_to_none=True)
        with autocast(self.trainer.config.precision):
            return self.trainer.network(self.images)

    def loss(self, levels: list[Level]) -> torch.Tensor:
        """The targets, and the distance to them."""
        levels = [level._replace(scores=level.scores.float()) for level in levels]
        size, objective = self.images.shape[-2:], self.trainer.config.objective
        return total_loss(levels, self.points, size, objective)

    def backward(self) -> None:
        """The gradients, with everything that must come before them."""
        self.loss(self.forward()).backward()


STEP = f"a step of {BATCH} faces"
CHANGED, BEST = "indexing, floats, random changes", "limit: its products at the peak"
Before, Timed = Callable[[Parts], Any], Callable[[Parts, Any], object]
PARTS: dict[str, tuple[str, Before, Timed]] = {  # row: note, what is done before, what is timed
    STEP: ("", lambda p: p.index, lambda p, index: p.trainer.step(index)),
    "  of it the batch": (CHANGED, lambda p: p.index, lambda p, i: p.trainer.get_batch(i)),
    "  forward": (BEST, lambda p: None, lambda p, _: p.forward()),
    "  loss": ("targets rendered, distance taken", lambda p: p.forward(), lambda p, x: p.loss(x)),
    "  backward": (BEST, lambda p: p.loss(p.forward()), lambda p, loss: loss.backward()),
    "  Adam": ("", lambda p: p.backward(), lambda p, _: p.trainer.optimizer.step()),
}


@cache
def gflop(part: str = "backward") -> float:
    """Billions of operations of a step: of "forward", or of all up to "backward"."""
    return count_flops(getattr(Parts(exact_faces(BATCH)), part)) / 1e9


def training(faces: Faces, many: int) -> list[Row]:
    """A step of `fit` with our default network, and where its time goes."""
    whole, ahead = at_peak(gflop, 1000), at_peak(partial(gflop, "forward"), 1000)  # ms
    limits = {STEP: whole, "  forward": ahead, "  backward": lambda t: whole(t) - ahead(t)}
    inner = [name for name in PARTS if name != STEP]
    rate, most = Row(STEP, "faces/s", amount=BATCH).values, lambda t: 1000 * BATCH / whole(t)
    return [
        Row("faces per second", "faces/s", value=rate, limit=most),
        Row("operations per face", "GFLOP", value=lambda t: np.array([gflop() / BATCH])),
        Row(f"share of the {choose_precision()} peak", "%", value=share(STEP, whole), goal=">= 65"),
        *(part_of_step(name, faces, limits.get(name)) for name in PARTS),
        Row("  the rest", "ms", value=lambda t: 1000 * (t[STEP] - sum(t[p] for p in inner))),
    ]


def part_of_step(name: str, faces: Faces, limit: Values | None) -> Row:
    """A step, or one of its parts without those before it."""
    note, before, run = PARTS[name]

    def make() -> Task:
        parts = Parts(faces)
        return timing.after(lambda: before(parts), lambda ready: run(parts, ready))

    return Row(name, "ms", make, 1000, limit=limit, note=note)


def finding(faces: Faces, many: int) -> list[Row]:
    """`predict` with the pretrained network, BatchNorms fused, from images to points."""

    def find(count: int, threads: int | None) -> Task:
        model = fuse_conv_bn(load_model(WEIGHTS / "lean.safetensors"), "auto")
        images = faces.images[:count]
        task = timed(lambda: predict(model, images), max(1, 16 // count), threads)
        return lambda: task() / count

    work, note = lambda: flops(build("lean")) / 1e9, "limit: its operations at the peak"
    rows = [Row("operations per face", "GFLOP", value=lambda t: np.array([work()]))]
    for count, label, goal in ((FOUND, f"{FOUND} faces", "<= 1"), (1, "1 face", "<= 3")):
        for threads, number in THREADS.items():
            name, peak = f"{label}, {threads}", at_peak(work, 1000, threads)
            make, wanted = partial(find, count, number), goal if number == 1 else ""
            row = Row(name, "ms", make, 1000, limit=peak, goal=wanted, note=note)
            rows += [row, Row(f"  share of the peak, {name}", "%", value=share(name, peak))]
    return rows


def looped_maps(points: np.ndarray, alpha: float = 0.1) -> np.ndarray:
    """The maps of one face (K, 96, 96) as the original project draws them: cell by cell."""
    maps = np.zeros((len(points), 96, 96))
    for heat_map, point in zip(maps, points, strict=True):
        for x in range(96):
            for y in range(96):
                distance = np.linalg.norm(np.array([x, y]) - point)
                heat_map[y, x] = np.exp(-alpha * distance)
    return maps


KINDS = {"gaussian": {"sigma": 1.5}, "exponential": {"alpha": 0.1}}


def render_all(points: torch.Tensor, kind: str) -> None:
    """Maps at the size of the image for all points (N, K, 2), 64 faces at a time to save memory."""
    for block in points.split(FOUND):
        render(block, **KINDS[kind])  # (64, K, 96, 96)


def maps(faces: Faces, many: int) -> list[Row]:
    """Points to maps, for as many faces as a data set has: the given ones, over and over."""
    pair = faces.points[0]
    points = torch.from_numpy(np.resize(faces.points, (many, *pair.shape)))  # (N, K, 2)
    written = many * 2 * 96 * 96 * 4 / 1e9  # GB
    note = f"{written:.2f} GB; limit: writing them to memory"
    draw = {kind: partial(timed, partial(render_all, points, kind)) for kind in KINDS}
    limit = {"limit": lambda t: written * t["memory"], "goal": "<= 1", "note": note}
    rows = [Row(f"{kind} maps of {many} faces", "s", draw[kind], **limit) for kind in KINDS]
    loop = partial(timed, partial(looped_maps, pair))
    once = "the original's double loop: one face timed, multiplied"
    return [*rows, Row("  cell by cell", "s", loop, many, note=once)]


def images(faces: Faces, many: int) -> list[Row]:
    """Augmented and synthetic faces."""
    given = as_input(faces.images[:BATCH])
    points = torch.from_numpy(faces.points[:BATCH])
    moved, note = 2 * given[0].nbytes / 1e9, "limit: reading and writing each once"

    def change() -> None:
        augment(given, points, Augment(), step_rng(0, 0))

    draw, layers = partial(timed, partial(draw_faces, DRAWN)), "hundreds of layers of NumPy"
    best = Row("memory", "faces/s", amount=1 / moved).values
    return [
        Row("augmented", "faces/s", partial(timed, change, 2), BATCH, limit=best, note=note),
        Row("drawn", "faces/s", draw, DRAWN, note=layers),
    ]


def write_training_csv(folder: Path, faces: Faces) -> Path:
    """The faces of a folder once more, in the form of the competition: images as text."""
    import pandas as pd

    table = pd.read_csv(locate("synthetic", len(faces)) / LABELS_FILE)
    table["Image"] = [" ".join(map(str, face)) for face in faces.images.reshape(len(faces), -1)]
    table.to_csv(folder / TRAINING_FILE, index=False)
    return folder / TRAINING_FILE


def files(faces: Faces, many: int) -> list[Row]:
    """Loading Kaggle's two forms, with all points."""
    count = min(LOADED, many)
    note = f"synthetic faces in Kaggle's form: {count} rows timed, multiplied"

    def read_all(path: Path) -> Faces:
        return load(path, landmarks="all", verbose=False)

    def two_files() -> Task:
        folder = locate("synthetic", count)
        return timed(lambda: read_all(folder))

    def one_table() -> Task:
        other = TemporaryDirectory(prefix="hglib-costs-")
        path = write_training_csv(Path(other.name), read_all(locate("synthetic", count)))
        return timed(lambda: (other, read_all(path)))  # the other folder goes with the task

    forms = {"npz and csv": two_files, "training.csv": one_table}
    name = f"load {ROWS} rows"
    return [Row(f"{name}, {f}", "s", forms[f], ROWS / count, note=note) for f in forms]


def child(*statements: str) -> float:
    """The one number that Python code prints in a process of its own, or a RuntimeError."""
    command = [sys.executable, "-c", "; ".join(statements)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return float(done.stdout)


def process(*statements: str) -> Maker:
    """A maker of the task "run this code and take the number it prints"."""
    return lambda: partial(child, *statements)


NAMES = "hglib.load, hglib.build, hglib.fit, hglib.predict"
PEAK = "from hglib.env import peak_memory; print(peak_memory() / 1e9)"


def imports(faces: Faces, many: int) -> list[Row]:
    """What importing costs beyond torch's own import, in a new process."""
    clock, end = (
        "import torch, time; start = time.perf_counter()",
        "print(time.perf_counter() - start)",
    )
    bare, every = process(clock, "import hglib", end), process(clock, "import hglib", NAMES, end)
    name, note = "and load, build, fit, predict", "as above, every module these need"
    return [
        Row("import hglib", "s", bare, note="after torch, a new process"),
        Row(name, "s", every, goal="<= 0.3", note=note),
    ]


def memory(faces: Faces, many: int) -> list[Row]:
    """Not seconds but GB: the most memory that a process holds."""
    steps = f"from hglib.experiments import costs; costs.train_briefly({many})"
    makers = {
        "imports, torch included": process("import torch, hglib", NAMES, PEAK),
        f"20 steps on {many} faces": process(steps, PEAK),
    }
    note = "peak of a process of its own"
    return [Row(name, "GB", makers[name], goal="<= 2", note=note) for name in makers]


def train_briefly(count: int, steps: int = 20) -> None:
    """A few steps of `fit` on so many images of noise: nothing to learn, but as large as faces."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 96, 96), dtype=np.uint8)
    points = rng.uniform(20, 76, (count, 2, 2)).astype(np.float32)
    faces = Faces(images, points, EYES, np.arange(count), "noise")
    fit(build("lean"), faces, None, TrainConfig(epochs=steps * BATCH / count))


LIMITS = "limits of the hardware"
GROUPS: dict[str, Callable[[Faces, int], list[Row]]] = {  # a few faces, and how many in a data set
    LIMITS: lambda faces, many: [],
    "heat maps": maps,
    **{each.__name__: each for each in (training, finding, images, files, imports, memory)},
}
MOST = {"memory": 3}  # rounds at most, of groups that hardly vary


def jobs(options: Options, record: Record) -> Jobs:
    """One job for each group whose name contains `--only`, and the limits."""
    about = {"device": "cpu", "auto_precision": choose_precision(), "rounds": options.rounds}
    keep_to(record, options.save, None, **about, faces=options.faces)
    names = [name for name in GROUPS if options.only in name or name == LIMITS]
    given = (exact_faces(320), options.faces, options.rounds)
    return {name: partial(measure, name, *given) for name in names}


def measure(group: str, faces: Faces, many: int, rounds: int) -> dict[str, dict[str, Any]]:
    """The rows of a group by name, its tasks timed in turns with the limits."""
    beside, rows = limits(), GROUPS[group](faces, many)
    makers = {row.name: row.make for row in [*beside, *rows] if row.make}
    t = timing.in_turns(makers, min(rounds, MOST.get(group, rounds)))
    return {row.name: row.figures(t) for row in (beside if group == LIMITS else rows)}


def rows(record: Record | None = None) -> list[SimpleNamespace]:
    """The lines of a table, by default of the published one: group, name, and a row's figures."""
    kept = results.rows(record or results.read("costs"))
    plain = ({key: NAN if row[key] is None else row[key] for key in row} for row in kept)
    return [SimpleNamespace(**row) for row in plain]


def short(value: float) -> str:
    """Three digits that matter; nothing for NaN."""
    if value != value:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def show(record: Record) -> None:
    """The table, group by group."""
    lines = []
    for row in rows(record):
        spread = f"{short(row.low)} - {short(row.high)}" if row.low == row.low else ""
        cells = {"value": short(row.value), "": row.unit, "quartiles": spread}
        lines.append({**vars(row), **cells, "limit": short(row.limit)})
    results.print_groups(lines, ("value", "", "quartiles", "limit", "goal", "note"))
