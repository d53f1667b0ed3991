"""Errors as the API server's gateway words them: a google.rpc.Status."""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class Code(IntEnum):
    """The gRPC codes in use."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    FAILED_PRECONDITION = 9
    ABORTED = 10
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


_HTTP = {
    Code.INVALID_ARGUMENT: 400,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}


class Problem(Exception):
    """An answer that is none of success."""

    def __init__(self, code: Code, message: str, external: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.external = external or message

    @property
    def status(self) -> int:
        return _HTTP[self.code]

    def body(self) -> dict[str, Any]:
        detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": int(self.code), "message": self.external}
        return {"code": int(self.code), "message": self.message, "details": [detail]}


def no_run(run_id: str) -> Problem:
    return Problem(
        Code.NOT_FOUND,
        f"Failed to fetch run {run_id}: ResourceNotFoundError: Run {run_id} not found",
        f"Run {run_id} not found",
    )


def no_experiment(experiment_id: str) -> Problem:
    return Problem(
        Code.NOT_FOUND,
        f"ResourceNotFoundError: Experiment {experiment_id} not found",
        f"Experiment {experiment_id} not found",
    )


def invalid(message: str) -> Problem:
    return Problem(Code.INVALID_ARGUMENT, f"Invalid input error: {message}", message)
