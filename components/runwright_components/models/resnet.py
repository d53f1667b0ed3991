"""Small residual network for small images (He et al. 2016, the form for CIFAR)."""

from __future__ import annotations

from torch import Tensor, nn

from runwright_components.contract.config import ModelConfig
from runwright_components.models.image import Standardize
from runwright_components.models.layers import Head, activation, norm2d
from runwright_components.models.shape import Shape

STAGES = 3


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; a stride or a new width makes the shortcut a 1x1 convolution."""

    def __init__(self, channels: int, out: int, stride: int, config: ModelConfig) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
        self.first_norm = norm2d(config.normalization, out)
        self.second = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.second_norm = norm2d(config.normalization, out)
        self.activation = activation(config.activation)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride=stride, bias=False), norm2d(config.normalization, out)
            )

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.activation(self.first_norm(self.first(maps)))
        out: Tensor = self.activation(self.second_norm(self.second(inner)) + self.shortcut(maps))
        return out


class ResNet(nn.Module):
    """A stem and three stages of `depth` blocks; the channels double and the sides halve from stage to stage."""

    def __init__(self, config: ModelConfig, shape: Shape) -> None:
        super().__init__()
        self.standardize = Standardize(shape)
        channels = config.width
        self.stem = nn.Sequential(
            nn.Conv2d(shape.image[0], channels, 3, padding=1, bias=False),
            norm2d(config.normalization, channels),
            activation(config.activation),
        )
        blocks: list[nn.Module] = []
        for stage in range(STAGES):
            out = config.width * 2**stage
            for index in range(config.depth):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(ResidualBlock(channels, out, stride, config))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head = Head(channels, shape.classes, regression=shape.task == "regression", dropout=config.dropout)

    def forward(self, pixels: Tensor) -> Tensor:
        out: Tensor = self.head(self.blocks(self.stem(self.standardize(pixels))).mean(dim=(2, 3)))
        return out
