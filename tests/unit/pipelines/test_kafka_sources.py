"""A Kafka source from the YAML to the step that reads it; user and password are in the step's environment alone."""

from __future__ import annotations

import json
from typing import Any

from runwright_api.recipe import recipe_digest
from runwright_operator.reading import read_run
from runwright_pipelines.compiling import pipeline_spec
from runwright_pipelines.lowering import lower
from runwright_pipelines.secrets import with_secrets

from .test_sql_sources import raw, run

TOPIC: dict[str, Any] = {"bootstrap": "kafka-1:9092,kafka-2:9092", "topic": "orders.v1"}
GUARDED: dict[str, Any] = {**TOPIC, "sasl": "PLAIN", "tls": True}


def test_it_is_lowered_without_the_secret() -> None:
    start = {"offsets": [{"partition": 1, "offset": 7}]}
    given = {**GUARDED, "start": start, "keyColumn": "id", "maxBad": 0.1, "secretRef": {"name": "kafka"}}
    (made,) = lower(run({"kafka": given})).collect.sources
    assert made.uri == "kafka://kafka-1:9092/orders.v1"
    assert made.kafka is not None
    assert made.kafka.model_dump(exclude_defaults=True) == {
        **GUARDED,
        "start": {"offsets": ({"partition": 1, "offset": 7},)},
        "key_column": "id",
        "max_bad": 0.1,
    }


def test_each_source_has_a_login_of_its_own() -> None:
    made = run(
        {"name": "eu", "kafka": {**GUARDED, "secretRef": {"name": "europe"}}},
        {"name": "us-1", "kafka": {**TOPIC, "sasl": "SCRAM-SHA-512", "secretRef": {"name": "america"}}},
    )
    handed = with_secrets(pipeline_spec(made), made, None)
    executors = handed["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(executors) == {"exec-data"}, "no other step gets it"
    given = {
        (one["secretName"], one["optional"], key["secretKey"], key["envVar"])
        for one in executors["exec-data"]["secretAsEnv"]
        for key in one["keyToEnv"]
    }
    assert given == {
        ("europe", False, "username", "RUNWRIGHT_KAFKA_USERNAME_EU"),
        ("europe", False, "password", "RUNWRIGHT_KAFKA_PASSWORD_EU"),
        ("europe", True, "ca", "RUNWRIGHT_KAFKA_CA_EU"),
        ("europe", True, "certificate", "RUNWRIGHT_KAFKA_CERTIFICATE_EU"),
        ("europe", True, "key", "RUNWRIGHT_KAFKA_KEY_EU"),
        ("america", False, "username", "RUNWRIGHT_KAFKA_USERNAME_US_1"),
        ("america", False, "password", "RUNWRIGHT_KAFKA_PASSWORD_US_1"),
    }
    assert "europe" not in json.dumps(handed["pipeline_spec"])


def test_how_the_topic_is_reached_makes_no_other_model() -> None:
    plain = recipe_digest(run({"kafka": GUARDED}), {})
    assert recipe_digest(run({"kafka": {**GUARDED, "secretRef": {"name": "x"}}}), {}) == plain
    assert recipe_digest(run({"kafka": {**GUARDED, "topic": "other"}}), {}) != plain


def test_a_login_needs_a_secret_in_a_cluster() -> None:
    _, (told,) = read_run(raw({"kafka": {**TOPIC, "sasl": "PLAIN"}}), missing=())
    assert told == "spec.data.sources[0].kafka.secretRef: name the Secret that holds username and password"
