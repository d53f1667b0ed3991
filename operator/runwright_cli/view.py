"""The progress of a run, on a terminal as a table that moves, elsewhere as plain lines."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from runwright_components.contract.progress import Event
from runwright_components.contract.step import STAGES

State = Literal["waiting", "running", "done", "cached", "skipped", "failed"]
MARKS: dict[State, tuple[str, str]] = {
    "waiting": ("·", "dim"),
    "done": ("✓", "green"),
    "cached": ("=", "cyan"),
    "skipped": ("-", "yellow"),
    "failed": ("✗", "red"),
}
LINE_SECONDS = 5.0  # between two plain lines on the progress of a stage


@dataclass
class StageView:
    """What is known of one stage."""

    name: str
    state: State = "waiting"
    message: str = ""
    done: float | None = None
    total: float | None = None
    unit: str = ""
    values: dict[str, float | str] = field(default_factory=dict)
    began: float = 0.0
    seconds: float | None = None

    def take(self, event: Event) -> None:
        if event.kind == "start":
            self.state, self.began, self.seconds = "running", event.time, None
        elif event.kind == "progress":
            self.message = event.message or self.message
            self.done, self.total, self.unit, self.values = event.done, event.total, event.unit, event.values
        elif event.kind == "note":
            self.message = event.message
        elif event.kind in ("done", "cached", "failed"):
            skipped = event.values.get("skipped") == "yes"
            self.state = "skipped" if skipped else event.kind
            self.message, self.seconds = event.message, event.time - self.began

    def ending(self) -> str:
        """How the stage ended, in words."""
        how = {"cached": "unchanged, its result is used again", "skipped": "skipped"}.get(self.state)
        return f"{how or f'{self.state} in {duration(self.seconds or 0.0)}'}: {self.message}"

    def figures(self) -> str:
        """The progress in words: `120/400 steps, loss 0.31, 2 min left`."""
        parts = []
        if self.done is not None and self.total:
            parts.append(f"{self.done:,.0f}/{self.total:,.0f} {self.unit}".rstrip())
        elif self.done is not None:
            parts.append(f"{self.done:,.0f} {self.unit}".rstrip())
        parts += [_figure(name, value) for name, value in self.values.items()]
        return ", ".join(parts)


def _figure(name: str, value: float | str) -> str:
    if isinstance(value, str):
        return f"{name} {value}"
    if name == "eta_seconds":
        return f"{duration(value)} left"
    if name == "samples_per_second":
        return f"{value:,.0f} samples/s"
    whole = math.isfinite(value) and (abs(value) >= 1000 or value == int(value))
    return f"{name.replace('_', ' ')} {f'{value:,.0f}' if whole else f'{value:.4g}'}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


class View(Protocol):
    """Shows events for as long as the block lasts; `take` is called from a thread."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def take(self, event: Event) -> None: ...


def view_for(console: Console, *, quiet: bool) -> View:
    if quiet:
        return QuietView(console)
    return LiveView(console) if console.is_terminal else LineView(console)


class QuietView:
    """Warnings only."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def take(self, event: Event) -> None:
        if event.kind == "warning":
            self._console.print(Text(f"warning: {event.stage}: {event.message}"))


class LineView(QuietView):
    """One line when a stage starts or ends, and every few seconds between."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._stages: dict[str, StageView] = {}
        self._last = time.monotonic()

    def take(self, event: Event) -> None:
        super().take(event)
        stage = self._stages.setdefault(event.stage, StageView(event.stage))
        stage.take(event)
        if event.kind in ("done", "cached", "failed"):
            self._say(stage, stage.ending())
        elif event.kind == "note":
            self._say(stage, event.message)
        elif event.kind == "progress" and time.monotonic() - self._last > LINE_SECONDS:
            self._say(stage, stage.figures() or stage.message)

    def _say(self, stage: StageView, text: str) -> None:
        self._last = time.monotonic()
        self._console.print(Text(f"{stage.name:<9} {text}"), soft_wrap=True)


class LiveView:
    """A table with a row a stage, redrawn a few times a second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stages = {name: StageView(name) for name in STAGES}
        self._spinner = Spinner("dots", style="cyan")
        # The runner redirects stdout for KFP's words, so rich must leave it alone.
        self._live = Live(
            console=console,
            get_renderable=self._table,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def take(self, event: Event) -> None:
        if event.kind == "warning":
            self._console.print(Text(f"warning: {event.stage}: {event.message}", style="yellow"))
        elif event.stage in self._stages:
            self._stages[event.stage].take(event)

    def _table(self) -> Table:
        table = Table(box=None, show_header=False, padding=(0, 1), expand=False)
        table.add_column(width=1)
        table.add_column(width=9)
        table.add_column(width=11, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis")
        for stage in list(self._stages.values()):
            table.add_row(*self._row(stage))
        return table

    def _row(self, stage: StageView) -> tuple[RenderableType, ...]:
        if stage.state == "running":
            elapsed = Text(duration(max(time.time() - stage.began, 0.0)))
            return self._spinner, Text(stage.name, style="bold"), elapsed, _doing(stage)
        mark, style = MARKS[stage.state]
        dim = "dim" if stage.state in ("waiting", "skipped") else ""
        seconds = "" if stage.seconds is None else duration(stage.seconds)
        how = {"cached": "unchanged: ", "skipped": "skipped: "}.get(stage.state, "")
        message = how + stage.message
        first_line = message.splitlines()[0] if message else ""
        return Text(mark, style=style), Text(stage.name, style=dim), Text(seconds, style="dim"), Text(first_line)


def _doing(stage: StageView) -> RenderableType:
    figures = Text(stage.figures() or stage.message)
    if not stage.total or stage.done is None:
        return figures
    row = Table.grid(padding=(0, 1))
    row.add_row(ProgressBar(total=stage.total, completed=stage.done, width=24), figures)
    return row
