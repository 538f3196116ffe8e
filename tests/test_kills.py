"""Runs that are killed at random times and resumed end as the run that never was.

Eight kills by default; HGLIB_KILLS=30 makes it thirty.
"""

import multiprocessing
import os
import random
import signal
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import several_processes as small

from hglib import checkpoint

SIGNALS = [[9], [signal.SIGTERM], [signal.SIGINT] * 2, [getattr(signal, "SIGHUP", 9)]]


def start(folder: Path) -> BaseProcess:
    """A process that trains; forked from one that has imported what takes longest."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hglib.parallel", "torch._dynamo"])  # the optimizer's
    ready = context.Event()
    process = context.Process(target=small.go_on, args=(folder, ready))
    process.start()
    assert ready.wait(60)
    return process


def ended(process: BaseProcess) -> int | None:
    process.join(120)
    return process.exitcode


def step_of(folder: Path) -> int:
    return checkpoint.read(folder / "last.safetensors")[1]["about"]["state"]["step"]


@pytest.mark.skipif(os.name != "posix", reason="no such signals")
def test_killed_runs_end_as_the_whole_one(tmp_path):
    process, began = start(tmp_path / "whole"), time.monotonic()
    assert ended(process) == 0
    takes = time.monotonic() - began
    dice, steps, kills = random.Random(0), [], int(os.environ.get("HGLIB_KILLS", 8))
    for kill in range(kills):
        process = start(tmp_path / "cut")
        time.sleep(takes * dice.uniform(0, 1.4 / kills))  # saves fill half of it: many are hit
        for number in SIGNALS[kill % len(SIGNALS)]:
            with suppress(ProcessLookupError):  # it has ended already
                os.kill(process.pid, number)
        assert ended(process) is not None
        steps.append(step_of(tmp_path / "cut"))
    assert ended(start(tmp_path / "cut")) == 0
    assert 0 < steps[0] < step_of(tmp_path / "cut")  # it was cut short, and went on
    whole, cut = (checkpoint.read(tmp_path / n / "last.safetensors") for n in ("whole", "cut"))
    assert all((whole[0][name] == cut[0][name]).all() for name in whole[0])
    states = [about["about"]["state"] for _, about in (whole, cut)]
    for state in states:
        state.pop("elapsed")
        for row in state["rows"]:
            row.pop("seconds")
    assert states[0] == states[1]
    assert not list((tmp_path / "cut").glob("*.part"))
