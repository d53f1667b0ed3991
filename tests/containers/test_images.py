"""What is in the images, and that what they are for runs in them as in a restricted pod."""

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

from images import build, elf, sbom
from images.oci import Assembled
from images.table import IMAGES
from runwright_api.loading import load_file
from runwright_pipelines.lowering import lower
from tests.containers.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/penguins"
FLOW = Path(__file__).with_name("whole_flow.py")
ENTERED = ("operator", "serve", "components-python")
ELSEWHERE = {
    "libcuda.so.1",  # a node with GPUs brings it
    "libquadmath.so.0",  # of a libgfortran that torch brings and links nothing to
}
LARGEST = {"operator": 150e6, "serve": 600e6}  # unpacked, in bytes
DEADLINE = 300  # seconds: tells a hang

Built = Callable[[str], Assembled]
Enter = Callable[[str], Sandbox]


@pytest.mark.parametrize("name", IMAGES)
def test_files_are_roots_and_none_is_setuid_or_writable_by_all(sandbox: Enter, built: Built, name: str) -> None:
    members = Sandbox(built(name), Path(), Path()).members()
    assert {(member.uid, member.gid) for member in members} == {(0, 0)}
    assert [member.name for member in members if member.mode & 0o6000] == []
    assert {member.name for member in members if member.mode & 0o002 and not member.issym()} == {"tmp"}
    assert {member.type for member in members} <= {b"0", b"2", b"5"}, "files, links and folders alone"


@pytest.mark.parametrize("name", LARGEST)
def test_an_image_is_no_larger_than_it_is_meant_to_be(built: Built, name: str) -> None:
    assert built(name).unpacked < LARGEST[name]


@pytest.mark.parametrize("name", ENTERED)
def test_every_library_that_a_file_needs_is_there(sandbox: Enter, name: str) -> None:
    here = [
        path for path in sandbox(name).root.rglob("*") if path.is_file() and (".so" in path.name or _is_program(path))
    ]
    names = {path.name for path in here}
    missing = {}
    for path in here:
        try:
            wanted = set(elf.needed(path)) - names - ELSEWHERE
        except ValueError:  # a linker's script, or no library at all
            continue
        if wanted:
            missing[path.name] = wanted
    assert missing == {}


def _is_program(path: Path) -> bool:
    return path.parent.name == "bin" and not path.is_symlink()


@pytest.mark.parametrize("name", ENTERED)
def test_no_name_of_the_machine_that_built_it_is_in_an_image(sandbox: Enter, name: str) -> None:
    places = [str(build.cache()).encode(), str(ROOT).encode() + b"/"]
    found = [
        path.relative_to(sandbox(name).root)
        for path in sandbox(name).root.rglob("*")
        if path.is_file() and not path.is_symlink() and ".so" not in path.name
        if any(place in path.read_bytes() for place in places)
    ]
    assert found == []


@pytest.mark.parametrize("name", ENTERED)
def test_python_runs_as_nobody_in_particular_and_trusts_debians_authorities(sandbox: Enter, name: str) -> None:
    done = sandbox(name).run("python", "-c", _ASKED)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["uid"] == 65532
    assert told["safe_path"] is True
    assert told["version"] == _version()
    assert told["authorities"] > 100
    assert told["written"] == ["/tmp"]
    assert told["zone"] == "Europe/Berlin"


_ASKED = """
import json, os, ssl, sys, zoneinfo
from importlib.metadata import version
def writable(folder):
    try:
        open(folder + "/x", "w").close()
        return True
    except OSError:
        return False
print(json.dumps({
    "uid": os.getuid(), "safe_path": sys.flags.safe_path, "version": version("runwright"),
    "authorities": len(ssl.create_default_context().get_ca_certs()),
    "written": [folder for folder in ("/", "/tmp", "/usr", "/var/tmp", "/usr/lib/python3.11") if writable(folder)],
    "zone": str(zoneinfo.ZoneInfo("Europe/Berlin")),
}))
"""


def _version() -> str:
    from importlib.metadata import version

    return version("runwright")


@pytest.mark.parametrize("name", ENTERED)
def test_modules_are_compiled(sandbox: Enter, name: str) -> None:
    for folder in ("usr/lib/python3.11/json", "usr/lib/python3/dist-packages/pydantic"):
        modules = list((sandbox(name).root / folder).glob("*.py"))
        assert modules
        assert all((path.parent / f"__pycache__/{path.stem}.cpython-311.pyc").exists() for path in modules)


@pytest.mark.parametrize("name", ENTERED)
def test_the_bill_of_materials_lies_in_the_image_and_lists_what_is_there(sandbox: Enter, name: str) -> None:
    told = json.loads((sandbox(name).root / sbom.PLACE).read_text())
    names = {component["name"] for component in told["components"]}
    assert {"libc6", "python3.11-minimal", "pydantic", "runwright"} <= names
    assert ("torch" in names) == (name == "components-python")
    assert "nvidia-cublas" not in names
    assert [one["name"] for one in told["components"] if one["name"] != "libc6" and not one.get("version")] == []


def test_the_operator_starts(sandbox: Enter) -> None:
    image = sandbox("operator")
    assert image.config["Entrypoint"] == ["python", "-m", "runwright_operator"]
    told = image.run(*image.config["Entrypoint"], "--help")
    assert (told.returncode, "--check" in told.stdout) == (0, True)
    checked = image.run(*image.config["Entrypoint"], "--check")
    assert checked.returncode == 1
    assert "no access to a cluster" in checked.stderr + checked.stdout, "it got as far as looking for one"


@pytest.mark.parametrize("name", ["operator", "serve"])
def test_images_that_start_no_pipeline_step_have_no_shell(sandbox: Enter, name: str) -> None:
    assert not any((sandbox(name).root / "usr/bin" / program).exists() for program in ("sh", "bash", "dash", "mktemp"))


def test_a_pipeline_step_starts_as_kfp_starts_it(sandbox: Enter) -> None:
    line = (
        'program_path=$(mktemp -d)\nprintf "%s" "$0" > "$program_path/made.py"\npython3 -m kfp.dsl.executor_main --help'
    )
    done = sandbox("components-python").run("sh", "-ec", line, "def made(): pass", _KFP_RUNTIME="true")
    assert done.returncode == 0, done.stderr
    assert "--function_to_execute" in done.stdout


def test_a_call_of_cuda_says_which_image_has_it(sandbox: Enter) -> None:
    done = sandbox("components-python").run(
        *("python", "-c", "import torch, ctypes; ctypes.CDLL('libcublas.so.13').cublasCreate_v2(0)")
    )
    assert (done.returncode, done.stderr) == (
        70,
        "This image computes on CPUs: it has no libcublas.so.13. Use the image train-cuda on GPUs.\n",
    )


@pytest.fixture(scope="module")
def package(sandbox: Enter) -> Path:
    """The package of an example that was prepared, trained, judged and exported in the components' image."""
    image = sandbox("components-python")
    shutil.copytree(EXAMPLE, image.shared / "example")
    shutil.copy(FLOW, image.shared / FLOW.name)
    lowered = lower(load_file(EXAMPLE / "run.yaml"))
    given = {field.name: getattr(lowered, field.name).model_dump(mode="json") for field in fields(lowered)}
    given["train"] |= {"epochs": 2, "base": "/mnt/example", "processes": 2}
    for stage in ("collect", "prepare"):
        given[stage]["base"] = "/mnt/example"
    given["evaluate"]["gate"] = []
    (image.shared / "given.json").write_text(json.dumps(given))
    done = image.run("python", f"/mnt/{FLOW.name}", "/mnt/given.json", "/mnt/out")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].startswith("sha256:")
    return image.shared / "out/package"


def test_an_example_is_trained_on_two_processes_and_packaged_with_onnx(package: Path) -> None:
    assert {"model.onnx", "manifest.json"} <= {path.name for path in package.iterdir()}


@pytest.mark.parametrize("name", ["serve", "components-python"])
def test_a_model_server_answers(sandbox: Enter, package: Path, name: str) -> None:
    image = replace(sandbox(name), shared=sandbox("components-python").shared)
    port = _free_port()
    options = ("--model-dir", "/mnt/out/package", "--name", "penguins", "--host", "127.0.0.1", "--port", str(port))
    with subprocess.Popen(
        image.command("python", "-m", "runwright_components.serve", *options),
        env={**image.environment, "PATH": "/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            _wait_until_ready(port, server)
            row = json.loads((package / "example.json").read_text())
            answer = _post(f"http://127.0.0.1:{port}/v1/models/penguins:predict", row)
        finally:
            server.kill()
    assert [sorted(one) for one in answer["predictions"]] == [["value"]]


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def _wait_until_ready(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        assert server.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server was never ready")


def _post(url: str, body: object) -> dict[str, list[dict[str, float]]]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer))


def test_a_build_from_nothing_gives_the_same_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as changed:
        changed.setenv("RUNWRIGHT_CACHE", str(tmp_path))
        anew = build.build(["operator"])[0]
    again = build.build(["operator"])[0]
    assert [layer.digest for layer in anew.layers] == [layer.digest for layer in again.layers]
    assert anew.digest == again.digest
