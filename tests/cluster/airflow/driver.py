"""Runs DAGs in Airflow's own Python; one line of JSON asks, one answers, with the same number.

{"dag": "waits", "conf": {...}}    run the DAG as `airflow dags test` does
{"call": "providers"}              what Airflow found of the provider
{"kill": {...}}                    `on_kill` of a trigger of these arguments
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.models.xcom import XComModel
from airflow.providers_manager import ProvidersManager
from airflow.utils.session import create_session

from runwright_airflow.triggers import TrainingRunTrigger


def run(name: str, conf: dict[str, Any]) -> dict[str, Any]:
    """The states of the DAG's tasks, and their XComs."""
    dag = DAGS.get_dag(name)
    ended = dag.test(run_conf=conf)
    with create_session() as session:
        rows = session.query(XComModel).filter(XComModel.run_id == ended.run_id, XComModel.dag_id == name)
        xcoms = {f"{row.task_id}.{row.key}": XComModel.deserialize_value(row) for row in rows}
        tasks = {one.task_id: str(one.state) for one in ended.get_task_instances(session=session)}
    return {"state": str(ended.state), "tasks": tasks, "xcoms": xcoms, "run_id": ended.run_id}


def providers() -> dict[str, Any]:
    """What Airflow knows of ours."""
    manager = ProvidersManager()
    links = sorted(link for link in manager.extra_links_class_names if link.startswith("runwright"))
    return {
        "data": manager.providers["runwright"].data,
        "version": manager.providers["runwright"].version,
        "links": links,
    }


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    if "dag" in asked:
        return run(asked["dag"], asked["conf"])
    if "kill" in asked:
        asyncio.run(TrainingRunTrigger(**asked["kill"]).on_kill())
        return {}
    return providers()


def main() -> None:
    """Until standard input ends. What Airflow prints goes to standard error."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    global DAGS
    DAGS = DagBag()
    print(json.dumps({"number": 0, "problems": DAGS.import_errors}), file=out)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps({**answer(asked), "number": asked["number"]}, default=str), file=out)


if __name__ == "__main__":
    main()
