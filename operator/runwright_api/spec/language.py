"""What is special about text generation: `spec.train.model.lora`, and the rules."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from runwright_api.part import Part, Path, Rule

TASK = "text-generation"


class Lora(Part):
    """Low-rank adaptation (Hu et al. 2021): the pretrained weights stay, small matrices beside them learn."""

    rank: Annotated[int, Field(ge=1, le=1024)] = 8
    """Rank of the matrices. Default: 8."""
    alpha: Annotated[float, Field(gt=0.0, le=4096.0)] = 16.0
    """Their output counts alpha / rank times. Default: 16."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of their inputs dropped in training. Default: 0."""


def _generates(train: Any) -> bool:
    return bool(train.task == TASK)


def _encoders_fields(train: Any) -> list[Path]:
    used = (
        (("model", "freeze"), train.model.freeze),
        (("layerDecay",), train.layer_decay != 1.0),
        (("augment", "tokenDropout"), train.augment.token_dropout > 0.0),
    )
    return [path for path, given in used if given and _generates(train)]


LANGUAGE_RULES = (
    Rule(
        message="lora and keyValueHeads are for text-generation",
        broken=lambda self: [
            ("model", field)
            for field, value in (("lora", self.model.lora), ("keyValueHeads", self.model.key_value_heads))
            if value is not None and not _generates(self)
        ],
        cel=f"self.task == '{TASK}' || !has(self.model) || (!has(self.model.lora) && !has(self.model.keyValueHeads))",
        cure="remove it",
    ),
    Rule(
        message="freeze, layerDecay and augment.tokenDropout are for encoders, not for text-generation",
        broken=_encoders_fields,
        cel=(
            f"self.task != '{TASK}' || ((!has(self.model) || !has(self.model.freeze) || !self.model.freeze)"
            " && (!has(self.layerDecay) || self.layerDecay == 1.0)"
            " && (!has(self.augment) || !has(self.augment.tokenDropout) || self.augment.tokenDropout == 0.0))"
        ),
        cure="remove it; train.model.lora leaves most weights of a pretrained model as they are",
    ),
)
"""Rules of `spec.train` for language models."""

EXAMPLES_RULE = Rule(
    message="prepare.text.prompt, response and messages are for text-generation",
    broken=lambda self: [
        ("prepare", "text", field)
        for field in ("prompt", "response", "messages")
        if getattr(self.prepare.text, field) is not None and not _generates(self.train)
    ],
    cel=(
        f"self.train.task == '{TASK}' || !has(self.prepare) || !has(self.prepare.text)"
        " || (!has(self.prepare.text.prompt) && !has(self.prepare.text.response) && !has(self.prepare.text.messages))"
    ),
    cure="name the column of the texts with prepare.text.column",
)
"""The rule of `spec` for what a language model is fine-tuned on."""
