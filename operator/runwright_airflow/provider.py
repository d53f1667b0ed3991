"""What Airflow asks an installed provider about (entry point `apache_airflow_provider`)."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata, after Airflow's provider_info.schema.json."""
    return {
        "package-name": "runwright",
        "name": "Runwright",
        "description": "Starts a TrainingRun of Runwright and waits for its model.",
        "integrations": [{"integration-name": "Runwright", "tags": ["software"]}],
        "operators": [{"integration-name": "Runwright", "python-modules": ["runwright_airflow.operators"]}],
        "sensors": [{"integration-name": "Runwright", "python-modules": ["runwright_airflow.sensors"]}],
        "triggers": [{"integration-name": "Runwright", "python-modules": ["runwright_airflow.triggers"]}],
        "extra-links": ["runwright_airflow.links.PipelineLink", "runwright_airflow.links.ServiceLink"],
    }
