"""A scikit-learn pipeline: one-hot categories and extremely randomized trees, exported by skl2onnx."""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import polars as pl
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import ExtraTreesRegressor

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--trees", type=int, default=100)
options = parser.parse_args()

data, model = Path(os.environ["RUNWRIGHT_DATA"]), Path(os.environ["RUNWRIGHT_MODEL"])
config = json.loads(Path(os.environ["RUNWRIGHT_CONFIG"]).read_text())
schema = json.loads((data / "schema.json").read_text())
numeric = next(tensor for tensor in schema["inputs"] if tensor["name"] == "numeric")


def load(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [N, F] and the standardized target [N]."""
    frame = pl.read_parquet(data / f"{split}.parquet")
    return frame.select(numeric["columns"]).to_numpy(), frame[schema["target"]].to_numpy()


x, y = load("train")
forest = ExtraTreesRegressor(options.trees, min_samples_leaf=2, random_state=config["seed"]).fit(x, y)
held_x, held_y = load("validation")
print(f"validation R2 {forest.score(held_x, held_y):.3f}")

graph = to_onnx(forest, initial_types=[("numeric", FloatTensorType([None, x.shape[1]]))], target_opset=18)
(model / "model.onnx").write_bytes(graph.SerializeToString())
np.save(model / "outputs.npy", forest.predict(held_x).astype(np.float32))  # to compare the graph with
