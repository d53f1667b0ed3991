"""Where a language model's tokenizer comes from: trained on the training split, or the pretrained model's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from runwright_components.contract.config import PrepareConfig, TextRules
from runwright_components.contract.files import file_digest
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.corpus import ROLES
from runwright_components.prepare import tokenizer as tokens

END = "<|endoftext|>"
SPECIAL = (END, *(f"<|{role}|>" for role in ROLES))


@dataclass(frozen=True)
class Fitted:
    """`start` precedes and `end` follows a document; `inputs` is the digest of the file that was read, if any."""

    tokenizer: Tokenizer
    start: int
    end: int
    context: int
    inputs: dict[str, str]


def fit(texts: Iterable[str], config: PrepareConfig) -> Fitted:
    """Train on `texts`, or take the tokenizer of `config.pretrained`. Raises StageError for a folder without one."""
    if config.pretrained is None:
        tokenizer = _train(texts, config.text)
        both = SPECIAL.index(END)
        return Fitted(tokenizer, both, both, config.text.max_tokens, {})
    tokenizer, context, file = tokens.pretrained(config)
    settings = tokens.settings(config)
    end = _number(settings.get("eos_token_id"))
    start = _number(settings.get("bos_token_id"))
    if end is None:
        raise StageError(
            Reason.DATA_INVALID,
            "config.json names no eos_token_id, the token that ends a text",
            where=str(file.parent),
            cure="copy config.json again from where the model came, or write eos_token_id into it",
        )
    return Fitted(tokenizer, end if start is None else start, end, context, {"tokenizer": file_digest(file)})


def _train(texts: Iterable[str], rules: TextRules) -> Tokenizer:
    """Byte-level BPE (Sennrich et al. 2016; bytes as in Radford et al. 2019) of at most `rules.vocabulary` tokens.

    No text is unknown to it, and what it encodes it decodes byte by byte, unless case is folded.
    """
    tokenizer = Tokenizer(models.BPE())
    if rules.lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokens.learn_pairs(tokenizer, texts, rules.vocabulary, SPECIAL)
    return tokenizer


def _number(value: object) -> int | None:
    """A token of config.json, which may list several."""
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, int) else None
