"""The platform specification with the Secrets of a pipeline's steps, as the server takes and answers it."""

from __future__ import annotations

import asyncio

from runwright_api.loading import load_object
from runwright_operator.adapters.pipelines import PipelineRunSeen, Pipelines
from runwright_pipelines.compiling import pipeline_spec
from runwright_pipelines.secrets import with_secrets
from tests.contract.conftest import Kfp


def test_a_pipeline_with_secrets_is_taken_and_names_them_only(kfp: Kfp) -> None:
    run = load_object(
        {
            "apiVersion": "runwright.dev/v1alpha1",
            "kind": "TrainingRun",
            "metadata": {"name": "churn"},
            "spec": {
                "data": {"sources": [{"s3": {"uri": "s3://data/churn.csv", "secretRef": {"name": "source"}}}]},
                "prepare": {"target": "y"},
                "train": {"task": "tabular-classification"},
            },
        }
    )
    handed = with_secrets(pipeline_spec(run), run, "storage")

    async def create() -> PipelineRunSeen:
        pipelines = Pipelines(kfp.settings())
        try:
            made = await pipelines.create(
                kfp.namespace,
                name="secrets",
                experiment="secrets",
                spec=handed,
                parameters={},
                service_account=kfp.service_account,
                description="",
            )
            await pipelines.terminate(made.id)
            return made
        finally:
            await pipelines.close()

    made = asyncio.run(create())
    with kfp.sdk() as client:
        answer = client.call_api(
            f"/apis/v2beta1/runs/{made.id}", "GET", response_type="object", _return_http_data_only=True
        )
    executors = answer["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["exec-data"]["secretAsEnv"][0]["secretName"] == "source"
    assert executors["exec-model"]["secretAsEnv"][0]["secretName"] == "storage"
