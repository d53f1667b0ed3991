"""Small transformer encoder for text: pre-norm (Xiong et al. 2020), rotary positions (Su et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from runwright_components.contract.config import ModelConfig
from runwright_components.models.layers import EncoderLayer, Head
from runwright_components.models.shape import Shape


class Transformer(nn.Module):
    """`input_ids` and `attention_mask` int64 [N, T]; the mean over the tokens that are not padding goes to the head."""

    frequency: Tensor

    def __init__(self, config: ModelConfig, shape: Shape) -> None:
        super().__init__()
        dimension = config.width // config.heads
        self.embedding = nn.Embedding(shape.vocabulary, config.width)
        # Vectors of length 1: the norm that follows would blow up smaller ones, and with them rounding and each step.
        nn.init.normal_(self.embedding.weight, std=config.width**-0.5)
        self.dropout = nn.Dropout(config.dropout)
        frequency = 10_000.0 ** (-torch.arange(0, dimension, 2, dtype=torch.float32) / dimension)
        self.register_buffer("frequency", frequency, persistent=False)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.head = Head(config.width, shape.classes, regression=shape.task == "regression", dropout=config.dropout)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        angles = positions.unsqueeze(1).to(self.frequency.dtype) * self.frequency
        # A text without a single token still needs one visible position: softmax over nothing is NaN.
        visible = ((attention_mask > 0) | (positions == 0)).unsqueeze(1).unsqueeze(1)
        tokens = self.dropout(self.embedding(input_ids))
        for layer in self.layers:
            tokens = layer(tokens, visible, (angles.cos(), angles.sin()))
        out: Tensor = self.head(masked_mean(self.norm(tokens), attention_mask))
        return out


def masked_mean(tokens: Tensor, attention_mask: Tensor) -> Tensor:
    """Mean of `tokens` [N, T, D] over the positions where `attention_mask` [N, T] is 1; zero where there is none."""
    mask = attention_mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
