"""Timing that can be trusted on a shared machine: tasks in turns, medians, ratios within a round.

Everything that is compared is timed in turns, round after round, in one run: what slows the machine
down for a while slows all of them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

Task = Callable[[], float]  # runs once and returns the seconds of what is measured
Maker = Callable[[], Task]  # prepares a task; may raise Unavailable
NAN = float("nan")
CPU = torch.device("cpu")


class Unavailable(RuntimeError):
    """This cannot run here; the message says why."""


class Times(dict[str, np.ndarray]):
    """The seconds (rounds,) of each task by its name; `missing` says why others could not run."""

    def __init__(self) -> None:
        self.missing: dict[str, str] = {}

    def __missing__(self, name: str) -> np.ndarray:
        raise Unavailable(self.missing[name])

    def attempt(self, name: str, act: Callable[[], Any]) -> Any:
        """What `act` gives; None where it fails, which loses the task of that name."""
        try:
            return act()
        except Exception as error:
            self.missing[name] = reason(error)


def in_turns(makers: Mapping[str, Maker], rounds: int = 15) -> Times:
    """Make every task, then run each once per round, in a changing order; one round warms up."""
    if rounds < 1:
        raise ValueError(f"--rounds {rounds}: expected 1 or more")
    times = Times()
    made = {name: times.attempt(name, make) for name, make in makers.items()}
    tasks = {name: task for name, task in made.items() if task is not None}
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    turns = deque(tasks)
    for _ in range(rounds + 1):
        for name in turns:
            if name not in times.missing:
                seconds[name].append(times.attempt(name, tasks[name]))
        turns.rotate(-1)
    times.update({n: np.array(s[1:]) for n, s in seconds.items() if n not in times.missing})
    return times


def reason(error: Exception) -> str:
    """Why something did not run, in a few words."""
    if isinstance(error, Unavailable):
        return str(error)
    said = (str(error).strip().splitlines() or [""])[-1]
    return f"did not run here: {type(error).__name__}: {said[:60]}"


def quartiles(values: np.ndarray) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of values (rounds,)."""
    low, middle, high = np.percentile(values, [25, 50, 75]).tolist()
    return low, middle, high


def timed(
    run: Callable[[], object],
    times: int = 1,
    threads: int | None = None,
    device: torch.device = CPU,
) -> Task:
    """A task that runs something `times` times and returns the seconds of one."""
    usual = torch.get_num_threads()

    def task() -> float:
        torch.set_num_threads(threads or usual)
        try:
            start = time.perf_counter()
            for _ in range(times):
                run()
            if device.type == "cuda":  # Python hands work to a GPU and does not wait
                torch.cuda.synchronize(device)
            return (time.perf_counter() - start) / times
        finally:
            torch.set_num_threads(usual)

    task()
    return task


def after(prepare: Callable[[], Any], run: Callable[[Any], object]) -> Task:
    """A task that times `run(prepare())` without the preparing."""

    def task() -> float:
        ready = prepare()
        start = time.perf_counter()
        run(ready)
        return time.perf_counter() - start

    task()
    return task
