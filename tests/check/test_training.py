"""Right answers pass, and each usual mistake, written as a reader would, is called by its name."""

import math

import pytest
import torch
from helpers import assert_correct, assert_not_yet

from hglib import check

# ---- the loss over that of all-zero maps ----------------------------------------------------


def ratio(maps, targets, mask):
    """Map by map, without any indexing by masks."""
    off = energy = 0.0
    for b in range(len(maps)):
        for k in range(maps.shape[1]):
            if mask[b, k]:
                off += float(((maps[b, k] - targets[b, k]) ** 2).sum())
                energy += float((targets[b, k] ** 2).sum())
    return off / energy


def with_everything(maps, targets, mask):
    return (maps - targets).square().sum() / targets.square().sum()


RATIOS = {
    "without a label counts": with_everything,
    "below the line: only labelled": lambda m, t, k: (m - t).square()[k].sum() / t.square().sum(),
    "above the line: only labelled": lambda m, t, k: (m - t).square().sum() / t.square()[k].sum(),
    "upside down": lambda m, t, k: 1 / ratio(m, t, k),
    "square the differences": lambda m, t, k: (m - t).abs()[k].sum() / t.square()[k].sum(),
    "square the targets too": lambda m, t, k: (m - t).square()[k].sum() / t[k].sum(),
    "square both": lambda m, t, k: (m - t).abs()[k].sum() / t[k].sum(),
    "the loss alone": lambda m, t, k: (m - t).square()[k].sum(),
    "the mean loss alone": lambda m, t, k: (m - t).square()[k].mean(),
    "not one per map": lambda m, t, k: (m - t).square().sum((-2, -1)) / t.square().sum((-2, -1)),
}


def test_a_right_ratio_passes(capsys):
    assert check.black_ratio(ratio) is True
    assert_correct(capsys)


@pytest.mark.parametrize("words", RATIOS)
def test_wrong_ratios_are_named(words, capsys):
    assert check.black_ratio(RATIOS[words]) is False
    assert_not_yet(capsys, words)


def ratios(m, t):
    return (m - t).square().sum((-2, -1)) / t.square().sum((-2, -1))


def of_images(m, t, k):
    pick = k[..., None, None]
    return ((m - t).square() * pick).sum((1, 2, 3)) / (t.square() * pick).sum((1, 2, 3))


MEANS = [
    lambda m, t, k: ratios(m, t)[k].mean(),
    lambda m, t, k: (ratios(m, t) * k).sum() / k.sum(),
    lambda m, t, k: (ratios(m, t) * k).mean(),
    lambda m, t, k: ratios(m, t).mean(),
    lambda m, t, k: of_images(m, t, k).mean(),
]


@pytest.mark.parametrize("mean", MEANS)
def test_every_mean_of_ratios_is_named(mean, capsys):
    assert check.black_ratio(mean) is False
    assert_not_yet(capsys, "a mean of ratios: add up first, then divide once")


@pytest.mark.parametrize("indexed", [True, False])
def test_a_vectorised_ratio_passes(indexed, capsys):
    def by_index(m, t, k):
        return (m - t)[k].square().sum() / t[k].square().sum()

    def by_product(m, t, k):
        off, energy = (m - t).square().sum((-2, -1)), t.square().sum((-2, -1))
        return (off * k).sum() / (energy * k).sum()

    assert check.black_ratio(by_index if indexed else by_product) is True
    assert_correct(capsys)


def test_a_ratio_that_only_fits_the_first_maps_is_seen(capsys):
    """Right where the maps are bright, 0 where they are black."""
    assert check.black_ratio(lambda m, t, k: ratio(m, t, k) if m.any() else 0.0) is False
    assert "exactly 1" in capsys.readouterr().out


# ---- mirroring some images of a batch -----------------------------------------------------


def mirror(images, points, chosen, names=(1, 0), width=None, still=None):
    """Image by image; `still` is what to do with those that were not chosen."""
    width = width or images.shape[-1] - 1
    images, points = images.clone(), points.clone()
    for n in range(len(images)):
        if chosen[n] or still:
            images[n] = images[n].flip(-1)
            points[n, :, 0] = width - points[n, :, 0]
            points[n] = points[n, list(names)]
    return images, points


def upside_down(images, points, chosen):
    pick = chosen[:, None, None, None]
    return torch.where(pick, images.flip(-2), images), mirror(images, points, chosen)[1]


def only_swapped(images, points, chosen):
    pick = chosen[:, None, None]
    return mirror(images, points, chosen)[0], torch.where(pick, points.flip(1), points)


MIRRORS = {
    "no image was mirrored": lambda i, p, c: (i, mirror(i, p, c)[1]),
    "every image was mirrored": lambda i, p, c: mirror(i, p, c, still=True),
    "the wrong images": lambda i, p, c: mirror(i, p, ~c),
    "on their heads": upside_down,
    "but the points are not": lambda i, p, c: (mirror(i, p, c)[0], p),
    "not swapped": lambda i, p, c: mirror(i, p, c, names=(0, 1)),
    "x is not mirrored": only_swapped,
    "off by one": lambda i, p, c: mirror(i, p, c, width=i.shape[-1]),
    "all points were mirrored": lambda i, p, c: (
        mirror(i, p, c)[0],
        mirror(i, p, c, still=True)[1],
    ),
    "must stay NaN": lambda i, p, c: (mirror(i, p, c)[0], mirror(i, p, c)[1].nan_to_num()),
    "return two things": lambda i, p, c: i,
    "returns nothing": lambda i, p, c: None,
}


def test_a_right_mirror_passes(capsys):
    assert check.mirrored_batch(mirror) is True
    assert_correct(capsys)


@pytest.mark.parametrize("words", MIRRORS)
def test_wrong_mirrors_are_named(words, capsys):
    assert check.mirrored_batch(MIRRORS[words]) is False
    assert_not_yet(capsys, words)


# ---- the schedule ---------------------------------------------------------------------------


def cosine(progress, peak, warmup, final, waves=1.0, late=True):
    start = warmup if late else 0.0
    down = max(0.0, (progress - start) / (1 - start))
    height = final + (1 - final) * (1 + math.cos(waves * math.pi * down)) / 2
    return peak * min(1.0, progress / warmup) * height


def straight(progress, peak, warmup, final):
    down = max(0.0, (progress - warmup) / (1 - warmup))
    return peak * min(1.0, progress / warmup) * (1 - (1 - final) * down)


def final_rate(progress, peak, warmup, final):
    return cosine(progress, peak, warmup, final / peak)


SCHEDULES = {
    "the climb is missing": lambda p, *rest: cosine(max(p, rest[1]), *rest),
    "when the climb is over": lambda *given: cosine(*given, late=False),
    "never falls": lambda p, peak, warmup, final: peak * min(1.0, p / warmup),
    "half a cosine is wanted: from 1 down": lambda *given: cosine(*given, waves=2.0),
    "it ends at 0": lambda p, peak, warmup, final: cosine(p, peak, warmup, 0.0),
    "a straight line": straight,
    "not a rate": final_rate,
    "the peak is missing": lambda p, peak, warmup, final: cosine(p, 1.0, warmup, final),
    "returns nothing": lambda *given: None,
}


def test_a_right_schedule_passes(capsys):
    assert check.schedule(cosine) is True
    assert_correct(capsys)


def in_turn(fall):
    """A climb, and once it is over this share of the peak."""
    return lambda p, peak, warmup, final: (
        peak * p / warmup if p < warmup else peak * fall(p, warmup, final)
    )


def half_wave(share):
    return (1 + math.cos(math.pi * share)) / 2


def mixed(share, final):
    return final + (1 - final) * half_wave(share)


def up_to(progress, peak, warmup, final):
    """The climb holds at `progress` = `warmup` too."""
    climbing = progress <= warmup
    return peak * progress / warmup if climbing else peak * mixed(progress, final)


EARLY = [
    up_to,
    in_turn(lambda p, warmup, final: mixed(p, final)),
    in_turn(lambda p, warmup, final: mixed(p / (1 - warmup), final)),
    in_turn(lambda p, warmup, final: mixed(min(1, p / (1 - warmup)), final)),
    lambda p, peak, warmup, final: peak * min(1, p / warmup) * mixed(p, final),
    lambda p, peak, warmup, final: peak * min(1, p / warmup) * mixed(p / (1 - warmup), final),
]


@pytest.mark.parametrize("early", EARLY)
def test_a_cosine_over_the_whole_budget_is_named(early, capsys):
    assert check.schedule(early) is False
    assert_not_yet(capsys, "not at 0: subtract `warmup` first")


def late_wave(p, warmup):
    return half_wave(max(0, p - warmup) / (1 - warmup))


CUT = [
    in_turn(lambda p, warmup, final: max(final, late_wave(p, warmup))),
    lambda p, peak, warmup, final: peak * min(1, p / warmup) * max(final, late_wave(p, warmup)),
    lambda p, peak, warmup, final: peak * max(final, min(1, p / warmup) * late_wave(p, warmup)),
]


@pytest.mark.parametrize("cut", CUT)
def test_a_cosine_cut_off_at_the_final_rate_is_named(cut, capsys):
    assert check.schedule(cut) is False
    assert_not_yet(capsys, "mix, do not cut off")


def test_a_schedule_in_two_branches_passes(capsys):
    assert check.schedule(in_turn(lambda p, w, final: mixed((p - w) / (1 - w), final))) is True
    assert_correct(capsys)


@pytest.mark.parametrize("words", SCHEDULES)
def test_wrong_schedules_are_named(words, capsys):
    assert check.schedule(SCHEDULES[words]) is False
    assert_not_yet(capsys, words)


# ---- one step of training -------------------------------------------------------------------


def right_step(model, optimizer, loss_of, images, points):
    model.train()
    loss = loss_of(model(images)[-1].scores, points)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def by_autograd(model, optimizer, loss_of, images, points):
    """The same step without the optimiser: w - lr * gradient."""
    model.train()
    loss = loss_of(model(images)[-1].scores, points)
    weights = list(model.parameters())
    with torch.no_grad():
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight -= optimizer.param_groups[0]["lr"] * gradient
    return loss.item()


def never_cleared(model, optimizer, loss_of, images, points):
    model.train()
    loss = loss_of(model(images)[-1].scores, points)
    loss.backward()
    optimizer.step()
    return loss.item()


def in_eval_mode(model, optimizer, loss_of, images, points):
    optimizer.zero_grad()
    loss = loss_of(model(images)[-1].scores, points)
    loss.backward()
    optimizer.step()
    return loss.item()


def cleared_too_late(model, optimizer, loss_of, images, points):
    model.train()
    loss = loss_of(model(images)[-1].scores, points)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


def step_too_early(model, optimizer, loss_of, images, points):
    model.train()
    loss = loss_of(model(images)[-1].scores, points)
    optimizer.step()
    loss.backward()
    return loss.item()


def cleared_and_step_too_early(model, optimizer, loss_of, images, points):
    model.train()
    optimizer.zero_grad()
    loss = loss_of(model(images)[-1].scores, points)
    optimizer.step()
    loss.backward()
    return loss.item()


def uphill(model, optimizer, loss_of, images, points):
    model.train()
    optimizer.zero_grad()
    (-loss_of(model(images)[-1].scores, points)).backward()
    optimizer.step()
    return 0.0


def no_step(model, optimizer, loss_of, images, points):
    model.train()
    return loss_of(model(images)[-1].scores, points).item()


def a_tensor(model, optimizer, loss_of, images, points):
    model.train()
    loss = loss_of(model(images)[-1].scores, points)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def loss_after(model, optimizer, loss_of, images, points):
    right_step(model, optimizer, loss_of, images, points)
    model.eval()
    with torch.no_grad():
        return loss_of(model(images)[-1].scores, points).item()


STEPS = {
    "the old gradients are still there: clear": never_cleared,
    "the network is in eval mode": in_eval_mode,
    "no weight has moved: clear, then": cleared_too_late,
    "the step comes before backward": step_too_early,
    "then step, in this order": cleared_and_step_too_early,
    "uphill": uphill,
    "no weight has moved": no_step,
    "return a number": a_tensor,
    "a number is": loss_after,
    "returns nothing": lambda *given: None,
}


@pytest.mark.parametrize("step", [right_step, by_autograd])
def test_a_right_step_passes(step, capsys):
    assert check.training_step(step) is True
    assert_correct(capsys)


@pytest.mark.parametrize("words", STEPS)
def test_wrong_steps_are_named(words, capsys):
    assert check.training_step(STEPS[words]) is False
    assert_not_yet(capsys, words)


def test_a_check_of_a_step_leaves_the_random_numbers_alone(capsys):
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    check.training_step(right_step)
    assert torch.equal(torch.rand(2), wanted)
