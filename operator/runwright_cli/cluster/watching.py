"""Follow a TrainingRun for a person: a table that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from runwright_api.status import TrainingRunStatus
from runwright_cli.cluster import telling
from runwright_cli.cluster.client import Object
from runwright_cli.cluster.errors import ClusterError
from runwright_cli.cluster.follow import WATCH_SECONDS, Deleted, Said, Seen, Source, follow
from runwright_cli.cluster.plan import newest
from runwright_cli.cluster.reading import status_of
from runwright_cli.cluster.stages import Outcome, StageRow, Wanted, outcome, rows
from runwright_cli.main import FAILED
from runwright_cli.view import LINE_SECONDS, MARKS

TIMED_OUT = 124  # as timeout(1) does


def watch(
    source: Source,
    name: str,
    console: Console,
    *,
    wanted: Wanted | None,
    seconds: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> int:
    """Show `name` until it ended as `wanted` says (None: for ever), and tell how; the exit code.

    `seconds`: give up after that time.
    """
    deadline = None if seconds is None else clock() + seconds

    def left() -> int:
        return WATCH_SECONDS if deadline is None else max(1, min(WATCH_SECONDS, round(deadline - clock())))

    found, seen = Outcome(FAILED, ""), False
    with view_for(console, name) as view:
        for event in follow(source, name, sleep=sleep, watch_seconds=left):
            if isinstance(event, Seen):
                ended = outcome(event.content, wanted) if wanted else None
                view.take(event.content, known=not seen and ended is None and _is_old(event.content, wanted))
                seen = True
                if ended:
                    found = ended
                    break
            elif isinstance(event, Said):
                view.say(event.text)
            elif isinstance(event, Deleted):
                if not seen:
                    raise ClusterError(f"there is no TrainingRun {name}", "`kubectl get trun` lists them")
                found = Outcome(FAILED, "was deleted")
                break
            if deadline is not None and clock() >= deadline:
                found = Outcome(TIMED_OUT, f"not ready after {seconds:g} s; it goes on: `runwright watch {name}`")
                break
    _tell_end(console, name, found, view.status)
    return found.code


def _is_old(content: Object, wanted: Wanted | None) -> bool:
    """Whether the status tells of the time before what is waited for."""
    if wanted is None:
        return False
    before = status_of(content).observed_generation < wanted.generation
    return before or wanted.after is not None or wanted.serving is not None


def _tell_end(console: Console, name: str, found: Outcome, status: TrainingRunStatus | None) -> None:
    style = "green" if found.code == 0 else "red"
    if status is not None and found.code not in (0, TIMED_OUT):
        revision = newest(status)
        failure = status.failure or (revision.failure if revision else None)
        if failure:
            for line in telling.failure_lines(failure):
                console.print(Text(line), soft_wrap=True)
    console.print(Text(f"{name}: {found.text}", style=style), soft_wrap=True)


class View(Protocol):
    """Shows what comes, for as long as the block lasts."""

    status: TrainingRunStatus | None

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def take(self, content: Object, *, known: bool = False) -> None:
        """`known`: a person has seen this state, only what changes is news."""

    def say(self, text: str) -> None: ...


def view_for(console: Console, name: str) -> View:
    return LiveView(console, name) if console.is_terminal else ConsoleView(console)


class LineView:
    """One line for each change that matters, and for the progress every few seconds, told to `tell`."""

    def __init__(self, tell: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._clock = tell, clock
        self._last, self._progress = 0.0, ""
        self.status: TrainingRunStatus | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def take(self, content: Object, *, known: bool = False) -> None:
        status = status_of(content)
        if known:
            self.status = status
            return
        for line in telling.news(self.status, status):
            self.say(line)
        line = telling.progress_line(status)
        stage = line.partition(" ")[0]
        new_stage = stage != self._progress.partition(" ")[0]
        if line and line != self._progress and (new_stage or self._clock() - self._last >= LINE_SECONDS):
            self._last, self._progress = self._clock(), line
            self.say(line)
        self.status = status

    def say(self, text: str) -> None:
        self._tell(text)


class ConsoleView(LineView):
    """The same on a terminal that is none, with the time in front."""

    def __init__(self, console: Console) -> None:
        super().__init__(lambda text: console.print(Text(f"{time.strftime('%H:%M:%S')} {text}"), soft_wrap=True))


class LiveView:
    """A table with a row a stage, what serves, and what needs attention."""

    def __init__(self, console: Console, name: str) -> None:
        self._console, self._name = console, name
        self._namespace = ""
        self._spinner = Spinner("dots", style="cyan")
        self.status: TrainingRunStatus | None = None
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=8, redirect_stderr=False)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def take(self, content: Object, *, known: bool = False) -> None:  # noqa: ARG002 (the table shows it all)
        self._namespace = str(content["metadata"].get("namespace", ""))
        self.status = status_of(content)

    def say(self, text: str) -> None:
        self._console.print(Text(text, style="yellow"), soft_wrap=True)

    def render(self) -> RenderableType:
        status = self.status
        if status is None:
            return Text(f"{self._name}: asking the cluster", style="dim")
        if status.observed_generation < 0:
            return Text(f"{self._name}: the operator has not seen it yet", style="dim")
        return Group(self._head(status), self._stages(rows(status)), *_foot(status))

    def _head(self, status: TrainingRunStatus) -> Text:
        text = Text.assemble((self._name, "bold"), (f"  {self._namespace}", "dim"))
        revision = newest(status)
        if revision:
            text.append(f"  revision {revision.number}")
        if status.phase:
            text.append(f"  {status.phase}", style="cyan")
        return text

    def _stages(self, found: tuple[StageRow, ...]) -> Table:
        table = Table(box=None, show_header=False, padding=(0, 1), expand=False)
        table.add_column(width=1)
        table.add_column(width=9)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for row in found:
            table.add_row(*self._cells(row))
        return table

    def _cells(self, row: StageRow) -> tuple[RenderableType, ...]:
        if row.state == "running":
            return self._spinner, Text(row.stage, style="bold"), _bar(row)
        mark, style = MARKS[row.state]
        dim = "dim" if row.state in ("waiting", "skipped") else ""
        return Text(mark, style=style), Text(row.stage, style=dim), Text(row.text, style=dim)


def _bar(row: StageRow) -> RenderableType:
    if row.percent is None:
        return Text(row.text)
    line = Table.grid(padding=(0, 1))
    line.add_row(ProgressBar(total=100, completed=row.percent, width=24), Text(f"{row.percent}%"), Text(row.text))
    return line


def _foot(status: TrainingRunStatus) -> list[Text]:
    lines = []
    revision = newest(status)
    if revision and revision.pipeline_run and revision.pipeline_run.url:
        lines.append(Text(f"pipeline  {revision.pipeline_run.url}", style="dim"))
    if status.serving:
        lines.append(Text(f"serving   revision {status.serving.revision}  {status.serving.url}"))
    lines += [Text(line, style="yellow") for line in telling.attention(status)]
    for text in lines:
        text.no_wrap, text.overflow = True, "ellipsis"
    return lines
