"""`runwright predict`: one shot of the model that `serve` serves, with the same answers."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from runwright_cli.model_folder import find_model

if TYPE_CHECKING:
    import polars as pl

    from runwright_components.contract.artifacts import Signature
    from runwright_components.serve.forecasting import Forecaster
    from runwright_components.serve.predictor import Predictor

_TABLE_ROWS = 1000
_ROWS = 1_000_000_000  # a file may hold as many rows as memory does


@click.command()
@click.argument("model", required=False)
@click.option("--input", "source", help="Rows: .json, .jsonl, .csv or .parquet; - reads JSON from stdin.")
@click.option("--prompt", help="In place of rows: what a language model continues; its text alone is printed.")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Of a generation: max_tokens, temperature, top_k, top_p, stop, seed; may be repeated.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write; by default stdout.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "table", "csv"]),
    default=None,
    help="By default json, or csv for *.csv.",
)
def predict(
    model: str | None,
    source: str | None,
    prompt: str | None,
    parameters: tuple[str, ...],
    output: Path | None,
    form: Literal["json", "table", "csv"] | None,
) -> None:
    """Predict the rows of --input, or continue --prompt, with MODEL, named as for `runwright serve`.

    A forecasting model takes the known past as .csv or .parquet: a row a stamp, columns as in training.

    JSON rows are a list of objects, one object, or a V1 request {"instances": [...], "parameters": {...}}.
    """
    if (source is None) == (prompt is None):
        raise click.UsageError("give --input FILE, or --prompt TEXT for a language model")
    from runwright_components.contract.outcome import StageError
    from runwright_components.serve.predictor import Limits, Predictor, RequestError

    form = form or ("csv" if output is not None and output.suffix == ".csv" else "json")
    try:
        predictor = Predictor(find_model(model, beside=Path.cwd()), limits=Limits(rows=_ROWS))
        given = dict(map(_parameter, parameters))
        if prompt is not None:
            text = _continued(predictor, prompt, given)
        else:
            assert source is not None
            text = _render(form, _answer(predictor, source, given))
        if output is None:
            click.echo(text, nl=not text.endswith("\n"))
        else:
            _write(output, text)
    except StageError as error:
        raise click.ClickException(str(error)) from error
    except RequestError as error:
        raise click.ClickException(f"{source}: {error}" if source else str(error)) from error


def _parameter(text: str) -> tuple[str, Any]:
    """`NAME=VALUE`; the value is a number where it reads as one."""
    name, sign, value = text.partition("=")
    if not sign:
        raise click.UsageError(f"--parameter {text}: write NAME=VALUE, for example temperature=0.8")
    try:
        return name, json.loads(value) if name != "stop" else value
    except ValueError:
        return name, value


def _continued(predictor: Predictor, prompt: str, parameters: dict[str, Any]) -> str:
    if predictor.generator is None:
        raise click.UsageError("--prompt is for language models; give this one rows with --input")
    generations = predictor.predict_rows([{"prompt": prompt}], parameters).generations
    assert generations is not None
    return generations[0].text + "\n"


def _answer(predictor: Predictor, source: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """A prediction for each row, as the server answers it; of a table of series one for each series, with its name."""
    from runwright_components.serve.protocol import predictions

    suffix, signature = Path(source).suffix.lower(), predictor.signature
    if suffix in (".csv", ".parquet"):
        table = _table_of(Path(source), suffix)
        if predictor.forecaster is not None:
            return _forecast(predictor, predictor.forecaster, table)
        if predictor.windows is not None and not set(predictor.windows.names) <= set(table.columns):
            table = table.hstack(predictor.windows.of(table))  # the rows are each other's past
        return predictions(signature, predictor.predict_columns(_columns(table, suffix, signature), parameters))
    rows, own = _rows(source, suffix)
    answer = predictor.predict_rows(rows, {**own, **parameters} if isinstance(own, dict) else own)
    return predictions(signature, answer)


def _forecast(predictor: Predictor, forecaster: Forecaster, table: pl.DataFrame) -> list[dict[str, Any]]:
    from runwright_components.serve.protocol import predictions

    requests = forecaster.preprocessing.requests(table)
    found = predictions(predictor.signature, forecaster.predict(requests))
    names = requests.select(forecaster.preprocessing.state.by).to_dicts() or [{}] * len(found)
    return [{**name, **row} for name, row in zip(names, found, strict=True)]


def _rows(source: str, suffix: str) -> tuple[Any, Any]:
    """Rows of a JSON text and the parameters beside them; whether they fit is for the predictor to say."""
    content = _read(source)
    if suffix in (".jsonl", ".ndjson"):
        lines = enumerate(content.splitlines(), 1)
        return [_parse(line, f"{source}, line {number}") for number, line in lines if line], {}
    body = _parse(content, source)
    if isinstance(body, dict) and "instances" in body:
        return body["instances"], body.get("parameters", {})
    return [body] if isinstance(body, dict) else body, {}


def _table_of(path: Path, suffix: str) -> pl.DataFrame:
    """A table as it is written; the cells of CSV stay texts."""
    import polars as pl

    from runwright_components.contract.outcome import Reason, StageError

    try:
        frame = pl.read_csv(path, infer_schema=False) if suffix == ".csv" else pl.read_parquet(path)
    except FileNotFoundError as error:
        raise _unreadable(str(path), "there is no such file") from error
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"not a readable {suffix[1:]} file: {str(error).splitlines()[0]}",
            where=str(path),
            cure="look at the file; CSV needs a header, commas and UTF-8",
        ) from error
    if frame.is_empty():
        raise StageError(Reason.DATA_INVALID, "the file has no rows", where=str(path), cure="give at least one row")
    return frame


def _columns(frame: pl.DataFrame, suffix: str, signature: Signature) -> dict[str, Sequence[object]]:
    """The columns of a table that the model takes, as JSON values; others are named on stderr and left out."""
    import polars as pl

    known = {field.name for field in signature.inputs}
    if spare := [name for name in frame.columns if name not in known and name not in signature.ignored]:
        click.echo(f"not used: {', '.join(spare)}", err=True)
    plain_numbers = {field.name for field in signature.inputs if field.type == "numeric" and not field.text}
    found: dict[str, Sequence[object]] = {}
    for name in frame.columns:
        if name not in known:
            continue
        column = frame[name]
        if suffix == ".csv" and name in plain_numbers and column.dtype == pl.String:
            found[name] = [_number(text) for text in column.to_list()]
        elif column.dtype.is_temporal():
            found[name] = column.cast(pl.String).to_list()
        else:
            found[name] = (column.fill_nan(None) if column.dtype.is_float() else column).to_list()
    return found


def _number(text: str | None) -> object:
    """A CSV cell of a field whose source held numbers; what does not read stays text, for the predictor to refuse."""
    if text is None or not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _read(source: str) -> str:
    try:
        return sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise _unreadable(source, "there is no such file") from error
    except UnicodeDecodeError as error:
        raise _unreadable(source, f"not UTF-8: byte {error.start}") from error
    except OSError as error:
        raise _unreadable(source, error.strerror or str(error)) from error


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(where, f"not JSON: {error}") from error


def _unreadable(where: str, message: str) -> Exception:
    from runwright_components.contract.outcome import Reason, StageError

    return StageError(
        Reason.DATA_UNREADABLE,
        message,
        where=where,
        cure="give rows as .json, .jsonl, .csv or .parquet, or - for stdin",
    )


def _render(form: Literal["json", "table", "csv"], rows: Sequence[Mapping[str, Any]]) -> str:
    if form == "json":
        return json.dumps({"predictions": rows}, indent=2, ensure_ascii=False) + "\n"
    flat = [line for row in rows for line in (_steps(row) if "forecast" in row else [_flat(row)])]
    return _csv(flat) if form == "csv" else _table(flat)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """One level: a column `probability LABEL` for each label, and one for each number of a list (`distances 0`)."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, list):
            flat |= {f"{key} {place}": item for place, item in enumerate(value)}
        elif key != "probabilities":
            flat[key] = value
    return flat | {f"probability {label}": value for label, value in row.get("probabilities", {}).items()}


def _steps(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A line for each step of a forecast."""
    shared = {name: value for name, value in row.items() if not isinstance(value, list)}
    lists = {name: row[name] for name in ("time", "forecast", "lower", "upper") if name in row}
    for values in zip(*lists.values(), strict=True):
        yield {**shared, **dict(zip(lists, values, strict=True))}


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    from rich.console import Console
    from rich.table import Table

    table = Table("row", *rows[0])
    for number, row in enumerate(rows[:_TABLE_ROWS]):
        cells = [f"{value:.4f}" if isinstance(value, float) else str(value) for value in row.values()]
        table.add_row(str(number), *cells)
    out = io.StringIO()
    console = Console(file=out, width=max(80, 16 * (len(rows[0]) + 1)))
    console.print(table)
    if len(rows) > _TABLE_ROWS:
        console.print(f"... and {len(rows) - _TABLE_ROWS} more rows; --format csv shows all")
    return out.getvalue()


def _write(output: Path, text: str) -> None:
    from runwright_components.contract.files import write_bytes

    write_bytes(output, text.encode())
