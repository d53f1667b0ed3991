"""Links of a task's page: to the Kubeflow run that made the revision, and to what serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

PIPELINE = "pipeline_url"
SERVICE = "serving_url"
"""XComs that the links read."""


class PipelineLink(BaseOperatorLink):
    """The run in the Kubeflow dashboard."""

    name = "Kubeflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 (Airflow's signature)
        return XCom.get_value(ti_key=ti_key, key=PIPELINE) or ""


class ServiceLink(BaseOperatorLink):
    """The address that answers."""

    name = "Served model"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 (Airflow's signature)
        return XCom.get_value(ti_key=ti_key, key=SERVICE) or ""
