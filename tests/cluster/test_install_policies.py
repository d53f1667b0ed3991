"""The admission policies refuse what they should, and let the rest pass; tried as those whom they are about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runwright_api import names
from tests.cluster.installing import Refused, Site, claimed, refused
from tests.cluster.waiting import eventually

Object = dict[str, Any]
POOR, RICH, GITOPS = "poor", "rich", "gitops"


@pytest.fixture(scope="module")
def site(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Three people: POOR may edit TrainingRuns but read no Secret, RICH may read one, GITOPS may do everything."""
    with claimed(kubeconfig, tmp_path_factory.mktemp("site")) as found:
        found.install(found.values(namespaces=[found.team]))
        team = ("--namespace", found.team)
        runs = ("--verb=get,list,create,update,patch,delete", f"--resource={names.PLURAL}.{names.GROUP}")
        found.kubectl("create", "role", "editor", *runs, *team)
        found.kubectl("create", "rolebinding", "editor", "--role=editor", f"--user={POOR}", f"--user={RICH}", *team)
        secret = ("--verb=get", "--resource=secrets", "--resource-name=bucket")
        found.kubectl("create", "role", "reader", *secret, *team)
        found.kubectl("create", "rolebinding", "reader", "--role=reader", f"--user={RICH}", *team)
        found.kubectl("create", "rolebinding", "all", "--clusterrole=admin", f"--user={GITOPS}", *team)
        run = with_secret(found, "bucket", "storage")
        eventually(lambda: refused(lambda: dry(found, run, POOR), "you may not read"))  # it takes effect in a moment
        yield found


def source(kind: str, secret: str | None) -> Object:
    places: Object = {
        "http": {"url": "https://example.com/data.csv"},
        "s3": {"uri": "s3://bucket/data.csv"},
        "gcs": {"uri": "gs://bucket/data.csv"},
        "azure": {"uri": "az://container/data.csv"},
        "sql": {"dialect": "postgresql", "query": "select 1"},
        "huggingFace": {"dataset": "org/data"},
    }
    return {kind: {**places[kind], **({"secretRef": {"name": secret}} if secret else {})}}


def with_secret(site: Site, name: str, place: str) -> Object:
    """A TrainingRun that names the Secret in one of the eleven places."""
    if place.startswith("register."):
        target: Object = {
            "mlflow": {"trackingUri": "https://mlflow.example.com"},
            "modelRegistry": {"url": "https://registry.example.com"},
            "huggingFaceHub": {"repository": "org/model"},
        }[place.removeprefix("register.")]
        spec = {"register": {place.removeprefix("register."): {**target, "secretRef": {"name": name}}}}
    elif place == "tune.storage":
        spec = {"tune": searching(name)}
    elif place == "storage":
        spec = {"storage": {"uri": "s3://bucket/runs", "secretRef": {"name": name}}}
    else:
        spec = {"data": {"sources": [source("http", None), source(place, name)]}}
    return site.training_run(f"names-{place.lower().replace('.', '-')}", **spec)


def searching(secret: str) -> Object:
    """A search whose study lies in the database that the Secret names."""
    rate = {"name": "learningRate", "type": "float", "min": 0.001, "max": 0.1}
    return {"searchSpace": [rate], "backend": "jobs", "storage": {"secretRef": {"name": secret}}}


PLACES = (
    *("http", "s3", "gcs", "azure", "sql", "huggingFace", "storage", "tune.storage"),
    *("register.mlflow", "register.modelRegistry", "register.huggingFaceHub"),
)


def as_user(site: Site, manifest: Object, user: str) -> str:
    return site.apply(manifest, user=user, manager=user)


def dry(site: Site, manifest: Object, user: str) -> str:
    return site.apply(manifest, user=user, manager=user, dry_run="server")


class TestSecrets:
    @pytest.mark.parametrize("place", PLACES)
    def test_naming_a_secret_is_reading_it(self, site: Site, place: str) -> None:
        run = with_secret(site, "bucket", place)
        assert refused(lambda: dry(site, run, POOR), "you may not read the Secret bucket")
        dry(site, run, RICH)

    def test_a_run_that_names_none_needs_no_right(self, site: Site) -> None:
        dry(site, site.training_run("no-secret"), POOR)

    def test_every_secret_counts_and_as_many_as_a_run_can_name_are_within_the_servers_limits(self, site: Site) -> None:
        sources = [source("s3", "bucket") for _ in range(15)] + [source("http", "payroll")]
        places = [with_secret(site, "bucket", place)["spec"]["register"] for place in PLACES if "register" in place]
        registers = {name: target for place in places for name, target in place.items()}
        others: Object = {"storage": store("bucket"), "register": registers, "tune": searching("bucket")}
        run = site.training_run("many", data={"sources": sources}, **others)
        assert refused(lambda: dry(site, run, RICH), "you may not read the Secret payroll")
        run["spec"]["data"]["sources"][-1] = source("http", "bucket")
        dry(site, run, RICH)

    def test_who_changes_the_addresses_beside_a_secret_must_read_it_too(self, site: Site) -> None:
        run = site.training_run("shared", data={"sources": [source("s3", "bucket")]})
        as_user(site, run, RICH)
        change = ("patch", "trainingrun", "shared", "--namespace", site.team, "--type=merge", "-p")
        away = '{"spec":{"data":{"sources":[{"s3":{"uri":"s3://elsewhere/x.csv","secretRef":{"name":"bucket"}}}]}}}'
        assert refused(lambda: site.kubectl(*change, away, user=POOR), "you may not read the Secret bucket")
        site.kubectl(*change, '{"metadata":{"annotations":{"runwright.dev/retrain":"now"}}}', user=POOR)
        site.kubectl(*change, '{"metadata":{"finalizers":["runwright.dev/cleanup"]}}', user=site.operator)
        site.kubectl(*change, '{"metadata":{"finalizers":null}}', user=site.operator)

    def test_the_allowlist_of_the_namespace_binds_even_who_may_read_everything(self, site: Site) -> None:
        listed = site.values(namespaces=[site.team], policies={"secrets": {"allowlist": True}})
        site.install(listed, verb="upgrade")
        run = with_secret(site, "bucket", "storage")
        words = ("runwright.dev/allowed-secrets", "does not list the Secret bucket")
        try:
            assert eventually(lambda: refused(lambda: dry(site, run, GITOPS), *words))
            dry(site, site.training_run("no-secret"), GITOPS)
            site.kubectl("annotate", "namespace", site.team, "runwright.dev/allowed-secrets=other, bucket")
            eventually(lambda: not refused(lambda: dry(site, run, GITOPS), *words))
            assert refused(lambda: site.kubectl("annotate", "namespace", site.team, "a=b", user=GITOPS), "cannot patch")
            assert refused(lambda: dry(site, run, POOR), "you may not read the Secret bucket")
        finally:
            site.install(site.values(namespaces=[site.team]), verb="upgrade")


def store(secret: str) -> Object:
    return {"uri": "s3://bucket/runs", "secretRef": {"name": secret}}


def ours(site: Site, kind: str, name: str, run: str = "penguins", **labels: str | None) -> Object:
    """An object of ours, as small as its definition takes it."""
    pod = {"spec": {"containers": [{"name": "pytorch", "image": "example.com/a:1"}]}}
    bodies: Object = {
        "ConfigMap": {"apiVersion": "v1", "data": {"train.json": "{}"}},
        "PyTorchJob": {
            "apiVersion": "kubeflow.org/v1",
            "spec": {"pytorchReplicaSpecs": {"Master": {"replicas": 1, "template": pod}}},
        },
        "InferenceService": {
            "apiVersion": "serving.kserve.io/v1beta1",
            "spec": {"predictor": {"containers": [{"name": "kserve-container", "image": "example.com/a:1"}]}},
        },
    }
    given = {names.LABEL_RUN: run, names.LABEL_MANAGED_BY: names.MANAGED_BY, **labels}
    kept = {name: value for name, value in given.items() if value is not None}
    return {"kind": kind, "metadata": {"name": name, "namespace": site.team, "labels": kept}, **bodies[kind]}


KINDS = (("ConfigMap", "penguins-r1"), ("PyTorchJob", "penguins-r1"), ("InferenceService", "penguins"))


class TestWrites:
    @pytest.mark.parametrize(("kind", "name"), KINDS)
    def test_steps_write_what_carries_our_labels_and_the_runs_name(self, site: Site, kind: str, name: str) -> None:
        dry(site, ours(site, kind, name), site.step)
        for labels in ({names.LABEL_RUN: None}, {names.LABEL_MANAGED_BY: None}, {names.LABEL_MANAGED_BY: "Helm"}):
            bad = ours(site, kind, name, **labels)
            assert refused(lambda bad=bad: dry(site, bad, site.step), "does not carry the labels")
        other = ours(site, kind, "somebody-elses")
        assert refused(lambda: dry(site, other, site.step), "is not named after its label")

    def test_nobody_takes_over_what_is_not_ours(self, site: Site) -> None:
        site.kubectl("create", "configmap", "victim", "--namespace", site.team)
        taken = ours(site, "ConfigMap", "victim", "victim")
        assert refused(lambda: dry(site, taken, site.step), "victim does not carry the labels")
        gone = ("delete", "configmap", "victim", "--namespace", site.team)
        assert refused(lambda: site.kubectl(*gone, user=site.operator), "victim does not carry the labels")

    def test_the_operator_deletes_what_is_ours(self, site: Site) -> None:
        site.apply(ours(site, "ConfigMap", "penguins-r7"))
        site.kubectl("delete", "configmap", "penguins-r7", "--namespace", site.team, user=site.operator)

    def test_others_are_not_asked(self, site: Site) -> None:
        dry(site, ours(site, "ConfigMap", "any", **{names.LABEL_RUN: None}), GITOPS)


class TestStatus:
    @pytest.mark.parametrize("user", [None, GITOPS])
    def test_nobody_else_writes_it(self, site: Site, user: str | None) -> None:
        site.apply(site.training_run("status"))
        status = {**site.training_run("status"), "spec": None, "status": {"observedGeneration": 1}}
        words = "only the Runwright operator writes the status" if user is None else ""

        def attempt() -> str:
            return site.apply(status, user=user, subresource="status", dry_run="server")

        assert refused(attempt, words)

    def test_the_operator_does(self, site: Site) -> None:
        site.apply(site.training_run("status"))
        status = {key: value for key, value in site.training_run("status").items() if key != "spec"}
        status["status"] = {"observedGeneration": 1}
        patch = site.apply(status, user=site.operator, subresource="status", dry_run="server")
        assert "serverside-applied" in patch

    def test_steps_cannot_even_ask(self, site: Site) -> None:
        site.apply(site.training_run("status"))
        command = ("patch", "trainingrun", "status", "--namespace", site.team, "--type=merge", "-p", "{}")
        with pytest.raises(Refused, match="cannot patch"):
            site.kubectl(*command, user=site.step)


class TestHistory:
    """It stands in for a status where there is none; so it counts as much."""

    def test_who_edits_brings_none_who_administers_does(self, site: Site) -> None:
        run = remembering(site, "history")
        assert refused(lambda: dry(site, run, POOR), "you need the verb restore on trainingruns")
        dry(site, run, GITOPS)
        del run["metadata"]["annotations"]
        dry(site, run, POOR)

    def test_none_is_slipped_in_before_the_operator_has_looked(self, site: Site) -> None:
        site.apply(site.training_run("slipped"))
        words = "you need the verb restore"
        assert refused(lambda: dry(site, remembering(site, "slipped"), POOR), words)
        dry(site, remembering(site, "slipped"), site.operator)

    def test_where_there_is_a_status_it_is_not_read_and_nobody_is_asked(self, site: Site) -> None:
        site.apply(site.training_run("known"))
        status = {key: value for key, value in site.training_run("known").items() if key != "spec"}
        site.apply({**status, "status": {"observedGeneration": 1}}, user=site.operator, subresource="status")
        dry(site, remembering(site, "known"), POOR)


def remembering(site: Site, name: str) -> Object:
    run = site.training_run(name)
    run["metadata"]["annotations"] = {names.ANNOTATION_HISTORY: "{}"}
    return run
