"""Rows of a request against the signature of the model: each cell fits, or the error says which one does not.

Pure: no files, no model. A row is a JSON object as `json` or `orjson` read it; what comes out are cells in the form
that the fitted preprocessing reads: float for numeric fields, str for words and text, bool, bytes for images.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from pydantic import JsonValue

from runwright_components.contract.artifacts import Field, Signature

Cell = float | str | bool | bytes | None
Kind = Literal["type", "missing", "unknown", "null", "value", "size", "empty", "shape", "json"]
Root = Literal["instances", "inputs", "body"]  # rows, columns, or the request as a whole


@dataclass(frozen=True)
class Limits:
    """What one request may hold; more is refused before it costs memory."""

    rows: int = 10_000
    text: int = 1_000_000  # characters of one string
    pixels: int = 50_000_000  # of one image, by its header


class RequestError(ValueError):
    """A request that does not fit the signature. `kind` is from a closed list, so that metrics can count it."""

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        cure: str = "",
        row: int | None = None,
        field: str | None = None,
        root: Root = "instances",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.cure = cure
        self.row = row
        self.field = field
        self.root = root

    @property
    def where(self) -> str:
        """The place in the request: `instances[3].age`, or `inputs.age.data[3]` where the request gave columns."""
        index = "" if self.row is None else f"[{self.row}]"
        name = "" if self.field is None else f".{self.field}"
        if self.root == "inputs":
            return f"inputs{name}" + (f".data{index}" if index else "")
        return f"{self.root}{index}{name}"

    def __str__(self) -> str:
        cure = f" ({self.cure})" if self.cure else ""
        return f"{self.where}: {self.message}{cure}"


class _RefusedError(Exception):
    """One cell is refused; the caller knows its place."""

    def __init__(self, kind: Kind, message: str, cure: str = "") -> None:
        self.kind: Kind = kind
        self.message = message
        self.cure = cure


Check = Callable[[object], Cell]
_IMAGE_CURE = "send the base64 of a whole PNG or JPEG file"


class Validator:
    """Checks rows, or columns, against a signature.

    `read_number` reads a numeric field's string as training read it; None for a missing word; ValueError otherwise.
    """

    def __init__(
        self, signature: Signature, read_number: Callable[[str, str], float | None], limits: Limits | None = None
    ) -> None:
        self.limits = limits or Limits()
        self.names = tuple(field.name for field in signature.inputs)
        self._known = frozenset(self.names)
        self._ignored = frozenset(signature.ignored) | ({signature.target} if signature.target else set())
        self._plan = tuple((field.name, _checker(field, read_number, self.limits)) for field in signature.inputs)

    def row(self, row: object, number: int = 0) -> list[Cell]:
        """The cells of one row, in the order of the signature. Raises RequestError."""
        if not isinstance(row, Mapping):
            raise RequestError(
                "type",
                f"expected an object with a value for each field, got {kind_of(row)}",
                row=number,
                cure=self._cure,
            )
        cells = []
        for name, check in self._plan:
            try:
                cells.append(check(row[name]))
            except KeyError:
                raise self._missing(row.keys(), number) from None
            except _RefusedError as refused:
                raise RequestError(refused.kind, refused.message, cure=refused.cure, row=number, field=name) from None
        if len(row) != len(cells):
            self._refuse_unknown(row.keys(), number)
        return cells

    def rows(self, rows: object) -> dict[str, list[Cell]]:
        """Columns of cells from a list of rows, by field name. Raises RequestError."""
        if not isinstance(rows, Sequence) or isinstance(rows, str | bytes):
            raise RequestError("type", f"expected a list of rows, got {kind_of(rows)}", cure=self._cure)
        self.refuse_size(len(rows))
        table = [self.row(row, number) for number, row in enumerate(rows)]
        return {name: list(cells) for name, cells in zip(self.names, zip(*table, strict=True), strict=True)}

    def columns(self, columns: Mapping[str, Sequence[object]]) -> dict[str, list[Cell]]:
        """Columns of cells from columns of JSON values, all of one length. Raises RequestError."""
        try:
            sizes = {name: len(values) for name, values in columns.items()}
            self.refuse_size(max(sizes.values(), default=0))
            if absent := [name for name in self.names if name not in columns]:
                raise self._missing(columns.keys(), None)
            if len(columns) != len(self.names) + len(absent):
                self._refuse_unknown(columns.keys(), None)
            return {name: self._column(name, check, columns[name]) for name, check in self._plan}
        except RequestError as error:
            error.root = "inputs"
            raise

    def refuse_size(self, count: int) -> None:
        """Refuse an empty batch, and one beyond the limit."""
        if count == 0:
            raise RequestError("empty", "the batch is empty", cure="send at least one row")
        if count > self.limits.rows:
            raise RequestError(
                "size",
                f"{count} rows are more than the {self.limits.rows} that one request may hold",
                cure="send them in several requests",
            )

    @property
    def _cure(self) -> str:
        return "a row is an object like {" + ", ".join(f'"{name}": ...' for name in self.names[:3]) + "}"

    @staticmethod
    def _column(name: str, check: Check, values: Sequence[object]) -> list[Cell]:
        cells = []
        for number, value in enumerate(values):
            try:
                cells.append(check(value))
            except _RefusedError as refused:
                raise RequestError(refused.kind, refused.message, cure=refused.cure, row=number, field=name) from None
        return cells

    def _missing(self, given: object, number: int | None) -> RequestError:
        present = set(given)  # type: ignore[call-overload]
        absent = [name for name in self.names if name not in present]
        spare = sorted(str(name) for name in present - self._known - self._ignored)
        close = difflib.get_close_matches(absent[0], spare, 1)
        hint = f'is "{close[0]}" meant as "{absent[0]}"?' if close else "send null where the value is not known"
        listed = ", ".join(f'"{name}"' for name in absent)
        word = "field" if len(absent) == 1 else "fields"
        return RequestError("missing", f"missing {word} {listed}", cure=hint, row=number)

    def _refuse_unknown(self, given: object, number: int | None) -> None:
        for name in given:  # type: ignore[attr-defined]
            if name in self._known or name in self._ignored:
                continue
            close = difflib.get_close_matches(str(name), self.names, 1)
            hint = f'did you mean "{close[0]}"?' if close else f"the fields are {', '.join(self.names)}"
            raise RequestError("unknown", f'unknown field "{name}"', cure=hint, row=number)


def kind_of(value: object) -> str:
    """The JSON name of a value's type, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str | bytes):
        return "a string"
    return "an object" if isinstance(value, Mapping) else "a list"


def _shown(value: str) -> str:
    return f'"{value}"' if len(value) <= 40 else f'"{value[:37]}..."'


def _checker(field: Field, read_number: Callable[[str, str], float | None], limits: Limits) -> Check:
    check = _CHECKERS[field.type](field, read_number, limits)
    if field.nullable:
        return lambda value: None if value is None else check(value)
    cure = f"send {_EXPECTED[field.type]}; training saw no row without it"

    def required(value: object) -> Cell:
        if value is None:
            raise _RefusedError("null", f"expected {_EXPECTED[field.type]}, got null", cure)
        return check(value)

    return required


def _numeric(field: Field, read_number: Callable[[str, str], float | None], limits: Limits) -> Check:
    def check(value: object) -> Cell:
        kind = type(value)
        if kind is float or kind is int:
            try:
                number = float(value)  # type: ignore[arg-type]
            except OverflowError:
                raise _RefusedError("value", "the integer is too large for a number of 64 bits") from None
            if isfinite(number):
                return number
            raise _RefusedError("value", f"{number} is not a finite number", "send null where the value is not known")
        if kind is str and field.text:
            if len(value) > limits.text:  # type: ignore[arg-type]
                raise _RefusedError("size", f"the string has more than {limits.text} characters")
            try:
                return read_number(field.name, value)  # type: ignore[arg-type]
            except ValueError:
                cure = "write it as in the training data, or send null where it is not known"
                raise _RefusedError("value", f"{_shown(value)} does not read as a number", cure) from None  # type: ignore[arg-type]
        cure = "send it without quotes" if kind is str else ""
        raise _RefusedError("type", f"expected a number, got {kind_of(value)}", cure)

    return check


def _words(_field: Field, _read: object, limits: Limits) -> Check:
    def check(value: object) -> Cell:
        if type(value) is str:
            if len(value) <= limits.text:
                return value
            raise _RefusedError("size", f"the string has {len(value)} characters, more than {limits.text}")
        raise _RefusedError(
            "type", f"expected a string, got {kind_of(value)}", "write it in quotes" if _scalar(value) else ""
        )

    return check


def _codes(field: Field, read: object, limits: Limits) -> Check:
    """Categories whose source column was not text, such as codes 1, 2, 3: numbers and true or false are words too."""
    words = _words(field, read, limits)

    def check(value: object) -> Cell:
        if type(value) is int:
            return str(value)
        if type(value) is bool:
            return "true" if value else "false"
        return words(value)

    return check if not field.text else words


def _boolean(field: Field, read: object, limits: Limits) -> Check:
    words = _words(field, read, limits)

    def check(value: object) -> Cell:
        if type(value) is bool:
            return "true" if value else "false"
        if type(value) is str:
            return words(value)
        raise _RefusedError("type", f"expected true, false or a word for them, got {kind_of(value)}")

    return check


def _image(_field: Field, _read: object, limits: Limits) -> Check:
    """Checks the header alone: the preprocessing decodes the rest, once."""
    from PIL import Image

    from runwright_components.features.image import FORMATS

    def check(value: object) -> Cell:
        if type(value) is bytes:
            content = value
        elif type(value) is str:
            try:
                content = base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                raise _RefusedError(
                    "value", "the string is not base64", "send the base64 of a PNG or JPEG file"
                ) from None
        else:
            raise _RefusedError("type", f"expected base64 of an image, got {kind_of(value)}")
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                width, height = image.size
                if width * height > limits.pixels:
                    raise _RefusedError(
                        "size", f"the image has {width} x {height} pixels, more than {limits.pixels} in all"
                    )
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            raise _RefusedError("value", "the bytes are not a PNG or JPEG image", _IMAGE_CURE) from None
        return content

    return check


def _scalar(value: object) -> bool:
    return isinstance(value, int | float)


_CHECKERS: dict[str, Callable[[Field, Callable[[str, str], float | None], Limits], Check]] = {
    "numeric": _numeric,
    "categorical": _codes,
    "boolean": _boolean,
    "datetime": _words,
    "text": _words,
    "image": _image,
}
_EXPECTED = {
    "numeric": "a number",
    "categorical": "a string",
    "boolean": "true or false",
    "datetime": "a date as a string",
    "text": "a string",
    "image": "base64 of an image",
}

Row = Mapping[str, JsonValue]
