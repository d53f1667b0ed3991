"""How fast the model answers on this machine, with preprocessing and validation, as the server would call it."""

from __future__ import annotations

import base64
import datetime
import math
import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import JsonValue

from runwright_components.contract.artifacts import Field, Signature
from runwright_components.contract.evaluation import Latency
from runwright_components.serve.predictor import Predictor, RequestError

_WARM_UP = 20
_SECONDS = 5.0  # a slow model is measured with fewer requests
_FEWEST = 20
_THROUGHPUT_SECONDS = 0.5

Request = dict[str, JsonValue]


def measure(predictor: Predictor, rows: pl.DataFrame, *, requests: int, batch: int) -> Latency:
    """p50 and p99 of one row a request after a warm-up, and rows a second in batches.

    `rows` come from the source; those that the server would refuse are left out.
    """
    sample = _accepted(predictor, [request(row, predictor.signature) for row in rows.head(200).iter_rows(named=True)])
    _timed(predictor, sample, count=_WARM_UP, batch=1)
    single = _timed(predictor, sample, count=requests, batch=1)
    _timed(predictor, sample, count=2, batch=batch)
    batches = _timed(predictor, sample, count=10_000, batch=batch, seconds=_THROUGHPUT_SECONDS, fewest=3)
    p50, p99 = np.percentile(single, (50, 99)) * 1e3
    return Latency(
        p50_ms=float(p50),
        p99_ms=float(p99),
        rows_per_second=batch * len(batches) / sum(batches),
        batch=batch,
        requests=len(single),
        machine=machine(),
    )


def request(row: Mapping[str, object], signature: Signature) -> Request:
    """A row of the source as the JSON object that a client would send."""
    return {field.name: _json(row.get(field.name), field) for field in signature.inputs}


def machine() -> str:
    """Processor, cores and versions; no name of the host."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return (
        f"{_processor()}, {cores} {'core' if cores == 1 else 'cores'}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, ONNX Runtime {version('onnxruntime')}"
    )


def _json(value: object, field: Field) -> JsonValue:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if field.type == "numeric":
        return value if isinstance(value, str) and field.text else float(str(value))
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    return value if isinstance(value, bool) or (isinstance(value, int) and not field.text) else str(value)


def _accepted(predictor: Predictor, requests: Sequence[Request]) -> list[Request]:
    """The requests that pass validation; the signature's example when none does."""
    accepted = []
    for entry in requests:
        try:
            predictor.frame([entry])
        except RequestError:
            continue
        accepted.append(entry)
    return accepted or [dict(predictor.signature.example)]


def _timed(
    predictor: Predictor,
    sample: Sequence[Request],
    *,
    count: int,
    batch: int,
    seconds: float = _SECONDS,
    fewest: int = _FEWEST,
) -> list[float]:
    """Seconds of each of up to `count` requests of `batch` rows, fewer when they take more than `seconds` in all."""
    taken: list[float] = []
    for index in range(count):
        rows = [sample[(index * batch + offset) % len(sample)] for offset in range(batch)]
        start = time.perf_counter()
        predictor.predict_rows(rows)
        taken.append(time.perf_counter() - start)
        if len(taken) >= fewest and sum(taken) > seconds:
            break
    return taken


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
