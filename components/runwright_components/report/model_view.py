"""What the pages show of the model: its facts, its learning curves, its inputs and how to call it. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from runwright_components.contract.artifacts import Cost, Epoch, History, Lineage, ModelManifest, Signature
from runwright_components.contract.config.trees import TreesConfig
from runwright_components.contract.evaluation import Evaluation
from runwright_components.contract.kinds import KINDS
from runwright_components.report import control_view, unsupervised_view
from runwright_components.report.charts import Chart, curves, shares
from runwright_components.report.wording import count, fixed, number, percent, seconds, short

_STOPPED = {
    "epochs": "all {unit}s were run",
    "steps": "the limit of steps was reached",
    "early": "stopped early, for the validation loss no longer fell",
}
LONGEST_EXAMPLE = 1500
MOST_INPUTS = 12  # whose importance is drawn


@dataclass(frozen=True)
class TrainingView:
    facts: tuple[tuple[str, str], ...]
    charts: tuple[Chart, ...]
    sentence: str


@dataclass(frozen=True)
class Node:
    """A box of the lineage."""

    name: str
    facts: tuple[str, ...]
    digest: str

    @property
    def brief(self) -> str:
        return short(self.digest)


@dataclass(frozen=True)
class UseView:
    serve: str
    predict: str
    call: str
    example: str


def training_view(model: ModelManifest, history: History) -> TrainingView:
    epochs = history.epochs
    if model.task == "control":
        return TrainingView(
            _facts(model, epochs), control_view.learning(history), _ended(control_view.learned(history), history)
        )
    unit, learned = ("round", "trees are those up to the end") if model.model.trees else ("epoch", "weights are those")
    best = next((entry for entry in epochs if entry.epoch == history.best_epoch), None)
    metric_name = KINDS[model.task].curve
    mark = (float(history.best_epoch), "best") if best else None
    charts = (
        curves(
            "Loss",
            _trend("training loss", [entry.train_loss for entry in epochs])
            + "; "
            + _trend("validation loss", [entry.validation_loss for entry in epochs]),
            (
                ("training", "quiet", [(entry.epoch, entry.train_loss) for entry in epochs]),
                ("validation", "one", [(entry.epoch, entry.validation_loss) for entry in epochs]),
            ),
            x_label=unit,
            mark=mark,
        ),
        *_metric_curve(epochs, metric_name, unit, mark),
        _importance(history.importance)
        if history.importance
        else curves(
            "Learning rate",
            _trend("learning rate", [entry.learning_rate for entry in epochs]),
            (("rate", "two", [(entry.epoch, entry.learning_rate) for entry in epochs]),),
            x_label=unit,
        ),
    )
    sentence = _STOPPED[history.stopped].format(unit=unit)
    if best:
        sentence += f"; the {learned} of {unit} {best.epoch} (validation loss {number(best.validation_loss)}" + (
            f", {metric_name} {fixed(best.validation_metric)})" if metric_name else ")"
        )
    return TrainingView(_facts(model, epochs), charts if len(epochs) > 1 else (), _ended(sentence, history))


def _ended(sentence: str, history: History) -> str:
    if history.resumed_from_step:
        sentence += f"; resumed from step {count(history.resumed_from_step)}"
    return sentence[:1].upper() + sentence[1:] + "."


def _metric_curve(epochs: Sequence[Epoch], name: str, unit: str, mark: tuple[float, str] | None) -> Iterator[Chart]:
    """The validation metric beside the loss, for the kinds of tasks that have one."""
    if name:
        yield curves(
            f"Validation {name}",
            _trend(f"validation {name}", [entry.validation_metric for entry in epochs]),
            (("validation", "one", [(entry.epoch, entry.validation_metric) for entry in epochs]),),
            x_label=unit,
            mark=mark,
        )


def _importance(importance: Mapping[str, float]) -> Chart:
    """The inputs whose splits gained most."""
    ordered = sorted(importance.items(), key=lambda item: -item[1])[:MOST_INPUTS]
    told = ", ".join(f"{name} {percent(share)}" for name, share in ordered[:3])
    return shares("Importance", f"what each input gained: {told}", ordered, x_label="share of the gain of all splits")


def _sizes_of_trees(trees: TreesConfig) -> str:
    depth = f"depth {trees.depth}" if trees.depth else f"{trees.leaves} leaves"
    return f"trees of {depth}, learning rate {trees.learning_rate:g}"


def _facts(model: ModelManifest, epochs: tuple[Epoch, ...]) -> tuple[tuple[str, str], ...]:
    shape = model.model
    sizes = {
        "mlp": "hidden " + " \u2192 ".join(str(size) for size in shape.hidden),
        "policy": f"by {shape.algorithm}, hidden " + " \u2192 ".join(str(size) for size in shape.hidden),
        "nhits": "hidden " + " \u2192 ".join(str(size) for size in shape.hidden) + f", depth {shape.depth}",
        "dlinear": "linear",
        "code": "the user's own",
        "pretrained": f"from {shape.pretrained}" + (", encoder frozen" if shape.freeze else ""),
    }
    if shape.unsupervised:
        sizes |= unsupervised_view.sizes(shape)
    if shape.trees:
        sizes[shape.name] = _sizes_of_trees(shape.trees)
    speed = [entry.samples_per_second for entry in epochs]
    facts = [
        ("Architecture", f"{shape.name}, {sizes.get(shape.name, f'width {shape.width}, depth {shape.depth}')}"),
        ("Parameters", count(model.parameters)),
        ("Rounds", count(model.steps))
        if shape.trees
        else ("Epochs and steps", f"{count(len(epochs))} and {count(model.steps)}"),
        ("Precision", model.precision),
        ("Device", f"{model.device}, {model.world_size} {'process' if model.world_size == 1 else 'processes'}"),
        ("Duration", seconds(model.seconds)),
    ]
    if speed:
        facts.append(("Throughput", f"{count(sum(speed) / len(speed))} rows/s"))
    return tuple(facts) + (_cost_facts(model.cost) if model.cost else ())


def _cost_facts(cost: Cost) -> tuple[tuple[str, str], ...]:
    facts = [
        ("Processor time", seconds(cost.cpu_seconds)),
        ("GPU time", seconds(cost.gpu_seconds) if cost.gpu_seconds else ""),
        ("Tokens", f"{count(cost.tokens_per_second)} tokens/s" if cost.tokens else ""),
        ("Use of the GPU's peak (MFU)", f"{cost.mfu:.1%}" if cost.mfu else ""),
        ("Peak memory of a process", f"{cost.peak_host_bytes / 1e9:.2f} GB"),
        ("Peak memory of a GPU", f"{cost.peak_gpu_bytes / 1e9:.2f} GB" if cost.peak_gpu_bytes else ""),
        ("Energy of the GPUs", f"{cost.energy_joules / 3.6e6:.3f} kWh" if cost.energy_joules else ""),
        ("Continued", f"{count(cost.restarts)} times" if cost.restarts else ""),
    ]
    return tuple(fact for fact in facts if fact[1])


def _trend(name: str, values: list[float]) -> str:
    return f"{name} from {number(values[0])} to {number(values[-1])}" if values else f"no {name}"


def lineage(evaluation: Evaluation) -> tuple[tuple[Node, ...], ...]:
    """The way from the sources to the verdict: columns of boxes, each made from the one before."""
    inputs = evaluation.lineage.inputs
    found = _parents(evaluation.lineage)
    raw = next((entry.inputs for entry in found if entry.stage == "prepare"), {})
    sources = next((entry.inputs for entry in found if entry.stage == "collect"), {})
    columns = [
        tuple(Node(name, ("source",), digest) for name, digest in sorted(sources.items())),
        tuple(Node("raw data", ("collect",), digest) for digest in list(raw.values())[:1]),
        (Node("prepared data", ("prepare",), evaluation.prepared_digest),),
        (Node("model", ("train",), evaluation.model_digest),),
        (Node("test rows", ("evaluate",), inputs.get("testRows", "")),),
    ]
    return tuple(column for column in columns if column)


def _parents(entry: Lineage) -> list[Lineage]:
    return [entry] + [deep for parent in entry.parents for deep in _parents(parent)]


def use_view(run_name: str, signature: Signature) -> UseView:
    """The commands that serve the model and ask it; texts of data are quoted for the shell."""
    folder = f".runwright/{run_name}/serving"
    body = json.dumps({"instances": [signature.example]}, ensure_ascii=False)
    shown = {name: _abbreviated(value) for name, value in signature.example.items()}
    call = f"curl -s localhost:8080/v1/models/{run_name}:predict -d "
    whole = len(body) <= LONGEST_EXAMPLE
    return UseView(
        serve=f"runwright serve {shlex.quote(folder)}",
        predict=f"runwright predict {shlex.quote(folder)} --input rows.json",
        call=call + (shlex.quote(body) if whole else "@rows.json"),
        example=json.dumps({"instances": [shown]}, ensure_ascii=False, indent=2),
    )


def _abbreviated(value: JsonValue) -> JsonValue:
    if isinstance(value, list) and len(value) > 8:
        return [*value[:8], f"... {len(value)} in all"]
    return value[:77] + "..." if isinstance(value, str) and len(value) > 80 else value
