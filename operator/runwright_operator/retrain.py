"""`python -m runwright_operator.retrain NAME`: ask for a training, say from a CronJob; the operator's image is enough.

It needs the right to patch that TrainingRun and no other. Its namespace is the variable POD_NAMESPACE.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime

from runwright_api import names
from runwright_operator.adapters.access import Access, AccessError
from runwright_operator.adapters.kubernetes import ApiError, Kubernetes, NotFound
from runwright_operator.resources import TRAINING_RUN

FAILED, WRONG_USAGE = 1, 2


def main(arguments: list[str]) -> int:
    """The exit code of the program."""
    namespace = os.environ.get("POD_NAMESPACE", "")
    if len(arguments) != 1 or arguments[0].startswith("-") or not namespace:
        sys.stderr.write("Usage: POD_NAMESPACE=NAMESPACE python -m runwright_operator.retrain NAME\n")
        return WRONG_USAGE
    name, token = arguments[0], datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    try:
        asyncio.run(_ask(namespace, name, token))
    except NotFound:
        sys.stderr.write(f"there is no TrainingRun {name} in namespace {namespace}\n")
        return FAILED
    except (AccessError, ApiError) as error:
        sys.stderr.write(f"cannot ask for a training of {name}: {error}\n")
        return FAILED
    sys.stdout.write(f"{name} is asked to train anew: {token}\n")
    return 0


async def _ask(namespace: str, name: str, token: str) -> None:
    cluster = Kubernetes(Access())
    try:
        await cluster.merge(
            TRAINING_RUN, namespace, name, {"metadata": {"annotations": {names.ANNOTATION_RETRAIN: token}}}
        )
    finally:
        await cluster.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
