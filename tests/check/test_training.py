"""Right answers pass, and each usual mistake, written as a reader would, is called by its name."""

import math

import pytest
import torch
from helpers import assert_correct, assert_not_yet

from hglib import check
from hglib.losses import total_loss

# ---- a step from two halves -----------------------------------------------------------------


def step_in_halves(model, optimizer, images, points, share=0.5, value=float):
    optimizer.zero_grad()
    total = 0.0
    for x, p in zip(images.split(2), points.split(2), strict=True):
        loss = share * total_loss(model(x), p, (96, 96))
        loss.backward()
        total = total + loss
    optimizer.step()
    return value(total.detach() if value is float else total)


def whole(model, optimizer, images, points, zero=True, move=True):
    if zero:
        optimizer.zero_grad()
    loss = total_loss(model(images), points, (96, 96))
    loss.backward()
    if move:
        optimizer.step()
    return loss.item()


def each_half(model, optimizer, images, points):
    parts = zip(images.split(2), points.split(2), strict=True)
    return sum(whole(model, optimizer, x, p) for x, p in parts) / 2


def zeroed_between(model, optimizer, images, points):
    for x, p in zip(images.split(2), points.split(2), strict=True):
        optimizer.zero_grad()
        (total_loss(model(x), p, (96, 96)) / 2).backward()
    optimizer.step()
    return 0.0


STEPS = {
    "no weight has moved": lambda *given: whole(*given, move=False),
    "the step before": lambda *given: whole(*given, zero=False),
    "twice as long": lambda *given: step_in_halves(*given, share=1.0),
    "between the halves": zeroed_between,
    "after each half": each_half,
    "keeps the whole graph": lambda *given: step_in_halves(*given, value=lambda loss: loss),
    "the weights are right": lambda *given: step_in_halves(*given, value=lambda loss: 0.0),
    "the whole batch at once": whole,
    "only the first half": lambda model, optimizer, x, p: whole(model, optimizer, x[:2], p[:2]),
    "returns nothing": lambda *given: None,
}


def test_a_step_in_halves_passes(capsys):
    assert check.halved_step(step_in_halves) is True
    assert_correct(capsys)


@pytest.mark.parametrize("words", STEPS)
def test_wrong_steps_are_named(words, capsys):
    assert check.halved_step(STEPS[words]) is False
    assert_not_yet(capsys, words)


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
    "upside down": lambda m, t, k: 1 / ratio(m, t, k),
    "square the differences": lambda m, t, k: (m - t).abs()[k].sum() / t.square()[k].sum(),
    "square the targets too": lambda m, t, k: (m - t).square()[k].sum() / t[k].sum(),
    "square both": lambda m, t, k: (m - t).abs()[k].sum() / t[k].sum(),
    "the loss alone": lambda m, t, k: (m - t).square()[k].sum(),
    "the mean loss alone": lambda m, t, k: (m - t).square()[k].mean(),
    "mean of ratios": lambda m, t, k: ((m - t).square().sum((-2, -1)) / t.square().sum((-2, -1)))[
        k
    ].mean(),
    "not one per map": lambda m, t, k: (m - t).square().sum((-2, -1)) / t.square().sum((-2, -1)),
}


def test_a_right_ratio_passes(capsys):
    assert check.black_ratio(ratio) is True
    assert_correct(capsys)


@pytest.mark.parametrize("words", RATIOS)
def test_wrong_ratios_are_named(words, capsys):
    assert check.black_ratio(RATIOS[words]) is False
    assert_not_yet(capsys, words)


def test_a_ratio_that_only_fits_the_first_maps_is_seen(capsys):
    """Right where the maps are bright, 0 where they are black."""
    assert check.black_ratio(lambda m, t, k: ratio(m, t, k) if m.any() else 0.0) is False
    assert "exactly 1" in capsys.readouterr().out


# ---- mirroring some pictures of a batch -----------------------------------------------------


def mirror(images, points, chosen, names=(1, 0), width=None, still=None):
    """Picture by picture; `still` is what to do with those that were not chosen."""
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
    "no picture was mirrored": lambda i, p, c: (i, mirror(i, p, c)[1]),
    "every picture was mirrored": lambda i, p, c: mirror(i, p, c, still=True),
    "the wrong pictures": lambda i, p, c: mirror(i, p, ~c),
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


@pytest.mark.parametrize("words", SCHEDULES)
def test_wrong_schedules_are_named(words, capsys):
    assert check.schedule(SCHEDULES[words]) is False
    assert_not_yet(capsys, words)
