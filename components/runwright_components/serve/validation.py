"""A request against the signature of the model: the right fields, in each the right cells. Pure: no files, no model."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from runwright_components.contract.artifacts import Signature
from runwright_components.serve.cells import Cell, Check, ReadWords, RefusedError, checker
from runwright_components.serve.request_error import Limits, RequestError, Root, kind_of

Columns = dict[str, list[Cell]]


class Validator:
    """Checks rows, or columns, against a signature. Rows are JSON objects as `json` or `orjson` read them."""

    def __init__(self, signature: Signature, read: ReadWords, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.names = tuple(field.name for field in signature.inputs)
        self._known = frozenset(self.names)
        self._ignored = frozenset((*signature.ignored, signature.target))
        self._checks = {field.name: checker(field, read, self.limits) for field in signature.inputs}

    def rows(self, rows: object) -> Columns:
        """Columns of cells from a list of rows, by field name. Raises RequestError."""
        if not isinstance(rows, Sequence) or isinstance(rows, str | bytes):
            raise RequestError("type", f"expected a list of rows, got {kind_of(rows)}", cure=self._cure)
        self._refuse_size(len(rows), "instances")
        for number, row in enumerate(rows):
            self._check_fields(row, number)
        return {name: self._cells(name, check, [row[name] for row in rows]) for name, check in self._checks.items()}

    def columns(self, columns: Mapping[str, Sequence[object]]) -> Columns:
        """Columns of cells from columns of JSON values, all of one length. Raises RequestError."""
        self._refuse_size(max(map(len, columns.values()), default=0), "inputs")
        if not self._known <= columns.keys():
            raise self._missing(columns, None, "inputs")
        self._refuse_unknown(columns, None, "inputs")
        return {name: self._cells(name, check, columns[name], "inputs") for name, check in self._checks.items()}

    @property
    def _cure(self) -> str:
        return "a row is an object like {" + ", ".join(f'"{name}": ...' for name in self.names[:3]) + "}"

    def _refuse_size(self, count: int, root: Root) -> None:
        if count == 0:
            raise RequestError("empty", "the batch is empty", cure="send at least one row", root=root)
        if count > self.limits.rows:
            message = f"{count:,} rows are more than the {self.limits.rows:,} that one request may hold"
            raise RequestError("size", message, cure="send them in several requests", root=root)

    def _check_fields(self, row: object, number: int) -> None:
        if not isinstance(row, Mapping):
            message = f"expected an object with a value for each field, got {kind_of(row)}"
            raise RequestError("type", message, row=number, cure=self._cure)
        if not self._known <= row.keys():
            raise self._missing(row, number, "instances")
        if len(row) != len(self._known):
            self._refuse_unknown(row, number, "instances")

    @staticmethod
    def _cells(name: str, check: Check, values: Sequence[object], root: Root = "instances") -> list[Cell]:
        try:
            return check(values)
        except RefusedError as error:
            raise RequestError(
                error.kind, error.message, cure=error.cure, row=error.row, field=name, root=root
            ) from None

    def _missing(self, given: Iterable[object], number: int | None, root: Root) -> RequestError:
        present = {str(name) for name in given}
        absent = [name for name in self.names if name not in present]
        spare = sorted(present - self._known - self._ignored)
        close = difflib.get_close_matches(absent[0], spare, 1)
        cure = f'is "{close[0]}" meant as "{absent[0]}"?' if close else "send null where the value is not known"
        word = "field" if len(absent) == 1 else "fields"
        listed = ", ".join(f'"{name}"' for name in absent)
        return RequestError("missing", f"missing {word} {listed}", cure=cure, row=number, root=root)

    def _refuse_unknown(self, given: Iterable[object], number: int | None, root: Root) -> None:
        for name in given:
            if name in self._known or name in self._ignored:
                continue
            close = difflib.get_close_matches(str(name), self.names, 1)
            cure = f'did you mean "{close[0]}"?' if close else f"the fields are {', '.join(self.names)}"
            raise RequestError("unknown", f'unknown field "{name}"', cure=cure, row=number, root=root)
