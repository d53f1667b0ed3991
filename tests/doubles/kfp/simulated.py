"""Steps that compute nothing: they write folders, records and verdicts as the real ones do, figures by a script.

python -m tests.doubles.kfp.simulated ORDER.json
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from runwright_components.contract.artifacts import ModelManifest, PackageManifest, PreparedManifest, RawManifest
from runwright_components.contract.cluster import ClusterRun, StageProgress
from runwright_components.contract.config import (
    CollectConfig,
    Config,
    EvaluateConfig,
    PackageConfig,
    PrepareConfig,
    RegisterConfig,
    TrainConfig,
)
from runwright_components.contract.evaluation import EVALUATION, Evaluation
from runwright_components.contract.files import write_bytes
from runwright_components.contract.progress import Progress
from runwright_components.contract.step import StageName, execute
from tests.doubles.kfp import canned
from tests.doubles.kfp.scripts import Failing, Script, Scripts


class Step:
    """One task: its parameters and folders by name, and the record that each of its stages keeps."""

    def __init__(self, executor_input: Mapping[str, Any], scripts: Path, train: TrainConfig | None) -> None:
        inputs, self._outputs = executor_input["inputs"], executor_input["outputs"]
        self.given: Mapping[str, Any] = inputs.get("parameterValues", {})
        artifacts = {**inputs.get("artifacts", {}), **self._outputs.get("artifacts", {})}
        self.folders = {name: Path(found["artifacts"][0]["uri"]) for name, found in artifacts.items()}
        text = self.given.get("cluster", "")
        self.cluster = ClusterRun.model_validate_json(text) if text else None
        self.script = Scripts.read(scripts).of(self.cluster, train) if self.cluster else Script()

    def config(self, model: type[Config], stage: str) -> Any:
        """A stage's configuration: `config` in a task of its own, `STAGE_config` in one of several."""
        text = self.given.get(f"{stage}_config") or self.given["config"]
        return model.model_validate_json(text)

    def real(self, name: StageName, *folders: str, **parameters: str) -> None:
        """The stage's own body, as the component calls it."""
        artifacts = {one: SimpleNamespace(path=str(self.folders[one]), uri="", metadata={}) for one in folders}
        about = {"cluster": self.given.get("cluster", ""), "run_id": self.given.get("run_id", "")}
        execute(name, **about, **parameters, **artifacts)

    def put(self, parameter: str, value: str) -> None:
        """An output parameter, where the task has it."""
        if parameter not in self._outputs["parameters"]:
            return
        write_bytes(Path(self._outputs["parameters"][parameter]["outputFile"]), value.encode())

    @contextmanager
    def stage(self, name: StageName) -> Iterator[dict[str, Any]]:
        """The stage's time and record; the block fills the record's result."""
        record = self._record(name)
        result: dict[str, Any] = {}
        if record:
            record.note(progress=StageProgress(percent=0))
        for tenth in range(1, 11):
            time.sleep(self.script.seconds.get(name, 0) / 10)
            if record:
                record.update(progress=StageProgress(percent=10 * tenth))
        if failing := self.script.failing.get(name):
            if record:
                record.end("failed", fault=failing.fault)
            raise _Failed(failing)
        yield result
        if record:
            record.end("succeeded", result=result)

    def skip(self, name: StageName) -> None:
        if record := self._record(name):
            record.end("skipped")

    def _record(self, name: StageName) -> Any:
        if self.cluster is None:
            return None
        from runwright_components.cluster.client import Kubernetes
        from runwright_components.cluster.records import RecordWriter

        return RecordWriter(Kubernetes.connect(), self.cluster, run_id=self.given["run_id"], stage=name)


class _Failed(Exception):
    def __init__(self, failing: Failing) -> None:
        super().__init__(failing.fault.message)
        self.failing = failing


def collect(step: Step) -> None:
    with step.stage("collect"):
        canned.raw(step.config(CollectConfig, "collect"), step.folders["raw_data"])


def prepare(step: Step) -> None:
    with step.stage("prepare"):
        source = RawManifest.read(step.folders["raw_data"])
        canned.prepared(step.config(PrepareConfig, "prepare"), source, step.folders["prepared_data"])
        write_bytes(step.folders["data_quality"], b"<html></html>")


def data(step: Step) -> None:
    collect(step)
    prepare(step)


def evaluate(step: Step) -> None:
    with step.stage("evaluate") as result:
        trained, source = (
            ModelManifest.read(step.folders["model"]),
            PreparedManifest.read(step.folders["prepared_data"]),
        )
        config = step.config(EvaluateConfig, "evaluate")
        found = canned.evaluation(config, trained, source, step.script.metrics, step.folders["evaluation"])
        write_bytes(step.folders["report"], b"<html></html>")
        step.put("verdict", found.verdict)
        result |= found.model_dump(mode="json", include={"model_digest", "verdict", "metrics", "slices", "checks"})


def package(step: Step) -> None:
    with step.stage("package") as result:
        trained = ModelManifest.read(step.folders["model"])
        made = canned.package(step.config(PackageConfig, "package"), trained, step.folders["package"])
        result |= {"digest": made.digest, "model_digest": made.model_digest}


def register(step: Step) -> None:
    from runwright_components.register import register as publish

    with step.stage("register") as result:
        config: RegisterConfig = step.config(RegisterConfig, "register")
        folder = step.folders["package"]
        if not config.uri:
            place = str(step.folders["registration"].parent / "registry")
            config = config.model_copy(update={"uri": place})
        made = publish(config, package=folder, progress=Progress("register", sink=lambda _event: None))
        target = step.folders["registration"]  # this artifact is a file
        made.write(target.parent, target.name)
        model_digest = PackageManifest.read(folder).model_digest
        result |= {**made.model_dump(mode="json", include={"uri", "version", "digest"}), "model_digest": model_digest}


def model(step: Step) -> None:
    """Training and deployment are the real ones: it is the cluster that they meet which is to be tested."""
    given, folders = step.given, ("prepared_data", "model", "training_metrics", "learning_curves")
    step.real("train", *folders, config=given["train_config"], base=given["base"])
    evaluate(step)
    verdict = Evaluation.read(step.folders["evaluation"], EVALUATION).verdict
    if step.cluster is not None or verdict == "passed":
        package(step)
        register(step)
    step.real("deploy", "registration", "deployment", config=given["deploy_config"], verdict=verdict)


STEPS: Mapping[str, Callable[[Step], None]] = {
    "collect": collect,
    "prepare": prepare,
    "data": data,
    "evaluate": evaluate,
    "package": package,
    "register": register,
    "model": model,
}


def main() -> int:
    """Carry out one order of the executor. Returns the exit code."""
    order = json.loads(Path(sys.argv[1]).read_text())
    train = TrainConfig.model_validate_json(order["train_config"]) if order["train_config"] else None
    try:
        STEPS[order["function"]](Step(order["executor_input"], Path(order["scripts"]), train))
    except _Failed as failed:
        print(f"error: {failed}", flush=True)
        return failed.failing.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
