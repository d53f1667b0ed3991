"""The examples of the repository with their data in the node tier's bucket, and raw rows to ask their models about."""

from __future__ import annotations

import base64
import csv
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.operator.runs import Manifest, merged
from tests.node.tier.s3 import MODELS, S3

EXAMPLES = Path(__file__).parents[2] / "examples"
csv.field_size_limit(sys.maxsize)


def training_run(example: str, namespace: str, s3: S3, secret: str, **changes: Any) -> Manifest:
    """The example's own run.yaml, its data in the bucket, `changes` merged into its spec. Uploads the data."""
    manifest = yaml.safe_load((EXAMPLES / example / "run.yaml").read_text())
    spec = manifest["spec"]
    spec["data"]["sources"] = [_uploaded(example, source, s3, secret) for source in spec["data"]["sources"]]
    return {**manifest, "metadata": {"name": example, "namespace": namespace}, "spec": merged(spec, changes)}


def code(name: str, text: str, s3: S3) -> str:
    """The address of a Python file in the bucket, for `train.code.path`."""
    key = f"code/{name}.py"
    s3.client().put_object(Bucket=MODELS, Key=key, Body=text.encode())
    return f"s3://{MODELS}/{key}"


def rows(example: str, count: int) -> list[dict[str, Any]]:
    """The first raw rows of the example's data, read with the standard library, as a client would send them."""
    (source,) = yaml.safe_load((EXAMPLES / example / "run.yaml").read_text())["spec"]["data"]["sources"]
    data = EXAMPLES / example / source["path"]
    if data.is_dir():
        files = itertools.islice(sorted(data.glob("*/*")), 0, None, 7)
        return [{"image": base64.b64encode(file.read_bytes()).decode()} for file in itertools.islice(files, count)]
    with data.open(encoding="utf-8", newline="") as file:
        if data.suffix == ".csv":
            found = csv.DictReader(file)
            return [{key: value or None for key, value in row.items()} for row in itertools.islice(found, count)]
        return [json.loads(line) for line in itertools.islice(file, count)]


def _uploaded(example: str, source: Manifest, s3: S3, secret: str) -> Manifest:
    """The source as one of the bucket."""
    data = EXAMPLES / example / source["path"]
    key = f"data/{example}/{data.name}"
    client = s3.client()
    files = [path for path in sorted(data.rglob("*")) if path.is_file()] if data.is_dir() else [data]
    for path in files:
        client.upload_file(str(path), MODELS, key + (f"/{path.relative_to(data)}" if data.is_dir() else ""))
    rest = {name: value for name, value in source.items() if name != "path"}
    uri = f"s3://{MODELS}/{key}" + ("/" if data.is_dir() else "")
    return {**rest, "s3": {"uri": uri, "endpoint": s3.endpoint, "secretRef": {"name": secret}}}
