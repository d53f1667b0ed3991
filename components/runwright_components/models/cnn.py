"""Plain convolutional network for small images, in the manner of VGG (Simonyan and Zisserman 2015)."""

from __future__ import annotations

from torch import Tensor, nn

from runwright_components.contract.config import ModelConfig
from runwright_components.models.image import Standardize
from runwright_components.models.layers import Head, activation, norm2d
from runwright_components.models.shape import Shape


class Cnn(nn.Module):
    """`depth` stages of two 3x3 convolutions; the channels double and the sides halve from stage to stage."""

    def __init__(self, config: ModelConfig, shape: Shape) -> None:
        super().__init__()
        channels, height, width = shape.image
        self.standardize = Standardize(shape)
        layers: list[nn.Module] = []
        side = min(height, width)
        for stage in range(config.depth):
            out = config.width * 2**stage
            for _ in range(2):
                layers += [
                    nn.Conv2d(channels, out, 3, padding=1, bias=config.normalization == "none"),
                    norm2d(config.normalization, out),
                    activation(config.activation),
                ]
                channels = out
            if side >= 4:  # below that a further pooling would leave nothing to convolve
                layers.append(nn.MaxPool2d(2))
                side //= 2
        self.stages = nn.Sequential(*layers)
        self.head = Head(channels, shape.classes, regression=shape.task == "regression", dropout=config.dropout)

    def forward(self, pixels: Tensor) -> Tensor:
        out: Tensor = self.head(self.stages(self.standardize(pixels)).mean(dim=(2, 3)))
        return out
