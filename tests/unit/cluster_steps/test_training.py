"""The train step against a small API, where the test plays the training operator and the queue."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runwright_components.cluster.backends import PyTorchJobHandle
from runwright_components.cluster.client import Kubernetes
from runwright_components.cluster.ending import ClusterError
from runwright_components.cluster.fence import Fence
from runwright_components.cluster.jobs import ownership
from runwright_components.cluster.manifests import pytorch_job
from runwright_components.cluster.records import RecordWriter, read_record
from runwright_components.cluster.storage import CHECKPOINTS, MODEL, PROGRESS, place, store_folder
from runwright_components.cluster.training import Follower, Pace, train_in_cluster
from runwright_components.contract.cluster import ClusterRun, JobConfig, StageFault, StageRecord
from runwright_components.contract.config import ModelConfig, TrainConfig
from runwright_components.contract.outcome import ExitCode, Reason, StageError
from runwright_components.contract.progress import Progress
from tests.doubles.kubernetes_api import KubernetesApi

from .conftest import JOB_PATH, RECORD_PATH, RUN_ID, RUN_PATH, FakeTime, training_run

CONFIG = TrainConfig(task="classification", modality="tabular", model=ModelConfig(name="mlp"))
PODS = "/api/v1/namespaces/team/pods"
EVENTS = "/api/v1/namespaces/team/events"
Script = list[Callable[[], None]]


class Stage:
    """One train step, its job's pods and a script: each call of `sleep` plays the next scene."""

    def __init__(self, api: KubernetesApi, kubernetes: Kubernetes, run: ClusterRun, clock: FakeTime) -> None:
        self.api, self.kubernetes, self.run, self.clock = api, kubernetes, run, clock
        self.script: Script = []
        self.jobs: list[str] = []  # uids of the jobs that there were

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        live = self.api.objects.get(JOB_PATH)
        if live is not None and live["metadata"]["uid"] not in self.jobs:
            self.jobs.append(live["metadata"]["uid"])
        if live is not None or not self.jobs:
            assert self.script, "the step waits for more than the script plays"
            self.script.pop(0)()

    def follow(self, *, run_id: str = RUN_ID, pace: Pace = Pace(restart=2.0)) -> StageRecord:
        """Follow to the end; the record that is stored then."""
        kubernetes = self.kubernetes
        record = RecordWriter(kubernetes, self.run, run_id=run_id, stage="train", clock=self.clock)
        handle = PyTorchJobHandle(kubernetes, self.run, run_id, config=CONFIG, prepared_uri="x")
        follower = Follower(
            handle,
            self.run,
            record=record,
            fence=Fence(kubernetes, self.run, run_id),
            progress=Progress("train", sink=record.heard, clock=self.clock),
            pace=pace,
            clock=self.clock,
            sleep=self.sleep,
        )
        follower.follow()
        return self.record()

    def fails(self, **options: Any) -> StageFault:
        with pytest.raises(ClusterError) as caught:
            self.follow(**options)
        assert caught.value.exit_code is ExitCode.USER
        return caught.value.fault

    def record(self) -> StageRecord:
        found = read_record(self.api.objects[RECORD_PATH], "train")
        assert found is not None
        return found

    # ------------------------------------------------------------ scenes

    def job(self, *conditions: str) -> Callable[[], None]:
        def play() -> None:
            live = self.api.objects[JOB_PATH]
            found = [{"type": kind, "status": "True"} for kind in conditions]
            self.api.put(JOB_PATH, {**live, "status": {"conditions": found}})

        return play

    def pod(self, name: str = "master-0", *, uid: str = "", **status: Any) -> Callable[[], None]:
        def play() -> None:
            owner = {"uid": self.api.objects[JOB_PATH]["metadata"]["uid"]}
            path = f"{PODS}/churn-r3-{name}"
            metadata: dict[str, Any] = {
                "labels": {"training.kubeflow.org/job-name": "churn-r3"},
                "ownerReferences": [owner],
                "uid": uid or f"pod-of-{owner['uid']}",
            }
            self.api.put(path, {"metadata": metadata, "status": status})

        return play

    def runs(self) -> Callable[[], None]:
        return _all(self.pod(phase="Running"), self.job("Created", "Running"))

    def ends(self, code: int, message: str = "") -> Callable[[], None]:
        terminated = {"exitCode": code, "reason": "Error", "message": message}
        status = {"name": "pytorch", "state": {"terminated": terminated}}
        return _all(self.pod(phase="Failed", containerStatuses=[status]), self.job("Created", "Running", "Failed"))

    def wait(self) -> None:
        """Nothing happens."""


def _all(*scenes: Callable[[], None]) -> Callable[[], None]:
    return lambda: [scene() for scene in scenes] and None


@pytest.fixture
def stage(api: KubernetesApi, kubernetes: Kubernetes, run: ClusterRun, clock: FakeTime) -> Stage:
    return Stage(api, kubernetes, run, clock)


def _with(stage: Stage, **changes: Any) -> Stage:
    job = JobConfig(image="registry.example/train:1", **changes)
    stage.run = stage.run.model_copy(update={"job": job})
    return stage


def test_a_training_that_goes_well(stage: Stage) -> None:
    _with(stage, gpus_per_node=2)
    stage.script = [stage.runs(), *[stage.wait] * 9, stage.job("Created", "Succeeded")]
    record = stage.follow()
    assert (record.failures, record.preemptions, record.gpu_seconds) == (0, 0, 20.0)
    live = stage.api.objects[JOB_PATH]
    assert live["metadata"]["annotations"]["runwright.dev/pipeline-run"] == RUN_ID
    assert live["spec"]["runPolicy"]["cleanPodPolicy"] == "All"
    assert len(stage.jobs) == 1


FOREIGN = {"helper_image": "registry.example/runwright-train:1"}


def test_a_command_without_us_has_trained_when_its_model_is_stored(stage: Stage, tmp_path: Path) -> None:
    _with(stage, **FOREIGN)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.onnx").write_text("graph")
    there = place(stage.run.storage).under(MODEL)
    stage.script = [stage.runs(), _all(lambda: store_folder(tmp_path / "model", there), stage.job("Succeeded"))]
    assert stage.follow().result["trained"]


def test_a_command_without_us_that_leaves_no_model_fails_by_the_sidecars_word(stage: Stage) -> None:
    _with(stage, **FOREIGN)
    said = '{"reason": "UserCodeError", "message": "left no model", "cure": "write one"}'
    end = {"name": "runwright", "state": {"terminated": {"exitCode": 10, "message": said}}}
    stage.script = [
        stage.runs(),
        _all(stage.pod(phase="Succeeded", initContainerStatuses=[end]), stage.job("Succeeded")),
    ]
    fault = stage.fails()
    assert (fault.reason, fault.message, fault.cure) == ("UserCodeError", "left no model", "write one")


def test_a_command_without_us_that_was_taken_away_starts_again(stage: Stage, tmp_path: Path) -> None:
    """Its pod may end well without a model, for it wrote its checkpoint in time; the next one is told of that."""
    _with(stage, **FOREIGN)
    (tmp_path / "step-7").mkdir()
    (tmp_path / "step-7" / "state").write_text("in time")
    storage = place(stage.run.storage)

    def go() -> None:
        store_folder(tmp_path / "step-7", storage.under(CHECKPOINTS).under("step-7"))
        del stage.api.objects[f"{PODS}/churn-r3-master-0"]

    def again() -> None:
        assert stage.api.objects[JOB_PATH]["metadata"]["uid"] == stage.jobs[-1]
        store_folder(tmp_path / "step-7", storage.under(MODEL))

    stage.script = [stage.runs(), _all(go, stage.job("Succeeded")), stage.runs(), _all(again, stage.job("Succeeded"))]
    record = stage.follow()
    assert (record.failures, record.preemptions, len(stage.jobs)) == (0, 1, 2)


def test_progress_comes_from_storage(stage: Stage) -> None:
    event = '{"time": 1, "stage": "train", "kind": "progress", "done": 30, "total": 60, "unit": "steps"}'
    place(stage.run.storage).write(PROGRESS, event.encode())
    seen: list[int | None] = []
    stage.script = [
        stage.runs(),
        *[stage.wait] * 12,
        lambda: seen.append(stage.record().progress and stage.record().progress.percent),
        stage.job("Succeeded"),
    ]
    stage.follow()
    assert seen == [50]


def test_why_it_waits_is_told_at_once(stage: Stage) -> None:
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/8 nodes"}
    told: list[Any] = []
    stage.script = [
        _all(stage.pod(phase="Pending", conditions=[unschedulable]), stage.job("Created")),
        stage.wait,
        lambda: told.append(stage.record().waiting),
        stage.runs(),
        *[stage.wait] * 8,
        lambda: told.append(stage.record().waiting),
        stage.job("Succeeded"),
    ]
    stage.follow()
    assert (told[0].reason, told[0].message, told[0].pod) == ("Unschedulable", "0/8 nodes", "churn-r3-master-0")
    assert told[1] is None


def test_refused_pods_are_told_by_events(stage: Stage) -> None:
    def refuse() -> None:
        uid = stage.api.objects[JOB_PATH]["metadata"]["uid"]
        message = 'pods "churn-r3-master-0" is forbidden: exceeded quota: gpus'
        event = {"reason": "FailedCreatePod", "message": message, "involvedObject": {"uid": uid}}
        stage.api.put(f"{EVENTS}/one", event)

    told: list[Any] = []
    stage.script = [
        refuse,
        *[stage.wait] * 12,
        lambda: told.append(stage.record().waiting.reason if stage.record().waiting else None),
        _all(stage.runs(), stage.job("Succeeded")),
    ]
    stage.follow()
    assert told == ["QuotaExceeded"]


def test_a_failure_starts_it_again_within_its_budget(stage: Stage) -> None:
    _with(stage, failures=1)
    stage.script = [stage.runs(), stage.ends(139), stage.runs(), stage.job("Succeeded")]
    record = stage.follow()
    assert (record.failures, record.preemptions) == (1, 0)
    assert len(stage.jobs) == 2


def test_spent_failures_tell_the_cause(stage: Stage) -> None:
    _with(stage, failures=1)
    stage.script = [stage.ends(139), stage.ends(139, "Segmentation fault")]
    fault = stage.fails()
    assert fault.reason == "RetriesExhausted"
    assert "WorkerFailed after 1 restarts" in fault.message
    assert (fault.pod, fault.exit_code, fault.log) == ("churn-r3-master-0", 139, ("Segmentation fault",))
    assert JOB_PATH in stage.api.objects, "the failed job stays for whoever looks"


def test_a_persons_error_is_not_tried_again(stage: Stage) -> None:
    stage.script = [stage.ends(10, '{"reason":"DataInvalid","message":"too few rows"}')]
    fault = stage.fails()
    assert (fault.reason, fault.message) == ("DataInvalid", "too few rows")
    assert len(stage.jobs) == 1


def test_preemptions_have_a_budget_of_their_own(stage: Stage) -> None:
    _with(stage, failures=0, preemptions=2)
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    taken = _all(stage.pod(phase="Failed", conditions=[disrupted]), stage.job("Failed"))
    stage.script = [taken, taken, stage.runs(), stage.job("Succeeded")]
    assert stage.follow().preemptions == 2
    del stage.api.objects[JOB_PATH]
    del stage.api.objects[RECORD_PATH]
    stage.script = [taken, taken, taken]
    fault = stage.fails()
    assert (fault.reason, fault.message.split(" ")[0]) == ("RetriesExhausted", "Preempted")


def test_a_pod_that_was_replaced_starts_all_pods_again(stage: Stage) -> None:
    stage.script = [stage.runs(), stage.pod(phase="Running", uid="another"), stage.runs(), stage.job("Succeeded")]
    record = stage.follow()
    assert (record.preemptions, len(stage.jobs)) == (1, 2)


def test_a_job_that_somebody_deleted_is_made_again(stage: Stage) -> None:
    stage.script = [
        stage.runs(),
        stage.wait,
        lambda: stage.api.objects.pop(JOB_PATH) and None,
        stage.runs(),
        stage.job("Succeeded"),
    ]
    record = stage.follow()
    assert (record.preemptions, len(stage.jobs)) == (1, 2)


def test_a_queue_that_takes_its_quota_back(stage: Stage) -> None:
    _with(stage, queue="research")
    told: list[Any] = []

    def suspend(value: bool) -> Callable[[], None]:
        def play() -> None:
            live = stage.api.objects[JOB_PATH]
            policy = {**live["spec"]["runPolicy"], "suspend": value}
            stage.api.put(JOB_PATH, {**live, "spec": {**live["spec"], "runPolicy": policy}})

        return play

    stage.script = [
        _all(stage.job("Suspended"), stage.wait),
        lambda: told.append(stage.record().waiting.reason if stage.record().waiting else None),
        _all(suspend(False), stage.runs()),
        stage.wait,
        _all(
            suspend(True), stage.job("Suspended"), lambda: stage.api.objects.pop(f"{PODS}/churn-r3-master-0") and None
        ),
        stage.wait,
        _all(suspend(False), stage.runs()),
        stage.job("Succeeded"),
    ]
    record = stage.follow()
    assert told == ["WaitingForQuota"]
    assert (record.preemptions, len(stage.jobs)) == (1, 1)


def test_its_own_time_limit(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    _with(stage, timeout_seconds=60)

    def long_ago() -> None:
        live = stage.api.objects[RECORD_PATH]
        assert "began" in live["data"]["train.json"]

    stage.script = [stage.runs(), stage.wait, long_ago, *[stage.wait] * 10]
    record = RecordWriter(stage.kubernetes, stage.run, run_id=RUN_ID, stage="train")
    record.note(result={"began": "2026-01-01T00:00:00Z"})
    fault = stage.fails()
    assert (fault.reason, fault.cure.split(",")[0]) == ("DeadlineExceeded", "raise train.timeout")


def test_a_pod_that_needs_a_person_fails_in_the_end(stage: Stage) -> None:
    state = {"waiting": {"reason": "ErrImagePull", "message": "no such tag"}}
    pulls = stage.pod(phase="Pending", containerStatuses=[{"name": "pytorch", "state": state}])
    stage.script = [_all(pulls, stage.job("Created")), *[stage.wait] * 40]
    fault = stage.fails(pace=Pace(stuck=20.0))
    assert (fault.reason, fault.message) == ("ImagePullBackOff", "no such tag")


def test_a_step_that_was_killed_adopts_its_job(stage: Stage) -> None:
    def killed() -> None:
        raise SystemError("as by SIGKILL")

    stage.script = [stage.runs(), stage.wait, killed]
    with pytest.raises(SystemError):
        stage.follow()
    stage.script = [stage.wait, stage.job("Succeeded")]
    stage.follow()
    assert len(stage.jobs) == 1


def test_a_step_killed_between_counting_and_deleting_counts_once(stage: Stage) -> None:
    stage.script = [stage.runs(), stage.ends(1), stage.runs(), stage.job("Succeeded")]
    delete = stage.api.delete

    def killed(*_arguments: Any) -> Any:
        stage.api.delete = delete  # type: ignore[method-assign]
        raise SystemError

    stage.api.delete = killed  # type: ignore[method-assign]
    stage.kubernetes = stage.kubernetes.patient(0)
    with pytest.raises(StageError):
        stage.follow()
    stage.kubernetes = stage.kubernetes.patient(5)
    assert stage.record().failures == 1
    assert stage.follow().failures == 1


def test_another_attempt_adopts_what_runs_and_replaces_what_failed(stage: Stage) -> None:
    stage.script = [stage.ends(10)]
    stage.fails()
    stage.api.put(RUN_PATH, training_run("second-run"))
    stage.script = [stage.runs(), stage.job("Succeeded")]
    stage.follow(run_id="second-run")
    assert len(stage.jobs) == 2
    stage.api.put(RUN_PATH, training_run("third-run"))
    stage.script = []
    stage.follow(run_id="third-run")
    assert len(stage.jobs) == 2, "a model that is trained is not trained again"


def test_whose_job_it_is(run: ClusterRun) -> None:
    job = pytorch_job(run, config=CONFIG, prepared_uri="x")
    assert ownership(job, run, RUN_ID) == "adoptable"
    job["metadata"]["annotations"]["runwright.dev/pipeline-run"] = RUN_ID
    assert ownership(job, run, RUN_ID) == "ours"
    assert ownership(job, run.model_copy(update={"uid": "new"}), RUN_ID) == "stale"
    assert ownership(job, run.model_copy(update={"recipe": "new"}), RUN_ID) == "stale"
    bare = {**job, "metadata": {**job["metadata"], "labels": {**job["metadata"]["labels"]}}}
    del bare["metadata"]["labels"]["runwright.dev/run"]
    assert ownership(bare, run, RUN_ID) == "adoptable", "its owner tells whose it is, and its labels come back"
    assert ownership({"metadata": {"name": "churn-r3"}}, run, RUN_ID) == "foreign"
    assert ownership(job, run.model_copy(update={"name": "other"}), RUN_ID) == "foreign"


def test_somebody_elses_job_is_not_touched(stage: Stage) -> None:
    stage.api.put(JOB_PATH, {"metadata": {"name": "churn-r3", "labels": {"team": "theirs"}}})
    with pytest.raises(StageError) as caught:
        stage.follow()
    assert caught.value.reason is Reason.INVALID_CONFIG
    assert "churn-r3" in caught.value.message
    assert [write for write in stage.api.writes() if "pytorchjobs" in write[1]] == []


def test_a_run_whose_turn_has_passed_stops(stage: Stage) -> None:
    def pass_on() -> None:
        stage.api.put(RUN_PATH, training_run("another"))

    stage.script = [stage.runs(), pass_on, *[stage.wait] * 20]
    with pytest.raises(StageError) as caught:
        stage.follow()
    assert caught.value.exit_code is ExitCode.CANCELLED


@pytest.mark.parametrize(("turn", "kept"), [("another", True), (None, False)])
def test_the_job_of_a_turn_that_passed_is_left_to_the_next(
    stage: Stage, tmp_path: Path, turn: str | None, kept: bool
) -> None:
    """The next run may not have adopted it yet; of a TrainingRun that is gone nobody will."""
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "rows").write_text("1")

    def pass_on() -> None:
        if turn:
            stage.api.put(RUN_PATH, training_run(turn))
        else:
            del stage.api.objects[RUN_PATH]

    stage.script = [stage.runs(), pass_on, *[stage.wait] * 20]
    record = RecordWriter(stage.kubernetes, stage.run, run_id=RUN_ID, stage="train", clock=stage.clock)
    with pytest.raises(StageError) as caught:
        train_in_cluster(
            stage.kubernetes,
            stage.run,
            RUN_ID,
            CONFIG,
            prepared=tmp_path / "prepared",
            out=tmp_path / "model",
            record=record,
            progress=Progress("train", sink=record.heard, clock=stage.clock),
            clock=stage.clock,
            sleep=stage.sleep,
        )
    assert caught.value.exit_code is ExitCode.CANCELLED
    assert (JOB_PATH in stage.api.objects) == kept


def test_giving_up_removes_only_its_own_job(stage: Stage, tmp_path: Path) -> None:
    handle = PyTorchJobHandle(stage.kubernetes, stage.run, RUN_ID, config=CONFIG, prepared_uri="x")
    handle.create()
    PyTorchJobHandle(stage.kubernetes, stage.run, "another", config=CONFIG, prepared_uri="x").give_up()
    assert JOB_PATH in stage.api.objects
    handle.give_up()
    assert JOB_PATH not in stage.api.objects


def test_pods_that_went_before_they_were_seen_are_explained_by_their_events(stage: Stage) -> None:
    def preempt() -> None:
        about = {"name": "churn-r3-master-0", "uid": "never-seen"}
        event = {"reason": "Preempted", "message": "Preempted by pod urgent", "involvedObject": about}
        stage.api.put(f"{EVENTS}/before", {**event, "eventTime": "2026-01-01T00:00:00.000000Z", "message": "long ago"})
        stage.api.put(f"{EVENTS}/now", {**event, "eventTime": "2999-01-01T00:00:00.000000Z"})

    told: list[str] = []
    stage.script = [
        _all(preempt, stage.job("Failed")),
        lambda: told.extend([stage.record().waiting.reason, stage.record().waiting.message]),  # type: ignore[union-attr]
        _all(stage.runs(), stage.job("Succeeded")),
    ]
    record = stage.follow()
    assert told == ["Preempted", "Preempted by pod urgent"]
    assert record.preemptions == 1
