"""Timing that can be trusted on a shared machine: tasks in turns, medians, ratios within a round.

Everything that is compared is timed in turns, round after round, in one run: what slows the machine
down for a while slows all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

Task = Callable[[], float]  # runs once and returns the seconds of what is measured
Maker = Callable[[], Task]  # prepares a task; may raise Unavailable
CPU = torch.device("cpu")


class Unavailable(RuntimeError):
    """This cannot run here; the message says why."""


def in_turns(tasks: Mapping[str, Task], rounds: int = 15) -> np.ndarray:
    """Run every task once per round, in a changing order: seconds (rounds, tasks)."""
    if rounds < 1:
        raise ValueError(f"--rounds {rounds}: expected 1 or more")
    names = list(tasks)
    seconds = np.empty((rounds + 1, len(names)))
    for number in range(rounds + 1):
        for turn in range(len(names)):
            which = (turn + number) % len(names)
            seconds[number, which] = tasks[names[which]]()
    return seconds[1:]


def make_tasks(makers: Mapping[str, Maker]) -> tuple[dict[str, Task], dict[str, str]]:
    """The tasks that can be made, and for each of the others why it cannot run here."""
    tasks: dict[str, Task] = {}
    missing: dict[str, str] = {}
    for name, make in makers.items():
        try:
            tasks[name] = make()
        except Unavailable as reason:
            missing[name] = str(reason)
        except Exception as error:
            said = (str(error).strip().splitlines() or [""])[-1]
            missing[name] = f"did not run here: {type(error).__name__}: {said[:60]}"
    return tasks, missing


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
