"""Tasks take turns, what is not meant is not timed, operations are counted as by hand."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from hglib.experiments import timing
from hglib.experiments.timing import Unavailable


def test_tasks_take_turns_and_the_first_round_does_not_count():
    calls = []

    def task(name):
        def run():
            calls.append(name)
            return 100.0 if len(calls) <= 3 else 1.0  # the first round is slow

        return run

    times = timing.in_turns({name: partial(task, name) for name in "abc"}, rounds=2)
    assert "".join(calls) == "abcbcacab"  # everyone goes first once
    assert {name: seconds.tolist() for name, seconds in times.items()} == {n: [1, 1] for n in "abc"}
    with pytest.raises(ValueError, match="--rounds 0: expected 1 or more"):
        timing.in_turns({}, rounds=0)


def test_what_cannot_be_made_says_why():
    def broken():
        raise OSError("no room\nleft on the device")

    def absent():
        raise Unavailable("not installed")

    times = timing.in_turns({"a": lambda: lambda: 1.0, "b": broken, "c": absent}, rounds=1)
    assert list(times) == ["a"]
    with pytest.raises(Unavailable, match="not installed"):
        times["c"]
    assert times.missing == {
        "b": "did not run here: OSError: left on the device",
        "c": "not installed",
    }


def test_the_number_of_threads_is_set_for_the_task_alone():
    usual, seen = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        timing.timed(lambda: seen.append(torch.get_num_threads()), times=3, threads=2)
        timing.timed(lambda: seen.append(torch.get_num_threads()))
        assert seen == [2, 2, 2, 1] and torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(usual)


def test_a_task_gives_the_seconds_of_one_run_without_the_preparing(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock.now)

    def takes(seconds):
        clock.now += seconds
        return "ready"

    assert timing.timed(lambda: takes(2.0), times=3)() == 2.0
    seen = []
    task = timing.after(lambda: takes(10), lambda ready: (seen.append(ready), takes(3)))
    assert task() == 3 and seen == ["ready", "ready"]
