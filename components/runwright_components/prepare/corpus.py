"""Prepare the documents of a language model: split them, fit the tokenizer on the training split, write tokens.

Texts are read in batches of bounded size; of each document only its number, size, hash and split are held.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import (
    PREPROCESSING,
    QUALITY,
    RAW_TEST,
    ROW_ID,
    Field,
    Lineage,
    PreparedManifest,
    Signature,
    Tensor,
)
from runwright_components.contract.config import SPLITS, PrepareConfig, SplitName
from runwright_components.contract.files import files_digest, folder_files
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.features.corpus import (
    CORPUS,
    IDS,
    PROMPT,
    Corpus,
    CorpusSplit,
    GenerationPreprocessing,
    GenerationPreprocessingState,
    GenerationState,
    Layout,
    read_documents,
    segments,
)
from runwright_components.features.target import Target
from runwright_components.prepare import corpus_tokenizer, outputs
from runwright_components.prepare.corpus_tokenizer import Fitted
from runwright_components.prepare.quality import (
    SAMPLES,
    ColumnQuality,
    Dropped,
    Duplicates,
    Quality,
    SplitQuality,
    Summary,
)
from runwright_components.prepare.raw import RawData
from runwright_components.prepare.split import assign
from runwright_components.prepare.split_columns import content, digest, named_splits

BATCH_BYTES = 32 << 20
_EXAMPLE = 80  # characters of the example prompt
_LEFT_OUT = len(SPLITS)


@dataclass
class _Documents:
    """Every row: `codes` uint8 [N] is its place in SPLITS or _LEFT_OUT, `sizes` int64 [N] its bytes."""

    codes: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    duplicates: Duplicates
    dropped: list[Dropped] = field(default_factory=list)

    def leave_out(self, rows: NDArray[np.bool_], reason: str) -> None:
        rows = rows & (self.codes != _LEFT_OUT)
        if rows.any():
            places = tuple(np.flatnonzero(rows)[:SAMPLES].tolist())
            self.dropped.append(Dropped(reason=reason, rows=int(rows.sum()), samples=places))
            self.codes[rows] = _LEFT_OUT

    def batches(self) -> Iterator[tuple[int, int]]:
        """First and past-the-last row of batches of about BATCH_BYTES."""
        start, ends = 0, np.cumsum(self.sizes)
        while start < len(self.sizes):
            before = int(ends[start - 1]) if start else 0
            end = max(start + 1, int(np.searchsorted(ends, before + BATCH_BYTES)))
            yield start, end
            start = end


def write(config: PrepareConfig, data: RawData, folder: Path, progress: Progress) -> PreparedManifest:
    """Write the tokens of all documents into `folder`. Raises StageError for data and settings that a person can
    mend."""
    layout, columns = _columns(config, data)
    documents = _survey(config, data, columns)
    bare = GenerationState(layout=layout, columns=columns, context=0, vocabulary=0, start=0, end=0, source="trained")
    progress.note(f"fitting a tokenizer on {int((documents.codes == 0).sum())} documents")
    fitted = corpus_tokenizer.fit(_training_texts(data, documents, bare), config)
    preprocessing = GenerationPreprocessing(_state(config, data, documents, bare, fitted), fitted.tokenizer)
    written = _write_tokens(data, documents, preprocessing, folder, progress)
    written.corpus.write(folder, CORPUS)
    test = pl.Series(np.flatnonzero(documents.codes == SPLITS.index("test")), dtype=pl.UInt32)
    data.frame.filter(pl.col(ROW_ID).is_in(test.implode())).sink_parquet(
        folder / RAW_TEST, row_group_size=outputs.ROW_GROUP, maintain_order=True
    )
    preprocessing.save(folder / PREPROCESSING)
    _quality(config, data, documents, columns, written).write(folder, QUALITY)
    manifest = PreparedManifest(
        digest=files_digest(folder_files(folder)),
        modality=config.modality,
        task=config.task,
        rows={name: split.documents for name, split in written.corpus.splits.items()},
        signature=preprocessing.signature,
        vocabulary=preprocessing.state.vocabulary,
        lineage=Lineage(
            stage="prepare",
            config=config.digest(),
            inputs={"raw": data.manifest.digest, **fitted.inputs},
            version=version("runwright"),
            parents=(data.manifest.lineage,),
        ),
    )
    manifest.write(folder)
    return manifest


def _columns(config: PrepareConfig, data: RawData) -> tuple[Layout, tuple[str, ...]]:
    rules = config.text
    layout: Layout = "chat" if rules.messages else "prompt" if rules.prompt else "text"
    asked = {"chat": (rules.messages,), "prompt": (rules.prompt, rules.response), "text": (rules.column,)}[layout]
    named = tuple(name for name in asked if name is not None)
    schema = data.frame.collect_schema()
    for name in named:
        if name not in schema:
            raise StageError(
                Reason.DATA_INVALID,
                f"the data have no column {name!r}",
                where="prepare.text",
                cure=f"name the column that holds the texts; there are {', '.join(data.columns[:20])}",
            )
        if layout != "chat" and schema[name] != pl.String:
            raise StageError(
                Reason.DATA_INVALID,
                f"column {name!r} holds {schema[name]}, not text",
                where="prepare.text",
                cure="name the column that holds the texts",
            )
    return layout, named


def _survey(config: PrepareConfig, data: RawData, columns: tuple[str, ...]) -> _Documents:
    """Size and hash of every document in one pass, what is left out, and the split of the rest."""
    schema = data.frame.collect_schema()
    parts = [
        pl.col(name) if schema[name] == pl.String else pl.struct(name).struct.json_encode().alias(name)
        for name in columns
    ]
    if config.split.by and config.split.by not in schema:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"the data have no column {config.split.by!r} to split by",
            where="prepare.split.by",
            cure=f"name one of the columns: {', '.join(data.columns[:20])}",
        )
    by = [_split_by(config, schema, parts)] if config.split.by or config.split.strategy == "hash" else []
    found = data.frame.select(
        pl.sum_horizontal(part.str.len_bytes() for part in parts).alias("size"),
        pl.any_horizontal(part.is_null() | (part.str.strip_chars() == "") for part in parts[-1:]).alias("empty"),
        pl.concat_str(parts, separator="\0", ignore_nulls=True).hash().alias("hash"),
        *by,
    ).collect(engine="streaming")
    sizes = found["size"].fill_null(0).cast(pl.Int64).to_numpy()
    documents = _Documents(np.where(data.usable, 0, _LEFT_OUT).astype(np.uint8), sizes, Duplicates())
    documents.leave_out(found["empty"].fill_null(value=True).to_numpy(), "no text")
    first = found["hash"].is_first_distinct().to_numpy()
    repeated = ~first & (documents.codes != _LEFT_OUT)
    count, drop = int(repeated.sum()), config.duplicates == "drop"
    documents.duplicates = Duplicates(found=count, dropped=count if drop else 0, note="documents with the same text")
    if drop:
        documents.codes[repeated] = _LEFT_OUT
    kept = documents.codes != _LEFT_OUT
    if not kept.any():
        raise StageError(
            Reason.DATA_INVALID,
            f"all {len(sizes)} rows are without text",
            where="prepare.text.column",
            cure="name the column that holds the texts",
        )
    if int(kept.sum()) < len(SPLITS):
        raise StageError(
            Reason.DATA_INVALID,
            f"there are {int(kept.sum())} documents, and training, validation and test need one each",
            where="prepare.split",
            cure="give the text as several documents: chapters as files of a folder, or paragraphs as lines of a JSONL",
        )
    looked_at = found["by"].filter(pl.Series(kept)) if by else None
    if looked_at is not None and config.split.strategy == "predefined":
        looked_at = named_splits(looked_at.rename(config.split.by or "by"))
    documents.codes[kept] = assign(int(kept.sum()), config.split, looked_at)
    return documents


def _split_by(config: PrepareConfig, schema: pl.Schema, texts: list[pl.Expr]) -> pl.Expr:
    """What the split looks at, as `by`: a column, its digest, or that of the text."""
    if config.split.strategy != "hash":
        return pl.col(config.split.by or "").alias("by")
    text = pl.concat_str(texts, separator="\0", ignore_nulls=True)
    return digest(content(schema, [config.split.by]) if config.split.by else text, config.split.seed).alias("by")


def _training_texts(data: RawData, documents: _Documents, state: GenerationState) -> Iterator[str]:
    for rows, _ in _batches(data, documents, state.columns, only=0):
        for pieces in read_documents(rows, state):
            for piece in pieces:
                yield from segments(piece.text)


def _batches(
    data: RawData, documents: _Documents, columns: tuple[str, ...], *, only: int | None = None
) -> Iterator[tuple[pl.DataFrame, NDArray[np.uint8]]]:
    """Rows that are kept (of one split), in order, and their splits."""
    for start, end in documents.batches():
        codes = documents.codes[start:end]
        wanted = codes != _LEFT_OUT if only is None else codes == only
        if wanted.any():
            rows = data.source.slice(start, end - start).select(columns).collect()
            yield rows.filter(pl.Series(wanted)), codes[wanted]


def _state(
    config: PrepareConfig, data: RawData, documents: _Documents, bare: GenerationState, fitted: Fitted
) -> GenerationPreprocessingState:
    first = data.source.slice(int(np.flatnonzero(documents.codes == 0)[0]), 1).select(bare.columns).collect()
    prompt = next(piece for pieces in read_documents(first, bare) for piece in pieces if piece.role != "system").text
    words = prompt if len(prompt) <= _EXAMPLE else prompt[:_EXAMPLE].rpartition(" ")[0] or prompt[:_EXAMPLE]
    tokens = fitted.tokenizer.encode(words, add_special_tokens=False).ids
    example = fitted.tokenizer.decode(tokens[: max(1, fitted.context // 2)]).rstrip("\ufffd")  # room for an answer
    asked = Field(name=PROMPT, type="text", text=True, nullable=False, example=example)
    return GenerationPreprocessingState(
        signature=Signature(
            task=config.task,
            modality=config.modality,
            inputs=(asked,),
            tensors=(Tensor(name=IDS, dtype="int64", shape=(None, None)),),
            example={PROMPT: example},
        ),
        target=Target(name="", task=config.task),
        generation=bare.model_copy(
            update={
                "context": fitted.context,
                "vocabulary": fitted.tokenizer.get_vocab_size(),
                "start": fitted.start,
                "end": fitted.end,
                "source": "trained" if config.pretrained is None else "pretrained",
            }
        ),
    )


# ---------------------------------------------------------------- tokens


class _SplitWriter:
    """The files of one split, and its figures."""

    def __init__(self, folder: Path, name: SplitName, dtype: str, stack: ExitStack, *, masked: bool) -> None:
        def opened(kind: str) -> IO[bytes]:
            return stack.enter_context((folder / f"{name}.{kind}.bin").open("wb"))

        self._tokens, self._ends = opened("tokens"), opened("ends")
        self._learned = opened("learned") if masked else None
        self._dtype = dtype
        self.documents = self.tokens = self.learned = self.size = 0

    def add(self, ids: list[int], learned: list[bool], size: int) -> None:
        np.array(ids, dtype=self._dtype).tofile(self._tokens)
        if self._learned is not None:
            np.array(learned, dtype=np.uint8).tofile(self._learned)
        self.documents += 1
        self.tokens += len(ids)
        self.learned += sum(learned)
        self.size += size
        np.array([self.tokens], dtype=np.int64).tofile(self._ends)

    @property
    def figures(self) -> CorpusSplit:
        return CorpusSplit(documents=self.documents, tokens=self.tokens, learned=self.learned, size=self.size)


@dataclass
class _Written:
    corpus: Corpus
    lengths: NDArray[np.int64]  # tokens of each document
    sizes: NDArray[np.int64]  # its bytes that are learned
    cut: int


def _write_tokens(
    data: RawData, documents: _Documents, preprocessing: GenerationPreprocessing, folder: Path, progress: Progress
) -> _Written:
    state = preprocessing.state
    masked = state.layout != "text"
    dtype = "uint16" if state.vocabulary <= 2**16 else "uint32"
    lengths, sizes, cut, done = [], [], 0, 0
    whole = int(documents.sizes.sum())
    with ExitStack() as stack:
        writers = [_SplitWriter(folder, name, dtype, stack, masked=masked) for name in SPLITS]
        for rows, codes in _batches(data, documents, state.columns):
            for found, code in zip(preprocessing.documents(rows), codes.tolist(), strict=True):
                writer = writers[code]
                # The end of a document is the start of the next where one token is both.
                skip = 1 if not masked and state.start == state.end and writer.tokens else 0
                writer.add(found.ids[skip:], found.learned[skip:], found.size)
                lengths.append(len(found.ids))
                sizes.append(found.size)
                cut += masked and len(found.ids) > state.context + 1
            done += int(rows.estimated_size())
            progress.update(min(done, whole), whole, unit="bytes", message="tokenizing")
    splits = {name: writer.figures for name, writer in zip(SPLITS, writers, strict=True)}
    _require_learned(splits)
    corpus = Corpus.model_validate({"dtype": dtype, "masked": masked, "splits": splits})
    return _Written(corpus, np.array(lengths), np.array(sizes), cut)


def _require_learned(splits: dict[SplitName, CorpusSplit]) -> None:
    for name, split in splits.items():
        if not split.size:
            raise StageError(
                Reason.DATA_INVALID,
                f"the {name} split has no text to learn: no response of the assistant",
                where="prepare.text",
                cure="give conversations in which the assistant answers, or a larger share to this split",
            )


# ---------------------------------------------------------------- quality


def _quality(
    config: PrepareConfig, data: RawData, documents: _Documents, columns: tuple[str, ...], written: _Written
) -> Quality:
    kept = int((documents.codes != _LEFT_OUT).sum())
    described = tuple(
        ColumnQuality(
            name=name,
            source_type=data.manifest.columns[name],
            type="text" if name in columns else "ignore",
            role="input" if name in columns else "ignored",
            reason="" if name in columns else "a language model reads its text alone",
            given=name in columns,
            inputs=(IDS,) if name in columns else (),
            before=Summary(rows=data.rows),
            after=Summary(rows=kept) if name in columns else None,
        )
        for name in data.columns
    )
    return Quality(
        modality=config.modality,
        task=config.task,
        target="",
        rows_in=data.rows,
        rows_out=kept,
        columns=described,
        duplicates=documents.duplicates,
        dropped=tuple(documents.dropped),
        strategy=config.split.strategy,
        splits=tuple(
            SplitQuality(name=name, rows=split.documents, share=split.documents / kept)
            for name, split in written.corpus.splits.items()
        ),
        measures=(
            outputs.measure("bytes", "bytes of a document that are learned", written.sizes),
            outputs.measure("tokens", "tokens of a document", written.lengths),
            outputs.measure("bytes_per_token", "bytes a token", written.sizes / np.maximum(written.lengths, 1)),
        ),
        findings=data.findings,
        warnings=tuple(_warnings(config, written)),
    )


def _warnings(config: PrepareConfig, written: _Written) -> Iterator[str]:
    if written.cut:
        share = written.cut / len(written.lengths)
        yield f"{written.cut} examples ({share:.1%}) have more than {config.text.max_tokens} tokens and are cut there"
    tokens = written.corpus.splits["train"].tokens
    if tokens < 100 * config.text.vocabulary and config.pretrained is None:
        yield (
            f"the training split has {tokens:,} tokens for a vocabulary of {config.text.vocabulary:,}: "
            "most are rare; a smaller prepare.text.vocabulary learns faster"
        )
