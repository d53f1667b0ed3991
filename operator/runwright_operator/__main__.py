"""`python -m runwright_operator`: run the operator; `--check`: look whether it could run; `--help`: its settings."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from runwright_operator.settings import Settings, SettingsError, describe, read_settings, unknown_variables

STOPPED = 0
FAILED = 1
MISCONFIGURED = 2
ENDED = 3  # the process could not mend itself, or lost the lease; it is meant to be started again

USAGE = """Usage: python -m runwright_operator [--check | --help]

Watches TrainingRuns and brings the cluster to what they say. --check reads the settings, asks the API server and
Kubeflow Pipelines for their versions, and ends.

Settings, from environment variables [default]:
"""


def main(arguments: list[str]) -> int:
    """The exit code of the program."""
    if arguments == ["--help"] or arguments == ["-h"]:
        sys.stdout.write(f"{USAGE}{describe()}\n")
        return STOPPED
    if arguments not in ([], ["--check"]):
        sys.stderr.write(f"unknown arguments: {' '.join(arguments)}; see --help\n")
        return MISCONFIGURED
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return MISCONFIGURED
    from runwright_operator import logs, starting  # slow to import, which --help need not be

    logs.set_up(settings.log_level, settings.log_format)
    starting.log.info("settings: %s", _told(settings))
    for hint in unknown_variables(os.environ):
        starting.log.warning("%s", hint)
    return starting.check(settings) if arguments else starting.start(settings)


def _told(settings: Settings) -> str:
    """What differs from the defaults."""
    given = settings.model_dump(mode="json", exclude_defaults=True)
    return " ".join(f"{name}={value}" for name, value in given.items()) or "defaults"


def _leave(code: int) -> NoReturn:
    """At once: a thread that waits for an answer of the network must not hold up the end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main(sys.argv[1:]))
