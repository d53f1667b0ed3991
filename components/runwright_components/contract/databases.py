"""Where the address of a source's database is: in the environment of the step that reads it, and nowhere else."""

from __future__ import annotations

SECRET_KEY = "uri"  # noqa: S105 - the key of the Secret, not a secret
_PREFIX = "RUNWRIGHT_SQL_URI_"


def address_variable(source: str) -> str:
    """The environment variable with the address of the source `source`; names of sources keep apart what they name."""
    return _PREFIX + source.upper().replace("-", "_")
