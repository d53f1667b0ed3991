"""Steps in a cluster: each keeps a record of its stage, and a rejected model goes on as far as the registry."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runwright_components import steps
from runwright_components.cluster.records import read_record
from runwright_components.contract.artifacts import PackageManifest, Registration
from runwright_components.contract.cluster import ClusterRun, StageRecord, StorageConfig
from runwright_components.contract.config import CollectConfig, DeployConfig, RegisterConfig, Source
from runwright_components.contract.files import files_digest, folder_files
from runwright_components.contract.outcome import ExitCode, Reason, StageError
from runwright_components.contract.progress import PROGRESS_ENV
from runwright_components.contract.step import execute
from runwright_components.steps import clustered
from runwright_components.steps.running import running
from runwright_components.steps.surroundings import in_cluster, surroundings
from tests.doubles.kubernetes_api import KubernetesApi

from .conftest import RECORD_PATH, RUN_ID


def _record(api: KubernetesApi, stage: str) -> StageRecord:
    found = read_record(api.objects[RECORD_PATH], stage)
    assert found is not None
    return found


def _artifact(path: Path) -> Any:
    return SimpleNamespace(path=str(path), uri=f"file://{path}", metadata={})


def _package(folder: Path) -> PackageManifest:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"onnx")
    files = folder_files(folder)
    manifest = PackageManifest(
        digest=files_digest(files),
        name="churn",
        model_digest="sha256:model",
        task="classification",
        modality="tabular",
        files=files,
    )
    manifest.write(folder)
    return manifest


def test_a_body_finds_its_cluster_for_as_long_as_it_runs(run: ClusterRun) -> None:
    assert in_cluster() is None
    with surroundings("", ""):
        assert in_cluster() is None
    with steps.surroundings(run.canonical(), RUN_ID):
        here = in_cluster()
        assert here is not None
        assert (here.run, here.run_id) == (run, RUN_ID)
    assert in_cluster() is None


def test_nonsense_in_place_of_a_cluster_is_refused() -> None:
    with pytest.raises(StageError) as caught, surroundings("{}", RUN_ID):
        pass
    assert caught.value.reason is Reason.INVALID_CONFIG


def test_a_stage_is_recorded_from_start_to_end(run: ClusterRun, api: KubernetesApi) -> None:
    with surroundings(run.canonical(), RUN_ID), running("evaluate", None) as ending:
        assert _record(api, "evaluate").state == "running"
        ending.result = {"verdict": "passed"}
    assert (_record(api, "evaluate").state, _record(api, "evaluate").result) == ("succeeded", {"verdict": "passed"})


def test_a_defect_is_recorded_with_the_end_of_its_trace(run: ClusterRun, api: KubernetesApi) -> None:
    with pytest.raises(SystemExit), surroundings(run.canonical(), RUN_ID), running("prepare", None):
        raise ZeroDivisionError("as in user code")
    fault = _record(api, "prepare").fault
    assert fault is not None
    assert (fault.reason, fault.exit_code) == ("InternalError", 1)
    assert "ZeroDivisionError: as in user code" in fault.log[-1]


def test_a_stage_that_failed_by_its_own_word_is_not_done_again(run: ClusterRun, api: KubernetesApi) -> None:
    error = StageError(Reason.SOURCE_NOT_FOUND, "no such file")
    for begun in (True, False):
        done = False
        with pytest.raises(SystemExit) as caught, surroundings(run.canonical(), RUN_ID), running("collect", None):
            done = True
            raise error
        assert done == begun
        assert caught.value.code == error.exit_code
    assert _record(api, "collect").fault is not None
    with surroundings(run.canonical(), "the-next-attempt"), running("collect", None):
        done = True
    assert done, "another KFP run is another attempt"


def test_a_step_that_may_not_read_its_records_says_so(
    run: ClusterRun,
    api: KubernetesApi,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    events = tmp_path / "events.jsonl"
    monkeypatch.setenv(PROGRESS_ENV, str(events))
    api.failures = [403] * 10
    with pytest.raises(SystemExit) as caught, surroundings(run.canonical(), RUN_ID), running("collect", None):
        raise AssertionError("it does not begin")
    assert caught.value.code == ExitCode.USER
    (told,) = map(json.loads, events.read_text().splitlines())
    assert (told["kind"], told["error"]["reason"]) == ("failed", Reason.SOURCE_DENIED)
    assert "the failure was not recorded" in capsys.readouterr().err


def test_a_pod_that_is_told_to_end_says_nothing_of_the_stage(run: ClusterRun, api: KubernetesApi) -> None:
    with pytest.raises(SystemExit) as caught, surroundings(run.canonical(), RUN_ID), running("collect", None):
        raise KeyboardInterrupt
    assert caught.value.code == ExitCode.CANCELLED
    assert _record(api, "collect").state == "running"


def test_a_step_of_the_pipeline_records_why_it_failed(run: ClusterRun, api: KubernetesApi, tmp_path: Path) -> None:
    config = CollectConfig(sources=(Source(name="s", uri="missing.csv"),))
    with pytest.raises(SystemExit) as caught:
        execute(
            "collect",
            cluster=run.canonical(),
            run_id=RUN_ID,
            config=config.canonical(),
            base=str(tmp_path),
            raw_data=_artifact(tmp_path / "raw"),
        )
    record = _record(api, "collect")
    assert record.fault is not None
    assert (caught.value.code, record.state, record.fault.reason) == (10, "failed", "SourceNotFound")


def test_a_rejected_model_is_registered_but_not_deployed(run: ClusterRun, api: KubernetesApi, tmp_path: Path) -> None:
    manifest = _package(tmp_path / "package")
    registration = _artifact(tmp_path / "registration.json")
    given = {"cluster": run.canonical(), "run_id": RUN_ID, "verdict": "rejected"}
    execute(
        "register",
        **given,
        config=RegisterConfig(name="churn", uri=f"file://{tmp_path}/registry").canonical(),
        base=str(tmp_path),
        package=_artifact(tmp_path / "package"),
        registration=registration,
    )
    written = Registration.read(tmp_path, "registration.json")
    assert _record(api, "register").result == {
        "uri": written.uri,
        "version": 1,
        "digest": manifest.digest,
        "model_digest": "sha256:model",
    }
    deployment = _artifact(tmp_path / "deployment.json")
    config = DeployConfig(name="churn", mode="Standard").canonical()
    execute("deploy", **given, config=config, registration=registration, deployment=deployment)
    assert _record(api, "deploy").state == "skipped"
    assert not [write for write in api.writes() if "inferenceservices" in write[1]]


def test_a_revision_that_is_not_to_be_deployed_is_skipped(run: ClusterRun, api: KubernetesApi, tmp_path: Path) -> None:
    pinned = run.model_copy(update={"service": None})
    execute(
        "deploy",
        cluster=pinned.canonical(),
        run_id=RUN_ID,
        config=DeployConfig(name="churn", mode="Standard").canonical(),
        verdict="passed",
        registration=_artifact(tmp_path / "registration.json"),
        deployment=_artifact(tmp_path / "deployment.json"),
    )
    assert _record(api, "deploy").state == "skipped"
    assert not (tmp_path / "deployment.json").exists()


def test_packages_go_to_the_store_that_the_storage_is_in(run: ClusterRun) -> None:
    storage = StorageConfig(uri="s3://models/team", endpoint="http://seaweedfs.kubeflow:9000", region="eu-west-1")
    stored = run.model_copy(update={"storage": storage})
    config = RegisterConfig(name="churn", uri="s3://models/team/registry")
    assert clustered.in_storage(config) == config
    with surroundings(stored.canonical(), RUN_ID):
        found = clustered.in_storage(config)
        assert (found.uri, found.endpoint, found.region) == (config.uri, storage.endpoint, storage.region)
        own = config.model_copy(update={"endpoint": "https://s3.example.com", "region": "eu-north-1"})
        assert clustered.in_storage(own) == own
