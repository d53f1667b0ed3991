"""The model server: KServe's, with the short way for predictions in front. It is what KServe's container starts."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kserve import ModelRepository, ModelServer
from kserve.logging import KSERVE_LOG_CONFIG, configure_logging
from kserve.model_server import app as kserve_app
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.rest.server import RESTServer

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.serve.draining import Draining
from runwright_components.serve.front import PredictionFront
from runwright_components.serve.metrics import ServerMetrics
from runwright_components.serve.model import RunwrightModel
from runwright_components.serve.prediction_log import LogOptions, PredictionLog
from runwright_components.serve.request_error import Limits


@dataclass(frozen=True)
class ServeOptions:
    """How to serve. `port` 0 takes a free one; `grpc_port` None serves REST alone; after
    SIGTERM it serves on for `drain_seconds`, and then requests in flight may take `grace_seconds`."""

    host: str = "0.0.0.0"  # noqa: S104 (a container's port is reached from outside)
    port: int = 8080
    grpc_port: int | None = None
    threads: int | None = None
    max_body_bytes: int = 16 * 2**20
    max_rows: int = 10_000
    access_log: bool = False
    prediction_log: LogOptions | None = None
    drain_seconds: float = 0.0
    grace_seconds: int = 30


class Repository(ModelRepository):  # type: ignore[misc]
    """Knows the models that were served, so that one unloaded through KServe's repository API can be loaded again."""

    def __init__(self) -> None:
        super().__init__()
        self._served: dict[str, RunwrightModel] = {}

    def update(self, model: RunwrightModel, name: str | None = None) -> None:
        super().update(model, name)
        self._served[name or model.name] = model

    def load(self, name: str) -> bool:
        model = self._served[name]
        model.load()
        self.update(model, name)
        return bool(model.ready)


class ReadyDataPlane(DataPlane):  # type: ignore[misc]
    """KServe's data plane, whose server is ready only while every model of it is."""

    async def ready(self) -> bool:
        models = list(self.model_registry.get_models())
        return bool(models) and all([await self.model_registry.is_model_ready(name) for name in models])


class RunwrightServer(ModelServer):  # type: ignore[misc]
    """KServe's ModelServer with the prediction front, on a given address, on uvloop where that is installed."""

    def __init__(self, options: ServeOptions, on_ready: Callable[[int], None]) -> None:
        super().__init__(
            http_port=options.port,
            grpc_port=options.grpc_port or 0,
            enable_grpc=options.grpc_port is not None,
            enable_docs_url=False,
            enable_latency_logging=False,
            registered_models=Repository(),
            grace_period=options.grace_seconds,
        )
        self.options = options
        self.dataplane = ReadyDataPlane(model_registry=self.registered_models)
        self._on_ready = on_ready
        self._metrics = ServerMetrics()

    def start(self, models: list[RunwrightModel]) -> None:
        """Serve until SIGTERM or SIGINT; requests in flight are answered first. Raises StageError for a taken port."""
        self._register_and_check_atleast_one_model_is_ready(models)
        for model in models:
            if model.predictor is not None:
                self._metrics.serves(model.name, model.predictor)
        rest = RESTServer(
            "kserve.model_server:app",
            self.dataplane,
            self.model_repository_extension,
            self.http_port,
            grace_period=self.grace_period,
            timeout_keep_alive=self.timeout_keep_alive,
        )
        asked = self.options.prediction_log
        predictions = None if asked is None else PredictionLog(asked, self._metrics)
        front = PredictionFront(
            kserve_app,
            self.registered_models,
            self._metrics,
            body_limit=self.options.max_body_bytes,
            access_log=self.options.access_log,
            prediction_log=predictions,
        )
        rest.config.app = draining = Draining(front, seconds=self.options.drain_seconds)
        rest.config.access_log = False
        kserve_app.router.routes[:] = [route for route in kserve_app.router.routes if route not in _pages()]
        self._rest_server = rest
        # Uvicorn raises a signal again when it has shut down; by then there is nothing left to do.
        draining.leave = rest._server.handle_exit
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, draining.leave)
        rest._server.handle_exit = draining.asked_to_end
        try:
            with asyncio.Runner(loop_factory=rest.config.get_loop_factory()) as runner:
                runner.run(self._serve_all(rest))
        finally:
            if predictions is not None:
                predictions.close()

    async def _serve_all(self, rest: RESTServer) -> None:
        """Run the servers of the asked protocols on one bound socket each."""
        listening = _bind(self.options.host, self.http_port)
        rest.create_application()
        tasks = [asyncio.ensure_future(rest._server.serve(sockets=[listening]))]
        if self.enable_grpc:
            tasks.append(asyncio.ensure_future(self._serve_grpc()))
        announce = asyncio.ensure_future(self._announce(rest, listening.getsockname()[1]))
        try:
            await tasks[0]
        finally:
            announce.cancel()
            if self._grpc_server is not None:
                await self._grpc_server.stop(None)
            for task in tasks[1:]:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _serve_grpc(self) -> None:
        from kserve.model_server import args
        from kserve.protocol.grpc.server import GRPCServer

        self._grpc_server = GRPCServer(
            self.grpc_port,
            self.dataplane,
            self.model_repository_extension,
            kwargs=vars(args),
            grace_period=self.grace_period,
        )
        await self._grpc_server.start(self.max_threads)

    async def _announce(self, rest: RESTServer, port: int) -> None:
        while not rest._server.started:
            await asyncio.sleep(0.005)
        self._on_ready(port)


def _pages() -> list[object]:
    """FastAPI's description of itself, which is for developers."""
    return [route for route in kserve_app.router.routes if getattr(route, "path", "") == kserve_app.openapi_url]


def serve(
    folder: Path,
    name: str | None = None,
    *,
    options: ServeOptions | None = None,
    on_ready: Callable[[int, RunwrightModel], None] = lambda _port, _model: None,
) -> None:
    """Serve the package in `folder` until the process is asked to stop.

    The port opens when the package is verified, loaded and warmed up; then `on_ready` gets it. Raises StageError.
    """
    options = options or ServeOptions()
    quiet_logging()
    model = RunwrightModel(name or "", folder, threads=options.threads, limits=Limits(rows=options.max_rows))
    model.load()
    RunwrightServer(options, lambda port: on_ready(port, model)).start([model])


def quiet_logging() -> None:
    """Warnings and errors on stderr; KServe's lines for every refused request and start-up step are left out."""
    config: dict[str, Any] = {**KSERVE_LOG_CONFIG, "loggers": {}}
    for logger, level in (("kserve", "CRITICAL"), ("kserve.trace", "CRITICAL"), ("uvicorn", "WARNING")):
        config["loggers"][logger] = {"handlers": ["kserve"], "level": level, "propagate": False}
    config["loggers"]["runwright.serve"] = {"handlers": ["kserve"], "level": "INFO", "propagate": False}
    config["loggers"]["runwright.access"] = {"handlers": ["access"], "level": "INFO", "propagate": False}
    config["formatters"] = {**config["formatters"], "line": {"format": "%(message)s"}}
    config["handlers"] = {
        **config["handlers"],
        "access": {"formatter": "line", "class": "logging.StreamHandler", "stream": "ext://sys.stderr"},
    }
    configure_logging(config)
    logging.captureWarnings(capture=True)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise StageError(
            Reason.INVALID_CONFIG,
            f"cannot listen there: {error.strerror or error}",
            where=f"{host}:{port}",
            cure="choose another port with --port; --port 0 takes a free one",
        ) from error
    listening.setblocking(False)
    return listening
