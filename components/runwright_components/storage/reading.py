"""Errors of reading local files, in words that a person can act on."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from runwright_components.contract.files import disk_errors
from runwright_components.contract.outcome import Reason, StageError

_OS_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn an OSError of reading `where` into a StageError."""
    try:
        yield
    except PermissionError as error:
        raise StageError(
            Reason.SOURCE_DENIED,
            f"no permission to read {error.filename or where}",
            where=where,
            cure="give this user the right to read it (chmod +r; folders also need +x)",
        ) from error
    except FileNotFoundError as error:
        raise not_found(Path(error.filename or where), where) from error
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        raise StageError(
            Reason.SOURCE_UNAVAILABLE, "the disk could not be read", where=where, cure="check the disk or the mount"
        ) from error


def not_found(path: Path, where: str) -> StageError:
    """The error for a missing path; proposes a sibling of a similar name."""
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        path, folder = folder, folder.parent
    try:
        close = get_close_matches(path.name, sorted(entry.name for entry in folder.iterdir()), n=1, cutoff=0.6)
    except OSError:
        close = []
    cure = (
        f"did you mean {close[0]!r}?" if close else f"look into {folder}: relative paths start from the YAML's folder"
    )
    return StageError(Reason.SOURCE_NOT_FOUND, f"{path} does not exist", where=where, cure=cure)


@contextmanager
def polars_disk_errors(where: Path) -> Iterator[None]:
    """Give Polars' I/O errors, which carry the errno in their text only, the meaning of `disk_errors`."""
    from polars.exceptions import PolarsError

    with disk_errors(where):
        try:
            yield
        except PolarsError as error:
            code = _OS_ERROR.search(str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), str(error)) from error
