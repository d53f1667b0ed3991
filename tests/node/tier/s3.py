"""The S3 server of the node tier: versitygw over a folder, with buckets for models and for pipeline artifacts."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]

Manifest = dict[str, Any]

PORT = 9000
REGION = "us-east-1"
MODELS, ARTIFACTS = "runwright", "mlpipeline"
HEALTH = "/health"


@dataclass(frozen=True)
class S3:
    """Where it is, from pods and from the machine alike, and who may use it."""

    endpoint: str
    key: str
    secret: str = field(repr=False)

    @classmethod
    def at(cls, address: str) -> S3:
        """One with fresh credentials."""
        return cls(f"http://{address}:{PORT}", secrets.token_hex(10), secrets.token_hex(20))

    def environment(self) -> dict[str, str]:
        """What clients read: obstore, boto3 and ours."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ALLOW_HTTP": "true",
        }

    def storage_secret(self, name: str, namespace: str) -> Manifest:
        """The Secret that a TrainingRun's `storage.secretRef` or the chart's `storage.secret` names."""
        return _secret(name, namespace, {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret})

    def artifact_secret(self, namespace: str) -> Manifest:
        """The Secret that Kubeflow Pipelines keeps in a namespace of users."""
        return _secret("mlpipeline-minio-artifact", namespace, {"accesskey": self.key, "secretkey": self.secret})

    def client(self) -> Any:
        """A boto3 client; it tries once and asks no proxy."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name=REGION,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                proxies={},
            ),
        )

    def make_buckets(self) -> None:
        for bucket in (MODELS, ARTIFACTS):
            self.client().create_bucket(Bucket=bucket)


def command(binary: Path, address: str, folder: Path) -> list[str]:
    """Its credentials come from the environment (`serving`)."""
    return [
        *(str(binary), "--port", f"{address}:{PORT}", "--region", REGION, "--health", HEALTH, "--quiet"),
        *("posix", str(folder)),
    ]


def serving(s3: S3) -> dict[str, str]:
    return {"ROOT_ACCESS_KEY": s3.key, "ROOT_SECRET_KEY": s3.secret}


def _secret(name: str, namespace: str, values: dict[str, str]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": values,
    }
