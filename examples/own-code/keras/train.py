"""A Keras network over numbers and embedded categories; the backend is chosen by KERAS_BACKEND."""

import json
import os
import warnings
from pathlib import Path

import keras
import numpy as np
import polars as pl

data, model = Path(os.environ["RUNWRIGHT_DATA"]), Path(os.environ["RUNWRIGHT_MODEL"])
config = json.loads(Path(os.environ["RUNWRIGHT_CONFIG"]).read_text())
schema = json.loads((data / "schema.json").read_text())
tensors = {tensor["name"]: tensor for tensor in schema["inputs"]}
keras.utils.set_random_seed(config["seed"])


def load(split: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Input tensors by name, and the standardized target [N]."""
    frame = pl.read_parquet(data / f"{split}.parquet")
    inputs = {name: frame.select(one["columns"]).to_numpy().astype(one["dtype"]) for name, one in tensors.items()}
    return inputs, frame[schema["target"]].to_numpy()


class Told(keras.callbacks.Callback):
    """Appends a line for each epoch to RUNWRIGHT_METRICS."""

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        line = {
            "epoch": epoch + 1,
            "epochs": config["epochs"],
            "train_loss": logs["loss"],
            "validation_loss": logs["val_loss"],
            "validation_metric": logs["val_r2_score"],
            "learning_rate": float(self.model.optimizer.learning_rate),
        }
        with Path(os.environ["RUNWRIGHT_METRICS"]).open("a") as file:
            file.write(json.dumps(line) + "\n")


given = {name: keras.Input((one["shape"][1],), name=name, dtype=one["dtype"]) for name, one in tensors.items()}
parts = [given["numeric"]]
for index, size in enumerate(tensors["categorical"]["sizes"]):
    parts.append(keras.layers.Embedding(size, 2)(given["categorical"][:, index]))
hidden = keras.layers.Concatenate()(parts)
for width in (64, 64):
    hidden = keras.layers.Dropout(0.2)(keras.layers.Dense(width, activation="gelu")(hidden))
network = keras.Model(given, keras.layers.Dense(1, name="value")(hidden))

steps = config["epochs"] * -(-schema["rows"]["train"] // config["batchSize"])
rate = keras.optimizers.schedules.CosineDecay(config["learningRate"], steps)
network.compile(keras.optimizers.AdamW(rate, weight_decay=0.1), loss="mse", metrics=[keras.metrics.R2Score()])
(x, y), (held_x, held_y) = load("train"), load("validation")
network.fit(
    x,
    y[:, None],
    validation_data=(held_x, held_y[:, None]),
    epochs=config["epochs"],
    batch_size=config["batchSize"],
    callbacks=[Told()],
    verbose=0,
)
warnings.simplefilter("ignore")  # the tracer's remarks
network.export(model / "model.onnx", format="onnx", verbose=False)
np.save(model / "outputs.npy", network.predict(held_x, verbose=0))  # to compare the graph with
