"""A decoder as an ONNX graph that keeps its keys and values, so that a token more costs one token.

Names as Optimum's exporters write them: `input_ids`, `past_key_values.0.key` and so on to `logits`, `present.0.key`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from runwright_components.contract.artifacts import Tensor as GraphTensor
from runwright_components.features.corpus import IDS
from runwright_components.models.decoder import Decoder
from runwright_components.models.onnx_export import export_graph

_BATCH, _TOKENS, _PAST = 2, 3, 5  # of the example; 0 and 1 would be taken for constants


class _Cached(nn.Module):
    """The decoder over a flat list of keys and values."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, input_ids: Tensor, past: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        logits, present = self.decoder.extend(input_ids, list(zip(past[::2], past[1::2], strict=True)))
        return logits, [tensor for pair in present for tensor in pair]


def export_decoder(decoder: Decoder, path: Path) -> tuple[GraphTensor, ...]:
    """Write the graph of `decoder` to `path`: `input_ids` int64 [N, T] and past keys and values float32
    [N, key-value heads, P, head width], where P may be 0, to `logits` float32 [N, T, vocabulary] and those extended
    to P + T. P + T is at most the context. Returns the tensors that the graph declares."""
    settings = decoder.settings
    batch, tokens, past = (torch.export.Dim(name) for name in ("batch", "tokens", "past"))
    places = [f"{layer}.{part}" for layer in range(settings.depth) for part in ("key", "value")]
    example = torch.zeros(_BATCH, settings.key_value_heads, _PAST, settings.head_width)
    return export_graph(
        _Cached(decoder),
        {IDS: torch.zeros(_BATCH, _TOKENS, dtype=torch.int64), "past": [example.clone() for _ in places]},
        dynamic={IDS: {0: batch, 1: tokens}, "past": [{0: batch, 2: past} for _ in places]},
        inputs=[IDS, *(f"past_key_values.{place}" for place in places)],
        outputs=["logits", *(f"present.{place}" for place in places)],
        path=path,
    )
