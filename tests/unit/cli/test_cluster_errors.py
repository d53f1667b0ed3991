"""Answers of an API server, and kubeconfigs that do not work, as a person reads them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from runwright_cli.cluster.connection import Target, connect
from runwright_cli.cluster.errors import (
    AwayError,
    ClusterError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    NotFoundError,
    refused,
)


def _refused(code: int, body: str | dict[str, Any]) -> ClusterError:
    text = body if isinstance(body, str) else json.dumps({"kind": "Status", "code": code, **body})
    return refused(code, text, host="https://here", context="test")


def test_expired_credentials() -> None:
    error = _refused(401, {"message": "Unauthorized"})
    assert error.render() == (
        "error: https://here does not accept the credentials of context test\n"
        "  cure: they may have expired: log in again, then look with `kubectl auth whoami`"
    )


def test_a_missing_right_is_named() -> None:
    message = (
        'trainingruns.runwright.dev "x" is forbidden: User "ann" cannot patch resource "trainingruns" in API group '
        '"runwright.dev" in the namespace "zoo"'
    )
    error = _refused(403, {"message": message})
    assert isinstance(error, ForbiddenError)
    assert error.message == "you lack the right to patch trainingruns.runwright.dev in namespace zoo"
    assert "kubectl auth can-i patch trainingruns.runwright.dev -n zoo" in error.cure


def test_an_admission_policy_is_quoted() -> None:
    error = _refused(403, {"message": "denied by policy: too many GPUs"})
    assert "denied by policy: too many GPUs" in error.message


def test_a_missing_definition_says_how_to_install_it() -> None:
    error = _refused(404, "404 page not found\n")
    assert not isinstance(error, NotFoundError)
    assert "trainingruns.runwright.dev is not installed" in error.message
    assert "runwright schema --crd | kubectl apply --server-side -f -" in error.cure


def test_a_missing_namespace() -> None:
    error = _refused(404, {"message": 'namespaces "zoo" not found', "details": {"name": "zoo", "kind": "namespaces"}})
    assert isinstance(error, NotFoundError)
    assert error.cure == "kubectl create namespace zoo"


def test_a_conflict_names_owner_and_fields() -> None:
    causes = [
        {"reason": "FieldManagerConflict", "message": 'conflict with "kubectl" using v1', "field": ".spec.train.epochs"}
    ]
    error = _refused(409, {"message": "Apply failed", "details": {"causes": causes}})
    assert isinstance(error, ConflictError)
    assert error.message == "kubectl set spec.train.epochs to another value"


def test_invalid_fields_are_listed() -> None:
    causes = [{"field": "spec.train.epochs", "message": "must be at least 1"}, {"field": "spec", "message": "no"}]
    error = _refused(422, {"message": "invalid", "details": {"causes": causes}})
    assert error.message == "spec.train.epochs: must be at least 1\n  spec: no"


@pytest.mark.parametrize(
    ("code", "kind"), [(410, ExpiredError), (429, AwayError), (500, AwayError), (503, AwayError), (409, AwayError)]
)
def test_what_is_worth_another_try(code: int, kind: type[ClusterError]) -> None:
    assert isinstance(_refused(code, {"message": "later"}), kind)
    assert isinstance(_refused(code, "<html>"), kind)


def test_anything_else_is_quoted() -> None:
    assert _refused(418, {"message": "a teapot"}).message == "https://here refused: a teapot"


def _kubeconfig(folder: Path, **changes: Any) -> str:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": "zoo"}}],
        "current-context": "test",
        **changes,
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    return str(file)


def test_a_kubeconfig_gives_namespace_and_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connect(Target(kubeconfig=_kubeconfig(tmp_path)))
    assert (connection.namespace, connection.context) == ("zoo", "test")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'nowhere'}:{tmp_path / 'kubeconfig'}")
    assert connect(Target(namespace="other")).namespace == "other"


@pytest.mark.parametrize(
    ("target", "changes", "message"),
    [
        ({"kubeconfig": "/nowhere/config"}, {}, "there is no kubeconfig at /nowhere/config"),
        ({"context": "tset"}, {}, "there is no context tset"),
        ({}, {"current-context": ""}, "the kubeconfig has no context to use"),
        ({}, {"contexts": None}, "the kubeconfig has no context to use"),
        ({}, {"clusters": []}, "the kubeconfig cannot be used: .*clusters list"),
        ({}, {"users": 7}, "the kubeconfig cannot be used"),
    ],
)
def test_kubeconfigs_that_do_not_work(
    tmp_path: Path, target: dict[str, str], changes: dict[str, Any], message: str
) -> None:
    given = {"kubeconfig": _kubeconfig(tmp_path, **changes), **target}
    with pytest.raises(ClusterError, match=message) as caught:
        connect(Target(**given))
    assert caught.value.cure


def test_a_kubeconfig_that_is_no_yaml(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text("{ this: [is, no")
    with pytest.raises(ClusterError, match="the kubeconfig cannot be used"):
        connect(Target(kubeconfig=str(file)))


def test_no_cluster_at_the_other_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    connection = connect(Target(kubeconfig=_kubeconfig(tmp_path)))
    with pytest.raises(AwayError, match=r"http://127\.0\.0\.1:1 does not answer: Connection refused"):
        connection.request("GET", "/version")
