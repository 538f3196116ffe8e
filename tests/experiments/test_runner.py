"""Every experiment: one command, tiny budget, saved row by row, interrupted and resumed."""

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from hglib.commands import main
from hglib.datasets import locate
from hglib.experiments import EXPERIMENTS, runner, synthetic_faces
from hglib.experiments.record import RESULTS, Record, read
from hglib.train import Fit, TrainConfig


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, and real faces that are none."""
    monkeypatch.chdir(tmp_path)
    real = tmp_path / "faces"
    real.mkdir()
    for name in ("face_images.npz", "facial_keypoints.csv"):
        shutil.copy(locate("synthetic", 60) / name, real)
    return real


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_each_measures_on_a_tiny_budget_writes_to_runs_alone_and_repeats_nothing(
    name, here, capsys, monkeypatch
):
    monkeypatch.setattr(synthetic_faces, "parts_of_the_generator", lambda: ["hair"])
    before = files(RESULTS.parents[1])
    data = ["--data", str(here)] if name == "synthetic_faces" else []
    command = ["experiment", name, "--budget", "tiny", *data]
    assert main(command) == 0
    said = capsys.readouterr().out
    kept = read(here.parent / "runs" / "experiments" / f"{name}_tiny.json")
    assert kept.experiment == name and kept.figures and "[1/" in said
    assert kept.command.startswith(f"python -m hglib experiment {name} --budget tiny")
    assert str(here) not in str(kept)
    assert main(command) == 0
    again = capsys.readouterr().out
    assert f"{len(kept.figures)} of {len(kept.figures)} rows are in" in again and "[1/" not in again
    assert {path.name for path in here.parent.iterdir()} <= {"faces", "runs"}
    after = files(RESULTS.parents[1])
    assert {p for p in after if after[p] != before.get(p) and "__pycache__" not in p.parts} == set()


def test_an_interruption_loses_the_row_that_it_hit_and_no_other(tmp_path, capsys):
    calls = []

    def job(name, stop=False):
        def run():
            calls.append(name)
            if stop and calls.count(name) == 1:
                raise KeyboardInterrupt
            return {"px": 1.0}

        return run

    jobs = {"a": job("a"), "b": job("b", stop=True), "c": job("c")}
    path, record = tmp_path / "x.json", Record("x")
    with pytest.raises(KeyboardInterrupt):
        runner.measure(record, jobs, path)
    assert list(read(path).figures) == ["a"]
    assert "interrupted; 1 new rows are in" in capsys.readouterr().out
    runner.measure(read(path), jobs, path)
    assert calls == ["a", "b", "b", "c"] and list(read(path).figures) == ["a", "b", "c"]
    assert "1 of 3 rows are in" in capsys.readouterr().out


def test_half_a_training_is_no_result_and_a_long_row_says_that_it_runs(capsys, monkeypatch):
    result, config = Fit(None, False, 3, 1.0), TrainConfig(epochs=1)
    monkeypatch.setattr(runner, "fit", lambda *a, **k: result)
    assert runner.trained(lambda: "network", None, config) == ("network", result)
    result = replace(result, interrupted=True)
    with pytest.raises(KeyboardInterrupt):
        runner.trained(lambda: "network", None, config)
    with runner.heartbeat("a row", every=0.01):
        time.sleep(0.2)
    said = capsys.readouterr().out
    time.sleep(0.05)
    assert "a row: 0 s so far" in said and not capsys.readouterr().out


def test_ctrl_c_keeps_the_finished_rows_and_the_same_command_goes_on(tmp_path):
    command = [sys.executable, "-u", "-m", "hglib", "experiment", "ablation", "--budget", "tiny"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("[2/3]"):
                process.send_signal(signal.SIGINT)
            last = line
    assert process.returncode == 130 and "the same command goes on" in last
    kept = read(tmp_path / "runs" / "experiments" / "ablation_tiny.json")
    assert 1 <= len(kept.figures) < 3
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and f"{len(kept.figures)} of 3 rows are in" in done.stdout


def test_other_data_do_not_go_into_the_same_file(here, capsys):
    path = here.parent / "mine.json"
    command = ["experiment", "landmarks15", "--budget", "tiny", "--only", "complete"]
    command += ["--save", str(path)]
    assert main(command) == 0
    before = path.read_bytes()
    assert main([*command, "--data", str(here)]) == 1
    assert "mine.json: holds rows for data='synthetic faces" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert main(["experiment", "plateau", "--budget", "tiny", "--save", str(path)]) == 1
    assert "results of landmarks15" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["acuracy"], "no experiment is called 'acuracy'; there are accuracy,"),
        (["accuracy", "--data", "nowhere"], "nowhere: no such file or folder"),
        (["synthetic_faces", "--data", "nowhere"], "nowhere: no such file or folder"),
        (["synthetic_faces", "--data", "synthetic"], "measured on real faces: give --data"),
        (["landmarks15", "--data", "nowhere"], "nowhere: no such file or folder"),
        (["accuracy", "--networks", "leen"], "'leen' is none of lean, original"),
        (["accuracy", "--seconds", "nan"], "--seconds [nan]: expected more than 0"),
        (["speed", "--rounds", "0"], "--rounds 0: expected more than 0"),
        (["pretrain", "--epochs", "-1"], "--epochs -1.0: expected more than 0"),
        (["scenes", "--seeds", "1"], "leave --seeds away"),
        (["costs", "--data", "faces"], "leave --data away"),
        (["ablation", "--rows", "defualt"], "did you mean default?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["experiment", *arguments]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_lists(capsys):
    assert main(["experiment", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(EXPERIMENTS)
    assert main(["experiment", "ablation", "--list"]) == 0
    assert "our default" in capsys.readouterr().out
