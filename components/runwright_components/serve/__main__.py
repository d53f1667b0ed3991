"""`python -m runwright_components.serve --model-dir DIR --name NAME --port 8080`: what a serving container starts."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from runwright_components.contract.outcome import ExitCode, StageError


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM; the exit code says how it ended."""
    parser = argparse.ArgumentParser(prog="python -m runwright_components.serve", description=__doc__)
    parser.add_argument("--model-dir", type=Path, default=Path("/mnt/models"), help="folder of the package")
    parser.add_argument("--name", help="name of the model in the URLs; by default the package's")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    parser.add_argument("--grpc-port", type=int, help="serve gRPC too, on this port")
    parser.add_argument("--threads", type=int, help="of ONNX Runtime, for one request; by default 1")
    parser.add_argument("--max-body-bytes", type=int, default=16 * 2**20)
    parser.add_argument("--max-rows", type=int, default=10_000, help="of one request")
    parser.add_argument("--drain-seconds", type=float, default=0.0, help="go on serving for so long after SIGTERM")
    parser.add_argument("--grace-seconds", type=int, default=30, help="then, for requests in flight")
    parser.add_argument("--access-log", action="store_true", help="one JSON line a prediction on stderr")
    parser.epilog = "RUNWRIGHT_LOG_PREDICTIONS=PLACE logs predictions to a folder or s3:// (docs/data/feedback.md)."
    given = parser.parse_args(arguments)
    sys.argv = sys.argv[:1]  # KServe parses it when it is imported
    from runwright_components.serve.prediction_log import LogOptions
    from runwright_components.serve.server import ServeOptions, serve

    try:
        options = ServeOptions(
            host=given.host,
            port=given.port,
            grpc_port=given.grpc_port,
            threads=given.threads,
            max_body_bytes=given.max_body_bytes,
            max_rows=given.max_rows,
            access_log=given.access_log,
            prediction_log=LogOptions.of(os.environ),
            drain_seconds=given.drain_seconds,
            grace_seconds=given.grace_seconds,
        )
        serve(given.model_dir, given.name, options=options, on_ready=lambda port, _model: _say(port))
    except StageError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return ExitCode.OK


def _say(port: int) -> None:
    print(f"ready on port {port}", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
