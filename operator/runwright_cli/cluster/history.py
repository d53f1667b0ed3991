"""The revisions of a TrainingRun as a table, one in detail, and as plain values. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from runwright_api.spec import Bound
from runwright_api.status import Cost, GateCheck, Revision, TrainingRunStatus
from runwright_cli.cluster.telling import failure_lines
from runwright_cli.view import duration

_STYLES = {"Succeeded": "green", "Rejected": "yellow", "Failed": "red", "Cancelled": "dim", "Running": "cyan"}
_SHORT = 12  # characters of a digest that a person compares
_METRICS = 3


def table(status: TrainingRunStatus, gate: tuple[Bound, ...], now: datetime) -> Table:
    """One row a revision, the newest first. `*` marks the one that serves, `>` the one that the spec asks for."""
    made = Table(box=None, padding=(0, 1), header_style="dim", expand=False)
    for title in ("", "revision", "state", "trigger", "metrics", "gate", "version", "recipe", "age"):
        right = title in ("revision", "version")
        made.add_column(title, justify="right" if right else "left", no_wrap=title not in ("metrics",))
    for revision in newest_first(status):
        made.add_row(
            _marks(status, revision),
            str(revision.number),
            Text(revision.state, style=_STYLES.get(revision.state, "")),
            str(revision.trigger),
            metrics(revision, gate),
            revision.verdict or "",
            str(revision.artifact.version or "") if revision.artifact else "",
            short(revision.recipe),
            age(revision.start_time, now),
        )
    return made


def newest_first(status: TrainingRunStatus) -> list[Revision]:
    return sorted(status.revisions, key=lambda revision: -revision.number)


def _marks(status: TrainingRunStatus, revision: Revision) -> Text:
    serves = status.serving is not None and status.serving.revision == revision.number
    wanted = status.revision == revision.number
    return Text(("*" if serves else " ") + (">" if wanted else " "), style="green" if serves else "")


def metrics(revision: Revision, gate: tuple[Bound, ...]) -> str:
    """The metrics that the gate asks for; without a gate, the first ones."""
    asked = dict.fromkeys(bound.metric for bound in gate if bound.metric in revision.metrics)
    names = list(asked or revision.metrics)[:_METRICS]
    return ", ".join(f"{name} {revision.metrics[name]:.4g}" for name in names)


def short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_SHORT]


def age(time: str | None, now: datetime) -> str:
    """How long ago, as kubectl says it: 45s, 12m, 5h, 3d."""
    if time is None:
        return ""
    try:
        then = datetime.fromisoformat(time)
    except ValueError:
        return ""
    seconds = max(0, int((now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def details(status: TrainingRunStatus, revision: Revision) -> Iterator[tuple[str, str]]:
    """One revision as (what, text); a line without a name goes on from the one above it."""
    serves = status.serving is not None and status.serving.revision == revision.number
    yield "revision", str(revision.number)
    yield "state", revision.state + (", serves now" if serves else "")
    yield "trigger", str(revision.trigger) + (f" ({revision.request})" if revision.request else "")
    yield "recipe", revision.recipe
    yield "started", revision.start_time or ""
    yield "ended", revision.completion_time or ""
    if revision.pipeline_run:
        yield "pipeline", revision.pipeline_run.url or revision.pipeline_run.id or revision.pipeline_run.attempt
    retries = f"{revision.failures} after failures, {revision.preemptions} after preemptions"
    yield "retries", retries if revision.failures or revision.preemptions else "none"
    if revision.gpu_seconds is not None:
        yield "GPU time", duration(revision.gpu_seconds)
    if revision.cost:
        yield from _named("cost", _cost_lines(revision.cost))
    yield from _named("metrics", (f"{name} {value:.6g}" for name, value in revision.metrics.items()))
    yield "gate", revision.verdict or ""
    yield from _named("", (check_line(check) for check in revision.checks))
    if revision.artifact:
        yield "package", revision.artifact.uri
        yield "digest", revision.artifact.digest
        yield "model", revision.artifact.model_digest
        yield "version", str(revision.artifact.version or "")
    if revision.failure:
        yield from _named("failure", failure_lines(revision.failure))


def _cost_lines(cost: Cost) -> Iterator[str]:
    yield f"{duration(cost.cpu_seconds)} of processors, {cost.processes} processes"
    yield f"{cost.samples_per_second:,.0f} samples/s, {cost.peak_host_bytes / 1e9:.2f} GB at most"
    if cost.tokens_per_second:
        yield f"{cost.tokens_per_second:,.0f} tokens/s"
    if cost.mfu is not None:
        yield f"{cost.mfu:.1%} of the GPUs' peak"
    if cost.energy_joules is not None:
        yield f"{cost.energy_joules / 3.6e6:.3f} kWh of GPUs"


def _named(name: str, lines: Any) -> Iterator[tuple[str, str]]:
    for line in lines:
        yield name, line
        name = ""


def check_line(check: GateCheck) -> str:
    """One bound of the gate and what came of it."""
    bounds = (("≥", check.min), ("≤", check.max))
    bound = ", ".join(f"{sign} {limit:g}" for sign, limit in bounds if limit is not None)
    value = "none" if check.value is None else f"{check.value:.4g}"
    place = f" on {check.slice}" if check.slice else ""
    return f"{'✓' if check.passed else '✗'} {check.metric}{place} {bound}: {value}"


def as_json(status: TrainingRunStatus, revision: Revision) -> dict[str, Any]:
    """A revision as status has it, with the mark of the one that serves."""
    content: dict[str, Any] = revision.model_dump(mode="json", by_alias=True, exclude_none=True)
    serves = status.serving is not None and status.serving.revision == revision.number
    return {**content, "serving": serves, "wanted": status.revision == revision.number}
