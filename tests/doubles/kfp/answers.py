"""Runs and experiments as the API's JSON: protobuf's names, and nothing that has its zero value.

Every answer is read by the model of kfp-server-api and written again; what comes out must be what went in.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import kfp_server_api

from tests.doubles.kfp.platform import joined
from tests.doubles.kfp.store import Experiment, Moment, Run, Task

_CLIENT = kfp_server_api.ApiClient(kfp_server_api.Configuration())


def run_json(run: Run) -> dict[str, Any]:
    tasks = [_task_json(run, task) for task in run.tasks if task.state != "PENDING"]
    runtime = _some(parameters=run.parameters, pipeline_root=run.pipeline_root)
    return _some(
        experiment_id=run.experiment_id,
        run_id=run.id,
        display_name=run.name,
        storage_state="ARCHIVED" if run.archived else "AVAILABLE",
        description=run.description,
        pipeline_spec=joined(run.spec, run.platform),
        runtime_config=runtime,
        service_account=run.service_account,
        created_at=_time(run.created),
        scheduled_at=_time(run.created),
        finished_at=_time(run.finished),
        state=run.state,
        run_details={"task_details": tasks} if tasks else None,
        state_history=[_moment_json(moment) for moment in run.history],
    )


def _task_json(run: Run, task: Task) -> dict[str, Any]:
    return _some(
        run_id=run.id,
        task_id=task.id,
        display_name=task.name,
        create_time=_time(task.created),
        start_time=_time(task.started),
        end_time=_time(task.finished),
        state=task.state,
        error={"code": 2, "message": task.error} if task.error else None,
        child_tasks=[{"pod_name": pod} for pod in task.pods],
    )


def _moment_json(moment: Moment) -> dict[str, Any]:
    return _some(update_time=_time(moment.time), state=moment.state)


def experiment_json(experiment: Experiment) -> dict[str, Any]:
    return _some(
        experiment_id=experiment.id,
        display_name=experiment.name,
        description=experiment.description,
        created_at=_time(experiment.created),
        namespace=experiment.namespace,
        storage_state="ARCHIVED" if experiment.archived else "AVAILABLE",
        last_run_created_at=_time(experiment.last_run),
    )


def list_json(key: str, items: list[dict[str, Any]], total: int, token: str) -> dict[str, Any]:
    return _some(**{key: items}, total_size=total, next_page_token=token)


def checked(answer: dict[str, Any], model: str) -> dict[str, Any]:
    """The answer, when the SDK's model holds all of it. Raises AssertionError that shows what it does not."""
    read = _CLIENT.deserialize(SimpleNamespace(data=json.dumps(answer)), model)
    written = _CLIENT.sanitize_for_serialization(read)
    if _comparable(written) != _comparable(answer):
        raise AssertionError(f"{model} reads {answer} as {written}")
    return answer


def _comparable(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _comparable(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [_comparable(one) for one in value]
    if key.endswith(("_at", "_time")) and isinstance(value, str):
        return datetime.fromisoformat(value)
    return value


def _time(seconds: float) -> str:
    """Whole seconds, and 1970 for a time that is not known: the server's database has no better."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _some(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", 0, [], {})}
