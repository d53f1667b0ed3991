"""Tasks on Spark. In a cluster a SparkApplication or spark-submit starts the driver; else Spark runs here."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from runwright_components.engines.engine import parts_on
from runwright_components.engines.outcome import Task, gave_up, missing, results

_CONFIGURED = {"PYSPARK_GATEWAY_PORT", "SPARK_HOME", "SPARK_CONF_DIR"}
"""Variables by which spark-submit or an installation of Spark says what the master is."""

Part = TypeVar("Part")
Result = TypeVar("Result")


class Spark:
    """Tasks of a Spark session."""

    def __init__(self, spark: Any) -> None:
        self._context = spark.sparkContext

    def parts(self, rows: int) -> int:
        return parts_on(self._context.defaultParallelism, rows)

    def run(self, do: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
        from pyspark.errors import PySparkException

        try:
            return results(self._context.parallelize(parts, len(parts)).map(Task(do)).collect())
        except (Py4JJavaError, PySparkException) as error:
            raise gave_up("Spark", str(error)) from error


@contextmanager
def session() -> Iterator[Spark]:
    """The active session, or a new one of the master that the environment names, which ends with the block."""
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise missing("spark", "pyspark, which is not installed", 'pip install "runwright[spark]"') from error
    found = SparkSession.getActiveSession()
    if found is not None:
        yield Spark(found)
        return
    _require_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # of the workers
    if not os.environ.keys() & _CONFIGURED:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")  # where it listens
    spark = (
        SparkSession.builder.appName("runwright")
        .config("spark.executorEnv.POLARS_MAX_THREADS", "1")  # Spark runs as many tasks at a time as there are cores
        .config("spark.driver.maxResultSize", "0")  # the values of categories, which the driver has room for or not
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield Spark(spark)
    finally:
        spark.stop()


def _require_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java") or (home and Path(home, "bin", "java").is_file()):
        return
    cure = "install Java 17 (Debian: openjdk-17-jre-headless), or set JAVA_HOME"
    raise missing("spark", "Java, which is not on this machine", cure)
