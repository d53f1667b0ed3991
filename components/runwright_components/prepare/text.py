"""Prepare texts: clean them, fit the tokenizer on the training split, write token numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tokenizers import Tokenizer

from runwright_components.contract.artifacts import ROW_ID, TARGET, Field, Tensor
from runwright_components.contract.artifacts import PreparedManifest as Manifest
from runwright_components.contract.config import SPLITS, PrepareConfig
from runwright_components.contract.files import file_digest
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.features.text import (
    IDS,
    MASK,
    TextPreprocessing,
    TextPreprocessingState,
    TextState,
    bounded,
    cleaned,
)
from runwright_components.prepare import outputs
from runwright_components.prepare import tokenizer as tokens
from runwright_components.prepare.labelled import CONTENT, SPLIT, Selection, columns_of, require_content, select
from runwright_components.prepare.quality import ColumnQuality, Measure, Summary
from runwright_components.prepare.raw import RawData

_TEXT = "text"
_BATCH = 8192  # texts tokenized at once
_EXAMPLE = 200  # characters of the example row, at most


def write(config: PrepareConfig, data: RawData, folder: Path, progress: Progress) -> Manifest:
    """Write the prepared texts into `folder`. Raises StageError for data and settings that a person can mend."""
    texts = _read(config, data)
    selection = select(texts.drop("source"), config, _TEXT, data.memory, data.fold)
    kept = selection.rows.join(texts.select(ROW_ID, CONTENT, "source"), on=ROW_ID, maintain_order="left")
    train = kept.filter(pl.col(SPLIT) == 0)[CONTENT]
    tokenizer, max_tokens, inputs = _fit_tokenizer(config, train, progress)
    encoded = _encode(tokenizer, kept[CONTENT], max_tokens, progress)
    kept = kept.with_columns(encoded.ids.alias(IDS))
    for code, name in enumerate(SPLITS):
        split = kept.filter(pl.col(SPLIT) == code).select(IDS, TARGET, ROW_ID)
        split.write_parquet(folder / f"{name}.parquet", row_group_size=outputs.ROW_GROUP)
    state = _state(config, data, selection, tokenizer, max_tokens, train)
    report = outputs.quality(
        config,
        data,
        selection,
        content=_content(config, data, texts, kept),
        measures=[*_measures(kept, encoded), *_known_words(kept)],
        warnings=_warnings(encoded, max_tokens, state.text),
    )
    preprocessing = TextPreprocessing(state, tokenizer)
    return outputs.finish(
        config, data, selection, preprocessing, report, folder, vocabulary=state.text.vocabulary, inputs=inputs
    )


def _read(config: PrepareConfig, data: RawData) -> pl.DataFrame:
    """`row_id`, `target`, maybe `by`, `source` (the raw text) and `content` (the cleaned text, null when empty)."""
    column = config.text.column
    require_content(data, column, _TEXT)
    dtype = data.frame.collect_schema()[column]
    if dtype not in (pl.String, pl.Null):
        raise StageError(
            Reason.DATA_INVALID,
            f"column {column!r} holds {dtype}, not text",
            where="prepare.text.column",
            cure="name the column that holds the texts",
        )
    source = pl.col(column).cast(pl.String)
    content = cleaned(source)
    return data.kept.select(
        *columns_of(data, config), source.alias("source"), pl.when(content != "").then(content).alias(CONTENT)
    ).collect()


def _fit_tokenizer(
    config: PrepareConfig, train: pl.Series, progress: Progress
) -> tuple[Tokenizer, int, dict[str, str]]:
    """The tokenizer, the most tokens a text may have, and the digest of the file it was read from."""
    if config.pretrained is None:
        progress.note(f"fitting a tokenizer on {len(train)} texts")
        return tokens.train(train, config.text), config.text.max_tokens, {}
    tokenizer, max_tokens, file = tokens.pretrained(config)
    if max_tokens < config.text.max_tokens:
        progress.note(f"texts are cut at {max_tokens} tokens: the pretrained encoder takes no more")
    return tokenizer, max_tokens, {"tokenizer": file_digest(file)}


@dataclass(frozen=True)
class _Encoded:
    """`ids` a text, cut at the limit; `full` counts the tokens before the cut [N]."""

    ids: pl.Series
    full: NDArray[np.int64]

    @property
    def cut(self) -> int:
        return int((self.full > self.ids.list.len().to_numpy()).sum())


def _encode(tokenizer: Tokenizer, texts: pl.Series, max_tokens: int, progress: Progress) -> _Encoded:
    bounded(tokenizer, max_tokens)
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    parts, full = [], []
    for start in range(0, len(texts), _BATCH):
        encodings = tokenizer.encode_batch_fast(texts[start : start + _BATCH].to_list())
        parts.append(pl.Series(IDS, [each.ids for each in encodings], dtype=pl.List(pl.Int32)))
        full += [len(each.ids) + sum(len(rest.ids) - special for rest in each.overflowing) for each in encodings]
        progress.update(min(start + _BATCH, len(texts)), len(texts), unit="texts", message="tokenizing")
    return _Encoded(pl.concat(parts), np.array(full, dtype=np.int64))


def _state(
    config: PrepareConfig,
    data: RawData,
    selection: Selection,
    tokenizer: Tokenizer,
    max_tokens: int,
    train: pl.Series,
) -> TextPreprocessingState:
    short = train.filter(train.str.len_chars() <= _EXAMPLE)
    example = short[0] if len(short) else train[0][:_EXAMPLE]
    field = Field(name=config.text.column, type="text", text=True, nullable=False, example=example)
    tensors = tuple(Tensor(name=name, dtype="int64", shape=(None, None)) for name in (IDS, MASK))
    return TextPreprocessingState(
        signature=outputs.signature(config, data, field, selection.target.labels, tensors),
        target=selection.target,
        text=TextState(
            column=config.text.column,
            max_tokens=max_tokens,
            pad=tokens.pad_token(tokenizer, config),
            vocabulary=tokenizer.get_vocab_size(),
            special=tokens.special_tokens(tokenizer),
            source="trained" if config.pretrained is None else "pretrained",
        ),
    )


def _content(config: PrepareConfig, data: RawData, texts: pl.DataFrame, kept: pl.DataFrame) -> ColumnQuality:
    return ColumnQuality(
        name=config.text.column,
        source_type=data.manifest.columns[config.text.column],
        type=_TEXT,
        role="input",
        given=True,
        inputs=(IDS,),
        before=Summary(rows=len(texts), missing=texts[CONTENT].null_count(), distinct=texts["source"].n_unique()),
        after=Summary(rows=len(kept), distinct=kept[CONTENT].n_unique()),
        repairs=outputs.repairs(kept["source"], kept[CONTENT], "white space and invisible characters"),
    )


def _measures(kept: pl.DataFrame, encoded: _Encoded) -> list[Measure]:
    words = kept[CONTENT].str.count_matches(r"\S+").to_numpy()
    return [
        outputs.measure("characters", "characters of a text", kept[CONTENT].str.len_chars().to_numpy()),
        outputs.measure("tokens", "tokens of a text, before it is cut", encoded.full),
        outputs.measure("tokens_per_word", "tokens a word", encoded.full / np.maximum(words, 1)),
    ]


def _known_words(kept: pl.DataFrame) -> list[Measure]:
    """How well the training split's vocabulary covers the held-out texts."""
    words = kept.select(
        ROW_ID, SPLIT, pl.col(CONTENT).str.to_lowercase().str.extract_all(r"\w+").alias("word")
    ).explode("word")
    seen = words.filter(pl.col(SPLIT) == 0).select("word", known=1.0).unique()
    held_out = words.filter((pl.col(SPLIT) > 0) & pl.col("word").is_not_null())
    shares = (
        held_out.join(seen, on="word", how="left")
        .group_by(ROW_ID)
        .agg(pl.col("known").fill_null(0.0).mean())
        .sort(ROW_ID)
    )
    label = "share of a validation or test text's words that the training split has"
    return [outputs.measure("known_words", label, shares["known"].to_numpy())] if len(shares) else []


def _warnings(encoded: _Encoded, max_tokens: int, state: TextState) -> list[str]:
    found = []
    if encoded.cut:
        share = encoded.cut / len(encoded.full)
        found.append(f"{encoded.cut} texts ({share:.1%}) have more than {max_tokens} tokens and are cut there")
    unknown = next((state.special[name] for name in ("[UNK]", "<unk>") if name in state.special), None)
    flat = encoded.ids.explode()
    share = float((flat == unknown).mean() or 0.0) if unknown is not None else 0.0  # type: ignore[arg-type]
    if share > 0.01:
        found.append(f"{share:.1%} of all tokens are unknown to the tokenizer: it fits another language or script")
    return found
