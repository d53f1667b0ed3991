"""The API server grants each account what the golden table says, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runwright_api import names
from tests.cluster.installing import Site, claimed
from tests.cluster.tier.api import Api
from tests.cluster.waiting import eventually
from tests.golden.rendering import FOLDER

Rights = dict[str, list[str]]
TABLE: dict[str, dict[str, dict[str, Rights]]] = yaml.safe_load((FOLDER / "rights.yaml").read_text(encoding="utf-8"))
VERBS = (
    *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
    *("escalate", "bind", "impersonate", "approve", "sign"),
)
ELSEWHERE = (
    *("secrets", "serviceaccounts", "serviceaccounts/token", "nodes", "nodes/proxy", "namespaces", "services"),
    *("pods/exec", "pods/log", "pods/attach", "pods/portforward", "pods/eviction", "persistentvolumeclaims"),
    *("deployments.apps", "jobs.batch", "networkpolicies.networking.k8s.io", "users", "groups"),
    *("roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io"),
    *("clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io"),
    *("customresourcedefinitions.apiextensions.k8s.io", "tokenreviews.authentication.k8s.io"),
    *("subjectaccessreviews.authorization.k8s.io", "validatingadmissionpolicies.admissionregistration.k8s.io"),
    *("certificatesigningrequests.certificates.k8s.io", "leases.coordination.k8s.io", "workflows.argoproj.io"),
    "trainingruns.runwright.dev/finalizers",
)
PLACES = [place for accounts in TABLE.values() for places in accounts.values() for place in places.values()]
RESOURCES = sorted({*ELSEWHERE, *(spelled for place in PLACES for spelled in place)})


def allowed(api: Api, user: str, namespace: str, spelled: str, verb: str) -> bool:
    """Asks the API server's authorizer. `spelled` is `plural.group/subresource name`, as in the table."""
    resource, _, name = spelled.partition(" ")
    resource, _, subresource = resource.partition("/")
    plural, _, group = resource.partition(".")
    attributes = {"verb": verb, "group": group, "resource": plural, "subresource": subresource, "name": name}
    review: dict[str, Any] = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "metadata": {"name": ""},
        "spec": {
            "user": user,
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": {**attributes, "namespace": namespace},
        },
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(api.request("POST", path, review)["status"]["allowed"])


def granted(api: Api, user: str, namespace: str) -> Rights:
    """Every right of the universe that the user has there, in the table's words."""
    found = {
        spelled: sorted(verb for verb in VERBS if allowed(api, user, namespace, spelled, verb)) for spelled in RESOURCES
    }
    return {spelled: verbs for spelled, verbs in found.items() if verbs}


def expected(rights: Rights, site: Site) -> Rights:
    """The table's row, in the names of the site; a right to every object of a kind holds for a named one as well."""
    renamed = {key.replace(" runwright-operator", f" {site.name}-operator"): verbs for key, verbs in rights.items()}
    for spelled in RESOURCES:
        kind, _, name = spelled.partition(" ")
        if name and kind in renamed:
            verbs = {*renamed[kind], *renamed.get(spelled, ())}
            renamed[spelled] = sorted(verbs)
    return renamed


@pytest.fixture(params=["default", "namespaced"])
def installed(kubeconfig: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, Site]]:
    with claimed(kubeconfig, tmp_path) as site:
        if request.param == "default":
            site.install(site.values(policies={"enabled": False}))
        else:
            site.install(site.values(namespaces=[site.team], rbac={"aggregate": False}, policies={"enabled": False}))
        yield request.param, site


def test_the_operator_has_its_rights_and_no_others(installed: tuple[str, Site], api: Api) -> None:
    variant, site = installed
    home = "runwright-system" if variant == "default" else "runwright"
    table = TABLE[variant][f"{home}:runwright-operator"]
    leases = {key: verbs for key, verbs in table[home].items() if key.startswith("leases.")}
    work = {key: verbs for key, verbs in table["*" if variant == "default" else home].items() if key not in leases}
    eventually(lambda: allowed(api, site.operator, site.team, "trainingruns.runwright.dev", "get"))
    assert granted(api, site.operator, site.team) == expected(work, site)
    everywhere = work if variant == "default" else {}
    assert granted(api, site.operator, "default") == expected(everywhere, site)
    assert granted(api, site.operator, site.name) == merged(api, expected({**everywhere, **leases}, site), site)


def merged(api: Api, rights: Rights, site: Site) -> Rights:
    """A named Lease that the table knows by the installation's name is asked for by the site's."""
    named = f"leases.coordination.k8s.io {site.name}-operator"
    for verb in rights.pop(named):
        resource, _, name = named.partition(" ")
        assert allowed(api, site.operator, site.name, f"{resource} {name}", verb)
    renamed = "leases.coordination.k8s.io runwright-operator"
    rights[renamed] = rights["leases.coordination.k8s.io"]
    return rights


def test_steps_have_their_rights_and_no_others(installed: tuple[str, Site], api: Api) -> None:
    _, site = installed
    table = TABLE["default"]["role runwright-run"]["any"]
    eventually(lambda: allowed(api, site.step, site.team, "trainingruns.runwright.dev", "get"))
    assert granted(api, site.step, site.team) == expected(table, site)
    for elsewhere in ("default", site.name):
        assert granted(api, site.step, elsewhere) == {}


def test_kubectl_gives_the_same_answers(kubeconfig: Path, tmp_path: Path) -> None:
    with claimed(kubeconfig, tmp_path) as site:
        site.install(site.values(policies={"enabled": False}))
        team = ("--namespace", site.team)
        assert eventually(lambda: answer(site, "patch", "trainingruns.runwright.dev", *team) == "yes")
        assert answer(site, "patch", "trainingruns.runwright.dev", "--subresource=status", *team) == "yes"
        assert answer(site, "create", "trainingruns.runwright.dev", *team) == "no"
        assert answer(site, "get", "secrets", *team) == "no"


def answer(site: Site, *question: str) -> str:
    return site.run("kubectl", "auth", "can-i", *question, "--as", site.operator).stdout.strip()


def test_users_get_training_runs_with_the_roles_that_they_have(kubeconfig: Path, tmp_path: Path, api: Api) -> None:
    with claimed(kubeconfig, tmp_path) as site:
        site.install(site.values(policies={"enabled": False}))
        for role in ("view", "edit"):
            bound = (f"--clusterrole={role}", f"--user={site.name}-{role}", "--namespace", site.team)
            site.kubectl("create", "rolebinding", role, *bound)
        runs = f"{names.PLURAL}.{names.GROUP}"
        eventually(lambda: allowed(api, f"{site.name}-edit", site.team, runs, "create"))
        eventually(lambda: allowed(api, f"{site.name}-view", site.team, runs, "watch"))
        assert not allowed(api, f"{site.name}-view", site.team, runs, "create")
        for role in ("view", "edit"):
            assert not allowed(api, f"{site.name}-{role}", site.team, f"{runs}/status", "patch")
