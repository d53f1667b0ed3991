"""Campaign 10, without a cluster: what a spec's texts may become. Each is refused, or travels as plain data."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runwright_api.trainingrun import TrainingRun
from runwright_components.cluster.manifests import inference_service, pytorch_job
from runwright_components.contract.cluster import StorageConfig
from runwright_operator.reading import digest_of, read_run
from runwright_pipelines.cluster import Defaults, cluster_run, service_of, storage_of, with_registry
from runwright_pipelines.compiling import parameter, pipeline_spec
from runwright_pipelines.lowering import lower
from runwright_pipelines.secrets import with_secrets
from tests.spec.documents import BASE, manifest, put
from tests.spec.injection import BEYOND, attempts, closed_parts
from tests.spec.leaves import dotted, nodes

DEFAULTS = Defaults(storage=StorageConfig(uri="s3://models"), train_image="train:1", serve_image="serve:1")
DIGEST = "sha256:" + "a" * 64
_EXPANDED = re.compile(r"(?<!\$)(\$\$)*\$\(")  # by the kubelet
_DATA = re.compile(r"root\.dag\.tasks\.[a-z]+\.inputs\.parameters\.\w+\.runtimeValue\.constant")
_RUN_ID = "{{$.pipeline_job_uuid}}"  # our own
_SECRET = re.compile(r"platform_spec\.platforms\.kubernetes\..*")
_CLOSED_TEXT = re.compile(r"[A-Za-z0-9_./-]*")


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every string in a JSON value, names of fields too, with the place where it stands."""
    if isinstance(value, str):
        yield path.strip("."), value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield f"{path}.(name)".strip("."), name
            yield from strings(item, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from strings(item, f"{path}[]")


def submitted(run: TrainingRun) -> dict[str, Any]:
    """What KFP is handed."""
    whole = with_registry(run, DEFAULTS, namespace="team")
    drawn = with_secrets(pipeline_spec(whole), run, storage_of(run, DEFAULTS, namespace="team").secret)
    return drawn if "pipeline_spec" in drawn else {"pipeline_spec": drawn}


def told(run: TrainingRun) -> Any:
    return cluster_run(run, DEFAULTS, namespace="team", uid="u", revision=1, recipe=digest_of(run), deploys=True)


def objects(run: TrainingRun) -> Iterator[dict[str, Any]]:
    """What is made in the cluster: the training job, and the service if one is wanted."""
    yield pytorch_job(told(run), config=lower(run).train, prepared_uri=f"{told(run).storage.uri}/prepared")
    service = service_of(run, DEFAULTS)
    if service is not None:
        yield inference_service(
            service,
            namespace="team",
            name=run.name,
            uid="u",
            revision=1,
            recipe=digest_of(run),
            package_uri=f"{storage_of(run, DEFAULTS, namespace='team').uri}/package",
            package_digest=DIGEST,
            model_digest=DIGEST,
            storage=storage_of(run, DEFAULTS, namespace="team"),
        )


def plain(layout: str, *, secret: bool) -> TrainingRun:
    """A run without any injected text, with a Secret or none."""
    storage = {"storage": {"uri": "s3://models", "secretRef": {"name": "storage"}}} if secret else {}
    run, _ = read_run(manifest({**BASE, **storage, "layout": layout}))
    assert run is not None
    return run


def test_injected_texts_are_refused_or_travel_as_plain_data() -> None:
    shapes = itertools.product(("compact", "stages"), (True, False))
    code = {one for layout, secret in shapes for one in strings(submitted(plain(layout, secret=secret)))}
    refused = carried = 0
    for attempt in attempts():
        run, problems = read_run(manifest(attempt.spec))
        if run is None:
            assert problems, attempt
            refused += 1
            continue
        carried += 1
        assert "\x00" not in attempt.text, attempt
        assert "{{" not in attempt.text, attempt
        assert "\u202e" not in attempt.text, attempt
        _check_pipeline(run, attempt, code)
        for made in objects(run):
            _check_object(made, attempt, _own_command(run))
    print(
        f"\ncampaign 10: {refused + carried:,} injected texts, {refused:,} refused, {carried:,} carried as plain data"
    )
    assert refused > 500
    assert carried > 100


def _check_pipeline(run: TrainingRun, attempt: Any, code: set[tuple[str, str]]) -> None:
    """The program of the pipeline is as ever; what is new stands in JSON constants, or is the name of a Secret."""
    for path, text in strings(submitted(run)):
        if _DATA.search(path) and text != _RUN_ID:
            assert "{{" not in text, (attempt, path)
            json.loads(text)
        elif _SECRET.match(path):
            assert _CLOSED_TEXT.fullmatch(text), (attempt, path, text)
        else:
            assert (path, text) in code, (attempt, path, text)
    handed = parameter(told(run))
    assert "{{" not in handed, attempt
    assert "$(" not in handed, attempt
    assert json.loads(handed) == told(run).model_dump(mode="json")


def _own_command(run: TrainingRun) -> list[str]:
    """The words of a user's command for an image of theirs, as a pod has to have them; [] without one."""
    code = run.spec.train.code
    words = [*code.command, *code.args] if code is not None and code.command else []
    return [word.replace("$", "$$") for word in words]


def _check_object(made: dict[str, Any], attempt: Any, own_command: list[str]) -> None:
    """Nothing is expanded, nothing is run by a shell; commands are ours, or the user's word by word; labels are
    labels."""
    for path, text in strings(made):
        if path.endswith((".value", "command[]", "args[]")):
            assert not _EXPANDED.search(text), (attempt, path, text)
        assert "\x00" not in text, (attempt, path)
    for container in _containers(made):
        command = container["command"]
        if own_command and container["name"] == "pytorch":
            assert command == own_command, attempt
            continue
        assert command[:2] == ["python", "-m"], attempt
        assert not {"sh", "bash", "-c"} & set(command), attempt
        own = [word for word in command if attempt.text.replace("$", "$$") in word]
        assert all(word.startswith("s3://") for word in own), (attempt, own)
    for path, text in strings(made["metadata"]):
        assert attempt.text not in text or _CLOSED_TEXT.fullmatch(text), (attempt, path, text)


def _containers(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if made["kind"] == "PyTorchJob":
        for replica in made["spec"]["pytorchReplicaSpecs"].values():
            yield from replica["template"]["spec"].get("initContainers", ())
            yield from replica["template"]["spec"]["containers"]
    else:
        yield from made["spec"]["predictor"].get("initContainers", ())
        yield from made["spec"]["predictor"]["containers"]


def test_no_field_can_name_a_namespace() -> None:
    names = {path[-1] for path, _ in nodes() if path}
    assert not [name for name in names if "namespace" in name.lower()]
    references = [dotted(path) for path, schema in nodes() if path and path[-1] == "secretRef"]
    assert len(references) > 8
    for path, schema in nodes():
        if path and path[-1] == "secretRef":
            assert set(schema["properties"]) == {"name"}, dotted(path)
        if (path and path[-1] in ("claimName", "queue", "priorityClassName")) or path[-2:] == ("secretRef", "name"):
            assert not re.search(schema["pattern"], "other/secret"), dotted(path)


def test_no_part_takes_what_is_not_on_the_closed_list() -> None:
    tried = [(path, name) for path in closed_parts() for name in BEYOND]
    for path, name in tried:
        spec = put(BASE, (*path, name), {"privileged": True})
        assert read_run(manifest(spec))[0] is None, (dotted(path), name)
    print(f"\ncampaign 10: {len(tried)} requests beyond the closed options, none accepted")
