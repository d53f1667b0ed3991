"""The addresses of database servers, which are secrets: read from the environment, never shown."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from runwright_components.contract.databases import SECRET_KEY, address_variable
from runwright_components.contract.outcome import Reason, StageError

_SCHEMES = {"postgresql": ("postgresql", "postgres"), "mysql": ("mysql", "mariadb")}
_HIDDEN = "***"


def address_of(source: str, dialect: str, environment: Mapping[str, str]) -> URL:
    """The address of the source's server. Raises StageError that shows nothing of it."""
    variable = address_variable(source)
    scheme = _SCHEMES[dialect][0]
    example = f"{scheme}://USER:PASSWORD@HOST/DATABASE"
    address = environment.get(variable, "").strip()
    if not address:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"the environment variable {variable} is not set",
            where=source,
            cure=f"export {variable}={example}; in a cluster, name a Secret with the key {SECRET_KEY} in sql.secretRef",
        )
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):  # its words may hold the address
        raise _no_address(source, variable, example, "it cannot be read as one") from None
    if url.get_backend_name() not in _SCHEMES[dialect]:
        raise _no_address(source, variable, example, f"it does not begin with {scheme}://")
    return url


def secrets_of(address: str) -> list[str]:
    """What of an address no words may show, the longest first."""
    try:
        password = make_url(address).password
    except (ArgumentError, ValueError):
        password = None
    found = {address, *([str(password), quote(str(password), safe="")] if password else [])}
    return sorted(found - {""}, key=len, reverse=True)


def without(words: str, secrets: list[str]) -> str:
    for secret in secrets:
        words = words.replace(secret, _HIDDEN)
    return words


def _no_address(source: str, variable: str, example: str, why: str) -> StageError:
    return StageError(
        Reason.INVALID_CONFIG,
        f"{variable} does not hold the database's address: {why}",
        where=source,
        cure=f"write {example}, with special characters of the password percent-encoded",
    )
