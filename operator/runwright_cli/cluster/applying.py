"""What `diff` and `submit` share: the file against the cluster, and what would come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rich.console import Console
from rich.text import Text

from runwright_api.problems import Problem, SpecError
from runwright_api.spec.reinforcement import own_files
from runwright_api.status import TrainingRunStatus
from runwright_api.trainingrun import TrainingRun
from runwright_cli.cluster.changes import NOT_GIVEN, Change, Meaning, changes, shown
from runwright_cli.cluster.client import Cluster, Object
from runwright_cli.cluster.connection import Target
from runwright_cli.cluster.errors import ClusterError, ConflictError, ForbiddenError
from runwright_cli.cluster.plan import Effect, Plan, plan
from runwright_cli.cluster.reading import gitops, manifest, run_of, status_of
from runwright_cli.files import read_manifest


@dataclass(frozen=True)
class Asked:
    """A TrainingRun of a file, and where it should go."""

    cluster: Cluster
    run: TrainingRun
    manifest: dict[str, Any]


@dataclass(frozen=True)
class Expected:
    """What would come of it. `after` is the object as the API server would store it, where it was asked."""

    plan: Plan
    notes: tuple[str, ...]
    before: Object | None
    after: Object | None = field(default=None)


def asked(file: str, changes_given: tuple[str, ...], target: Target) -> Asked:
    """Read and validate FILE, and find its namespace. Raises SpecError and ClusterError."""
    found, content = read_manifest(file, changes_given)
    return asked_of(found.run, content, lambda own: Cluster.of(replace(target, namespace=own)), target.namespace, file)


def asked_of(
    run: TrainingRun,
    content: Mapping[str, Any],
    opened: Callable[[str | None], Cluster],
    namespace: str | None,
    file: str = "",
) -> Asked:
    """The same of a TrainingRun as it was written, `content`; `opened` gives the cluster's namespace of that name.

    Raises SpecError and ClusterError.
    """
    problems = tuple(_out_of_reach(run, file))
    if problems:
        raise SpecError(problems)
    own = run.metadata.namespace
    if own and namespace and own != namespace:
        raise ClusterError(
            f"--namespace is {namespace}, but {file or run.name} says metadata.namespace: {own}",
            "leave one of them out",
        )
    return Asked(opened(namespace or own), run, manifest(content))


def expect(question: Asked) -> Expected:
    """Ask the API server by a dry run what the object would be, and think about what the operator would do.

    Raises ClusterError.
    """
    cluster, run = question.cluster, question.run
    before = cluster.find(run.name)
    notes: list[str] = []
    after: Object | None = None
    try:
        after = cluster.apply(question.manifest, dry_run=True)
    except ConflictError as error:
        notes.append(f"{error.message}; submit needs --force-conflicts to change it")
        after = cluster.apply(question.manifest, dry_run=True, force=True)
    except ForbiddenError as error:
        notes.append(f"{error.message}, so this compares the file itself with the cluster")
    new = run if after is None else run_of(after)
    old, status = None, TrainingRunStatus()
    if before is not None:
        status = status_of(before)
        try:
            old = run_of(before)
        except SpecError as error:
            raise ClusterError(
                f"{run.name} in the cluster is not valid for this version: {error.problems[0].render()}",
                "mend it with `kubectl apply` or `runwright submit`",
            ) from error
        if status.observed_generation < int(before["metadata"].get("generation", 0)):
            notes.append("the operator has not answered for what is in the cluster; this tells of the state before")
        notes += _kept_by_others(run, new)
        tool = gitops(before)
        if tool:
            notes.append(f"{tool} manages it and may put it back: change it in git instead")
    return Expected(plan(old, new, status), tuple(notes), before, after)


def _kept_by_others(wanted: TrainingRun, stored: TrainingRun) -> Iterator[str]:
    """Fields that the file leaves out and that stay, since another field manager set them."""
    for change in changes(wanted, stored):
        cure = f"; `runwright rollback {wanted.name} --unpin` removes it" if change.path == PIN else ""
        yield f"{change.path} stays {shown(change.new)}: the file does not set it, another field manager does{cure}"


PIN = "spec.deploy.revision"


def _out_of_reach(run: TrainingRun, file: str) -> Iterator[Problem]:
    """Paths of this machine, which the operator refuses."""
    paths = {f"spec.data.sources[{index}].path": source.path for index, source in enumerate(run.spec.data.sources)}
    paths |= {
        f"spec.data.sources[{index}].logs.path": one.logs.path
        for index, one in enumerate(run.spec.data.sources)
        if one.logs
    }
    paths["spec.train.model.pretrained"] = run.spec.train.model.pretrained
    paths |= {f"spec.train.environment.{field}": path for field, path in own_files(run.spec.train.environment)}
    paths["spec.train.code.path"] = run.spec.train.code.path if run.spec.train.code else None
    for path, value in paths.items():
        if value is not None and "://" not in value:
            yield Problem(
                f"{value} is a path of this machine, which no pod can read",
                path,
                _cure(path),
                file,
            )


def _cure(path: str) -> str:
    if path == "spec.train.code.path":
        return "copy the code to object storage and give its s3:// address, or put it into train.image (code.command)"
    if path.endswith(".logs.path"):
        return "give logs.s3; `runwright run` takes paths"
    return "give an http(s):// or s3:// address; `runwright run` takes paths"


_TITLES = {
    Meaning.RECIPE: "the recipe: decides the model",
    Meaning.GATE: "the gate: decides whether it may serve",
    Meaning.DEPLOY: "deploy: the InferenceService",
    Meaning.SUSPEND: "suspend",
    Meaning.LATER: "how the next revision is made",
}


def print_changes(console: Console, found: tuple[Change, ...]) -> None:
    """The changed fields, sorted by what they decide."""
    for meaning in Meaning:
        part = [change for change in found if change.meaning is meaning]
        if not part:
            continue
        console.print(Text(_TITLES[meaning], style="dim"))
        for change in part:
            console.print(_line(change), soft_wrap=True)
        console.print()


def _line(change: Change) -> Text:
    text = Text(f"  {change.path}: ")
    text.append(shown(change.old), style="dim" if change.old is None else "red")
    text.append(" -> ")
    text.append(shown(change.new), style="dim" if shown(change.new) == NOT_GIVEN else "green")
    return text


def print_plan(console: Console, expected: Expected) -> None:
    """What would happen, and what to know about it."""
    style = "dim" if expected.plan.effects == (Effect.NOTHING,) else "bold"
    for sentence in expected.plan.sentences:
        console.print(Text(sentence, style=style), soft_wrap=True)
    for note in expected.notes:
        console.print(Text(f"note: {note}", style="yellow"), soft_wrap=True)
