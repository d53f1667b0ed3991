"""The DAGs of the tests: one task that trains or waits, and one that reads what it gave."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from runwright_airflow.operators import TrainingRunOperator
from runwright_airflow.sensors import TrainingRunSensor

WHERE = {
    "namespace": "{{ dag_run.conf['namespace'] }}",
    "config_file": "{{ dag_run.conf['kubeconfig'] }}",
}
WAITS = {"name": "penguins", "poke_interval": 0.2, **WHERE}
SOON = timedelta(seconds=3)


def tell(context: Any) -> None:
    """Keep why the task failed where the test can read it."""
    error = context["exception"]
    context["ti"].xcom_push("why", f"{type(error).__name__}: {error}")


@task
def reads(uri: str) -> str:
    """What comes after a training."""
    return f"would score with {uri}"


def dag(dag_id: str, operator: type[Any], **arguments: Any) -> DAG:
    with DAG(dag_id, schedule=None, catchup=False, default_args={"on_failure_callback": tell}) as made:
        trains = operator(task_id="trains", **arguments)
        reads.override(task_id="reads")(trains.output["model_uri"])
    return made


file = {"manifest": "penguins.yaml", **WHERE}
text = {"manifest": "{{ dag_run.conf['manifest'] }}", **WHERE}
waits = dag("waits", TrainingRunOperator, deferrable=False, **file)
defers = dag("defers", TrainingRunOperator, deferrable=True, **file)
retrains = dag("retrains", TrainingRunOperator, retrain=True, deferrable=True, **file)
tries = dag("tries", TrainingRunOperator, retries=1, retry_delay=timedelta(0), deferrable=True, **file)
takes = dag("takes", TrainingRunOperator, **text)
leaves = dag("leaves", TrainingRunOperator, wait_for_completion=False, **file)
hurries = dag("hurries", TrainingRunOperator, deferrable=True, execution_timeout=SOON, **file)
pokes = dag("pokes", TrainingRunSensor, deferrable=False, **WAITS)
watches = dag("watches", TrainingRunSensor, deferrable=True, **WAITS)
connects = dag("connects", TrainingRunSensor, deferrable=True, name="penguins", kubernetes_conn_id="zoo")
