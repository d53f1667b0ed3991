"""Commands in an unpacked image, as a restricted pod runs them: not as root, with a read-only root and no rights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from images.oci import Assembled
from images.table import USER

_ENTER = """
root=$1 shared=$2; shift 2
mount --bind "$root" "$root" && mount -o remount,bind,ro "$root" &&
mount -t tmpfs tmp "$root/tmp" && mount --bind "$shared" "$root/mnt" &&
mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" && cd "$root" &&
exec setpriv --no-new-privs -- chroot --userspec=USER:USER "$root" "$@"
""".replace("USER", str(USER))


def refusal() -> str | None:
    """Why images cannot be entered on this machine; None where they can."""
    if os.geteuid():
        return "entering an image needs root"
    missing = [program for program in ("unshare", "setpriv", "chroot", "mount") if shutil.which(program) is None]
    return f"{', '.join(missing)} not installed; install util-linux and coreutils" if missing else None


@dataclass(frozen=True)
class Sandbox:
    """An image, unpacked into `root`."""

    image: Assembled
    root: Path
    shared: Path
    """A folder of this machine at /mnt, which the image's user may write to."""

    @staticmethod
    def of(image: Assembled, folder: Path) -> Sandbox:
        """Unpack an image's layers, from below."""
        root, shared = folder / "root", folder / "shared"
        root.mkdir(parents=True)
        shared.mkdir()
        os.chown(shared, USER, USER)
        for layer in image.layers:
            subprocess.run(["tar", "-xpzf", layer.path, "-C", root], check=True)
        return Sandbox(image, root, shared)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The image's configuration."""
        blobs = self.image.folder / "blobs/sha256"
        manifest = json.loads((blobs / self.image.digest.removeprefix("sha256:")).read_text())
        content = json.loads((blobs / manifest["config"]["digest"].removeprefix("sha256:")).read_text())
        return dict(content["config"])

    @property
    def environment(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for pair in self.config["Env"])

    def command(self, *command: str) -> list[str]:
        """What runs `command` in the image; it needs `environment`."""
        inner = ("bash", "-c", _ENTER, "enter", str(self.root), str(self.shared))
        return ["/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child", "--", *inner, *command]

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `command` to its end."""
        return subprocess.run(
            self.command(*command),
            env={**self.environment, "PATH": "/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin", **environment},
            capture_output=True,
            text=True,
            timeout=600,
        )

    def members(self) -> list[tarfile.TarInfo]:
        """Every file as it lies in the layers."""
        found = []
        for layer in self.image.layers:
            with tarfile.open(layer.path) as archive:
                found += archive.getmembers()
        return found
