"""The operator against the training operator, on one real control plane, in one run.

    python tests/bench/bench_operator.py [--count 1000] [--idle 60]

It starts a cluster tier of its own (root, Go); RUNWRIGHT_TEST_KUBECONFIG names a cluster to use instead, in which case
nothing is said of the training operator's memory. Objects are created by one client with 32 requests at once; times are
from the first creation until the last object has a status.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from kubernetes.client import Configuration  # noqa: E402
from kubernetes.config import load_kube_config  # noqa: E402

from runwright_operator.adapters.access import Access  # noqa: E402
from runwright_operator.adapters.kubernetes import Kubernetes  # noqa: E402
from runwright_operator.resources import INFERENCE_SERVICE, PYTORCH_JOB, TRAINING_RUN, Resource  # noqa: E402
from tests.cluster.tier import binaries  # noqa: E402
from tests.cluster.tier.api import Api  # noqa: E402
from tests.cluster.tier.cluster import Tier  # noqa: E402
from tests.doubles.kfp.process import Double  # noqa: E402

NAMESPACE = Resource("", "v1", "namespaces", "Namespace")
AT_ONCE = 32
NEVER = 10**6
MADE: list[str] = []
TICKS = os.sysconf("SC_CLK_TCK")
Manifest = dict[str, Any]


def training_run(name: str, namespace: str, *, suspend: bool, epochs: int = 1) -> Manifest:
    return {
        "apiVersion": TRAINING_RUN.api_version,
        "kind": TRAINING_RUN.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "data": {"sources": [{"http": {"url": "https://example.org/data.csv"}}]},
            "prepare": {"target": "y"},
            "train": {"task": "tabular-classification", "epochs": epochs},
            "evaluate": {"gate": [{"metric": "accuracy", "min": 0.5}]},
            "suspend": suspend,
        },
    }


def pytorch_job(name: str, namespace: str, *, suspend: bool) -> Manifest:
    container = {"name": "pytorch", "image": "train:1", "command": ["train"]}
    master = {"replicas": 1, "restartPolicy": "Never", "template": {"spec": {"containers": [container]}}}
    return {
        "apiVersion": PYTORCH_JOB.api_version,
        "kind": PYTORCH_JOB.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"runPolicy": {"suspend": suspend}, "pytorchReplicaSpecs": {"Master": master}},
    }


def configuration(kubeconfig: Path) -> Configuration:
    found = Configuration()
    load_kube_config(str(kubeconfig), client_configuration=found, persist_config=False)
    return found


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


ROLES = {
    "ServiceAccount": Resource("", "v1", "serviceaccounts", "ServiceAccount"),
    "Role": Resource("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    "RoleBinding": Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
}
STEP_RULES = (
    ("runwright.dev", "trainingruns", ["get"]),
    ("", "configmaps", ["get", "create", "patch"]),
    ("kubeflow.org", "pytorchjobs", ["get", "create", "patch", "delete"]),
    ("serving.kserve.io", "inferenceservices", ["get", "create", "patch"]),
    ("", "pods", ["get", "list"]),
    ("", "events", ["list"]),
)


def rights(namespace: str) -> list[Manifest]:
    """The steps' account in a namespace, with the rights that the chart gives it."""
    name = "runwright-run"
    rules = [{"apiGroups": [group], "resources": [plural], "verbs": verbs} for group, plural, verbs in STEP_RULES]
    api = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules},
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            "roleRef": {"kind": "Role", "name": name, "apiGroup": api},
        },
    ]


class Operator:
    """The operator as its pod runs it: in an environment of requirements/operator.txt alone, by its ServiceAccount."""

    def __init__(self, kubeconfig: Path, folder: Path, kfp: str, namespaces: tuple[str, ...]) -> None:
        self._log = (folder / "operator.log").open("a")
        self._account = service_account(kubeconfig, folder / "account")
        host, _, port = configuration(kubeconfig).host.removeprefix("https://").partition(":")
        self.pid = 0
        self._environment = {
            "PATH": os.environ["PATH"],
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port or "443",
            "RUNWRIGHT_NAMESPACES": ",".join(namespaces),
            "RUNWRIGHT_PIPELINES_ENDPOINT": kfp,
            "RUNWRIGHT_STORAGE_URI": f"file://{folder}/storage",
            "RUNWRIGHT_LEADER_ELECTION": "false",
            "RUNWRIGHT_HTTP_HOST": "127.0.0.1",
            "RUNWRIGHT_HTTP_PORT": "0",
        }

    @contextlib.contextmanager
    def running(self) -> Iterator[Operator]:
        place = "/var/run/secrets/kubernetes.io/serviceaccount"
        mount = f'mkdir -p {place} && mount --bind "$0" {place} && exec "$1" -m runwright_operator'
        command = ["unshare", "-m", "sh", "-c", mount, str(self._account), str(operator_python())]
        process = subprocess.Popen(command, env=self._environment, cwd="/", stdout=self._log, stderr=self._log)
        self.pid = process.pid
        try:
            time.sleep(6)  # to be up and watching, as the training operator is
            yield self
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@cache
def operator_python() -> Path:
    """Python of an environment with what the operator's image has, made when its pins or our code changed."""
    pins = (ROOT / "requirements/operator.txt").read_bytes()
    home = binaries.cache() / "operator" / hashlib.sha256(pins).hexdigest()[:16]
    uv = ROOT / ".venv/bin/uv"
    environment = {**os.environ, "VIRTUAL_ENV": str(home)}
    if not home.exists():
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, home], check=True)
        pinned = ["--require-hashes", "-r", ROOT / "requirements/operator.txt"]
        subprocess.run([uv, "pip", "install", "-q", "--compile-bytecode", *pinned], env=environment, check=True)
    ours = ["--no-deps", "--reinstall", "--compile-bytecode", ROOT]
    subprocess.run([uv, "pip", "install", "-q", *ours], env=environment, check=True)
    return home / "bin/python"


def service_account(kubeconfig: Path, folder: Path) -> Path:
    """The files of a ServiceAccount that may do all that the operator does."""
    api, name, home = Api.from_kubeconfig(kubeconfig), "bench-operator", "default"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": home}}
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": home}],
        "roleRef": {"kind": "ClusterRole", "name": "cluster-admin", "apiGroup": group},
    }
    for manifest in (account, binding):
        api.apply(manifest)
    asked = {"spec": {"expirationSeconds": 7200}}
    token = api.request("POST", f"/api/v1/namespaces/{home}/serviceaccounts/{name}/token", asked)["status"]["token"]
    folder.mkdir(exist_ok=True)
    (folder / "token").write_text(token)
    (folder / "ca.crt").write_bytes(Path(configuration(kubeconfig).ssl_ca_cert).read_bytes())
    return folder


async def create_all(api: Kubernetes, resource: Resource, objects: list[Manifest]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(body: Manifest) -> None:
        async with gate:
            await api.create(resource, body["metadata"]["namespace"], body)

    await asyncio.gather(*(one(body) for body in objects))


async def until(check: Callable[[], Any], seconds: float = 600.0, pause: float = 0.1) -> None:
    end = time.monotonic() + seconds
    while not await check():
        if time.monotonic() > end:
            raise TimeoutError("it did not come to pass in time")
        await asyncio.sleep(pause)


def has_status(item: Mapping[str, Any]) -> bool:
    return bool((item.get("status") or {}).get("conditions"))


async def time_to_status(
    api: Kubernetes, resource: Resource, namespace: str, objects: list[Manifest]
) -> tuple[float, float]:
    """Seconds until the last object is created, and until the last has a status."""

    async def all_have() -> bool:
        items = (await api.list(resource, namespace)).items
        return len(items) == len(objects) and all(map(has_status, items))

    began = time.monotonic()
    created = asyncio.create_task(create_all(api, resource, objects))
    await created
    created_in = time.monotonic() - began
    await until(all_have, pause=0.25)
    return created_in, time.monotonic() - began


@contextlib.asynccontextmanager
async def fresh_namespace(api: Kubernetes, name: str) -> AsyncIterator[str]:
    await api.create(NAMESPACE, "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for body in rights(name):
        kind = ROLES[body["kind"]]
        await api.create(kind, name, body)
    try:
        yield name
    finally:
        MADE.append(name)


async def clean(api: Kubernetes) -> None:
    """Remove all that was made, at the end: a thousand deletions would weigh on what is measured next."""
    for namespace in MADE:
        gate = asyncio.Semaphore(AT_ONCE)

        async def free(run: Manifest, namespace: str = namespace, gate: asyncio.Semaphore = gate) -> None:
            async with gate:
                body = {"metadata": {"finalizers": None}}
                await api.merge(TRAINING_RUN, namespace, run["metadata"]["name"], body)

        await asyncio.gather(*map(free, (await api.list(TRAINING_RUN, namespace)).items))
        await api.delete(NAMESPACE, "", namespace)


async def many(api: Kubernetes, start: Callable[..., Operator], count: int, theirs: int) -> None:
    """1,000 objects: time until all have a status, memory, and what an operator at rest costs."""
    for suspend, word in ((True, "suspended"), (False, "active")):
        async with fresh_namespace(api, f"bench-jobs-{word}") as namespace:
            jobs = [pytorch_job(f"job-{n}", namespace, suspend=suspend) for n in range(count)]
            _, job_seconds = await time_to_status(api, PYTORCH_JOB, namespace, jobs)
            job_memory = memory_mb(theirs) if theirs else float("nan")
        with start((f"bench-runs-{word}",)).running() as operator:
            async with fresh_namespace(api, f"bench-runs-{word}") as namespace:
                runs = [training_run(f"run-{n}", namespace, suspend=suspend) for n in range(count)]
                created, seconds = await time_to_status(api, TRAINING_RUN, namespace, runs)
                memory = memory_mb(operator.pid)
                print(
                    f"{count:,} objects, {word}: training operator {job_seconds:.1f} s, {job_memory:.0f} MB;"
                    f" runwright {seconds:.1f} s, {memory:.0f} MB (all created after {created:.1f} s);"
                    f" ratio of times {seconds / job_seconds:.2f}, of memory {memory / job_memory:.2f}",
                    flush=True,
                )


async def idle_with(api: Kubernetes, start: Callable[..., Operator], count: int, seconds: float) -> None:
    """Finished runs: what an operator at rest costs."""
    with start(("bench-idle",)).running() as operator:
        async with fresh_namespace(api, "bench-idle") as namespace:
            runs = [training_run(f"run-{n}", namespace, suspend=True) for n in range(count)]
            await time_to_status(api, TRAINING_RUN, namespace, runs)
            await asyncio.sleep(10)
            before, spent = await versions(api, namespace), cpu_seconds(operator.pid)
            await asyncio.sleep(seconds)
            share = (cpu_seconds(operator.pid) - spent) / seconds
            after = await versions(api, namespace)
            writes = sum(after[name] != before[name] for name in before)
            print(
                f"at rest with {count:,} runs for {seconds:.0f} s: {share:.2%} of a core, {writes} objects written,"
                f" {memory_mb(operator.pid):.0f} MB",
                flush=True,
            )


async def versions(api: Kubernetes, namespace: str) -> dict[str, str]:
    """Resource version of each TrainingRun: a write changes it."""
    items = (await api.list(TRAINING_RUN, namespace)).items
    return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items}


async def latency(api: Kubernetes, start: Callable[..., Operator]) -> None:
    """From apply to the KFP run: one at a time, and with 100 at once."""
    with start(("bench-latency",)).running() as operator:
        async with fresh_namespace(api, "bench-latency") as namespace:
            alone = [await _to_kfp(api, namespace, f"one-{n}") for n in range(20)]
            print(f"apply to KFP run, one at a time: {_percentiles(alone)}", flush=True)
            spent = cpu_seconds(operator.pid)
            together = await _all_to_kfp(api, namespace, [f"many-{n}" for n in range(100)])
            spent = cpu_seconds(operator.pid) - spent
            print(
                f"apply to KFP run, 100 at once: {_percentiles(together)}; {spent:.1f} s of processor time", flush=True
            )


async def _to_kfp(api: Kubernetes, namespace: str, name: str) -> float:
    """Milliseconds until status has the id of the KFP run: a little more than until the run is there."""
    began = time.monotonic()
    await api.create(TRAINING_RUN, namespace, training_run(name, namespace, suspend=False))

    async def started() -> bool:
        return has_run(await api.get(TRAINING_RUN, namespace, name) or {})

    await until(started, pause=0.01)
    return (time.monotonic() - began) * 1000


async def _all_to_kfp(api: Kubernetes, namespace: str, names: list[str]) -> list[float]:
    """The same for many; one list every 50 ms asks after all of them."""
    began: dict[str, float] = {}
    took: dict[str, float] = {}

    async def create(name: str) -> None:
        began[name] = time.monotonic()
        await api.create(TRAINING_RUN, namespace, training_run(name, namespace, suspend=False))

    async def all_started() -> bool:
        for item in (await api.list(TRAINING_RUN, namespace)).items:
            name = item["metadata"]["name"]
            if name in began and name not in took and has_run(item):
                took[name] = (time.monotonic() - began[name]) * 1000
        return len(took) == len(names)

    await asyncio.gather(*map(create, names))
    await until(all_started, pause=0.05)
    return list(took.values())


def has_run(item: Mapping[str, Any]) -> bool:
    revisions = (item.get("status") or {}).get("revisions") or [{}]
    return bool((revisions[-1].get("pipelineRun") or {}).get("id"))


def _percentiles(values: list[float]) -> str:
    ordered = sorted(values)
    return f"p50 {statistics.median(ordered):.0f} ms, p95 {ordered[int(len(ordered) * 0.95) - 1]:.0f} ms"


async def revert(api: Kubernetes, start: Callable[..., Operator]) -> None:
    """From applying the old recipe to the InferenceService that carries the old model."""
    with start(("bench-revert",)).running():
        async with fresh_namespace(api, "bench-revert") as namespace:
            for epochs in (1, 2):
                body = training_run("model", namespace, suspend=False, epochs=epochs)
                await api.apply(TRAINING_RUN, namespace, "model", body, manager="bench")
                await until(lambda wanted=epochs: _serves(api, namespace, wanted), 180)
            times = []
            for epochs in (1, 2, 1, 2, 1):
                body = training_run("model", namespace, suspend=False, epochs=epochs)
                began = time.monotonic()
                await api.apply(TRAINING_RUN, namespace, "model", body, manager="bench")
                await until(lambda wanted=epochs: _carries(api, namespace, wanted), 60, pause=0.02)
                times.append((time.monotonic() - began) * 1000)
                await until(lambda wanted=epochs: _serves(api, namespace, wanted), 60)
            print(f"revert to a known recipe until the InferenceService carries it: {_percentiles(times)}", flush=True)


async def _serves(api: Kubernetes, namespace: str, revision: int) -> bool:
    run = await api.get(TRAINING_RUN, namespace, "model") or {}
    conditions = {one["type"]: one for one in (run.get("status") or {}).get("conditions") or ()}
    serving = (run.get("status") or {}).get("serving") or {}
    return conditions.get("Ready", {}).get("status") == "True" and serving.get("revision") == revision


async def _carries(api: Kubernetes, namespace: str, revision: int) -> bool:
    service = await api.get(INFERENCE_SERVICE, namespace, "model") or {"metadata": {}}
    return (service["metadata"].get("labels") or {}).get("runwright.dev/revision") == str(revision)


async def bench(given: argparse.Namespace, kubeconfig: Path, folder: Path, theirs: int) -> None:
    api = Kubernetes(Access(lambda: configuration(kubeconfig)))
    try:
        with kfp(folder / "kfp-waiting", kubeconfig, "--pending", str(NEVER)) as double:
            start = partial(Operator, kubeconfig, folder, double.url)
            if "latency" in given.only:
                await latency(api, start)
            if "many" in given.only:
                await many(api, start, given.count, theirs)
            if "idle" in given.only:
                await idle_with(api, start, given.count, given.idle)
        with kfp(folder / "kfp", kubeconfig) as double:
            if "revert" in given.only:
                await revert(api, partial(Operator, kubeconfig, folder, double.url))
    finally:
        await clean(api)
        await api.close()


@contextlib.contextmanager
def kfp(state: Path, kubeconfig: Path, *options: str) -> Iterator[Double]:
    """The double of KFP. Where runs need not end, none of its steps takes processor time from what is measured."""
    double = Double(state, ["--kubeconfig", str(kubeconfig), *options])
    double.start()
    try:
        yield double
    finally:
        double.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--idle", type=float, default=60.0)
    parser.add_argument("--only", nargs="*", default=["latency", "revert", "many", "idle"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        known = os.environ.get("RUNWRIGHT_TEST_KUBECONFIG")
        if known:
            asyncio.run(bench(given, Path(known), folder, int(os.environ.get("RUNWRIGHT_BENCH_PID", "0"))))
            return
        with Tier.start(folder / "tier") as tier:
            theirs = tier.processes["training-operator"].pid
            asyncio.run(bench(given, tier.kubeconfig, folder, theirs))


if __name__ == "__main__":
    main()
