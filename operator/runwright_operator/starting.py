"""Puts the parts together as the settings say."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from datetime import UTC, datetime

from runwright_operator import logs
from runwright_operator.adapters.access import Access, AccessError
from runwright_operator.adapters.kubernetes import ApiError, Kubernetes
from runwright_operator.adapters.pipelines import Pipelines, PipelinesError, PipelinesSettings
from runwright_operator.events import Events
from runwright_operator.lease import LeaseLost
from runwright_operator.reconcile import Reconciler
from runwright_operator.running import Operator
from runwright_operator.settings import Settings

log = logging.getLogger("runwright_operator")

STOPPED, FAILED, ENDED = 0, 1, 3


def start(settings: Settings) -> int:
    """Run until told to stop; the exit code."""
    try:
        operator = Operator(settings, Access(), pipelines_settings(settings), assemble=reconciler_of, end=_end)
        gc.freeze()  # what is imported stays; the collector need not look at it again and again
        asyncio.run(operator.run())
    except AccessError as error:
        log.error("%s", error)
        return FAILED
    except LeaseLost as error:
        log.error("the lease is lost: %s", error)
        return ENDED
    except OSError as error:
        log.error("cannot listen on port %d: %s; set RUNWRIGHT_HTTP_PORT", settings.http_port, error)
        return FAILED
    log.info("stopped")
    return STOPPED


def check(settings: Settings) -> int:
    """Ask the API server and Kubeflow Pipelines for their versions; the exit code."""
    try:
        return asyncio.run(_check(settings))
    except AccessError as error:
        log.error("%s", error)
        return FAILED


async def _check(settings: Settings) -> int:
    kubernetes, pipelines = Kubernetes(Access()), Pipelines(pipelines_settings(settings))
    code = STOPPED
    try:
        log.info("API server: %s", await kubernetes.version())
    except ApiError as error:
        log.error("API server: %s", error)
        code = FAILED
    try:
        log.info("Kubeflow Pipelines at %s: %s", settings.pipelines_endpoint, await pipelines.check())
    except PipelinesError as error:
        log.error("Kubeflow Pipelines at %s: %s", settings.pipelines_endpoint, error)
        code = FAILED
    await kubernetes.close()
    return code


def pipelines_settings(settings: Settings) -> PipelinesSettings:
    return PipelinesSettings(
        endpoint=settings.pipelines_endpoint,
        token_file=settings.pipelines_token_file,
        ca_file=settings.pipelines_ca_file,
        multi_user=settings.pipelines_multi_user,
        ui_url=settings.pipelines_page,
        timeout_seconds=settings.pipelines_timeout_seconds,
    )


def reconciler_of(operator: Operator) -> Reconciler:
    """The reconciler over the operator's parts."""
    return Reconciler(
        kubernetes=operator.kubernetes,
        pipelines=operator.pipelines,
        index=operator.index,
        events=Events(operator.kubernetes, instance=operator.settings.pod_name),
        metrics=operator.metrics,
        settings=operator.settings,
        clock=lambda: datetime.now(UTC),
    )


def _end(why: str) -> None:
    """The process cannot mend itself: whoever started it starts it again."""
    log.error("ending at once: %s", why)
    logs.flush()
    os._exit(ENDED)
