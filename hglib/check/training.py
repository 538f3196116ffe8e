"""Self-checks of notebook 04 and its appendix: one step of training, a loss held against all-zero
maps, a mirrored batch, a schedule."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hglib.augment import mirror_points
from hglib.check.verdict import NotYet, compare, self_check
from hglib.heatmap import gaussian_maps
from hglib.hourglass import Level
from hglib.train import TrainConfig

# --- One step of training ------------------------------------------------------------------------

Step = Callable[[nn.Module, torch.optim.Optimizer, Callable, Tensor, Tensor], float]
Answers = dict[str, Tensor | tuple[Tensor, ...]]  # of mistakes, as `compare` takes them
STEPS = 3  # a gradient that is never cleared shows from the second step on


@self_check
def training_step(fn: Step) -> str:
    """Check `fn(model, optimizer, loss_of, images, points)`: one step, and the loss that it had.

    The network arrives in eval mode and holds gradients of an earlier batch. `loss_of(scores,
    points)` gives one number; the network returns a list of one level, as in `hglib`."""
    try:
        losses, state = _walk(fn)
    except RuntimeError as error:  # the weights had changed before autograd could use them
        if "inplace" in str(error):
            raise NotYet("the step comes before backward: there is no gradient yet") from None
        raise
    right_losses, right = _walk(_right_step)
    if losses[0] is None or losses[0] is Ellipsis:
        raise NotYet("your function returns nothing so far")
    if isinstance(losses[0], Tensor) and losses[0].requires_grad:
        raise NotYet("return a number, loss.item(): a tensor keeps the whole graph in memory")
    known = {words: _walk(step)[1] for words, step in _WRONG_STEPS.items()}
    compare(state, right, known)
    value, wanted = torch.tensor([float(x) for x in losses]), torch.tensor(right_losses)
    compare(value, wanted, {"return the loss": torch.zeros(STEPS)})
    return "old gradients cleared, train mode, backward, and then the step"


class _OneLevel(nn.Module):
    """A small network with a BatchNorm that answers as those of `hglib` do."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 1)]
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> list[Level]:
        return [Level(self.body(x), 1, "softmax")]


def _loss_of(scores: Tensor, points: Tensor) -> Tensor:
    return (scores.mean(dim=(-2, -1)) - points.mean(dim=-1)).square().mean()


def _walk(step: Step) -> tuple[list, Tensor]:
    """What some steps return, and every weight and running average after them, in one row."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _OneLevel().double()
        images = torch.rand(STEPS, 4, 1, 8, 8, dtype=torch.float64)
        points = torch.rand(STEPS, 4, 2, 2, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    (old,) = model(images[0])
    (3 * _loss_of(old.scores, points[0])).backward()  # left behind by somebody else
    model.eval()
    batches = zip(images, points, strict=True)
    losses = [step(model, optimizer, _loss_of, *batch) for batch in batches]
    return losses, torch.cat([value.double().flatten() for value in model.state_dict().values()])


def _step(order: str, sign: int = 1, train: bool = True) -> Step:
    """A step in this order: z clears the gradients, f runs forward, b backward, s steps."""

    def step(
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss_of: Callable,
        images: Tensor,
        points: Tensor,
    ) -> float:
        if train:
            model.train()
        loss = torch.zeros(())
        for what in order:
            if what == "z":
                optimizer.zero_grad()
            elif what == "f":
                loss = sign * loss_of(model(images)[-1].scores, points)
            elif what == "b":
                loss.backward()
            else:
                optimizer.step()
        return sign * loss.item()

    return step


_right_step = _step("zfbs")
_WRONG_STEPS = {
    "the old gradients are still there: clear them before backward": _step("fbs"),
    "the network is in eval mode: call model.train() first": _step("zfbs", train=False),
    "eval mode, and the old gradients are still there": _step("fbs", train=False),
    "no weight has moved: clear, then backward, then step, in this order": _step("zf"),
    "uphill: the loss grows; step against the gradient": _step("zfbs", sign=-1),
    "nothing has happened: the network was not run in train mode": _step(""),
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
    mask = torch.tensor([[True, True], [True, False], [True, True]])  # (B, K)
    targets = gaussian_maps(points, (32, 32), sigma=2)  # not 0 without a label: a mask must show
    targets[2] = targets[2] / 2  # maps of unlike energy: a mean of ratios shows
    maps = 0.4 * targets + 0.05 * torch.rand(targets.shape, generator=rng, dtype=torch.float64)
    maps[1, 1] = 0.7  # bright where there is no label
    return maps, targets, mask


def _ratios(maps: Tensor, targets: Tensor, mask: Tensor) -> tuple[Tensor, Answers]:
    off, energy = (maps - targets).square(), targets.square()
    labelled = mask[..., None, None]
    above, below = (off * labelled).sum(), (energy * labelled).sum()
    right = above / below
    return right, {
        "a map without a label counts: leave it out with the mask": off.sum() / energy.sum(),
        "the mask is missing below the line: only labelled maps count there too": above
        / energy.sum(),
        "the mask is missing above the line: only labelled maps count there too": off.sum() / below,
        "upside down: the loss of the all-zero maps belongs below the line": 1 / right,
        "square the differences, not only the targets": (maps - targets).abs()[mask].sum()
        / energy[mask].sum(),
        "square the targets too": off[mask].sum() / targets[mask].sum(),
        "square both: this is the ratio of the absolute values": (maps - targets).abs()[mask].sum()
        / targets[mask].sum(),
        "that is the loss alone: divide by the loss of all-zero maps": off[mask].sum(),
        "that is the mean loss alone: divide by that of all-zero maps": off[mask].mean(),
        "that is a mean of ratios: add up first, then divide once": _means_of_ratios(
            off, energy, mask
        ),
        "one number for the whole batch is wanted, not one per map": off.sum((-2, -1))
        / energy.sum((-2, -1)),
    }


def _means_of_ratios(off: Tensor, energy: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
    """Over the labelled maps, with 0 for the others, over all maps, and over the images."""
    ratios = off.sum((-2, -1)) / energy.sum((-2, -1))  # (B, K)
    pick = mask[..., None, None]
    of_images = (off * pick).sum((1, 2, 3)) / (energy * pick).sum((1, 2, 3))  # (B,)
    return ratios[mask].mean(), (ratios * mask).mean(), ratios.mean(), of_images.mean()


# --- Mirroring some images of a batch ----------------------------------------------------------


@self_check
def mirrored_batch(fn: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> str:
    """Check `fn(images, points, chosen)`: the chosen images mirrored, with their points.

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
        raise NotYet("return two things: the images and the points")
    compare(value[0], *_mirrored_images(images, chosen))
    compare(value[1], *_mirrored_points(points, chosen, images.shape[-1]))
    return "images, points and names mirrored, and only where they were chosen"


def _mirrored_images(images: Tensor, chosen: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    pick = chosen[:, None, None, None]
    return torch.where(pick, images.flip(-1), images), {
        "no image was mirrored": images,
        "every image was mirrored: only the chosen ones should be": images.flip(-1),
        "the wrong images were mirrored": torch.where(pick, images, images.flip(-1)),
        "the images stand on their heads: mirror the last axis, the columns": torch.where(
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
        "the images are mirrored, but the points are not": points,
        "the eyes are not swapped: eye 0 is the subject's left after mirroring too": where(
            moved.flip(1)
        ),
        "the eyes are swapped, but x is not mirrored": where(points.flip(1)),
        "off by one: pixel 0 goes to W - 1, so x' = W - 1 - x": where(moved + one_right),
        "all points were mirrored: only those of the chosen images should be": moved,
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


def _wrong_schedules(right: Tensor) -> Answers:
    steep = FINAL / PEAK  # the share of the peak when `final` is read as a rate
    return {
        "the climb is missing: it starts at 0": _line(lambda p: PEAK * _fall(_down(p))),
        "the cosine starts when the climb is over, not at 0: subtract `warmup` first": _too_early(),
        "after the climb the rate never falls": _line(_climb),
        "half a cosine is wanted: from 1 down, with pi, not 2 pi": _line(
            lambda p: _climb(p) * _fall(2 * _down(p))
        ),
        "it ends at 0: at the end a share `final` of the peak is left": _line(
            lambda p: _climb(p) * _fall(_down(p), 0.0)
        ),
        "mix, do not cut off: the cosine falls to `final` by final + (1 - final) * cosine": (
            _line(lambda p: _climb(p) * max(FINAL, _fall(_down(p), 0.0))),
            _line(lambda p: max(FINAL * PEAK, _climb(p) * _fall(_down(p), 0.0))),
        ),
        "a straight line: half a cosine is wanted": _line(
            lambda p: _climb(p) * (1 - (1 - FINAL) * _down(p))
        ),
        "`final` is a share of the peak, not a rate": _line(
            lambda p: _climb(p) * _fall(_down(p), steep)
        ),
        "the peak is missing: that runs from 0 to 1": right / PEAK,
    }


def _line(formula: Callable[[float], float]) -> Tensor:
    return torch.tensor([formula(p) for p in PROGRESS])


def _climb(p: float) -> float:
    return PEAK * min(1.0, p / WARMUP)


def _down(p: float) -> float:
    return max(0.0, p - WARMUP) / (1 - WARMUP)


def _fall(share: float, final: float = FINAL) -> float:
    return final + (1 - final) * (1 + math.cos(math.pi * share)) / 2


def _too_early() -> tuple[Tensor, ...]:
    """A cosine from progress 0 on: in one formula with the climb, or only once that is over."""
    shares: tuple[Callable[[float], float], ...] = (
        lambda p: p,
        lambda p: p / (1 - WARMUP),
        lambda p: min(1.0, p / (1 - WARMUP)),
    )
    factored = [_line(lambda p, share=share: _climb(p) * _fall(share(p))) for share in shares]
    progress = torch.tensor(PROGRESS)
    climbing = (progress < WARMUP, progress <= WARMUP)
    in_turn = [torch.where(which, _line(_climb), line) for line in factored for which in climbing]
    return (*factored, *in_turn)
