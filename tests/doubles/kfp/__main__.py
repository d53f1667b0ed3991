"""`python -m tests.doubles.kfp --state FOLDER`: serve until SIGTERM. The first line of the output is the address."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

os.environ["_KFP_RUNTIME"] = "true"  # spares kfp the import of its compiler

from aiohttp import web

from tests.doubles.kfp.access import Access
from tests.doubles.kfp.attempts import Runner
from tests.doubles.kfp.cluster import Cluster
from tests.doubles.kfp.executor import Executor, Pace
from tests.doubles.kfp.process_runner import SIMULATED, ProcessRunner
from tests.doubles.kfp.server import Server
from tests.doubles.kfp.store import Store
from tests.doubles.kfp.tls import server_context
from tests.doubles.kfp.workers import Workers


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.doubles.kfp", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder for runs and their files")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", action="store_true", help="serve HTTPS; the authority's certificate is STATE/ca.crt")
    parser.add_argument("--multi-user", action="store_true")
    parser.add_argument("--kubeconfig", type=Path, help="cluster of the steps; without one they get no access to any")
    parser.add_argument(
        "--check-access", action="store_true", help="ask the cluster who may do what; with --multi-user"
    )
    parser.add_argument("--namespace", help="where all step pods run; by default in their TrainingRun's namespace")
    parser.add_argument("--pending", type=float, default=0.3, help="seconds until a run is running")
    parser.add_argument("--task-delay", type=float, default=0.0, help="seconds before each task")
    parser.add_argument(
        "--grace", type=float, help="seconds between SIGTERM and SIGKILL of a step; 5 for processes, 30 for pods"
    )
    parser.add_argument("--steps", type=int, default=16, help="how many steps run at once")
    parser.add_argument("--real", action="append", default=[], metavar="STEP", help="run this step for real as well")
    parser.add_argument("--env", action="append", default=[], metavar="NAME", help="hand this variable to the steps")
    pods = parser.add_argument_group("steps as pods of their images, with artifacts in an object store")
    pods.add_argument("--pods", action="store_true", help="needs --kubeconfig and --store-endpoint")
    pods.add_argument("--drivers", action="store_true", help="a driver's pod before each task, and one before all")
    pods.add_argument("--store-endpoint", metavar="URL", help="S3 server; its keys are in Secrets of the namespaces")
    pods.add_argument("--store-endpoint-in-pods", metavar="URL", help="the same one as pods reach it")
    pods.add_argument("--store-region", default="us-east-1")
    pods.add_argument("--pipeline-root", default="minio://mlpipeline/v2/artifacts")
    given = parser.parse_args()
    if given.pods and not (given.kubeconfig and given.store_endpoint):
        parser.error("--pods needs --kubeconfig and --store-endpoint")
    return given


def runner_of(given: argparse.Namespace, store: Store, cluster: Cluster | None) -> Runner:
    if given.pods:
        from tests.doubles.kfp.pod_runner import PodRunner

        assert cluster is not None
        return PodRunner(
            cluster,
            endpoint=given.store_endpoint,
            endpoint_in_pods=given.store_endpoint_in_pods or given.store_endpoint,
            region=given.store_region,
            root=given.pipeline_root,
            namespace=given.namespace,
            drivers=given.drivers,
            grace=30.0 if given.grace is None else given.grace,
        )
    return ProcessRunner(
        store,
        cluster=cluster,
        namespace=given.namespace,
        simulated=SIMULATED - set(given.real),
        environment={name: os.environ[name] for name in given.env if name in os.environ},
        grace=5.0 if given.grace is None else given.grace,
    )


async def serve(given: argparse.Namespace) -> None:
    given.state.mkdir(parents=True, exist_ok=True)
    state = given.state.resolve()
    cluster = Cluster(given.kubeconfig.resolve()) if given.kubeconfig else None
    store = Store(state)
    pace = Pace(pending=given.pending, task=given.task_delay)
    executor = Executor(store, runner_of(given, store, cluster), pace=pace, at_once=given.steps)
    access = Access(cluster) if cluster and given.check_access else None
    runner = web.AppRunner(Server(store, executor, multi_user=given.multi_user, access=access).application())
    await runner.setup()
    context = server_context(state) if given.tls else None
    await web.TCPSite(runner, given.host, given.port, ssl_context=context, shutdown_timeout=1).start()
    port = runner.addresses[0][1]
    print(f"{'https' if given.tls else 'http'}://{given.host}:{port}", flush=True)
    executor.resume()
    workers = asyncio.create_task(Workers(cluster, store).work()) if cluster and not given.pods else None
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    if workers:
        workers.cancel()
    await executor.close()
    await runner.cleanup()
    if cluster:
        await cluster.close()


if __name__ == "__main__":
    asyncio.run(serve(arguments()))
    sys.exit(0)
