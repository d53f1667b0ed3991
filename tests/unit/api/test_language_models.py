"""What a TrainingRun says of a language model, and what it must not say."""

from typing import Any

import pytest

from runwright_api.loading import load
from runwright_api.problems import SpecError
from runwright_pipelines.lowering import lower

RUN = """
apiVersion: runwright.dev/v1alpha1
kind: TrainingRun
metadata: {{name: stories}}
spec:
  data: {{sources: [{{path: books}}]}}
  prepare: {prepare}
  train: {train}
  evaluate: {evaluate}
"""


def loaded(prepare: str = "{}", train: str = "{task: text-generation}", evaluate: str = "{}") -> Any:
    return load(RUN.format(prepare=prepare, train=train, evaluate=evaluate))


def test_what_is_not_said_is_chosen_for_text() -> None:
    run = loaded(train="{task: text-generation, model: {context: 64}}")
    configs = lower(run)
    assert run.spec.train.model.name == "decoder"
    assert run.spec.train.model.dropout == 0.0
    assert configs.prepare.task == configs.train.task == configs.evaluate.task == "generation"
    assert configs.prepare.split.strategy == "random"
    assert configs.prepare.text.max_tokens == 64
    assert not configs.prepare.text.lowercase
    assert not configs.collect.sources[0].labelled


@pytest.mark.parametrize(
    ("parts", "place", "message"),
    [
        ({"train": "{task: text-generation, model: {name: textcnn}}"}, "train.model.name", "model.name fits the task"),
        ({"train": "{task: text-classification, model: {name: decoder}}"}, "train.model.name", "fits the task"),
        (
            {"train": "{task: text-generation, model: {heads: 4, keyValueHeads: 3}}"},
            "train.model.keyValueHeads",
            "keyValueHeads divides heads",
        ),
        ({"train": "{task: text-generation, model: {lora: {}}}"}, "train.model.lora", "needs a pretrained model"),
        (
            {"train": "{task: text-classification, model: {name: pretrained, pretrained: x, lora: {}}}"},
            "train.model.lora",
            "lora and keyValueHeads are for text-generation",
        ),
        (
            {"train": "{task: text-generation, model: {name: pretrained, pretrained: x, freeze: true}}"},
            "train.model.freeze",
            "are for encoders",
        ),
        ({"train": "{task: text-generation, labelSmoothing: 0.1}"}, "train.labelSmoothing", "for classification"),
        ({"prepare": "{text: {prompt: ask}}"}, "prepare.text.response", "prompt and response belong together"),
        (
            {"prepare": "{text: {prompt: a, response: b, messages: c}}"},
            "prepare.text.messages",
            "messages hold prompts and responses already",
        ),
        (
            {"prepare": "{text: {messages: c}}", "train": "{task: text-classification}"},
            "prepare.text.messages",
            "are for text-generation",
        ),
        ({"prepare": "{split: {strategy: stratified}}"}, "prepare.split.strategy", "needs classes"),
        ({"evaluate": "{gate: [{metric: accuracy, min: 0.9}]}"}, "evaluate.gate[0].metric", "fit the task"),
    ],
)
def test_contradictions_are_named_with_their_place(parts: dict[str, str], place: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        loaded(**parts)
    assert f"spec.{place}" in str(caught.value)
    assert message in str(caught.value)
