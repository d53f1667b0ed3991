"""Kubeflow Pipelines, by its v2beta1 REST API.

    PipelinesError
    ├── PipelinesUnavailable   no connection, a time-out, 409, 429, 5xx, an answer that makes no sense: try again later
    ├── PipelinesDenied        401, 403
    ├── PipelinesRefused       our request is bad, or the server is too old
    └── PipelineNotFound       no run has this id

Nothing is tried twice in here, the caller's queue owns that. Whoever meets PipelinesUnavailable does not know whether
the request took effect: a created run is found again by its name.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from runwright_operator.adapters import pipeline_runs
from runwright_operator.adapters.pipeline_runs import PipelineRunSeen, PipelineState, TaskSeen

__all__ = [
    "PipelineNotFound",
    "PipelineRunSeen",
    "PipelineState",
    "Pipelines",
    "PipelinesDenied",
    "PipelinesError",
    "PipelinesRefused",
    "PipelinesSettings",
    "PipelinesUnavailable",
    "TaskSeen",
]

API = "/apis/v2beta1"
PAGE_SIZE = 100
MOST_PAGES = 50  # of one name: a server that pages for ever must not hold us for ever
CONNECT_SECONDS = 5.0

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,127}")
_TRY_LATER = frozenset({408, 409, 425, 429})
_DENIED = frozenset({401, 403})
_BAD_SPEC = "pipeline spec is invalid"  # KFP answers 500 to a spec that it cannot use, with these words

_Value = TypeVar("_Value")


class PipelinesError(Exception):
    """`status` is the HTTP status, where there was an answer. The message is for people and holds no secret."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class PipelinesUnavailable(PipelinesError):  # noqa: N818 (named for what is the matter)
    """Try again later."""


class PipelinesDenied(PipelinesError):  # noqa: N818 (named for what is the matter)
    """The token is missing, wrong, or not allowed to do this in the namespace."""


class PipelinesRefused(PipelinesError):  # noqa: N818 (named for what is the matter)
    """Trying again does not help."""


class PipelineNotFound(PipelinesError):  # noqa: N818 (named for what is the matter)
    """The server knows no such run."""


@dataclass(frozen=True)
class PipelinesSettings:
    """Where Kubeflow Pipelines is and how to speak with it."""

    endpoint: str
    """http://ml-pipeline.kubeflow:8888, without a path; with one where a gateway puts it under one."""
    token_file: Path | None = None
    """A token with the audience pipelines.kubeflow.org; read at each request, since the kubelet renews it."""
    ca_file: Path | None = None
    """Certificates to trust instead of the public ones."""
    multi_user: bool = False
    """Runs belong to the namespace of their TrainingRun."""
    ui_url: str | None = None
    timeout_seconds: float = 10.0
    """Longest silence of the server within a request; a request as a whole may take three times as long."""
    workers: int = 8


class Pipelines:
    """A client that may be shared by all reconciles; blocking requests run in threads of its own.

    `guard` is called, in such a thread, right before each request that changes something, and raises to refuse it;
    `on_call` is told of each request: what was asked, and `ok` or the name of the error.
    """

    def __init__(
        self,
        settings: PipelinesSettings,
        *,
        guard: Callable[[], None] | None = None,
        on_call: Callable[[str, str], None] | None = None,
    ) -> None:
        self._settings = settings
        self._guard = guard
        self._on_call = on_call
        self._threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="pipelines")
        self._client: Any = None
        self._experiments: dict[tuple[str, str], str] = {}

    async def check(self) -> str:
        """The version of the server. Raises PipelinesRefused for one that we cannot work with."""
        health = await self._ask(pipeline_runs.health, "GET", "/healthz")
        if health.multi_user not in (None, self._settings.multi_user):
            modes = {True: "multi-user", False: "single-user"}
            raise PipelinesRefused(
                f"Kubeflow Pipelines is in {modes[not self._settings.multi_user]} mode and we are set to"
                f" {modes[self._settings.multi_user]} mode; set pipelines.multiUser to"
                f" {str(not self._settings.multi_user).lower()}"
            )
        return health.version

    async def find(self, namespace: str, name: str) -> tuple[PipelineRunSeen, ...]:
        """The runs with exactly this display name, archived ones included, the oldest first."""
        query = {**self._in(namespace), "page_size": str(PAGE_SIZE)}
        criteria = {"filter": _named(name), "sort_by": "created_at asc"}
        found: list[PipelineRunSeen] = []
        for _ in range(MOST_PAGES):
            runs, token = await self._ask(pipeline_runs.runs_seen, "GET", "/runs", query={**query, **criteria})
            found += [run for run in runs if run.name == name]  # MySQL compares without regard to case
            if not token:
                return tuple(sorted(found, key=lambda run: run.age_order))
            criteria = {"page_token": token}
        raise PipelinesUnavailable(f"the list of runs named {name} does not end")

    async def create(
        self,
        namespace: str,
        *,
        name: str,
        experiment: str,
        spec: Mapping[str, Any],
        parameters: Mapping[str, str],
        service_account: str,
        description: str,
    ) -> PipelineRunSeen:
        """Start a run. Not idempotent: the server makes one at each request that it gets."""
        run = {
            "display_name": name,
            "description": description,
            "pipeline_spec": dict(spec),
            "runtime_config": {"parameters": dict(parameters)},
            "service_account": service_account,
        }
        place = (namespace if self._settings.multi_user else "", experiment)
        known = place in self._experiments
        try:
            return await self._create(place, run)
        except PipelinesRefused as error:
            if not known or error.status not in (400, 404):
                raise
        # The experiment that we remember may have been deleted since; refused means that nothing was started.
        self._experiments.pop(place, None)
        return await self._create(place, run)

    async def get(self, run_id: str) -> PipelineRunSeen:
        """Raises PipelineNotFound only when the server itself says that it knows no such run."""
        return await self._about(pipeline_runs.run_seen, "GET", "/runs/{run_id}", run_id)

    async def terminate(self, run_id: str) -> None:
        """End a run. One that is ending, has ended or is missing is fine."""
        try:
            await self._about(_nothing, "POST", "/runs/{run_id}:terminate", run_id)
        except PipelineNotFound:
            return
        except PipelinesRefused as error:
            # KFP answers 400 both for a run that has ended and for a request that it does not like.
            if error.status != 400 or not await self._over(run_id):
                raise

    async def archive(self, run_id: str) -> None:
        """Put a run out of sight. One that is archived or missing is fine."""
        try:
            await self._about(_nothing, "POST", "/runs/{run_id}:archive", run_id)
        except PipelineNotFound:
            return

    def url(self, run_id: str) -> str | None:
        """Page of the run, where an address of the pages is set."""
        if not self._settings.ui_url or not _ID.fullmatch(run_id):
            return None
        return f"{self._settings.ui_url.rstrip('/')}/#/runs/details/{run_id}"

    async def close(self) -> None:
        """Start no more requests; those under way end by their time-outs."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _create(self, place: tuple[str, str], run: Mapping[str, Any]) -> PipelineRunSeen:
        body = {**run, "experiment_id": await self._experiment(*place)}
        return await self._ask(pipeline_runs.run_seen, "POST", "/runs", body=body)

    async def _experiment(self, namespace: str, name: str) -> str:
        """Id of the experiment of this name, made when it is missing. Names are unique in a namespace."""
        known = self._experiments.get((namespace, name))
        if known is None:
            known = await self._find_experiment(namespace, name)
        if known is None:
            body = {"display_name": name, **({"namespace": namespace} if namespace else {})}
            try:
                known = (await self._ask(pipeline_runs.experiment, "POST", "/experiments", body=body)).id
            except PipelinesUnavailable as error:
                # 409: someone was faster.
                known = await self._find_experiment(namespace, name) if error.status == 409 else None
                if known is None:
                    raise
        self._experiments[namespace, name] = known
        return known

    async def _find_experiment(self, namespace: str, name: str) -> str | None:
        query = {**self._in(namespace), "page_size": str(PAGE_SIZE), "filter": _named(name)}
        found = await self._ask(pipeline_runs.experiments, "GET", "/experiments", query=query)
        return next((experiment.id for experiment in found if experiment.name == name), None)

    def _in(self, namespace: str) -> dict[str, str]:
        return {"namespace": namespace} if self._settings.multi_user else {}

    async def _over(self, run_id: str) -> bool:
        try:
            state = (await self.get(run_id)).state
        except PipelineNotFound:
            return True
        return state.ended or state is PipelineState.CANCELING

    async def _about(self, read: Callable[[Any], _Value], method: str, path: str, run_id: str) -> _Value:
        """Ask about one run. A 404 that does not name it comes from a gateway, or from a server without this API."""
        if not _ID.fullmatch(run_id):
            raise PipelineNotFound(f"{run_id[:64]!r} is no id of a run")
        try:
            return await self._ask(read, method, path, ids={"run_id": run_id})
        except PipelinesRefused as error:
            if error.status == 404 and run_id in str(error):
                raise PipelineNotFound(str(error), 404) from error
            raise

    async def _ask(
        self,
        read: Callable[[Any], _Value],
        method: str,
        path: str,
        *,
        ids: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> _Value:
        outcome = "ok"
        try:
            return await self._answer(read, method, path, ids, query, body)
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            if self._on_call is not None:
                self._on_call(f"{method} {path}", outcome)

    async def _answer(
        self,
        read: Callable[[Any], _Value],
        method: str,
        path: str,
        ids: Mapping[str, str] | None,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
    ) -> _Value:
        what = f"{method} {path}"
        loop = asyncio.get_running_loop()
        request = loop.run_in_executor(self._threads, self._send, method, path, ids or {}, query or {}, body)
        try:
            # A request that still waits for a thread is taken back when the time is up.
            answer = await asyncio.wait_for(request, 3 * self._settings.timeout_seconds)
        except TimeoutError:
            raise PipelinesUnavailable(f"{what}: no answer in time") from None
        try:
            return read(answer)
        except ValueError as error:
            raise PipelinesUnavailable(f"{what}: the answer makes no sense: {error}") from error

    def _send(
        self, method: str, path: str, ids: Mapping[str, str], query: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> Any:
        """The JSON of the answer. Runs in a thread."""
        what = f"{method} {path}"
        # Imported with the first request: that takes a while, and who only wants our values needs none of it.
        kfp, urllib3 = import_module("kfp_server_api"), import_module("urllib3.exceptions")
        client = self._connected(kfp)
        timeout = self._settings.timeout_seconds
        if method != "GET" and self._guard is not None:
            self._guard()
        try:
            return client.call_api(
                API + path,
                method,
                path_params=dict(ids),
                query_params=list(query.items()),
                header_params={"Accept": "application/json", **self._authorization()},
                body=body,
                response_type="object",
                auth_settings=[],
                _return_http_data_only=True,
                _request_timeout=(min(CONNECT_SECONDS, timeout), timeout),
            )
        except kfp.ApiException as error:
            raise _explained(what, error) from error
        except (urllib3.HTTPError, OSError, ValueError, LookupError, RecursionError) as error:
            raise PipelinesUnavailable(_brief(f"{what}: {type(error).__name__}: {error}")) from error
        except AttributeError as error:
            # The library trips over its own error for TLS, which has no body. The certificates may have been renewed,
            # so that the next request is to read them again.
            self._client = None
            raise PipelinesUnavailable(_brief(f"{what}: {error.__context__}")) from error

    def _connected(self, kfp: Any) -> Any:
        client = self._client
        if client is None:
            configuration = kfp.Configuration(host=self._settings.endpoint.rstrip("/"))
            configuration.retries = False
            configuration.connection_pool_maxsize = self._settings.workers
            if self._settings.ca_file:
                configuration.ssl_ca_cert = str(self._settings.ca_file)
            client = self._client = kfp.ApiClient(configuration)
        return client

    def _authorization(self) -> dict[str, str]:
        path = self._settings.token_file
        if path is None:
            return {}
        try:
            token = path.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise PipelinesDenied(f"the token in {path} cannot be read: {type(error).__name__}") from None
        # The HTTP library would quote a malformed header, and with it the token, in its error.
        if not token or not token.isprintable():
            raise PipelinesDenied(f"there is no token in {path}")
        return {"Authorization": f"Bearer {token}"}


def _explained(request: str, error: Any) -> PipelinesError:
    """The error of an answer that was none of success."""
    status: int = error.status or 0
    try:
        said = pipeline_runs.error_message(json.loads(error.body or ""))
    except (ValueError, TypeError, RecursionError):
        said = ""
    message = _brief(f"{request}: {status} {said or error.reason or ''}")
    if status in _DENIED:
        return PipelinesDenied(message, status)
    if status in _TRY_LATER or (not 300 <= status < 500 and _BAD_SPEC not in said):
        return PipelinesUnavailable(message, status)
    if 300 <= status < 400:
        return PipelinesRefused(f"{message}; a redirection: is the endpoint that of the API server?", status)
    if status == 404 and not said.strip().removeprefix("Not Found"):
        return PipelinesRefused(f"{message}; this server has no v2beta1 API, which needs Kubeflow Pipelines 2", status)
    return PipelinesRefused(message, status)


def _brief(message: str) -> str:
    return " ".join(message.split())[: pipeline_runs.LONGEST_ERROR]


def _named(name: str) -> str:
    predicate = {"operation": "EQUALS", "key": "display_name", "string_value": name}
    return json.dumps({"predicates": [predicate]}, separators=(",", ":"))


def _nothing(_answer: Any) -> None:
    return None
