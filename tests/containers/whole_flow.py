"""Run in an image: every stage of an example, the training as two processes, by configurations lowered outside.

python whole_flow.py CONFIGURATIONS OUT
"""

import json
import sys
from pathlib import Path

from runwright_components.collect import collect
from runwright_components.contract import config as configs
from runwright_components.contract.progress import silent
from runwright_components.evaluate import evaluate
from runwright_components.package import package
from runwright_components.prepare import prepare
from runwright_components.report import report_page
from runwright_components.train import train

given = json.loads(Path(sys.argv[1]).read_text())
out = Path(sys.argv[2])
raw, prepared, model, judged, packed = (out / name for name in ("raw", "prepared", "model", "evaluation", "package"))
collect(configs.CollectConfig(**given["collect"]), out=raw, progress=silent("collect"))
prepare(configs.PrepareConfig(**given["prepare"]), raw=raw, out=prepared, progress=silent("prepare"))
train(
    configs.TrainConfig(**given["train"]),
    prepared=prepared,
    out=model,
    checkpoints=out / "checkpoints",
    resume=False,
    progress=silent("train"),
)
evaluate(
    configs.EvaluateConfig(**given["evaluate"]), model=model, prepared=prepared, out=judged, progress=silent("evaluate")
)
package(
    configs.PackageConfig(**given["package"]),
    model=model,
    evaluation=judged,
    prepared=prepared,
    out=packed,
    progress=silent("package"),
)
page = report_page(run_name="penguins", prepared=prepared, model=model, evaluation=judged)
(out / "report.html").write_text(page)
print(json.loads((packed / "manifest.json").read_text())["model_digest"])
