"""What a run on a real node costs beside its own work, against a pipeline of seven steps written by hand.

    pytest -s tests/bench/bench_node.py            (root; the node tier, see tests/node/README.md)

Both run on the same double of Kubeflow Pipelines, which starts pods as the real one does, a driver before each step
included; the steps written by hand do nothing. Of our run the time is counted in which no stage was at work: from
`kubectl apply` to Ready, without the spans that the stages' records tell of.
"""

# No postponed annotations here: kfp reads those of a component as they are.
import json
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from kfp import compiler, dsl

from tests.cluster.operator.runs import Manifest
from tests.doubles.kfp.process import Double
from tests.node.conftest import Node, make_home
from tests.node.team import Team

pytest_plugins = ("tests.node.conftest",)

REPEATS = 3
SEVEN = ("collect", "prepare", "train", "evaluate", "package", "register", "deploy")
SMALL = {"cpu": "250m", "memory": "1500Mi"}
POLL = 0.05
HOME = "bench"


@pytest.fixture(scope="session")
def kfp_options() -> tuple[str, ...]:
    """A driver's pod before each step's, and one for the whole, as on a real KFP."""
    return ("--drivers", "--namespace", HOME)


@pytest.fixture
def namespace(node: Node) -> str:
    make_home(node, HOME)
    return HOME


def test_beside_the_work(team: Team, kfp: Double, images: Mapping[str, str], tmp_path: Path) -> None:
    hand = [_by_hand(kfp, team, _seven_steps(images["components-python"], tmp_path)) for _ in range(REPEATS)]
    print(f"\nseven steps by hand that do nothing: {_told(hand)}")
    ours = [_ours(team, f"penguins-{number}") for number in range(REPEATS)]
    print(f"ours, without the stages' own work: {_told([beside for beside, _ in ours])}")
    print(f"ours, from apply to Ready: {_told([whole for _, whole in ours])}")
    ratio = statistics.median(beside for beside, _ in ours) / statistics.median(hand)
    print(f"ratio of the medians: {ratio:.2f}")


def _told(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds):.1f} s ({', '.join(f'{one:.1f}' for one in sorted(seconds))})"


def _seven_steps(image: str, folder: Path) -> Manifest:
    """A pipeline as people write it: a lightweight component a step, each handing a text to the next."""

    def step(text: str) -> str:
        return text

    component = dsl.component(step, base_image=image, install_kfp_package=False)

    @dsl.pipeline(name="seven-steps")
    def by_hand() -> None:
        handed: Any = "nothing"
        for name in SEVEN:
            task = component(text=handed).set_display_name(name).set_caching_options(False)
            handed = task.output

    file = folder / "by-hand.json"
    compiler.Compiler().compile(by_hand, str(file))
    return dict(json.loads(file.read_text()))


def _by_hand(kfp: Double, team: Team, spec: Manifest) -> float:
    """Seconds from the creation of the run until it has succeeded."""
    api = f"{kfp.url}/apis/v2beta1/runs"
    body = {"display_name": "by-hand", "pipeline_spec": spec, "service_account": "runwright-run"}
    with httpx.Client(trust_env=False, timeout=30) as client:
        began = time.monotonic()
        run = client.post(api, json=body, params={"namespace": team.namespace}).raise_for_status().json()
        while (state := client.get(f"{api}/{run['run_id']}").json().get("state")) not in ("SUCCEEDED", "FAILED"):
            time.sleep(POLL)
    assert state == "SUCCEEDED", team.story()
    return time.monotonic() - began


def _ours(team: Team, name: str) -> tuple[float, float]:
    """Seconds from apply to Ready, without the stages' own work and with it."""
    manifest = team.example("penguins", name, train={"epochs": 10, "resources": SMALL}, evaluate={"gate": None})
    spans = Spans(team, name)
    began = time.monotonic()
    team.apply(manifest)
    with spans:
        team.serving(name, 1)
        whole = time.monotonic() - began
    worked = sum(end - start for start, end in spans.merged())
    print(f"  the serving pod was ready {_until_ready(team, name)}")
    print("  " + ", ".join(f"{stage} {end - start:.1f} s" for stage, (start, end) in spans.seen.items()))
    return whole - worked, whole


def _until_ready(team: Team, name: str) -> str:
    """Seconds of the serving pod until it was ready, as the kubelet tells: whole ones."""
    (pod,) = team.pods(f"serving.kserve.io/inferenceservice={name}")
    ready = datetime.fromisoformat(team.api.condition(pod, "Ready")["lastTransitionTime"])
    (container,) = pod["status"]["containerStatuses"]
    moments = {
        "pod": pod["status"]["startTime"],
        "server": container["state"]["running"]["startedAt"],
    }
    return ", ".join(
        f"{(ready - datetime.fromisoformat(at)).seconds} s after its {what} began" for what, at in moments.items()
    )


class Spans:
    """When each stage of a run was at work, by its record."""

    def __init__(self, team: Team, name: str) -> None:
        self._team, self._name = team, name
        self.seen: dict[str, tuple[float, float]] = {}
        self._running: dict[str, bool] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            found = self._team.api.find("v1", "ConfigMap", f"{self._name}-r1", self._team.namespace) or {}
            now = time.monotonic()
            for key, text in found.get("data", {}).items():
                stage = key.removesuffix(".json")
                begun, _ = self.seen.get(stage, (now, now))
                if stage not in self.seen or self._running.get(stage):
                    self.seen[stage] = (begun, now)
                self._running[stage] = json.loads(text)["state"] == "running"
            time.sleep(POLL)

    def merged(self) -> Iterator[tuple[float, float]]:
        """The spans without overlap."""
        end = float("-inf")
        for start, stop in sorted(self.seen.values()):
            if stop > end:
                yield max(start, end), stop
                end = stop
