"""Heat maps: rendering them from points (targets) and reading points back from them (decoders).

Axes: B batch, K landmarks, H rows, W columns. Points are (x, y) in image pixels, 0-based, with
pixel *centres* at whole numbers. A map at stride s has one cell per s x s image pixels, and cell j
sits at image coordinate (j + 0.5) * s - 0.5. Notebook 02_heatmaps teaches it.
"""

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_FLOOR = 1e-10  # smallest height before a logarithm (DARK's own value): ln 0 is -inf
RIDGE = 1e-3  # below this share of the determinant a peak is a ridge: one axis at a time instead


class Decoded(NamedTuple):
    """Points read from heat maps, with how far to trust each."""

    points: Tensor  # (B, K, 2) image pixels
    confidence: Tensor  # (B, K) in [0, 1]


class Peaks(NamedTuple):
    """The highest cell of every map: its column, its row and its height, each (B, K)."""

    x: Tensor
    y: Tensor
    height: Tensor


def to_map(points: Tensor, stride: int) -> Tensor:
    """Image pixels to map pixels: (x + 0.5) / stride - 0.5, for points of any shape.

    x / stride alone is (stride - 1) / 2 image pixels off, 1.5 px at stride 4.

    >>> to_map(torch.tensor([1.5, 0.0]), stride=4)
    tensor([ 0.0000, -0.3750])
    """
    return (points + 0.5) / stride - 0.5


def to_image(points: Tensor, stride: int) -> Tensor:
    """Map pixels to image pixels: (x + 0.5) * stride - 0.5, the inverse of `to_map`."""
    return (points + 0.5) * stride - 0.5


def labelled(points: Tensor) -> Tensor:
    """Which points (B, K, 2) are labelled: (B, K) bool, False where one is not finite."""
    return points.isfinite().all(dim=-1)


def exponential_maps(
    points: Tensor, size: tuple[int, int] = (96, 96), stride: int = 1, alpha: float = 0.1
) -> Tensor:
    """The original's target: exp(-alpha * d), d the distance to the point in image pixels.

    Points (B, K, 2) in image pixels, inside the image or outside, become maps
    (B, K, H / stride, W / stride), all zero where a point is not finite; `size` is (H, W). The
    gradient in the points is 0 where a cell lies exactly on the tip of the cone.

    >>> exponential_maps(torch.tensor([[[1.0, 0.0]]]), size=(2, 4))[0, 0]
    tensor([[0.9048, 1.0000, 0.9048, 0.8187],
            [0.8681, 0.9048, 0.8681, 0.7996]])
    """
    _check_positive("alpha", alpha)
    across, down, present = _offsets(points, size, stride)
    across, down = (alpha * across).square(), (alpha * down).square()
    squared = down[..., :, None] + across[..., None, :]  # (B, K, H, W)
    # The slope of a square root is infinite at 0; clamping turns 0 * inf = NaN into 0.
    distance = squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt()
    return torch.exp(-distance) * present[..., None, None]  # (B, K, H, W)


def gaussian_maps(
    points: Tensor, size: tuple[int, int] = (96, 96), stride: int = 1, sigma: float = 1.5
) -> Tensor:
    """The field's usual target: exp(-d^2 / (2 sigma^2)), peak height 1.

    As `exponential_maps`, but d and sigma are in MAP pixels: the same peak on every level. Source:
    Tompson et al. 2014; Newell et al. 2016, "Stacked hourglass networks", section 3.2.

    >>> gaussian_maps(torch.tensor([[[1.0, 0.0]]]), size=(2, 4), sigma=1.0)[0, 0]
    tensor([[0.6065, 1.0000, 0.6065, 0.1353],
            [0.3679, 0.6065, 0.3679, 0.0821]])
    """
    _check_positive("sigma", sigma)
    across, down, present = _offsets(points, size, stride)
    width = sigma * stride  # map pixels to image pixels
    # A product of one Gaussian per axis: H + W exponentials, not H * W.
    across = torch.exp(-0.5 * (across / width).square())  # (B, K, W)
    down = torch.exp(-0.5 * (down / width).square()) * present[..., None]  # (B, K, H)
    return down[..., :, None] * across[..., None, :]  # (B, K, H, W)


def render(
    points: Tensor,
    size: tuple[int, int] = (96, 96),
    stride: int = 1,
    *,
    sigma: float | None = None,
    alpha: float | None = None,
) -> Tensor:
    """`gaussian_maps` for sigma, or `exponential_maps` for alpha: exactly one must be given."""
    check_one_width(sigma, alpha)
    if sigma is not None:
        return gaussian_maps(points, size, stride, sigma)
    return exponential_maps(points, size, stride, alpha)


def check_one_width(sigma: float | None, alpha: float | None) -> None:
    """Raise ValueError unless exactly one of the two is given, positive and finite."""
    if (sigma is None) == (alpha is None):
        choice = "sigma (a Gaussian, in map pixels) or alpha (an exponential, per image pixel)"
        raise ValueError(f"sigma={sigma}, alpha={alpha}: give exactly one, {choice}")
    _check_positive(*(("alpha", alpha) if sigma is None else ("sigma", sigma)))


def render_pyramid(
    points: Tensor,
    size: tuple[int, int] = (96, 96),
    strides: Sequence[int] = (1, 2, 4, 8, 16),
    **width: float | None,
) -> list[Tensor]:
    """One target per stride, each rendered anew from the points; `width` is as for `render`.

    Unlike `max_pool_pyramid` it keeps the sub-pixel position, and coarse maps get no hotter.

    >>> maps = render_pyramid(torch.zeros(1, 2, 2), strides=(1, 16), sigma=1.5)
    >>> [tuple(level.shape) for level in maps]
    [(1, 2, 96, 96), (1, 2, 6, 6)]
    """
    return [render(points, size, stride, **width) for stride in strides]


def max_pool_pyramid(maps: Tensor, levels: int = 5) -> list[Tensor]:  # 96 to 6, as the original
    """Maps (B, K, H, W), then each level max-pooled 2 x 2 from the one before, as in the original.

    It keeps the right cell but loses where in the cell, and the maps get hotter at every step.
    """
    _check_maps(maps)
    _check_whole("levels", levels)
    height, width = maps.shape[-2:]
    if any(side % 2 ** (levels - 1) for side in (height, width)):
        raise ValueError(f"maps of {height} x {width} cannot be halved {levels - 1} times")
    pyramid = [maps]
    while len(pyramid) < levels:
        pyramid.append(F.max_pool2d(pyramid[-1], kernel_size=2))
    return pyramid


def channels_last_layout(maps: Tensor) -> Tensor:
    """Maps (B, K, H, W) in the original project's (and TensorFlow's) order (B, H, W, K)."""
    _check_maps(maps)
    return maps.permute(0, 2, 3, 1)  # (B, H, W, K)


def decode(
    maps: Tensor,
    method: str = "soft",  # steady under independent noise; right for softmax maps
    stride: int = 1,
    window: int = 7,  # cells: holds a sigma 1.5 peak out to 2 sigma
    amplitude: float = 1.0,  # the height of a perfect peak in our targets
    confidence: str | None = None,  # None: "mass" for the soft decoder, else "peak"
    check: bool = True,  # False: no search for NaN, which a graph for export cannot hold
) -> Decoded:
    """Read one point from every heat map (B, K, H, W) at `stride`.

    The highest cell (the first of several) and a shift (B, K, 2) in cells, one of `SHIFTS`:

    - "argmax": none. On average 0.383 * stride px off, whatever the network.
    - "quarter": a quarter cell towards the higher neighbour.
    - "taylor" (DARK): exact for Gaussian peaks of any height.
    - "newton": exact for exponential peaks of height `amplitude`.
    - "soft": the centre of mass of `window` x `window` cells.

    Where a neighbour is outside the map, quarter, taylor and newton do not shift on that axis, and
    soft uses the cells it has. An all-zero map gives the first cell, confidence 0.

    Confidence, clipped to [0, 1]: "peak" is the height of the highest cell; "mass" the sum over the
    window, a probability if the map is a softmax (a sigmoid's mass exceeds 1: take "peak").

    Raises ValueError for a NaN or +inf in a map, which it names, and for options out of range.

    >>> decode(gaussian_maps(torch.tensor([[[40.3, 50.8]]])), "argmax").points
    tensor([[[40., 51.]]])
    """
    _check_maps(maps)
    _check_whole("stride", stride)
    _check_whole("window", window, odd=True)  # it has a middle cell
    _check_positive("amplitude", amplitude)
    window = min(window, 2 * max(maps.shape[-2:]) - 1)  # wider ones hold no more cells
    confidence = confidence or ("mass" if method == "soft" else "peak")
    for argument, value, known in (
        ("method", method, tuple(SHIFTS)),
        ("confidence", confidence, ("peak", "mass")),
    ):
        if value not in known:
            raise ValueError(f"{argument} is {value!r}; choose one of {', '.join(known)}")
    # A half cannot hold 95.3 to a tenth of a pixel.
    maps = maps.to(torch.promote_types(maps.dtype, torch.float32))
    peaks = find_peaks(maps, check)
    cell = torch.stack([peaks.x, peaks.y], dim=-1)  # (B, K, 2)
    cell = cell + SHIFTS[method](maps, peaks, window=window, amplitude=amplitude)
    trust = peaks.height  # (B, K)
    if confidence == "mass":
        trust = _window_mass(maps, peaks, window).sum(dim=(-2, -1))
    return Decoded(to_image(cell, stride), trust.clamp(0, 1))


def find_peaks(maps: Tensor, check: bool = True) -> Peaks:
    """The highest cell of every map (B, K, H, W), of equal ones the first in reading order.

    Raises ValueError for a NaN or +inf (unless `check` is False).
    """
    flat = maps.flatten(2)  # (B, K, H * W)
    height, index = flat.max(dim=-1)  # NaN wins every comparison, so it shows up here
    if check and not height.isfinite().all():
        image, landmark = (~height.isfinite()).nonzero()[0].tolist()
        peak = height[image, landmark].item()
        raise ValueError(f"the heat map of image {image}, landmark {landmark} has a peak of {peak}")
    columns = maps.shape[-1]
    return Peaks(index % columns, index // columns, height)


def no_shift(maps: Tensor, peaks: Peaks, **_: float) -> Tensor:
    """Plain argmax: the middle of the highest cell."""
    return maps.new_zeros(*peaks.x.shape, 2)


def quarter_shift(maps: Tensor, peaks: Peaks, **_: float) -> Tensor:
    """A quarter cell towards the higher neighbour on each axis; equal neighbours: none.

    The true shift of an isotropic peak lies between 0 and 1/2, so 1/4 halves the error of argmax.
    Source: Newell et al. 2016, the published evaluation code.
    """
    patch, has_x, has_y = _neighbours(maps, peaks)
    x = (patch[..., 1, 2] - patch[..., 1, 0]).sign() * has_x
    y = (patch[..., 2, 1] - patch[..., 0, 1]).sign() * has_y
    return 0.25 * torch.stack([x, y], dim=-1)  # (B, K, 2)


def taylor_shift(maps: Tensor, peaks: Peaks, **_: float) -> Tensor:
    """One Newton step on ln h, which for a Gaussian is a parabola: exact, at any height and width.

    At most half a cell. For the exponential ln h is a cone: the step stays 0.065 cells off on
    average. Source: Zhang et al. 2020, "Distribution-aware coordinate representation" (DARK),
    section 3.1, without its blurring.
    """
    patch, *usable = _neighbours(maps, peaks)
    return _newton_step(patch.clamp_min(LOG_FLOOR).log(), *usable)


def newton_shift(maps: Tensor, peaks: Peaks, amplitude: float = 1.0, **_: float) -> Tensor:
    """One Newton step on -(ln(h / amplitude))^2: exact for h = amplitude * exp(-alpha * d).

    There it is -(alpha * d)^2, a parabola. `amplitude` is the height of the tip itself, NOT of the
    highest cell, which is lower at a sub-pixel centre: dividing by that would flatten the tip.
    Cells above the amplitude count as the amplitude. At most half a cell.
    """
    patch, *usable = _neighbours(maps, peaks)
    log = (patch / amplitude).clamp(LOG_FLOOR, 1.0).log()
    return _newton_step(-log.square(), *usable)


def centroid_shift(maps: Tensor, peaks: Peaks, window: int = 7, **_: float) -> Tensor:
    """Centre of mass of `window` x `window` cells around the highest one (local soft-argmax).

    Negative cells count as 0; with no mass at all there is no shift. Source: Sun et al. 2018,
    "Integral human pose regression", there over the whole map.
    """
    weight = _window_mass(maps, peaks, window)  # (B, K, n, n)
    steps = torch.arange(window, device=maps.device) - window // 2
    x = (weight.sum(dim=-2) * steps).sum(dim=-1)
    y = (weight.sum(dim=-1) * steps).sum(dim=-1)
    total = weight.sum(dim=(-2, -1))
    total = total.where(total > 0, torch.ones_like(total))  # no mass: 0 / 1
    return torch.stack([x, y], dim=-1) / total[..., None]  # (B, K, 2)


SHIFTS: dict[str, Callable[..., Tensor]] = {
    "argmax": no_shift,
    "quarter": quarter_shift,
    "taylor": taylor_shift,
    "newton": newton_shift,
    "soft": centroid_shift,
}


def _newton_step(f: Tensor, has_x: Tensor, has_y: Tensor) -> Tensor:
    """From the middle of 3 x 3 samples (B, K, 3, 3) to the top of the parabola through them."""
    step_x, bend_x, use_x = _axis_step(f[..., 1, 0], f[..., 1, 1], f[..., 1, 2], has_x)
    step_y, bend_y, use_y = _axis_step(f[..., 0, 1], f[..., 1, 1], f[..., 2, 1], has_y)
    twist = (f[..., 2, 2] - f[..., 2, 0] - f[..., 0, 2] + f[..., 0, 0]) / 4
    twist = twist * (use_x & use_y)
    # Divided by its diagonal the 2 x 2 system is scale-free: nothing underflows on flat peaks.
    cross_x, cross_y = twist / bend_x, twist / bend_y
    determinant = 1 - cross_x * cross_y
    full = determinant > RIDGE
    x = ((step_x - cross_x * step_y) / determinant).where(full, step_x)
    y = ((step_y - cross_y * step_x) / determinant).where(full, step_y)
    # Our targets are round: their top is never more than half a cell from the highest cell.
    return torch.stack([x, y], dim=-1).clamp(-0.5, 0.5)  # (B, K, 2)


def _axis_step(before: Tensor, middle: Tensor, after: Tensor, usable: Tensor) -> tuple[Tensor, ...]:
    """The step to the top along one axis, the curvature there, and where the axis can be used.

    An axis with a neighbour missing, or flat, gets no step and the harmless curvature -1.
    """
    bend = after - 2 * middle + before
    usable = usable & (bend < 0)
    bend = bend.where(usable, -torch.ones_like(bend))
    step = (before - after) / 2 / bend
    return step.where(usable, torch.zeros_like(step)), bend, usable


def _patch(maps: Tensor, peaks: Peaks, size: int) -> tuple[Tensor, Tensor]:
    """The size x size cells around every peak (B, K, n, n), and which of them are in the map."""
    rows, columns = maps.shape[-2:]
    steps = torch.arange(size, device=maps.device) - size // 2
    x, y = peaks.x[..., None] + steps, peaks.y[..., None] + steps  # (B, K, n)
    in_x, in_y = (x >= 0) & (x < columns), (y >= 0) & (y < rows)
    x, y = x.clamp(0, columns - 1), y.clamp(0, rows - 1)
    index = y[..., :, None] * columns + x[..., None, :]  # (B, K, n, n)
    cells = maps.flatten(2).gather(-1, index.flatten(2)).reshape(index.shape)
    return cells, in_y[..., :, None] & in_x[..., None, :]


def _neighbours(maps: Tensor, peaks: Peaks) -> tuple[Tensor, Tensor, Tensor]:
    """The 3 x 3 cells around every peak, and where it has both neighbours along x, and along y."""
    patch, inside = _patch(maps, peaks, 3)
    return patch, inside[..., 1, ::2].all(dim=-1), inside[..., ::2, 1].all(dim=-1)


def _window_mass(maps: Tensor, peaks: Peaks, window: int) -> Tensor:
    """Non-negative cells around every peak, 0 outside the map: (B, K, n, n)."""
    patch, inside = _patch(maps, peaks, window)
    return patch.clamp_min(0) * inside


def _offsets(points: Tensor, size: tuple[int, int], stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """Image pixels from points to cells, (B, K, W) and (B, K, H), and which are labelled."""
    if points.ndim != 3 or points.shape[-1] != 2:
        raise ValueError(f"points have shape {tuple(points.shape)}; expected (B, K, 2), x and y")
    _check_whole("stride", stride)
    height, width = size
    if height < 1 or width < 1 or height % stride or width % stride:
        raise ValueError(f"an image of {height} x {width} does not divide by stride {stride}")
    present = labelled(points)  # (B, K)
    # Replaced before any arithmetic: NaN * 0 is NaN, in the gradient too.
    points = points.where(present[..., None], torch.zeros_like(points))
    across, down = (
        to_image(torch.arange(side // stride, device=points.device, dtype=points.dtype), stride)
        - points[..., axis, None]
        for axis, side in enumerate((width, height))
    )
    return across, down, present


def _check_maps(maps: Tensor) -> None:
    wanted = "expected a tensor (B, K, H, W), floating point, with at least one cell"
    if not isinstance(maps, Tensor):
        raise ValueError(f"maps are a {type(maps).__name__}; {wanted}")
    if maps.ndim != 4 or 0 in maps.shape[1:] or not maps.is_floating_point():
        raise ValueError(f"maps have shape {tuple(maps.shape)} and type {maps.dtype}; {wanted}")


def _check_whole(name: str, value: int, odd: bool = False) -> None:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < 1 or (odd and value % 2 == 0):
        kind = "an odd" if odd else "a"
        raise ValueError(f"{name} is {value}; it must be {kind} whole number, 1 or more")


def _check_positive(name: str, value: float) -> None:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and 1e-6 <= value <= 1e6):  # beyond, float32 overflows when it is squared
        raise ValueError(f"{name} is {value!r}; it must be a positive number, from 1e-6 to 1e6")
