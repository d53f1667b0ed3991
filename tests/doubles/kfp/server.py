"""The v2beta1 REST API: experiments, runs, health; and what a test asks of the double itself under /double."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import kfp_server_api
from aiohttp import web
from pydantic import ValidationError

from tests.doubles.kfp import answers, graph, listing, platform
from tests.doubles.kfp.access import Access
from tests.doubles.kfp.executor import Executor
from tests.doubles.kfp.faults import Faults
from tests.doubles.kfp.problems import Code, Problem, invalid, no_experiment, no_run
from tests.doubles.kfp.scripts import SCRIPTS, Scripts
from tests.doubles.kfp.store import ENDED, Experiment, Run, Store, new_id

API = "/apis/v2beta1"
VERSION = "2.17.0"
LARGEST_REQUEST = 32 << 20

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_RUN_FIELDS: listing.Fields[Run] = {
    "id": lambda run: run.id,
    "run_id": lambda run: run.id,
    "name": lambda run: run.name,
    "display_name": lambda run: run.name,
    "created_at": lambda run: int(run.created),
    "finished_at": lambda run: int(run.finished),
    "scheduled_at": lambda run: int(run.created),
    "description": lambda run: run.description,
    "storage_state": lambda run: "ARCHIVED" if run.archived else "AVAILABLE",
    "state": lambda run: run.state,
    "namespace": lambda run: run.namespace,
    "experiment_id": lambda run: run.experiment_id,
}
_EXPERIMENT_FIELDS: listing.Fields[Experiment] = {
    "id": lambda one: one.id,
    "experiment_id": lambda one: one.id,
    "name": lambda one: one.name,
    "display_name": lambda one: one.name,
    "created_at": lambda one: int(one.created),
    "last_run_created_at": lambda one: int(one.last_run),
    "description": lambda one: one.description,
    "namespace": lambda one: one.namespace,
    "storage_state": lambda one: "ARCHIVED" if one.archived else "AVAILABLE",
}


class Server:
    """The application. `access` says who may do what in multi-user mode and is None for everybody everything."""

    def __init__(self, store: Store, executor: Executor, *, multi_user: bool, access: Access | None) -> None:
        self._store = store
        self._executor = executor
        self._multi_user = multi_user
        self._access = access
        self._faults = Faults()
        self._calls: Counter[str] = Counter()

    def application(self) -> web.Application:
        run, experiment = f"{API}/runs/{{id:[^/:]+}}", f"{API}/experiments/{{id:[^/:]+}}"
        calls = [
            ("Healthz", "GET", f"{API}/healthz", self._healthz),
            ("CreateExperiment", "POST", f"{API}/experiments", self._create_experiment),
            ("ListExperiments", "GET", f"{API}/experiments", self._list_experiments),
            ("GetExperiment", "GET", experiment, self._get_experiment),
            ("DeleteExperiment", "DELETE", experiment, self._delete_experiment),
            ("ArchiveExperiment", "POST", f"{experiment}:archive", self._archive_experiment),
            ("UnarchiveExperiment", "POST", f"{experiment}:unarchive", self._unarchive_experiment),
            ("CreateRun", "POST", f"{API}/runs", self._create_run),
            ("ListRuns", "GET", f"{API}/runs", self._list_runs),
            ("GetRun", "GET", run, self._get_run),
            ("DeleteRun", "DELETE", run, self._delete_run),
            ("TerminateRun", "POST", f"{run}:terminate", self._terminate_run),
            ("ArchiveRun", "POST", f"{run}:archive", self._archive_run),
            ("UnarchiveRun", "POST", f"{run}:unarchive", self._unarchive_run),
            ("RetryRun", "POST", f"{run}:retry", self._retry_run),
        ]
        application = web.Application(client_max_size=LARGEST_REQUEST)
        for name, method, path, handler in calls:
            application.router.add_route(method, path, self._call(name, handler))
        application.router.add_route("*", "/apis/{tail:.*}", _unknown)
        application.add_routes(self._faults.routes())
        application.add_routes(
            [
                web.get("/double/calls", self._show_calls),
                web.get("/double/runs", self._show_runs),
                web.get("/double/scripts", self._show_scripts),
                web.post("/double/scripts", self._add_scripts),
            ]
        )
        return application

    def _call(self, name: str, handler: _Handler) -> _Handler:
        async def worked(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except Problem as problem:
                return web.json_response(problem.body(), status=problem.status)

        async def answered(request: web.Request) -> web.StreamResponse:
            self._calls[name] += 1
            return await self._faults.answer(name, request, worked)

        return answered

    # -------------------------------------------------------------------------------------------------- experiments

    async def _healthz(self, _request: web.Request) -> web.Response:
        content = {"commit_sha": "unknown", "tag_name": VERSION, "multi_user": self._multi_user}
        return web.json_response({**content, "pipeline_store": "database"})

    async def _create_experiment(self, request: web.Request) -> web.Response:
        given = await _body(request, kfp_server_api.V2beta1Experiment)
        name, namespace = given.get("display_name", ""), self._namespace(given.get("namespace", ""))
        if not name:
            raise invalid("Experiment must have a non-empty name")
        if self._multi_user and not namespace:
            raise invalid("Namespace cannot be empty")
        await self._allow(request, "experiments", "create", namespace)
        if any(one.name == name and one.namespace == namespace for one in self._store.experiments.values()):
            raise Problem(
                Code.ALREADY_EXISTS,
                f"Failed to create a new experiment. The name {name} already exists. Please specify a new name",
            )
        made = Experiment(
            id=new_id(),
            name=name,
            namespace=namespace,
            description=given.get("description", ""),
            created=time.time(),
        )
        self._store.save(made)
        return _experiment(made)

    async def _list_experiments(self, request: web.Request) -> web.Response:
        namespace = self._namespace(request.query.get("namespace", ""))
        await self._allow(request, "experiments", "list", namespace)
        mine = [one for one in self._store.experiments.values() if one.namespace == namespace]
        found, total, token = listing.select(mine, _EXPERIMENT_FIELDS, _page(request))
        items = [answers.experiment_json(one) for one in found]
        content = answers.list_json("experiments", items, total, token)
        return web.json_response(answers.checked(content, "V2beta1ListExperimentsResponse"))

    async def _get_experiment(self, request: web.Request) -> web.Response:
        return _experiment(await self._experiment(request, "get"))

    async def _delete_experiment(self, request: web.Request) -> web.Response:
        self._store.remove(await self._experiment(request, "delete"))
        return web.json_response({})

    async def _archive_experiment(self, request: web.Request) -> web.Response:
        experiment = await self._experiment(request, "archive")
        self._store.save(experiment.model_copy(update={"archived": True}))
        for run in self._store.runs.values():
            if run.experiment_id == experiment.id:
                run.archived = True
                self._store.save(run)
        return web.json_response({})

    async def _unarchive_experiment(self, request: web.Request) -> web.Response:
        experiment = await self._experiment(request, "unarchive")
        self._store.save(experiment.model_copy(update={"archived": False}))
        return web.json_response({})

    # --------------------------------------------------------------------------------------------------------- runs

    async def _create_run(self, request: web.Request) -> web.Response:
        given = await _body(request, kfp_server_api.V2beta1Run)
        if not given.get("display_name"):
            raise Problem(Code.INTERNAL, "InternalServerError: Run name cannot be empty", "Internal Server Error")
        experiment_id = given.get("experiment_id") or self._default_experiment()
        experiment = self._store.experiments.get(experiment_id)
        if experiment is None:
            raise no_experiment(experiment_id)
        await self._allow(request, "runs", "create", experiment.namespace)
        config, spec = given.get("runtime_config", {}), given.get("pipeline_spec")
        if not isinstance(spec, dict):
            raise invalid("Failed to fetch a template with an empty pipeline spec manifest")
        parameters = config.get("parameters", {})
        spec, platform_spec = platform.split(spec)
        graph.validate(spec, parameters)
        run = Run(
            id=new_id(),
            experiment_id=experiment.id,
            namespace=experiment.namespace,
            name=given["display_name"],
            description=given.get("description", ""),
            service_account=given.get("service_account", ""),
            spec=spec,
            platform=platform_spec,
            parameters=parameters,
            pipeline_root=config.get("pipeline_root", ""),
            created=time.time(),
        )
        self._store.save(run)
        self._store.save(experiment.model_copy(update={"last_run": run.created}))
        self._executor.start(run)
        return _run(run)

    async def _list_runs(self, request: web.Request) -> web.Response:
        experiment_id = request.query.get("experiment_id", "")
        namespace = self._namespace(request.query.get("namespace", ""))
        if experiment_id:
            if experiment_id not in self._store.experiments:
                raise no_experiment(experiment_id)
            namespace = self._store.experiments[experiment_id].namespace
        await self._allow(request, "runs", "list", namespace)
        mine = [
            run
            for run in self._store.runs.values()
            if run.namespace == namespace and experiment_id in ("", run.experiment_id)
        ]
        found, total, token = listing.select(mine, _RUN_FIELDS, _page(request))
        content = answers.list_json("runs", [answers.run_json(run) for run in found], total, token)
        return web.json_response(answers.checked(content, "V2beta1ListRunsResponse"))

    async def _get_run(self, request: web.Request) -> web.Response:
        return _run(await self._found(request, "get"))

    async def _delete_run(self, request: web.Request) -> web.Response:
        run = await self._found(request, "delete")
        await self._executor.kill(run)
        self._store.remove(run)
        return web.json_response({})

    async def _terminate_run(self, request: web.Request) -> web.Response:
        run = await self._found(request, "terminate")
        if run.state in ENDED or run.state == "CANCELING":
            raise invalid(f"Failed to terminate run {run.id}: Failed to terminate a run {run.id}. Row not found")
        run.enter("CANCELING")
        self._store.save(run)
        self._executor.cancel(run)
        return web.json_response({})

    async def _archive_run(self, request: web.Request) -> web.Response:
        run = await self._found(request, "archive")
        run.archived = True
        self._store.save(run)
        return web.json_response({})

    async def _unarchive_run(self, request: web.Request) -> web.Response:
        run = await self._found(request, "unarchive")
        if self._store.experiments[run.experiment_id].archived:
            raise Problem(Code.FAILED_PRECONDITION, "Unarchive the experiment first to allow the run to be restored")
        run.archived = False
        self._store.save(run)
        return web.json_response({})

    async def _retry_run(self, request: web.Request) -> web.Response:
        run = await self._found(request, "retry")
        if run.state not in ("FAILED", "CANCELED"):
            raise Problem(Code.INTERNAL, f"Failed to retry run {run.id} as it does not allow retries")
        run.tasks = [task for task in run.tasks if task.state == "SUCCEEDED"]
        run.finished = 0
        run.enter("PENDING")
        self._store.save(run)
        self._executor.start(run)
        return web.json_response({})

    # ---------------------------------------------------------------------------------------------- the double itself

    async def _show_calls(self, _request: web.Request) -> web.Response:
        return web.json_response(dict(self._calls))

    async def _show_runs(self, _request: web.Request) -> web.Response:
        return web.json_response([run.model_dump(mode="json", exclude={"spec"}) for run in self._store.runs.values()])

    async def _show_scripts(self, _request: web.Request) -> web.Response:
        return web.json_response(Scripts.read(self._scripts).model_dump(mode="json"))

    async def _add_scripts(self, request: web.Request) -> web.Response:
        try:
            given = Scripts.model_validate(await request.json())
        except ValidationError as error:
            return web.Response(status=400, text=str(error))
        Scripts(scripts=[*given.scripts, *Scripts.read(self._scripts).scripts]).save(self._scripts)
        return await self._show_scripts(request)

    # -------------------------------------------------------------------------------------------------------- pieces

    @property
    def _scripts(self) -> Path:
        return self._store.folder / SCRIPTS

    def _namespace(self, given: str) -> str:
        return given if self._multi_user else ""

    def _default_experiment(self) -> str:
        if self._multi_user:
            raise invalid("Experiment id can not be empty in multi-user mode")
        for one in self._store.experiments.values():
            if one.name == "Default":
                return one.id
        made = Experiment(id=new_id(), name="Default", created=time.time())
        self._store.save(made)
        return made.id

    async def _experiment(self, request: web.Request, verb: str) -> Experiment:
        found = self._store.experiments.get(request.match_info["id"])
        if found is None:
            raise no_experiment(request.match_info["id"])
        await self._allow(request, "experiments", verb, found.namespace)
        return found

    async def _found(self, request: web.Request, verb: str) -> Run:
        run = self._store.runs.get(request.match_info["id"])
        if run is None:
            raise no_run(request.match_info["id"])
        await self._allow(request, "runs", verb, run.namespace)
        return run

    async def _allow(self, request: web.Request, resource: str, verb: str, namespace: str) -> None:
        if not self._multi_user:
            return
        if not namespace:
            raise invalid(f"A {resource.removesuffix('s')} cannot have an empty namespace in multi-user mode")
        if self._access is not None:
            await self._access.allow(request.headers.get("Authorization", ""), resource, verb, namespace)


async def _unknown(_request: web.Request) -> web.Response:
    return web.json_response({"code": 5, "message": "Not Found", "details": []}, status=404)


async def _body(request: web.Request, model: Any) -> dict[str, Any]:
    """The request's JSON. The server refuses fields that it does not know."""
    try:
        given = json.loads(await request.read())
    except ValueError as error:
        raise invalid(f"proto: syntax error: {error}") from error
    if not isinstance(given, dict):
        raise invalid("proto: syntax error: unexpected token")
    if unknown := sorted(set(given) - set(model.attribute_map.values())):
        raise invalid(f'proto: unknown field "{unknown[0]}"')
    return given


def _page(request: web.Request) -> listing.Page:
    asked = request.query
    return listing.Page(
        size=asked.get("page_size", ""),
        token=asked.get("page_token", ""),
        sort_by=asked.get("sort_by", ""),
        filter=asked.get("filter", ""),
    )


def _run(run: Run) -> web.Response:
    return web.json_response(answers.checked(answers.run_json(run), "V2beta1Run"))


def _experiment(experiment: Experiment) -> web.Response:
    return web.json_response(answers.checked(answers.experiment_json(experiment), "V2beta1Experiment"))
