"""Judge the model that will be served on the untouched test split, and hold it against the gate.

`classification`, `regression`, `slices` and `gate` are pure; `speed` measures; `stage` reads and writes.
"""

from runwright_components.evaluate.stage import evaluate

__all__ = ["evaluate"]
