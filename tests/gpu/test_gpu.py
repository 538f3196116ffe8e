"""The step on the device: the same step as the loop's, whoever starts it.

Without a GPU everything but the recording is tested: a stand-in policy sends the run's steps
through `DeviceStep` on the CPU. With one, the graph is compared with the same steps from Python.
"""

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import several_processes as small
import torch
from torch import nn

from hglib import checkpoint, gpu
from hglib import train as training
from hglib.augment import Augment
from hglib.gpu import AHEAD, DeviceStep, OneGPU
from hglib.gpu import fit as fit_here
from hglib.hourglass import Level, build
from hglib.inference import choose_precision, predict
from hglib.parallel import Group
from hglib.recipes import recipe
from hglib.train import Alone, TrainConfig, Trainer, TrainingError, batches, fit, step_seed

torch.set_num_threads(1)

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=NO_GPU)]
TRAIN, VALIDATION = small.faces(40, seed=0), small.faces(12, seed=1)
CONFIG = TrainConfig(
    epochs=4,
    batch=8,
    learning_rate=1e-3,
    objective=small.CONFIG.objective,
    augment=Augment(mirror=0.5, shift=0.5),
    precision="float32",
    validations=4,
)
# What float32 sums in another order do to weights of about .1 in twenty steps of Adam, which moves
# each by up to 2e-2. A GPU adds up in an order of its own, and in a new one every time.
CLOSE = {"rtol": 2e-3, "atol": 2e-4}
ON_GPU = {"rtol": 0.02, "atol": 2e-3}
if torch.cuda.is_available():
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32 here


def network(device: str = "cpu", seed: int = 0) -> nn.Module:
    return small.network(seed).to(device)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def assert_close(first: nn.Module, second: nn.Module, **tolerance: float) -> None:
    on_gpu = any(next(model.parameters()).is_cuda for model in (first, second))
    tolerance = tolerance or (ON_GPU if on_gpu else CLOSE)
    torch.testing.assert_close(weights(first), weights(second), **tolerance)


@pytest.fixture
def stand_in(monkeypatch):
    """Every run's steps are those of a GPU, without a GPU."""
    monkeypatch.setattr(Alone, "recorded", OneGPU.recorded)


def trainer(device: str = "cpu", **changes) -> Trainer:
    return Trainer(network(device), TRAIN, VALIDATION, replace(CONFIG, **changes))


def steps(run: Trainer, count: int, first: int = 0) -> list[dict[str, float]]:
    indices = list(islice(batches(len(TRAIN), run.config.batch, 0, first), count))
    rates = [run.config.learning_rate_at(run.progress(n)) for n in range(count)]
    seeds = [step_seed(0, first + n) for n in range(count)]
    return DeviceStep(run).steps(indices, rates, seeds)


# --- The same step -------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_without_augmentation_it_is_the_loops_step(device):
    ours, loop = (trainer(device, augment=Augment.none()) for _ in range(2))
    seen = steps(ours, 12)
    expected = [loop.step(index) for index in islice(batches(40, 8, 0), 12)]
    for name in ("loss", "peak"):
        np.testing.assert_allclose([s[name] for s in seen], [s[name] for s in expected], rtol=5e-3)
    assert ours.state.step == loop.state.step == 12
    assert_close(ours.model, loop.model)


def test_with_augmentation_too_where_the_generator_is_the_cpus():
    """A batch of one block: the very same random numbers, drawn by another hand."""
    ours, loop = trainer(), trainer()
    seen = steps(ours, 12)
    expected = [loop.step(index) for index in islice(batches(40, 8, 0), 12)]
    np.testing.assert_allclose([s["loss"] for s in seen], [s["loss"] for s in expected], rtol=1e-4)
    assert_close(ours.model, loop.model, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("change", [{}, {"schedule": "constant"}, {"warmup": 0.0}])
def test_the_rate_on_the_device_is_the_schedules(change):
    run, read = trainer(**change), []
    own = DeviceStep(run)
    indices, count = list(islice(batches(40, 8, 0), 20)), run.total_steps
    expected = [run.config.learning_rate_at(n / count) for n in range(count)]
    step = run.optimizer.step
    run.optimizer.step = lambda: (read.append(run.optimizer.param_groups[0]["lr"].item()), step())
    own.steps(indices, expected, range(count))
    np.testing.assert_allclose(read, expected, rtol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_a_whole_run_is_the_loops_run(device, monkeypatch):
    alone = network()
    expected = fit(alone, TRAIN, VALIDATION, replace(CONFIG, augment=Augment.none()), every=3)
    monkeypatch.setattr(Alone, "recorded", OneGPU.recorded)
    model = network(device)
    result = fit(model, TRAIN, VALIDATION, replace(CONFIG, augment=Augment.none()), every=3)
    assert_close(model, alone)
    assert result.history.columns.tolist() == expected.history.columns.tolist()
    for name in ("step", "epoch", "learning_rate", "loss", "peak"):
        np.testing.assert_allclose(result.history[name], expected.history[name], rtol=1e-2)
    validated = result.history["val_mean_px"].notna().tolist()
    assert validated == expected.history["val_mean_px"].notna().tolist()


def test_it_is_used_on_one_gpu_by_one_process_and_nowhere_else(monkeypatch, capsys):
    run, groups = trainer(), []
    assert Alone().recorded(run) is None and isinstance(OneGPU().recorded(run), DeviceStep)
    monkeypatch.setattr(training, "fit", lambda model, *parts, group: groups.append(group))
    monkeypatch.setattr(gpu, "device_of", lambda model: torch.device(model))
    for device in ("cpu", "cuda"):
        fit_here(device, TRAIN)
    fit_here("cuda", TRAIN, group=Alone(rank=1, world=2))
    assert [type(group) for group in groups] == [type(None), OneGPU, Alone]
    assert Group(1, 2, torch.device("cuda")).recorded(run) is None and not capsys.readouterr().out
    assert Group(0, 2, torch.device("cuda")).recorded(run) is None
    said = capsys.readouterr().out
    assert said.startswith("no CUDA graph") and said.count("\n") == 1


# --- How far it runs ahead -----------------------------------------------------------------------


def test_it_stops_wherever_somebody_looks(stand_in, monkeypatch):
    monkeypatch.setattr(gpu, "UNSEEN", 1e9)
    counts, real = [], DeviceStep.steps
    monkeypatch.setattr(
        DeviceStep, "steps", lambda self, *plan: counts.append(len(plan[0])) or real(self, *plan)
    )
    history = fit(network(), TRAIN, VALIDATION, replace(CONFIG, validations=3), every=9).history
    assert history["step"].tolist() == [7, 9, 14, 18, 20] and counts == [7, 2, 5, 4, 2]
    counts.clear()
    fit(network(), TRAIN, None, replace(CONFIG, epochs=60), every=10**6)
    assert counts == [AHEAD, 300 - AHEAD]


def test_a_budget_in_seconds_is_kept_and_the_rate_falls_within_it(stand_in):
    config = replace(CONFIG, epochs=None, seconds=0.8)
    result = fit(network(), TRAIN, VALIDATION, config, every=10**6)
    assert 0.8 <= result.seconds < 4 and result.steps > 10
    assert result.history["val_mean_px"].notna().iloc[-1]
    assert result.history["learning_rate"].iloc[-1] < 0.3 * config.learning_rate


# --- Resume --------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("step", [3, 11])
def test_a_resumed_run_is_the_whole_one(device, step, tmp_path, monkeypatch):
    monkeypatch.setattr(Alone, "recorded", OneGPU.recorded)
    whole, first, again = network(device), network(device), network(device, seed=5)
    told = fit(whole, TRAIN, VALIDATION, CONFIG, every=3)
    seen = []

    def stop(row):
        if row["step"] >= step and not seen:
            seen.append(training.signal.raise_signal(training.signal.SIGINT))

    assert fit(first, TRAIN, VALIDATION, CONFIG, tmp_path, report=stop, every=1).interrupted
    result = fit(again, TRAIN, VALIDATION, CONFIG, tmp_path, resume=True, every=3)
    assert result.steps == told.steps == 20
    if device == "cpu":
        assert_close(again, whole, rtol=0, atol=0)
    assert_close(again, whole)


def test_a_run_begun_by_the_loop_goes_on_here_and_back(tmp_path, monkeypatch):
    config, whole, again = replace(CONFIG, augment=Augment.none()), network(), network(seed=5)
    fit(whole, TRAIN, None, config)
    run = Trainer(network(), TRAIN, None, config)
    for index in islice(batches(40, 8, 0), 6):
        run.step(index)
    run.save(tmp_path / "last.safetensors")
    run = Trainer(network(seed=3), TRAIN, None, config)
    run.resume(tmp_path / "last.safetensors")
    steps(run, 6, first=6)
    run.save(tmp_path / "last.safetensors")
    fit(again, TRAIN, None, config, tmp_path, resume=True)
    assert_close(again, whole)


# --- What is not finite --------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_a_loss_that_is_not_finite_is_undone_and_named(device):
    class Bomb(nn.Module):
        """A network that breaks in its fourth step, as its own buffer counts them."""

        def __init__(self):
            super().__init__()
            self.inner = network()
            self.register_buffer("made", torch.zeros(()))

        def forward(self, x):
            self.made += self.training
            bad = torch.where(self.made == 4, math.nan, 0.0)
            return [level._replace(scores=level.scores + bad) for level in self.inner(x)]

    run, good = (Trainer(Bomb().to(device), TRAIN, None, CONFIG) for _ in range(2))
    with pytest.raises(TrainingError) as caught:
        steps(run, 8)
    rows = TRAIN.rows[list(islice(batches(40, 8, 0), 4))[-1]].tolist()
    assert "nan at step 3 " in str(caught.value) and "scores at stride" in str(caught.value)
    assert str(rows)[1:-1] in str(caught.value)
    assert run.state.step == 3
    steps(good, 3)
    assert_close(run.model, good.model, **({"rtol": 0, "atol": 0} if device == "cpu" else {}))
    for state, other in zip(
        run.optimizer.state.values(), good.optimizer.state.values(), strict=True
    ):
        assert state["step"] == other["step"] == 3


def test_an_absurd_learning_rate_ends_in_a_training_error(stand_in):
    config = replace(CONFIG, learning_rate=1e30, schedule="constant")
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at step \d+ .*1e\+30"):
        fit(network(), TRAIN, None, config)


def test_a_bad_step_that_cannot_be_seen_again_is_only_made_again(monkeypatch):
    """Were it rounding that broke a step, the steps made with care are the ones that count."""
    run, good = trainer(), trainer()
    own, real, hits = DeviceStep(run), DeviceStep.make, []

    def once(rows=None):
        real(own, rows)
        if not hits:
            hits.append(own.seen[:1].fill_(math.nan))

    monkeypatch.setattr(own, "make", once)
    plan = list(islice(batches(40, 8, 0), 5)), [1e-3] * 5, range(5)
    seen = own.steps(*plan)
    assert seen == DeviceStep(good).steps(*plan) and run.state.step == 5
    assert_close(run.model, good.model, rtol=0, atol=0)


# --- Precision -----------------------------------------------------------------------------------


def test_float16_is_for_gpus():
    with pytest.raises(ValueError, match="float16 is for GPUs, not for the device cpu"):
        trainer(precision="float16")
    assert choose_precision("float16", "cuda") == "float16"


@pytest.mark.parametrize("fast, chosen", [(True, "bfloat16"), (False, "float16")])
def test_an_older_gpu_takes_float16(fast, chosen, monkeypatch):
    monkeypatch.setattr("hglib.inference.has_fast_bfloat16", lambda kind: fast)
    assert choose_precision("auto", "cuda") == chosen


def test_the_scale_of_the_loss_is_saved_and_comes_back(tmp_path, monkeypatch):
    run, again = trainer(), trainer()
    for each in (run, again):
        each.scaler = torch.amp.GradScaler("cpu", enabled=True)
    steps(run, 2)
    run.scaler.update(512.0)
    run.save(tmp_path / "x.safetensors")
    again.resume(tmp_path / "x.safetensors")
    assert again.scaler.is_enabled() and again.scaler.get_scale() == again.state.scale == 512.0


def test_a_scaled_step_is_the_same_step_and_one_that_overflows_is_left_out():
    scaled, plain = trainer(), trainer()
    scaled.scaler = torch.amp.GradScaler("cpu", enabled=True)
    steps(scaled, 4), steps(plain, 4)
    assert_close(scaled.model, plain.model)
    before = [p.detach().clone() for p in scaled.model.parameters()]
    scaled.scaler.update(math.inf)  # every gradient overflows
    steps(scaled, 1, first=4)
    after = scaled.model.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(state["step"] == 4 for state in scaled.optimizer.state.values())


# --- On a GPU ------------------------------------------------------------------------------------


def run_on_gpu(graph: bool, monkeypatch, model=None, **changes) -> tuple[nn.Module, training.Fit]:
    model = network("cuda") if model is None else model
    with monkeypatch.context() as patch:
        if not graph:
            patch.setattr(DeviceStep, "record", lambda self: self.make)
        return model, fit_here(model, TRAIN, VALIDATION, replace(CONFIG, **changes))


@NO_GPU
def test_the_graph_makes_the_steps_that_python_makes(monkeypatch, capsys):
    """With augmentation: the generator gives a graph the numbers it gives Python."""
    one, told = run_on_gpu(True, monkeypatch)
    assert "no CUDA graph" not in capsys.readouterr().out
    two, expected = run_on_gpu(False, monkeypatch)
    for name in ("loss", "peak"):
        np.testing.assert_allclose(told.history[name], expected.history[name], rtol=0.01)
    assert_close(one, two)


@NO_GPU
def test_recording_leaves_no_trace(monkeypatch):
    """After trial steps and recording, the first step is that of a fresh network."""
    run = trainer("cuda")
    before, own = weights(run.model), DeviceStep(run)
    own.index.copy_(torch.arange(8))
    own.record()
    assert all(torch.equal(t, before[name]) for name, t in weights(run.model).items())
    assert all((t == 0).all() for s in run.optimizer.state.values() for t in s.values())


class Waits(nn.Module):
    """A reader's network that asks the GPU a question in every step."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 5, padding=2)

    def forward(self, x):
        scores = self.layer(x)
        return [Level(scores * (1.0 if scores.detach().mean().item() > -99 else 2.0), 1, "sigmoid")]


@NO_GPU
def test_a_network_that_waits_is_trained_without_a_graph(monkeypatch, capsys):
    torch.manual_seed(0)
    _, result = run_on_gpu(True, monkeypatch, Waits().cuda())
    said = capsys.readouterr().out
    assert said.startswith("no CUDA graph") and said.count("\n") == 1
    assert result.steps == 20 and result.history["loss"].iloc[-1] < result.history["loss"].iloc[0]
    torch.rand(3, device="cuda")  # the GPU's generator is none the worse


@NO_GPU
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_learns_as_float32_does_on_a_gpu(precision, monkeypatch):
    changes = {"epochs": 30, "learning_rate": 5e-3}
    _, result = run_on_gpu(True, monkeypatch, precision=precision, **changes)
    _, expected = run_on_gpu(True, monkeypatch, **changes)
    ours, theirs = result.history["loss"], expected.history["loss"]
    assert ours.iloc[-1] < 0.7 * ours.iloc[0] and ours.iloc[-1] == pytest.approx(
        theirs.iloc[-1], rel=0.05
    )


@NO_GPU
def test_a_run_of_the_cpu_goes_on_on_the_gpu(tmp_path, monkeypatch):
    half = replace(CONFIG, augment=Augment.none())
    whole, again = network(), network("cuda", seed=5)
    fit_here(whole, TRAIN, None, half)
    run = Trainer(network(), TRAIN, None, half)
    for index in islice(batches(40, 8, 0), 10):
        run.step(index)
    run.save(tmp_path / "last.safetensors")
    fit_here(again, TRAIN, None, half, tmp_path, resume=True)
    assert_close(again, whole)
    loaded = checkpoint.load_model(tmp_path / "last.safetensors")
    assert_close(loaded, again, rtol=0, atol=0)


@NO_GPU
def test_the_default_network_is_recorded_and_predicts(monkeypatch, capsys):
    torch.manual_seed(0)
    model = build("lean").cuda()
    images = np.random.default_rng(0).integers(0, 255, (64, 96, 96), dtype=np.uint8)
    points = np.random.default_rng(1).uniform(20, 70, (64, 2, 2)).astype(np.float32)
    faces = training.Faces(images, points, TRAIN.landmarks, np.arange(64), "drawn")
    result = fit_here(model, faces, None, TrainConfig(epochs=10, batch=32))
    assert result.steps == 20 and "no CUDA graph" not in capsys.readouterr().out
    assert predict(model, images).points.shape == (64, 2, 2)


# --- The recipe ----------------------------------------------------------------------------------


def test_a_gpu_gets_larger_batches_unless_the_reader_chose():
    for network_name in ("lean", "pretrained"):
        config = recipe(network_name, "cuda", epochs=1)
        assert (config.batch, config.learning_rate) == (256, 1e-2)
        assert recipe(network_name, epochs=1) == replace(config, batch=32, learning_rate=5e-3)
        chosen = recipe(network_name, "cuda", epochs=1, batch=32)
        assert chosen == recipe(network_name, "cpu", epochs=1, batch=32)
    assert recipe("original", "cuda", epochs=1) == recipe("original", epochs=1)
