"""Convolutions over tokens for text (Kim 2014, Convolutional Neural Networks for Sentence Classification)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from runwright_components.contract.config import ModelConfig
from runwright_components.models.layers import Head, activation
from runwright_components.models.shape import Shape

KERNELS = (1, 3, 5)


class TextCnn(nn.Module):
    """`input_ids` and `attention_mask` int64 [N, T]: `width` filters a kernel, the largest response of each over T.

    Padding does not change the output: its embeddings are zero, like the convolutions' own padding, and its responses
    do not reach the maximum.
    """

    def __init__(self, config: ModelConfig, shape: Shape) -> None:
        super().__init__()
        embedding = config.embedding or 128
        self.embedding = nn.Embedding(shape.vocabulary, embedding)
        nn.init.normal_(self.embedding.weight, std=embedding**-0.5)
        self.input_dropout = nn.Dropout(config.dropout)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(embedding, config.width, kernel, padding=kernel // 2) for kernel in KERNELS
        )
        self.activation = activation(config.activation)
        self.head = Head(
            config.width * len(KERNELS), shape.classes, regression=shape.task == "regression", dropout=config.dropout
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        mask = attention_mask.unsqueeze(1).to(self.embedding.weight.dtype)
        tokens = self.input_dropout(self.embedding(input_ids)).transpose(1, 2) * mask
        pooled = [(self.activation(convolution(tokens)) * mask).amax(dim=2) for convolution in self.convolutions]
        out: Tensor = self.head(torch.cat(pooled, dim=1))
        return out
