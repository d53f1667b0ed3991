"""Transformer for tables: every column a token (FT-Transformer, Gorishniy et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from runwright_components.contract.config import ModelConfig
from runwright_components.models.layers import Head, activation
from runwright_components.models.mlp import NumericEmbedding
from runwright_components.models.shape import Shape


class Tokens(nn.Module):
    """A row as vectors [N, 1 + F + C, width]: one that is the same for every row and gathers the answer, one a number,
    one a category.

    Numbers pass through the periodic embedding of Gorishniy et al. 2022 before their own linear map, which the paper
    of 2021 has alone; it lets attention see where in its range a number is.
    """

    def __init__(self, shape: Shape, width: int) -> None:
        super().__init__()
        self.answer = nn.Parameter(torch.zeros(1, 1, width))
        self.numeric = NumericEmbedding(shape.numeric) if shape.numeric else None
        if self.numeric is not None:
            inner = self.numeric.features // shape.numeric
            self.weight = nn.Parameter(torch.randn(shape.numeric, inner, width) * inner**-0.5)
            self.bias = nn.Parameter(torch.randn(shape.numeric, width) * 0.02)
        self.categories = nn.Embedding(sum(shape.categories), width) if shape.categories else None
        if self.categories is not None:
            firsts = torch.tensor([0, *shape.categories[:-1]]).cumsum(0)
            self.register_buffer("offsets", firsts, persistent=False)
            self.column_bias = nn.Parameter(torch.randn(len(shape.categories), width) * 0.02)
            nn.init.normal_(self.categories.weight, std=width**-0.5)
            with torch.no_grad():  # code 0 is the unseen category: it stays at the origin, the mean of the others
                self.categories.weight[self.offsets] = 0.0

    offsets: Tensor

    def forward(self, numeric: Tensor | None, categorical: Tensor | None) -> Tensor:
        rows = numeric if numeric is not None else categorical
        assert rows is not None
        parts = [self.answer.expand(rows.shape[0], -1, -1)]
        if self.numeric is not None and numeric is not None:
            embedded = self.numeric(numeric).unflatten(1, (numeric.shape[1], -1))
            parts.append(torch.einsum("nfk,fkw->nfw", embedded, self.weight) + self.bias)
        if self.categories is not None and categorical is not None:
            parts.append(self.categories(categorical + self.offsets) + self.column_bias)
        return torch.cat(parts, dim=1)


class Layer(nn.Module):
    """Self-attention over the columns and a gated feed-forward part (ReGLU, Shazeer 2020), each after a layer norm and
    with a shortcut. The first layer attends to unnormalized tokens, as the paper found better."""

    def __init__(self, config: ModelConfig, *, first: bool) -> None:
        super().__init__()
        width = config.width
        inner = max(8, width * 4 // 3)
        self.heads, self.dropout = config.heads, config.dropout
        self.attention_norm = nn.Identity() if first else nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed_in = nn.Linear(width, 2 * inner)
        self.feed_out = nn.Linear(inner, width)
        self.activation = activation(config.activation)
        self.feed_dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        rows, count, width = tokens.shape
        mixed = self.query_key_value(self.attention_norm(tokens))
        query, key, value = mixed.view(rows, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(
            query, key, value, dropout_p=self.dropout if self.training else 0.0
        )
        tokens = tokens + self.attention_out(attended.transpose(1, 2).reshape(rows, count, width))
        value, gate = self.feed_in(self.feed_norm(tokens)).chunk(2, dim=-1)
        out: Tensor = tokens + self.feed_out(self.feed_dropout(value * self.activation(gate)))
        return out


class TabularTransformer(nn.Module):
    """`numeric` float32 [N, F] and `categorical` int64 [N, C], each only where the table has such columns."""

    def __init__(self, config: ModelConfig, shape: Shape) -> None:
        super().__init__()
        self.tokens = Tokens(shape, config.width)
        self.layers = nn.ModuleList(Layer(config, first=number == 0) for number in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.activation = activation(config.activation)
        self.head = Head(config.width, shape.classes, regression=shape.task == "regression", dropout=0.0)

    def forward(self, numeric: Tensor | None = None, categorical: Tensor | None = None) -> Tensor:
        tokens = self.tokens(numeric, categorical)
        for layer in self.layers:
            tokens = layer(tokens)
        out: Tensor = self.head(self.activation(self.norm(tokens[:, 0])))
        return out
