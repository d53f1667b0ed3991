"""What looks like a secret never reaches a person's eyes."""

import json

import pytest

from runwright_components.cluster.manifests.redacting import redacted, redacted_tree, secret_values

SECRET = "h4x0r/S3cr3t+Value="


@pytest.mark.parametrize(
    "line",
    [
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f'"aws_secret_access_key": "{SECRET}"',
        f"password: {SECRET}",
        f"postgres://user:{SECRET.replace('/', '')}@db/x".replace("/S3", "S3"),
        f"Authorization: Bearer {SECRET}",
        f"authorization: Basic {SECRET}",
        f"api-key={SECRET} failed",
        f"GET /x?X-Amz-Signature={SECRET}",
        f"got token = '{SECRET}'",
    ],
)
def test_secrets_are_hidden(line: str) -> None:
    shown = redacted(line)
    assert "S3cr3t" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "line", ["epoch 3, loss 0.5", "the Secret storage-access was not found", "s3://bucket/key is missing", "tokens: 12"]
)
def test_the_rest_stays(line: str) -> None:
    assert redacted(line).startswith(line.split(":")[0])
    assert line == "tokens: 12" or redacted(line) == line


def test_known_values_are_hidden_wherever_they_stand() -> None:
    known = secret_values({"MY_PASSWORD": "correct horse", "HOME": "/home/x", "SHORT_TOKEN": "abc"})
    assert known == ("correct horse",)
    tree = {"a": ["correct horse battery", {"b": 1}], "c": None}
    assert json.loads(json.dumps(redacted_tree(tree, known))) == {"a": ["*** battery", {"b": 1}], "c": None}


@pytest.mark.parametrize("name", ["AZURE_STORAGE_ACCOUNT_KEY", "GOOGLE_SERVICE_ACCOUNT_KEY", "HF_TOKEN"])
def test_the_keys_of_the_clouds_are_secret(name: str) -> None:
    assert secret_values({name: "Zm9vYmFyYmF6"}) == ("Zm9vYmFyYmF6",)
