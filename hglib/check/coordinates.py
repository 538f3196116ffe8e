"""Self-check of notebook 09: a head whose coarse cells are refined by offsets."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hglib.check.verdict import compare, self_check


@self_check
def offset_head(fn: Callable[[Tensor, Tensor, int], Tensor]) -> str:
    """Check `fn(scores, offsets, stride)`: the best cell's centre, moved by that cell's offset.

    scores (B, K, h, w), offsets (B, K, 2, h, w) in image pixels, x first; points (B, K, 2).
    """
    rng = torch.Generator().manual_seed(8)
    for stride, shape in ((16, (3, 2, 6, 6)), (8, (2, 2, 5, 7))):  # square maps hide mistakes
        scores = torch.randn(shape, generator=rng)
        offsets = 5 * torch.randn((*shape[:2], 2, *shape[2:]), generator=rng)
        right, wrong = _points(scores, offsets, stride), _wrong(scores, offsets, stride)
        compare(fn(scores.clone(), offsets.clone(), stride), right, wrong)
    return "the best cell says where about, its offset says where"


def _best(scores: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """The cells (B, K, 2), x first, of the highest scores, and the offsets there."""
    best = scores.flatten(2).argmax(dim=2)  # (B, K)
    cells = torch.stack([best % scores.shape[3], best // scores.shape[3]], dim=-1)
    index = best[:, :, None, None].expand(-1, -1, 2, 1)
    return cells, offsets.flatten(3).gather(3, index)[..., 0]


def _points(scores: Tensor, offsets: Tensor, stride: int) -> Tensor:
    cells, moved = _best(scores, offsets)
    return (cells + 0.5) * stride - 0.5 + moved


def _wrong(scores: Tensor, offsets: Tensor, stride: int) -> dict[str, Tensor]:
    cells, moved = _best(scores, offsets)
    centres, mean = (cells + 0.5) * stride - 0.5, offsets.mean(dim=(3, 4))
    chance = scores.flatten(2).softmax(dim=2)
    blend = (offsets.flatten(3) * chance[:, :, None]).sum(dim=3)
    return {
        "the offset is missing: add that of the best cell": centres,
        "cell i lies at (i + 0.5) * stride - 0.5, not at i * stride": cells * stride + moved,
        "cell i lies at (i + 0.5) * stride - 0.5: its last half pixel is missing": (
            (cells + 0.5) * stride + moved
        ),
        "x and y of the cell are exchanged: the column is x": centres.flip(-1) + moved,
        "x and y of the offset are exchanged: offsets hold x first": centres + moved.flip(-1),
        "x and y are exchanged": (centres + moved).flip(-1),
        "the offset is subtracted: it leads from the cell's centre to the point": centres - moved,
        "the offsets are pixels already: do not multiply them by the stride": (
            centres + moved * stride
        ),
        "only the best cell's offset counts, not the mean of all": centres + mean,
        "only the best cell's offset counts, not a blend": centres + blend,
    }
