"""Apply a TrainingRun and wait for its model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from runwright_airflow.access import Access
from runwright_airflow.ends import End, end_of, request, result_of, to_cancel, token_of
from runwright_airflow.links import PIPELINE, SERVICE, PipelineLink, ServiceLink
from runwright_airflow.manifests import Written, written
from runwright_airflow.triggers import TrainingRunTrigger
from runwright_api.names import ANNOTATION_CANCEL, ANNOTATION_RETRAIN
from runwright_api.problems import SpecError
from runwright_cli.cluster.applying import asked_of, expect
from runwright_cli.cluster.client import Cluster, Object
from runwright_cli.cluster.errors import AwayError, ClusterError
from runwright_cli.cluster.follow import Deleted, Said, Seen, follow
from runwright_cli.cluster.plan import Effect, next_number
from runwright_cli.cluster.reading import status_of
from runwright_cli.cluster.stages import Wanted
from runwright_cli.cluster.watching import LineView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import Context


class TrainingRunOperator(BaseOperator):
    """Apply a TrainingRun by server-side apply, and wait until it is Ready or has failed.

    `manifest` is the TrainingRun: a mapping, a text of YAML, or the name of a `.yaml` file beside the DAG; it is a
    template. With `retrain`, each run of the DAG trains once although the recipe is the same, say on data that grew.
    What it gives (XCom) is `runwright_airflow.ends.result_of`, each key also an XCom of its own.
    """

    template_fields: Sequence[str] = ("manifest", "namespace", "kubernetes_conn_id", "config_file", "cluster_context")
    template_ext: Sequence[str] = (".yaml", ".yml")
    template_fields_renderers: ClassVar[dict[str, str]] = {"manifest": "yaml"}
    operator_extra_links = (PipelineLink(), ServiceLink())

    def __init__(
        self,
        *,
        manifest: Mapping[str, Any] | str,
        namespace: str | None = None,
        retrain: bool = False,
        wait_for_completion: bool = True,
        force_conflicts: bool = False,
        cancel_on_kill: bool = True,
        kubernetes_conn_id: str | None = None,
        config_file: str | None = None,
        cluster_context: str | None = None,
        deferrable: bool | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(**{"multiple_outputs": True, **arguments})
        self.manifest = manifest
        self.namespace = namespace
        self.retrain = retrain
        self.wait_for_completion = wait_for_completion
        self.force_conflicts = force_conflicts
        self.cancel_on_kill = cancel_on_kill
        self.kubernetes_conn_id = kubernetes_conn_id
        self.config_file = config_file
        self.cluster_context = cluster_context
        default = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = default if deferrable is None else deferrable
        self._waits: tuple[Cluster, str, Wanted] | None = None

    def execute(self, context: Context) -> Any:
        """Apply, and wait in this worker or in the triggerer."""
        with told():
            given = written(self.manifest)
            cluster, wanted, stored = self._applied(given, context)
            name = given.run.name
            self._waits = (cluster, name, wanted)
            if not self.wait_for_completion:
                return result_of(stored)
            if not self.deferrable:
                return self._ended(self._wait(cluster, name, wanted, context), context)
        seconds = self.execution_timeout.total_seconds() if self.execution_timeout else None
        return self.defer(
            trigger=TrainingRunTrigger(
                name=name,
                access=asdict(self._access().within(cluster.namespace)),
                generation=wanted.generation,
                after=wanted.after,
                deadline=None if seconds is None else time.time() + seconds,
                cancel_on_kill=self.cancel_on_kill,
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on with what the trigger saw."""
        return self._ended(End(**event), context)

    def on_kill(self) -> None:
        """Stop the revision that is waited for; what serves keeps serving."""
        if self._waits is None or not self.cancel_on_kill:
            return
        cluster, name, wanted = self._waits
        try:
            number = to_cancel(cluster.get(name), wanted)
            if number is not None:
                cluster.patch(name, {"metadata": {"annotations": {ANNOTATION_CANCEL: str(number)}}})
                self.log.info("revision %s of %s is being cancelled", number, name)
        except ClusterError as error:
            self.log.warning("cannot cancel %s: %s", name, error.render())

    def _access(self) -> Access:
        return Access(self.kubernetes_conn_id, self.config_file, self.cluster_context, self.namespace)

    def _applied(self, given: Written, context: Context) -> tuple[Cluster, Wanted, Object]:
        """Apply it, and ask for a training where one is due; the cluster, what to wait for, and the object."""
        access = self._access()
        question = asked_of(given.run, given.content, lambda own: access.within(own).cluster(), self.namespace)
        cluster, name = question.cluster, given.run.name
        expected = expect(question)
        for line in (*expected.plan.sentences, *expected.notes):
            self.log.info("%s", line)
        stored = cluster.apply(question.manifest, force=self.force_conflicts)
        status, after = status_of(stored), None
        token = None
        if Effect.TRAIN not in expected.plan.effects:
            token = self._request(status, context)
        if token is not None:
            after = next_number(status) - 1
            stored = cluster.patch(name, {"metadata": {"annotations": {ANNOTATION_RETRAIN: token}}})
            self.log.info("revision %s of %s trains: %s", after + 1, name, token)
        return cluster, Wanted(generation=int(stored["metadata"].get("generation", 0)), after=after), stored

    def _request(self, status: Any, context: Context) -> str | None:
        ti = context["ti"]
        token = token_of(ti.dag_id, ti.task_id, ti.run_id, *([str(ti.map_index)] if ti.map_index >= 0 else []))
        return request(status, token=token, retrain=self.retrain, attempt=ti.try_number)

    def _wait(self, cluster: Cluster, name: str, wanted: Wanted, context: Context) -> End:
        view, url = LineView(lambda line: self.log.info("%s", line)), None
        for news in follow(cluster, name):
            if isinstance(news, Seen):
                found = end_of(news.content, wanted)
                if found is not None:
                    return found
                view.take(news.content)
                url = self._link(result_of(news.content), url, context)
            elif isinstance(news, Said):
                self.log.warning("%s", news.text)
            elif isinstance(news, Deleted):
                break
        return End(False, f"{name} was deleted", lasting=True)

    def _link(self, result: Mapping[str, Any], known: str | None, context: Context) -> str | None:
        """Give the link to the Kubeflow run as soon as there is one."""
        url = result[PIPELINE]
        if url and url != known:
            context["ti"].xcom_push(PIPELINE, url)
        return url or known

    def _ended(self, end: End, context: Context) -> dict[str, Any]:
        if not end.ready:
            for key in (PIPELINE, SERVICE):
                if end.result.get(key):
                    context["ti"].xcom_push(key, end.result[key])
            raise failure(end)
        self.log.info("%s", end.message)
        return end.result


def failure(end: End) -> Exception:
    """What to raise: Airflow tries again unless that would end the same way."""
    kind: type[Exception] = AirflowFailException if end.lasting else AirflowException
    return kind(end.message)


@contextmanager
def told() -> Iterator[None]:
    """What is wrong with the TrainingRun or the cluster, in Airflow's exceptions."""
    try:
        yield
    except AwayError as error:
        raise AirflowException(error.render()) from error
    except (SpecError, ClusterError) as error:
        raise AirflowFailException(error.render()) from error
