"""A SQL source from the YAML to the step that reads it; the server's address is in the step's environment alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runwright_api import SpecError
from runwright_api.loading import load_object
from runwright_api.recipe import recipe_digest
from runwright_api.trainingrun import TrainingRun
from runwright_components.collect.sql.addresses import secrets_of, without
from runwright_components.contract.databases import address_variable
from runwright_operator.reading import read_run
from runwright_pipelines.compiling import pipeline_spec
from runwright_pipelines.lowering import lower
from runwright_pipelines.secrets import with_secrets

SERVER = {"dialect": "postgresql", "table": "orders"}


def raw(*sources: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": "churn", "namespace": "team"},
        "spec": {
            "data": {"sources": list(sources)},
            "prepare": {"target": "y"},
            "train": {"task": "tabular-classification"},
        },
    }


def run(*sources: dict[str, Any]) -> TrainingRun:
    made: TrainingRun = load_object(raw(*sources))
    return made


def sql(**fields: Any) -> dict[str, Any]:
    return {"sql": {**SERVER, **fields}}


def test_it_is_lowered_without_the_secret() -> None:
    part = {"column": "id", "parts": 4}
    made = lower(run(sql(partition=part, watermark="changed", secretRef={"name": "shop"}))).collect.sources[0]
    assert made.uri == "sql://postgresql/orders"
    assert made.sql is not None
    assert made.sql.model_dump(exclude_none=True) == {**SERVER, "partition": part, "watermark": "changed"}
    file = lower(run({"sql": {"dialect": "sqlite", "path": "data/shop.db", "query": "SELECT 1"}})).collect.sources[0]
    assert file.uri == "sql://sqlite/data/shop.db"


@pytest.mark.parametrize(
    ("changes", "path", "told"),
    [
        ({"query": "SELECT 1"}, "query", "a query or a table says what is read"),
        ({"table": None}, "query", "a query or a table says what is read"),
        ({"path": "shop.db"}, "path", "sqlite and duckdb have a path, and no other dialect has one"),
        ({"dialect": "duckdb"}, "path", "sqlite and duckdb have a path, and no other dialect has one"),
        (
            {"dialect": "sqlite", "path": "a.db", "secretRef": {"name": "x"}},
            "secretRef",
            "a database in a file has no secretRef",
        ),
        (
            {"dialect": "sqlite", "path": "a.db", "partition": {"column": "a", "parts": 2}},
            "partition",
            "a database in a file is not read in parts",
        ),
        ({"partition": {"column": "a", "parts": 1}}, "partition.parts", "must be at least 2"),
        ({"dialect": "mssql"}, "dialect", "is not available yet in this version"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], path: str, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        run(sql(**changes))
    (problem,) = caught.value.problems
    assert problem.path == f"spec.data.sources[0].sql.{path}"
    assert told in problem.message


def test_a_database_has_no_format() -> None:
    with pytest.raises(SpecError) as caught:
        run({**sql(), "format": "csv"})
    assert caught.value.problems[0].path == "spec.data.sources[0].format"


def test_each_source_has_an_address_of_its_own() -> None:
    made = run(
        {"name": "shop-eu", **sql(secretRef={"name": "europe"})},
        {"name": "shop-us", **sql(secretRef={"name": "america"})},
    )
    handed = with_secrets(pipeline_spec(made), made, None)
    executors = handed["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(executors) == {"exec-data"}, "no other step gets it"
    given = {one["secretName"]: one["keyToEnv"] for one in executors["exec-data"]["secretAsEnv"]}
    assert given == {
        "europe": [{"secretKey": "uri", "envVar": "RUNWRIGHT_SQL_URI_SHOP_EU"}],
        "america": [{"secretKey": "uri", "envVar": "RUNWRIGHT_SQL_URI_SHOP_US"}],
    }
    assert "europe" not in json.dumps(handed["pipeline_spec"])
    assert address_variable("source-0") == "RUNWRIGHT_SQL_URI_SOURCE_0"


def test_how_the_data_are_reached_makes_no_other_model() -> None:
    plain = recipe_digest(run(sql()), {})
    assert recipe_digest(run(sql(secretRef={"name": "x"}, watermark="changed")), {}) == plain
    assert recipe_digest(run(sql(table="other")), {}) != plain


def test_a_pod_reads_no_file_and_needs_a_secret() -> None:
    _, (told,) = read_run(raw({"sql": {"dialect": "duckdb", "path": "a.db", "table": "t"}}), missing=())
    assert told.startswith("spec.data.sources[0].sql.path: a pod cannot read a path of your machine")
    _, (told,) = read_run(raw(sql()), missing=())
    assert told == "spec.data.sources[0].sql.secretRef: name the Secret whose key uri holds the address"


def test_a_password_is_hidden_in_each_of_its_forms() -> None:
    found = secrets_of("mysql://me:p%40ss%2Fword@host/db")
    assert found == ["mysql://me:p%40ss%2Fword@host/db", "p%40ss%2Fword", "p@ss/word"]
    assert without("no p@ss/word, no p%40ss%2Fword", found) == "no ***, no ***"
    assert secrets_of("no address") == ["no address"]
    assert secrets_of("") == []
