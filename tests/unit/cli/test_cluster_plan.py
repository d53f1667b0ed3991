"""What would happen: pairs of specs, a status, and the decision."""

from typing import Any

import pytest

from runwright_api import TrainingRunStatus, load_object
from runwright_cli.cluster.changes import Meaning, changes
from runwright_cli.cluster.plan import Effect, Plan, as_json, plan
from tests.doubles.runs.objects import revision, run, status

OTHER = {"train.epochs": 30}


def _plan(old: dict[str, Any] | None, new: dict[str, Any], found: dict[str, Any] | None = None) -> Plan:
    parsed = TrainingRunStatus.model_validate(found or {})
    return plan(load_object(old) if old else None, load_object(new), parsed)


SERVING_1 = status(revision(1), serving=1)


@pytest.mark.parametrize(
    ("old", "new", "found", "effects", "number", "sentence"),
    [
        pytest.param(None, run(), None, [Effect.TRAIN], 1, "revision 1 trains, and serves if", id="first"),
        pytest.param(
            None, run({"deploy.mode": "None"}), None, [Effect.TRAIN], 1, "revision 1 trains", id="first, not served"
        ),
        pytest.param(None, run({"suspend": True}), None, [Effect.SUSPEND], 1, "suspended, so", id="first, suspended"),
        pytest.param(run(), run(), SERVING_1, [Effect.NOTHING], None, "nothing", id="the same"),
        pytest.param(
            run(),
            run({"train.batchSize": 64}),
            SERVING_1,
            [Effect.NOTHING],
            None,
            "nothing",
            id="a default written down",
        ),
        pytest.param(
            run(), run(OTHER), SERVING_1, [Effect.TRAIN], 2, "revision 1 keeps serving until", id="recipe changed"
        ),
        pytest.param(
            run(),
            run(OTHER),
            status(revision(1), revision(2, "Running"), serving=1),
            [Effect.TRAIN],
            3,
            "revision 2, which still runs, is cancelled",
            id="recipe changed while one runs",
        ),
        pytest.param(
            run({"suspend": True}),
            run({"suspend": True, **OTHER}),
            SERVING_1,
            [Effect.TRAIN],
            2,
            "once it is no longer suspended",
            id="recipe changed while suspended",
        ),
        pytest.param(
            run({"deploy.revision": 1}),
            run({"deploy.revision": 1, **OTHER}),
            SERVING_1,
            [Effect.TRAIN],
            2,
            "the new one is judged, but 1 serves",
            id="recipe changed while pinned",
        ),
        pytest.param(
            run(OTHER),
            run(),
            status(revision(1), revision(2, of=run(OTHER)), serving=2),
            [Effect.GO_BACK],
            1,
            "goes back to revision 1 without training",
            id="git revert",
        ),
        pytest.param(
            run(OTHER),
            run(),
            status(revision(1), revision(2), revision(3, of=run(OTHER)), serving=3),
            [Effect.GO_BACK],
            2,
            "goes back to revision 2",
            id="the newest of one recipe",
        ),
        pytest.param(
            run(OTHER),
            run(),
            status(revision(1, "Failed"), revision(2, of=run(OTHER)), serving=2),
            [Effect.TRAIN],
            3,
            "revision 3 trains",
            id="that recipe failed",
        ),
        pytest.param(
            run(OTHER),
            run(),
            status(revision(1, "Rejected"), revision(2, of=run(OTHER)), serving=2),
            [Effect.GO_BACK],
            1,
            "the gate rejects it: accuracy 0.8 is below the required 0.9",
            id="that recipe was rejected",
        ),
        pytest.param(
            run(),
            run({"evaluate.gate": [{"metric": "accuracy", "min": 0.96}]}),
            SERVING_1,
            [Effect.JUDGE],
            None,
            "rejected: accuracy 0.95 is below the required 0.96",
            id="a gate that rejects now",
        ),
        pytest.param(
            run(),
            run({"evaluate.gate": [{"metric": "accuracy", "min": 0.7}]}),
            status(revision(1), revision(2, "Rejected"), serving=1),
            [Effect.JUDGE],
            None,
            "revision 2 serves",
            id="a gate that passes now",
        ),
        pytest.param(
            run(),
            run({"evaluate.gate": [{"metric": "accuracy", "min": 0.9, "slice": "island=Biscoe"}]}),
            SERVING_1,
            [Effect.JUDGE],
            None,
            "status does not keep the metrics on island=Biscoe",
            id="a gate on a slice",
        ),
        pytest.param(
            run(),
            run({"evaluate.gate": None}),
            status(revision(1, "Running")),
            [Effect.JUDGE],
            None,
            "the changed gate judges revision 1",
            id="a gate while it trains",
        ),
        pytest.param(
            run(),
            run({"evaluate.gate": None, **OTHER}),
            SERVING_1,
            [Effect.TRAIN, Effect.JUDGE],
            2,
            "the changed gate judges it",
            id="gate and recipe",
        ),
        pytest.param(
            run(),
            run({"deploy.resources": {"cpu": "2"}}),
            SERVING_1,
            [Effect.SERVICE],
            None,
            "only the InferenceService penguins changes; nothing trains",
            id="deploy",
        ),
        pytest.param(
            run(), run({"deploy.mode": "None"}), SERVING_1, [Effect.SERVICE], None, "is removed", id="deploy nothing"
        ),
        pytest.param(
            run({"deploy.mode": "None"}),
            run(),
            status(revision(1)),
            [Effect.SERVICE],
            None,
            "is made",
            id="deploy again",
        ),
        pytest.param(
            run(),
            run({"deploy.revision": 1}),
            status(revision(1), revision(2), serving=2),
            [Effect.SERVICE],
            None,
            "revision 1 serves, without training",
            id="pin",
        ),
        pytest.param(
            run(),
            run({"deploy.revision": 1}),
            status(revision(1, "Rejected"), revision(2), serving=2),
            [Effect.SERVICE],
            None,
            "although the gate rejected it",
            id="pin a rejected one",
        ),
        pytest.param(
            run(),
            run({"deploy.revision": 7}),
            SERVING_1,
            [Effect.SERVICE],
            None,
            "not in the history",
            id="pin nothing",
        ),
        pytest.param(
            run(),
            run({"deploy.revision": 1}),
            status(revision(1, "Failed"), revision(2), serving=2),
            [Effect.SERVICE],
            None,
            "has no package",
            id="pin what has no package",
        ),
        pytest.param(
            run({"deploy.revision": 1}),
            run(),
            status(revision(1), revision(2), serving=1),
            [Effect.SERVICE],
            None,
            "no longer 1",
            id="unpin",
        ),
        pytest.param(
            run(),
            run({"deploy.timeout": "20m"}),
            status(revision(1, "Failed", failure={"stage": "deploy", "reason": "ServiceNotReady"})),
            [Effect.SERVICE],
            None,
            "revision 1, which did not come up, gets another try",
            id="a deploy that failed",
        ),
        pytest.param(run(), run({"suspend": True}), SERVING_1, [Effect.SUSPEND], None, "nothing new", id="suspend"),
        pytest.param(run({"suspend": True}), run(), SERVING_1, [Effect.RESUME], None, "held back", id="resume"),
        pytest.param(
            run(),
            run({"train.retries": {"failures": 5}, "history.limit": 3}),
            SERVING_1,
            [Effect.LATER],
            None,
            "the next one uses them",
            id="how training runs",
        ),
        pytest.param(
            run(),
            run({"train.resources": {"memory": "16Gi"}}),
            status(revision(1), revision(2, "Failed"), serving=1),
            [Effect.TRAIN],
            2,
            "revision 2, which failed, is tried again",
            id="more memory after a failure",
        ),
        pytest.param(
            run(),
            run({"train.resources": {"memory": "16Gi"}, "suspend": True}),
            status(revision(1, "Failed")),
            [Effect.SUSPEND, Effect.LATER],
            None,
            "no new revision for spec.train.resources.memory",
            id="more memory after a failure, suspended",
        ),
        pytest.param(
            run(),
            run(annotations={"runwright.dev/retrain": "now"}),
            SERVING_1,
            [Effect.TRAIN],
            2,
            "revision 2 trains: the annotation",
            id="retrain",
        ),
        pytest.param(
            run(),
            run(annotations={"runwright.dev/retrain": "now"}),
            {**SERVING_1, "retrain": "now"},
            [Effect.NOTHING],
            None,
            "nothing",
            id="retrain, done already",
        ),
        pytest.param(
            run(), run(labels={"team": "zoo"}), SERVING_1, [Effect.METADATA], None, "labels or annotations", id="labels"
        ),
    ],
)
def test_what_would_happen(
    old: dict[str, Any] | None,
    new: dict[str, Any],
    found: dict[str, Any] | None,
    effects: list[Effect],
    number: int | None,
    sentence: str,
) -> None:
    expected = _plan(old, new, found)
    assert list(expected.effects) == effects
    assert expected.revision == number
    assert sentence in "\n".join(expected.sentences)
    assert expected.changed == (effects != [Effect.NOTHING])


def test_what_a_new_revision_is_made_with() -> None:
    expected = _plan(run(), run({"train.retries": {"failures": 5}, **OTHER}), SERVING_1)
    assert expected.sentences[-1] == "it is made with the new spec.train.retries.failures"


def test_a_retraining_never_goes_back_to_a_known_recipe() -> None:
    found = status(revision(1), revision(2, of=run(OTHER)), serving=2)
    expected = _plan(run(OTHER), run(annotations={"runwright.dev/retrain": "now"}), found)
    assert expected.effects == (Effect.TRAIN,)


def test_changed_fields_say_old_and_new_with_defaults_resolved() -> None:
    new = run(
        {
            "train.learningRate": 0.01,
            "train.epochs": None,
            "train.model": {"name": "mlp", "hidden": [64]},
            "evaluate.gate": [{"metric": "accuracy", "min": 0.9}, {"metric": "f1Macro", "min": 0.8}],
            "deploy.resources": {"gpus": 1},
            "storage": {"uri": "s3://mine"},
        }
    )
    found = changes(load_object(run()), load_object(new))
    assert [(str(change), change.meaning) for change in found] == [
        ("spec.train.epochs: 20 -> 50", Meaning.RECIPE),
        ("spec.train.model.hidden: [128, 128] -> [64]", Meaning.RECIPE),
        ("spec.train.learningRate: 0.001 -> 0.01", Meaning.RECIPE),
        ("spec.evaluate.gate[1].metric: not given -> f1Macro", Meaning.GATE),
        ("spec.evaluate.gate[1].min: not given -> 0.8", Meaning.GATE),
        ("spec.storage.uri: not given -> s3://mine", Meaning.LATER),
        ("spec.deploy.resources.gpus: 0 -> 1", Meaning.DEPLOY),
    ]


def test_a_secret_of_a_source_is_no_part_of_the_recipe_but_its_address_is() -> None:
    source = {"s3": {"uri": "s3://zoo/penguins.csv", "secretRef": {"name": "key"}}}
    (change,) = changes(load_object(run()), load_object(run({"data.sources": [source]})))
    assert (change.path, change.meaning) == ("spec.data.sources[0].s3.secretRef.name", Meaning.LATER)
    moved = {"http": {"url": "https://zoo.example/penguins.csv"}}
    found = changes(load_object(run()), load_object(run({"data.sources": [moved]})))
    assert {change.meaning for change in found} == {Meaning.RECIPE}
    assert [change.path for change in found] == ["spec.data.sources[0].s3.uri", "spec.data.sources[0].http.url"]


def test_the_plan_for_programs() -> None:
    found = as_json(_plan(run(), run(OTHER), SERVING_1))
    assert found == {
        "changed": True,
        "effects": ["train"],
        "revision": 2,
        "sentences": [
            "revision 2 trains: 1 field of the recipe changed",
            "revision 1 keeps serving until the new one has passed the gate",
        ],
        "changes": [{"path": "spec.train.epochs", "old": 20, "new": 30, "meaning": "recipe"}],
    }
