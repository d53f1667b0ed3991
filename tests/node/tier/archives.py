"""Images of one layer, as archives that containerd imports and crane pushes; no container engine is needed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.cluster.tier.binaries import GO_NEEDED, cache

SOURCE = Path(__file__).with_name("pause")
USER = "65532:65532"


def image(path: Path, name: str, files: Mapping[str, Path | str], command: Sequence[str]) -> Path:
    """Writes an image that holds these programs; a value that is text is the target of a link."""
    layer = _tar({place: _entry(place, what) for place, what in files.items()})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": list(command), "User": USER, "Env": ["PATH=/bin"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    parts = {"manifest.json": _json(manifest), "config.json": _json(config), "layer.tar": layer}
    path.write_bytes(_tar({name: (_file(name, data), data) for name, data in parts.items()}))
    return path


def pause() -> tuple[str, Path]:
    """Name and archive of the node's own image (pause/main.go), built once."""
    program = pause_program()
    archive = program.with_suffix(".tar")
    name = f"runwright.test/{program.name.replace('-', ':')}"
    if not archive.exists():
        image(archive.with_suffix(".part"), name, {"pause": program}, ["/pause"]).rename(archive)
    return name, archive


def pause_program() -> Path:
    """The program in that image, which runs on this machine too. Raises RuntimeError with the compiler's words."""
    digest = hashlib.sha256((SOURCE / "main.go").read_bytes()).hexdigest()
    target = cache() / "node" / f"pause-{digest[:12]}"
    if not target.exists():
        if shutil.which("go") is None:
            raise RuntimeError(GO_NEEDED)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}")
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
        command = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(part), str(SOURCE / "main.go")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
        part.rename(target)
    return target


def _entry(place: str, what: Path | str) -> tuple[tarfile.TarInfo, bytes]:
    if isinstance(what, str):
        info = tarfile.TarInfo(place)
        info.type, info.linkname = tarfile.SYMTYPE, what
        return info, b""
    data = what.read_bytes()
    return _file(place, data), data


def _file(name: str, data: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o755
    return info


def _tar(entries: Mapping[str, tuple[tarfile.TarInfo, bytes]]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for info, data in entries.values():
            archive.addfile(info, io.BytesIO(data))
    return written.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
