"""What tasks without a target ask of the rest: a name, the changes, the place, the words told."""

from typing import Any

SIZES = "spec.train.model.unsupervised"


def alone(kind: str, model: dict[str, Any] | None = None, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """A TrainingRun without a target, for `tabular-KIND`."""
    given = {} if model is None else {"spec.train.model": model}
    return {"spec.train.task": f"tabular-{kind}", "spec.prepare": None, **given, **(changes or {})}


UNSUPERVISED_BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "clusters of a forest",
        alone("anomaly", {"name": "isolationforest", "unsupervised": {"clusters": 3}}),
        f"{SIZES}.clusters",
        "clusters kmeans, gaussianmixture",
    ),
    (
        "a threshold of clusters",
        alone("clustering", {"name": "kmeans", "unsupervised": {"contamination": 0.1}}),
        f"{SIZES}.contamination",
        "contamination autoencoder, isolationforest",
    ),
    ("a clustering of anomalies", alone("anomaly", {"name": "kmeans"}), "spec.train.model.name", "fits the task"),
    ("an autoencoder of clusters", alone("clustering", {"name": "autoencoder"}), "spec.train.model.name", "fits"),
    ("sizes of a classifier", {SIZES: {}}, SIZES, "without a target"),
    (
        "epochs of a fit",
        alone("clustering", {"name": "kmeans"}, {"spec.train.epochs": 3}),
        "spec.train.epochs",
        "fitted at once",
    ),
    (
        "a GPU for a fit",
        alone("anomaly", {"name": "isolationforest"}, {"spec.train.resources": {"gpusPerNode": 1}}),
        "spec.train.resources.gpusPerNode",
        "in one process on the CPU",
    ),
    (
        "code without a target",
        alone("anomaly", None, {"spec.train.code": {"path": "a.py"}}),
        "spec.train.code",
        "tasks",
    ),
    (
        "accuracy of clusters",
        alone("clustering", None, {"spec.evaluate.gate": [{"metric": "accuracy", "min": 0.9}]}),
        "spec.evaluate.gate[0].metric",
        "silhouette",
    ),
    (
        "strata of what has no classes",
        alone("embedding", None, {"spec.prepare": {"split": {"strategy": "stratified"}}}),
        "spec.prepare.split.strategy",
        "classes",
    ),
]

UNSUPERVISED_USED_WELL: list[tuple[str, dict[str, Any]]] = [
    ("anomalies", alone("anomaly")),
    ("anomalies with a label to judge by", alone("anomaly", None, {"spec.prepare": {"target": "state"}})),
    (
        "a forest",
        alone("anomaly", {"name": "isolationforest", "unsupervised": {"trees": 50, "rows": 128, "contamination": 0.1}}),
    ),
    ("clusters", alone("clustering", {"unsupervised": {"mostClusters": 5}})),
    ("a mixture", alone("clustering", {"name": "gaussianmixture", "unsupervised": {"clusters": 3}})),
    (
        "an embedding",
        alone(
            "embedding",
            {"hidden": [64], "unsupervised": {"dimension": 4}},
            {"spec.evaluate.gate": [{"metric": "neighbourAccuracy", "min": 0.9}]},
        ),
    ),
]
