"""What `runwright run` says at its end."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runwright_api.spec.reinforcement import Reinforcement
from runwright_api.spec.train import TrainSpec
from runwright_api.spec.trees import TREE_MODELS, Trees
from runwright_api.spec.unsupervised import FITTED_MODELS
from runwright_api.trainingrun import TrainingRun
from runwright_cli.files import RunFile
from runwright_components.contract.artifacts import EXAMPLE
from runwright_components.contract.evaluation import Check, Evaluation
from runwright_components.contract.kinds import KINDS
from runwright_pipelines.local import Result

LOG_LINES = 10


def print_verdict(console: Console, result: Result) -> None:
    """The metrics, the gate's checks, where everything is, and what to type next."""
    evaluation = result.evaluation
    assert evaluation is not None  # a pipeline that ended well was evaluated
    console.print()
    _print_metrics(console, evaluation)
    if evaluation.checks:
        console.print(_checks(evaluation.checks))
    passed = evaluation.verdict == "passed"
    if passed:
        console.print(Text("gate passed" if evaluation.checks else "no gate: every model passes", style="green"))
    else:
        console.print(Text("gate rejected: nothing is published, what served before still serves", style="red"))
    console.print()
    if result.registration:
        _say(console, "package", result.registration.uri)
    if result.report:
        _say(console, "report", str(result.report))
    _say(console, "log", str(result.log))
    if result.registration:
        _print_next(console, result.registration.uri)


def _print_metrics(console: Console, evaluation: Evaluation) -> None:
    shown = KINDS[evaluation.task].shown
    figures = [f"{name} {evaluation.metrics[name]:.4g}" for name in shown if name in evaluation.metrics]
    figures.append(f"p50 {evaluation.latency.p50_ms:.2f} ms")
    console.print(f"on {evaluation.rows:,} {KINDS[evaluation.task].judged}: " + ", ".join(figures), markup=False)


def _checks(checks: Iterable[Check]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for title in ("", "gate", "on", "bound", "value"):
        table.add_column(title)
    for check in checks:
        mark = Text("✓", style="green") if check.passed else Text("✗", style="red")
        value = "none" if check.value is None else f"{check.value:.4g}"
        table.add_row(mark, check.metric, check.slice or "all rows", _bound(check), value)
    return table


def _bound(check: Check) -> str:
    bounds = (("≥", check.min), ("≤", check.max))
    return ", ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)


def _say(console: Console, what: str, text: str) -> None:
    console.print(Text(f"{what:<8}{text}"), soft_wrap=True)


def _print_next(console: Console, uri: str) -> None:
    place = uri.removeprefix("file://")
    console.print(Text("next    " + f"runwright serve {place}"), soft_wrap=True)
    example = Path(place) / EXAMPLE
    if example.is_file():
        console.print(Text(f"        runwright predict {place} --input {example}"), soft_wrap=True)


def print_failure(console: Console, result: Result) -> None:
    """The stage, the reason, the place, the cure, and the last lines of the log."""
    console.print()
    event = result.failure
    if event is None:
        console.print(Text("failed: a step ended without saying why, perhaps killed by the system"), style="red")
        _print_log(console, result)
        return
    error: dict[str, Any] = event.error or {}
    console.print(Text(f"{event.stage} failed: {error.get('reason', '')}", style="red"))
    where = error.get("where")
    console.print(Text(f"  {where}: {event.message}" if where else f"  {event.message}"), soft_wrap=True)
    if error.get("cure"):
        console.print(Text(f"  cure: {error['cure']}"), soft_wrap=True)
    for line in error.get("trace", ()):
        console.print(Text(f"  | {line}"), soft_wrap=True)
    if error.get("log"):
        console.print(Text(f"  traceback: {error['log']}"), soft_wrap=True)
    if "trace" not in error:
        _print_log(console, result)
    elif result.log:
        console.print(Text(f"  log: {result.log}"), soft_wrap=True)


def _print_log(console: Console, result: Result) -> None:
    if result.log is None or not result.log.is_file():
        return
    for line in last_lines(result.log.read_text(errors="replace")):
        console.print(Text(f"  | {line}"), soft_wrap=True)
    console.print(Text(f"  log: {result.log}"), soft_wrap=True)


_OURS = re.compile(
    r"\[KFP Executor |^\d\d:\d\d:\d\d\.\d{3} - |^-{20,}$|^Pipeline .* finished with status|^Task .* finished"
)


def last_lines(log: str, count: int = LOG_LINES) -> list[str]:
    """What the last step itself printed: the log without KFP's frame around it."""
    step = log.rpartition("Streamed logs:")[2]
    lines = [line.rstrip() for line in step.splitlines()]
    kept: list[str] = []
    in_json = False
    for line in lines:
        text = line.strip()
        if "Got executor_input:" in text:
            in_json = True
        elif in_json and text == "}" and line.startswith("}"):
            in_json = False
        elif not in_json and text and not _OURS.search(text):
            kept.append(line)
    return kept[-count:]


def print_plan(console: Console, found: RunFile, workspace: Path, layout: str | None) -> None:
    """What `run` would do."""
    run: TrainingRun = found.run
    spec = run.spec
    sources = ", ".join(_place(source) for source in spec.data.sources)
    environment = spec.train.environment
    rows = (
        ("run", run.metadata.name),
        (
            "data",
            sources if environment is None else environment.id or f"{environment.class_name} of {environment.file}",
        ),
        ("task", spec.train.task + (f", target {spec.prepare.target}" if spec.prepare.target else "")),
        ("model", _learner(spec.train)),
        ("gate", ", ".join(f"{bound.metric} {_limits(bound)}" for bound in spec.evaluate.gate) or "none"),
        ("layout", layout or spec.layout),
        ("workspace", str(workspace)),
    )
    for name, text in rows:
        console.print(Text(f"{name:<10}{text}"), soft_wrap=True)


def _learner(train: TrainSpec) -> str:
    """What learns, and for how long at most."""
    model = train.model
    if train.code is not None:
        return f"your own code, {train.code.path or shlex.join(train.code.command)}"
    if train.environment is not None:
        return f"{model.name}, at most {(train.reinforcement or Reinforcement()).timesteps:,} steps"
    if model.name in FITTED_MODELS:
        return f"{model.name}, fitted at once"
    if model.name in TREE_MODELS:
        return f"{model.name}, at most {(model.trees or Trees()).rounds:,} rounds"
    return f"{model.name}, at most {train.epochs} epochs"


def _place(source: Any) -> str:
    if source.synthetic is not None:
        return f"{source.synthetic.rows:,} synthetic rows ({source.synthetic.kind})"
    if source.logs is not None:
        return str(source.logs.path or source.logs.s3.uri)
    return str(source.path or (source.http and source.http.url) or (source.s3 and source.s3.uri))


def _limits(bound: Any) -> str:
    limits = (("≥", bound.min), ("≤", bound.max))
    return " and ".join(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)
