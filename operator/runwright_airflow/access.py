"""Which cluster, and with whose rights: what is given to a task, or an Airflow connection of the type `kubernetes`."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow.sdk import BaseHook

from runwright_cli.cluster.client import Cluster
from runwright_cli.cluster.connection import Connection, Target, connect

FIELD_MANAGER = "runwright-airflow"


@dataclass(frozen=True)
class Access:
    """What is not given is taken from the connection, then from the worker's kubeconfig or its pod's account."""

    conn_id: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None

    def cluster(self) -> Cluster:
        """Raises ClusterError."""
        extras = BaseHook.get_connection(self.conn_id).extra_dejson if self.conn_id else {}
        return Cluster(self._connection(extras), FIELD_MANAGER)

    async def connection(self) -> Connection:
        """The same for a triggerer, whose loop a kubeconfig that asks a program for a token must not hold up."""
        extras = (await BaseHook.aget_connection(self.conn_id)).extra_dejson if self.conn_id else {}
        return await asyncio.to_thread(self._connection, extras)

    def within(self, namespace: str | None) -> Access:
        return replace(self, namespace=namespace or self.namespace)

    def _connection(self, extras: Mapping[str, Any]) -> Connection:
        target = Target(
            kubeconfig=self.kubeconfig or extras.get("kube_config_path"),
            context=self.context or extras.get("cluster_context"),
            namespace=self.namespace or extras.get("namespace"),
        )
        written = extras.get("kube_config")
        if not written or self.kubeconfig:
            return connect(target)
        with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig") as file:  # readable by its owner alone
            file.write(written if isinstance(written, str) else json.dumps(written))
            file.flush()
            return connect(replace(target, kubeconfig=file.name))
