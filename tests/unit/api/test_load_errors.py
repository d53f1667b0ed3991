"""What a person reads when the YAML is wrong: place, fault and cure."""

from __future__ import annotations

import pytest

from runwright_api import Problem, SpecError, load


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught:
        load(text, file="run.yaml")
    return caught.value.problems


def only(text: str) -> Problem:
    found = problems(text)
    assert len(found) == 1, [problem.render() for problem in found]
    return found[0]


def test_the_whole_message(smallest_yaml: str) -> None:
    problem = only(smallest_yaml + "    epochs: many\n")
    assert problem.render() == (
        'run.yaml:13:13: spec.train.epochs: must be a whole number, not "many"\n'
        "  13 |     epochs: many\n"
        "     |             ^"
    )


@pytest.mark.parametrize(
    ("line", "place", "path", "message", "cure"),
    [
        # fields that are not known
        ("    epoch: 3", (13, 5), "spec.train.epoch", "unknown field epoch", "did you mean epochs?"),
        ("    batch_size: 3", (13, 5), "spec.train.batch_size", "unknown field", "did you mean batchSize?"),
        ("    LearningRate: 3", (13, 5), "spec.train.LearningRate", "unknown field", "did you mean learningRate?"),
        ("  epochs: 3", (13, 3), "spec.epochs", "unknown field", "epochs belongs to spec.train"),
        ("    dropout: 0.3", (13, 5), "spec.train.dropout", "unknown field", "dropout belongs to spec.train.model"),
        ("    slices: [a]", (13, 5), "spec.train.slices", "unknown field", "slices belongs to spec.evaluate"),
        ("    date_formats: [a]", (13, 5), "spec.train.date_formats", "unknown", "belongs to spec.prepare.columns[]"),
        ("    zzz: 3", (13, 5), "spec.train.zzz", "unknown field", "the fields here are task, model"),
        ("status: {phase: Serving}\nstatu: 1", (14, 1), "statu", "unknown field", "did you mean status?"),
        (
            "  storage: {uri: s3://b-b/x, secretRef: {name: a, namespace: b}}",
            (13, 51),
            "spec.storage.secretRef.namespace",
            "unknown field namespace",
            "own namespace",
        ),
        # values of the wrong type
        ('    epochs: "50"', (13, 13), "spec.train.epochs", 'whole number, not "50"', "remove the quotes"),
        ("    epochs: 50.0", (13, 13), "spec.train.epochs", "whole number, not 50.0", "write 50"),
        ("    epochs: 1e2", (13, 13), "spec.train.epochs", "whole number, not 100.0", "write 100"),
        ("    epochs: 2.5", (13, 13), "spec.train.epochs", "whole number, not 2.5", ""),
        ("    epochs: true", (13, 13), "spec.train.epochs", "whole number, not true", ""),
        ("    epochs: [1]", (13, 13), "spec.train.epochs", "whole number, not a list", ""),
        ("    learningRate: fast", (13, 19), "spec.train.learningRate", 'a number, not "fast"', ""),
        ("    timeout: 5", (13, 14), "spec.train.timeout", "must be text, not 5", 'put it in quotes: "5"'),
        ("    resources: {cpu: 4}", (13, 22), "spec.train.resources.cpu", "must be text", 'put it in quotes: "4"'),
        ("    model: mlp", (13, 12), "spec.train.model", 'must be a mapping, not "mlp"', "{field: value}"),
        ("    model: {hidden: 64}", (13, 21), "spec.train.model.hidden", "must be a list, not 64", "[64]"),
        ("    augment: {flip: 1}", (13, 21), "spec.train.augment.flip", "true or false, not 1", ""),
        ('    augment: {flip: "true"}', (13, 21), "spec.train.augment.flip", "true or false", "remove the quotes"),
        ("  evaluate: {gate: {metric: accuracy}}", (13, 20), "spec.evaluate.gate", "must be a list", "'- '"),
        # what YAML reads otherwise
        ("    optimizer: no", (13, 16), "spec.train.optimizer", 'adamw, adam, sgd, adafactor, not "no"', ""),
        (
            "  package: {description: no}",
            (13, 26),
            "spec.package.description",
            "must be text, not false",
            'no without quotes means false in YAML; put it in quotes: "no"',
        ),
        ("  package: {license: 1.10}", (13, 22), "spec.package.license", "text, not 1.1", '"1.10"'),
        ("    seed: 0755", (13, 11), "spec.train.seed", "octal", "leave out the leading zeros"),
        ("    learningRate: .inf", (13, 19), "spec.train.learningRate", "not a number", "finite"),
        ("    learningRate: .nan", (13, 19), "spec.train.learningRate", "not a number", "finite"),
        ("    learningRate: 1e999", (13, 19), "spec.train.learningRate", "too large", "finite"),
        # values out of bounds, and words that are none
        ("    epochs: 0", (13, 13), "spec.train.epochs", "must be at least 1", ""),
        ("    learningRate: 0", (13, 19), "spec.train.learningRate", "must be greater than 0", ""),
        ("    momentum: 1", (13, 15), "spec.train.momentum", "must be less than 1", ""),
        ("    optimizer: adamm", (13, 16), "spec.train.optimizer", "must be one of adamw", "did you mean adam"),
        ("  evaluate: {gate: [{metric: f1-macro, min: 0}]}", (13, 30), "spec.evaluate.gate[0].metric", "", "f1Macro?"),
        ("    timeout: 3 hours", (13, 14), "spec.train.timeout", "a span of time", "12h"),
        ("    resources: {memory: 16 GB}", (13, 25), "spec.train.resources.memory", "quantity", "16Gi"),
        ("    model: {pretrained: ''}", (13, 25), "spec.train.model.pretrained", "at least 1 character", ""),
        ("  register: {uri: 's3://x/{{workflow.name}}'}", (13, 19), "spec.register.uri", "without '{{'", "expand"),
        ('  register: {uri: "a\\u202eb"}', (13, 19), "spec.register.uri", "turn the direction", ""),
        ('  register: {uri: "a\\u0085b"}', (13, 19), "spec.register.uri", "control characters", ""),
        ('  register: {uri: "a\\u0007"}', (13, 19), "spec.register.uri", "control characters", ""),
        # required
        ("  evaluate: {gate: [{min: 1}]}", (13, 21), "spec.evaluate.gate[0].metric", "is required", "add `metric"),
        ("  deploy:\n    resources: {gpus: x}", (14, 23), "spec.deploy.resources.gpus", "whole number", ""),
    ],
)  # fmt: skip
def test_a_wrong_line(
    smallest_yaml: str, line: str, place: tuple[int, int], path: str, message: str, cure: str
) -> None:
    problem = only(smallest_yaml + line + "\n")
    assert (problem.line, problem.column) == place
    assert problem.path == path
    assert message in problem.message
    assert cure in problem.cure
    assert problem.excerpt == (smallest_yaml + line).splitlines()[place[0] - 1]


def test_what_is_missing_is_shown_where_it_belongs(smallest_yaml: str) -> None:
    problem = only(smallest_yaml.replace("    task: tabular-classification\n", "    epochs: 3\n"))
    assert (problem.line, problem.path, problem.message) == (11, "spec.train.task", "task is required")


def test_every_problem_is_told_in_the_order_of_the_file(smallest_yaml: str) -> None:
    text = smallest_yaml.replace("name: penguins", "name: Penguins!").replace("target", "taget")
    found = problems(text + "    epoch: 3\n  foo: 1\n")
    assert [(problem.line, problem.path) for problem in found] == [
        (4, "metadata.name"),
        (10, "spec.prepare.taget"),
        (13, "spec.train.epoch"),
        (14, "spec.foo"),
    ]


def test_one_screen_is_enough(smallest_yaml: str) -> None:
    text = smallest_yaml + "".join(f"    field{number}: 1\n" for number in range(40))
    with pytest.raises(SpecError) as caught:
        load(text)
    rendered = caught.value.render()
    assert len(caught.value.problems) == 40
    assert rendered.endswith("and 32 more problems")
    assert len(rendered.splitlines()) <= 40


def test_long_lines_are_cut_around_the_fault(smallest_yaml: str) -> None:
    rendered = only(smallest_yaml + f"    model: {{hidden: [{'1, ' * 31}x, {' ' * 500}]}}\n").render().splitlines()
    assert len(rendered[1]) < 120
    assert rendered[1][rendered[2].index("^")] == "x"


@pytest.mark.parametrize(
    ("before", "after", "message", "cure"),
    [
        ("kind: TrainingRun\n", "", "kind is required", "add `kind: TrainingRun`"),
        ("kind: TrainingRun", "kind: Trainingrun", "must be TrainingRun", "did you mean TrainingRun?"),
        ("kind: TrainingRun", "kind: PyTorchJob", 'not "PyTorchJob"', "TrainingRuns only"),
        ("v1alpha1", "v1", "must be runwright.dev/v1alpha1", "did you mean"),
        ("apiVersion: runwright.dev/v1alpha1\n", "", "apiVersion is required", "add `apiVersion"),
    ],
)
def test_another_kind_of_object(smallest_yaml: str, before: str, after: str, message: str, cure: str) -> None:
    problem = only(smallest_yaml.replace(before, after))
    assert message in problem.message
    assert cure in problem.cure


@pytest.mark.parametrize("text", ["", "   \n", "# nothing\n", "---\n", "null\n"])
def test_an_empty_file(text: str) -> None:
    assert only(text).message == "the file is empty"


@pytest.mark.parametrize("text", ["hello", "[1, 2]", "12"])
def test_something_else(text: str) -> None:
    assert only(text).message == "this is not a TrainingRun"


def test_names_that_kubernetes_refuses(smallest_yaml: str) -> None:
    for name in ("A", "1a", "a_b", "a-", "-a", "a.b", "a" * 51):
        assert only(smallest_yaml.replace("name: penguins", f'name: "{name}"')).path == "metadata.name"


def test_labels_are_checked(smallest_yaml: str) -> None:
    problem = only(smallest_yaml.replace("name: penguins", "name: penguins\n  labels: {'a b': c}"))
    assert problem.path == "metadata.labels.a b"
    assert "label key" in problem.message
