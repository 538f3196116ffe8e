"""Threads for the cores that are free, with a clock of our own."""

import os
from pathlib import Path

import pytest
import torch

from hglib import env

STAT = Path("/proc/stat")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Four cores for which torch takes four threads; returns a way to let time pass."""
    used = [0.0, 0.0, 0.0]  # seconds by the clock, of busy cores, of this process
    threads = [4]
    monkeypatch.setattr(env, "STAT", tmp_path)  # it exists
    monkeypatch.setattr(env, "_share", None)
    monkeypatch.setattr(env, "_used", lambda: tuple(used))
    monkeypatch.setattr(env.time, "monotonic", lambda: used[0])
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda n: threads.__setitem__(0, n))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def passes(seconds: float, others: float = 0.0, own: float = 0.0) -> None:
        used[0] += seconds
        used[1] += seconds * (others + own)
        used[2] += seconds * own

    monkeypatch.setattr(env.time, "sleep", passes)
    passes.threads = threads
    return passes


@pytest.mark.parametrize(
    ("others", "expected"), [(0, 4), (0.4, 4), (0.6, 3), (1, 3), (2, 2), (3, 1), (9, 1)]
)
def test_as_many_threads_as_cores_are_free(machine, others, expected):
    assert env.share_cores() == 4
    machine(5, others, own=2)
    assert env.share_cores() == machine.threads[0] == expected


def test_the_first_call_looks_for_a_tenth_of_a_second(machine, monkeypatch):
    monkeypatch.setattr(env.time, "sleep", lambda s: machine(s, others=2))
    assert env.share_cores() == 2


def test_the_threads_come_back_but_not_at_once(machine):
    env.share_cores()
    machine(5, others=3)
    assert env.share_cores() == 1
    machine(1)
    assert env.share_cores() == 1  # looked a second ago
    machine(4)
    assert env.share_cores() == 4


def test_a_number_that_somebody_chose_is_kept(machine, monkeypatch):
    env.share_cores()
    machine.threads[0] = 3
    machine(5, others=3)
    assert env.share_cores() == 3
    monkeypatch.setattr(env, "_share", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert env.share_cores() == 3


def test_other_systems_are_left_alone(machine, monkeypatch):
    monkeypatch.setattr(env, "STAT", Path("no such file"))
    machine(5, others=3)
    assert env.share_cores() == 4


@pytest.mark.skipif(not STAT.exists(), reason="needs Linux's /proc/stat")
def test_what_the_system_counts(monkeypatch):
    """A busy process of our own shows in both sums, by the same seconds or more."""
    monkeypatch.setattr(env, "STAT", STAT)
    before = env._used()
    while env.time.process_time() < before[2] + 0.3:
        pass
    clock, busy, own = (b - a for a, b in zip(before, env._used(), strict=True))
    assert clock > 0.25 and own >= 0.3 and busy > 0.25
