"""Runs that are killed at random times and resumed end as the run that never was.

Four kills by default; HGLIB_KILLS=30 makes it thirty.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import several_processes as small

from hglib import checkpoint

RUN = (
    "import sys, torch, several_processes as s; from pathlib import Path; "
    "torch.set_num_threads(1); print('go', flush=True); "
    "s.run(Path(sys.argv[1]), resume=True, epochs=40, save_every=0.0)"
)
SIGNALS = [[9], [signal.SIGTERM], [signal.SIGINT] * 2, [getattr(signal, "SIGHUP", 9)]]


def start(folder: Path) -> subprocess.Popen:
    paths = os.pathsep.join([str(Path(small.__file__).parent), *sys.path])
    command = [sys.executable, "-c", RUN, str(folder)]
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    return process


@pytest.mark.skipif(os.name != "posix", reason="no such signals")
def test_killed_runs_end_as_the_whole_one(tmp_path):
    assert start(tmp_path / "whole").wait(120) == 0
    dice = random.Random(0)
    for kill in range(int(os.environ.get("HGLIB_KILLS", 4))):
        process = start(tmp_path / "cut")
        time.sleep(dice.uniform(0.02, 0.6))  # saves fill most of it: many are hit
        for number in SIGNALS[kill % len(SIGNALS)]:
            process.send_signal(number)
        process.wait(60)
    assert start(tmp_path / "cut").wait(120) == 0
    whole, cut = (checkpoint.read(tmp_path / n / "last.safetensors") for n in ("whole", "cut"))
    assert all((whole[0][name] == cut[0][name]).all() for name in whole[0])
    states = [about["about"]["state"] for _, about in (whole, cut)]
    for state in states:
        state.pop("elapsed")
        for row in state["rows"]:
            row.pop("seconds")
    assert states[0] == states[1]
    assert not list((tmp_path / "cut").glob("*.part"))
