"""Pipeline runs as Kubeflow Pipelines tells of them. No I/O here: from the API's JSON to values.

The API server leaves out what has its zero value, gives times in whole seconds, and has 1970 for a time that is not
yet known. Where a state is missing or newer than this code, the run counts as PENDING, which ends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

LONGEST_ERROR = 1000
"""Characters kept of an error: enough for a person, and a status is no place for a log."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_Model = TypeVar("_Model", bound=BaseModel)


class PipelineState(StrEnum):
    """What a run or a task is doing."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    CANCELING = "CANCELING"
    """Its pods are being stopped."""
    SUCCEEDED = "SUCCEEDED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def ended(self) -> bool:
        """Whether it stays so, short of a retry by hand."""
        return self in (self.SUCCEEDED, self.SKIPPED, self.FAILED, self.CANCELED)


@dataclass(frozen=True)
class TaskSeen:
    """One task of a run."""

    name: str
    state: PipelineState
    pods: tuple[str, ...] = ()


@dataclass(frozen=True)
class PipelineRunSeen:
    """One run. `name` is the display name; `error` is short, for people, and empty where there is none."""

    id: str
    name: str
    state: PipelineState
    created: datetime
    archived: bool = False
    error: str = ""
    tasks: tuple[TaskSeen, ...] = ()

    @property
    def age_order(self) -> tuple[datetime, str]:
        """Sorts the oldest first. Times are whole seconds, so that the id decides between two of the same one."""
        return self.created, self.id


def _clean(text: str) -> str:
    """JSON can hold half a character, which nothing can write down again, not even a status."""
    return text.encode("utf-8", "replace").decode()


_Text = Annotated[str, AfterValidator(_clean)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Error(_Answer):
    message: _Text | None = None


class _Pod(_Answer):
    pod_name: _Text | None = None


class _Moment(_Answer):
    state: str | None = None
    error: _Error | None = None


class _Task(_Answer):
    display_name: _Text | None = None
    state: str | None = None
    pod_name: _Text | None = None
    child_tasks: tuple[_Pod, ...] | None = None
    error: _Error | None = None

    def seen(self) -> TaskSeen:
        pods = (self.pod_name, *(child.pod_name for child in self.child_tasks or ()))
        return TaskSeen(self.display_name or "", _state(self.state), tuple(dict.fromkeys(pod for pod in pods if pod)))


class _Details(_Answer):
    task_details: tuple[_Task, ...] | None = None


class _Run(_Answer):
    run_id: _Text = Field(min_length=1, max_length=256)
    display_name: _Text | None = None
    state: str | None = None
    created_at: datetime | None = None
    storage_state: str | None = None
    error: _Error | None = None
    run_details: _Details | None = None
    state_history: tuple[_Moment, ...] | None = None

    def seen(self) -> PipelineRunSeen:
        tasks = (self.run_details and self.run_details.task_details) or ()
        state = _state(self.state)
        return PipelineRunSeen(
            id=self.run_id,
            name=self.display_name or "",
            state=state,
            created=_utc(self.created_at),
            archived=self.storage_state == "ARCHIVED",
            error=self._error(state, tasks),
            tasks=tuple(task.seen() for task in tasks),
        )

    def _error(self, state: PipelineState, tasks: tuple[_Task, ...]) -> str:
        """What the server says of the run, else of its last state, else of its tasks."""
        moments = reversed(self.state_history or ())
        said = (self.error, *(moment.error for moment in moments), *(task.error for task in tasks))
        message = next((error.message for error in said if error and error.message), "")
        if not message and state is PipelineState.FAILED:
            failed = [task.display_name for task in tasks if task.display_name and task.state == PipelineState.FAILED]
            message = f"failed: {', '.join(failed)}" if failed else ""
        return message[:LONGEST_ERROR]


class _Runs(_Answer):
    model_config = ConfigDict(extra="allow", frozen=True)

    runs: tuple[_Run, ...] | None = None
    total_size: int = 0
    next_page_token: str | None = None

    @model_validator(mode="after")
    def _empty_is_empty(self) -> _Runs:
        """An empty list has no key at all. Taking any other object for one would start a run a second time."""
        if self.runs is None and (self.total_size or self.model_extra):
            raise ValueError("no list of runs")
        return self


class Experiment(_Answer):
    """A group of runs."""

    id: str = Field(min_length=1, max_length=256, validation_alias="experiment_id")
    name: _Text | None = Field(default=None, validation_alias="display_name")


class _Experiments(_Answer):
    experiments: tuple[Experiment, ...] | None = None
    next_page_token: str | None = None


class Health(_Answer):
    """What the server says of itself. `multi_user` is None where it does not say."""

    version: _Text = Field(default="unknown", validation_alias=AliasChoices("tag_name", "commit_sha"))
    multi_user: bool | None = None


def run_seen(answer: Any) -> PipelineRunSeen:
    """A run out of its JSON. Raises ValueError when it is none."""
    return _parse(_Run, answer).seen()


def runs_seen(answer: Any) -> tuple[tuple[PipelineRunSeen, ...], str]:
    """A page of runs, and the token of the next one, empty at the end. Raises ValueError when it is none."""
    page = _parse(_Runs, answer)
    return tuple(run.seen() for run in page.runs or ()), page.next_page_token or ""


def experiment(answer: Any) -> Experiment:
    """Raises ValueError when it is none."""
    return _parse(Experiment, answer)


def experiments(answer: Any) -> tuple[Experiment, ...]:
    """A page of experiments. Raises ValueError when it is none."""
    return _parse(_Experiments, answer).experiments or ()


def health(answer: Any) -> Health:
    """Raises ValueError when it is none."""
    return _parse(Health, answer)


def error_message(body: Mapping[str, Any] | Any) -> str:
    """What the body of an error says: `message` in the gateway's errors, `error` in older ones."""
    found = (body.get("message") or body.get("error") or body.get("error_message")) if isinstance(body, dict) else None
    return _clean(found[:LONGEST_ERROR]) if isinstance(found, str) else ""


def _parse(model: type[_Model], answer: Any) -> _Model:
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from error


def _state(word: str | None) -> PipelineState:
    return PipelineState.__members__.get(word or "", PipelineState.PENDING)


def _utc(time: datetime | None) -> datetime:
    if time is None:
        return _EPOCH
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
