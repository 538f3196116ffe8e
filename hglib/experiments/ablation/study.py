"""`python -m hglib study`: what each part is worth, one row at a time, at equal cost.

Every row of `hglib.experiments.ablation.rows` is trained from random weights, once for each seed,
and measured on
the test part. Cost is counted in floating-point operations of the forward passes in training, never
in seconds, so the same seed gives the same row on a busy machine. Each finished run is saved at
once; runs that the file already holds are not repeated.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hglib.augment import Augment
from hglib.data import Faces, split
from hglib.datasets import load, locate
from hglib.experiments.ablation.networks import VARIANTS
from hglib.experiments.ablation.rows import SAME, Plan, all_plans
from hglib.hourglass import network_class
from hglib.inference import predict
from hglib.metrics import evaluate
from hglib.train import TrainConfig, TrainingError, fit

PICTURES = 4000  # shown to our default in each run: some eleven seconds on one quiet core
FEWEST, MOST = PICTURES // 8, PICTURES * 3  # whatever a network costs, it sees so many
SYNTHETIC_FACES = 6000  # nearly as many as Kaggle's 7049
WORDS = ("group", "what", "question", "against", "command")  # they change no weight
FIGURES = ("mean_px", "median_px", "e05", "e10", "e25")
RESULTS = Path(__file__).parents[1] / "results"
OWN = Path("runs")  # where a reader's own runs go, so that they are never taken for the course's

Results = dict[str, Any]


# ---- cost ------------------------------------------------------------------------------------


def flops(model: nn.Module, size: int = 96) -> int:
    """Floating-point operations of one picture's forward pass, as PyTorch counts them.

    >>> flops(nn.Sequential(nn.Conv2d(1, 4, kernel_size=3, padding=1)), size=8)
    4608

    Taught in: 03_the_hourglass
    """
    training = model.training
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, 1, size, size))
    model.train(training)
    return counter.get_total_flops()


def build_network(plan: Plan) -> nn.Module:
    """The plan's network with random weights from torch's generator. Taught in: 06_why_it_works"""
    return (VARIANTS.get(plan.network) or network_class(plan.network))(**plan.options)


def pictures_shown(plan: Plan) -> int:
    """How many pictures the plan's network is trained on, repetitions counted.

    As many as cost what `PICTURES` cost our default, but at least `FEWEST` and at most `MOST`.
    Taught in: 06_why_it_works
    """
    if plan.pictures is not None:
        return PICTURES if plan.pictures == SAME else plan.pictures
    paid_for = round(PICTURES * default_flops() / flops(build_network(plan)))
    return min(MOST, max(FEWEST, paid_for))


@cache
def default_flops() -> int:
    """Those of our default network, which every other one is held to. Taught in: 06_why_it_works"""
    return flops(build_network(all_plans()["default"]))


# ---- data ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Data:
    """What every run of a study shares. Taught in: 06_why_it_works"""

    about: str  # in words
    train: Faces
    images: np.ndarray  # (N, 96, 96) uint8, the test part
    points: np.ndarray  # (N, K, 2): what the network's answers are compared with, from 0


class Unswapped(Faces):
    """Faces whose mirror image keeps left and right as they were: the classic mistake.

    Taught in: 06_why_it_works
    """

    @property
    def mirror_order(self) -> np.ndarray:
        """(K,) int: every channel stays in its place."""
        return np.arange(len(self.landmarks))


def load_data(source: str | None, count: int = SYNTHETIC_FACES, verbose: bool = True) -> Data:
    """The study's data: trained on the labels as they are; measured on the truth where it is known.

    Synthetic faces come with their true points (truth.csv); of real ones only the labels are known,
    which are 1.0 px apart (median) where one picture has two. Taught in: 06_why_it_works
    """
    faces = load(source, n_synthetic=count, verbose=verbose)
    parts = split(faces)
    truth = locate(source, count) / "truth.csv" if faces.source.startswith("synthetic") else None
    if truth is None:
        about = "Kaggle's files; measured against the labels minus 1"
        return Data(about, parts.train, parts.test.images, parts.test.points)
    about = f"{faces.source}; measured against the true points"
    points = true_points(truth, faces.landmarks)[parts.test.rows]
    return Data(about, parts.train, parts.test.images, points)


def true_points(path: Path, landmarks: Sequence[str]) -> np.ndarray:
    """(N, K, 2) float32 from the truth.csv of synthetic faces. Taught in: 06_why_it_works"""
    import pandas as pd

    columns = [f"{name}_{axis}" for name in landmarks for axis in "xy"]
    values = pd.read_csv(path, usecols=columns)[columns].to_numpy(np.float32)
    return values.reshape(len(values), len(landmarks), 2)


def training_faces(plan: Plan, train: Faces) -> Faces:
    """The faces with the plan's labels: 1-based ones lie a pixel right and down.

    Taught in: 06_why_it_works
    """
    kind = Faces if plan.swap else Unswapped
    points = train.points + np.float32(1 - plan.first_pixel)  # load has subtracted 1
    return kind(train.images, points, train.landmarks, train.rows, train.source)


# ---- one run ---------------------------------------------------------------------------------


class Runner:
    """Trains and measures; rows that differ only in the decoder share one training.

    Taught in: 06_why_it_works
    """

    def __init__(self, data: Data) -> None:
        self.data = data
        self.last: tuple[Any, nn.Module, dict[str, Any]] | None = None

    def run(self, plan: Plan, seed: int) -> dict[str, Any]:
        """The figures of one row and one seed."""
        model, cost = self.trained(plan, seed)
        points = np.full_like(self.data.points, np.nan)  # nothing is found with broken weights
        if "stopped" not in cost:
            points = predict(model, self.data.images, decoder=plan.decoder).points.numpy()
        report = evaluate(points, self.data.points).row()
        return {name: round(report[name], 4) for name in FIGURES} | cost

    def trained(self, plan: Plan, seed: int) -> tuple[nn.Module, dict[str, Any]]:
        """The network, and the seconds of processor time that its training took."""
        text = dict.fromkeys(("name", "group", "what", "question", "against"), "")
        key = (replace(plan, **text, decoder=None), seed)
        if self.last is None or self.last[0] != key:
            model, cost = train(plan, seed, self.data.train)
            self.last = (key, model, cost)
        return self.last[1], self.last[2]


def train(plan: Plan, seed: int, faces: Faces) -> tuple[nn.Module, dict[str, Any]]:
    """A network trained as planned, and what it cost: `cpu_seconds`, and `stopped` if the loss was
    not finite. Weights, order of the faces and augmentation come from the seed alone.

    Taught in: 06_why_it_works
    """
    torch.manual_seed(seed)
    model = build_network(plan)
    start = time.process_time()  # not the clock on the wall: other programs do not count
    cost: dict[str, Any] = {}
    try:
        config = training_config(plan, seed, len(faces))
        if fit(model, training_faces(plan, faces), None, config).interrupted:
            raise KeyboardInterrupt  # half a training is no result
    except TrainingError as error:
        cost["stopped"] = str(error).split(";")[0]
    return model.eval(), {"cpu_seconds": round(time.process_time() - start, 1)} | cost


def training_config(plan: Plan, seed: int, count: int) -> TrainConfig:
    """The plan as `hglib.train` takes it, for `count` training faces. Taught in: 06_why_it_works"""
    same = ("objective", "augment", "batch", "learning_rate", "schedule", "precision")
    settings = {name: getattr(plan, name) for name in same}
    return TrainConfig(epochs=pictures_shown(plan) / count, seed=seed, validations=0, **settings)


# ---- the file --------------------------------------------------------------------------------


def describe(plan: Plan) -> dict[str, Any]:
    """The row as the results file keeps it, without its runs. Taught in: 06_why_it_works"""
    network = build_network(plan)
    wanted = ("group", "what", "question", "against", "network", "options", "batch")
    row = {name: getattr(plan, name) for name in wanted}
    row |= {name: getattr(plan, name) for name in ("learning_rate", "schedule", "precision")}
    row["objective"] = asdict(plan.objective)
    row["augment"] = "none" if plan.augment == Augment.none() else asdict(plan.augment)
    row["labels"] = "from 0" if plan.first_pixel else "from 1"
    row["labels"] += ", rounded" if plan.objective.round_labels else ""
    row["mirror_swaps"] = plan.swap
    row["decoder"] = plan.decoder or network.decoder
    row["mflop"] = round(flops(network) / 1e6, 1)
    row["pictures"] = pictures_shown(plan)
    row["command"] = f"python -m hglib study --rows {plan.name}"
    return json.loads(json.dumps(row))  # tuples become lists, as they do in the file


def read(path: Path) -> Results:
    """The results in a file, or none yet.

    Raises ValueError for a file that is not one of the study's. Taught in: 06_why_it_works
    """
    if not path.exists():
        return {"about": {}, "rows": {}}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {"about": dict(found["about"]), "rows": dict(found["rows"])}
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path}: not a results file of the study ({error!r}); give --save another name"
        raise ValueError(message) from None


def write(path: Path, results: Results) -> None:
    """Replace the file in one step; one line for each row's description and for each run.

    Taught in: 06_why_it_works
    """
    rows = []
    for name, row in results["rows"].items():
        runs = [f"   {json.dumps(s)}: {json.dumps(run)}" for s, run in sorted(row["runs"].items())]
        about = json.dumps({key: value for key, value in row.items() if key != "runs"})
        rows.append(f'  {json.dumps(name)}: {about[:-1]}, "runs": {{\n' + ",\n".join(runs) + "}}")
    text = f'{{"about": {json.dumps(results["about"])},\n "rows": {{\n' + ",\n".join(rows) + "}}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


# ---- the study -------------------------------------------------------------------------------


def choose(names: Sequence[str] | None) -> list[Plan]:
    """The rows of these names, or all. Raises ValueError for an unknown name, with the nearest one.

    Taught in: 06_why_it_works
    """
    plans = all_plans()
    for name in names or ():
        if name not in plans:
            near = get_close_matches(name, plans, n=1)
            hint = f"did you mean {near[0]}?" if near else "--list shows all names"
            raise ValueError(f"--rows: no row is called {name!r}; {hint}")
    return [plans[name] for name in names] if names else list(plans.values())


def missing(plans: Sequence[Plan], seeds: Sequence[int], results: Results) -> Iterator[tuple]:
    """(plan, seed) of each run that the results lack: every row once before any row twice.

    A row whose settings have changed since is measured anew. Taught in: 06_why_it_works
    """
    for plan in plans:
        row, now = results["rows"].get(plan.name), describe(plan)
        same = row is not None and all(row.get(k) == now[k] for k in now if k not in WORDS)
        results["rows"][plan.name] = {**now, "runs": row["runs"] if same else {}}
    for seed in seeds:
        for plan in plans:
            if str(seed) not in results["rows"][plan.name]["runs"]:
                yield plan, seed


def study(
    data: Data, plans: Sequence[Plan], seeds: Sequence[int], path: Path, verbose: bool = True
) -> Results:
    """Run what is missing in the file, saving after every run; all results so far.

    Taught in: 06_why_it_works
    """
    results = read(path)
    if results["about"].get("data", data.about) != data.about:
        theirs = results["about"]["data"]
        raise ValueError(f"{path}: holds results for {theirs}, not {data.about}; use another file")
    results["about"] = about(data)
    runner, start = Runner(data), time.perf_counter()
    todo = list(missing(plans, seeds, results))
    for number, (plan, seed) in enumerate(todo, 1):
        try:
            run = runner.run(plan, seed)
        except KeyboardInterrupt:
            print("interrupted; the same command goes on from here", file=sys.stderr)
            break
        results["rows"][plan.name]["runs"][str(seed)] = run
        write(path, results)
        if verbose:
            left = (time.perf_counter() - start) / number * (len(todo) - number) / 60
            print(
                f"[{number}/{len(todo)}] {plan.name}, seed {seed}: {run['mean_px']:.2f} px "
                f"({run['cpu_seconds']:.0f} s); about {left:.0f} min to go",
                flush=True,
            )
    return results


def about(data: Data) -> dict[str, Any]:
    """What holds for all rows of a file. Taught in: 06_why_it_works"""
    return {
        "data": data.about,
        "test_faces": len(data.images),
        "training_faces": len(data.train),
        "flip_test": False,
        "command": "python -m hglib study --save FILE",
        "pictures": PICTURES,
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def print_list(plans: Sequence[Plan]) -> None:
    """One line per row: its name, cost, pictures, and what it is. Taught in: 06_why_it_works"""
    for plan in plans:
        cost = flops(build_network(plan)) / 1e6
        print(f"{plan.name:18} {cost:4.0f} MFLOP x {pictures_shown(plan):5d}  {plan.what}")


def run_study(options: Any) -> None:
    """`study`: run the missing rows and print the table. Taught in: 06_why_it_works"""
    plans = choose(options.rows)
    if options.list:
        print_list(plans)
        return
    data = load_data(options.data, options.synthetic_faces)
    kind = "synthetic" if data.about.startswith("synthetic") else "real"
    path = Path(options.save or OWN / f"study_{kind}.json")
    results = study(data, plans, options.seeds, path)
    print_results(results["rows"], [plan.name for plan in plans], RESULTS / f"study_{kind}.json")
    print(f"kept in {path}", file=sys.stderr)


def print_results(rows: Mapping[str, Any], names: Sequence[str], published: Path) -> None:
    """Mean errors, one line per row, beside those of the course. Taught in: 06_why_it_works"""
    course = read(published)["rows"]
    print(f"{'row':18}  {'mean px, each seed':24}  the course's")
    for name in names:
        mine, theirs = (
            " ".join(
                f"{run['mean_px']:5.2f}" for run in found.get(name, {"runs": {}})["runs"].values()
            )
            for found in (rows, course)
        )
        print(f"{name:18}  {mine:24}  {theirs}")
