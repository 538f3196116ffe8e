"""Five heads for one trunk: features (B, 16, 48, 48) to points. Notebook 09 builds them.

`head(features)` is an output of its own, `head.read(output)` the points (B, 2, 2) in image pixels,
and `head.loss(output, points)` what it is trained on. All points must be there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hglib.heatmap import decode, gaussian_maps
from hglib.hourglass import build

CENTRES = torch.arange(48) * 2 + 0.5  # of the cells, in image pixels


class Regression(nn.Sequential):
    """Two linear layers from the features to the coordinates."""

    def __init__(self) -> None:
        layers = nn.Linear(16 * 12 * 12, 128), nn.ReLU(), nn.Linear(128, 4)
        super().__init__(nn.AvgPool2d(4), nn.Flatten(), *layers, nn.Unflatten(1, (2, 2)))

    def read(self, output: Tensor) -> Tensor:
        return 47.5 + 48 * output  # the net's numbers stay near 0

    def loss(self, output: Tensor, points: Tensor) -> Tensor:
        return (self.read(output) - points).norm(dim=-1).mean()  # px


class Maps(nn.Sequential):
    """Ours: a softmax map, cross-entropy over its pixels, the centre of mass around the peak."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(16, 2, kernel_size=1), nn.Flatten(2), nn.LogSoftmax(dim=2))

    def read(self, output: Tensor) -> Tensor:
        return decode(output.exp().unflatten(2, (48, 48)), "soft", stride=2).points

    def loss(self, output: Tensor, points: Tensor) -> Tensor:
        target = gaussian_maps(points, stride=2, sigma=0.6).flatten(2)  # (B, K, h * w)
        return -(target / target.sum(dim=2, keepdim=True) * output).sum(dim=2).mean()


class SoftArgmax(Maps):
    """The mean of the whole map and its distance; DSNT adds the divergence from one hill."""

    divergence = 0.0

    def read(self, output: Tensor) -> Tensor:
        p = output.exp().unflatten(2, (48, 48))  # (B, K, h, w)
        return torch.stack([p.sum(dim=2) @ CENTRES, p.sum(dim=3) @ CENTRES], dim=-1)

    def loss(self, output: Tensor, points: Tensor) -> Tensor:
        target = gaussian_maps(points, stride=2, sigma=1.0).flatten(2) + 1e-9
        p, q = output.exp(), target / target.sum(dim=2, keepdim=True)
        middle = ((p + q) / 2).log()
        js = (p * (output - middle) + q * (q.log() - middle)).sum(dim=2) / 2
        distance = (self.read(output) - points).norm(dim=-1) / 48
        return (distance + self.divergence * js).mean()


class DSNT(SoftArgmax):
    """Soft-argmax that also wants one narrow hill (arXiv 1801.07372, section 3.3)."""

    divergence = 1.0


class SimCC(nn.Module):
    """Two classifications for each point: which column of half a pixel, and which row."""

    bins = torch.arange(192) / 2 - 0.25  # their centres, px

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Sequential(nn.Conv2d(16, 2, kernel_size=1), nn.Flatten(2))
        self.axes = nn.ModuleList(nn.Linear(48 * 48, 192) for _ in "xy")

    def forward(self, features: Tensor) -> Tensor:
        flat = self.flat(features)
        return torch.stack([axis(flat) for axis in self.axes], dim=2).log_softmax(dim=3)

    def read(self, output: Tensor) -> Tensor:
        near = (self.bins - self.bins[output.argmax(dim=3)][..., None]).abs() <= 3  # px
        mass = output.exp() * near  # (B, K, 2, bins)
        return (mass * self.bins).sum(dim=3) / mass.sum(dim=3)

    def loss(self, output: Tensor, points: Tensor) -> Tensor:
        target = (-((self.bins - points[..., None]) ** 2) / (2 * 1.2**2)).softmax(dim=3)
        return -(target * output).sum(dim=3).mean()


HEADS = {"maps": Maps, "coordinates": Regression, "soft-argmax": SoftArgmax}
HEADS |= {"DSNT": DSNT, "SimCC": SimCC}


def network(head: nn.Module) -> nn.Module:
    """Our default with another head: the scores of its one level are the head's output."""
    model = build("lean")
    model.heads[0] = head
    return model
