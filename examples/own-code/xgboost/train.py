"""XGBoost with early stopping: its rounds are told as learning curves, and onnxmltools exports the trees."""

import json
import os
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import xgboost
from onnx import TensorProto, helper
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

data, model = Path(os.environ["RUNWRIGHT_DATA"]), Path(os.environ["RUNWRIGHT_MODEL"])
config = json.loads(Path(os.environ["RUNWRIGHT_CONFIG"]).read_text())
schema = json.loads((data / "schema.json").read_text())
columns = [column for tensor in schema["inputs"] for column in tensor["columns"]]  # numbers, then codes of categories


def load(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [N, F + C] in float32 and classes [N]."""
    frame = pl.read_parquet(data / f"{split}.parquet")
    return frame.select(columns).to_numpy().astype(np.float32), frame[schema["target"]].to_numpy()


class Told(xgboost.callback.TrainingCallback):
    """Appends a line for each round to RUNWRIGHT_METRICS."""

    def after_iteration(self, _model: object, epoch: int, evals_log: dict) -> bool:
        loss = {split: log["logloss"][-1] for split, log in evals_log.items()}
        line = {
            "epoch": epoch + 1,
            "epochs": config["epochs"],
            "train_loss": loss["validation_0"],
            "validation_loss": loss["validation_1"],
            "validation_metric": 1 - evals_log["validation_1"]["error"][-1],
            "learning_rate": config["learningRate"],
        }
        with Path(os.environ["RUNWRIGHT_METRICS"]).open("a") as file:
            file.write(json.dumps(line) + "\n")
        return False


(x, y), (held_x, held_y) = load("train"), load("validation")
patience = config["earlyStopping"]["patience"]
trees = xgboost.XGBClassifier(
    n_estimators=config["epochs"],
    learning_rate=config["learningRate"],
    max_depth=4,
    subsample=0.8,
    colsample_bytree=0.5,
    eval_metric=["error", "logloss"],
    early_stopping_rounds=patience,
    callbacks=[Told()],
    random_state=config["seed"],
)
trees.fit(x, y, eval_set=[(x, y), (held_x, held_y)], verbose=False)
trees.get_booster().feature_names = None  # the converter wants its own
graph = convert_xgboost(trees, initial_types=[("all", FloatTensorType([None, x.shape[1]]))], target_opset=15)

# The served graph takes the prepared tensors: numbers as they are and codes as integers, side by side.
inputs = [
    helper.make_tensor_value_info(
        tensor["name"], {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}[tensor["dtype"]], tensor["shape"]
    )
    for tensor in schema["inputs"]
]
floats = [helper.make_node("Cast", [one.name], [f"{one.name}_float"], to=TensorProto.FLOAT) for one in inputs]
joined = helper.make_node("Concat", [node.output[0] for node in floats], ["all"], axis=1)
del graph.graph.input[:]
graph.graph.input.extend(inputs)
for position, node in enumerate([*floats, joined]):
    graph.graph.node.insert(position, node)
onnx.save(graph, model / "model.onnx")
np.save(model / "outputs.npy", np.log(trees.predict_proba(held_x)))  # the logits, to compare the graph with
