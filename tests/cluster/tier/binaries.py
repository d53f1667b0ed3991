"""The programs of the cluster tier and of the node tier, built from their published Go modules and kept by version.

A wrapper module a program (their Kubernetes versions conflict). The module's own go.sum, which its zip carries, pins
what it stands on; the sum below pins the zip itself. Nothing here is committed as a binary.

    python -m tests.cluster.tier.binaries [NAME...]     build what is missing, print where it lies
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

KUBERNETES = "1.34.4"
KUBERNETES_SUM = "h1:Yy6R4QB8C9kJPp25GFqEvX5XQwY5qzKeqD0Xx6oAcmk="
STAGING = f"v0.{KUBERNETES.removeprefix('1.')}"
GO_NEEDED = "Go 1.24 or later is needed to build the cluster tier; install it from your distribution or go.dev"


@dataclass(frozen=True)
class Program:
    """One program: the module that holds it, and the main package to build."""

    module: str
    version: str
    sum: str
    """What `go mod download -json` calls Sum: the hash of the module's zip."""
    package: str
    flags: tuple[str, ...] = ()
    staging: bool = False
    """Whether the module names its staging modules by local folders (k8s.io/kubernetes does)."""
    environment: dict[str, str] = field(default_factory=lambda: {"CGO_ENABLED": "0"})
    main: str = ""
    """A main package of our own, for a program that would bring much more than we use."""


def _kubernetes(package: str) -> Program:
    stamp = " ".join(
        (
            "-s -w",
            f"-X k8s.io/component-base/version.gitVersion=v{KUBERNETES}",
            "-X k8s.io/component-base/version.gitMajor=1",
            f"-X k8s.io/component-base/version.gitMinor={KUBERNETES.split('.')[1]}",
        )
    )
    return Program("k8s.io/kubernetes", f"v{KUBERNETES}", KUBERNETES_SUM, package, ("-ldflags", stamp), staging=True)


def _importing(module: str, main: str, plugins: tuple[str, ...]) -> str:
    """The main package of a CoreDNS with few plugins: half the packages to compile."""
    imports = "".join(f'\t_ "{module}/plugin/{plugin}"\n' for plugin in plugins)
    return f'package main\n\nimport (\n\t"{module}/{main}"\n{imports})\n\nfunc main() {{ {main}.Run() }}\n'


PROGRAMS: dict[str, Program] = {
    "etcd": Program(
        "go.etcd.io/etcd/server/v3",
        "v3.6.8",
        "h1:U2strdSEy1U8qcSzRIdkYpvOPtBy/9i/IfaaCI9flZ4=",
        "go.etcd.io/etcd/server/v3",
    ),
    "kube-apiserver": _kubernetes("k8s.io/kubernetes/cmd/kube-apiserver"),
    "kubectl": _kubernetes("k8s.io/kubernetes/cmd/kubectl"),
    "kube-controller-manager": _kubernetes("k8s.io/kubernetes/cmd/kube-controller-manager"),
    "kube-scheduler": _kubernetes("k8s.io/kubernetes/cmd/kube-scheduler"),
    "training-operator": Program(
        "github.com/kubeflow/training-operator",
        "v1.9.4",
        "h1:MjYXzeaHGBmF47BlhCo6+Mb7ypHrVfO6vsys1ZHF56A=",
        "github.com/kubeflow/training-operator/cmd/training-operator.v1",
    ),
    "jobset": Program(
        "sigs.k8s.io/jobset",
        "v0.12.0",
        "h1:YYPuV0px8Ongq/RXmJg6V0w2UC67aiR+rCMD06vhQQQ=",
        "sigs.k8s.io/jobset",
    ),
    "trainer": Program(
        "github.com/kubeflow/trainer/v2",
        "v2.3.0",
        "h1:Je+e7zvTLzB4qW09J1fB7pZrqvPtWuGng2NqdN5p5QU=",
        "github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager",
    ),
    "kuberay": Program(
        "github.com/ray-project/kuberay/ray-operator",
        "v1.6.0",
        "h1:1hs7Di2U/vm09ot7MIU8jUqEo7gHDc4gkbv1eFvqCsQ=",
        "github.com/ray-project/kuberay/ray-operator",
    ),
    "kserve": Program(
        "github.com/kserve/kserve",
        "v0.20.0",
        "h1:Bs7HxmGV4KFqqptDcWseKv+mwD4YOYHJWcuVgPG2Gug=",
        "github.com/kserve/kserve/cmd/manager",
    ),
    "kwok": Program(
        "sigs.k8s.io/kwok",
        "v0.8.0",
        "h1:OTIOTwgROqPMovcTwxICx2eYQ4AwLpSx5EpjbDKF4SQ=",
        "sigs.k8s.io/kwok/cmd/kwok",
    ),
    "helm": Program(
        "helm.sh/helm/v3",
        "v3.22.0",
        "h1:n1if5iQgHYsujPAcO5oonH/KiSNUmqmUF0iGVjSF3AU=",
        "helm.sh/helm/v3/cmd/helm",
    ),
    "kubelet": _kubernetes("k8s.io/kubernetes/cmd/kubelet"),
    "kube-proxy": _kubernetes("k8s.io/kubernetes/cmd/kube-proxy"),
    "coredns": Program(
        "github.com/coredns/coredns",
        "v1.12.4",
        "h1:rIMnjPvB02drP18DTlJJb1vGkc8Tyl8fe7NFnnSv2lU=",
        ".",
        main=_importing(
            "github.com/coredns/coredns", "coremain", ("bind", "errors", "kubernetes", "ready", "template")
        ),
    ),
    "crane": Program(
        "github.com/google/go-containerregistry",
        "v0.21.9",
        "h1:F+D4uZ3iA3DLMJLfhaqMdHJbzeqm/216WGQq2dokuLs=",
        "github.com/google/go-containerregistry/cmd/crane",
    ),
    "fake-gcs-server": Program(
        "github.com/fsouza/fake-gcs-server",
        "v1.56.1",
        "h1:K03sAvbLvDz4hAynpCCUqnNRp+ik9JFSvHbkD/wTPOU=",
        "github.com/fsouza/fake-gcs-server",
    ),
    "versitygw": Program(
        "github.com/versity/versitygw",
        "v1.8.0",
        "h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc=",
        "github.com/versity/versitygw/cmd/versitygw",
    ),
}


def cache() -> Path:
    """Folder for what is built once: `RUNWRIGHT_CACHE`, else a folder in the user's cache."""
    given = os.environ.get("RUNWRIGHT_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "runwright"


def present(name: str) -> bool:
    """Whether a program is there without a build."""
    return _target(name).exists()


def binary(name: str) -> Path:
    """Path of a program, built when it is absent. Raises RuntimeError with the compiler's last words."""
    program, target = PROGRAMS[name], _target(name)
    if not target.exists():
        with alone(target):
            if not target.exists():
                print(f"building {name} {program.version} from its Go module", file=sys.stderr, flush=True)
                _build(program, target)
    return target


def _target(name: str) -> Path:
    return cache() / "bin" / f"{name}-{PROGRAMS[name].version}"


def module(name: str) -> Path:
    """Folder with the sources of a program's module; its manifests and CRDs lie there."""
    program = PROGRAMS[name]
    target = cache() / "modules" / f"{name}-{program.version}"
    if not target.exists():
        with alone(target), tempfile.TemporaryDirectory(dir=target.parent) as folder:
            if not target.exists():
                copy = Path(folder) / "module"
                shutil.copytree(_download(program), copy, ignore=_not_manifests)
                _writable(copy)
                copy.rename(target)
    return target


@contextlib.contextmanager
def alone(target: Path) -> Iterator[None]:
    """Holds the lock of a target, which the kernel frees should its holder die; makes the target's folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _not_manifests(folder: str, names: list[str]) -> list[str]:
    keep = (".yaml", ".yml", ".json")
    return [name for name in names if not name.endswith(keep) and not (Path(folder) / name).is_dir()]


def _writable(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)


def _go(*arguments: str, cwd: Path, environment: dict[str, str] | None = None) -> str:
    if shutil.which("go") is None:
        raise RuntimeError(GO_NEEDED)
    done = subprocess.run(
        ["go", *arguments],
        cwd=cwd,
        env={**os.environ, "GOFLAGS": "-buildvcs=false", "GOWORK": "off", **(environment or {})},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"go {' '.join(arguments)}: {done.stderr[-3000:]}")
    return done.stdout


def _download(program: Program) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        printed = _go("mod", "download", "-json", f"{program.module}@{program.version}", cwd=Path(folder))
    found = json.loads(printed)
    if found["Sum"] != program.sum:
        raise RuntimeError(f"{program.module}@{program.version} has the sum {found['Sum']}, not {program.sum}")
    return Path(str(found["Dir"]))


def _build(program: Program, target: Path) -> None:
    source = _download(program)
    with tempfile.TemporaryDirectory() as folder:
        wrapper = Path(folder)
        (wrapper / "go.mod").write_text("\n".join(_wrapper(program, (source / "go.mod").read_text())))
        if (source / "go.sum").exists():
            shutil.copy(source / "go.sum", wrapper / "go.sum")
            (wrapper / "go.sum").chmod(0o644)
        if program.main:
            (wrapper / "main.go").write_text(program.main)
        part = target.with_name(f".{target.name}.{os.getpid()}")
        _go(
            *("build", "-mod=mod", "-trimpath", *program.flags, "-o", str(part), program.package),
            cwd=wrapper,
            environment=program.environment,
        )
        part.rename(target)


def _wrapper(program: Program, original: str) -> Iterator[str]:
    """The lines of a go.mod that requires the module exactly as it requires others itself."""
    for line in original.splitlines():
        if line.startswith("module "):
            yield "module runwright.dev/cluster-tier"
        elif "=> ./staging/src/" in line:
            yield f"{line.split('=>')[0]}=> {line.split('=>')[0].split()[-1]} {STAGING}"
        elif "=> ./" in line or "=> ../" in line:
            continue
        else:
            yield line.replace("v0.0.0 ", f"{STAGING} ") if program.staging else line
    yield f"require {program.module} {program.version}"
    yield ""


if __name__ == "__main__":
    for wanted in sys.argv[1:] or PROGRAMS:
        print(binary(wanted), flush=True)
