"""From `model.safetensors` and `model.py` to an ONNX graph: `python -m ... TENSORS PREPARED TARGET`.

It runs in a process of user code, for `model.py` is user code. Beside the graph it leaves what the torch module gives
for rows of the validation split, to compare with.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

ROWS = 256


def main(tensors: Path, prepared: Path, target: Path) -> None:
    """Build the module, load the weights strictly and export. Raises whatever user code raises."""
    import numpy as np
    import torch
    from safetensors.torch import load_file

    from runwright_components.contract.artifacts import ONNX, OUTPUTS
    from runwright_components.models import export_onnx, shape_of
    from runwright_components.train.code.exports import FACTORY
    from runwright_components.train.code.parity import validation_inputs
    from runwright_components.train.code.schema import schema_of

    module = _factory(tensors.parent / FACTORY)(schema_of(prepared).model_dump(mode="json"))
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"build(schema) in {FACTORY} returned {type(module).__name__}, not a torch.nn.Module")
    module.load_state_dict(load_file(tensors))
    module.eval()
    export_onnx(module, shape_of(prepared), target / ONNX)
    inputs = {name: torch.from_numpy(value) for name, value in validation_inputs(prepared, ROWS).items()}
    with torch.inference_mode():
        np.save(target / OUTPUTS, module(**inputs).numpy().astype(np.float32), allow_pickle=False)


def _factory(path: Path) -> Any:
    sys.path.insert(0, str(path.parent))
    specification = importlib.util.spec_from_file_location("model", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["model"] = module
    specification.loader.exec_module(module)
    build = getattr(module, "build", None)
    if not callable(build):
        raise TypeError(f"{path.name} has no function build(schema)")
    return build


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
