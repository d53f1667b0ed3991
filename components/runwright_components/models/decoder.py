"""A causal language model: the decoder of Llama (Touvron et al. 2023), from scratch or with pretrained weights.

Rotary positions (Su et al. 2021), grouped queries (Ainslie et al. 2023), SwiGLU (Shazeer 2020), RMSNorm before each
part (Zhang and Sennrich 2019), no biases. Names and layout of the weights are those of `LlamaForCausalLM`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from runwright_components.contract.artifacts import Document
from runwright_components.contract.config import ModelConfig

DECODER = "decoder.json"  # in a model's folder: the sizes of its decoder
_MULTIPLE = 32  # of the width inside SwiGLU: vector units like it


class RotaryScaling(Document):
    """How Llama 3.1 stretches low frequencies beyond the `original` context (Grattafiori et al. 2024)."""

    kind: Literal["llama3"] = "llama3"
    factor: float
    low: float
    high: float
    original: int


class DecoderSettings(Document):
    """Sizes of a decoder. `inner` is the width inside SwiGLU; `tied`: the embedding is the output's matrix, too."""

    vocabulary: int
    width: int
    depth: int
    heads: int
    key_value_heads: int
    head_width: int
    inner: int
    context: int
    theta: float = 10_000.0
    epsilon: float = 1e-5
    tied: bool = True
    dropout: float = 0.0
    scaling: RotaryScaling | None = None


def settings_for(config: ModelConfig, *, vocabulary: int) -> DecoderSettings:
    """The sizes that a configuration asks for; SwiGLU's three matrices hold as much as the usual two: 8/3 of width."""
    return DecoderSettings(
        vocabulary=vocabulary,
        width=config.width,
        depth=config.depth,
        heads=config.heads,
        key_value_heads=config.key_value_heads or config.heads,
        head_width=config.width // config.heads,
        inner=_MULTIPLE * math.ceil(8 * config.width / 3 / _MULTIPLE),
        context=config.context,
        dropout=config.dropout,
    )


class Attention(nn.Module):
    """Causal attention of [N, T, width]; queries of a group share a head of keys and values."""

    def __init__(self, settings: DecoderSettings) -> None:
        super().__init__()
        self.heads, self.key_value_heads = settings.heads, settings.key_value_heads
        self.head_width = settings.head_width
        queries, shared = self.heads * self.head_width, self.key_value_heads * self.head_width
        self.q_proj = nn.Linear(settings.width, queries, bias=False)
        self.k_proj = nn.Linear(settings.width, shared, bias=False)
        self.v_proj = nn.Linear(settings.width, shared, bias=False)
        self.o_proj = nn.Linear(queries, settings.width, bias=False)

    def forward(self, states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        query, key, value = self._project(states, cos, sin)
        grouped = self.heads != self.key_value_heads
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=grouped)
        return self._merge(mixed)

    def extend(
        self, states: Tensor, cos: Tensor, sin: Tensor, past: tuple[Tensor, Tensor], mask: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The same for tokens after `past` keys and values [N, key-value heads, P, head width], which it returns
        extended; `mask` bool [T, P + T]."""
        query, key, value = self._project(states, cos, sin)
        key, value = torch.cat((past[0], key), dim=2), torch.cat((past[1], value), dim=2)
        mixed = functional.scaled_dot_product_attention(query, self._shared(key), self._shared(value), attn_mask=mask)
        return self._merge(mixed), (key, value)

    def _project(self, states: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of the heads that this process has: with tensor parallelism, some of them."""
        rows, length, _ = states.shape
        query = self.q_proj(states).view(rows, length, -1, self.head_width).transpose(1, 2)
        key = self.k_proj(states).view(rows, length, -1, self.head_width).transpose(1, 2)
        value = self.v_proj(states).view(rows, length, -1, self.head_width).transpose(1, 2)
        return _rotated(query, cos, sin), _rotated(key, cos, sin), value

    def _shared(self, heads: Tensor) -> Tensor:
        """A head of keys or values for each head of queries: the exporter knows no groups."""
        return heads.repeat_interleave(self.heads // self.key_value_heads, dim=1)

    def _merge(self, mixed: Tensor) -> Tensor:
        merged: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return merged


class Mlp(nn.Module):
    """SwiGLU."""

    def __init__(self, settings: DecoderSettings) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(settings.width, settings.inner, bias=False)
        self.up_proj = nn.Linear(settings.width, settings.inner, bias=False)
        self.down_proj = nn.Linear(settings.inner, settings.width, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(states)) * self.up_proj(states))
        return out


class Block(nn.Module):
    """Attention and SwiGLU, each after a norm and added to what came in."""

    def __init__(self, settings: DecoderSettings) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(settings.width, eps=settings.epsilon)
        self.self_attn = Attention(settings)
        self.post_attention_layernorm = nn.RMSNorm(settings.width, eps=settings.epsilon)
        self.mlp = Mlp(settings)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        return self._rest(states, self.self_attn(self.input_layernorm(states), cos, sin))

    def extend(
        self, states: Tensor, cos: Tensor, sin: Tensor, past: tuple[Tensor, Tensor], mask: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The same for tokens after `past`; see `Attention.extend`."""
        mixed, present = self.self_attn.extend(self.input_layernorm(states), cos, sin, past, mask)
        return self._rest(states, mixed), present

    def _rest(self, states: Tensor, mixed: Tensor) -> Tensor:
        states = states + self.dropout(mixed)
        out: Tensor = states + self.dropout(self.mlp(self.post_attention_layernorm(states)))
        return out


class Trunk(nn.Module):
    """Embedding, blocks and the last norm."""

    cos: Tensor
    sin: Tensor

    def __init__(self, settings: DecoderSettings) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(settings.vocabulary, settings.width)
        self.dropout = nn.Dropout(settings.dropout)
        self.layers = nn.ModuleList(Block(settings) for _ in range(settings.depth))
        self.norm = nn.RMSNorm(settings.width, eps=settings.epsilon)
        cos, sin = rotary(settings)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        length = input_ids.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        states = self.dropout(self.embed_tokens(input_ids))
        for block in self.layers:
            states = block(states, cos, sin)
        out: Tensor = self.norm(states)
        return out

    def extend(
        self, input_ids: Tensor, past: Sequence[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """States of tokens after `past`, and the past extended by them."""
        before, length = past[0][0].shape[2], input_ids.shape[1]
        places = before + torch.arange(length, device=input_ids.device)
        mask = torch.arange(before + length, device=input_ids.device) <= places[:, None]
        cos, sin = self.cos[places], self.sin[places]
        states, present = self.embed_tokens(input_ids), []
        for block, known in zip(self.layers, past, strict=True):
            assert isinstance(block, Block)
            states, extended = block.extend(states, cos, sin, known, mask)
            present.append(extended)
        return self.norm(states), present


class Decoder(nn.Module):
    """`input_ids` int64 [N, T] to the `logits` [N, T, vocabulary] of each next token."""

    def __init__(self, settings: DecoderSettings) -> None:
        super().__init__()
        self.settings = settings
        self.model = Trunk(settings)
        self.lm_head = nn.Linear(settings.width, settings.vocabulary, bias=False)
        if settings.tied:
            self.lm_head.weight = self.model.embed_tokens.weight
        self._initialize()

    def _initialize(self) -> None:
        """Small normal weights (Nguyen and Salazar 2019); smaller ones where a block writes into the residual stream,
        by depth (Wang and Komatsuzaki 2021), as in GPT-NeoX-20B (Black et al. 2022)."""
        small = math.sqrt(2 / (5 * self.settings.width))
        residual = 2 / (self.settings.depth * math.sqrt(self.settings.width))
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                writes = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=min(small, residual) if writes else small)

    def forward(self, input_ids: Tensor) -> Tensor:
        out: Tensor = self.lm_head(self.model(input_ids))
        return out

    def extend(
        self, input_ids: Tensor, past: Sequence[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Logits for tokens after `past`, a pair of keys and values [N, key-value heads, P, head width] a block, and
        the past extended by them."""
        states, present = self.model.extend(input_ids, past)
        return self.lm_head(states), present


def rotary(settings: DecoderSettings) -> tuple[Tensor, Tensor]:
    """Cosines and sines [context, head width] of the angles that heads are rotated by; the halves of a head pair up."""
    half = torch.arange(0, settings.head_width, 2, dtype=torch.float64) / settings.head_width
    frequencies = settings.theta**-half
    if settings.scaling is not None:
        frequencies = _stretched(frequencies, settings.scaling)
    angles = torch.outer(torch.arange(settings.context, dtype=torch.float64), frequencies).repeat(1, 2)
    return angles.cos().float(), angles.sin().float()


def _stretched(frequencies: Tensor, scaling: RotaryScaling) -> Tensor:
    """Long waves are stretched by the factor, short ones stay, those between change over smoothly."""
    turns = scaling.original * frequencies / (2 * math.pi)
    kept = ((turns - scaling.low) / (scaling.high - scaling.low)).clamp(0, 1)
    return frequencies * (kept + (1 - kept) / scaling.factor)


def _rotated(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat((-second, first), dim=-1) * sin
