"""A small convolutional network."""

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """From `pixels` [N, 1, H, W] in [0, 1] to logits [N, classes]."""

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(32 * width, classes),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.body(pixels - 0.5)
        return logits


def export(network: nn.Module, pixels: Tensor, path: str) -> None:
    """Write the ONNX graph; the number of rows is left open."""
    torch.onnx.export(
        network.eval(),
        (pixels[:2],),
        path,
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_shapes={"pixels": {0: torch.export.Dim("batch")}},
        dynamo=True,
        external_data=False,
        verbose=False,
    )
