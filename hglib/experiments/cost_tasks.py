"""What `hglib.experiments.costs` times: one small task for each thing that the course does, and
the hardware's
own limits beside them.

Everything runs on the CPU. A maker returns a task, and a task runs once and returns seconds (of
one product of a billion operations, one GB, one step, one face: each docstring says which).
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from hglib.augment import Augment, augment
from hglib.checkpoint import WEIGHTS, load_model
from hglib.data import Faces
from hglib.datasets import load, locate
from hglib.datasets.kaggle import LABELS_FILE, TRAINING_FILE
from hglib.datasets.synthetic import draw_faces
from hglib.experiments.speed import BATCH, Setting, Task, Unavailable, timed
from hglib.heatmap import SHIFTS, decode, render
from hglib.hourglass import Level, build
from hglib.inference import as_input, autocast, find_eyes, fuse_conv_bn, predict
from hglib.losses import total_loss
from hglib.train import TrainConfig, Trainer, step_rng

Maker = Callable[[], Task]

CPU = torch.device("cpu")
ALL, ONE = Setting(), Setting(threads=1)  # torch's own number of threads, and one
SIDES = (256, 512, 1024)  # of square matrices: which is fastest depends on the caches
COPIED = 0.256  # GB: 128 MB read and 128 MB written, more than any cache holds
FACES = 7000  # as many as Kaggle's files hold, roughly
FOUND = 64  # faces at a time, as `predict` takes them
DRAWN = 64  # faces per measurement of the drawing
MAPS = 1000  # per measurement of a decoder
LOADED = 2000  # rows of the drawn files
CELLS = 96 * 96  # of one heat map at the size of the picture


def tried(make: Maker) -> Maker:
    """The same maker, but whatever fails in it is `Unavailable`: a row is lost, not the table.

    Taught in: 08_further_and_faster
    """

    def careful() -> Task:
        try:
            return make()
        except Unavailable:
            raise
        except Exception as error:
            said = (str(error).strip().splitlines() or [""])[-1]
            raise Unavailable(f"did not run here: {type(error).__name__}: {said[:60]}") from error

    return careful


def after(prepare: Callable[[], Any], run: Callable[[Any], object]) -> Task:
    """A task that times `run(prepare())` without the preparing. Taught in: 08_further_and_faster"""

    def task() -> float:
        ready = prepare()
        start = time.perf_counter()
        run(ready)
        return time.perf_counter() - start

    task()
    return task


def operations(run: Callable[[], object]) -> int:
    """The floating point operations of the products and convolutions in `run()`.

    A multiplication and an addition count as two; everything else (BatchNorm, ReLU, the loss)
    counts as nothing, which is nearly right: it is bound by memory.

    >>> operations(lambda: torch.ones(2, 3) @ torch.ones(3, 5))  # 2 * 2 * 3 * 5
    60

    Taught in: 08_further_and_faster
    """
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


# ---- the limits ---------------------------------------------------------------------------------


def product(kind: torch.dtype, setting: Setting) -> Maker:
    """Seconds per billion operations of a square matrix product, the fastest of `SIDES`.

    Taught in: 08_further_and_faster
    """

    def make() -> Task:
        tasks = []
        for side in SIDES:
            a, billions = torch.rand(side, side).to(kind), 2 * side**3 / 1e9
            times = max(1, round(0.5 / billions))
            tasks.append((timed(partial(torch.mm, a, a), setting, CPU, times), billions))
        return lambda: min(task() / billions for task, billions in tasks)

    return make


def copying() -> Task:
    """Seconds per GB that is read or written, in a copy of 128 MB.

    Taught in: 08_further_and_faster
    """
    source = torch.zeros(round(COPIED * 1e9 / 8))  # half of it read, half written; 4 bytes each
    target = torch.empty_like(source)
    task = timed(lambda: target.copy_(source), ALL, CPU, times=1)
    return lambda: task() / COPIED


def limit_tasks() -> dict[str, Maker]:
    """What the hardware can do at most. Taught in: 08_further_and_faster"""
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    tasks = {
        f"product {name}, {threads}": product(kind, setting)
        for name, kind in kinds.items()
        for threads, setting in (("all", ALL), ("one", ONE))
    }
    return tasks | {"copy": copying}


# ---- training -----------------------------------------------------------------------------------


class Parts:
    """A training step of `fit`, and its parts one by one. Taught in: 08_further_and_faster"""

    def __init__(self, faces: Faces) -> None:
        torch.manual_seed(0)
        # More epochs than will be run: the schedule never reaches its end.
        self.trainer = Trainer(build("lean"), faces, None, TrainConfig(epochs=1e6))
        self.index = np.arange(BATCH)
        images, self.points = self.load()
        self.images = images.contiguous(memory_format=torch.channels_last)  # (B, 1, H, W)

    def step(self) -> None:
        """All of it, as `fit` does it."""
        self.trainer.step(self.index)

    def load(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch: 32 pictures as floats, changed at random."""
        return self.trainer.get_batch(self.index)

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
        return operations(getattr(self, part)) / BATCH / 1e9


def training_tasks(faces: Faces) -> dict[str, Maker]:
    """Seconds of a step on 32 faces, and of each part of it. Taught in: 08_further_and_faster"""

    def whole() -> Task:
        return timed(Parts(faces).step, ALL, CPU, times=2)

    def batch() -> Task:
        return timed(Parts(faces).load, ALL, CPU, times=2)

    def forward() -> Task:
        return timed(Parts(faces).forward, ALL, CPU, times=2)

    def loss() -> Task:
        parts = Parts(faces)
        return after(parts.forward, parts.loss)

    def backward() -> Task:
        parts = Parts(faces)
        return after(lambda: parts.loss(parts.forward()), torch.Tensor.backward)

    def update() -> Task:
        parts = Parts(faces)
        return after(parts.backward, lambda _: parts.trainer.optimizer.step())

    names = ("step", "batch", "forward", "loss", "backward", "update")
    makers = (whole, batch, forward, loss, backward, update)
    return dict(zip(names, makers, strict=True))


# ---- finding ------------------------------------------------------------------------------------


def finding_tasks(faces: Faces) -> dict[str, Maker]:
    """Seconds per face of `predict` with the shipped network, folded, from pictures to points.

    Taught in: 08_further_and_faster
    """

    def find(count: int, setting: Setting) -> Task:
        model = fuse_conv_bn(load_model(WEIGHTS / "lean.safetensors"), "auto")
        images = faces.images[:count]
        times = max(1, 16 // count)
        task = timed(lambda: predict(model, images), setting, CPU, times)
        return lambda: task() / count

    tasks: dict[str, Maker] = {
        f"{batch}, {threads}": partial(find, count, setting)
        for batch, count in (("batch", FOUND), ("alone", 1))
        for threads, setting in (("one", ONE), ("all", ALL))
    }
    one = faces.images[:1]
    return tasks | {"find_eyes": lambda: timed(lambda: find_eyes(one), ALL, CPU, times=8)}


def finding_operations() -> float:
    """Billions of operations of finding the eyes in one face. Taught in: 08_further_and_faster"""
    model, face = load_model(WEIGHTS / "lean.safetensors"), torch.zeros(96, 96)
    return operations(lambda: predict(model, face)) / 1e9


# ---- heat maps, and making pictures -------------------------------------------------------------


def looped_maps(points: Iterable[Iterable[float]], alpha: float = 0.1) -> np.ndarray:
    """The maps of one face (K, 96, 96) as the original project draws them: cell by cell.

    Taught in: 02_heatmaps, 08_further_and_faster
    """
    maps = []
    for point in points:
        heat_map = np.zeros((96, 96))
        for x in range(96):
            for y in range(96):
                distance = np.linalg.norm(np.array([x, y]) - point)
                heat_map[y, x] = np.exp(-alpha * distance)
        maps.append(heat_map)
    return np.stack(maps)


def many_points(faces: Faces) -> torch.Tensor:
    """The eyes of `FACES` faces (N, 2, 2): the given ones, over and over.

    Taught in: 08_further_and_faster
    """
    return torch.from_numpy(np.resize(faces.points, (FACES, *faces.points.shape[1:])))


KINDS = {"exponential": {"alpha": 0.1}, "gaussian": {"sigma": 1.5}}


def render_all(points: torch.Tensor, kind: str) -> None:
    """Maps at the size of the picture for all points (N, K, 2), 64 faces at a time.

    Together they would fill half a GB; nobody needs them together. Taught in: 02_heatmaps
    """
    for block in points.split(FOUND):
        render(block, **KINDS[kind])  # (64, K, 96, 96)


def map_tasks(faces: Faces) -> dict[str, Maker]:
    """Seconds of rendering the maps of `FACES` faces, of looping over those of one, and of reading
    `MAPS` maps of 48x48. Taught in: 08_further_and_faster"""
    points, pair = many_points(faces), faces.points[0]
    maps = render(points[: MAPS // 2], stride=2, sigma=1.5)  # (MAPS / 2, 2, 48, 48)

    def rendering(kind: str) -> Task:
        return timed(lambda: render_all(points, kind), ALL, CPU, times=1)

    def decoding(method: str) -> Task:
        return timed(lambda: decode(maps, method, stride=2), ALL, CPU, times=2)

    tasks: dict[str, Maker] = {f"render {kind}": partial(rendering, kind) for kind in KINDS}
    tasks["loop"] = lambda: timed(lambda: looped_maps(pair), ALL, CPU, times=1)
    return tasks | {f"decode {method}": partial(decoding, method) for method in SHIFTS}


def picture_tasks(faces: Faces) -> dict[str, Maker]:
    """Seconds of changing 32 faces at random, and of drawing `DRAWN` new ones.

    Taught in: 08_further_and_faster
    """
    images, points = as_input(faces.images[:BATCH]), torch.from_numpy(faces.points[:BATCH])

    def change() -> None:
        augment(images, points, Augment(), step_rng(0, 0))

    return {
        "augment": lambda: timed(change, ALL, CPU, times=2),
        "draw": lambda: timed(partial(draw_faces, DRAWN), ALL, CPU, times=1),
    }


# ---- files, imports, memory ---------------------------------------------------------------------


def write_training_csv(folder: Path, faces: Faces) -> Path:
    """The faces of a folder once more, in the form of the competition: pictures as text.

    Taught in: 08_further_and_faster
    """
    import pandas as pd

    table = pd.read_csv(locate("synthetic", len(faces)) / LABELS_FILE)
    table["Image"] = [" ".join(map(str, face)) for face in faces.images.reshape(len(faces), -1)]
    table.to_csv(folder / TRAINING_FILE, index=False)
    return folder / TRAINING_FILE


def loading_tasks() -> dict[str, Maker]:
    """Seconds of loading `LOADED` drawn faces with all points, in each of Kaggle's two forms.

    Taught in: 08_further_and_faster
    """

    def read(path: Path) -> Faces:
        return load(path, landmarks="all", verbose=False)

    def two_files() -> Task:
        return timed(partial(read, locate("synthetic", LOADED)), ALL, CPU, times=1)

    def one_table() -> Task:
        folder = TemporaryDirectory(prefix="hglib-costs-")
        path = write_training_csv(Path(folder.name), read(locate("synthetic", LOADED)))
        # The task holds the folder: it is removed with the task.
        return timed(lambda: (folder, read(path)), ALL, CPU, times=1)

    return {"npz and csv": two_files, "training.csv": one_table}


def child(code: str) -> float:
    """Run Python code in a process of its own; the one number that it prints.

    Raises RuntimeError with the last line that the process complained with.

    >>> child("print(6 * 7)")
    42.0

    Taught in: 08_further_and_faster
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return float(done.stdout)


NAMES = "hglib.load, hglib.build, hglib.fit, hglib.predict"  # each loads its modules when named
IMPORTS = {"import hglib": "import hglib", "import all": f"import hglib; {NAMES}"}
PEAK = "from hglib.memory import peak_memory; print(peak_memory() / 1e9)"
MEMORY = {  # what is run in a process of its own
    "importing": f"import torch, hglib; {NAMES}; {PEAK}",
    "training": f"from hglib.experiments import cost_tasks; cost_tasks.train_briefly(); {PEAK}",
    "rendering": f"from hglib.experiments import cost_tasks; cost_tasks.render_once(); {PEAK}",
}


def import_tasks() -> dict[str, Maker]:
    """Seconds that an import takes in a new process where torch is there already.

    Taught in: 08_further_and_faster
    """

    def importing(code: str) -> Task:
        clock = "import torch, time; start = time.perf_counter()"
        program = f"{clock}; {code}; print(time.perf_counter() - start)"
        child(program)
        return partial(child, program)

    return {name: partial(importing, code) for name, code in IMPORTS.items()}


def memory_tasks() -> dict[str, Maker]:
    """Not seconds but GB: the peak memory of a process that does one thing.

    Taught in: 08_further_and_faster
    """

    def measuring(code: str) -> Task:
        child(code)
        return partial(child, code)

    return {name: partial(measuring, code) for name, code in MEMORY.items()}


def random_faces(count: int) -> Faces:
    """Pictures of noise: nothing to learn, but as large as faces. Taught in: 08_further_and_faster

    >>> random_faces(3).images.shape
    (3, 96, 96)
    """
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 96, 96), dtype=np.uint8)
    points = rng.uniform(20, 76, (count, 2, 2)).astype(np.float32)
    return Faces(images, points, ("left_eye_center", "right_eye_center"), np.arange(count), "noise")


def train_briefly(steps: int = 20) -> None:
    """A few steps of `fit` on `FACES` pictures. Taught in: 08_further_and_faster"""
    from hglib.train import fit

    fit(build("lean"), random_faces(FACES), None, TrainConfig(epochs=steps * BATCH / FACES))


def render_once() -> None:
    """The maps of `FACES` faces, in blocks. Taught in: 08_further_and_faster"""
    render_all(many_points(random_faces(2)), "gaussian")
