"""Judge the model that will be served on the untouched test split, and hold it against the gate.

`classification`, `regression` and `slices` are pure, as is the gate (`contract.gate`); `speed` measures; `stage` reads
and writes.
"""

from runwright_components.evaluate.stage import evaluate

__all__ = ["evaluate"]
