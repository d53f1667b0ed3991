"""A search whose trials are jobs, against a small API, where the test plays the training operator and the pods."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runwright_components.cluster.client import Kubernetes
from runwright_components.cluster.ending import ClusterError
from runwright_components.cluster.records import RecordWriter
from runwright_components.cluster.search.follower import TrialRecord
from runwright_components.cluster.search.reports import CURVE, RESULT, Curve, Point, Result
from runwright_components.cluster.search.step import search_in_cluster
from runwright_components.cluster.search.store import database
from runwright_components.cluster.storage import MODEL, PREPARED, Folder, place, store_folder
from runwright_components.cluster.training import Pace
from runwright_components.cluster.worker import work
from runwright_components.contract.artifacts import ModelManifest
from runwright_components.contract.cluster import CLUSTER_ENV, ClusterRun, JobConfig
from runwright_components.contract.config import ModelConfig, ParameterConfig, TrainConfig, TuneConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Event, Progress, silent
from runwright_components.contract.tuning import SEARCH, STUDY_URL_ENV, Trial, Tuning, tuning_of
from runwright_components.train import train
from runwright_components.train.tuning.study import Study
from tests.cluster.step_cases import model, prepared
from tests.databases.postgres import PASSWORD
from tests.doubles.kubernetes_api import KubernetesApi
from tests.unit.train.conftest import table, table_signature, write_prepared

from .conftest import RECORD_PATH, RUN_ID, RUN_PATH, FakeTime, training_run

JOBS = "/apis/kubeflow.org/v1/namespaces/team/pytorchjobs"
PODS = "/api/v1/namespaces/team/pods"
RATES = (0.1, 0.2, 0.3, 0.4)
RATE = ParameterConfig(key="learningRate", path=("learning_rate",), type="choice", choices=RATES)
CONFIG = TrainConfig(task="classification", modality="tabular", model=ModelConfig(name="mlp"))
Play = Callable[[str, float, int], None]


class Cluster:
    """The API, whose every job is played by `play(path, learning rate, times seen)` whenever the step sleeps."""

    def __init__(
        self, api: KubernetesApi, kubernetes: Kubernetes, run: ClusterRun, clock: FakeTime, folder: Path
    ) -> None:
        self.api, self.kubernetes, self.run, self.clock, self.folder = api, kubernetes, run, clock, folder
        self.play: Play = self.succeed
        self.made: list[str] = []  # names of jobs, as they were made
        self.most = 0  # that there were at a time
        self.seen: dict[str, int] = {}  # how often a job was seen, by its uid
        self.events: list[Event] = []
        self.given: dict[str, str] = {}  # the step's environment
        self.interrupt_after = 0  # so many jobs were made

    def search(self, *, config: TrainConfig = CONFIG, **tune: Any) -> Trial:
        """Search to the end; the best trial."""
        given = {"parameters": (RATE,), "algorithm": "grid", "pruning": "none", "parallel": 2, "jobs": True, **tune}
        if not (self.folder / "prepared").exists():
            prepared(self.folder / "prepared")
        search_in_cluster(
            self.kubernetes,
            self.run,
            RUN_ID,
            config.model_copy(update={"tune": TuneConfig.model_validate(given)}),
            prepared=self.folder / "prepared",
            out=self.folder / "out",
            record=RecordWriter(self.kubernetes, self.run, run_id=RUN_ID, stage="train", clock=self.clock),
            progress=Progress("train", sink=self.events.append),
            environment=self.given,
            pace=Pace(progress=0.0, restart=1.0, stuck=20.0),
            clock=self.clock,
            sleep=self.sleep,
        )
        return self.tuning.winner

    @property
    def tuning(self) -> Tuning:
        found = tuning_of(self.folder / "out")
        assert found is not None
        return found

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        return {path: job for path, job in self.api.objects.items() if path.startswith(JOBS)}

    def record(self) -> dict[str, Any]:
        return dict(json.loads(self.api.objects[RECORD_PATH]["data"]["train.json"]))

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.most = max(self.most, len(self.jobs))
        for path, job in self.jobs.items():
            if not job["spec"]:  # somebody else's
                continue
            uid = job["metadata"]["uid"]
            if uid not in self.seen:
                self.made.append(job["metadata"]["name"])
            self.seen[uid] = self.seen.get(uid, 0) + 1
            self.play(path, self.environment(job)["learning_rate"], self.seen[uid])
        if self.interrupt_after and len(self.made) >= self.interrupt_after:
            self.interrupt_after = 0
            raise KeyboardInterrupt

    def environment(self, job: dict[str, Any], name: str = "RUNWRIGHT_TRAIN") -> dict[str, Any]:
        pod = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]
        found = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}[name]
        return dict(json.loads(found.replace("$$", "$")))

    def storage(self, path: str) -> Folder:
        """The place that the job's pod is told."""
        found = place(ClusterRun.model_validate(self.environment(self.jobs[path], "RUNWRIGHT_CLUSTER")).storage)
        assert isinstance(found, Folder)
        return found

    # ------------------------------------------------------------ what pods do

    def runs(self, path: str) -> None:
        self._pod(path, phase="Running")
        self._condition(path, "Running")

    def tells(self, path: str, *losses: float) -> None:
        points = tuple(Point(epoch=at, figures={"validation_loss": loss}) for at, loss in enumerate(losses, 1))
        self.storage(path).write(CURVE, Curve(points=points).model_dump_json().encode())

    def ends(self, path: str, value: float | None) -> None:
        there = self.storage(path)
        store_folder(model(self.folder / f"model-of-{value}"), there.under(MODEL))
        there.write(RESULT, Result(value=value, epochs=3, seconds=7.0).model_dump_json().encode())
        self._condition(path, "Succeeded")

    def fails(self, path: str, code: int, reason: str = "Error", message: str = "") -> None:
        ended = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
        self._pod(path, phase="Failed", containerStatuses=[{"name": "pytorch", "state": ended}])
        self._condition(path, "Failed")

    def succeed(self, path: str, rate: float, seen: int) -> None:
        """The smaller the rate the better; two rounds."""
        if seen == 1:
            self.runs(path)
        elif seen == 2:
            self.tells(path, rate, rate, rate)
            self.ends(path, rate)

    def _pod(self, path: str, **status: Any) -> None:
        job = self.jobs[path]
        labels = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["metadata"]["labels"]
        name = job["metadata"]["name"]
        metadata = {
            "labels": {**labels, "training.kubeflow.org/job-name": name},
            "ownerReferences": [{"uid": job["metadata"]["uid"]}],
            "uid": f"pod-of-{job['metadata']['uid']}",
        }
        self.api.put(f"{PODS}/{name}-master-0", {"metadata": metadata, "status": status})

    def _condition(self, path: str, kind: str) -> None:
        self.api.put(path, {**self.jobs[path], "status": {"conditions": [{"type": kind, "status": "True"}]}})


@pytest.fixture
def cluster(api: KubernetesApi, kubernetes: Kubernetes, run: ClusterRun, clock: FakeTime, tmp_path: Path) -> Cluster:
    return Cluster(api, kubernetes, run, clock, tmp_path)


def states(cluster: Cluster) -> dict[Any, str]:
    return {trial.values["learningRate"]: trial.state for trial in cluster.tuning.trials}


def test_each_trial_is_a_job_and_the_best_ones_model_goes_on(cluster: Cluster) -> None:
    best = cluster.search()
    assert (best.values, best.value, best.epochs, best.seconds) == ({"learningRate": 0.1}, 0.1, 3, 7.0)
    assert sorted(cluster.made) == [f"churn-r3-t{number}" for number in range(4)]
    assert cluster.most == 2, "as many as tune.parallel, no more"
    assert (cluster.folder / "out" / "weights.safetensors").is_file()
    assert cluster.jobs == {}, "a job goes with its trial"
    left = place(cluster.run.storage).under(SEARCH).folders()
    assert left == ["study", f"trial-{best.number:05d}"], "of the others nothing stays"
    bars = [event for event in cluster.events if event.kind == "progress"]
    assert (bars[-1].done, bars[-1].total, bars[-1].unit) == (4, 4, "trials")


def test_what_pods_really_train_is_what_a_training_alone_would(cluster: Cluster, tmp_path: Path) -> None:
    splits = {name: table(48, seed, regression=False) for seed, name in enumerate(("train", "validation", "test"))}
    data = write_prepared(tmp_path / "prepared", splits, table_signature(regression=False), categories=(5,))
    small = {"model": ModelConfig(name="mlp", hidden=(8,)), "epochs": 2, "batch_size": 16, "early_stopping": None}
    config = CONFIG.model_copy(update={**small, "device": "cpu"})

    def pod(path: str, rate: float, seen: int) -> None:
        if seen == 1:
            cluster.runs(path)
        elif seen == 2:
            told, given = (cluster.environment(cluster.jobs[path], name) for name in (CLUSTER_ENV, "RUNWRIGHT_TRAIN"))
            prepared_uri = place(cluster.run.storage).under(PREPARED).uri
            run, training = ClusterRun.model_validate(told), TrainConfig.model_validate(given)
            work(run, training, prepared_uri=prepared_uri, folder=tmp_path / f"pod-{rate}")
            cluster._condition(path, "Succeeded")

    cluster.play = pod
    rates = RATE.model_copy(update={"choices": (1e-7, 0.02)})
    best = cluster.search(config=config, parameters=(rates,), pruning="median")
    assert (best.values, best.epochs) == ({"learningRate": 0.02}, 2)
    chosen = config.model_copy(update={"learning_rate": 0.02})
    folders = {"prepared": data, "out": tmp_path / "alone", "checkpoints": tmp_path / "checkpoints"}
    alone = train(chosen, **folders, resume=False, progress=silent("train"))
    assert ModelManifest.read(tmp_path / "out").digest == alone.digest


def test_a_trials_job_is_the_trainings_with_its_own_values_name_and_place(cluster: Cluster) -> None:
    seen: list[dict[str, Any]] = []

    def look(path: str, rate: float, times: int) -> None:
        seen.append(cluster.jobs[path])
        cluster.succeed(path, rate, times)

    cluster.play = look
    cluster.search(trials=1)
    job = seen[0]
    assert job["metadata"]["labels"]["runwright.dev/trial"] == "0"
    assert job["metadata"]["ownerReferences"][0]["uid"] == "uid-of-churn"
    assert cluster.environment(job)["tune"] is None
    told = cluster.environment(job, "RUNWRIGHT_CLUSTER")
    assert told["trial"] == {"number": 0, "metric": "loss"}
    assert told["storage"]["uri"] == f"{cluster.run.storage.uri}/tuning/trial-00000"


def test_the_api_is_asked_for_all_trials_at_once(cluster: Cluster) -> None:
    rounds = 40

    def slow(path: str, rate: float, seen: int) -> None:
        cluster.succeed(path, rate, seen if seen == 1 else seen - rounds)

    cluster.play = slow
    cluster.search(parallel=4)
    asked = [path for method, path, _ in cluster.api.asked if method == "GET"]
    assert sum(path == JOBS for path in asked) >= rounds
    ones = [path for path in asked if path.startswith(f"{JOBS}/")]
    assert len(ones) <= 8, "a job by itself is read when it is deleted, and not while it runs"


def test_a_trial_that_promises_little_is_given_up_and_its_job_deleted(cluster: Cluster) -> None:
    rates = RATE.model_copy(update={"choices": (0.1, 0.11, 0.12, 0.13, 0.14, 0.9)})

    def play(path: str, rate: float, seen: int) -> None:
        if rate < 0.5:
            cluster.succeed(path, rate, seen)
        else:
            cluster.runs(path)
            cluster.tells(path, *[rate] * seen)

    cluster.play = play
    seed = 19  # puts the hopeless one last, when there is a median
    cluster.search(parameters=(rates,), pruning="median", warmup_epochs=2, parallel=1, seed=seed)
    hopeless = next(trial for trial in cluster.tuning.trials if trial.values["learningRate"] == 0.9)
    assert (hopeless.number, hopeless.state, hopeless.epochs) == (5, "pruned", 2)
    assert cluster.jobs == {}
    assert not (cluster.folder / "storage" / SEARCH / "trial-00005").exists()


def test_a_pod_that_fails_is_a_failed_trial_with_its_reason(cluster: Cluster) -> None:
    cluster.run = cluster.run.model_copy(update={"job": JobConfig(image="i", failures=0)})

    def play(path: str, rate: float, seen: int) -> None:
        if rate == 0.1:
            cluster.fails(path, 137, "OOMKilled")
        elif rate == 0.2:
            cluster.fails(path, 10, message=json.dumps({"reason": "InvalidConfig", "message": "too narrow"}))
        else:
            cluster.succeed(path, rate, seen)

    cluster.play = play
    assert cluster.search().value == 0.3
    assert states(cluster) == {0.1: "failed", 0.2: "failed", 0.3: "complete", 0.4: "complete"}
    messages = {trial.values["learningRate"]: trial.message for trial in cluster.tuning.trials}
    assert messages[0.1].startswith("OOMKilled")
    assert messages[0.2] == "too narrow"
    warnings = [event.message for event in cluster.events if event.kind == "warning"]
    assert any("too narrow: learningRate 0.2" in warning for warning in warnings)


def test_each_trial_has_its_own_budget_of_restarts(cluster: Cluster) -> None:
    cluster.run = cluster.run.model_copy(update={"job": JobConfig(image="i", failures=1)})
    failed: list[str] = []

    def play(path: str, rate: float, seen: int) -> None:
        if path not in failed:
            failed.append(path)
            cluster.fails(path, 139)
        else:
            cluster.succeed(path, rate, seen)

    cluster.play = play
    cluster.search()
    assert set(states(cluster).values()) == {"complete"}
    assert len(cluster.made) == 8


def test_another_attempt_has_its_own_budget_and_trains_nothing_twice(tmp_path: Path) -> None:
    there = Folder(tmp_path)
    TrialRecord(there, "first").note(failures=2, result={"began": "2026-01-01T00:00:00Z", "trained": "later"})
    same, other = TrialRecord(there, "first"), TrialRecord(there, "second")
    same.open()
    other.open()
    assert (same.record.failures, set(same.record.result)) == (2, {"began", "trained"})
    assert (other.record.failures, set(other.record.result)) == (0, {"trained"})
    there.write("record.json", b"half a rec")
    broken = TrialRecord(there, "first")
    broken.open()
    assert broken.record.failures == 0


def test_when_all_trials_fail_the_run_fails_with_the_first_ones_reason(cluster: Cluster) -> None:
    cluster.run = cluster.run.model_copy(update={"job": JobConfig(image="i", failures=0)})
    cluster.play = lambda path, _rate, _seen: cluster.fails(path, 137, "OOMKilled")
    with pytest.raises(ClusterError) as caught:
        cluster.search()
    assert caught.value.fault.reason == "OOMKilled"
    assert "none of 4 trials has given a model; the first: OOMKilled" in caught.value.fault.message
    assert "train.resources.memory" in caught.value.fault.cure


def test_what_no_values_can_mend_ends_the_search(cluster: Cluster) -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}
    statuses = [{"name": "pytorch", "state": waiting}]
    cluster.play = lambda path, _rate, _seen: cluster._pod(path, phase="Pending", containerStatuses=statuses)
    with pytest.raises(ClusterError) as caught:
        cluster.search()
    assert caught.value.fault.reason == "ImagePullBackOff"
    assert cluster.jobs == {}, "no trial waits on"
    assert cluster.record()["waiting"]["reason"] == "ImagePullBackOff", "told while they waited"


def test_a_step_that_is_moved_finds_its_trials_and_repeats_none(cluster: Cluster) -> None:
    under_way = training_run(RUN_ID)
    under_way["status"]["revisions"][1]["state"] = "Running"  # type: ignore[index]
    cluster.api.put(RUN_PATH, under_way)
    cluster.interrupt_after = 3
    with pytest.raises(KeyboardInterrupt):
        cluster.search()
    before = {path: job["metadata"]["uid"] for path, job in cluster.jobs.items()}
    assert before, "the jobs go on while the step is away"
    made = list(cluster.made)
    cluster.search()
    assert cluster.made[: len(made)] == made
    assert sorted(cluster.made) == [f"churn-r3-t{number}" for number in range(4)], "none was made twice"
    assert set(before.values()) <= set(cluster.seen)
    assert [trial.state for trial in cluster.tuning.trials] == ["complete"] * 4
    notes = [event.message for event in cluster.events if event.kind == "note"]
    assert any("going on with the search" in note for note in notes)


def test_a_study_in_a_database_is_shown_nowhere_else(cluster: Cluster, address: str, tmp_path: Path) -> None:
    cluster.given = {STUDY_URL_ENV: address}
    cluster.play = lambda path, _rate, _seen: cluster.fails(path, 10, message=f"what if code prints {address}")
    with pytest.raises(ClusterError):
        cluster.search(trials=1)
    kept = Study(database(address), TuneConfig(), (RATE,), epochs=1, name="team/churn/uid-of-churn/r3")
    assert [trial.state for trial in kept.trials()] == ["failed"]
    assert not (tmp_path / "storage" / SEARCH / "study").exists()
    told = json.dumps(cluster.api.objects[RECORD_PATH]) + "".join(event.model_dump_json() for event in cluster.events)
    written = [path.read_text(errors="replace") for path in (tmp_path / "storage").rglob("*") if path.is_file()]
    assert PASSWORD not in told + "".join(written)


def test_a_run_that_is_cancelled_leaves_no_job(cluster: Cluster) -> None:
    cluster.interrupt_after = 2
    with pytest.raises(KeyboardInterrupt):
        cluster.search()
    assert cluster.jobs == {}


def test_a_run_whose_turn_has_passed_leaves_the_jobs_to_the_next(cluster: Cluster) -> None:
    def pass_on(path: str, _rate: float, _seen: int) -> None:
        job = cluster.jobs[path]
        annotations = {**job["metadata"]["annotations"], "runwright.dev/pipeline-run": "the-next"}
        cluster.api.put(path, {**job, "metadata": {**job["metadata"], "annotations": annotations}})
        cluster.api.put(RUN_PATH, training_run("the-next"))

    cluster.play = pass_on
    with pytest.raises(StageError) as caught:
        cluster.search()
    assert caught.value.reason is Reason.CANCELLED
    assert len(cluster.jobs) == 2


def test_gpu_seconds_are_those_of_the_jobs_that_run(cluster: Cluster) -> None:
    cluster.run = cluster.run.model_copy(update={"job": JobConfig(image="i", gpus_per_node=4)})

    def play(path: str, rate: float, seen: int) -> None:
        if rate == 0.1:  # runs for ever
            cluster.runs(path)
        elif seen > 20:
            cluster.succeed(path, rate, seen - 20)

    cluster.play = play
    cluster.search(gpu_seconds=200.0)
    assert cluster.tuning.ended == "gpuSeconds"
    assert "stopped" in states(cluster).values()
    assert cluster.jobs == {}
    assert 150.0 <= cluster.record()["gpu_seconds"] < 260.0


def test_a_trial_without_a_result_has_failed(cluster: Cluster) -> None:
    def play(path: str, rate: float, seen: int) -> None:
        if rate == 0.1:
            cluster._condition(path, "Succeeded")
        else:
            cluster.succeed(path, rate, seen)

    cluster.play = play
    cluster.search()
    assert states(cluster)[0.1] == "failed"


def test_what_a_lost_study_left_goes_before_the_search_begins_anew(cluster: Cluster) -> None:
    cluster.interrupt_after = 1
    under_way = training_run(RUN_ID)
    under_way["status"]["revisions"][1]["state"] = "Running"  # type: ignore[index]
    cluster.api.put(RUN_PATH, under_way)
    with pytest.raises(KeyboardInterrupt):
        cluster.search()
    old = [job["metadata"]["uid"] for job in cluster.jobs.values()]
    place(cluster.run.storage).under(SEARCH).under("study").remove()
    cluster.search()
    assert not set(old) & {job["metadata"]["uid"] for job in cluster.jobs.values()}
    assert [trial.state for trial in cluster.tuning.trials] == ["complete"] * 4


def test_a_job_of_somebody_elses_with_a_trials_name_is_told(cluster: Cluster) -> None:
    cluster.api.put(f"{JOBS}/churn-r3-t0", {"metadata": {"namespace": "team"}, "spec": {}})
    with pytest.raises(StageError) as caught:
        cluster.search()
    assert "there is a PyTorchJob churn-r3-t0 already, of somebody else" in str(caught.value)
