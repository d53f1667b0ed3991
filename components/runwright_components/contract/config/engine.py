"""What prepares a table."""

from __future__ import annotations

from typing import Literal

EngineName = Literal["local", "spark", "ray"]
