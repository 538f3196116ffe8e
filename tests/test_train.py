"""Training: repeatable, resumable to the last bit, and clear about what stopped it.

The faces are 16x16 images with two blobs, the network has some thousand weights: a run of forty
steps takes a fraction of a second.
"""

import math
import shutil
import signal
import threading
import time
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from torch import nn

from hglib import checkpoint
from hglib import train as training
from hglib.augment import Augment
from hglib.data import EYES, Faces
from hglib.heatmap import gaussian_maps
from hglib.hourglass import Level, build
from hglib.inference import predict
from hglib.losses import Objective, total_loss
from hglib.metrics import evaluate
from hglib.train import (
    TrainConfig,
    Trainer,
    TrainingError,
    batches,
    config_text,
    fit,
    print_row,
    step_rng,
    stop_on_signal,
)

torch.set_num_threads(1)

SMALL = Augment(shift=0.5)  # images of 16 pixels: the default would push the eyes out
CONFIG = TrainConfig(epochs=4, batch=8, augment=SMALL, precision="float32", validations=4)


def faces(n: int = 40, size: int = 16, seed: int = 0) -> Faces:
    """Two dark eyes on a light, noisy ground; source rows start at 1000."""
    rng = np.random.default_rng(seed)
    middle = np.array([[size * 0.7, size * 0.45], [size * 0.3, size * 0.45]])
    points = (middle + rng.uniform(-1.5, 1.5, (n, 2, 2))).astype(np.float32)
    eyes = gaussian_maps(torch.from_numpy(points), (size, size), sigma=1.2).sum(dim=1).numpy()
    grey = 200 - 160 * eyes.clip(max=1) + rng.normal(0, 6, eyes.shape)
    return Faces(grey.clip(0, 255).astype(np.uint8), points, EYES, 1000 + np.arange(n), "drawn")


def network(seed: int = 0, **options) -> nn.Module:
    torch.manual_seed(seed)
    return build("lean", **({"widths": (4, 8)} | options))


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    assert first.keys() == second.keys()
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


TRAIN, VALIDATION = faces(), faces(12, seed=1)


@pytest.fixture(scope="module")
def whole():
    """One uninterrupted run: its weights and what `fit` returned."""
    model = network()
    result = fit(model, TRAIN, VALIDATION, CONFIG, every=3)
    return weights(model), result


def stop_at(step: int, also=lambda: None):
    """A report that presses Ctrl-C once, in the row that reaches `step`."""
    pressed = []

    def report(row):
        if row["step"] >= step and not pressed:
            pressed.append(row["step"])
            also()
            signal.raise_signal(signal.SIGINT)

    return report


# --- The same again ------------------------------------------------------------------------------


def test_same_seed_same_weights_other_seed_other_weights(whole):
    before, _ = whole
    again = network()
    torch.manual_seed(99)  # the global generator plays no part
    np.random.seed(99)
    fit(again, TRAIN, VALIDATION, CONFIG, every=3)
    assert same(before, weights(again))
    other = network()
    fit(other, TRAIN, VALIDATION, replace(CONFIG, seed=1))
    assert not same(before, weights(other))


def test_watching_a_run_does_not_change_it(whole):
    """Neither validations, nor reports, nor checkpoints touch the weights."""
    model = network()
    rows = []
    fit(model, TRAIN, None, CONFIG, report=rows.append, every=7)
    assert same(whole[0], weights(model)) and rows


@pytest.mark.parametrize("precision", ["bfloat16", "auto"])
def test_same_weights_in_every_precision(precision):
    config = replace(CONFIG, epochs=1, precision=precision)
    one, two = network(), network()
    fit(one, TRAIN, None, config)
    fit(two, TRAIN, None, config)
    assert same(weights(one), weights(two))
    assert all(p.dtype == torch.float32 for p in one.parameters())


# --- Interrupt and resume ------------------------------------------------------------------------


@pytest.mark.parametrize("step", [3, 10, 17])
def test_an_interrupted_run_ends_in_the_very_same_weights(whole, tmp_path, step):
    model = network()
    first = fit(model, TRAIN, VALIDATION, CONFIG, tmp_path, report=stop_at(step), every=1)
    assert first.interrupted and first.steps == step
    assert not model.training  # usable as it is
    assert not same(whole[0], weights(model))
    fresh = network(seed=5)  # another process would start from other weights
    second = fit(fresh, TRAIN, VALIDATION, CONFIG, tmp_path, resume=True, every=3)
    assert not second.interrupted and second.steps == whole[1].steps == 20
    assert same(whole[0], weights(fresh))
    ours, theirs = (r.history.dropna(subset="val_mean_px") for r in (second, whole[1]))
    assert ours["step"].tolist() == theirs["step"].tolist()
    assert ours["val_mean_px"].tolist() == theirs["val_mean_px"].tolist()
    assert ours["learning_rate"].tolist() == theirs["learning_rate"].tolist()


def test_interrupted_thrice_is_still_the_same_run(whole, tmp_path):
    for count in range(10):
        model = network(seed=count)
        report = stop_at(6 * (count + 1))
        result = fit(model, TRAIN, VALIDATION, CONFIG, tmp_path, True, report, every=1)
        if not result.interrupted:
            break
    assert count == 3 and same(whole[0], weights(model))


def test_a_run_that_dies_between_checkpoints_goes_on_from_the_last_one(whole, tmp_path):
    """The file of some moment is put aside, as a power cut would leave it."""
    folder, later = tmp_path / "run", tmp_path / "later"
    later.mkdir()

    def copy(row):
        if row["step"] == 13:  # the file then holds step 12
            shutil.copy(folder / "last.safetensors", later)

    fit(network(), TRAIN, VALIDATION, replace(CONFIG, save_every=0.0), folder, False, copy, 1)
    assert checkpoint.read(later / "last.safetensors")[1]["about"]["state"]["step"] == 12
    fresh = network(seed=5)
    result = fit(fresh, TRAIN, VALIDATION, CONFIG, later, resume=True)
    assert result.steps == 20 and same(whole[0], weights(fresh))
    assert (later / "best.safetensors").exists()


def test_resuming_a_finished_run_changes_nothing(whole, tmp_path):
    fit(network(), TRAIN, VALIDATION, CONFIG, tmp_path, every=3)
    again = network(seed=5)
    rows = []
    result = fit(again, TRAIN, VALIDATION, CONFIG, tmp_path, resume=True, report=rows.append)
    assert result.steps == 20 and not rows and same(whole[0], weights(again))
    assert result.history["step"].tolist() == whole[1].history["step"].tolist()


def test_without_resume_a_run_starts_afresh(whole, tmp_path):
    fit(network(), TRAIN, VALIDATION, CONFIG, tmp_path)
    model = network().eval()  # whatever mode it comes in
    rows = []
    fit(model, TRAIN, VALIDATION, CONFIG, tmp_path, report=rows.append)
    assert [row["step"] for row in rows] == [5, 10, 15, 20]
    assert same(whole[0], weights(model))
    nothing_there = network()
    fit(nothing_there, TRAIN, VALIDATION, CONFIG, tmp_path / "new", resume=True)
    assert same(whole[0], weights(nothing_there))


@pytest.mark.parametrize(
    "change, name",
    [
        ({"learning_rate": 0.5}, "learning_rate"),
        ({"seed": 3}, "seed"),
        ({"epochs": 9}, "epochs"),
        ({"objective": Objective(sigma=1.0)}, "objective.sigma"),
        ({"augment": Augment.none()}, "augment.rotation"),
    ],
)
def test_resuming_with_another_setting_names_it(tmp_path, change, name):
    fit(network(), TRAIN, None, replace(CONFIG, epochs=0.2), tmp_path)
    model = network(seed=5)
    before = weights(model)
    config = replace(replace(CONFIG, epochs=0.2), **change)
    mine = config_text(config)[name]
    with pytest.raises(ValueError) as caught:
        fit(model, TRAIN, None, config, tmp_path, resume=True)
    assert f"last.safetensors was trained with {name} = " in str(caught.value)
    assert f"not {mine}" in str(caught.value)
    assert same(before, weights(model))


def test_resuming_with_other_faces_or_another_network_names_it(tmp_path):
    config = replace(CONFIG, epochs=0.2)
    fit(network(), TRAIN, None, config, tmp_path)
    with pytest.raises(ValueError, match="trained with faces = 40, not 30"):
        fit(network(), TRAIN[:30], None, config, tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"trained with network = .*, not .*coarse_levels"):
        fit(network(coarse_levels=True), TRAIN, None, config, tmp_path, resume=True)


@pytest.mark.parametrize("what", ["images", "points"])
def test_resuming_with_other_images_or_other_labels_names_the_data(tmp_path, what):
    """Harmonised labels are other labels: a run must not go on with them unseen."""
    config = replace(CONFIG, epochs=0.2)
    fit(network(), TRAIN, None, config, tmp_path)
    given = {"images": TRAIN.images.copy(), "points": TRAIN.points.copy()}
    given[what][-1] += 1
    other = Faces(given["images"], given["points"], EYES, TRAIN.rows, TRAIN.source)
    with pytest.raises(ValueError, match=r"trained with data = [0-9a-f]+, not [0-9a-f]+;"):
        fit(network(), other, None, config, tmp_path, resume=True)


def test_faces_to_validate_on_are_as_large_as_those_to_train_on():
    with pytest.raises(ValueError, match=r"16x16 with 2 landmarks, those to validate on 32x32"):
        fit(network(), TRAIN, faces(12, size=32), CONFIG)


def test_how_often_to_save_may_change(tmp_path, whole):
    fit(network(), TRAIN, VALIDATION, CONFIG, tmp_path, report=stop_at(4), every=1)
    model = network()
    fit(model, TRAIN, VALIDATION, replace(CONFIG, save_every=1.0), tmp_path, resume=True)
    assert same(whole[0], weights(model))


def test_a_network_without_training_state_cannot_be_resumed(tmp_path):
    checkpoint.save(tmp_path / "last.safetensors", network())
    with pytest.raises(ValueError, match="no training state to resume from"):
        fit(network(), TRAIN, None, CONFIG, tmp_path, resume=True)


# --- Signals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", training.STOPS)
def test_a_second_signal_cannot_lose_the_last_save(tmp_path, monkeypatch, number):
    save = checkpoint.save

    def save_while_signals_come(*args):
        signal.raise_signal(number)
        save(*args)
        signal.raise_signal(number)

    monkeypatch.setattr(checkpoint, "save", save_while_signals_come)
    result = fit(network(), TRAIN, None, CONFIG, tmp_path, report=stop_at(3), every=1)
    assert result.interrupted
    assert checkpoint.read(tmp_path / "last.safetensors")[1]["about"]["state"]["step"] == 3


def test_a_request_to_terminate_counts_too(tmp_path):
    with stop_on_signal() as seen:
        signal.raise_signal(signal.SIGTERM)
    assert seen == [signal.SIGTERM]


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_the_old_handlers_come_back(error):
    def mine(number, frame):
        pass

    before = {s: signal.signal(s, mine) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        try:
            with stop_on_signal():
                assert signal.getsignal(signal.SIGINT) is not mine
                if error:
                    raise error
        except (ValueError, KeyboardInterrupt):
            pass
        assert all(signal.getsignal(s) is mine for s in before)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_handlers_come_back_after_fit_and_after_its_errors():
    before = signal.getsignal(signal.SIGINT)
    fit(network(), TRAIN, None, replace(CONFIG, epochs=0.2))
    assert signal.getsignal(signal.SIGINT) is before

    def broken(row):
        raise RuntimeError("the report is broken")

    with pytest.raises(RuntimeError, match="the report is broken"):
        fit(network(), TRAIN, None, CONFIG, report=broken, every=1)
    assert signal.getsignal(signal.SIGINT) is before


def test_training_works_outside_the_main_thread():
    results = []
    config = replace(CONFIG, epochs=0.4)
    thread = threading.Thread(target=lambda: results.append(fit(network(), TRAIN, None, config)))
    thread.start()
    thread.join()
    assert results[0].steps == 2


# --- History, validations, best ------------------------------------------------------------------


def test_the_history_has_one_row_per_stretch(whole):
    history = whole[1].history
    assert history.columns.tolist() == [
        *("step", "seconds", "epoch", "learning_rate", "loss", "peak"),
        *("val_mean_px", "val_e05", "val_e10"),
    ]
    # every third step, and the four validations at 5, 10, 15, 20
    assert history["step"].tolist() == [3, 5, 6, 9, 10, 12, 15, 18, 20]
    validated = history.dropna(subset="val_mean_px")
    assert validated["step"].tolist() == [5, 10, 15, 20]
    np.testing.assert_allclose(history["epoch"], history["step"] * 8 / 40)
    assert history["seconds"].is_monotonic_increasing
    rates = [CONFIG.learning_rate_at((step - 1) / 20) for step in history["step"]]
    np.testing.assert_allclose(history["learning_rate"], rates)
    assert history["loss"].notna().all() and history["peak"].between(0, 1).all()


def test_loss_and_peak_are_means_over_the_stretch():
    config = replace(CONFIG, epochs=1)
    single = fit(network(), TRAIN, None, config, every=1).history
    joint = fit(network(), TRAIN, None, config, every=3).history
    assert joint["step"].tolist() == [3, 5]  # the last stretch is shorter, and not lost
    for name in ("loss", "peak"):
        expected = [single[name][:3].mean(), single[name][3:].mean()]
        np.testing.assert_allclose(joint[name], expected)


def test_a_row_is_reported_when_it_is_made_and_prints_on_one_line(whole, capsys):
    rows = []
    result = fit(network(), TRAIN, VALIDATION, CONFIG, report=rows.append, every=3)
    assert [row["step"] for row in rows] == result.history["step"].tolist()
    print_row({name: value for name, value in rows[0].items() if not name.startswith("val")})
    assert capsys.readouterr().out == ""
    print_row(rows[-1])
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1 and "step     20" in printed
    assert f"{rows[-1]['val_mean_px']:.2f} px" in printed


def test_the_last_validation_is_of_the_final_weights(whole):
    model = network()
    result = fit(model, TRAIN, VALIDATION, CONFIG)
    report = evaluate(
        predict(model, VALIDATION.images, precision="float32").points.numpy(), VALIDATION.points
    )
    assert result.history["val_mean_px"].iloc[-1] == pytest.approx(report.mean_px)
    assert result.history["val_e10"].iloc[-1] == pytest.approx(report.e10)


@pytest.mark.parametrize("count", [0, 1, 3, 20, 50])
def test_as_many_validations_as_asked_for_but_one_per_step_at_most(count):
    history = fit(network(), TRAIN, VALIDATION, replace(CONFIG, validations=count)).history
    done = history["val_mean_px"].count() if count else 0
    assert done == min(count, 20)
    assert count or "val_mean_px" not in history
    if count:
        assert history["val_mean_px"].notna().iloc[-1] and history["step"].iloc[-1] == 20


def test_validation_reports_eyes_among_many_landmarks():
    names = ("nose_tip", *EYES)
    points = np.concatenate([np.full((40, 1, 2), 8, np.float32), TRAIN.points], axis=1)
    many = Faces(TRAIN.images, points, names, TRAIN.rows, "drawn")
    model = network(landmarks=3)
    row = Trainer(model, many, many, CONFIG).validate()
    found = predict(model, many.images, precision="float32").points.numpy()
    expected = evaluate(found, points, eyes=(1, 2))
    assert row["val_e05"] == expected.e05 and row["val_e10"] == expected.e10
    assert not math.isnan(row["val_e10"])


def test_best_is_the_network_of_the_lowest_validation_error(tmp_path, monkeypatch):
    errors = iter([3.0, 1.5, 2.0, 1.5])
    seen = {}

    def validate(self):
        error = next(errors)
        seen[self.state.step] = weights(self.model)
        return {"val_mean_px": error, "val_e05": 0.0, "val_e10": 0.0}

    monkeypatch.setattr(Trainer, "validate", validate)
    fit(network(), TRAIN, VALIDATION, CONFIG, tmp_path)
    tensors, header = checkpoint.read(tmp_path / "best.safetensors")
    assert header["about"] == {"step": 10, "val_mean_px": 1.5}
    best = network(seed=5)
    checkpoint.restore(tensors, best)
    assert same(weights(best), seen[10]) and not same(weights(best), seen[20])
    last = checkpoint.read(tmp_path / "last.safetensors")[1]["about"]["state"]
    assert last["step"] == 20 and last["best"] == 1.5 and last["validated"] == 4


def test_best_is_the_least_of_the_history_and_can_be_loaded(tmp_path):
    result = fit(network(), TRAIN, VALIDATION, CONFIG, tmp_path)
    column = result.history["val_mean_px"]
    model = checkpoint.load_model(tmp_path / "best.safetensors")
    found = predict(model, VALIDATION.images, precision="float32").points.numpy()
    assert evaluate(found, VALIDATION.points).mean_px == pytest.approx(column.min(), rel=1e-4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.safetensors", "last.safetensors"]


# --- Budgets and the learning rate ---------------------------------------------------------------


def test_a_budget_in_seconds_is_kept():
    config = replace(CONFIG, epochs=None, seconds=0.4)
    start = time.perf_counter()
    result = fit(network(), TRAIN, VALIDATION, config)
    taken = time.perf_counter() - start
    assert 0.4 <= result.seconds <= taken + 0.01 and taken < 5
    assert result.history["val_mean_px"].notna().iloc[-1]
    assert result.steps > 2
    assert result.history["learning_rate"].max() <= config.learning_rate


def test_a_slow_report_cannot_cost_the_final_validation():
    config = replace(CONFIG, epochs=None, seconds=0.5, validations=1)
    result = fit(network(), TRAIN, VALIDATION, config, report=lambda row: time.sleep(0.3), every=1)
    assert result.history["val_mean_px"].notna().iloc[-1]
    assert result.history["step"].iloc[-1] == result.steps


def test_time_of_earlier_sittings_counts(tmp_path):
    config = replace(CONFIG, epochs=None, seconds=1.0)
    stop = stop_at(1, also=lambda: time.sleep(0.3))
    first = fit(network(), TRAIN, VALIDATION, config, tmp_path, report=stop, every=1)
    second = fit(network(), TRAIN, VALIDATION, config, tmp_path, resume=True, every=1)
    assert second.history["seconds"].iloc[1] >= first.seconds >= 0.3
    assert first.interrupted and second.seconds >= 1.0 and second.steps > first.steps
    assert second.history["seconds"].is_monotonic_increasing
    third = fit(network(), TRAIN, VALIDATION, config, tmp_path, resume=True)
    assert third.steps == second.steps  # the budget was spent, so there is nothing to do


@pytest.mark.parametrize("epochs, steps", [(1, 5), (2.5, 12), (0.01, 1)])
def test_epochs_are_passes_over_the_data(epochs, steps):
    assert fit(network(), TRAIN, None, replace(CONFIG, epochs=epochs)).steps == steps


def test_the_rate_climbs_in_a_line_and_falls_along_a_cosine():
    config = TrainConfig(epochs=1, learning_rate=2.0, warmup=0.2, final_rate=0.1)
    expected = {0: 0.0, 0.05: 0.5, 0.1: 1.0, 0.2: 2.0, 0.6: 2 * (0.1 + 0.9 / 2), 1: 0.2}
    for progress, rate in expected.items():
        assert config.learning_rate_at(progress) == pytest.approx(rate)
    curve = np.array([config.learning_rate_at(p) for p in np.linspace(0.2, 1, 200)])
    assert (np.diff(curve) < 0).all()
    quarter = 2 * (0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2)
    assert config.learning_rate_at(0.4) == pytest.approx(quarter)
    assert replace(config, warmup=0.0).learning_rate_at(0) == 2.0
    constant = replace(config, schedule="constant")
    assert {constant.learning_rate_at(p) for p in (0, 0.05, 0.5, 1)} == {2.0}


def test_the_optimiser_gets_the_rate_of_its_step():
    run = Trainer(network(), TRAIN, None, CONFIG)
    for step, index in enumerate(islice(batches(40, 8, 0), 3)):
        run.step(index)
        assert [g["lr"] for g in run.optimizer.param_groups] == [CONFIG.learning_rate_at(step / 20)]


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, ["one budget"]),
        ({"seconds": 1, "epochs": 1}, ["one budget"]),
        ({"seconds": 0}, ["seconds is 0", "above 0"]),
        ({"epochs": -2.5}, ["epochs is -2.5", "above 0"]),
        ({"seconds": math.nan}, ["seconds is nan"]),
        ({"epochs": 1, "batch": 1}, ["batch is 1"]),
        ({"epochs": 1, "warmup": 1.0}, ["warmup is 1.0"]),
        ({"epochs": 1, "warmup": -0.1}, ["warmup is -0.1"]),
        ({"epochs": 1, "schedule": "step"}, ["schedule='step'", "'cosine', 'constant'"]),
    ],
)
def test_settings_that_make_no_sense_are_named(options, words):
    with pytest.raises(ValueError) as caught:
        TrainConfig(**options)
    assert all(word in str(caught.value) for word in words)


def test_an_empty_training_set_is_refused():
    with pytest.raises(ValueError, match="training set is empty"):
        fit(network(), TRAIN[:0], None, CONFIG)


# --- Batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count, batch", [(40, 8), (10, 4), (7, 3), (3, 8)])
def test_every_face_comes_once_per_epoch_in_a_new_order(count, batch):
    steps = 6 * count
    stream = np.concatenate(list(islice(batches(count, batch, seed=0), steps)))
    assert len(stream) == steps * batch
    epochs = stream.reshape(-1, count)
    assert (np.sort(epochs, axis=1) == np.arange(count)).all()
    assert len({tuple(epoch) for epoch in epochs[:4]}) > 1


@pytest.mark.parametrize("first_step", [1, 2, 7, 30])
def test_batches_can_start_anywhere_in_the_same_sequence(first_step):
    everything = np.stack(list(islice(batches(10, 4, seed=3), 40)))
    later = np.stack(list(islice(batches(10, 4, seed=3, first_step=first_step), 10)))
    assert (later == everything[first_step : first_step + 10]).all()
    other = np.stack(list(islice(batches(10, 4, seed=4), 40)))
    assert (other != everything).any()


def test_every_step_has_its_own_random_numbers():
    draws = {
        (seed, step): tuple(torch.rand(3, generator=step_rng(seed, step)).tolist())
        for seed in range(4)
        for step in range(50)
    }
    assert len(set(draws.values())) == 200
    assert tuple(torch.rand(3, generator=step_rng(2, 7)).tolist()) == draws[2, 7]


def test_a_batch_holds_the_faces_asked_for():
    run = Trainer(network(), TRAIN, None, replace(CONFIG, augment=Augment.none()))
    index = np.array([5, 0, 17])
    images, points = run.get_batch(index)
    np.testing.assert_allclose(images[:, 0], TRAIN.images[index] / 255, rtol=1e-6)
    np.testing.assert_array_equal(points, TRAIN.points[index])


# --- Learning ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, activation, loss",
    [
        ("lean", "softmax", "pixel_cross_entropy"),
        ("lean", "sigmoid", "binary_cross_entropy"),
        ("lean", "linear", "mean_squared_error"),
    ],
)
def test_a_network_can_learn_one_batch_by_heart(name, activation, loss):
    few = TRAIN[:8]
    sigma = 0.6 if activation == "softmax" else 1.0
    config = TrainConfig(
        epochs=150,
        batch=8,
        augment=Augment.none(),
        objective=Objective(loss, sigma=sigma),
        precision="float32",
        validations=1,
    )
    model = network(widths=(8, 16), activation=activation)
    before = predict(model, few.images, precision="float32").points.numpy()
    result = fit(model, few, few, config)
    assert evaluate(before, few.points).mean_px > 3
    assert result.history["val_mean_px"].iloc[-1] < 0.4
    assert result.history["loss"].iloc[-1] < result.history["loss"].iloc[0]


def test_the_step_is_adams_step_on_the_objective():
    """Against the loop that everybody writes by hand."""
    objective = Objective("binary_cross_entropy", sigma=1.0)
    config = replace(CONFIG, epochs=1, augment=Augment.none(), schedule="constant")
    config = replace(config, objective=objective)
    model, oracle = (network(activation="sigmoid") for _ in range(2))
    oracle = oracle.to(memory_format=torch.channels_last)  # Adam amplifies the last bits
    fit(model, TRAIN, None, config)
    optimizer = torch.optim.Adam(oracle.parameters(), config.learning_rate)
    oracle.train()
    for index in islice(batches(40, 8, config.seed), 5):
        levels = oracle(torch.from_numpy(TRAIN.images[index])[:, None] / 255)
        loss = total_loss(levels, torch.from_numpy(TRAIN.points[index]), (16, 16), objective)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, tensor in oracle.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)


# --- Missing labels ------------------------------------------------------------------------------


def test_missing_labels_do_not_break_the_weights():
    points = TRAIN.points.copy()
    points[::2, 0] = np.nan
    points[::3, 1] = np.nan
    holes = Faces(TRAIN.images, points, EYES, TRAIN.rows, "drawn")
    model = network()
    result = fit(model, holes, holes, CONFIG)
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    assert result.history["loss"].notna().all()
    assert result.history["val_mean_px"].notna().sum() == 4


def test_faces_without_any_label_are_refused():
    bare = replace_points(TRAIN, np.full_like(TRAIN.points, np.nan))
    with pytest.raises(ValueError, match="labelled point"):
        fit(network(), bare, None, CONFIG)


def test_what_an_unlabelled_landmark_would_have_been_is_never_seen():
    points = TRAIN.points.copy()
    points[:20, 1] = np.nan
    config = replace(CONFIG, epochs=1)
    model, other = network(), network()
    fit(model, replace_points(TRAIN, points), None, config)
    points[:20, 1, 0] = 3.0  # x without y is no label
    fit(other, replace_points(TRAIN, points), None, config)
    assert same(weights(model), weights(other))


def replace_points(faces: Faces, points: np.ndarray) -> Faces:
    return Faces(faces.images, points, faces.landmarks, faces.rows, faces.source)


def test_one_eye_alone_can_be_trained_without_mirroring():
    one = Faces(TRAIN.images, TRAIN.points[:, :1].copy(), EYES[:1], TRAIN.rows, "drawn")
    config = replace(CONFIG, epochs=0.4, augment=replace(SMALL, mirror=0.5))
    with pytest.raises(ValueError, match="train without mirroring"):
        fit(network(landmarks=1), one, one, config)
    config = replace(config, augment=SMALL.without("mirror"))
    result = fit(network(landmarks=1), one, one, config)
    assert result.history["val_mean_px"].notna().any()


# --- A loss that is not finite -------------------------------------------------------------------


def test_a_bad_loss_stops_before_the_step_and_says_where():
    run = Trainer(network(), TRAIN, None, CONFIG)
    order = list(islice(batches(40, 8, 0), 3))
    run.step(order[0])
    run.step(order[1])
    with torch.no_grad():
        run.model.heads[-1].bias[1] = math.nan
    before = weights(run.model)
    with pytest.raises(TrainingError) as caught:
        run.step(order[2])
    rows = ", ".join(str(1000 + i) for i in order[2])
    for words in ("nan", "step 2", "scores at stride 2", rows, "learning rate"):
        assert words in str(caught.value)
    after = weights(run.model)
    assert all(torch.equal(before[n].nan_to_num(7), after[n].nan_to_num(7)) for n in before)
    assert run.state.step == 2


def test_a_bad_image_does_not_reach_the_batch_normalisation(monkeypatch):
    run = Trainer(network(), TRAIN, None, CONFIG)
    order = list(islice(batches(40, 8, 0), 2))
    run.step(order[0])
    before = weights(run.model)
    load = run.get_batch

    def broken(index):
        images, points = load(index)
        images[3] = math.inf
        return images, points

    monkeypatch.setattr(run, "get_batch", broken)
    with pytest.raises(TrainingError, match="step 1"):
        run.step(order[1])
    assert same(before, weights(run.model))
    monkeypatch.undo()
    run.step(order[1])  # and one can go on from here
    assert all(tensor.isfinite().all() for tensor in run.model.state_dict().values())


def test_a_loss_that_breaks_after_good_scores_is_told_apart(monkeypatch):
    run = Trainer(network(), TRAIN, None, CONFIG)
    monkeypatch.setattr(
        training, "total_loss", lambda levels, *_: levels[0].scores.sum() * math.inf
    )
    with pytest.raises(TrainingError, match=r"step 0 .* first bad values are in the loss itself"):
        run.step(np.arange(8))


def test_an_absurd_learning_rate_ends_in_a_training_error():
    config = replace(CONFIG, learning_rate=1e30, schedule="constant")
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at step \d+ .*1e\+30"):
        fit(network(), TRAIN, None, config)


# --- Interrupted histories, folders, own networks ------------------------------------------------


def test_an_interrupted_history_is_the_uninterrupted_one(whole, tmp_path):
    pressed, step = [], Trainer.step

    def stepping(self, index):
        seen = step(self, index)
        if self.state.step == 7 and not pressed:
            pressed.append(signal.raise_signal(signal.SIGINT))
        return seen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "step", stepping)
        assert fit(network(), TRAIN, VALIDATION, CONFIG, tmp_path, every=3).interrupted
    fresh = network(seed=5)
    result = fit(fresh, TRAIN, VALIDATION, CONFIG, tmp_path, resume=True, every=3)
    assert same(whole[0], weights(fresh))
    assert result.history.drop(columns="seconds").equals(whole[1].history.drop(columns="seconds"))


def test_an_earlier_run_is_moved_aside_whole(tmp_path):
    config = replace(CONFIG, epochs=1, validations=1)
    fit(network(), TRAIN, VALIDATION, config, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    fit(network(seed=1), TRAIN, None, config, tmp_path)
    assert {p.name: p.read_bytes() for p in (tmp_path / "previous-1").iterdir()} == before
    assert not (tmp_path / "best.safetensors").exists()  # it was another network's


def test_two_runs_cannot_share_a_folder_and_a_dead_one_leaves_nothing(tmp_path):
    (tmp_path / "last.safetensors12345678.part").write_bytes(b"half")
    (tmp_path / "mine.part").write_bytes(b"kept")
    with checkpoint.own_folder(tmp_path), pytest.raises(OSError, match="another run"):
        fit(network(), TRAIN, None, CONFIG, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.part"]


def test_a_folder_that_cannot_be_written_is_named_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(Trainer, "step", lambda *_: pytest.fail("it worked first"))
    with pytest.raises(OSError, match="cannot be written"):
        fit(network(), TRAIN, None, CONFIG, tmp_path / "file" / "run")


def test_other_faces_of_the_same_number_are_refused(tmp_path):
    fit(network(), TRAIN, None, replace(CONFIG, epochs=0.4), tmp_path)
    with pytest.raises(ValueError, match="trained with data = "):
        fit(network(), faces(seed=9), None, replace(CONFIG, epochs=0.4), tmp_path, resume=True)


class Own(nn.Module):
    """A reader's network: one convolution, one level, registered nowhere."""

    activation, decoder = "softmax", "argmax"

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.layer, self.stride = nn.Conv2d(1, 2, 5, padding=2), stride

    def forward(self, x):
        return [Level(self.layer(x), self.stride, "softmax")]


def test_a_network_of_ones_own_is_trained_saved_resumed_and_loaded(tmp_path):
    def begin():
        torch.manual_seed(3)
        return Own()

    model, again = begin(), Own()
    fit(model, TRAIN, VALIDATION, CONFIG, tmp_path / "whole")
    stopped = fit(begin(), TRAIN, VALIDATION, CONFIG, tmp_path / "cut", report=stop_at(5))
    assert stopped.interrupted
    fit(again, TRAIN, VALIDATION, CONFIG, tmp_path / "cut", resume=True)
    loaded = checkpoint.load_model(tmp_path / "cut" / "last.safetensors", Own())
    assert same(weights(model), weights(again)) and same(weights(model), weights(loaded))
    assert torch.equal(predict(model, TRAIN.images)[0], predict(loaded, TRAIN.images)[0])
    with pytest.raises(ValueError, match=r"last\.safetensors: .*give load_model the network"):
        checkpoint.load_model(tmp_path / "cut" / "last.safetensors")


def test_a_network_that_does_not_meet_the_protocol_is_told_what():
    with pytest.raises(ValueError, match="level 0: scores are"):
        fit(Own(stride=2), TRAIN, None, CONFIG)
    with pytest.raises(ValueError, match="returned a Tensor"):
        fit(nn.Conv2d(1, 2, 1), TRAIN, None, CONFIG)


# --- What may go wrong beside the arithmetic -----------------------------------------------------


def test_training_goes_on_when_the_disk_is_full_for_a_while(tmp_path, monkeypatch, whole):
    real, tried = checkpoint.save, []

    def full_at_first(path, *rest):
        tried.append(path)
        if len(tried) <= 3:
            raise OSError(f"{path}: could not be saved (no space left)")
        real(path, *rest)

    monkeypatch.setattr(checkpoint, "save", full_at_first)
    model = network()
    with pytest.warns(UserWarning, match="no space left.*training goes on"):
        fit(model, TRAIN, VALIDATION, replace(CONFIG, save_every=0.0), tmp_path)
    assert same(whole[0], weights(model))
    assert same(checkpoint_weights(tmp_path), whole[0])


def checkpoint_weights(folder):
    tensors, _ = checkpoint.read(folder / "last.safetensors")
    return {k.removeprefix("model/"): t for k, t in tensors.items() if k.startswith("model/")}


def test_a_deleted_best_is_made_again(tmp_path):
    fit(network(), TRAIN, VALIDATION, CONFIG, tmp_path, report=stop_at(12), every=1)
    (tmp_path / "best.safetensors").unlink()
    fit(network(), TRAIN, VALIDATION, CONFIG, tmp_path, resume=True)
    assert "val_mean_px" in checkpoint.read(tmp_path / "best.safetensors")[1]["about"]


def test_a_finished_run_makes_a_deleted_or_unsaved_best_again(tmp_path, monkeypatch):
    last = fit(network(), TRAIN, VALIDATION, CONFIG, tmp_path).history["val_mean_px"].iloc[-1]
    (tmp_path / "best.safetensors").unlink()
    fit(network(), TRAIN, VALIDATION, CONFIG, tmp_path, resume=True)
    about = checkpoint.read(tmp_path / "best.safetensors")[1]["about"]
    assert about == {"step": 20, "val_mean_px": last}  # the weights at hand are those of the end
    real = checkpoint.save

    def no_best(path, *rest):
        if path.name == "best.safetensors":
            raise OSError(f"{path}: could not be saved (no space left)")
        real(path, *rest)

    monkeypatch.setattr(checkpoint, "save", no_best)
    with pytest.warns(UserWarning, match="best.*no space left.*training goes on"):
        assert fit(network(), TRAIN, VALIDATION, CONFIG, tmp_path / "new").steps == 20
    monkeypatch.undo()
    fit(network(), TRAIN, VALIDATION, CONFIG, tmp_path / "new", resume=True)
    assert checkpoint.read(tmp_path / "new" / "best.safetensors")[1]["about"]["step"] == 20


def test_a_best_that_could_not_be_saved_is_not_remembered_as_one(tmp_path, monkeypatch):
    real, errors, tried = checkpoint.save, iter([1.0, 3.0, 2.0, 4.0]), []

    def full_once(path, *rest):
        tried.append(path)
        if len(tried) == 1:
            raise OSError("no space left")
        real(path, *rest)

    monkeypatch.setattr(checkpoint, "save", full_once)
    scores = {"val_e05": 0.0, "val_e10": 0.0}
    monkeypatch.setattr(Trainer, "validate", lambda self: {"val_mean_px": next(errors)} | scores)
    with pytest.warns(UserWarning, match="training goes on"):
        fit(network(), TRAIN, VALIDATION, CONFIG, tmp_path)
    about = checkpoint.read(tmp_path / "best.safetensors")[1]["about"]
    assert about == {"step": 15, "val_mean_px": 2.0}


class Spare(Own):
    """A network with a part that no loss reaches: Adam never touches it."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(2, 2)


def test_a_network_with_a_part_that_is_not_used_is_resumed_bit_for_bit(tmp_path):
    def begin(seed):
        torch.manual_seed(seed)
        return Spare()

    model, again = begin(3), begin(4)
    fit(model, TRAIN, VALIDATION, CONFIG)
    assert fit(begin(3), TRAIN, VALIDATION, CONFIG, tmp_path, report=stop_at(5)).interrupted
    fit(again, TRAIN, VALIDATION, CONFIG, tmp_path, resume=True)
    assert same(weights(model), weights(again))


def test_the_generator_of_a_step_is_the_one_that_every_result_depends_on():
    """The upper 63 of the 64 bits that numpy's SeedSequence makes of (seed, step, block)."""
    for key in ((0, 0, 0), (3, 17, 2), (12345, 1, 0)):
        (word,) = np.random.SeedSequence(key).generate_state(1, dtype=np.uint64)
        own = torch.Generator().manual_seed(int(word) // 2)
        assert torch.equal(torch.rand(8, generator=step_rng(*key)), torch.rand(8, generator=own))


def test_a_run_of_epochs_has_the_nearest_whole_number_of_steps():
    for epochs, steps in ((0.05, 1), (0.5, 2), (0.69, 3), (0.9, 4), (1.1, 6), (2, 10)):
        run = Trainer(network(), TRAIN, None, replace(CONFIG, epochs=epochs))
        assert run.total_steps == max(1, round(epochs * 40 / 8)) == steps


def test_checkpoints_are_as_far_apart_as_asked(tmp_path, monkeypatch):
    clock, saved = iter(range(10**6)), []
    monkeypatch.setattr(training.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(Trainer, "save", lambda self, path: saved.append(self.state.step))
    fit(network(), TRAIN, None, replace(CONFIG, save_every=12.0), tmp_path)
    apart = np.diff(saved)
    assert len(saved) > 2 and (apart[:-1] * 2 <= 16).all() and (apart[:-1] >= 4).all(), saved


@pytest.mark.parametrize(
    ("field", "value"),
    [("step", -1), ("step", 10**12), ("step", 1.5), ("step", True), ("validated", "4"),
     ("elapsed", math.nan), ("best", -1.0), ("rows", "none"), ("rows", [1]), ("stretch", {}),
     ("stretch", [{"loss": 1.0}]), ("stretch", [{"loss": 1.0, "peak": "high"}]),
     ("newer", 3)],
)  # fmt: skip
def test_a_state_that_cannot_be_is_refused(field, value):
    good = {"step": 3, "elapsed": 1.0, "best": 2.0, "validated": 1, "rows": [], "stretch": []}
    assert training.read_state(good, 20).step == 3
    with pytest.raises(ValueError, match=r"state"):
        training.read_state(good | {field: value}, 20)


def test_a_batch_larger_than_the_set_shows_faces_more_than_once():
    index = next(batches(5, 12, seed=0))
    assert sorted(np.bincount(index)) == [2, 2, 2, 3, 3]
    assert fit(network(), TRAIN[:5], None, replace(CONFIG, batch=12)).steps == 2
