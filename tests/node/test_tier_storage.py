"""The S3 server and its Service: from the machine, from pods, and when it is away."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import obstore
import pytest
from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]
from obstore.store import S3Store

from tests.cluster.tier.api import Api
from tests.cluster.tier.processes import Process
from tests.node.conftest import Node
from tests.node.pods import ended, pod
from tests.node.tier import s3

if TYPE_CHECKING:
    from obstore.store import S3Config  # for type checkers alone

Logs = Callable[..., str]


def test_objects_come_and_go(node: Node) -> None:
    client = node.s3.client()
    client.put_object(Bucket=s3.MODELS, Key="tier/one", Body=b"one")
    assert client.get_object(Bucket=s3.MODELS, Key="tier/one")["Body"].read() == b"one"
    assert {bucket["Name"] for bucket in client.list_buckets()["Buckets"]} == {s3.MODELS, s3.ARTIFACTS}
    client.delete_object(Bucket=s3.MODELS, Key="tier/one")


def test_our_own_client_puts_parts_and_refuses_to_overwrite(node: Node) -> None:
    """What packages and checkpoints stand on: parts, listings, and a put that only makes new objects."""
    store = S3Store(s3.MODELS, config=_config(node), client_options={"allow_http": True})
    large = bytes(range(256)) * (12 << 12)
    obstore.put(store, "tier/large", large, chunk_size=5 << 20, use_multipart=True)
    assert obstore.get(store, "tier/large").bytes() == large
    assert [found["path"] for found in obstore.list(store, "tier/").collect()] == ["tier/large"]
    obstore.put(store, "tier/new", b"1", mode="create")
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        obstore.put(store, "tier/new", b"2", mode="create")
    obstore.delete(store, ["tier/large", "tier/new"])


def test_a_pod_gets_through_the_service(node: Node, api: Api, namespace: str, busybox: str, logs: Logs) -> None:
    client = node.s3.client()
    client.put_object(Bucket=s3.ARTIFACTS, Key="tier/given", Body=b"given to a pod")
    inside = s3.S3("http://seaweedfs.kubeflow:9000", node.s3.key, node.s3.secret).client()
    url = inside.generate_presigned_url("get_object", Params={"Bucket": s3.ARTIFACTS, "Key": "tier/given"})
    api.create(pod("reader", namespace, busybox, "pause", "get", url))
    ended(api, namespace, "reader")
    assert logs(namespace, "reader") == "given to a pod"


def test_a_server_that_is_away_comes_back_with_what_it_had(node: Node, processes: dict[str, Process]) -> None:
    client = node.s3.client()
    client.put_object(Bucket=s3.MODELS, Key="tier/kept", Body=b"kept")
    processes["s3"].stop()
    with pytest.raises(BotoCoreError):
        client.get_object(Bucket=s3.MODELS, Key="tier/kept")
    processes["s3"].start()
    assert client.get_object(Bucket=s3.MODELS, Key="tier/kept")["Body"].read() == b"kept"
    client.delete_object(Bucket=s3.MODELS, Key="tier/kept")


def _config(node: Node) -> S3Config:
    return {
        "endpoint": node.s3.endpoint,
        "access_key_id": node.s3.key,
        "secret_access_key": node.s3.secret,
        "region": s3.REGION,
    }
