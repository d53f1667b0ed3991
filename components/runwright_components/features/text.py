"""Texts to token numbers: cleaning, a saved tokenizer, truncation and padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tokenizers import Tokenizer

from runwright_components.contract.artifacts import PREPROCESSING, TOKENIZER, Document, PreparedManifest
from runwright_components.contract.artifacts import STATE as STATE_FILE
from runwright_components.contract.files import write_bytes
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.preprocessing import Preprocessing, State

IDS, MASK = "input_ids", "attention_mask"

# Soft hyphen, zero-width space, word joiner and byte order mark are invisible and carry no meaning between letters; the
# zero-width joiners stay, since emoji and several scripts need them.
_INVISIBLE = r"[[\p{Cc}--\s]\u{AD}\u{200B}\u{2060}\u{FEFF}]"


class TextState(Document):
    """`max_tokens` counts special tokens. `pad` fills up shorter texts of a batch (masked). `special` names the special
    tokens; a trained tokenizer has [PAD] 0, [UNK] 1, [CLS] 2 (before each text) and [SEP] 3 (after it)."""

    column: str
    max_tokens: int
    pad: int
    vocabulary: int
    special: dict[str, int]
    source: Literal["trained", "pretrained"]


class TextPreprocessingState(State):
    kind: Literal["text"] = "text"
    text: TextState


class TextPreprocessing(Preprocessing):
    """`transform` gives `input_ids` and `attention_mask`, int64 [N, T]; T is the longest text of the rows."""

    state_type: ClassVar[type[State]] = TextPreprocessingState

    def __init__(self, state: TextPreprocessingState, tokenizer: Tokenizer) -> None:
        super().__init__(state)
        self._text = state.text
        self._tokenizer = bounded(tokenizer, state.text.max_tokens)

    @classmethod
    def read(cls, folder: Path) -> Self:
        return cls(TextPreprocessingState.read(folder, STATE_FILE), read_tokenizer(folder))

    def save(self, folder: Path) -> None:
        super().save(folder)
        write_bytes(folder / TOKENIZER, self._tokenizer.to_str(pretty=True).encode() + b"\n")

    def transform(self, rows: pl.DataFrame) -> dict[str, NDArray[Any]]:
        texts = texts_of(rows, self._text.column)
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts.to_list())]
        lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
        flat = np.fromiter((token for row in ids for token in row), dtype=np.int64, count=int(lengths.sum()))
        return padded(flat, lengths, self._text.pad)


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a preprocessing's folder. Raises StageError (DataUnreadable)."""
    try:
        return Tokenizer.from_str((folder / TOKENIZER).read_text(encoding="utf-8"))
    except Exception as error:
        # tokenizers raises plain Exception
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"{TOKENIZER} cannot be read: {error}",
            where=str(folder),
            cure="the preprocessing was altered; take the whole folder again from its source",
        ) from error


def texts_of(rows: pl.DataFrame, column: str) -> pl.Series:
    """The cleaned texts (String, a missing one is empty). Raises StageError (DataInvalid) for a column that is none."""
    if column not in rows.columns:
        raise StageError(
            Reason.DATA_INVALID, f"the rows have no text column {column!r}", cure=f"give each row its {column!r}"
        )
    dtype = rows.schema[column]
    if dtype not in (pl.String, pl.Null):
        raise StageError(
            Reason.DATA_INVALID, f"column {column!r} holds {dtype}, not text", cure="give the texts as strings"
        )
    return rows.select(cleaned(pl.col(column).cast(pl.String)).fill_null("")).to_series()


def cleaned(text: pl.Expr) -> pl.Expr:
    """Text composed (Unicode NFC), without invisible control characters, with single spaces, trimmed."""
    return text.str.normalize("NFC").str.replace_all(_INVISIBLE, "").str.replace_all(r"\s+", " ").str.strip_chars(" ")


def bounded(tokenizer: Tokenizer, max_tokens: int) -> Tokenizer:
    """The tokenizer with our truncation and without padding, whatever its file had set."""
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=max_tokens)
    return tokenizer


def padded(flat: NDArray[Any], lengths: NDArray[np.int64], pad: int) -> dict[str, NDArray[Any]]:
    """Token numbers of all texts one after the other, as `input_ids` and `attention_mask` int64 [N, longest]."""
    mask = np.arange(lengths.max(initial=1)) < lengths[:, None]
    ids = np.full(mask.shape, pad, dtype=np.int64)
    ids[mask] = flat
    return {IDS: ids, MASK: mask.astype(np.int64)}


def split_inputs(frame: pl.DataFrame, prepared: Path, _manifest: PreparedManifest, /) -> dict[str, NDArray[Any]]:
    """The tensors of a prepared split, padded to its longest text."""
    state = TextPreprocessingState.read(prepared / PREPROCESSING, STATE_FILE)
    lengths = frame[IDS].list.len().cast(pl.Int64).to_numpy()
    return padded(frame[IDS].explode().drop_nulls().to_numpy(), lengths, state.text.pad)
