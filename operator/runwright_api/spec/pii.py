"""`spec.prepare.pii`: personal data found by rule, and what becomes of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from runwright_api.part import Lax, Part, Path, Rule, unless
from runwright_api.spec.shared import SET, Columns, unique
from runwright_api.text import Text

Kind = Literal["email", "phone", "creditCard", "iban", "ip", "ssn"]


class PiiRules(Part):
    """What is done with data about persons in columns of text, before anything is fitted, shown or put aside, and in
    requests to the model. Names of persons and addresses of streets are not found."""

    action: Literal["warn", "mask", "hash", "drop", "ignore"] = "warn"
    """warn: a sample is looked at, and the report tells; mask: each is replaced by its kind, such as `<email>`;
    hash: by its kind and a keyed hash, equal where they are equal; drop: columns that have some are left out;
    ignore: nothing is looked for. Default: warn."""
    kinds: Annotated[
        tuple[Kind, ...], Field(max_length=6, json_schema_extra=SET), Lax, AfterValidator(unique)
    ] = ()  # fmt: skip
    """email, phone (with + and country, or of North America), creditCard, iban, ip, ssn (of the United States).
    Default: all."""
    columns: Columns = ()
    """The columns that are looked at. Default: every column of text; the target is told of and left as it is."""
    salt: Annotated[Text | None, Field(min_length=8, max_length=200)] = None
    """hash: the key of the hashes. It is no secret: it is kept with the model, whose server needs it."""

    rules = (
        Rule(
            message="hash and salt belong together",
            broken=lambda self: unless((self.action == "hash") == (self.salt is not None), "salt"),
            cel="(has(self.action) && self.action == 'hash') == has(self.salt)",
            cure="give `action: hash` and `salt: TEXT` of 8 characters or more, or neither",
        ),
    )


def _misplaced(spec: Any) -> list[Path]:
    given = spec.train.modality not in ("image", "environment") or spec.prepare.pii.action in ("warn", "ignore")
    return unless(given, "prepare", "pii", "action")


PII_RULE = Rule(
    message="prepare.pii is for tables, texts and series",
    broken=_misplaced,
    cel=(
        "!has(self.prepare) || !has(self.prepare.pii) || !has(self.prepare.pii.action)"
        " || self.prepare.pii.action in ['warn', 'ignore']"
        " || !(self.train.task.startsWith('image-') || self.train.task.startsWith('environment-'))"
    ),
    cure="remove it; nothing is read from pictures",
)
"""The rule of `spec` for personal data."""
