"""Small transformer encoder for text: pre-norm (Xiong et al. 2020), rotary positions (Su et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from runwright_components.contract.config import ModelConfig
from runwright_components.models.layers import Head, activation
from runwright_components.models.shape import Shape


def rotate(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each pair of features of `heads` [N, H, T, D] by its position's angle [T, D / 2]."""
    first, second = heads.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward part of four times the width, each after a layer norm, each with a shortcut."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), activation(config.activation), nn.Dropout(config.dropout),
            nn.Linear(4 * width, width),
        )  # fmt: skip
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor, visible: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        batch, length, width = tokens.shape
        mixed = self.query_key_value(self.attention_norm(tokens))
        mixed = mixed.view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key = rotate(mixed[0], cosine, sine), rotate(mixed[1], cosine, sine)
        attended = functional.scaled_dot_product_attention(query, key, mixed[2], attn_mask=visible)
        tokens = tokens + self.dropout(self.attention_out(attended.transpose(1, 2).reshape(batch, length, width)))
        out: Tensor = tokens + self.dropout(self.feed(self.feed_norm(tokens)))
        return out


class Transformer(nn.Module):
    """`input_ids` and `attention_mask` int64 [N, T]; the mean over the tokens that are not padding goes to the head."""

    frequency: Tensor

    def __init__(self, config: ModelConfig, shape: Shape) -> None:
        super().__init__()
        dimension = config.width // config.heads
        self.embedding = nn.Embedding(shape.vocabulary, config.width)
        nn.init.normal_(self.embedding.weight, std=0.02)
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
            tokens = layer(tokens, visible, angles.cos(), angles.sin())
        out: Tensor = self.head(masked_mean(self.norm(tokens), attention_mask))
        return out


def masked_mean(tokens: Tensor, attention_mask: Tensor) -> Tensor:
    """Mean of `tokens` [N, T, D] over the positions where `attention_mask` [N, T] is 1; zero where there is none."""
    mask = attention_mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
