"""A real Airflow with a database of its own, and one process of it that runs the DAGs of `dags/`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.airflow.environment import python, wheel

HERE = Path(__file__).parent


class Airflow:
    """One Python process with Airflow in it; it runs one DAG at a time."""

    def __init__(self, home: Path, site: Path, connection: dict[str, Any]) -> None:
        self.log = home / "driver.log"
        self._asked = 0
        environment = {
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_ZOO": json.dumps(connection),
            "AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "false",
            "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "3600",
            "PYTHONPATH": str(site),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        subprocess.run(
            [str(python()), "-m", "airflow", "db", "migrate"],
            env=environment,
            check=True,
            capture_output=True,
            timeout=300,
        )
        self._process = subprocess.Popen(
            [str(python()), str(HERE / "driver.py")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            text=True,
        )
        assert self.answer() == {"problems": {}}

    def ask(self, **asked: Any) -> None:
        """Send it off; `answer` waits for what comes of it."""
        assert self._process.stdin is not None
        self._asked += 1
        print(json.dumps({**asked, "number": self._asked}), file=self._process.stdin, flush=True)

    def answer(self) -> dict[str, Any]:
        """To what was asked last: a test that gave up has left an answer behind."""
        assert self._process.stdout is not None
        while True:
            line = self._process.stdout.readline()
            assert line, self.log.read_text()[-4000:]
            found = dict(json.loads(line))
            if found.pop("number") == self._asked:
                return found

    def terminate_task(self) -> None:
        """As a supervisor ends a task that a person has taken away."""
        self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runwright's wheel, unpacked."""
    return wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory, site: Path, kubeconfig: Path) -> Iterator[Airflow]:
    extra = {"kube_config": kubeconfig.read_text(), "namespace": "default"}
    started = Airflow(tmp_path_factory.mktemp("airflow"), site, {"conn_type": "kubernetes", "extra": extra})
    yield started
    started.stop()
