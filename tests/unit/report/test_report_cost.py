"""What a training cost, on the page and in the pipeline's metrics."""

import pytest

from runwright_components.contract.artifacts import HISTORY, Cost, History, ModelManifest
from runwright_components.report.model_view import training_view
from runwright_components.steps import metadata

ON_A_CPU = Cost(
    seconds=12.0, gpu_seconds=0.0, cpu_seconds=24.0, processes=2, samples=640, samples_per_second=80.0,
    peak_host_bytes=512_000_000,
)  # fmt: skip
ON_GPUS = ON_A_CPU.model_copy(
    update={
        "gpu_seconds": 96.0,
        "tokens": 10_000,
        "tokens_per_second": 1250.0,
        "mfu": 0.4152,
        "peak_gpu_bytes": 20_000_000_000,
        "energy_joules": 7_200_000.0,
        "restarts": 2,
    }
)


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        (None, {}),
        (ON_A_CPU, {"Processor time": "24 s", "Peak memory of a process": "0.51 GB"}),
        (
            ON_GPUS,
            {
                "Tokens": "1,250 tokens/s",
                "Use of the GPU's peak (MFU)": "41.5%",
                "Peak memory of a GPU": "20.00 GB",
                "Energy of the GPUs": "2.000 kWh",
                "Continued": "2 times",
            },
        ),
    ],
)
def test_the_page_tells_what_is_known(run, cost: Cost | None, expected: dict[str, str]) -> None:
    manifest = ModelManifest.read(run.model).model_copy(update={"cost": cost})
    facts = dict(training_view(manifest, History.read(run.model, HISTORY)).facts)
    assert {name: facts.get(name) for name in expected} == expected
    assert ("GPU time" in facts) == bool(cost and cost.gpu_seconds)
    assert ("Processor time" in facts) == (cost is not None)


def test_the_pipelines_metrics_hold_the_cost(run) -> None:
    manifest, history = ModelManifest.read(run.model), History.read(run.model, HISTORY)
    assert "cpu_seconds" not in metadata.training_metrics(manifest, history)
    told = metadata.training_metrics(manifest.model_copy(update={"cost": ON_GPUS}), history)
    assert (told["cpu_seconds"], told["mfu"], told["tokens_per_second"], told["restarts"]) == (24.0, 0.4152, 1250.0, 2)
    assert told["seconds"] == manifest.seconds
    assert "flops" not in told
