"""A training in an image that holds no Runwright: the pod's manifest, its programs side by side, and how it ends."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runwright_components.cluster.manifests import pytorch_job, train_job, training_runtime
from runwright_components.cluster.manifests.beside import READY, SHARED
from runwright_components.cluster.manifests.fault import Fault
from runwright_components.cluster.manifests.faults import pod_fault
from runwright_components.cluster.own_checkpoints import fetch_own_checkpoint, has_own_checkpoint
from runwright_components.cluster.storage import (
    CHECKPOINTS,
    MODEL,
    PREPARED,
    PROGRESS,
    fetch_folder,
    index_of,
    place,
    store_folder,
)
from runwright_components.contract.artifacts import ModelManifest
from runwright_components.contract.cluster import ClusterRun, JobConfig, StageFault, StorageConfig
from runwright_components.contract.config import CodeConfig, ModelConfig, TrainConfig
from runwright_components.contract.outcome import ExitCode
from runwright_components.contract.progress import Event
from tests.unit.own_code.conftest import LINEAR, write_prepared

Pod = dict[str, Any]


def configured(*command: str, **code: Any) -> TrainConfig:
    return TrainConfig(
        task="classification",
        modality="tabular",
        model=ModelConfig(name="code"),
        code=CodeConfig(command=command, **code),
    )


def foreign(run: ClusterRun, **job: Any) -> ClusterRun:
    given = {"image": "registry.example/churn:1", "helper_image": "registry.example/runwright-train:1", **job}
    return run.model_copy(update={"job": JobConfig(**given)})


def pod_of(run: ClusterRun, config: TrainConfig, *, resume: bool = False, replica: str = "Master") -> Pod:
    job = pytorch_job(run, config=config, prepared_uri=place(run.storage).under(PREPARED).uri, resume=resume)
    return dict(job["spec"]["pytorchReplicaSpecs"][replica]["template"]["spec"])


def values(container: Mapping[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"].replace("$$", "$") for one in container["env"] if "value" in one}


# ---------------------------------------------------------------- the pod


def test_the_users_container_runs_the_command_alone_and_sees_no_credentials(run: ClusterRun) -> None:
    secret = StorageConfig(uri="s3://b/p", secret="storage-access")
    given = foreign(run.model_copy(update={"storage": secret}), gpus_per_node=1, memory="8Gi")
    code = configured("python", "/app/train.py", args=("$(HOME)",), env={"DEPTH": "6"}, pass_env=("WANDB_API_KEY",))
    pod = pod_of(given, code, resume=True)
    (user,) = pod["containers"]
    assert (user["name"], user["image"]) == ("pytorch", "registry.example/churn:1")
    assert user["command"] == ["python", "/app/train.py", "$$(HOME)"]
    assert "envFrom" not in user
    told = values(user)
    assert told["DEPTH"] == "6"
    assert told["RUNWRIGHT_DATA"] == f"{SHARED}/data"
    assert told["RUNWRIGHT_RESUME"] == "1"
    assert not [name for name in told if name.startswith(("RUNWRIGHT_CLUSTER", "RUNWRIGHT_TRAIN", "AWS_"))]
    (passed,) = [one for one in user["env"] if "valueFrom" in one]
    key = {"name": "storage-access", "key": "WANDB_API_KEY", "optional": True}
    assert passed == {"name": "WANDB_API_KEY", "valueFrom": {"secretKeyRef": key}}
    assert user["resources"]["limits"] == {"memory": "8Gi", "nvidia.com/gpu": "1"}


def test_ours_come_before_and_beside_it(run: ClusterRun) -> None:
    pod = pod_of(foreign(run), configured("train"))
    fetcher, keeper = pod["initContainers"]
    assert [one["image"] for one in (fetcher, keeper)] == ["registry.example/runwright-train:1"] * 2
    assert fetcher["command"][-1] == "fetch"
    assert "restartPolicy" not in fetcher
    assert (keeper["command"][-1], keeper["restartPolicy"]) == ("keep", "Always")
    assert pod["shareProcessNamespace"] is True
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in (fetcher, keeper, *pod["containers"]):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        assert any(mount["mountPath"] == SHARED for mount in container["volumeMounts"])
        security = container["securityContext"]
        assert (security["runAsNonRoot"], security["allowPrivilegeEscalation"]) == (True, False)
        assert security["capabilities"] == {"drop": ["ALL"]}


def test_a_train_job_has_the_same_pod(run: ClusterRun) -> None:
    given = foreign(run, backend="trainjob", nodes=2)
    config = configured("torchrun", "/app/train.py")
    trainer = train_job(given, config=config, prepared_uri="x")["spec"]["trainer"]
    runtime = training_runtime(given, config=config, prepared_uri="x")
    (node,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    spec, other = node["template"]["spec"]["template"]["spec"], pod_of(given, config)
    assert trainer["command"] == other["containers"][0]["command"]
    assert trainer["env"] == other["containers"][0]["env"]
    names = [[one["name"] for one in pod["initContainers"]] for pod in (spec, other)]
    assert names == [["runwright-data", "runwright"]] * 2


# ---------------------------------------------------------------- its programs, side by side


class Sandbox:
    """The containers of one pod as processes of this machine, their shared folder under another name."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.shared = home / "shared"
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, container: Pod, **more: str) -> subprocess.Popen[str]:
        told = {name: value.replace(SHARED, str(self.shared)) for name, value in values(container).items()}
        last_words = str(self.home / f"{container['name']}.json")
        environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "RUNWRIGHT_TERMINATION_LOG": last_words}
        command = [sys.executable if word == "python" else word for word in container["command"]]
        process = subprocess.Popen(command, env={**environment, **told, **more}, text=True, stdout=subprocess.PIPE)
        self.processes.append(process)
        return process

    def live(self, pod: Pod, **secrets: str) -> tuple[int, int]:
        """As the kubelet runs the pod; the exit codes of the user's command and of the sidecar."""
        fetcher, keeper = pod["initContainers"]
        assert self.start(fetcher, **secrets).wait(120) == 0
        beside = self.start(keeper, **secrets)
        until = time.monotonic() + 120
        while not (self.shared / READY).exists():
            assert beside.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        code = self.start(pod["containers"][0], KEEPER=str(beside.pid)).wait(120)
        beside.terminate()
        return code, beside.wait(120)

    def words(self) -> StageFault:
        return StageFault.model_validate_json((self.home / "runwright.json").read_bytes())


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("flowers"), "classification", "kind")


@pytest.fixture
def image(run: ClusterRun, prepared: Path, tmp_path: Path) -> Callable[[str], TrainConfig]:
    """Puts a script into the user's image; the prepared data are in storage."""
    store_folder(prepared, place(run.storage).under(PREPARED))

    def build(script: str) -> TrainConfig:
        (tmp_path / "linear.py").write_text(LINEAR)
        (tmp_path / "train.py").write_text(script)
        return configured("python", str(tmp_path / "train.py"))

    return build


GOOD = """
from linear import *
assert "AWS_SECRET_ACCESS_KEY" not in os.environ
try:
    seen = Path(f"/proc/{os.environ['KEEPER']}/environ").read_bytes()
except PermissionError:
    seen = b""
assert os.geteuid() == 0 or not seen
checkpoints = Path(os.environ["RUNWRIGHT_CHECKPOINTS"])
before = [path.name for path in checkpoints.iterdir()]
(checkpoints / "step-20").mkdir()
(checkpoints / "step-20" / "state").write_text(f"{os.environ['RUNWRIGHT_RESUME']} {before}")
Path(os.environ["RUNWRIGHT_METRICS"]).write_text('{"step": 20, "total": 20, "loss": 0.5}\\n')
save(graph(*fit()))
"""


def test_the_model_checkpoints_and_progress_go_to_storage(
    run: ClusterRun, sandbox: Sandbox, image: Callable[[str], TrainConfig], tmp_path: Path
) -> None:
    config, storage = image(GOOD), place(run.storage)
    (tmp_path / "old" / "step-10").mkdir(parents=True)
    (tmp_path / "old" / "step-10" / "state").write_text("x")
    store_folder(tmp_path / "old" / "step-10", storage.under(CHECKPOINTS).under("step-10"))
    assert has_own_checkpoint(storage.under(CHECKPOINTS))
    pod = pod_of(foreign(run), config, resume=True)
    assert sandbox.live(pod, AWS_SECRET_ACCESS_KEY="storage-secret") == (0, 0)
    fetch_folder(storage.under(MODEL), tmp_path / "model")
    manifest = ModelManifest.read(tmp_path / "model")
    assert (manifest.model.name, manifest.steps) == ("code", 20)
    assert fetch_own_checkpoint(storage.under(CHECKPOINTS), tmp_path / "again")
    assert (tmp_path / "again" / "step-20" / "state").read_text() == "1 ['step-10']"
    told = Event.model_validate_json(storage.read(PROGRESS) or b"")
    assert (told.done, told.total, told.values["loss"]) == (20, 20, 0.5)


def test_a_command_that_leaves_no_model_is_told_by_the_sidecar(
    run: ClusterRun, sandbox: Sandbox, image: Callable[[str], TrainConfig], tmp_path: Path
) -> None:
    config, storage = image("print('done')\n"), place(run.storage)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").write_text("of an attempt before")
    store_folder(tmp_path / "old", storage.under(MODEL))
    assert sandbox.live(pod_of(foreign(run), config)) == (0, ExitCode.USER)
    assert sandbox.words().message == "the code ended well, but left no model: RUNWRIGHT_MODEL is empty"
    assert index_of(storage.under(MODEL)) is None


# ---------------------------------------------------------------- how its pods end


def ended(
    code: int = 0, message: str = "", *, reason: str = "", keeper: StageFault | None = None, **metadata: Any
) -> Fault | None:
    said = {"exitCode": code, "message": message, "reason": reason or ("Error" if code else "Completed")}
    last = {"exitCode": 10 if keeper else 0, "message": keeper.model_dump_json() if keeper else ""}
    return pod_fault(
        {
            "metadata": {"name": "churn-r3-master-0", **metadata},
            "spec": {"initContainers": [{"name": "runwright-data"}, {"name": "runwright"}]},
            "status": {
                "initContainerStatuses": [{"name": "runwright", "state": {"terminated": last}}],
                "containerStatuses": [{"name": "pytorch", "state": {"terminated": said}}],
            },
        }
    )


NO_MODEL = StageFault(reason="UserCodeError", message="left no model")


@pytest.mark.parametrize(
    ("code", "message", "reason", "told", "retryable"),
    [
        (1, "Traceback\nKeyError: 'age'", "UserCodeError", "exit code 1\nTraceback\nKeyError: 'age'", False),
        (1, "RuntimeError: CUDA out of memory", "OutOfMemory", "CUDA out of memory", False),
        (20, "the server is away", "WorkerFailed", "exit code 20", True),
        (139, "", "WorkerFailed", "SIGSEGV", True),
        (143, "", "Cancelled", "asked to stop", True),
    ],
)
def test_the_commands_end_is_the_reason(code: int, message: str, reason: str, told: str, retryable: bool) -> None:
    fault = ended(code, message, keeper=NO_MODEL)
    assert fault is not None
    assert (fault.reason, fault.retryable, fault.container) == (reason, retryable, "pytorch")
    assert told in fault.message


def test_a_program_that_the_image_has_not() -> None:
    said = 'failed to create containerd task: exec: "trian": executable file not found in $PATH: unknown'
    fault = ended(128, said, reason="StartError")
    assert fault is not None
    assert (fault.reason, fault.where, fault.retryable) == ("InvalidConfig", "train.code.command", False)
    assert fault.message == f"train.image cannot start the command: {said}"


def test_the_sidecars_word_counts_when_the_command_ended_well() -> None:
    fault = ended(keeper=NO_MODEL)
    assert fault is not None
    assert (fault.reason, fault.message, fault.container) == ("UserCodeError", "left no model", "runwright")
    assert ended(keeper=NO_MODEL, deletionTimestamp="2026-01-01T00:00:00Z") is None, "it was asked to stop"
    assert ended() is None


def test_an_image_that_cannot_be_pulled_is_told_as_ever() -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    status = {"containerStatuses": [{"name": "pytorch", "state": {"waiting": waiting}}]}
    fault = pod_fault({"spec": {"initContainers": [{"name": "runwright"}]}, "status": status})
    assert fault is not None
    assert (fault.reason, fault.waiting) == ("ImagePullBackOff", True)
