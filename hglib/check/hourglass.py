"""Self-checks of notebook 03: the recursion, the receptive field of a chain, sizes that divide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import log2, prod

import torch
import torch.nn.functional as F
from torch import Tensor

from hglib.check.verdict import as_tensor, compare, self_check

Chain = Sequence[tuple[int, int]]  # (kernel, stride) of each layer, the first layer first

# --- The recursion -------------------------------------------------------------------------------


@self_check
def recursion(fn: Callable[[Tensor, int], Tensor]) -> str:
    """Check `fn(x, depth)`: x (B, C, H, W) plus itself halved (max), treated alike, and doubled.

    At depth 0 the answer is x. The doubling repeats cells.
    """
    x = torch.randn(2, 3, 16, 32, generator=torch.Generator().manual_seed(0))
    for depth in (0, 1, 2, 3):
        compare(fn(x.clone(), depth), _sum(x, depth), _wrong_sums(x, depth))
    return "your recursion adds every resolution, at depths 0 to 3"


def _half(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2)


def _double(x: Tensor, mode: str = "nearest") -> Tensor:
    return F.interpolate(x, scale_factor=2, mode=mode)


def _sum(
    x: Tensor,
    depth: int,
    half: Callable[[Tensor], Tensor] = _half,
    double: Callable[[Tensor], Tensor] = _double,
) -> Tensor:
    return x if depth == 0 else x + double(_sum(half(x), depth - 1, half, double))


def _waist(x: Tensor, depth: int) -> Tensor:
    """Down and up again, without any skip."""
    return x if depth == 0 else _double(_waist(_half(x), depth - 1))


def _wrong_sums(x: Tensor, depth: int) -> dict[str, Tensor]:
    if depth == 0:
        return {"at depth 0 nothing is left to do: return x itself": _sum(x, 1)}
    inner = _double(_sum(_half(x), depth - 1))
    return {
        "the skip is missing: add x to what comes back from below": _waist(x, depth),
        "the skip is added at the top only: the smaller maps need theirs": x + _waist(x, depth),
        "one level too few: go on until depth is 0": _sum(x, depth - 1),
        "one level too many: depth counts the halvings": _sum(x, depth + 1),
        "halve by the maximum of each 2 x 2 cells, not by their mean": (
            _sum(x, depth, half=lambda y: F.avg_pool2d(y, 2))
        ),
        "double by repeating cells (nearest), not by interpolating": (
            _sum(x, depth, double=lambda y: _double(y, "bilinear"))
        ),
        "add the skip, do not concatenate it: the number of channels stays": (
            torch.cat([x, inner], dim=1)
        ),
    }


# --- The receptive field -------------------------------------------------------------------------

_DOWN = [(3, 1), (2, 2)]  # a 3x3 convolution, a 2x2 pool
CHAINS: tuple[Chain, ...] = (
    [(3, 1)],
    [(3, 1), (3, 1), (5, 1)],
    [(3, 1), (2, 2), (3, 1)],
    [(7, 2), (3, 1), (2, 2), (3, 1)],
    _DOWN * 4,
)


@self_check
def field_of_chain(fn: Callable[[Chain], int]) -> str:
    """Check `fn(layers)`: input pixels, along one axis, that one output of the chain can see.

    layers: (kernel, stride) of each layer, the first first.
    """
    value = torch.stack([as_tensor(fn(list(chain))) for chain in CHAINS])
    right = torch.tensor([_field(chain) for chain in CHAINS])
    wrong = {
        mistake: torch.tensor([formula(chain) for chain in CHAINS])
        for mistake, formula in _WRONG_FIELDS.items()
    }
    compare(value, right, wrong)
    return f"the way down of 2019 ends at a cell that sees {_field(CHAINS[-1])} pixels"


def _jumps(chain: Chain) -> list[int]:
    """Input pixels between two neighbouring cells, before each layer."""
    return list(accumulate((stride for _, stride in chain), int.__mul__, initial=1))[:-1]


def _field(chain: Chain) -> int:
    return 1 + sum((k - 1) * jump for (k, _), jump in zip(chain, _jumps(chain), strict=True))


def _own_stride_first(chain: Chain) -> int:
    steps = zip(chain, _jumps(chain), strict=True)
    return 1 + sum((k - 1) * jump * stride for (k, stride), jump in steps)


_WRONG_FIELDS: dict[str, Callable[[Chain], int]] = {
    "the strides are missing: after a stride of 2, one cell is two pixels": (
        lambda chain: 1 + sum(k - 1 for k, _ in chain)
    ),
    "one too few: before any layer, a pixel sees itself": lambda chain: _field(chain) - 1,
    "a layer's own stride counts for the layers after it only": _own_stride_first,
    "a kernel of k adds k - 1 steps, not k": (
        lambda chain: 1 + sum(k * j for (k, _), j in zip(chain, _jumps(chain), strict=True))
    ),
    "kernels do not multiply: each adds its k - 1 steps": lambda chain: prod(k for k, _ in chain),
    "the layers are in the wrong order: the first one looks at the image": (
        lambda chain: _field(chain[::-1])
    ),
    "that is the stride of the whole chain, not what it sees": lambda chain: prod(
        stride for _, stride in chain
    ),
}

# --- Sizes that divide ---------------------------------------------------------------------------

SIZES = ((96, 4), (96, 2), (64, 4), (128, 2), (100, 2), (256, 4), (36, 4))  # (pixels, stem stride)


@self_check
def deepest(fn: Callable[[int, int], int]) -> str:
    """Check `fn(size, stem_stride)`: how often a map can be halved without a remainder.

    size: image pixels; the map after the stem has size / stem_stride.
    """
    value = torch.stack([as_tensor(fn(*given)) for given in SIZES])
    right = torch.tensor([_halvings(size // stem) for size, stem in SIZES])
    compare(value, right, _wrong_depths(right))
    return "96 pixels allow 3 halvings after a stem of stride 4, and 4 after one of stride 2"


def _halvings(size: int) -> int:
    return 0 if size % 2 else 1 + _halvings(size // 2)


def _wrong_depths(right: Tensor) -> dict[str, Tensor]:
    until_one = [int(log2(size // stem)) for size, stem in SIZES]
    return {
        "the stem is missing: it has divided the image already": torch.tensor(
            [_halvings(size) for size, _ in SIZES]
        ),
        "stop at the first odd size: 3 cells cannot be halved": torch.tensor(until_one),
        "one too many: an odd map cannot be halved once more": right + 1,
        "one too few: the last even map can still be halved": right - 1,
        "that is the size of the waist, not the number of halvings": torch.tensor(
            [size // stem // 2 ** _halvings(size // stem) for size, stem in SIZES]
        ),
    }
