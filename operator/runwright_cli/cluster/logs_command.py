"""`runwright logs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runwright_api.reasons import Stage
from runwright_cli.cluster.options import cluster_options, examples, name_argument

if TYPE_CHECKING:
    from rich.console import Console

    from runwright_api.status import Revision, TrainingRunStatus
    from runwright_cli.cluster.client import Cluster
    from runwright_cli.cluster.connection import Target
    from runwright_cli.cluster.logs import Line
    from runwright_cli.cluster.pods import Stream

COLOURS = ("cyan", "magenta", "green", "yellow", "blue")


@click.command(
    epilog=examples("runwright logs penguins -f", "runwright logs penguins --stage train --revision 3 --tail 100")
)
@name_argument
@click.option("--stage", type=click.Choice([str(stage) for stage in Stage]), help="Pods of this stage only.")
@click.option("--revision", type=click.IntRange(min=1), help="Default: the one that the spec asks for.")
@click.option("-f", "--follow", is_flag=True, help="Go on as lines and pods come.")
@click.option("-p", "--previous", is_flag=True, help="Of containers that restarted, the instance before.")
@click.option("--tail", type=click.IntRange(min=0), help="Only the last lines of each container. Default: all.")
@click.option("--timestamps", is_flag=True, help="Put its time before each line.")
@cluster_options
def logs(
    name: str,
    stage: str | None,
    revision: int | None,
    follow: bool,
    previous: bool,
    tail: int | None,
    timestamps: bool,
    target: Target,
) -> int:
    """Print the logs of a revision's pods, by time: pipeline steps, training workers, the model's server.

    When the pods are gone: the last lines that were kept of a failure, and where the whole log is.
    """
    from rich.console import Console

    from runwright_cli.cluster.client import Cluster
    from runwright_cli.cluster.pods import selectors, streams
    from runwright_cli.cluster.reading import status_of

    if follow and previous:
        raise click.UsageError("--follow and --previous exclude each other")
    cluster = Cluster.of(target)
    chosen = _chosen(status_of(cluster.get(name)), revision)
    wanted = Stage(stage) if stage else None

    def find() -> Iterator[Stream]:
        current = _chosen(status_of(cluster.get(name)), revision)
        seen = set()
        for selector in selectors(name, current):
            for stream in streams(cluster.pods(selector), wanted):
                if stream.key not in seen:
                    seen.add(stream.key)
                    yield stream

    printer = Printer(Console(file=sys.stdout, highlight=False), Console(stderr=True, highlight=False), timestamps)
    if follow:
        return _follow(cluster, name, find, printer, tail)
    found = list(find())
    if not found:
        return _kept(printer.notes, name, chosen, wanted)
    from runwright_cli.cluster.logs import read

    printer.several = len({(stream.pod, stream.container) for stream in found}) > 1
    for line in read(cluster, found, previous=previous, tail=tail):
        printer.print(line)
    return 0


def _chosen(status: TrainingRunStatus, number: int | None) -> Revision | None:
    from runwright_cli.cluster.plan import newest
    from runwright_cli.cluster.rollback import revision_of

    return newest(status) if number is None else revision_of(status, number)


def _follow(cluster: Cluster, name: str, find: object, printer: Printer, tail: int | None) -> int:
    from runwright_api.reasons import ConditionType
    from runwright_cli.cluster.logs import Follower
    from runwright_cli.cluster.reading import status_of
    from runwright_cli.cluster.stages import holds

    def over() -> bool:
        return not holds(status_of(cluster.get(name)), ConditionType.RECONCILING)

    printer.several = True
    for line in Follower(cluster, tail).follow(find, over):  # type: ignore[arg-type]
        printer.print(line)
    return 0


class Printer:
    """Lines with their pod in front, where there are several; notes go to standard error."""

    def __init__(self, out: Console, notes: Console, timestamps: bool) -> None:
        self._out, self.notes, self._timestamps = out, notes, timestamps
        self._colours: dict[str, str] = {}
        self.several = False

    def print(self, line: Line) -> None:
        from rich.text import Text

        place = "/".join(part for part in (line.stream.pod, line.stream.container) if part)
        if not line.time:
            self.notes.print(Text(f"{place}: {line.text}" if place else line.text, style="yellow"), soft_wrap=True)
            return
        text = Text()
        if self.several:
            colour = self._colours.setdefault(place, COLOURS[len(self._colours) % len(COLOURS)])
            text.append(f"{place} | ", style=colour)
        if self._timestamps:
            text.append(f"{line.time} ", style="dim")
        text.append_text(Text.from_ansi(line.text) if self._out.is_terminal else Text(line.text))
        self._out.print(text, soft_wrap=True)


def _kept(console: Console, name: str, revision: Revision | None, stage: Stage | None) -> int:
    """What is left of a revision whose pods are gone."""
    from rich.text import Text

    from runwright_cli.cluster.errors import ClusterError
    from runwright_cli.cluster.telling import failure_lines

    if revision is None:
        raise ClusterError(f"{name} has no pods yet", f"runwright watch {name}")
    of_stage = f" for stage {stage}" if stage else ""
    failure = revision.failure
    url = revision.pipeline_run.url if revision.pipeline_run else None
    if failure is None or (stage is not None and failure.stage is not stage):
        cure = f"the pipeline's page may have them: {url}" if url else f"runwright history {name}"
        raise ClusterError(f"revision {revision.number} of {name} has no pods{of_stage} any more, nor yet", cure)
    console.print(Text(f"the pods of revision {revision.number} are gone; what was kept:", style="dim"))
    for line in failure_lines(failure):
        console.print(Text(line), soft_wrap=True)
    if url:
        console.print(Text(f"  pipeline: {url}"), soft_wrap=True)
    return 0
