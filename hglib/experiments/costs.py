"""What everything in this course costs on this machine, beside what the hardware could do at most.

The tasks of a group are timed in turns in one run, the limits of the hardware among them, so that
each stands beside what the machine could do in those same minutes. Everything runs on the CPU.

Each group is a function that gives makers of tasks to a stop watch and returns the rows.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
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
from hglib.experiments.record import Record, print_table, read
from hglib.experiments.runner import Jobs, Option, keep_to
from hglib.experiments.timing import Maker, Task, after, in_turns, make_tasks, timed
from hglib.heatmap import render
from hglib.hourglass import Level, build
from hglib.inference import as_input, autocast, choose_precision, fuse_conv_bn, predict
from hglib.losses import total_loss
from hglib.train import TrainConfig, Trainer, fit, step_rng

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
BATCH, FOUND, DRAWN = 32, 64, 64  # faces per training step, at a time in `predict`, drawn at once
LOADED, ROWS = 2000, 7049  # rows of the synthetic files at most, and of Kaggle's
NAN = float("nan")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
THREADS = {"one thread": 1, "all threads": None}
GOALS = {  # beginning of a row's name: the goal, in the row's unit
    "share of the": ">= 65",
    "64 faces, one thread": "<= 1",
    "1 face, one thread": "<= 3",
    "exponential maps": "<= 1",
    "gaussian maps": "<= 1",
    "and load, build": "<= 0.3",
    "imports, torch included": "<= 2",
    "20 steps": "<= 2",
}


@dataclass(frozen=True)
class Cost:
    """One line of the table."""

    group: str
    name: str
    value: float  # the median over the rounds; NaN where it could not run
    unit: str
    low: float = NAN  # lower and upper quartile
    high: float = NAN
    limit: float = NAN  # what the hardware could do at most, in the same unit, from the same run
    goal: str = ""  # such as "<= 1" or ">= 65", in the same unit
    note: str = ""


class Times(dict[str, np.ndarray]):
    """The seconds of every task (rounds,) by its name, NaN where a task could not run."""

    def __init__(self, tasks: Iterable[str], seconds: np.ndarray, missing: dict[str, str]) -> None:
        super().__init__(dict(zip(tasks, seconds.T, strict=True)))
        self.missing = missing
        self.update({name: np.full(len(seconds), NAN) for name in missing})

    def cost(
        self, name: str, unit: str, values: np.ndarray, limit: Any = NAN, note: str = ""
    ) -> Cost:
        """Median and quartiles of values (rounds,); the reason where they are not known."""
        goal = next((GOALS[start] for start in GOALS if name.startswith(start)), "")
        if np.isnan(values).any():
            reason = self.missing.get(name) or next(iter(self.missing.values()), note)
            return Cost("", name, NAN, unit, goal=goal, note=reason)
        low, middle, high = np.percentile(values, [25, 50, 75]).tolist()
        return Cost("", name, middle, unit, low, high, float(np.median(limit)), goal, note)


@dataclass(frozen=True)
class Sizes:
    """What the groups work on."""

    faces: Faces  # a few hundred synthetic ones
    many: int  # faces in the tasks of a whole data set


Watch = Callable[..., Times]  # times the tasks of some makers in turns with the limits


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


def limit_tasks() -> dict[str, Maker]:
    """What the hardware can do at most; timed beside every group."""
    products = {
        f"product {kind}, {threads}": product(PRECISIONS[kind], THREADS[threads])
        for kind in PRECISIONS
        for threads in THREADS
    }
    return {**products, "copy": copying}


def limits(sizes: Sizes, watch: Watch) -> list[Cost]:
    """The hardware's own limits."""
    t, note = watch({}), f"the best of sides {', '.join(map(str, SIDES))}"
    names = (f"{kind}, {threads}" for kind in PRECISIONS for threads in THREADS)
    found = [
        t.cost(f"matrix product, {name}", "GFLOP/s", 1 / t[f"product {name}"], note=note)
        for name in names
    ]
    note = f"a copy of {COPIED * 500:.0f} MB, read and written"
    return [*found, t.cost("memory", "GB/s", 1 / t["copy"], note=note)]


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

    def operations(self, part: str = "backward") -> float:
        """Billions of operations per face: of "forward", or of all up to "backward"."""
        return count_flops(getattr(self, part)) / BATCH / 1e9


def step_tasks(faces: Faces) -> dict[str, Maker]:
    """A step of `fit`, and each of its parts without those before it."""

    def part(prepare: Callable[[Parts], Any], run: Callable[[Parts, Any], object]) -> Maker:
        parts = Parts(faces)
        return lambda: after(lambda: prepare(parts), lambda ready: run(parts, ready))

    return {
        "step": part(lambda p: p.index, lambda p, index: p.trainer.step(index)),
        "batch": part(lambda p: p.index, lambda p, index: p.trainer.get_batch(index)),
        "forward": part(lambda p: None, lambda p, _: p.forward()),
        "loss": part(lambda p: p.forward(), lambda p, levels: p.loss(levels)),
        "backward": part(lambda p: p.loss(p.forward()), lambda p, loss: loss.backward()),
        "Adam": part(lambda p: p.backward(), lambda p, _: p.trainer.optimizer.step()),
    }


def training(sizes: Sizes, watch: Watch) -> list[Cost]:
    """A step of `fit` with our default network, and its parts one by one."""
    parts, kind, t = Parts(sizes.faces), choose_precision(), watch(step_tasks(sizes.faces))
    work, forward = (BATCH * parts.operations(part) for part in ("backward", "forward"))
    peak, step = t[f"product {kind}, all threads"], t["step"]  # seconds per GFLOP, per step
    note = f"{work / BATCH:.3f} GFLOP a face; limit: these alone, at the {kind} peak"
    found = [
        t.cost("faces per second", "faces/s", BATCH / step, BATCH / (work * peak), note),
        t.cost(f"share of the {kind} peak", "%", 100 * work * peak / step),
    ]
    return [*found, *step_parts(t, forward, work, peak)]


def step_parts(t: Times, forward: float, both: float, peak: np.ndarray) -> list[Cost]:
    """Where the time of a step goes; `forward` and `both` ways in GFLOP per step."""
    best = "limit: its products at the peak"
    named = {  # task: its row, GFLOP, note
        "batch": ("  of it the batch", NAN, "indexing, floats, random changes"),
        "forward": ("  forward", forward, best),
        "loss": ("  loss", NAN, "targets rendered, distance taken"),
        "backward": ("  backward", both - forward, best),
        "Adam": ("  Adam", NAN, ""),
    }
    found = [t.cost("a step of 32 faces", "ms", 1000 * t["step"], 1000 * both * peak)]
    for task, (name, work, note) in named.items():
        found.append(t.cost(name, "ms", 1000 * t[task], 1000 * work * peak, note))
    rest = t["step"] - sum(t[task] for task in named)
    return [*found, t.cost("  the rest", "ms", 1000 * rest)]


def finding(sizes: Sizes, watch: Watch) -> list[Cost]:
    """`predict` with the pretrained network, BatchNorms fused, from images to points."""

    def find(count: int, threads: int | None) -> Task:
        model = fuse_conv_bn(load_model(WEIGHTS / "lean.safetensors"), "auto")
        images = sizes.faces.images[:count]
        task = timed(lambda: predict(model, images), max(1, 16 // count), threads)
        return lambda: task() / count

    counts = {f"{FOUND} faces": FOUND, "1 face": 1}
    tasks = {
        f"{label}, {threads}": partial(find, count, number)
        for label, count in counts.items()
        for threads, number in THREADS.items()
    }
    t, found, kind, work = watch(tasks), [], choose_precision(), flops(build("lean")) / 1e9
    note = f"{1000 * work:.0f} MFLOP; limit: these alone, at the {kind} peak"
    for name in tasks:
        at_peak = work * t[f"product {kind}, {name.split(', ')[1]}"]
        found.append(t.cost(name, "ms", 1000 * t[name], 1000 * at_peak, note))
        found.append(t.cost(f"  share of the peak, {name}", "%", 100 * at_peak / t[name]))
    return found


def looped_maps(points: np.ndarray, alpha: float = 0.1) -> np.ndarray:
    """The maps of one face (K, 96, 96) as the original project draws them: cell by cell."""
    maps = np.zeros((len(points), 96, 96))
    for heat_map, point in zip(maps, points, strict=True):
        for x in range(96):
            for y in range(96):
                distance = np.linalg.norm(np.array([x, y]) - point)
                heat_map[y, x] = np.exp(-alpha * distance)
    return maps


def many_points(sizes: Sizes) -> torch.Tensor:
    """The eyes of `sizes.many` faces (N, 2, 2): the given ones, over and over."""
    points = sizes.faces.points
    return torch.from_numpy(np.resize(points, (sizes.many, *points.shape[1:])))


KINDS = {"exponential": {"alpha": 0.1}, "gaussian": {"sigma": 1.5}}


def render_all(points: torch.Tensor, kind: str) -> None:
    """Maps at the size of the image for all points (N, K, 2), 64 faces at a time to save memory."""
    for block in points.split(FOUND):
        render(block, **KINDS[kind])  # (64, K, 96, 96)


def maps(sizes: Sizes, watch: Watch) -> list[Cost]:
    """Points to maps."""
    points, pair, count = many_points(sizes), sizes.faces.points[0], sizes.many
    tasks: dict[str, Maker] = {"loop": lambda: timed(lambda: looped_maps(pair))}
    for kind in KINDS:
        tasks[f"{kind} maps"] = partial(timed, partial(render_all, points, kind))
    t, found, written = watch(tasks), [], count * 2 * 96 * 96 * 4 / 1e9  # GB
    note = f"{written:.2f} GB; limit: writing them to memory"
    for kind in KINDS:
        name, seconds = f"{kind} maps of {count} faces", t[f"{kind} maps"]
        found.append(t.cost(name, "s", seconds, written * t["copy"], note))
    loop, once = count * t["loop"], "the original's double loop: one face timed, multiplied"
    found.append(t.cost("  cell by cell", "s", loop, note=once))
    return found


def pictures(sizes: Sizes, watch: Watch) -> list[Cost]:
    """Augmented and synthetic faces."""
    images = as_input(sizes.faces.images[:BATCH])
    points = torch.from_numpy(sizes.faces.points[:BATCH])

    def change() -> None:
        augment(images, points, Augment(), step_rng(0, 0))

    t = watch(
        {
            "augmented": partial(timed, change, 2),
            "drawn": partial(timed, partial(draw_faces, DRAWN)),
        }
    )
    best = 1 / (2 * images[0].nbytes / 1e9 * t["copy"])
    note, layers = "limit: reading and writing each once", "hundreds of layers of NumPy"
    return [
        t.cost("augmented", "faces/s", BATCH / t["augmented"], best, note),
        t.cost("drawn", "faces/s", DRAWN / t["drawn"], note=layers),
    ]


def write_training_csv(folder: Path, faces: Faces) -> Path:
    """The faces of a folder once more, in the form of the competition: images as text."""
    import pandas as pd

    table = pd.read_csv(locate("synthetic", len(faces)) / LABELS_FILE)
    table["Image"] = [" ".join(map(str, face)) for face in faces.images.reshape(len(faces), -1)]
    table.to_csv(folder / TRAINING_FILE, index=False)
    return folder / TRAINING_FILE


def files(sizes: Sizes, watch: Watch) -> list[Cost]:
    """Loading Kaggle's two forms, with all points."""
    count = min(LOADED, sizes.many)
    folder = locate("synthetic", count)

    def read_all(path: Path) -> Faces:
        return load(path, landmarks="all", verbose=False)

    def one_table() -> Task:
        other = TemporaryDirectory(prefix="hglib-costs-")
        path = write_training_csv(Path(other.name), read_all(folder))
        return timed(lambda: (other, read_all(path)))  # the other folder goes with the task

    tasks = {"npz and csv": lambda: timed(lambda: read_all(folder)), "training.csv": one_table}
    t, note = watch(tasks), f"synthetic faces in Kaggle's form: {count} rows timed, multiplied"
    return [
        t.cost(f"load {ROWS} rows, {form}", "s", t[form] * ROWS / count, note=note)
        for form in tasks
    ]


def child(code: str) -> float:
    """The one number that Python code prints in a process of its own, or a RuntimeError."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return float(done.stdout)


def processes(programs: Mapping[str, str]) -> dict[str, Maker]:
    """Makers of the tasks "run this program and take its number", each run once before."""

    def make(program: str) -> Task:
        child(program)
        return partial(child, program)

    return {name: partial(make, program) for name, program in programs.items()}


NAMES = "hglib.load, hglib.build, hglib.fit, hglib.predict"
PEAK = "from hglib.env import peak_memory; print(peak_memory() / 1e9)"


def imports(sizes: Sizes, watch: Watch) -> list[Cost]:
    """What importing costs beyond torch's own import, in a new process."""
    clock = "import torch, time; start = time.perf_counter(); import hglib"
    end = "print(time.perf_counter() - start)"
    t = watch(processes({"bare": f"{clock}; {end}", "all": f"{clock}; {NAMES}; {end}"}))
    name, every = "and load, build, fit, predict", "as above, every module these need"
    bare = t.cost("import hglib", "s", t["bare"], note="after torch, a new process")
    return [bare, t.cost(name, "s", t["all"], note=every)]


def memory(sizes: Sizes, watch: Watch) -> list[Cost]:
    """Not seconds but GB: the most memory that a process holds."""
    many, use = sizes.many, "from hglib.experiments import costs"
    programs = {
        "imports, torch included": f"import torch, hglib; {NAMES}; {PEAK}",
        f"20 steps on {many} faces": f"{use}; costs.train_briefly({many}); {PEAK}",
    }
    t, note = watch(processes(programs), most=3), "peak of a process of its own"
    return [t.cost(name, "GB", t[name], note=note) for name in programs]


def train_briefly(count: int, steps: int = 20) -> None:
    """A few steps of `fit` on so many images of noise: nothing to learn, but as large as faces."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 96, 96), dtype=np.uint8)
    points = rng.uniform(20, 76, (count, 2, 2)).astype(np.float32)
    faces = Faces(images, points, EYES, np.arange(count), "noise")
    fit(build("lean"), faces, None, TrainConfig(epochs=steps * BATCH / count))


LIMITS = "limits of the hardware"
GROUPS: dict[str, Callable[[Sizes, Watch], list[Cost]]] = {LIMITS: limits, "heat maps": maps}
GROUPS |= {each.__name__: each for each in (training, finding, pictures, files, imports, memory)}


def jobs(options: argparse.Namespace, record: Record) -> Jobs:
    """One job for each group whose name contains `--only`, and the limits."""
    about = {"device": "cpu", "auto_precision": choose_precision(), "rounds": options.rounds}
    keep_to(record, options.save, None, **about, faces=options.faces)
    sizes = Sizes(exact_faces(320), options.faces)
    names = [name for name in GROUPS if options.only in name or name == LIMITS]
    return {name: partial(measure, name, sizes, options.rounds) for name in names}


def measure(name: str, sizes: Sizes, rounds: int) -> dict[str, dict[str, Any]]:
    """The rows of a group by name, its tasks timed in turns with the limits."""

    def watch(makers: Mapping[str, Maker], most: int = rounds) -> Times:
        tasks, missing = make_tasks({**limit_tasks(), **makers})
        return Times(tasks, in_turns(tasks, min(rounds, most)), missing)

    try:
        found = GROUPS[name](sizes, watch)
    except Exception as error:  # a group is lost, not the table
        found = [Cost(name, "all of it", NAN, "", note=f"did not run here: {error}")]
    rows = [asdict(cost) for cost in found]
    return {row["name"]: {k: row[k] for k in row if k not in ("group", "name")} for row in rows}


def rows(record: Record | None = None) -> list[Cost]:
    """The lines of a table, by default of the published one."""
    found = (record or read("costs")).figures
    return [
        Cost(group, name, **{key: NAN if value is None else value for key, value in row.items()})
        for group, lines in found.items()
        for name, row in lines.items()
    ]


def short(value: float) -> str:
    """Three digits that matter; nothing for NaN."""
    if value != value:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def show(record: Record) -> None:
    """The table, group by group."""
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for cost in rows(record):
        spread = f"{short(cost.low)} - {short(cost.high)}" if cost.low == cost.low else ""
        line = {"value": short(cost.value), "": cost.unit, "quartiles": spread}
        line |= {"limit": short(cost.limit), "goal": cost.goal, "note": cost.note}
        groups.setdefault(cost.group, {})[cost.name] = line
    for group, lines in groups.items():
        print_table(lines, head=group)
