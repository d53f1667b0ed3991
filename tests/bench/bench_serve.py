"""Latency and throughput of the model server against a bare FastAPI + ONNX Runtime server of the same graph.

    python tests/bench/bench_serve.py [--package DIR] [--rounds 10] [--requests 300]

Two servers run as processes of their own, each one uvicorn worker with ONNX Runtime on one thread, asked in four ways:
`runwright` (V1: a raw row in, label and probabilities out), the same server asked by `v2`, `tensors` (bare: ready-made
tensors in, logits out, nothing else done) and `rows` (bare: the same raw row in, preprocessing written by hand for this
table, label and probabilities out). One client with a kept connection asks in turns, in interleaved rounds, so that
whatever else the machine does falls on all alike; then several clients at once measure requests a second, and the
server's CPU time for one, which other work on the machine disturbs least.
With no package one is made of a generated table with 8 numeric and 4 categorical columns.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BARE = """
import sys, time
started = time.perf_counter()
import json, math
import numpy as np, onnxruntime, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

imported = time.perf_counter()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1] + "/model.onnx", options, providers=["CPUExecutionProvider"])
state = json.load(open(sys.argv[1] + "/preprocessing/state.json"))
labels = state["target"]["labels"]
numeric = [(n["column"], n["fill"], n["offset"], n["scale"]) for n in state["numeric"]]
categorical = [
    (c["column"], {key: code for code, key in enumerate(c["keys"], 1)}, c["missing"]) for c in state["categorical"]
]
app = FastAPI()


class Tensors(BaseModel):
    numeric: list[list[float]]
    categorical: list[list[int]]


class Rows(BaseModel):
    instances: list[dict[str, float | str | None]]


def run(inputs):
    return session.run(None, inputs)[0]


@app.post("/tensors")
async def tensors(request: Tensors):
    inputs = {
        "numeric": np.array(request.numeric, dtype=np.float32),
        "categorical": np.array(request.categorical, dtype=np.int64),
    }
    return {"predictions": run(inputs).tolist()}


@app.post("/rows")
async def rows(request: Rows):
    numbers, codes = [], []
    for row in request.instances:
        values = []
        for name, fill, offset, scale in numeric:
            value = row[name]
            values.append(((fill if value is None else value) - offset) / scale)
        numbers.append(values)
        values = []
        for name, known, missing in categorical:
            value = row[name]
            values.append(missing if value is None else known.get(" ".join(value.split()).lower(), 0))
        codes.append(values)
    logits = run({"numeric": np.array(numbers, dtype=np.float32), "categorical": np.array(codes, dtype=np.int64)})
    exact = logits.astype(np.float64)
    powers = np.exp(exact - exact.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    return {
        "predictions": [
            {"label": labels[int(row.argmax())], "probabilities": dict(zip(labels, row.tolist()))} for row in shares
        ]
    }


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        print(f"ready {time.perf_counter() - imported:.3f} {imported - started:.3f}", flush=True)


Server(uvicorn.Config(app, port=int(sys.argv[2]), log_level="warning", access_log=False)).run()
"""

OURS = """
import sys, time
started = time.perf_counter()
from pathlib import Path
sys.argv, arguments = sys.argv[:1], sys.argv
from runwright_components.serve.server import ServeOptions, serve
imported = time.perf_counter()


def say(port, model):
    print(f"ready {time.perf_counter() - imported:.3f} {imported - started:.3f}", flush=True)


serve(Path(arguments[1]), "bench", options=ServeOptions(host="127.0.0.1", port=int(arguments[2])), on_ready=say)
"""


@dataclass(frozen=True)
class Server:
    """A server process on 127.0.0.1."""

    process: int
    port: int

    def cpu_seconds(self) -> float:
        """User and system time so far, of all its threads."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Target:
    """One way to ask one server; `times` and `cpu` (of a request) in seconds, `rates` in requests a second."""

    name: str
    server: Server
    path: str
    body: bytes
    times: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def request(self) -> bytes:
        head = f"POST {self.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body


class Client:
    """A kept connection that costs next to nothing itself, so that the servers are what is measured."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> bytes:
        """The body of the answer; an error when it is not 200."""
        self._socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._socket.recv(65536)
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
        while len(body) < length:
            body += self._socket.recv(65536)
        if b" 200 " not in lines[0]:
            raise SystemExit(f"{lines[0]!r}: {body!r}")
        return body

    def close(self) -> None:
        self._socket.close()


def latency(target: Target, requests: int) -> None:
    """Ask one after the other and keep the times."""
    client, request = Client(target.server.port), target.request
    for _ in range(20):
        client.ask(request)
    for _ in range(requests):
        start = time.perf_counter()
        client.ask(request)
        target.times.append(time.perf_counter() - start)
    client.close()


def throughput(target: Target, seconds: float, clients: int) -> None:
    """Requests a second of several clients that never wait."""
    until = time.perf_counter() + seconds
    before = target.server.cpu_seconds()
    counts = [0] * clients

    def keep_asking(number: int) -> None:
        client, request = Client(target.server.port), target.request
        while time.perf_counter() < until:
            client.ask(request)
            counts[number] += 1
        client.close()

    threads = [threading.Thread(target=keep_asking, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    target.rates.append(sum(counts) / seconds)
    target.cpu.append((target.server.cpu_seconds() - before) / sum(counts))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start(stack: ExitStack, name: str, code: str, package: Path) -> Server:
    """Start a server and say how long it took."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(package), str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    assert process.stdout is not None
    words = process.stdout.readline().split()
    if not words:
        raise SystemExit(f"{name} did not start")
    print(f"{name:10} ready {float(words[1]):.2f} s after its imports, which took {float(words[2]):.2f} s")
    return Server(process.pid, port)


def make_package(folder: Path) -> Path:
    """A model artifact of a generated table, through prepare and the exporter; weights are random."""
    import numpy as np
    import polars as pl
    import torch

    from runwright_components.contract.artifacts import (
        ONNX,
        PREPROCESSING,
        Lineage,
        ModelManifest,
        RawManifest,
        model_digest,
    )
    from runwright_components.contract.config import MissingRules, ModelConfig, PrepareConfig
    from runwright_components.contract.files import folder_files
    from runwright_components.contract.progress import silent
    from runwright_components.features import Preprocessing
    from runwright_components.models import build, export_onnx, shape_of
    from runwright_components.prepare import prepare

    rng = np.random.default_rng(0)
    rows = 2000
    columns: dict[str, Any] = {f"n{number}": rng.normal(number, 1 + number, rows) for number in range(8)}
    columns |= {f"c{number}": rng.choice(["Red", "Green", "Blue", "Deep Sky"], rows) for number in range(4)}
    frame = pl.DataFrame({**columns, "y": rng.choice(["yes", "no", "perhaps"], rows)})
    raw = folder / "raw"
    raw.mkdir()
    frame.write_parquet(raw / "data.parquet")
    lineage = Lineage(stage="bench", config="")
    schema = {name: str(dtype) for name, dtype in frame.schema.items()}
    RawManifest(
        digest="sha256:0", rows=rows, columns=schema, sources=(), files=("data.parquet",), lineage=lineage
    ).write(raw)
    config = PrepareConfig(modality="tabular", task="classification", target="y", missing=MissingRules(indicator=False))
    prepared = prepare(config, raw=raw, out=folder / "prepared", progress=silent())
    model = folder / "model"
    Preprocessing.load(folder / "prepared" / PREPROCESSING).save(model / PREPROCESSING)
    torch.manual_seed(0)
    shape = shape_of(folder / "prepared")
    architecture = ModelConfig(name="mlp")
    module = build(architecture, shape).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.2)
    export_onnx(module, shape, model / ONNX)
    files = folder_files(model)
    ModelManifest(
        digest=model_digest(files),
        model=architecture,
        task="classification",
        modality="tabular",
        parameters=0,
        classes=shape.classes,
        categories=prepared.categories,
        steps=0,
        best_epoch=0,
        precision="fp32",
        device="cpu",
        world_size=1,
        seconds=0.0,
        files=files,
        signature=prepared.signature,
        lineage=lineage,
    ).write(model)
    return model


def check_answers(targets: dict[str, Target]) -> None:
    """The servers must say the same, else the comparison is of different work."""
    answers = {name: json.loads(Client(target.server.port).ask(target.request)) for name, target in targets.items()}
    ours, theirs = answers["runwright"]["predictions"][0], answers["rows"]["predictions"][0]
    assert ours["label"] == theirs["label"], (ours, theirs)
    for label, probability in theirs["probabilities"].items():
        assert abs(ours["probabilities"][label] - probability) < 1e-6, (ours, theirs)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, help="of a table whose inputs are numbers and categories")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=300, help="a round and server")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.5, help="of throughput, a round and server")
    given = parser.parse_args()
    from runwright_components.serve.predictor import Predictor
    from runwright_components.serve.protocol import as_v2

    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        package = given.package or make_package(home)
        predictor = Predictor(package)
        example = dict(predictor.signature.example)
        tensors = predictor.preprocessing.transform(predictor.frame([example]))
        ours = start(stack, "runwright", OURS, package)
        bare = start(stack, "bare", BARE, package)
        v1 = json.dumps({"instances": [example]}).encode()
        ready_made = json.dumps({name: value.tolist() for name, value in tensors.items()}).encode()
        targets = {
            "runwright": Target("runwright", ours, "/v1/models/bench:predict", v1),
            "v2": Target(
                "v2", ours, "/v2/models/bench/infer", json.dumps(as_v2(example, predictor.signature)).encode()
            ),
            "tensors": Target("tensors", bare, "/tensors", ready_made),
            "rows": Target("rows", bare, "/rows", v1),
        }
        check_answers(targets)
        for number in range(given.rounds):
            order = list(targets.values())
            for target in order[number % 4 :] + order[: number % 4]:
                latency(target, given.requests)
                throughput(target, given.seconds, given.clients)
    report(targets)


def report(targets: dict[str, Target]) -> None:
    """A line a target, and ours against each bare one."""
    print(f"\n{'':10} {'p50 ms':>8} {'p99 ms':>8} {'requests/s':>11} {'CPU ms':>8}")
    for target in targets.values():
        p50, p99 = (percentile(target.times, share) * 1e3 for share in (0.5, 0.99))
        rate, cpu = statistics.median(target.rates), statistics.mean(target.cpu) * 1e3
        print(f"{target.name:10} {p50:8.3f} {p99:8.3f} {rate:11.0f} {cpu:8.3f}")
    for name in ("runwright", "v2"):
        for other in ("tensors", "rows"):
            more = percentile(targets[name].times, 0.5) - percentile(targets[other].times, 0.5)
            ratio = statistics.median(targets[name].rates) / statistics.median(targets[other].rates)
            print(f"{name} against {other}: p50 {more * 1e3:+.3f} ms, requests/s x {ratio:.2f}")


if __name__ == "__main__":
    main()
