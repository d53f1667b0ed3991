"""What the file that `init` writes begins with, task by task: a model, how it learns, and a bound to think of."""

from __future__ import annotations

from dataclasses import dataclass

from runwright_api.spec.model import Task


@dataclass(frozen=True)
class Start:
    """`train`: lines of spec.train below the task. `gate`: an example of a bound, as it stands in the braces."""

    train: tuple[str, ...]
    gate: str


def _learning(model: str, *, epochs: int, batch: int = 64, rate: float = 0.001) -> tuple[str, ...]:
    return (
        f"model: {{name: {model}}}",
        f"epochs: {epochs}  # at most: training stops early when the validation loss no longer falls",
        f"batchSize: {batch}",
        f"learningRate: {rate}",
    )


_MLP = "mlp, hidden: [128, 128]"
_AUTOENCODER = "autoencoder, hidden: [64, 32]"
_DECODER = "decoder, width: 128, depth: 4, heads: 4, keyValueHeads: 2, context: 128"

STARTS: dict[Task, Start] = {
    "tabular-classification": Start(_learning(_MLP, epochs=100), "accuracy, min: 0.8"),
    "tabular-regression": Start(_learning(_MLP, epochs=100), "r2, min: 0.5"),
    "image-classification": Start(_learning("cnn", epochs=20), "accuracy, min: 0.8"),
    "text-classification": Start(_learning("textcnn", epochs=10), "accuracy, min: 0.8"),
    "text-regression": Start(_learning("textcnn", epochs=10), "r2, min: 0.5"),
    "text-generation": Start(_learning(_DECODER, epochs=3, batch=16, rate=0.003), "bitsPerByte, max: 2.5"),
    "series-forecasting": Start(_learning("nhits", epochs=20, batch=128), "skill, min: 0"),
    "tabular-anomaly": Start(_learning(_AUTOENCODER, epochs=100), "anomalyShare, max: 0.15"),
    "tabular-clustering": Start(("model: {name: kmeans}",), "silhouette, min: 0.2"),
    "tabular-embedding": Start(_learning(_AUTOENCODER, epochs=100), "trustworthiness, min: 0.9"),
    "environment-control": Start(("reinforcement: {timesteps: 100000}",), "gainOverRandom, min: 0"),
}
"""Every task; a test sees to that."""
