"""The tier's processes can be stopped, killed and paused, and the cluster comes back with what it knew."""

from __future__ import annotations

import pytest
from urllib3.exceptions import HTTPError

from tests.cluster.tier.api import Api, Refused
from tests.cluster.tier.processes import Process
from tests.cluster.waiting import eventually

AWAY = (HTTPError, Refused)


def _answers(api: Api) -> bool:
    try:
        return bool(api.request("GET", "/readyz") == "ok")
    except AWAY:
        return False


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_the_api_server_comes_back_with_what_it_knew(
    api: Api, namespace: str, processes: dict[str, Process], how: str
) -> None:
    server = processes["kube-apiserver"]
    before = api.get("v1", "Namespace", namespace)["metadata"]["uid"]
    server.stop(grace=2) if how == "stop" else server.kill()
    assert not server.running
    assert not _answers(api)
    server.start()
    assert api.get("v1", "Namespace", namespace)["metadata"]["uid"] == before


def test_a_paused_api_server_neither_answers_nor_hangs_up(api: Api, processes: dict[str, Process]) -> None:
    server = processes["kube-apiserver"]
    pid = server.pid
    server.pause()
    try:
        with pytest.raises(HTTPError):
            api.request("GET", "/readyz", timeout=1.0)
    finally:
        server.resume()
    eventually(lambda: _answers(api), 10)
    assert server.pid == pid


def test_etcd_comes_back(api: Api, namespace: str, processes: dict[str, Process]) -> None:
    processes["etcd"].kill()
    processes["etcd"].start()
    eventually(lambda: api.find("v1", "Namespace", namespace), 30)
