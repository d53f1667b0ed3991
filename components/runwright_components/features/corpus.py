"""What the documents of a language model are: pieces of text, of which some are learned; and how they become tokens.

A document is a text; or a prompt and its response; or a conversation. Of the latter two the response alone is learned.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tokenizers import Tokenizer

from runwright_components.contract.artifacts import STATE as STATE_FILE
from runwright_components.contract.artifacts import TOKENIZER, Document
from runwright_components.contract.config import SplitName
from runwright_components.contract.files import write_bytes
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.preprocessing import Preprocessing, State
from runwright_components.features.text import read_tokenizer

PROMPT = "prompt"  # the input of a served model
IDS = "input_ids"
CORPUS = "corpus.json"  # in prepared data, beside the tokens
ROLES = ("system", "user", "assistant")
SEGMENT = 65_536  # characters

Layout = Literal["text", "prompt", "chat"]


class Piece(NamedTuple):
    """A part of a document; with a `role` it is a message, which a marker precedes and the end token follows."""

    text: str
    learned: bool
    role: str = ""


class GenerationState(Document):
    """`columns` hold the text, or prompt and response, or the conversation. `context` counts tokens; `start` precedes
    each document and `end` follows it, the same token where the tokenizer has one for both."""

    layout: Layout
    columns: tuple[str, ...]
    context: int
    vocabulary: int
    start: int
    end: int
    source: Literal["trained", "pretrained"]


class GenerationPreprocessingState(State):
    kind: Literal["generation"] = "generation"
    generation: GenerationState


class CorpusSplit(Document):
    """A split in numbers; `learned` tokens are those with a loss, `size` the bytes (UTF-8) of the text they encode."""

    documents: int
    tokens: int
    learned: int
    size: int


class Corpus(Document):
    """The tokens of the splits: SPLIT.tokens.bin, one document after the other, and SPLIT.ends.bin, int64, the place
    past the last token of each. With prompts, SPLIT.learned.bin has a byte a token, 1 where it is learned."""

    dtype: Literal["uint16", "uint32"]
    masked: bool
    splits: dict[SplitName, CorpusSplit]


@dataclass(frozen=True)
class Tokens:
    """A document: `ids` [T] and whether each is `learned` [T]; `size` in bytes of the text that is learned."""

    ids: list[int]
    learned: list[bool]
    size: int


class GenerationPreprocessing(Preprocessing):
    """From rows to documents of tokens, from prompts to tokens, and from generated tokens to text."""

    state_type: ClassVar[type[State]] = GenerationPreprocessingState

    def __init__(self, state: GenerationPreprocessingState, tokenizer: Tokenizer) -> None:
        super().__init__(state)
        self.state = state.generation
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True  # a text that spells a marker does not become one
        self._tokenizer = tokenizer
        self._markers = {role: self._marker(f"<|{role}|>") for role in ROLES}

    @classmethod
    def read(cls, folder: Path) -> Self:
        return cls(GenerationPreprocessingState.read(folder, STATE_FILE), read_tokenizer(folder))

    def save(self, folder: Path) -> None:
        super().save(folder)
        write_bytes(folder / TOKENIZER, self._tokenizer.to_str(pretty=True).encode() + b"\n")

    # -------------------------------------------------------- documents

    def documents(self, rows: pl.DataFrame) -> Iterator[Tokens]:
        """The rows' documents, whole, in order. Raises StageError (DataInvalid) for rows that hold none."""
        documents = list(read_documents(rows, self.state))
        encoded = iter(self._encode([piece.text for pieces in documents for piece in pieces]))
        for pieces in documents:
            yield self._document([(piece, next(encoded)) for piece in pieces])

    def _document(self, pieces: Sequence[tuple[Piece, list[int]]]) -> Tokens:
        state = self.state
        ids, learned = [state.start], [False]
        for piece, found in pieces:
            marker = self._markers[piece.role] if piece.role else []
            closed = [*found, state.end] if piece.role else found
            ids += marker + closed
            learned += [False] * len(marker) + [piece.learned] * len(closed)
        if state.layout != "chat":
            ids.append(state.end)
            learned.append(True)
        return Tokens(ids, learned, sum(len(piece.text.encode()) for piece, _ in pieces if piece.learned))

    def _encode(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """The tokens of each text; long ones are encoded in segments, which bounds memory and uses all cores."""
        cut = [list(segments(text)) for text in texts]
        flat = [segment for parts in cut for segment in parts]
        encoded = iter(self._tokenizer.encode_batch_fast(flat, add_special_tokens=False))
        for parts in cut:
            yield [token for _ in parts for token in next(encoded).ids]

    def _marker(self, text: str) -> list[int]:
        number = self._tokenizer.token_to_id(text)
        return self._tokenizer.encode(f"{text}\n", add_special_tokens=False).ids if number is None else [number]

    # -------------------------------------------------------- generation

    def prompt(self, text: str) -> list[int]:
        """The tokens that a generation starts from."""
        (ids,) = self._encode([text])
        if self.state.layout == "chat":
            return [self.state.start, *self._markers["user"], *ids, self.state.end, *self._markers["assistant"]]
        return [self.state.start, *ids]

    def text(self, ids: Iterable[int]) -> str:
        """The text of generated tokens; bytes that make no character yet show as U+FFFD."""
        decoded: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return decoded

    def transform(self, rows: pl.DataFrame) -> dict[str, NDArray[Any]]:
        """`input_ids` int64 [N, T] of whole documents, cut after `context` tokens, shorter ones filled with the end."""
        ids = [tokens.ids[: self.state.context] for tokens in self.documents(rows)]
        table = np.full((len(ids), max(map(len, ids), default=1)), self.state.end, dtype=np.int64)
        for row, tokens in zip(table, ids, strict=True):
            row[: len(tokens)] = tokens
        return {IDS: table}


def read_documents(rows: pl.DataFrame, state: GenerationState) -> Iterator[list[Piece]]:
    """The pieces of each row. Raises StageError (DataInvalid) for a column that is missing or holds something else."""
    for column in state.columns:
        if column not in rows.columns:
            raise StageError(Reason.DATA_INVALID, f"the rows have no column {column!r}", cure="name another column")
    if state.layout == "chat":
        yield from map(_conversation, rows[state.columns[0]].to_list())
        return
    texts = [one_line_end(rows[column]).to_list() for column in state.columns]
    for cells in zip(*texts, strict=True):
        yield [Piece(text, learned=place == len(cells) - 1) for place, text in enumerate(cells)]


def segments(text: str) -> Iterator[str]:
    """A text in parts of about `SEGMENT` characters that end where a line does."""
    start = 0
    while len(text) - start > SEGMENT:
        end = text.find("\n", start + SEGMENT) + 1
        if not end:
            break
        yield text[start:end]
        start = end
    yield text[start:]


def one_line_end(texts: pl.Series) -> pl.Series:
    """Texts whose lines end in a line feed, whatever the system they come from; a missing one is empty."""
    return texts.cast(pl.String).fill_null("").str.replace_all("\r\n?", "\n")


def _conversation(cell: object) -> list[Piece]:
    """The messages of a conversation. Raises StageError that says what a conversation is."""
    try:
        messages = json.loads(cell) if isinstance(cell, str) else cell
        assert isinstance(messages, Sequence)
        pieces: list[Piece] = []
        for message in messages:
            assert isinstance(message, Mapping)
            role, content = message["role"], message["content"]
            assert role in ROLES
            assert isinstance(content, str)
            pieces.append(Piece(content, role == "assistant", role))
        assert pieces
    except (AssertionError, ValueError, KeyError) as error:
        shown = str(cell)[:80]
        raise StageError(
            Reason.DATA_INVALID,
            f"not a conversation: {shown}",
            where="prepare.text.messages",
            cure='a conversation is a list of {"role": "user", "content": "..."}; roles are ' + ", ".join(ROLES),
        ) from error
    return pieces
