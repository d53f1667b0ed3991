"""A pipeline's step as a process of its own, as a KFP pod runs it: `python -m tests.cluster.step_process JSON`.

The JSON names the step, its parameters, and its artifacts by their paths.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from runwright_components.contract.step import execute

ROOT = Path(__file__).parents[2]


@dataclass
class StepProcess:
    """A step that runs now; what it says goes to `log`."""

    process: subprocess.Popen[bytes]
    log: Path = field(repr=False)

    @classmethod
    def start(
        cls,
        name: str,
        folder: Path,
        *,
        kubeconfig: Path,
        cluster: str,
        run_id: str,
        artifacts: dict[str, Path],
        **parameters: str,
    ) -> StepProcess:
        """Start step `name` in `folder` with the rights of `kubeconfig`."""
        given = {
            "name": name,
            "parameters": {**parameters, "cluster": cluster, "run_id": run_id},
            "artifacts": {key: str(path) for key, path in artifacts.items()},
        }
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "KFP_POD_NAME": f"{run_id}-executor"}
        environment.pop("RUNWRIGHT_WORKSPACE", None)
        log = folder / f"{name}.log"
        with log.open("ab") as output:
            command = [sys.executable, "-m", "tests.cluster.step_process", json.dumps(given)]
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        return cls(process, log)

    def wait(self, seconds: float = 60.0) -> int:
        """The exit code; the step must end by then."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the step still runs after {seconds:.0f} s: {self.said()}") from None

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def main(given: dict[str, Any]) -> None:
    """Run the step here."""
    artifacts = {
        name: SimpleNamespace(path=path, uri=f"file://{path}", metadata={}) for name, path in given["artifacts"].items()
    }
    execute(given["name"], **given["parameters"], **artifacts)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
