"""`runwright serve`: the model server of the cluster, on this machine."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runwright_cli.model_folder import find_model

if TYPE_CHECKING:
    from runwright_components.serve.model import RunwrightModel

_INLINE = 1000  # characters of a request that still fit a command line


@click.command()
@click.argument("model", required=False)
@click.option("--name", help="Name of the model in the URLs; by default the package's.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--grpc-port", type=click.IntRange(1, 65535), help="Serve gRPC too, on this port.")
@click.option("--threads", type=click.IntRange(1), help="Threads of ONNX Runtime for one request; by default 1.")
@click.option("--access-log", is_flag=True, help="One JSON line a prediction on stderr.")
@click.option(
    "--log-predictions",
    metavar="PLACE",
    envvar="RUNWRIGHT_LOG_PREDICTIONS",
    help="Keep what is asked and answered in a folder or s3://BUCKET/PREFIX.",
)
@click.option(
    "--log-share",
    default=1.0,
    show_default=True,
    envvar="RUNWRIGHT_LOG_SHARE",
    type=click.FloatRange(0, 1, min_open=True),
    help="Of so many requests.",
)
@click.option("--log-without", metavar="FIELD", multiple=True, help="Without this field; may be repeated.")
def serve(
    model: str | None,
    name: str | None,
    host: str,
    port: int,
    grpc_port: int | None,
    threads: int | None,
    access_log: bool,
    log_predictions: str | None,
    log_share: float,
    log_without: tuple[str, ...],
) -> None:
    """Serve MODEL: a package's folder, NAME or NAME/VERSION of a run; by default the only model under ./.runwright.

    Speaks KServe's V1 protocol and the Open Inference Protocol (V2), and shows Prometheus metrics on /metrics.
    """
    from runwright_components.contract.outcome import StageError

    sys.argv = sys.argv[:1]  # KServe parses it when it is imported
    try:
        folder = find_model(model, beside=Path.cwd())
        click.echo(f"Loading {folder}", err=True)
        from runwright_components.serve.prediction_log import LogOptions
        from runwright_components.serve.server import ServeOptions
        from runwright_components.serve.server import serve as serve_folder

        options = ServeOptions(
            host=host,
            port=port,
            grpc_port=grpc_port,
            threads=threads,
            access_log=access_log,
            prediction_log=LogOptions(log_predictions, log_share, log_without) if log_predictions else None,
        )
        serve_folder(
            folder,
            name,
            options=options,
            on_ready=lambda bound, served: click.echo(_welcome(host, bound, served, folder)),
        )
    except StageError as error:
        raise click.ClickException(str(error)) from error


def _welcome(host: str, port: int, model: RunwrightModel, folder: Path) -> str:
    """What to type to get a prediction."""
    address = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 (compared, not listened on)
    url = f"http://{f'[{address}]' if ':' in address else address}:{port}"
    signature = model.predictor.signature if model.predictor else None
    text = json.dumps({"instances": [signature.example if signature else {}]}, ensure_ascii=False)
    example = folder / "example.json"
    data = f"@{example}" if len(text) > _INLINE and example.is_file() else text
    return (
        f'Serving "{model.name}" on {url} (stop with Ctrl-C). Try:\n\n'
        f"  curl -H 'Content-Type: application/json' -d {shlex.quote(data)} {url}/v1/models/{model.name}:predict\n"
    )
