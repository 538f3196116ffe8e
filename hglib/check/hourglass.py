"""Self-checks of notebook 03 and its appendix: recursion, residual, receptive field, sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import log2, prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hglib.check.verdict import NotYet, as_tensor, compare, same, self_check

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


def _halved_late(x: Tensor, depth: int) -> Tensor:
    """The recursion goes down on the full map; what it returns is halved and doubled."""
    return x if depth == 0 else x + _double(_half(_halved_late(x, depth - 1)))


def _wrong_sums(x: Tensor, depth: int) -> dict[str, Tensor]:
    if depth == 0:
        return {"at depth 0 nothing is left to do: return x itself": _sum(x, 1)}
    inner = _double(_sum(_half(x), depth - 1))
    return {
        "halve x before the recursion, not what it returns: below, x itself is half as large": (
            _halved_late(x, depth)
        ),
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


# --- The residual module -------------------------------------------------------------------------

Call = tuple[nn.Module, Tensor, Tensor]  # a layer, what went in, what came out
EACH = "a BatchNorm2d is wanted before each of the two 3 x 3 convolutions"


@self_check
def residual(module: Callable[[int, int], nn.Module]) -> str:
    """Check a class `module(inputs, outputs)`: x plus two 3x3 convolutions of it, same size.

    A 1x1 convolution carries x where the channels differ; each 3x3 comes after BatchNorm and ReLU.
    """
    if getattr(module, "__init__", None) is nn.Module.__init__:
        raise NotYet("your class is empty so far")
    equal, wider = module(4, 4), module(4, 6)
    if not isinstance(equal, nn.Module):
        raise NotYet(f"a class made from nn.Module is wanted, not {type(equal).__name__}")
    x = torch.randn(2, 4, 12, 16, generator=torch.Generator().manual_seed(0)) - 0.5
    _check_shapes(equal, wider, x)
    with torch.no_grad():
        compare(_silenced(equal)(x.clone()), x, _silent_mistakes(x))
        if not _carries(wider, x):
            raise NotYet("from 4 to 6 channels x is lost: carry it by a 1 x 1 convolution")
    model = module(4, 4)
    _check_layers(model)
    _check_order(model.eval(), x)
    return "x passes unchanged, and two convolutions add to it"


def _check_shapes(equal: nn.Module, wider: nn.Module, x: Tensor) -> None:
    for model, channels in ((equal, 4), (wider, 6)):
        value = model.eval()(x.clone())
        found = None if not isinstance(value, Tensor) else tuple(value.shape)
        if found is None:
            raise NotYet("your module returns nothing so far")
        if found[1] == 4 + channels:
            raise NotYet("add x, do not concatenate it: the number of channels is `outputs`")
        if found[2:] != tuple(x.shape[2:]):
            raise NotYet("the map has another size: a 3 x 3 convolution needs padding=1")
        if found[1] != channels:
            raise NotYet(f"{found[1]} channels come out where {channels} are wanted")


@torch.no_grad()
def _silenced(model: nn.Module) -> nn.Module:
    """All 3x3 convolutions give 0: what is left is the way that carries x."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            for values in layer.parameters():
                values.zero_()
    return model.eval()


def _silent_mistakes(x: Tensor) -> dict[str, Tensor]:
    return {
        "x is not added: return x plus what the convolutions make of it": torch.zeros_like(x),
        "no ReLU after the sum: x must pass unchanged": x.relu(),
        "x is added twice": 2 * x,
    }


def _carries(wider: nn.Module, x: Tensor) -> bool:
    """Whether x still matters when the 3x3 convolutions are silent."""
    out = _silenced(wider)(x.clone())
    return bool((out.std(dim=(0, 2, 3)) > 1e-6).all())


def _check_layers(model: nn.Module) -> None:
    """Two 3x3 convolutions and two BatchNorms."""
    layers = list(model.modules())
    threes = sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in layers)
    if threes != 2:
        raise NotYet(f"{threes} convolutions of 3 x 3 are in it; two are wanted")
    if sum(isinstance(layer, nn.BatchNorm2d) for layer in layers) != 2:
        raise NotYet(EACH)


@torch.no_grad()
def _check_order(model: nn.Module, x: Tensor) -> None:
    """BatchNorm, ReLU, convolution, twice, by what goes into each layer and what comes out."""
    _shift_norms(model)
    out, calls = _followed(model, x)
    if torch.allclose(out, x):
        raise NotYet("the convolutions change nothing: add what they make of x")
    order = "".join("n" if isinstance(layer, nn.BatchNorm2d) else "c" for layer, *_ in calls)
    if order == "cncn":
        raise NotYet("the wrong order: BatchNorm and ReLU come before each convolution, not after")
    if order != "ncnc":
        raise NotYet(EACH)
    _check_pair(x, *calls[:2])
    _check_pair(calls[1][2], *calls[2:])
    if not same(out, x + calls[3][2]):
        raise NotYet("nothing is left to do after the second convolution but to add x")


def _shift_norms(model: nn.Module) -> None:
    """Untrained, a BatchNorm in eval mode changes nothing: its place would not show."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.bias.copy_(torch.linspace(-0.5, 0.5, layer.num_features))


def _followed(model: nn.Module, x: Tensor) -> tuple[Tensor, list[Call]]:
    """The answer, and every call of a BatchNorm and of a 3x3 convolution, as they came."""
    calls: list[Call] = []
    for layer in model.modules():
        three = isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)
        if three or isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_hook(
                lambda at, given, made: calls.append((at, given[0].clone(), made.clone()))
            )
    return model(x.clone()), calls


def _check_pair(source: Tensor, norm: Call, conv: Call) -> None:
    """A BatchNorm of `source`, a ReLU of that, and a convolution of that."""
    if same(norm[1], source.relu()):
        raise NotYet("the ReLU comes after its BatchNorm, not before")
    if not same(norm[1], source):
        raise NotYet("a BatchNorm gets something else than x, or than the first convolution's map")
    if same(conv[1], norm[2]):
        raise NotYet("a ReLU is missing between a BatchNorm and its convolution")
    if not same(conv[1], norm[2].relu()):
        raise NotYet("a ReLU, and nothing else, stands between a BatchNorm and its convolution")


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
