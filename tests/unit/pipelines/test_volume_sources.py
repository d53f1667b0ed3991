"""A claim as a source: mounted in the pod of the step that reads it, and nowhere else."""

from __future__ import annotations

from runwright_operator.reading import read_run
from runwright_pipelines.compiling import pipeline_spec
from runwright_pipelines.lowering import lower
from runwright_pipelines.secrets import with_secrets

from .test_sql_sources import raw, run

SALES = {"claimName": "sales", "path": "2026/*.csv"}


def test_the_stage_is_told_where_it_is_mounted() -> None:
    whole, part = lower(run({"name": "a", "pvc": {"claimName": "all"}}, {"name": "b", "pvc": SALES})).collect.sources
    assert (whole.uri, whole.volume) == ("/runwright/volumes/all", "/runwright/volumes/all")
    assert (part.uri, part.volume) == ("/runwright/volumes/sales/2026/*.csv", "/runwright/volumes/sales")


def test_the_step_that_reads_mounts_each_claim_once() -> None:
    made = run(
        {"name": "a", "pvc": SALES},
        {"name": "b", "pvc": {"claimName": "sales", "path": "2025.csv"}},
        {"name": "c", "pvc": {"claimName": "shops"}},
    )
    handed = with_secrets(pipeline_spec(made), made, None)
    executors = handed["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors == {
        "exec-data": {
            "pvcMount": [
                {
                    "constant": claim,
                    "pvcNameParameter": {"runtimeValue": {"constant": claim}},
                    "mountPath": f"/runwright/volumes/{claim}",
                }
                for claim in ("sales", "shops")
            ]
        }
    }


def test_a_pod_can_read_it() -> None:
    seen, told = read_run(raw({"pvc": SALES}), missing=())
    assert seen is not None
    assert not told
