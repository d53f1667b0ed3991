"""`runwright watch`: through an API server that is away, until Ctrl-C, until the object is gone."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from tests.cluster.cli.commands import KIND, SERVING, UNDER_WAY, Cli, Running
from tests.cluster.tier.api import Api
from tests.cluster.tier.processes import Process
from tests.cluster.waiting import eventually
from tests.doubles.runs.objects import NAME, revision, status


def test_watch_outlives_the_api_server(
    cli: Cli,
    started: Callable[..., Running],
    file: Callable[..., str],
    put: Callable[[dict[str, Any]], None],
    processes: dict[str, Process],
) -> None:
    cli("submit", file())
    put(status(revision(1, "Running"), conditions=list(UNDER_WAY)))
    running = started("watch", NAME)
    running.until("Running")
    processes["kube-apiserver"].stop()
    running.until("trying again")
    processes["kube-apiserver"].start()
    running.until("the API server is back", 60)
    put(status(revision(1), serving=1, conditions=list(SERVING)))
    running.until("it serves")
    assert running.ended() == 0


def test_watch_ends_with_ctrl_c_and_with_the_object(
    cli: Cli, started: Callable[..., Running], file: Callable[..., str], api: Api, namespace: str
) -> None:
    cli("submit", file())
    forever, first = started("watch", NAME, "--forever"), started("watch", NAME)
    eventually(lambda: all(one.process.poll() is None for one in (forever, first)), 5)
    api.merge(*KIND, NAME, {"status": status(revision(1, "Running"))}, namespace, subresource="status")
    first.until("Running")
    forever.until("Running")
    first.process.send_signal(signal.SIGINT)
    assert first.ended() == 130
    api.delete(*KIND, NAME, namespace)
    forever.until("was deleted")
    assert forever.ended() == 1
