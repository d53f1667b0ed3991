"""The cells of one column of a request, checked by the type of its field. Pure.

A number, a truth value or a date becomes a float, as the preprocessing reads it (NaN never: it is refused); categories
and texts stay strings; an image becomes the bytes of its file, a list of numbers a
list of floats; null is None.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable, Sequence
from math import isfinite

from runwright_components.contract.artifacts import Field
from runwright_components.serve.request_error import Kind, Limits, kind_of

Cell = float | str | bytes | list[float | None] | None
Check = Callable[[Sequence[object]], list[Cell]]
"""From JSON values to cells. Raises RefusedError."""
ReadWords = Callable[[str, Sequence[str]], list[float | None]]
"""Of a field's name and texts: the numbers that training would have read; None is missing, NaN does not read."""


class RefusedError(Exception):
    """One cell is refused; whoever knows the request tells its place."""

    def __init__(self, kind: Kind, message: str, cure: str = "", row: int = 0) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.message = message
        self.cure = cure
        self.row = row


def checker(field: Field, read: ReadWords, limits: Limits) -> Check:
    """The check of a field's column."""
    if field.type in ("numeric", "boolean", "datetime"):
        return _numbers(field, read, limits)
    one = _ONE[field.type](field, limits)

    def check(values: Sequence[object]) -> list[Cell]:
        cells: list[Cell] = []
        for row, value in enumerate(values):
            try:
                if value is None:
                    _refuse_null(field)
                cells.append(None if value is None else one(value))
            except RefusedError as error:
                error.row = row
                raise
        return cells

    return check


def _numbers(field: Field, read: ReadWords, limits: Limits) -> Check:
    number = {"numeric": _number, "boolean": _truth, "datetime": _refuse_date}[field.type]
    takes_words = field.text or field.type != "numeric"

    def check(values: Sequence[object]) -> list[Cell]:
        cells: list[Cell] = []
        words: list[tuple[int, str]] = []
        for row, value in enumerate(values):
            if type(value) is float and number is _number and isfinite(value):  # the common case, first
                cells.append(value)
                continue
            try:
                if value is None:
                    _refuse_null(field)
                    cells.append(None)
                elif type(value) is str and takes_words:
                    words.append((row, _short(value, limits)))
                    cells.append(None)
                else:
                    cells.append(number(value))
            except RefusedError as error:
                error.row = row
                raise
        if words:
            _fill(cells, words, read(field.name, [text for _, text in words]), field)
        return cells

    return check


def _fill(cells: list[Cell], words: list[tuple[int, str]], numbers: list[float | None], field: Field) -> None:
    """Put what the words read as into their cells."""
    for (row, text), number in zip(words, numbers, strict=True):
        if number is None:
            if not field.nullable:
                message = f"{_shown(text)} means missing, and training saw no row without a value"
                raise RefusedError("null", message, f"send {_EXPECTED[field.type]}", row)
        elif not isfinite(number):
            cure = "write it as in the training data, or send null where it is not known"
            raise RefusedError("value", f"{_shown(text)} does not read as {_EXPECTED[field.type]}", cure, row)
        cells[row] = number


def _number(value: object) -> float:
    if type(value) is float or type(value) is int:
        try:
            number = float(value)
        except OverflowError:
            raise RefusedError("value", "the integer is too large for a number of 64 bits") from None
        if isfinite(number):
            return number
        raise RefusedError("value", f"{number} is not a finite number", "send null where the value is not known")
    cure = "send it without quotes" if type(value) is str else ""
    raise RefusedError("type", f"expected a number, got {kind_of(value)}", cure)


def _truth(value: object) -> float:
    if type(value) is bool or (type(value) in (int, float) and value in (0, 1)):
        return float(value)
    raise RefusedError("type", f"expected true or false, got {kind_of(value)}")


def _refuse_date(value: object) -> float:
    raise RefusedError("type", f"expected a date as a string, got {kind_of(value)}", 'such as "2024-05-31"')


def _text(field: Field, limits: Limits) -> Callable[[object], Cell]:
    codes = field.type == "categorical" and not field.text  # the source held codes such as 1, 2, 3, or true and false

    def check(value: object) -> Cell:
        if type(value) is str:
            return _short(value, limits)
        if codes and type(value) is int:
            return str(value)
        if codes and type(value) is float and isfinite(value):
            return str(int(value)) if value.is_integer() and abs(value) < 2**53 else str(value)
        if codes and type(value) is bool:
            return "true" if value else "false"
        cure = "write it in quotes" if isinstance(value, int | float) else ""
        raise RefusedError("type", f"expected a string, got {kind_of(value)}", cure)

    return check


def _list(_field: Field, limits: Limits) -> Callable[[object], Cell]:
    """A null in the list is a gap; whether the model takes gaps is for the preprocessing to say."""

    def check(value: object) -> Cell:
        if type(value) is not list:
            raise RefusedError("type", f"expected a list of numbers, got {kind_of(value)}")
        if len(value) > limits.text:
            raise RefusedError("size", f"the list has {len(value):,} numbers, more than {limits.text:,}")
        return [None if item is None else _number(item) for item in value]

    return check


def _image(_field: Field, limits: Limits) -> Callable[[object], Cell]:
    """Checks the header alone: the preprocessing decodes the rest, once."""
    from PIL import Image

    from runwright_components.features.image import FORMATS

    cure = "send the base64 of a whole PNG or JPEG file"

    def check(value: object) -> Cell:
        if type(value) is bytes:
            content = value
        elif type(value) is str:
            try:
                content = base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                raise RefusedError("value", "the string is not base64", cure) from None
        else:
            raise RefusedError("type", f"expected base64 of an image, got {kind_of(value)}", cure)
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                width, height = image.size
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            raise RefusedError("value", "the bytes are not a PNG or JPEG image", cure) from None
        if width * height > limits.pixels:
            message = f"the image has {width} x {height} pixels, more than {limits.pixels:,}"
            raise RefusedError("size", message, "scale it down")
        return content

    return check


def _refuse_null(field: Field) -> None:
    if not field.nullable:
        cure = f"send {_EXPECTED[field.type]}; training saw no row without it"
        raise RefusedError("null", f"expected {_EXPECTED[field.type]}, got null", cure)


def _short(text: str, limits: Limits) -> str:
    if len(text) > limits.text:
        raise RefusedError("size", f"the string has {len(text):,} characters, more than {limits.text:,}")
    return text


def _shown(value: str) -> str:
    return f'"{value}"' if len(value) <= 40 else f'"{value[:37]}..."'


_ONE = {"categorical": _text, "text": _text, "image": _image, "numbers": _list}
_EXPECTED = {
    "numeric": "a number",
    "categorical": "a string",
    "boolean": "true or false",
    "datetime": "a date",
    "text": "a string",
    "image": "base64 of an image",
    "numbers": "a list of numbers",
}
