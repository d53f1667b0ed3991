"""What the watch has delivered, and what a relist finds besides."""

import itertools
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runwright_operator.adapters.kubernetes import Listing
from runwright_operator.index import Index, Version, key_of, newer
from runwright_operator.resources import CONFIG_MAP, POD, TRAINING_RUN, Key

A, B = Key("n", "a"), Key("n", "b")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def run(name: str = "a", version: int = 1, uid: str = "u", **parts: Any) -> dict[str, Any]:
    metadata = {
        "namespace": "n",
        "name": name,
        "uid": uid,
        "resourceVersion": str(version),
        **parts.pop("metadata", {}),
    }
    return {"apiVersion": TRAINING_RUN.api_version, "kind": "TrainingRun", "metadata": metadata, **parts}


def child(name: str, version: int = 1, of: str = "a", uid: str = "c") -> dict[str, Any]:
    labels = {"runwright.dev/run": of}
    return {"metadata": {"namespace": "n", "name": name, "uid": uid, "resourceVersion": str(version), "labels": labels}}


def test_a_run_is_kept_without_noise_and_cannot_be_changed_from_outside() -> None:
    index = Index()
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "x": "y"}
    raw = run(metadata={"managedFields": [{}], "annotations": annotations}, status={"phase": "Running"})
    assert index.event(TRAINING_RUN, "ADDED", raw) == A
    kept = index.get(A)
    assert kept is not None
    assert kept["metadata"] == {
        "namespace": "n",
        "name": "a",
        "uid": "u",
        "resourceVersion": "1",
        "annotations": {"x": "y"},
    }
    kept["status"]["phase"] = "Failed"
    assert index.get(A)["status"]["phase"] == "Running"  # type: ignore[index]
    assert list(index.phases()) == ["Running"]


def test_what_is_known_or_older_is_no_news() -> None:
    index = Index()
    assert index.event(TRAINING_RUN, None, run(version=5)) == A
    assert index.event(TRAINING_RUN, "MODIFIED", run(version=5)) is None
    assert index.event(TRAINING_RUN, "MODIFIED", run(version=4)) is None
    assert index.put(run(version=7))
    assert index.event(TRAINING_RUN, "MODIFIED", run(version=7)) is None
    assert index.event(TRAINING_RUN, "MODIFIED", run(version=10)) == A


def test_a_deletion_is_news_once_and_a_late_answer_revives_nothing() -> None:
    index = Index()
    index.event(TRAINING_RUN, "ADDED", run(version=5))
    assert index.event(TRAINING_RUN, "DELETED", run(version=6)) == A
    assert index.get(A) is None
    assert not index.put(run(version=7))
    assert index.event(TRAINING_RUN, "DELETED", run(version=6)) is None
    assert index.event(TRAINING_RUN, "ADDED", run(version=8, uid="other")) == A
    assert index.event(TRAINING_RUN, "DELETED", run(version=6)) is None
    assert index.get(A) is not None


def test_children_are_known_by_version_alone() -> None:
    index = Index()
    assert index.event(CONFIG_MAP, "ADDED", child("a-r1", 3)) == A
    assert index.event(CONFIG_MAP, "MODIFIED", child("a-r1", 3)) is None
    assert index.event(CONFIG_MAP, "MODIFIED", child("a-r1", 4)) == A
    assert index.event(POD, "ADDED", child("p", 5)) == A
    assert index.children(A) == {("ConfigMap", "a-r1"): Version("c", "4"), ("Pod", "p"): Version("c", "5")}
    assert index.event(POD, "DELETED", child("p", 6)) == A
    assert index.event(POD, "DELETED", child("p", 6)) is None
    assert index.event(CONFIG_MAP, "DELETED", child("a-r1", 7)) == A
    assert index.children(A) == {}
    assert index.children(B) == {}


def test_a_child_is_found_by_its_label_else_by_its_owner() -> None:
    owner = {"apiVersion": "runwright.dev/v1alpha1", "kind": "TrainingRun", "name": "b"}
    assert key_of(POD, child("p")) == A
    for controller in (True, False):
        owned = {"metadata": {"namespace": "n", "name": "p", "ownerReferences": [{**owner, "controller": controller}]}}
        assert key_of(POD, owned) == B
    other = {"metadata": {"namespace": "n", "name": "p", "ownerReferences": [{**owner, "apiVersion": "x/v1"}]}}
    assert key_of(POD, other) is None
    assert key_of(POD, {"metadata": {"namespace": "n", "name": "p"}}) is None


def test_a_relist_finds_what_the_watch_lost() -> None:
    index = Index()
    index.event(TRAINING_RUN, "ADDED", run("a", 5))
    index.event(TRAINING_RUN, "ADDED", run("b", 6, uid="v"))
    index.event(TRAINING_RUN, "ADDED", run("same", 7, uid="w"))
    listing = Listing([run("a", 9), run("new", 10, uid="x"), run("same", 7, uid="w")], "11")
    assert index.relist(TRAINING_RUN, listing) == {A, B, Key("n", "new")}
    assert index.get(B) is None
    assert index.relist(TRAINING_RUN, listing) == set()


def test_a_relist_does_not_undo_what_came_after_it_was_made() -> None:
    index = Index()
    index.event(TRAINING_RUN, "ADDED", run("a", 20))
    index.event(TRAINING_RUN, "ADDED", run("b", 21, uid="v"))
    assert index.relist(TRAINING_RUN, Listing([run("b", 3, uid="v")], "15")) == set()
    assert index.get(A) is not None


def test_a_relist_of_a_namespace_says_nothing_of_others() -> None:
    index = Index()
    index.event(TRAINING_RUN, "ADDED", run("a", 5))
    index.event(CONFIG_MAP, "ADDED", child("a-r1", 6))
    assert index.relist(TRAINING_RUN, Listing([], "9"), "other") == set()
    assert index.relist(CONFIG_MAP, Listing([], "9"), "other") == set()
    assert index.relist(CONFIG_MAP, Listing([], "9"), "n") == {A}
    assert index.relist(POD, Listing([], "9")) == set()
    assert index.get(A) is not None


def test_what_a_relist_found_the_watch_owes() -> None:
    clock = Clock()
    index = Index(clock=clock)
    index.relist(TRAINING_RUN, Listing([run("a", 5), run("b", 6, uid="v")], "7"))
    clock.now = 61
    assert index.overdue(60) == 2
    assert index.event(TRAINING_RUN, "ADDED", run("a", 5)) is None
    assert index.overdue(60) == 1
    index.watch_restarted()
    assert index.overdue(60) == 0


def test_versions_compare_as_numbers_where_they_are_numbers() -> None:
    assert newer("10", "9")
    assert not newer("9", "10")
    assert not newer("9", "9")
    assert newer("abc", "abd")
    assert not newer("abc", "abc")


_steps = st.lists(
    st.tuples(st.sampled_from(["set", "delete"]), st.sampled_from("abc"), st.booleans()), min_size=1, max_size=40
)


@settings(max_examples=100, deadline=None)
@given(_steps)
def test_after_a_relist_the_index_is_the_truth_whatever_was_lost(steps: list[tuple[str, str, bool]]) -> None:
    versions = itertools.count(1)
    truth: dict[str, dict[str, Any]] = {}
    index = Index()
    for step, name, delivered in steps:
        if step == "set":
            uid = truth[name]["metadata"]["uid"] if name in truth else f"u{next(versions)}"
            truth[name] = run(name, next(versions), uid)
            if delivered:
                index.event(TRAINING_RUN, "MODIFIED", truth[name])
        elif name in truth:
            gone = truth.pop(name)
            gone["metadata"]["resourceVersion"] = str(next(versions))
            if delivered:
                index.event(TRAINING_RUN, "DELETED", gone)
    index.relist(TRAINING_RUN, Listing(json.loads(json.dumps(list(truth.values()))), str(next(versions))))
    assert {key.name: index.get(key) for key in (Key("n", name) for name in "abc") if index.get(key)} == truth


_anything = st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
_metadata = st.dictionaries(
    st.sampled_from(["name", "namespace", "uid", "resourceVersion", "labels", "ownerReferences", "annotations"]),
    _anything,
)


@settings(max_examples=100, deadline=None)
@given(
    st.fixed_dictionaries({"metadata": _anything | _metadata, "status": _anything}),
    st.sampled_from(["ADDED", "DELETED", None]),
)
def test_no_object_is_too_odd(raw: dict[str, Any], type: str | None) -> None:
    index = Index()
    for resource in (TRAINING_RUN, POD):
        key = index.event(resource, type, raw)
        assert key is None or (key.name and key.namespace)
