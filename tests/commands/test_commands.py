"""The command line, called as a user calls it, on faces small and few enough to be quick."""

import json
import subprocess
import sys
import types

import numpy as np
import pytest
import torch

from hglib import checkpoint, commands, recipes
from hglib.datasets import load
from hglib.datasets.conventions import harmonise
from hglib.datasets.split import split
from hglib.hourglass import build
from hglib.inference import predict
from hglib.metrics import evaluate, mean_position_baseline

FACES = ["--data", "synthetic", "--synthetic-faces", "60"]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """One small set of synthetic faces for the whole file."""
    monkeypatch.setenv("HGLIB_CACHE", str(tmp_path_factory.getbasetemp() / "cli-cache"))
    torch.set_num_threads(1)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    checkpoint.save(path, build("lean", widths=[4, 8]))
    return path


def test_data_says_what_there_is(capsys):
    assert commands.main(["data", *FACES]) == 0
    said = capsys.readouterr().out
    assert "60 faces of 96x96" in said and "split: train" in said and "right_eye_center" in said


def test_data_can_be_saved_as_json(tmp_path):
    path = tmp_path / "about.json"
    assert commands.main(["data", *FACES, "--save", str(path)]) == 0
    said = json.loads(path.read_text())
    assert said["faces"] == 60 and said["about"].startswith("synthetic")


def test_train_leaves_weights_that_evaluate_reads(tmp_path, capsys):
    out = tmp_path / "run"
    assert commands.main(["train", *FACES, "--epochs", "0.5", "--out", str(out)]) == 0
    assert "weights in" in capsys.readouterr().out
    last = str(out / "last.safetensors")
    assert commands.main(["evaluate", *FACES, "--part", "train", "--json", last]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["part"] == "train" and len(said["results"]) == 2
    parts = split(load("synthetic", n_synthetic=60, verbose=False))
    model = checkpoint.load_model(last)
    own = evaluate(predict(model, parts.train.images).points.numpy(), parts.train.points)
    assert said["results"][last]["mean_px"] == pytest.approx(own.mean_px)


LABELLED = ["--data", "synthetic", "--synthetic-faces", "300"]  # enough for two conventions


@pytest.fixture
def both(cache):
    """300 faces split, as the file has them and harmonised."""
    faces = load("synthetic", n_synthetic=300, verbose=False)
    return split(faces), split(harmonise(faces).faces)


def test_evaluate_reports_harmonised_and_raw_labels(weights, both, capsys):
    call = ["evaluate", *LABELLED, str(weights)]
    assert commands.main([*call, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    found = predict(checkpoint.load_model(weights), both[0].test.images).points.numpy()
    for name, parts in zip(("raw_results", "results"), both, strict=True):
        guess = mean_position_baseline(parts.train.points, len(parts.test))
        for row, points in (("mean position", guess), (str(weights), found)):
            own = evaluate(points, parts.test.points).mean_px
            assert said[name][row]["mean_px"] == pytest.approx(own, abs=1e-5)
    assert said["results"] != said["raw_results"]
    assert said["labels"]["verdict"] == "two conventions"
    assert commands.main(call) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("Labels: two conventions: rows 0 to ") for line in lines) == 1
    assert sum(line.startswith(str(weights)) for line in lines) == 2
    assert lines.index("harmonised labels:") < lines.index("labels as the file has them:")


def test_raw_labels_are_one_argument_away(weights, both, capsys):
    assert commands.main(["evaluate", *LABELLED, "--raw-labels", "--json", str(weights)]) == 0
    said = json.loads(capsys.readouterr().out)
    guess = mean_position_baseline(both[0].train.points, len(both[0].test))
    own = evaluate(guess, both[0].test.points).mean_px
    assert said["results"]["mean position"]["mean_px"] == pytest.approx(own, abs=1e-5)
    assert said["labels"] is None and "raw_results" not in said


@pytest.mark.parametrize("raw", [False, True])
def test_train_learns_from_harmonised_labels_unless_told_not_to(
    raw, both, monkeypatch, tmp_path, capsys
):
    seen = {}

    def fit(model, train, validation, config, *more, **named):
        seen.update(train=train, validation=validation, config=config)
        return types.SimpleNamespace(interrupted=False, steps=0, seconds=0.0)

    monkeypatch.setattr("hglib.train.fit", fit)
    more = ["--raw-labels"] if raw else ["--mirror", "0.5"]
    out = ["--out", str(tmp_path / "run")]
    assert commands.main(["train", *LABELLED, "--epochs", "40", *out, *more]) == 0
    expected = both[0] if raw else both[1]
    for name in ("train", "validation"):
        np.testing.assert_array_equal(seen[name].points, getattr(expected, name).points)
        np.testing.assert_array_equal(seen[name].rows, getattr(expected, name).rows)
    assert seen["config"].augment.mirror == (0.0 if raw else 0.5)
    assert seen["config"].augment.rotation == recipes.LONG_AUGMENT.rotation
    assert ("moved by" in capsys.readouterr().out) != raw


def test_data_says_which_conventions_there_are(capsys):
    assert commands.main(["data", *LABELLED]) == 0
    assert "Labels: two conventions: rows 0 to " in capsys.readouterr().out


def test_json_holds_no_value_that_json_has_not(weights, capsys):
    commands.main(["evaluate", *FACES, "--part", "train", "--json", str(weights)])

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    json.loads(capsys.readouterr().out, parse_constant=refuse)


def test_table_has_a_line_per_network(weights, capsys):
    commands.main(["evaluate", *FACES, "--part", "train", "--table", str(weights)])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("mean position") for line in lines)
    assert any(line.startswith(str(weights)) for line in lines)


@pytest.mark.parametrize(
    "arguments, names",
    [
        (["evaluate", "--data", "nowhere"], "nowhere"),
        (["evaluate", *FACES, "gone.safetensors"], "gone.safetensors: no such checkpoint"),
        (["find", "gone.jpg"], "gone.jpg: no such file"),
    ],
)
def test_mistakes_are_one_line_that_names_them(arguments, names, weights, capsys):
    if arguments[0] == "find":
        arguments = [*arguments, "--weights", str(weights)]
    assert commands.main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"hglib {arguments[0]}: ") and names in said
    assert said.count("\n") == 1


RANGES = {
    "find any.jpg --smallest": ["-5", "0", "1", "1e-300", "1e9", "nan", "inf", "wide"],
    "find any.jpg --box 0 0 9": ["nan", "inf", "1e9"],
    "train --seconds": ["0", "-1", "nan", "inf", "1e99"],
    "train --epochs": ["0", "-1", "nan", "inf"],
    "train --batch": ["0", "1", "-3", "2.5", "1e9"],
    "train --mirror": ["-0.1", "1.5", "nan"],
    "train --seed": ["-1", "0.5", str(2**80)],
    "data --synthetic-faces": ["0", "-1", "2.5", "1e12"],
    "evaluate --synthetic-faces": ["0"],
}


@pytest.mark.parametrize("option", RANGES)
def test_a_number_outside_its_range_is_one_sentence(option, capsys):
    for value in RANGES[option]:
        with pytest.raises(SystemExit) as ended:
            commands.main([*option.split(), value])
        said = capsys.readouterr().err
        name = next(word for word in option.split() if word.startswith("--"))
        assert ended.value.code == 2 and said.count("\n") == 1
        assert name in said and repr(value) in said, said


def test_one_unreadable_file_does_not_lose_the_figures_of_the_others(weights, capsys):
    files = ["gone.safetensors", str(weights)]
    assert commands.main(["evaluate", *FACES, "--part", "train", *files]) == 1
    told = capsys.readouterr()
    assert any(line.startswith(str(weights)) for line in told.out.splitlines())
    assert "gone.safetensors" in told.err


@pytest.mark.parametrize("command", ["", "data", "train", "evaluate", "find"])
def test_help_is_there_for_every_command(command):
    call = [sys.executable, "-m", "hglib", *command.split(), "--help"]
    said = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    assert said.startswith("usage: python -m hglib")


def test_recipes_cover_every_network_and_refuse_others():
    for name in ("lean", "original", "stacked", "pretrained"):
        assert recipes.recipe(name, epochs=1).epochs == 1
        assert recipes.beginning(name)(torch.zeros(2, 1, 64, 64))
    with pytest.raises(
        ValueError, match="network='leen' is not known; choose one of 'lean', 'original', 'stacked'"
    ):
        recipes.recipe("leen", epochs=1)


def test_the_pretrained_beginning_is_what_comes_along_and_takes_no_options():
    model, theirs = (
        recipes.beginning("pretrained"),
        checkpoint.load_model(recipes.pretrained()["lean"]),
    )
    for mine, other in zip(model.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
    with pytest.raises(ValueError, match="for two eyes: no landmarks"):
        recipes.beginning("pretrained", landmarks=15)


def test_the_recipe_of_2019_is_the_scripts():
    config = recipes.recipe("original", seconds=1)
    assert (config.batch, config.learning_rate, config.learning_rate_at(0.9)) == (8, 1e-3, 1e-3)
    assert config.objective.round_labels and config.objective.pyramid == "max_pool"
    assert config.augment == config.augment.none()


@pytest.mark.parametrize("budget", [{"seconds": 600}, {"epochs": 60}])
def test_long_runs_of_the_default_network_change_the_images_more(budget):
    short, long = recipes.recipe("lean", epochs=5), recipes.recipe("lean", **budget)
    assert long.augment == recipes.LONG_AUGMENT != short.augment
    given = recipes.recipe("lean", augment=short.augment, **budget)
    assert given.augment == short.augment  # what the caller asks for comes first
    assert recipes.recipe("original", **budget).augment == short.augment.none()
