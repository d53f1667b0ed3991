"""A real Airflow: a virtual environment by requirements/airflow.txt, built once and kept, and Runwright's own wheel."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.cluster.tier.binaries import alone, cache

ROOT = Path(__file__).resolve().parents[3]
REQUIREMENTS = ROOT / "requirements" / "airflow.txt"
BIN = Path(sys.executable).parent


def python() -> Path:
    """The Python that has Airflow. Raises RuntimeError with the installer's last words."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = cache() / f"airflow-{version}-{digest}"
    ready = folder / ".ready"
    if not ready.exists():
        with alone(folder):
            if not ready.exists():
                print("installing Airflow from requirements/airflow.txt", file=sys.stderr, flush=True)
                _run(str(BIN / "uv"), "venv", "-q", "--allow-existing", "--python", sys.executable, str(folder))
                target = ["--python", str(folder / "bin" / "python"), "--compile-bytecode", "--require-hashes"]
                _run(str(BIN / "uv"), "pip", "install", "-q", *target, "-r", str(REQUIREMENTS))
                ready.touch()
    return folder / "bin" / "python"


def wheel(folder: Path) -> Path:
    """Runwright as it is installed, entry points included, unpacked into a folder of its own."""
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    site = folder / "site"
    with zipfile.ZipFile(next(folder.glob("runwright-*.whl"))) as archive:
        archive.extractall(site)
    return site


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])}: {(done.stderr or done.stdout)[-2000:]}")
