"""The program in a step's pod: what KFP's launcher does around a component's own command line.

It is delivered as one file and runs with the image's own Python, so it knows the standard library and obstore alone.

    launcher.py execute ... -- COMMAND...    the executor's pod: inputs, the component, outputs, what came of it
    launcher.py drive ...                    the driver's pod: looks for the inputs, and writes down what they are

As with the real one, the component's exit code is in the log and the pod's own is 1, a signal reaches the component
and its launcher alike, and the credentials of the store come from a Secret that the pod's ServiceAccount may read.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store

PROGRAM = "launch.py"
RESULT = "output_metadata.json"
INPUT = "executor_input.json"
ACCESS_KEY, SECRET_KEY = "accesskey", "secretkey"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_MOUNTS = {"s3": "/s3", "minio": "/minio"}
_CHUNK = 4 << 20


class LaunchError(Exception):
    """Why the task failed, in a line for the log."""


# ------------------------------------------------------------------------------------------------------------ addresses


def split(uri: str) -> tuple[str, str]:
    """Bucket and key. Raises LaunchError for a store that this launcher does not know."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in _MOUNTS or not key:
        raise LaunchError(f"unsupported storage URI {uri!r}")
    return bucket, key.rstrip("/")


def local_path(uri: str) -> Path:
    """Where the file or folder of an artifact lies in the container."""
    bucket, key = split(uri)
    return Path(_MOUNTS[uri.partition("://")[0]], bucket, key)


def parent(uri: str) -> str:
    return uri.rpartition("/")[0]


# --------------------------------------------------------------------------------------------------------- placeholders


def placeholders(executor_input: Mapping[str, Any]) -> dict[str, str]:
    """What stands for what in the words of a command."""
    inputs, outputs = executor_input.get("inputs", {}), executor_input.get("outputs", {})
    found = {"{{$}}": json.dumps(executor_input)}
    for side, artifacts in (("inputs", inputs.get("artifacts", {})), ("outputs", outputs.get("artifacts", {}))):
        for name, listed in artifacts.items():
            uri = listed["artifacts"][0]["uri"]
            found[f"{{{{$.{side}.artifacts['{name}'].uri}}}}"] = uri
            found[f"{{{{$.{side}.artifacts['{name}'].path}}}}"] = str(local_path(uri))
    for name, value in inputs.get("parameterValues", {}).items():
        found[f"{{{{$.inputs.parameters['{name}']}}}}"] = text_of(value)
    for name, output in outputs.get("parameters", {}).items():
        found[f"{{{{$.outputs.parameters['{name}'].output_file}}}}"] = output["outputFile"]
    return found


def filled(words: Sequence[str], found: Mapping[str, str]) -> list[str]:
    def fill(word: str) -> str:
        for placeholder, value in found.items():
            word = word.replace(placeholder, value)
        return word

    return [fill(word) for word in words]


def text_of(value: Any) -> str:
    """A parameter's value in a command line."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)


def typed(text: str, kind: str) -> Any:
    """An output parameter's value as the file says it. Raises ValueError."""
    if kind == "STRING":
        return text
    if kind in ("NUMBER_INTEGER", "NUMBER_DOUBLE"):
        return int(text) if kind == "NUMBER_INTEGER" else float(text)
    if kind == "BOOLEAN":
        if text.strip().lower() not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text.strip().lower() == "true"
    return json.loads(text)


# ------------------------------------------------------------------------------------------------------------ the store


class Objects:
    """The artifact store. Raises LaunchError."""

    def __init__(self, endpoint: str, region: str, keys: tuple[str, str]) -> None:
        self._endpoint, self._region, self._keys = endpoint, region, keys

    def read(self, uri: str) -> bytes | None:
        bucket, key = split(uri)
        try:
            return bytes(obstore.get(self._bucket(bucket), key).bytes())
        except FileNotFoundError:
            return None

    def write(self, uri: str, content: bytes) -> None:
        bucket, key = split(uri)
        obstore.put(self._bucket(bucket), key, content)

    def download(self, uri: str, path: Path) -> None:
        """The object of this address, or all objects under it."""
        bucket, key = split(uri)
        store = self._bucket(bucket)
        for one in self._keys_of(uri):
            target = path if one == key else path / one.removeprefix(f"{key}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                for chunk in obstore.get(store, one).stream(min_chunk_size=_CHUNK):
                    file.write(chunk)

    def upload(self, path: Path, uri: str) -> None:
        """The file, or all files of the folder."""
        bucket, key = split(uri)
        store = self._bucket(bucket)
        if path.is_file():
            obstore.put(store, key, path)
        for file in sorted(one for one in path.rglob("*") if one.is_file()):
            obstore.put(store, f"{key}/{file.relative_to(path).as_posix()}", file)

    def _keys_of(self, uri: str) -> Iterator[str]:
        bucket, key = split(uri)
        store = self._bucket(bucket)
        try:
            obstore.head(store, key)
        except FileNotFoundError:
            for batch in obstore.list(store, f"{key}/"):
                yield from (str(meta["path"]) for meta in batch)
        else:
            yield key

    def _bucket(self, name: str) -> S3Store:
        access, secret = self._keys
        return S3Store(
            name,
            endpoint=self._endpoint,
            region=self._region,
            access_key_id=access,
            secret_access_key=secret,
            client_options={
                "allow_http": True,
                "connect_timeout": timedelta(seconds=10),
                "timeout": timedelta(hours=1),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=60)},
        )


def credentials(secret: str) -> tuple[str, str]:
    """The keys in a Secret of the pod's own namespace, with the rights of the pod's ServiceAccount."""
    namespace = (_ACCOUNT / "namespace").read_text()
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    request = urllib.request.Request(
        f"https://{host}:{port}/api/v1/namespaces/{namespace}/secrets/{secret}",
        headers={"Authorization": f"Bearer {(_ACCOUNT / 'token').read_text()}"},
    )
    trust = ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt"))
    try:
        with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
            data = json.load(answer)["data"]
        return base64.b64decode(data[ACCESS_KEY]).decode(), base64.b64decode(data[SECRET_KEY]).decode()
    except (OSError, KeyError, ValueError) as error:
        raise LaunchError(f"failed to get the credentials of the store from Secret {secret!r}: {error!r}") from error


# ------------------------------------------------------------------------------------------------------- what pods do


def execute(given: argparse.Namespace) -> None:
    """Inputs, the component, outputs, and at the very end what came of it. Raises LaunchError."""
    executor_input, component = json.loads(given.executor_input), json.loads(given.component_spec)
    outputs = executor_input.get("outputs", {})
    store = Objects(given.store_endpoint, given.store_region, credentials(given.store_secret))
    for name, uri in _uris(executor_input.get("inputs", {})):
        with _told(f"download input artifact {name!r} from {uri}"):
            store.download(uri, local_path(uri))
    for path in _to_be_written(outputs):
        path.parent.mkdir(parents=True, exist_ok=True)
    with _told("run the component"):
        code = run(filled(given.command, placeholders(executor_input)))
    if code:
        raise LaunchError(f"exit status {code}")
    said = _said(Path(outputs["outputFile"]))
    kinds = component.get("outputDefinitions", {}).get("parameters", {})
    values = dict(said.get("parameterValues", {}))
    for name, output in outputs.get("parameters", {}).items():
        if name not in values:
            with _told(f"read output parameter {name!r}"):
                kind = kinds.get(name, {}).get("parameterType", "STRING")
                values[name] = typed(Path(output["outputFile"]).read_text(), kind)
    artifacts = {}
    for name, uri in _uris(outputs):
        own = (said.get("artifacts", {}).get(name, {}).get("artifacts") or [{}])[0]
        uri = own.get("uri") or uri
        with _told(f"upload output artifact {name!r} to {uri}"):
            if not local_path(uri).exists():
                print(f"Local filepath {str(local_path(uri))!r} does not exist", flush=True)
            store.upload(local_path(uri), uri)
        artifacts[name] = {"uri": uri, "metadata": own.get("metadata", {})}
    result = {"pod": given.pod_name, "parameterValues": values, "artifacts": artifacts}
    with _told("publish the results"):
        store.write(f"{given.task_root}/{RESULT}", json.dumps(result).encode())


def drive(given: argparse.Namespace) -> None:
    """See that each input is there, and write them down. Raises LaunchError."""
    store = Objects(given.store_endpoint, given.store_region, credentials(given.store_secret))
    executor_input = json.loads(given.executor_input)
    for name, uri in _uris(executor_input.get("inputs", {})):
        with _told(f"resolve input artifact {name!r}"):
            if store.read(f"{parent(uri)}/{RESULT}") is None:
                raise LaunchError(f"cannot find output artifact {uri}")
    with _told("write down the inputs"):
        store.write(f"{given.task_root}/{INPUT}", given.executor_input.encode())


def run(command: Sequence[str]) -> int:
    """The exit code of the component; 128+N when a signal ended it. Signals are handed on to all of its processes."""
    process = subprocess.Popen(command, start_new_session=True)

    def hand_on(number: int, _frame: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hand_on)
    code = process.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Failures of a block as a LaunchError that says what was going on."""
    try:
        yield
    except Exception as error:
        raise LaunchError(f"failed to {what}: {error}") from error


def _uris(side: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, listed["artifacts"][0]["uri"]) for name, listed in side.get("artifacts", {}).items()]


def _to_be_written(outputs: Mapping[str, Any]) -> list[Path]:
    files = [Path(one["outputFile"]) for one in outputs.get("parameters", {}).values()]
    return [*files, *(local_path(uri) for _, uri in _uris(outputs)), Path(outputs["outputFile"])]


def _said(path: Path) -> dict[str, Any]:
    """What the component itself wrote down; nothing is well too."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """What stands before `--`, and as `command` what stands behind it."""
    end = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(prog=PROGRAM)
    parser.add_argument("mode", choices=("execute", "drive"))
    for name in ("pipeline_name", "run_id", "pod_name", "pod_uid", "task_root", "executor_input", "component_spec"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--store_endpoint", required=True)
    parser.add_argument("--store_region", required=True)
    parser.add_argument("--store_secret", required=True)
    given = parser.parse_args(words[:end])
    given.command = list(words[end + 1 :])
    return given


def main() -> int:
    given = arguments(sys.argv[1:])
    try:
        execute(given) if given.mode == "execute" else drive(given)
    except LaunchError as error:
        print(f"failed to execute component: {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
