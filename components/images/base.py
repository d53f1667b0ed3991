"""The lowest layer: Python, the libraries that it and wheels need, certificates and time zones, from Debian's packages.

Packages are unpacked, never installed: no script of theirs runs, and there is no dpkg, apt or shell in the result.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from images.layers import Part, alone, remove
from images.table import USER

RELEASE = "bookworm"
PYTHON = "3.11"
SITE = "usr/lib/python3/dist-packages"  # what we install
LIBRARIES = "usr/lib/x86_64-linux-gnu"

Table = Mapping[str, tuple[str, ...]]
"""Package -> which of its files, by the beginning of their names."""

EVERYTHING = ("",)
PACKAGES: Table = {
    "base-files": ("usr/lib/os-release", "etc/debian_version", "usr/share/common-licenses/"),
    "ca-certificates": ("usr/share/ca-certificates/mozilla/",),
    "libbz2-1.0": EVERYTHING,
    "libc-bin": ("usr/lib/locale/C.utf8/",),
    "libc6": ("usr/lib/x86_64-linux-gnu/ld-", "usr/lib/x86_64-linux-gnu/lib", "usr/lib64/"),
    "libcrypt1": EVERYTHING,
    "libexpat1": EVERYTHING,
    "libffi8": EVERYTHING,
    "libgcc-s1": EVERYTHING,
    "liblzma5": EVERYTHING,
    "libpython3.11-minimal": EVERYTHING,
    "libpython3.11-stdlib": EVERYTHING,
    "libsqlite3-0": EVERYTHING,
    "libssl3": EVERYTHING,
    "libstdc++6": ("usr/lib/x86_64-linux-gnu/",),  # without gdb's printers
    "libuuid1": EVERYTHING,
    "openssl": ("etc/ssl/openssl.cnf", "usr/lib/ssl/cert.pem", "usr/lib/ssl/certs", "usr/lib/ssl/openssl.cnf"),
    "python3.11-minimal": ("usr/bin/",),
    "tzdata": ("usr/share/zoneinfo/",),
    "zlib1g": EVERYTHING,
}
SHELL: Table = {"dash": ("usr/bin/",), "coreutils": ("usr/bin/mktemp",)}
COPYRIGHT = "usr/share/doc/{}/copyright"

_UNWANTED = (
    # documentation, and what only Debian's own tools read
    r"usr/share/(?!ca-certificates|common-licenses|zoneinfo)",
    r"usr/share/zoneinfo/(right|posix)/",
    r"usr/lib/python3\.11/EXTERNALLY-MANAGED$",
    # the standard library's tests, and modules that need libraries which are not here
    r"usr/lib/python3\.11/test/",
    r"usr/lib/python3\.11/(curses|distutils|ensurepip|idlelib|lib2to3|pydoc_data|tkinter|turtledemo)/",
    r"usr/lib/python3\.11/lib-dynload/(_curses|_curses_panel|_dbm|nis|readline|ossaudiodev)\.",
    r"usr/lib/python3\.11/lib-dynload/(_ctypes_test|_test\w+|_xxtestfuzz|xxlimited\w*)\.",
)
UNWANTED = re.compile("|".join(_UNWANTED))
_TOP = ("bin", "lib", "lib64", "sbin")  # links into usr, as in every Debian since 12
_LICENCE = re.compile(r"^License:[ \t]*(\S[^\n]*)$", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """One Debian package, as apt knows it."""

    name: str
    version: str
    architecture: str
    sha256: str
    control: str

    @property
    def file(self) -> str:
        return f"{self.sha256}.deb"


def candidates(names: Iterable[str]) -> dict[str, Package]:
    """The newest versions that apt would install. Raises RuntimeError where apt does not know them."""
    _on_debian()
    wanted = sorted(names)
    shown = _run("apt-cache", "show", "--no-all-versions", *wanted)
    packages: dict[str, Package] = {}
    for control in shown.strip().split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+): (.*)$", control, re.MULTILINE))
        if "SHA256" not in fields:  # of a package that only this machine's own list has
            raise RuntimeError(f"apt has no archive of {fields.get('Package')}: run apt-get update")
        name = fields["Package"]
        packages[name] = Package(name, fields["Version"], fields["Architecture"], fields["SHA256"], control)
    if missing := set(wanted) - set(packages):
        raise RuntimeError(f"apt does not know {', '.join(sorted(missing))}: run apt-get update")
    return packages


def fill(tree: Path, table: Table, packages: dict[str, Package], debs: Path) -> tuple[Part, ...]:
    """Unpack what `table` names of each package into `tree`. `debs` keeps the packages' files."""
    fetch(packages.values(), debs)
    parts = []
    for name, package in sorted(packages.items()):
        copyright_file = COPYRIGHT.format(name)
        _unpack(debs / package.file, tree, (*table[name], copyright_file), keep=copyright_file)
        status = tree / "var/lib/dpkg/status.d" / name  # where scanners look for packages that dpkg did not install
        status.parent.mkdir(parents=True, exist_ok=True)
        status.write_text(f"{package.control}\nStatus: install ok installed\n".replace("\n\n", "\n"))
        parts.append(_part(package, tree / copyright_file))
    return tuple(parts)


def finish(tree: Path) -> None:
    """What packages' scripts would have made, and nothing more."""
    for name in _TOP:
        _link(tree / name, f"usr/{name}")
    (tree / "usr/sbin").mkdir(parents=True, exist_ok=True)
    for name in ("python", "python3"):
        _link(tree / "usr/bin" / name, f"python{PYTHON}")
    certificates = sorted((tree / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    bundle = tree / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(path.read_bytes().rstrip(b"\n") + b"\n" for path in certificates))
    remove(tree / "usr/share/ca-certificates")
    _link(tree / "etc/os-release", "../usr/lib/os-release")
    _link(tree / "etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
    (tree / "etc/passwd").write_text(
        f"root:x:0:0:root:/root:/usr/sbin/nologin\nrunwright:x:{USER}:{USER}:runwright:/tmp:/usr/sbin/nologin\n"
    )
    (tree / "etc/group").write_text(f"root:x:0:\nrunwright:x:{USER}:\n")
    (tree / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    for folder in ("tmp", "proc", "sys", "dev", "run", "mnt", "var/tmp", SITE, "usr/local/bin"):
        (tree / folder).mkdir(parents=True, exist_ok=True)


def _on_debian() -> None:
    release = Path("/etc/os-release")
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise RuntimeError("images are built on Debian 12, whose apt-get and dpkg-deb fetch and unpack its packages")
    if f"VERSION_CODENAME={RELEASE}\n" not in release.read_text():
        raise RuntimeError(
            f"images are built on Debian 12 ({RELEASE}): wheels and bytecode are for its Python {PYTHON}"
        )


def fetch(packages: Iterable[Package], debs: Path) -> None:
    """Download the packages' files that are not there yet, all at once. Raises RuntimeError for a wrong sum."""
    debs.mkdir(parents=True, exist_ok=True)
    with alone(debs / "fetching"), tempfile.TemporaryDirectory(dir=debs) as folder:
        missing = [package for package in packages if not (debs / package.file).exists()]
        if missing:
            _run("apt-get", "download", "-qq", *(f"{one.name}={one.version}" for one in missing), cwd=Path(folder))
        for package in missing:
            fetched = Path(folder) / f"{package.name}_{package.version.replace(':', '%3a')}_{package.architecture}.deb"
            found = hashlib.sha256(fetched.read_bytes()).hexdigest()
            if found != package.sha256:
                raise RuntimeError(f"{fetched.name} has the sum {found}, not {package.sha256}")
            fetched.rename(debs / package.file)


def _unpack(deb: Path, tree: Path, wanted: tuple[str, ...], *, keep: str) -> None:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as unpacking:
        assert unpacking.stdout is not None
        with tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive:
            for member in archive:
                name = _merged(member.name)
                if not member.isdir() and name.startswith(wanted) and (name == keep or not UNWANTED.match(name)):
                    _place(archive, member, tree / name, tree)
        for _ in iter(lambda: unpacking.stdout and unpacking.stdout.read(1 << 16), b""):
            pass
    if unpacking.returncode:
        raise RuntimeError(f"dpkg-deb cannot unpack {deb.name}")


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, tree: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        _link(target, member.linkname)
    elif member.islnk():
        os.link(tree / _merged(member.linkname), target)
    elif (content := archive.extractfile(member)) is not None:
        with target.open("wb") as file:
            shutil.copyfileobj(content, file)
        target.chmod(member.mode & 0o755)


def _merged(name: str) -> str:
    """The name of a file where /bin, /lib and so on are links into /usr."""
    path = PurePosixPath(name.removeprefix("./"))
    return f"usr/{path}" if path.parts and path.parts[0] in _TOP else str(path)


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _part(package: Package, copyright_file: Path) -> Part:
    version = quote(package.version, safe="")
    purl = f"pkg:deb/debian/{package.name}@{version}?arch={package.architecture}&distro=debian-12"
    text = copyright_file.read_text(errors="replace") if copyright_file.exists() else ""
    return Part(package.name, package.version, purl, tuple(dict.fromkeys(_licences(text))), "Debian package")


def _licences(copyright_text: str) -> Iterator[str]:
    """Of a copyright file that a machine may read; other files name none."""
    if copyright_text.startswith("Format:"):
        yield from (found.strip() for found in _LICENCE.findall(copyright_text))


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"}
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])}: {done.stderr.strip()[-2000:]}")
    return done.stdout
