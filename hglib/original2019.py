"""The network of 2019 that this course starts from, ported from TensorFlow 1 to float precision."""

from __future__ import annotations

import torch
from torch import nn

from hglib.hourglass import ACTIVATIONS, Level, check_at_least, check_choice, check_images


class DownResidual(nn.Module):
    """Half the resolution: (B, inputs, H, W) -> (B, outputs, H/2, W/2).

    A 3x3 and a 1x1 convolution, both max-pooled and added; `normalise` adds a BatchNorm.
    """

    def __init__(self, inputs: int, outputs: int, normalise: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)
        self.project = nn.Conv2d(inputs, outputs, kernel_size=1)
        self.pool = nn.MaxPool2d(2)
        self.activation = nn.LeakyReLU(0.01)  # the slope that the original passes
        self.norm = nn.BatchNorm2d(outputs) if normalise else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        local = self.activation(self.pool(self.conv(x)))  # (B, outputs, H/2, W/2)
        return self.norm(local + self.pool(self.project(x)))  # (B, outputs, H/2, W/2)


class UpSample(nn.Module):
    """Double the resolution: (B, inputs, h, w) -> (B, outputs, 2h, 2w), aligned as TensorFlow does.

    TensorFlow's transposed convolution (kernel 3, stride 2, "SAME") moves the content right and
    down by half a pixel, and its 2x2 max pool of stride 1 ("SAME") moves it back. PyTorch's usual
    `ConvTranspose2d(3, stride=2, padding=1, output_padding=1)` moves left and up instead, so with
    the same pool each step would be a whole pixel off: 8 + 4 + 2 + 1 = 15 px after four steps.
    The original adds the bias after the pool; before is the same: max(a + b, c + b) is
    max(a, c) + b.
    """

    def __init__(self, inputs: int, outputs: int, normalise: bool = False) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, kernel_size=3, stride=2)
        self.pool = nn.MaxPool2d(2, stride=1, padding=1)
        self.norm = nn.BatchNorm2d(outputs) if normalise else nn.Identity()
        self.activation = nn.LeakyReLU(0.2)  # TensorFlow's default slope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        grown = self.conv(x)[..., :-1, :-1]  # (B, outputs, 2h, 2w): "SAME" crops right and bottom
        pooled = self.pool(grown)[..., 1:, 1:]  # keeps the padding right and bottom only
        return self.activation(self.norm(pooled))  # (B, outputs, 2h, 2w)


class Original2019(nn.Module):
    """The hourglass of 2019: 22,852 parameters, a 6x6 waist, maps at 6x6 and at 96x96.

    Four residual steps down, four transposed convolutions up, 1x1 lateral convolutions between.
    The finest skip is at 48x48. Sides must be multiples of 16.
    Source: "Landmark algorithm.py" of github.com/Epsilon456/Face_LandMark_Recognition.
    """

    decoder = "argmax"  # how the original reads a map

    def __init__(
        self,
        landmarks: int = 2,
        activation: str = "sigmoid",
        # The repairs that the course studies:
        init: str = "2019",  # a truncated normal of deviation 1 / fan-in; or "he", sqrt(2 / fan-in)
        full_resolution_skip: bool = False,  # the image joins the scores through a 3x3 convolution
        normalise: bool = False,  # a BatchNorm in every step but the last
    ) -> None:
        super().__init__()
        check_at_least("landmarks", landmarks, 1)
        check_choice("activation", activation, ACTIVATIONS)
        check_choice("init", init, ("2019", "he"))
        self.activation = activation
        # Layers are made in the order of the original graph, as its checkpoints list them.
        self.down1 = DownResidual(1, 4, normalise)
        self.lateral1 = nn.Conv2d(4, 8, kernel_size=1)
        self.down2 = DownResidual(4, 8, normalise)
        self.lateral2 = nn.Conv2d(8, 16, kernel_size=1)
        self.down3 = DownResidual(8, 16, normalise)
        self.lateral3 = nn.Conv2d(16, 32, kernel_size=1)
        self.down4 = DownResidual(16, 32, normalise)
        self.up4 = UpSample(32, 32, normalise)
        self.up3 = UpSample(32, 16, normalise)
        self.up2 = UpSample(16, 8, normalise)
        self.up1 = UpSample(8, landmarks)
        self.head = nn.Conv2d(32, landmarks, kernel_size=1)
        self.skip = nn.Conv2d(1, landmarks, 3, padding=1) if full_resolution_skip else None
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                _initialise(layer, init)

    def forward(self, x: torch.Tensor) -> list[Level]:
        """x (B, 1, H, W) -> [Level of (B, K, H/16, W/16), Level of (B, K, H, W)]."""
        check_images(x, 16, "four halvings")
        down1 = self.down1(x)  # (B, 4, H/2, W/2)
        down2 = self.down2(down1)  # (B, 8, H/4, W/4)
        down3 = self.down3(down2) / 10  # (B, 16, H/8, W/8); the original's own scaling
        waist = self.down4(down3)  # (B, 32, H/16, W/16)
        coarse = self.head(waist)  # (B, K, H/16, W/16)
        up = self.up4(waist)  # (B, 32, H/8, W/8)
        up = self.up3(up + self.lateral3(down3))  # (B, 16, H/4, W/4)
        up = self.up2(up + self.lateral2(down2))  # (B, 8, H/2, W/2)
        fine = self.up1(up + self.lateral1(down1))  # (B, K, H, W)
        if self.skip is not None:
            fine = fine + self.skip(x)  # (B, K, H, W)
        outputs = ((coarse, 16), (fine, 1))
        return [Level(s, stride, self.activation, self.decoder) for s, stride in outputs]


@torch.no_grad()
def _initialise(layer: nn.Conv2d | nn.ConvTranspose2d, init: str) -> None:
    """2019: normals of 1 / fan-in (kernel), 1 / filters (bias), cut at two standard deviations.

    "he": He et al. (2015), https://arxiv.org/abs/1502.01852, section 2.2.
    """
    fan_in = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
    if init == "he":
        layer.weight.normal_(std=(2 / fan_in) ** 0.5)
        layer.bias.zero_()
        return
    for values, std in ((layer.weight, 1 / fan_in), (layer.bias, 1 / layer.out_channels)):
        nn.init.trunc_normal_(values, std=std, a=-2 * std, b=2 * std)
