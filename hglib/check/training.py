"""Self-checks of notebook 04 and its appendix: a step, the ratio, a mirrored batch, a schedule."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hglib.augment import mirror_points
from hglib.check.verdict import NotYet, compare, self_check
from hglib.heatmap import gaussian_maps
from hglib.hourglass import Level
from hglib.losses import total_loss
from hglib.train import TrainConfig

# --- A step from two halves of a batch -----------------------------------------------------------

Step = Callable[[nn.Module, torch.optim.Optimizer, Tensor, Tensor], float]


class _Small(nn.Module):
    """One convolution, maps at stride 2; it notes how many images it is shown at once."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.shown = nn.Conv2d(1, 2, 4, stride=2, padding=1), []

    def forward(self, images: Tensor) -> list[Level]:
        self.shown.append(len(images))
        return [Level(self.conv(images), 2, "softmax")]


@self_check
def halved_step(fn: Step) -> str:
    """Check `fn(model, optimizer, images, points)`: one step, half of the images at a time.

    Two steps are made; the weights must be those of whole batches. The answer is the loss of the
    whole batch, a float.
    """
    value, found, shown = _two_steps(fn)
    if value is None or value is Ellipsis:
        raise NotYet("your function returns nothing so far")
    right_value, right, _ = _two_steps(_whole_step)
    wrong = {words: _two_steps(step)[1] for words, step in _WRONG_STEPS.items()}
    compare(found, right, wrong)
    if isinstance(value, Tensor) and value.requires_grad:
        raise NotYet("return loss.item(): a tensor with a gradient keeps the whole graph in memory")
    if abs(float(value) - right_value) > 1e-3:
        raise NotYet("the weights are right; return the mean loss of the whole batch as well")
    if max(shown) > 2:
        raise NotYet("the network saw the whole batch at once: show it one half, then the other")
    return "two halves make the step of the whole batch, in half the memory"


def _two_steps(fn: Step) -> tuple[float, Tensor, list[int]]:
    """The loss of the second of two steps, all weights after it, and the sizes of the batches."""
    rng = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = _Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
    for _ in range(2):
        images = torch.rand(4, 1, 96, 96, generator=rng)
        points = 20 + 50 * torch.rand(4, 2, 2, generator=rng)
        value = fn(model, optimizer, images, points)
    weights = torch.cat([values.detach().flatten() for values in model.parameters()])
    return value, weights, model.shown


def _loss(model: nn.Module, images: Tensor, points: Tensor) -> Tensor:
    return total_loss(model(images), points, (96, 96))


def _whole_step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, p: Tensor) -> float:
    optimizer.zero_grad()
    loss = _loss(model, x, p)
    loss.backward()
    optimizer.step()
    return loss.item()


def _wrong_step(
    zero: str = "first", share: float = 0.5, step: str = "last", halves: int = 2
) -> Step:
    """The step in halves with something wrong; "each" is at each half, "" never."""

    def made(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, p: Tensor) -> float:
        total = 0.0
        for number, (images, points) in enumerate(zip(x.chunk(2), p.chunk(2), strict=True)):
            if zero == "each" or (zero == "first" and number == 0):
                optimizer.zero_grad()
            loss = share * _loss(model, images, points)
            total += loss.item()
            if number < halves:
                loss.backward()
            if zero == "late":
                optimizer.zero_grad()
            if step == "each" or (step == "last" and number == 1):
                optimizer.step()
        return total

    return made


_WRONG_STEPS: dict[str, Step] = {
    "no weight has moved: optimizer.step() is missing, or the gradient was lost before it": (
        _wrong_step(zero="late")
    ),
    "the gradient of the step before is still in it: call optimizer.zero_grad() first": (
        _wrong_step(zero="")
    ),
    "the step is twice as long: each half counts for half of the mean": _wrong_step(share=1.0),
    "only the second half counts: do not call zero_grad between the halves": _wrong_step("each"),
    "only the second half counts, and it counts whole": _wrong_step("each", share=1.0),
    "only the first half counts: follow back the loss of the second as well": _wrong_step(halves=1),
    "only the first half counts: show the network the second as well": (
        _wrong_step(share=1.0, halves=1)
    ),
    "the weights move after each half: one step for the whole batch": (
        _wrong_step("each", share=1.0, step="each")
    ),
    "the weights move after each half, by half: one step for the whole batch": (
        _wrong_step("each", step="each")
    ),
    "the weights move after each half: call optimizer.step() once, after both": (
        _wrong_step(step="each")
    ),
}


# --- The loss over that of all-zero maps ---------------------------------------------------------


@self_check
def black_ratio(fn: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str:
    """Check `fn(maps, targets, mask)`: squared error over that of all-zero maps, labelled only.

    maps and targets (B, K, H, W); mask (B, K) bool, False where there is no label. All labelled
    pixels are summed before the division."""
    maps, targets, mask = _some_maps()
    compare(fn(maps.clone(), targets.clone(), mask.clone()), *_ratios(maps, targets, mask))
    dark = fn(torch.zeros_like(maps), targets.clone(), mask.clone())
    compare(dark, torch.tensor(1.0), {"all-zero maps must give exactly 1": torch.tensor(0.0)})
    return "1 for black maps, 0 for perfect ones, and missing labels do not count"


def _some_maps() -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    points = 8 + 16 * torch.rand(3, 2, 2, generator=rng, dtype=torch.float64)
    sizes = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)  # (B, K)
    targets = gaussian_maps(points, (32, 32), sigma=2) * sizes[..., None, None]
    targets[2] = targets[2] / 2  # maps of unlike energy: a mean of ratios shows
    maps = 0.4 * targets + 0.05 * torch.rand(targets.shape, generator=rng, dtype=torch.float64)
    maps[1, 1] = 0.7  # bright where there is no label
    return maps, targets, sizes.bool()


def _ratios(maps: Tensor, targets: Tensor, mask: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    off, energy = (maps - targets).square(), targets.square()
    labelled = mask[..., None, None]
    right = (off * labelled).sum() / (energy * labelled).sum()
    each = (off.sum((-2, -1)) / energy.sum((-2, -1)))[mask]
    return right, {
        "a map without a label counts: leave it out with the mask": off.sum() / energy.sum(),
        "upside down: the loss of the all-zero maps belongs below the line": 1 / right,
        "square the differences, not only the targets": (maps - targets).abs()[mask].sum()
        / energy[mask].sum(),
        "square the targets too": off[mask].sum() / targets[mask].sum(),
        "square both: this is the ratio of the absolute values": (maps - targets).abs()[mask].sum()
        / targets[mask].sum(),
        "that is the loss alone: divide by the loss of all-zero maps": off[mask].sum(),
        "that is the mean loss alone: divide by that of all-zero maps": off[mask].mean(),
        "that is a mean of ratios: add up all pixels first, then divide once": each.mean(),
        "one number for the whole batch is wanted, not one per map": off.sum((-2, -1))
        / energy.sum((-2, -1)),
    }


# --- Mirroring some pictures of a batch ----------------------------------------------------------


@self_check
def mirrored_batch(fn: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> str:
    """Check `fn(images, points, chosen)`: the chosen pictures mirrored, with their points.

    images (B, 1, H, W), points (B, 2, 2) of both eyes with NaN where missing, chosen (B,) bool.
    The answer is (images, points), eye 0 being the subject's left."""
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(4, 1, 20, 24, generator=rng, dtype=torch.float64)
    points = torch.tensor([[17.0, 8.0], [6.5, 9.0]], dtype=torch.float64).repeat(4, 1, 1)
    points += torch.rand(4, 2, 2, generator=rng, dtype=torch.float64)
    points[2, 0] = torch.nan
    chosen = torch.tensor([True, False, True, False])
    value = fn(images.clone(), points.clone(), chosen.clone())
    if value is None or value is Ellipsis:
        raise NotYet("your function returns nothing so far")
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise NotYet("return two things: the pictures and the points")
    compare(value[0], *_mirrored_images(images, chosen))
    compare(value[1], *_mirrored_points(points, chosen, images.shape[-1]))
    return "pictures, points and names mirrored, and only where they were chosen"


def _mirrored_images(images: Tensor, chosen: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    pick = chosen[:, None, None, None]
    return torch.where(pick, images.flip(-1), images), {
        "no picture was mirrored": images,
        "every picture was mirrored: only the chosen ones should be": images.flip(-1),
        "the wrong pictures were mirrored": torch.where(pick, images, images.flip(-1)),
        "the pictures stand on their heads: mirror the last axis, the columns": torch.where(
            pick, images.flip(-2), images
        ),
    }


def _mirrored_points(
    points: Tensor, chosen: Tensor, width: int
) -> tuple[Tensor, dict[str, Tensor]]:
    pick = chosen[:, None, None]
    moved = mirror_points(points, width, [1, 0])

    def where(answer: Tensor) -> Tensor:
        return torch.where(pick, answer, points)

    one_right = torch.tensor([1.0, 0.0], dtype=points.dtype)
    return where(moved), {
        "the pictures are mirrored, but the points are not": points,
        "the eyes are not swapped: eye 0 is the subject's left after mirroring too": where(
            moved.flip(1)
        ),
        "the eyes are swapped, but x is not mirrored": where(points.flip(1)),
        "off by one: pixel 0 goes to W - 1, so x' = W - 1 - x": where(moved + one_right),
        "all points were mirrored: only those of the chosen pictures should be": moved,
        "a missing point must stay NaN": where(moved).nan_to_num(),
    }


# --- The schedule --------------------------------------------------------------------------------

PEAK, WARMUP, FINAL = 0.4, 0.2, 0.1
PROGRESS = [i / 20 for i in range(21)]


@self_check
def schedule(fn: Callable[[float, float, float, float], float]) -> str:
    """Check `fn(progress, peak, warmup, final)`: a linear climb, then half a cosine down.

    progress 0 to 1; warmup: the share of the budget for the climb from 0 to `peak`; final: the
    share of `peak` left at the end."""
    config = TrainConfig(epochs=1, learning_rate=PEAK, warmup=WARMUP, final_rate=FINAL)
    right = torch.tensor([config.learning_rate_at(p) for p in PROGRESS])
    value = torch.tensor([_number(fn(p, PEAK, WARMUP, FINAL)) for p in PROGRESS])
    compare(value, right, _wrong_schedules(right))
    return "0 at the start, the peak after the climb, a tenth of it at the end"


def _number(value: object) -> float:
    if value is None or value is Ellipsis:
        raise NotYet("your function returns nothing so far")
    return float(value)  # type: ignore[arg-type]


def _wrong_schedules(right: Tensor) -> dict[str, Tensor]:
    def line(formula: Callable[[float], float]) -> Tensor:
        return torch.tensor([formula(p) for p in PROGRESS])

    def down(p: float) -> float:
        return max(0.0, p - WARMUP) / (1 - WARMUP)

    def climb(p: float) -> float:
        return PEAK * min(1.0, p / WARMUP)

    def fall(share: float, final: float = FINAL) -> float:
        return final + (1 - final) * (1 + math.cos(math.pi * share)) / 2

    return {
        "the climb is missing: it starts at 0": line(lambda p: PEAK * fall(down(p))),
        "the cosine starts when the climb is over, not at 0": line(lambda p: climb(p) * fall(p)),
        "after the climb the rate never falls": line(climb),
        "half a cosine is wanted: from 1 down, with pi, not 2 pi": line(
            lambda p: climb(p) * fall(2 * down(p))
        ),
        "it ends at 0: at the end a share `final` of the peak is left": line(
            lambda p: climb(p) * fall(down(p), 0.0)
        ),
        "a straight line: half a cosine is wanted": line(
            lambda p: climb(p) * (1 - (1 - FINAL) * down(p))
        ),
        "`final` is a share of the peak, not a rate": line(
            lambda p: (
                PEAK * climb(p) / PEAK * (FINAL / PEAK + (1 - FINAL / PEAK) * (fall(down(p), 0.0)))
            )
        ),
        "the peak is missing: that runs from 0 to 1": right / PEAK,
    }
