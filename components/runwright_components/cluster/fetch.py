"""`python -m runwright_components.cluster.fetch URI DIR --digest sha256:HEX [-- COMMAND ...]`: bring a package to a
folder before it is served.

The command, where one is given, takes this process's place. Credentials and endpoint come from the environment (AWS_*).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from runwright_components.cluster.ending import fault_of, leave_message
from runwright_components.cluster.storage import fetch_package, place
from runwright_components.contract.cluster import StorageConfig
from runwright_components.contract.outcome import ExitCode, StageError


def main(arguments: list[str] | None = None) -> int:
    """Fetch the package; the exit code says how it went."""
    given, command = split(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m runwright_components.cluster.fetch", description=__doc__)
    parser.add_argument("uri", help="folder of the package: s3://BUCKET/PREFIX or file:///FOLDER")
    parser.add_argument("folder", type=Path, help="where to put it")
    parser.add_argument("--digest", required=True, help="of the package")
    options = parser.parse_args(given)
    try:
        manifest = fetch_package(place(StorageConfig(uri=options.uri)), options.folder, options.digest)
    except StageError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        leave_message(fault_of(error))
        return error.exit_code
    print(f"{manifest.name}: {len(manifest.files)} files, model {manifest.model_digest}", flush=True)  # noqa: T201
    if command:
        os.execvp(command[0], command)  # noqa: S606 (no shell, and the arguments are the pod's own)
    return ExitCode.OK


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Our own arguments, and the command after `--`."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


if __name__ == "__main__":
    sys.exit(main())
