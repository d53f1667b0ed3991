"""The TrainingRun as a whole."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from runwright_api.part import Lax, Part
from runwright_api.spec.backend import RUN_RULES
from runwright_api.spec.data_cluster import RUN_RULE as DATA_RULE
from runwright_api.spec.run import TrainingRunSpec
from runwright_api.spec.trials import RUN_RULES as TRIAL_RULES
from runwright_api.status import TrainingRunStatus
from runwright_api.text import LabelKey, LabelValue, ObjectName, RunName


class Metadata(Part):
    """The object's metadata. The API server owns most of it."""

    model_config = ConfigDict(title="Metadata")

    name: RunName
    """Name of the run: lowercase letters, digits and '-', starting with a letter, at most 50 characters."""
    namespace: ObjectName | None = None
    """Namespace. Default: the one that the object is applied to."""
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=128)] = Field(default={})
    annotations: Annotated[dict[LabelKey, Annotated[str, Field(max_length=262144)]], Field(max_length=128)] = Field(
        default={}
    )
    uid: str | None = None
    generation: int | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    finalizers: Annotated[tuple[str, ...], Lax] = ()
    owner_references: Annotated[tuple[dict[str, Any], ...], Lax] = ()
    managed_fields: Annotated[tuple[dict[str, Any], ...], Lax] = ()


class TrainingRun(Part):
    """From raw data to a served model that stays good: what is wanted (spec) and what is (status)."""

    api_version: Literal["runwright.dev/v1alpha1"] = "runwright.dev/v1alpha1"
    """Always runwright.dev/v1alpha1."""
    kind: Literal["TrainingRun"] = "TrainingRun"
    """Always TrainingRun."""
    metadata: Metadata
    """Name, labels, annotations."""
    spec: TrainingRunSpec
    """What is wanted."""
    status: TrainingRunStatus = TrainingRunStatus()
    """What the operator saw and did."""

    rules = (*RUN_RULES, DATA_RULE, *TRIAL_RULES)

    @property
    def name(self) -> str:
        return self.metadata.name
