"""The metrics come without the libraries that they do not need, and are torchmetrics' own."""

import subprocess
import sys

PROBE = """
import sys
from runwright_components.evaluate import metrics_library
classification, regression = metrics_library.classification(), metrics_library.regression()
import torch
assert float(classification.binary_auroc(torch.tensor([0.1, 0.9, 0.4]), torch.tensor([0, 1, 1]))) == 1.0
assert float(regression.mean_absolute_error(torch.tensor([1.0]), torch.tensor([3.0]))) == 2.0
heavy = {"torchvision", "matplotlib", "scipy", "transformers", "torch._dynamo"} & set(sys.modules)
print(classification.__file__, sorted(heavy))
"""


def test_metrics_load_lean() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "site-packages/torchmetrics/functional/classification" in done.stdout
    assert done.stdout.strip().endswith("[]")
