"""The heads: what they read and lose; hidden eyes and double exposures; the stored results."""

import numpy as np
import pytest
import torch

from hglib.anatomy import probes
from hglib.anatomy.heads import HEADS, network
from hglib.data import EYES, Faces
from hglib.experiments import coordinates
from hglib.experiments.record import read

POINTS = torch.tensor([[[65.3, 37.1], [29.4, 36.0]], [[60.0, 40.7], [30.9, 41.2]]])


def ideal(name):
    """An output that says POINTS as well as the head can."""
    if name == "coordinates":
        return (POINTS - 47.5) / 48
    if name == "SimCC":
        bins = HEADS["SimCC"].bins
        return (-((bins - POINTS[..., None]) ** 2) / 2).log_softmax(dim=3)
    grid = torch.arange(48) * 2 + 0.5
    x, y = (-((grid - POINTS[..., None]) ** 2) / 8).unbind(dim=2)  # (B, K, 48) each
    return (y[..., :, None] + x[..., None, :]).flatten(2).log_softmax(dim=2)


@pytest.mark.parametrize("name", HEADS)
def test_a_head_reads_what_its_output_says(name):
    read_back = HEADS[name]().read(ideal(name))
    np.testing.assert_allclose(read_back, POINTS, atol=0.03)


@pytest.mark.parametrize("name", HEADS)
def test_a_loss_prefers_the_true_points(name):
    head = HEADS[name]()
    assert head.loss(ideal(name), POINTS) < head.loss(ideal(name), POINTS + 3)


def test_an_eye_that_was_pushed_out_of_the_image_does_no_harm():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (64, 96, 96), dtype=np.uint8)
    points = rng.uniform(30, 60, (64, 2, 2)).astype(np.float32)
    points[::2, 0] = 94.0  # half of these leave the image when it is moved
    faces = Faces(images, points, EYES, np.arange(64), "test")
    model = coordinates.train("coordinates", faces, 64, seed=0, rate=1e-3)
    assert all(weights.isfinite().all() for weights in model.state_dict().values())


@pytest.mark.parametrize("name", HEADS)
def test_a_head_fits_the_trunk(name):
    head = HEADS[name]()
    output = network(head)(torch.rand(2, 1, 96, 96))[-1].scores
    assert head.read(output).shape == (2, 2, 2)


def test_the_divergence_is_that_of_entropies():
    """DSNT less soft-argmax is the Jensen-Shannon divergence, here from three entropies."""
    output = torch.randn(2, 2, 48 * 48, generator=torch.Generator().manual_seed(0)).log_softmax(2)
    found = HEADS["DSNT"]().loss(output, POINTS) - HEADS["soft-argmax"]().loss(output, POINTS)
    grid = torch.arange(48) * 2 + 0.5
    x, y = (-((grid - POINTS[..., None]) ** 2) / 8).unbind(dim=2)
    q = (y[..., :, None] + x[..., None, :]).flatten(2).softmax(dim=2)
    p = output.exp()

    def entropy(r):
        return torch.special.entr(r).sum(dim=2)

    wanted = entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2
    assert float(found) == pytest.approx(float(wanted.mean()), rel=1e-3)


def test_two_exposures_lie_on_either_side():
    image = np.zeros((1, 96, 96), np.uint8)
    image[0, 40, 50] = 200
    double = probes.expose_twice(image)
    rows, columns = np.nonzero(double[0])
    assert sorted(zip(rows, columns, strict=True)) == [(36, 42), (44, 58)]
    assert double.max() == 100
    eyes = np.array([[[50.0, 40.0]]])
    places = [probes.along(eyes + np.array(d), eyes)[0, 0] for d in ([-8, -4], [0, 0], [8, 4])]
    assert places == pytest.approx([0, 0.5, 1])


def test_a_patch_hides_what_it_should():
    images = np.random.default_rng(0).integers(0, 200, (2, 96, 96), dtype=np.uint8)
    covered = probes.hide(images, np.array([[50.2, 40.4], [2.0, 3.0]]), side=5)
    changed = covered != images
    assert changed[0, 38:43, 48:53].mean() > 0.9 and changed[0].sum() <= 25
    assert not changed[1, 6:].any() and not changed[1, :, 5:].any()


def test_the_stored_results_say_what_notebook_09_says():
    figures = read("coordinates").figures
    runs = [row for row in figures.values() if "seed" in row]
    assert len(runs) == 15

    def of(head, key):
        return np.array([row[key] for row in runs if row["head"] == head])

    order = ["maps", "DSNT", "SimCC", "soft-argmax", "coordinates"]
    means = [of(head, "mean_px").mean() for head in order]
    assert means == sorted(means)
    assert of("DSNT", "mean_px").max() < of("SimCC", "mean_px").min()
    assert of("maps", "hidden_px").min() > of("SimCC", "hidden_px").max()
    assert of("maps", "between").max() < 0.25 < 0.75 < of("coordinates", "between").min()
    assert of("soft-argmax", "between").min() > 0.75
    for head in order:
        tried = figures[f"{head}, rate"]["tried"]
        assert figures[f"{head}, rate"]["rate"] == coordinates.RATES[int(np.argmin(tried))]
