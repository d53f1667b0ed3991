"""A convolutional network in Keras; the backend is chosen by KERAS_BACKEND."""

import json
import os
import warnings
from pathlib import Path

import keras
import numpy as np
import onnx
import polars as pl

data, model = Path(os.environ["RUNWRIGHT_DATA"]), Path(os.environ["RUNWRIGHT_MODEL"])
config = json.loads(Path(os.environ["RUNWRIGHT_CONFIG"]).read_text())
schema = json.loads((data / "schema.json").read_text())
shape = tuple(schema["inputs"][0]["shape"][1:])
keras.utils.set_random_seed(config["seed"])


def load(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels float32 [N, C, H, W] in [0, 1], and classes [N]."""
    frame = pl.read_parquet(data / f"{split}.parquet")
    raw = np.frombuffer(b"".join(frame["pixels"]), np.uint8).reshape(len(frame), *shape)
    return raw.astype(np.float32) / 255, frame["target"].to_numpy()


class Told(keras.callbacks.Callback):
    """Appends a line for each epoch to RUNWRIGHT_METRICS."""

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        line = {
            "epoch": epoch + 1,
            "epochs": config["epochs"],
            "train_loss": logs["loss"],
            "validation_loss": logs["val_loss"],
            "validation_metric": logs["val_accuracy"],
            "learning_rate": config["learningRate"],
        }
        with Path(os.environ["RUNWRIGHT_METRICS"]).open("a") as file:
            file.write(json.dumps(line) + "\n")


network = keras.Sequential(
    [
        keras.Input(shape, name="pixels"),
        keras.layers.Permute((2, 3, 1)),  # Keras wants the channels last
        keras.layers.Conv2D(24, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(48, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(len(schema["labels"]), name="logits"),
    ]
)
network.compile(
    keras.optimizers.AdamW(config["learningRate"], weight_decay=config["weightDecay"]),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
held_x, held_y = load("validation")
network.fit(
    *load("train"),
    validation_data=(held_x, held_y),
    epochs=config["epochs"],
    batch_size=config["batchSize"],
    callbacks=[Told()],
    verbose=0,
)
warnings.simplefilter("ignore")  # the tracer's remarks
network.export(model / "model.onnx", format="onnx", verbose=False)
graph = onnx.load(model / "model.onnx")  # Keras names the input as we do, and numbers the output
graph.graph.node.append(onnx.helper.make_node("Identity", [graph.graph.output[0].name], ["logits"]))
graph.graph.output[0].name = "logits"
onnx.save(graph, model / "model.onnx")
np.save(model / "outputs.npy", network.predict(held_x, verbose=0))  # to compare the graph with
