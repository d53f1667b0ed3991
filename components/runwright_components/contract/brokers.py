"""Where user, password and certificates of a source's Kafka brokers are: in the environment of the step that reads it.

Each is the key of a Secret in a cluster; names of sources keep apart what belongs to several.
"""

from __future__ import annotations

LOGIN_KEYS = ("username", "password")
TLS_KEYS = ("ca", "certificate", "key")
_PREFIX = "RUNWRIGHT_KAFKA_"


def broker_variable(source: str, key: str) -> str:
    """The environment variable that holds `key` of the source `source`."""
    return f"{_PREFIX}{key}_{source}".upper().replace("-", "_")
