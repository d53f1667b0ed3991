"""Wait for a TrainingRun that somebody else starts: GitOps, a CronJob, the operator itself on new data."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowException, AirflowSensorTimeout

from runwright_airflow.access import Access
from runwright_airflow.ends import End, end_of
from runwright_airflow.links import PipelineLink, ServiceLink
from runwright_airflow.operators import failure, told
from runwright_airflow.triggers import TrainingRunTrigger
from runwright_cli.cluster.errors import AwayError
from runwright_cli.cluster.stages import Wanted

if TYPE_CHECKING:
    from airflow.sdk import Context


class TrainingRunSensor(BaseSensorOperator):
    """Wait until a TrainingRun is Ready for the spec it has; with `after`, until a revision newer than that one is.

    It fails with the reason where the TrainingRun failed, was rejected by the gate, or does not exist.
    """

    template_fields: Sequence[str] = (
        "name",
        "namespace",
        "after",
        "kubernetes_conn_id",
        "config_file",
        "cluster_context",
    )
    operator_extra_links = (PipelineLink(), ServiceLink())

    def __init__(
        self,
        *,
        name: str,
        namespace: str | None = None,
        after: int | str | None = None,
        kubernetes_conn_id: str | None = None,
        config_file: str | None = None,
        cluster_context: str | None = None,
        deferrable: bool | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(**{"multiple_outputs": True, **arguments})
        self.name = name
        self.namespace = namespace
        self.after = after
        self.kubernetes_conn_id = kubernetes_conn_id
        self.config_file = config_file
        self.cluster_context = cluster_context
        default = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = default if deferrable is None else deferrable

    def execute(self, context: Context) -> Any:
        """Poke in this worker, or watch in the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        with told():
            cluster = self._access().cluster()
            found = cluster.get(self.name)
            wanted = self._wanted(found)
        return self.defer(
            trigger=TrainingRunTrigger(
                name=self.name,
                access=asdict(self._access().within(cluster.namespace)),
                generation=wanted.generation,
                after=wanted.after,
                deadline=time.time() + self.timeout,
            ),
            method_name="execute_complete",
        )

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 (Airflow's signature)
        """Look once."""
        with told():
            try:
                found = self._access().cluster().get(self.name)
            except AwayError as error:
                self.log.warning("%s", error.render())
                return PokeReturnValue(False)
            end = end_of(found, self._wanted(found))
        return PokeReturnValue(False) if end is None else PokeReturnValue(True, _result(end))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:  # noqa: ARG002 (Airflow's signature)
        """Go on with what the trigger saw."""
        return _result(End(**event))

    def _access(self) -> Access:
        return Access(self.kubernetes_conn_id, self.config_file, self.cluster_context, self.namespace)

    def _wanted(self, content: dict[str, Any]) -> Wanted:
        if self.after is not None and not str(self.after).isdecimal():
            raise AirflowException(f"after is {self.after!r}, which is no revision's number")
        after = None if self.after is None else int(self.after)
        return Wanted(generation=int(content["metadata"].get("generation", 0)), after=after)


def _result(end: End) -> dict[str, Any]:
    if end.timed_out:
        raise AirflowSensorTimeout(end.message)
    if not end.ready:
        raise failure(end)
    return end.result
