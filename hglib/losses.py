"""Targets and losses: which heat maps the network must make, and how a miss is counted.

A loss takes a `Level` of scores, its target maps (B, K, H, W) and a mask (B, K) of what is
labelled: a missing point contributes nothing, since a zero map would be a label of its own ("this
eye is nowhere"). Notebook 04_training teaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from hglib.heatmap import check_one_width, labelled, max_pool_pyramid, render, render_pyramid
from hglib.hourglass import Level

# Which maps a loss can be asked about. A softmax map sums to 1 and cannot have a peak of height 1;
# a question about each pixel needs the sigmoid's 0..1, one about all pixels together the softmax.
PAIRS = {
    "sum_of_squares": ("sigmoid", "linear"),
    "mean_squared_error": ("sigmoid", "linear"),
    "binary_cross_entropy": ("sigmoid",),
    "pixel_cross_entropy": ("softmax",),
}


def check_pair(loss: str, activation: str) -> None:
    """Raise ValueError where a loss does not go with maps of this activation (see `PAIRS`)."""
    if activation not in PAIRS[loss]:
        pairs = "; ".join(f"{name} with {' or '.join(maps)}" for name, maps in PAIRS.items())
        raise ValueError(f"the loss {loss} does not go with {activation} maps: {pairs}")


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean of `values` (B, K) over what is labelled (not over all, zeros too); 0 for none."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def sum_of_squares(level: Level, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The 2019 loss: summed over pixels (so fine levels outweigh coarse), landmarks, batch."""
    check_pair("sum_of_squares", level.activation)
    return (((level.maps - target) ** 2).sum(dim=(-2, -1)) * mask).sum()


def mean_squared_error(level: Level, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Squared difference per pixel (arXiv 1603.06937, section 3.2)."""
    check_pair("mean_squared_error", level.activation)
    return masked_mean(((level.maps - target) ** 2).mean(dim=(-2, -1)), mask)


def binary_cross_entropy(level: Level, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """A yes/no question for every pixel; its gradient does not fade far from the target."""
    check_pair("binary_cross_entropy", level.activation)
    loss = F.binary_cross_entropy_with_logits(level.scores, target, reduction="none")
    return masked_mean(loss.mean(dim=(-2, -1)), mask)


def pixel_cross_entropy(level: Level, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """One question with H*W answers for each map; the target is scaled to sum 1.

    After Mask R-CNN's keypoint head (arXiv 1703.06870, section 5)."""
    check_pair("pixel_cross_entropy", level.activation)
    share = target.flatten(2)  # (B, K, H*W)
    share = share / share.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(share.dtype).tiny)
    log_p = F.log_softmax(level.scores.flatten(2), dim=-1)  # (B, K, H*W)
    return masked_mean(-(share * log_p).sum(dim=-1), mask)


_FUNCTIONS = (sum_of_squares, mean_squared_error, binary_cross_entropy, pixel_cross_entropy)
LOSSES: dict[str, Callable[..., torch.Tensor]] = {loss.__name__: loss for loss in _FUNCTIONS}


@dataclass(frozen=True)
class Objective:
    """Targets and loss, chosen together; the defaults are those of our default network."""

    loss: str = "pixel_cross_entropy"  # alone of the four it learns at once from any start
    sigma: float | None = 0.6  # of Gaussian targets, in map pixels; None with alpha
    alpha: float | None = None  # of the original's exponential targets, per image pixel
    pyramid: str = "render"  # coarse targets: rendered anew, or "max_pool" of the finest
    round_labels: bool = False  # True throws the sub-pixel fraction away, as the original did

    def __post_init__(self) -> None:
        for field, allowed in (("loss", tuple(LOSSES)), ("pyramid", ("render", "max_pool"))):
            if (value := getattr(self, field)) not in allowed:
                raise ValueError(f"{field} {value!r} is not one of {', '.join(allowed)}")
        check_one_width(self.sigma, self.alpha)
        if not isinstance(self.round_labels, bool):
            raise ValueError(f"round_labels is {self.round_labels!r}; it must be True or False")


OBJECTIVE_2019 = Objective(
    "sum_of_squares", sigma=None, alpha=0.1, pyramid="max_pool", round_labels=True
)
OBJECTIVE_PAPER = Objective("mean_squared_error", sigma=1.0)  # section 3.2


def targets(
    points: torch.Tensor, size: tuple[int, int], strides: Sequence[int], objective: Objective
) -> list[torch.Tensor]:
    """One target map (B, K, H/stride, W/stride) per stride, for points (B, K, 2) in image pixels;
    with `pyramid="max_pool"` one is rendered at stride 1 and pooled."""
    points = points.round() if objective.round_labels else points
    widths = {"sigma": objective.sigma, "alpha": objective.alpha}
    if objective.pyramid == "render":
        return render_pyramid(points, size, strides, **widths)
    if any(stride.bit_count() != 1 for stride in strides):
        raise ValueError(f"max-pooled targets have strides 1, 2, 4, 8, ..., not all of {strides}")
    steps = [stride.bit_length() - 1 for stride in strides]  # stride 2**n is n poolings away
    pooled = max_pool_pyramid(render(points, size, 1, **widths), max(steps) + 1)
    return [pooled[step] for step in steps]


def total_loss(
    levels: Sequence[Level],
    points: torch.Tensor,
    size: tuple[int, int],
    objective: Objective | None = None,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """The sum of the objective's loss over all supervised levels (intermediate supervision).

    Args:
        points: (B, K, 2) in image pixels, NaN where missing.
        size: (H, W) of the image.
        mask: (B, K), 1 where a point counts; by default where it is labelled.

    Raises ValueError where scores and points, or loss and activation, do not go together.
    """
    objective = objective or Objective()
    if not levels:
        raise ValueError("there are no levels to compute a loss of; the network returned nothing")
    present = labelled(points)  # (B, K)
    if mask is not None and mask.shape != present.shape:
        raise ValueError(f"mask is {tuple(mask.shape)}; expected (B, K) = {tuple(present.shape)}")
    mask = (present if mask is None else present & mask.bool()).to(points.dtype)
    loss, total = LOSSES[objective.loss], points.new_zeros(())
    maps = targets(points, size, [level.stride for level in levels], objective)
    for level, target in zip(levels, maps, strict=True):
        if level.scores.shape != target.shape:  # torch would repeat one image or one point
            raise ValueError(
                f"scores at stride {level.stride} are {tuple(level.scores.shape)}, but the "
                f"targets of these points {tuple(target.shape)}: (B, K, h, w) must agree"
            )
        total = total + loss(level, target, mask)
    return total
