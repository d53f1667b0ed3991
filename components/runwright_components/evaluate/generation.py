"""How well a language model foretells the test documents, through the graph that is served; and samples of its text."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import RAW_TEST
from runwright_components.contract.evaluation import Latency, Sample
from runwright_components.contract.progress import Progress
from runwright_components.evaluate.speed import machine
from runwright_components.features.corpus import (
    CORPUS,
    IDS,
    PROMPT,
    Corpus,
    GenerationPreprocessing,
    GenerationState,
    Tokens,
)
from runwright_components.serve.generation import Sampling
from runwright_components.serve.predictor import Predictor

Floats = NDArray[np.float64]

_CHUNK = 64  # documents read at once
_LOGITS_BYTES = 64 << 20  # of a batch
_SAMPLES, _SAMPLED_TOKENS = 4, 64
_SECONDS, _REQUESTS, _FEWEST = 3.0, 50, 3
_SAMPLING: dict[str, Any] = {"max_tokens": _SAMPLED_TOKENS, "temperature": 0.8, "top_p": 0.95, "seed": 0}


COLUMNS = ("nats", "tokens", "right", "bytes", "guess")
"""Figures of a document: the nats that its learned tokens cost, their number, how many were the likeliest ones, the
bytes of text that they encode, and the nats by the tokens' frequencies alone."""


def metrics(scores: Floats) -> dict[str, float]:
    """From the figures of documents [COLUMNS, N]: `bitsPerByte` of text, which models with other tokenizers share, and
    `perplexity` and `tokenAccuracy` a token. `baselineBitsPerByte` is what the frequencies of tokens alone get."""
    nats, tokens, right, size, guess = scores.sum(axis=1).tolist()
    tokens, bits = max(tokens, 1.0), math.log(2) * max(size, 1.0)
    return {
        "bitsPerByte": nats / bits,
        "perplexity": math.exp(min(nats / tokens, 700.0)),
        "tokenAccuracy": right / tokens,
        "baselineBitsPerByte": guess / bits,
    }


def score(predictor: Predictor, prepared: Path, rows: int, progress: Progress) -> Floats:
    """The figures of every test document, float64 [COLUMNS, N], from the graph that is served.

    A text is run in windows of the context, each from the last token of the one before; a prompt or conversation in
    its first window alone, as in training.
    """
    preprocessing = predictor.preprocessing
    assert isinstance(preprocessing, GenerationPreprocessing)
    frequencies = _frequency_nats(prepared, preprocessing.state.vocabulary)
    parts: list[Floats] = []
    for start in range(0, rows, _CHUNK):
        chunk = pl.scan_parquet(prepared / RAW_TEST).slice(start, _CHUNK).collect()
        documents = list(preprocessing.documents(chunk))
        parts.append(_score_chunk(predictor, preprocessing.state, documents, frequencies))
        progress.update(min(start + _CHUNK, rows), rows, unit="documents")
    return np.concatenate(parts, axis=1)


def _frequency_nats(prepared: Path, vocabulary: int) -> Floats:
    """Of each token: minus the logarithm of its share in the training split, with one more of each (Laplace)."""
    corpus = Corpus.read(prepared, CORPUS)
    counts = np.ones(vocabulary)
    tokens = np.memmap(prepared / "train.tokens.bin", dtype=corpus.dtype, mode="r")
    for start in range(0, len(tokens), 1 << 24):
        counts += np.bincount(tokens[start : start + (1 << 24)], minlength=vocabulary)
    nats: Floats = -np.log(counts / counts.sum())
    return nats


@dataclass(frozen=True)
class _Window:
    document: int
    ids: list[int]
    learned: list[bool]


def _score_chunk(predictor: Predictor, state: GenerationState, documents: list[Tokens], frequencies: Floats) -> Floats:
    whole = state.layout == "text"
    windows = sorted(
        (window for number, found in enumerate(documents) for window in _windows(number, found, state.context, whole)),
        key=lambda window: len(window.ids),
    )
    sums = np.zeros((len(COLUMNS), len(documents)))
    for batch in _batches(windows, 4 * state.vocabulary):
        ids = np.full((len(batch), max(len(window.ids) for window in batch)), state.end, dtype=np.int64)
        learned = np.zeros((len(batch), ids.shape[1] - 1), dtype=bool)
        for row, window in enumerate(batch):
            ids[row, : len(window.ids)] = window.ids
            learned[row, : len(window.ids) - 1] = window.learned[1:]
        nats, right = _surprise(logits(predictor, ids[:, :-1]), ids[:, 1:])
        numbers = np.array([window.document for window in batch])
        for name, values in (("nats", nats), ("tokens", learned), ("right", right), ("guess", frequencies[ids[:, 1:]])):
            np.add.at(sums[COLUMNS.index(name)], numbers, np.where(learned, values, 0).sum(axis=1))
    for number, found in enumerate(documents):  # of an example that is cut, the bytes of what is left
        share = sums[COLUMNS.index("tokens"), number] / max(sum(found.learned[1:]), 1)
        sums[COLUMNS.index("bytes"), number] = found.size * share
    return sums


def logits(predictor: Predictor, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Logits [N, T, vocabulary] of `ids` [N, T] without a past."""
    assert predictor.generator is not None
    found: NDArray[np.float32] = predictor.run({IDS: ids, **predictor.generator.empty_past(len(ids))})["logits"]
    return found


def _windows(number: int, found: Tokens, context: int, whole: bool) -> Iterator[_Window]:
    last = len(found.ids) - 1 if whole else min(context, len(found.ids) - 1)
    for start in range(0, last, context):
        end = min(start + context, last) + 1
        yield _Window(number, found.ids[start:end], found.learned[start:end])


def _batches(windows: list[_Window], token_bytes: int) -> Iterator[list[_Window]]:
    """Windows of similar length whose logits fit into _LOGITS_BYTES together."""
    batch: list[_Window] = []
    for window in windows:  # from short to long
        if batch and (len(batch) + 1) * len(window.ids) * token_bytes > _LOGITS_BYTES:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _surprise(found: NDArray[np.float32], target: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Nats of each target [N, T] and whether it is the likeliest token."""
    highest = found.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(found, target[..., None], axis=-1)
    total = np.log(np.exp(found - highest).sum(axis=-1, dtype=np.float64)) + highest[..., 0]
    return total - chosen[..., 0], (found.argmax(axis=-1) == target).astype(np.float64)


def samples(predictor: Predictor, prepared: Path, rows: int) -> tuple[Sample, ...]:
    """What the model writes after the first tokens of some test documents, or in answer to their prompts."""
    preprocessing = predictor.preprocessing
    assert isinstance(preprocessing, GenerationPreprocessing)
    assert predictor.generator is not None
    places = np.unique(np.linspace(0, rows - 1, _SAMPLES).round().astype(int)).tolist()
    source = pl.scan_parquet(prepared / RAW_TEST)
    chosen = pl.concat([source.slice(place, 1).collect() for place in places])
    found = []
    for document in preprocessing.documents(chosen):
        ids, learned = document.ids, document.learned
        if preprocessing.state.layout == "text":
            split = min(preprocessing.state.context // 4, len(ids) // 2)
        else:
            split = learned.index(True) if True in learned else len(ids)
            split = min(split, preprocessing.state.context - 1)
        prompt = preprocessing.text(ids[:split])
        truth = preprocessing.text(ids[split : split + _SAMPLED_TOKENS])
        written = predictor.generator.continued(ids[:split], Sampling(**_SAMPLING))
        found.append(Sample(prompt=prompt, text=written.text, truth=truth))
    return tuple(found)


def latency(predictor: Predictor) -> tuple[Latency, dict[str, float]]:
    """Times of the example's prompt, `_SAMPLED_TOKENS` tokens at most, one request after the other; and tokens a
    second."""
    request = {PROMPT: predictor.signature.example[PROMPT]}
    taken: list[float] = []
    tokens = 0
    predictor.predict_rows([request], {"max_tokens": 2})
    while len(taken) < _FEWEST or (len(taken) < _REQUESTS and sum(taken) < _SECONDS):
        start = time.perf_counter()
        answer = predictor.predict_rows([request], {**_SAMPLING, "seed": len(taken)})
        taken.append(time.perf_counter() - start)
        tokens += sum(generation.tokens for generation in answer.generations or ())
    p50, p99 = np.percentile(taken, (50, 99)) * 1e3
    found = Latency(
        p50_ms=float(p50),
        p99_ms=float(p99),
        rows_per_second=len(taken) / sum(taken),
        batch=1,
        requests=len(taken),
        machine=machine(),
    )
    return found, {"tokensPerSecond": tokens / sum(taken)}
