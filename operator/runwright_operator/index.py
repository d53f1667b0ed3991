"""What the watch has delivered: the newest of each TrainingRun, and which children each has.

A TrainingRun is kept as JSON text: a fifth of the memory of dicts, and nobody can change what others read. Of children
only their versions are kept. A relist is compared with all that, so that what a watch lost is found.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from runwright_api import names
from runwright_operator.adapters.kubernetes import Listing, Object
from runwright_operator.resources import TRAINING_RUN, Key, Resource

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MOST_BURIED = 10_000  # deleted objects that we remember, lest a late answer revives one


class Version(NamedTuple):
    """Which object, and which state of it."""

    uid: str
    version: str


class _Run(NamedTuple):
    uid: str
    version: str
    phase: str
    text: str


class _Place(NamedTuple):
    """An object, by what it is to its TrainingRun."""

    kind: str
    key: Key
    name: str


class Index:
    """For one event loop; `phases` alone may be read from other threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._runs: dict[Key, _Run] = {}
        self._children: dict[Key, dict[tuple[str, str], Version]] = {}
        self._buried: OrderedDict[str, None] = OrderedDict()
        self._owed: dict[_Place, float] = {}
        self.missing: frozenset[Resource] = frozenset()
        """Kinds that the cluster does not have."""

    def __len__(self) -> int:
        return len(self._runs)

    def runs(self) -> list[Key]:
        """Every TrainingRun."""
        return list(self._runs)

    def get(self, key: Key) -> Object | None:
        """The TrainingRun, without its managed fields; a copy of the caller's own."""
        run = self._runs.get(key)
        return None if run is None else json.loads(run.text)

    def children(self, key: Key) -> Mapping[tuple[str, str], Version]:
        """What belongs to the TrainingRun, by kind and name."""
        return self._children.get(key, {})

    def phases(self) -> Iterable[str]:
        """The phase of each TrainingRun."""
        return [run.phase for run in list(self._runs.values())]

    def put(self, raw: Mapping[str, Any]) -> bool:
        """Take in a TrainingRun that was read or written; False when we know a newer state of it, or its end."""
        metadata = raw["metadata"]
        uid, version = _text(metadata.get("uid")), _text(metadata.get("resourceVersion"))
        key = Key(_text(metadata.get("namespace")), _text(metadata.get("name")))
        old = self._runs.get(key)
        if uid in self._buried or (old is not None and old.uid == uid and not newer(version, old.version)):
            return False
        status = raw.get("status")
        phase = status.get("phase") if isinstance(status, Mapping) else None
        self._runs[key] = _Run(uid, version, _text(phase) or "Pending", json.dumps(without_noise(raw)))
        return True

    def event(self, resource: Resource, type: str | None, raw: Mapping[str, Any]) -> Key | None:
        """Take in what a watch delivers. The key to look at; None when it is nothing of ours, or nothing new."""
        key = key_of(resource, raw)
        if key is None:
            return None
        self._owed.pop(_Place(resource.kind, key, _text(raw["metadata"].get("name"))), None)
        if resource == TRAINING_RUN:
            changed = self._drop_run(key, _text(raw["metadata"].get("uid"))) if type == "DELETED" else self.put(raw)
        else:
            changed = self._child(key, resource, raw, gone=type == "DELETED")
        return key if changed else None

    def relist(self, resource: Resource, listing: Listing, namespace: str | None = None) -> set[Key]:
        """Compare with a list of the whole kind (in one namespace); the keys for which it brought something new.

        What was delivered after the list was made stays.
        """
        seen: set[_Place] = set()
        changed: set[Key] = set()
        for raw in listing.items:
            key = key_of(resource, raw)
            if key is None:
                continue
            place = _Place(resource.kind, key, _text(raw["metadata"].get("name")))
            seen.add(place)
            new = self.put(raw) if resource == TRAINING_RUN else self._child(key, resource, raw, gone=False)
            if new:
                self._owed[place] = self._clock()
                changed.add(key)
        for place, known in self._known(resource, namespace):
            if place not in seen and not newer(known.version, listing.resource_version):
                self._forget(resource, place, known)
                self._owed[place] = self._clock()
                changed.add(place.key)
        return changed

    def overdue(self, seconds: float) -> int:
        """How many changes a relist brought that the watch has not delivered in so many seconds."""
        return sum(1 for since in self._owed.values() if self._clock() - since > seconds)

    def watch_restarted(self) -> None:
        """A new watch starts from a list: what the old one owed, it does not."""
        self._owed.clear()

    def _child(self, key: Key, resource: Resource, raw: Mapping[str, Any], *, gone: bool) -> bool:
        metadata = raw["metadata"]
        child = (resource.kind, _text(metadata.get("name")))
        now = Version(_text(metadata.get("uid")), _text(metadata.get("resourceVersion")))
        of_run = self._children.setdefault(key, {})
        old = of_run.get(child)
        if gone:
            if old is not None and old.uid == now.uid:
                del of_run[child]
        elif old is None or old.uid != now.uid or newer(now.version, old.version):
            of_run[child] = now
        if not of_run:
            del self._children[key]
        return self._children.get(key, {}).get(child) != old

    def _drop_run(self, key: Key, uid: str) -> bool:
        self._buried[uid] = None
        if len(self._buried) > MOST_BURIED:
            self._buried.popitem(last=False)
        old = self._runs.get(key)
        if old is None or old.uid != uid:
            return False
        del self._runs[key]
        return True

    def _known(self, resource: Resource, namespace: str | None) -> list[tuple[_Place, Version]]:
        if resource == TRAINING_RUN:
            found = [
                (_Place(resource.kind, key, key.name), Version(run.uid, run.version)) for key, run in self._runs.items()
            ]
        else:
            found = [
                (_Place(kind, key, name), version)
                for key, of_run in self._children.items()
                for (kind, name), version in of_run.items()
                if kind == resource.kind
            ]
        return [one for one in found if namespace is None or one[0].key.namespace == namespace]

    def _forget(self, resource: Resource, place: _Place, known: Version) -> None:
        if resource == TRAINING_RUN:
            self._drop_run(place.key, known.uid)
            return
        of_run = self._children[place.key]
        del of_run[(place.kind, place.name)]
        if not of_run:
            del self._children[place.key]


def key_of(resource: Resource, raw: Mapping[str, Any]) -> Key | None:
    """The TrainingRun that an object is or belongs to: by its label, else by an owner reference."""
    metadata = raw.get("metadata")
    if not isinstance(metadata, Mapping):
        return None
    namespace, name = metadata.get("namespace"), metadata.get("name")
    if not (isinstance(namespace, str) and isinstance(name, str) and namespace and name):
        return None
    if resource == TRAINING_RUN:
        return Key(namespace, name)
    labels = metadata.get("labels")
    label = labels.get(names.LABEL_RUN) if isinstance(labels, Mapping) else None
    if isinstance(label, str) and label:
        return Key(namespace, label)
    owners = metadata.get("ownerReferences")
    for owner in owners if isinstance(owners, list) else ():
        if not isinstance(owner, Mapping) or owner.get("kind") != names.KIND:
            continue
        group = _text(owner.get("apiVersion")).partition("/")[0]
        if group == names.GROUP and isinstance(owner.get("name"), str) and owner["name"]:
            return Key(namespace, owner["name"])
    return None


def newer(version: str, than: str) -> bool:
    """Whether a resource version is a later one. Those that cannot be compared count as later when they differ."""
    if version.isdecimal() and than.isdecimal():
        return int(version) > int(than)
    return version != than


def without_noise(raw: Mapping[str, Any]) -> Object:
    """The object without what is long and of no use to us."""
    metadata = {name: value for name, value in raw["metadata"].items() if name != "managedFields"}
    annotations = metadata.get("annotations")
    if isinstance(annotations, Mapping) and LAST_APPLIED in annotations:
        metadata["annotations"] = {name: value for name, value in annotations.items() if name != LAST_APPLIED}
    return {**raw, "metadata": metadata}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
