"""What the pipeline costs: `runwright run` against the same component functions in one Python process.

`python tests/bench/bench_orchestration.py [EXAMPLE] [REPEATS]` prints JSON, in seconds of the wall clock: `run` (the
command, from start to exit), `functions` (one process that calls collect, prepare, train, evaluate, package, register,
deploy and draws the pages), `kfp_import` (of the runner, and of KFP's executor in each of the four steps), and
`difference = run - functions - kfp_import`. `cpu` has the same in seconds of processor time, which a busy machine
changes less. Medians over the repeats, which alternate; both sides start cold each time, with bytecode compiled, one
thread of torch and no result cache.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from runwright_api.loading import load_file
from runwright_components.contract import config as configs
from runwright_pipelines.local import bytecode
from runwright_pipelines.lowering import lower

ROOT = Path(__file__).parents[2]
STEPS = 4  # tasks of the compact layout
EPOCHS = 3


def functions(configurations: dict[str, Any], out: Path) -> None:
    """All stages in this process, with what the steps write beside them: pages, checkpoints."""
    from runwright_components.collect import collect
    from runwright_components.contract.progress import silent
    from runwright_components.deploy import deploy
    from runwright_components.evaluate import evaluate
    from runwright_components.package import package
    from runwright_components.prepare import prepare
    from runwright_components.register import register
    from runwright_components.report import curves_page, quality_page, report_page
    from runwright_components.train import train

    raw, prepared, model, evaluation, packaged = (
        out / name for name in ("raw", "prepared", "model", "eval", "package")
    )
    collect(configs.CollectConfig(**configurations["collect"]), out=raw, progress=silent("collect"))
    prepare(configs.PrepareConfig(**configurations["prepare"]), raw=raw, out=prepared, progress=silent("prepare"))
    (out / "quality.html").write_text(quality_page(prepared))
    train(
        configs.TrainConfig(**configurations["train"]),
        prepared=prepared,
        out=model,
        checkpoints=out / "checkpoints",
        resume=False,
        progress=silent("train"),
    )
    (out / "curves.html").write_text(curves_page(model))
    judging = configs.EvaluateConfig(**configurations["evaluate"])
    evaluate(judging, model=model, prepared=prepared, out=evaluation, progress=silent("evaluate"))
    page = report_page(run_name=judging.run_name, prepared=prepared, model=model, evaluation=evaluation)
    (out / "report.html").write_text(page)
    package(
        configs.PackageConfig(**configurations["package"]),
        model=model,
        evaluation=evaluation,
        prepared=prepared,
        out=packaged,
        progress=silent("package"),
    )
    place = {**configurations["register"], "uri": str(out / "registry")}
    registered = register(configs.RegisterConfig(**place), package=packaged, progress=silent("register"))
    deploying = configs.DeployConfig(name=judging.run_name, mode="local")
    deploy(deploying, registration=registered, workspace=out, progress=silent("deploy"))


class Cost(NamedTuple):
    """Seconds of the wall clock and of the processor, children included."""

    wall: float
    cpu: float


def _cost(command: Sequence[str], **environment: str) -> Cost:
    fitting = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    for name, value in bytecode(os.environ).items():
        fitting[name] = value or ""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=fitting, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(*(statistics.median(figures) for figures in zip(*costs, strict=True)))


def _of_python(code: str, **environment: str) -> Cost:
    return _median([_cost([sys.executable, "-c", code], **environment) for _ in range(5)])


def _kfp_import() -> Cost:
    bare = _of_python("")
    runner = _of_python("from kfp import components, dsl, local")
    step = _of_python("import kfp.dsl.executor_main", _KFP_RUNTIME="true")
    return Cost(*(r - b + STEPS * (s - b) for r, s, b in zip(runner, step, bare, strict=True)))


def main(example: str = "penguins", repeats: str = "3") -> None:
    file = ROOT / "examples" / example / "run.yaml"
    lowered = lower(load_file(file))
    given = {field.name: getattr(lowered, field.name).model_dump(mode="json") for field in fields(lowered)}
    given["train"] |= {"epochs": EPOCHS, "base": str(file.parent)}
    given["evaluate"]["gate"] = []
    for stage in ("collect", "prepare"):
        given[stage]["base"] = str(file.parent)
    changes = ("--set", f"spec.train.epochs={EPOCHS}", "--set", "spec.evaluate.gate=[]")
    command = [sys.executable, "-m", "runwright_cli", "run", str(file), "--layout", "compact", "-q", *changes]
    costs: dict[str, list[Cost]] = {"run": [], "functions": []}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "configurations.json").write_text(json.dumps(given))
        for repeat in range(int(repeats) + 1):  # the first warms caches and compiles bytecode
            here = Path(folder) / str(repeat)
            here.mkdir()
            ran = _cost([*command, "--workspace", str(here / "run")])
            called = _cost(
                [sys.executable, __file__, "--functions", str(Path(folder) / "configurations.json"), str(here)]
            )
            if repeat:
                costs["run"].append(ran)
                costs["functions"].append(called)
    measured = {name: _median(all_of_it) for name, all_of_it in costs.items()} | {"kfp_import": _kfp_import()}
    answer: dict[str, Any] = {"example": example, "repeats": int(repeats)}
    for clock in Cost._fields:
        figures = {name: round(getattr(cost, clock), 2) for name, cost in measured.items()}
        figures["difference"] = round(figures["run"] - figures["functions"] - figures["kfp_import"], 2)
        answer |= figures if clock == "wall" else {clock: figures}
    print(json.dumps(answer))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--functions"]:
        functions(json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3]))
    else:
        main(*sys.argv[1:])
