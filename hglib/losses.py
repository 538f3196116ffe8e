"""What the network is told to do: which heat maps are its targets, and how a miss is counted.

Every loss takes one `Level` of scores, the target maps of that level and a mask that says which
(picture, landmark) pairs are labelled. A missing point contributes nothing at all: a zero map would
be a label of its own ("this eye is nowhere").

Axes: B batch, K landmarks, H and W rows and columns of the level's map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from hglib.heatmap import max_pool_pyramid, render, render_pyramid
from hglib.hourglass import Level


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`sum(values * mask) / sum(mask)`: the mean over what is labelled; 0 where nothing is.

    A plain mean after zeroing would shrink the step of a batch by its share of missing points.
    `values` and `mask` (B, K). Taught in: 04_training
    """
    return (values * mask).sum() / mask.sum().clamp(min=1)


def sum_of_squares(level: Level, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The 2019 loss: squared differences summed over pixels, landmarks and the batch.

    Fine levels have more pixels, so they outweigh coarse ones. Taught in: 04_training
    """
    return (((level.maps - target) ** 2).sum(dim=(-2, -1)) * mask).sum()


def mean_squared_error(level: Level, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Squared difference per pixel (arXiv 1603.06937, section 3.2). Taught in: 04_training"""
    return masked_mean(((level.maps - target) ** 2).mean(dim=(-2, -1)), mask)


def binary_cross_entropy(level: Level, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Every pixel is a yes/no question, asked of the scores: its gradient does not fade where the
    output is far from the target, as the squared error of a sigmoid does. Taught in: 04_training"""
    loss = F.binary_cross_entropy_with_logits(level.scores, target, reduction="none")
    return masked_mean(loss.mean(dim=(-2, -1)), mask)


def pixel_cross_entropy(level: Level, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Each map is one question with H*W answers: softmax over the pixels against the target, scaled
    to sum 1. There is no all-zero plateau, since a softmax must put its mass somewhere.

    After Mask R-CNN's keypoint head (arXiv 1703.06870, section 5). Taught in: 04_training
    """
    share = target.flatten(2)  # (B, K, H*W)
    share = share / share.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(share.dtype).tiny)
    log_p = F.log_softmax(level.scores.flatten(2), dim=-1)  # (B, K, H*W)
    return masked_mean(-(share * log_p).sum(dim=-1), mask)


LOSSES: dict[str, Callable[[Level, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "sum_of_squares": sum_of_squares,
    "mean_squared_error": mean_squared_error,
    "binary_cross_entropy": binary_cross_entropy,
    "pixel_cross_entropy": pixel_cross_entropy,
}


@dataclass(frozen=True)
class Objective:
    """Targets and loss, chosen together. The defaults are those our default network is trained by.

    Taught in: 04_training
    """

    loss: str = "pixel_cross_entropy"  # alone of the four it learns at once from any start
    kind: str = "gaussian"  # "gaussian" or the original's "exponential"
    width: float = 0.6  # Gaussian: sigma in map pixels; exponential: alpha per picture pixel
    pyramid: str = "render"  # coarse targets: rendered anew, or "max_pool" of the finest
    round_labels: bool = False  # True throws the sub-pixel fraction away, as the original did

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss {self.loss!r} is not one of {', '.join(LOSSES)}")
        if self.pyramid not in ("render", "max_pool"):
            raise ValueError(f"pyramid {self.pyramid!r} is not one of render, max_pool")


OBJECTIVE_2019 = Objective("sum_of_squares", "exponential", 0.1, "max_pool", round_labels=True)
OBJECTIVE_PAPER = Objective("mean_squared_error", "gaussian", 1.0)  # sigma 1, section 3.2


def targets(
    points: torch.Tensor, size: tuple[int, int], strides: Sequence[int], objective: Objective
) -> list[torch.Tensor]:
    """One target map per level: a list of (B, K, H/stride, W/stride) in the order of `strides`.

    `points` (B, K, 2) in picture pixels; NaN gives an all-zero map (and is masked). With
    `pyramid="max_pool"` the finest map is rendered at stride 1 and pooled. Taught in: 02_heatmaps
    """
    points = points.round() if objective.round_labels else points
    if objective.pyramid == "render":
        return render_pyramid(points, size, strides, objective.kind, objective.width)
    steps = [stride.bit_length() - 1 for stride in strides]  # stride 2**n is n poolings away
    fine = render(points, size, 1, objective.kind, objective.width)
    pooled = max_pool_pyramid(fine, max(steps) + 1)
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
        levels: the network's outputs. points: (B, K, 2) in picture pixels, NaN where missing.
        size: (H, W) of the picture. objective: the default when None.
        mask: (B, K), 1 where a point counts; by default where it is not NaN.

    Taught in: 04_training
    """
    objective = objective or Objective()
    labelled = torch.isfinite(points).all(dim=-1)  # (B, K)
    mask = (labelled if mask is None else labelled & mask.bool()).to(points.dtype)
    maps = targets(points, size, [level.stride for level in levels], objective)
    loss = LOSSES[objective.loss]
    return sum(
        (loss(lv, t, mask) for lv, t in zip(levels, maps, strict=True)), points.new_zeros(())
    )
