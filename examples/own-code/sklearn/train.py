"""Extremely randomized trees on the pixels by scikit-learn, exported by skl2onnx."""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import ExtraTreesClassifier

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--trees", type=int, default=100)
options = parser.parse_args()

data, model = Path(os.environ["RUNWRIGHT_DATA"]), Path(os.environ["RUNWRIGHT_MODEL"])
config = json.loads(Path(os.environ["RUNWRIGHT_CONFIG"]).read_text())
schema = json.loads((data / "schema.json").read_text())
shape = schema["inputs"][0]["shape"]


def load(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels float32 [N, C * H * W] in [0, 1], and classes [N]."""
    frame = pl.read_parquet(data / f"{split}.parquet")
    raw = np.frombuffer(b"".join(frame["pixels"]), np.uint8).reshape(len(frame), -1)
    return raw.astype(np.float32) / 255, frame["target"].to_numpy()


(x, y), (held_x, held_y) = load("train"), load("validation")
trees = ExtraTreesClassifier(options.trees, random_state=config["seed"]).fit(x, y)
print(f"validation accuracy {trees.score(held_x, held_y):.3f}")

flat = [("flat", FloatTensorType([None, x.shape[1]]))]
graph = to_onnx(trees, initial_types=flat, options={"zipmap": False}, target_opset=18)

# The served graph takes pixels [N, C, H, W]; its `probabilities` are taken as they are.
graph.graph.initializer.append(numpy_helper.from_array(np.array([0, x.shape[1]]), "sizes"))
graph.graph.node.insert(0, helper.make_node("Reshape", ["pixels", "sizes"], ["flat"]))
del graph.graph.input[:]
graph.graph.input.append(helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape))
onnx.save(graph, model / "model.onnx")
