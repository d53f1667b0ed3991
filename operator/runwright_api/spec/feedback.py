"""`spec.data.sources[].feedback`: predictions that a server logged, with the labels that came later."""

from __future__ import annotations

from typing import Any

from runwright_api.part import Part, Path, Rule, unless
from runwright_api.spec.s3 import S3Source
from runwright_api.text import ColumnName, Duration, FilePath, SourceName


class LoggedPredictions(Part):
    """Where a server has logged what it was asked. Exactly one of path and s3."""

    path: FilePath | None = None
    """The folder."""
    s3: S3Source | None = None
    """The prefix in S3, in place of a path."""

    rules = (
        Rule(
            message="exactly one of path and s3 says where the predictions are",
            broken=lambda logged: unless((logged.path is None) != (logged.s3 is None), "path"),
            cel="has(self.path) != has(self.s3)",
            cure="give the folder or the prefix that the server logs to",
        ),
    )


class FeedbackSource(Part):
    """The rows that were asked, each with the label of its key. Those without a label are left out and counted."""

    predictions: LoggedPredictions
    """What the server has logged."""
    labels: SourceName
    """Name of the source with the labels. Its rows are not put below the others."""
    key: ColumnName = "id"
    """Column of that source that holds the id of the prediction. Default: id."""
    label: ColumnName
    """Column of that source that becomes a column of the rows, such as the target."""
    time: ColumnName | None = None
    """Column of that source that says since when the label is known; with `within`."""
    within: Duration | None = None
    """Labels that came later after the prediction do not count. Default: however late."""

    rules = (
        Rule(
            message="time and within go together",
            broken=lambda feedback: unless((feedback.time is None) == (feedback.within is None), "time"),
            cel="has(self.time) == has(self.within)",
            cure="give the column that says when a label came, and how late it may be; or neither",
        ),
    )


SOURCE_RULES = (
    Rule(
        message="logged predictions have no format",
        broken=lambda source: unless(source.format is None or source.feedback is None, "format"),
        cel="!has(self.format) || !has(self.feedback)",
        cure="remove it",
    ),
)
"""Rules of a source for feedback."""


def _without_labels(data: Any) -> list[Path]:
    plain = {source.name for source in data.sources if source.feedback is None}
    return [
        ("sources", place, "feedback", "labels")
        for place, source in enumerate(data.sources)
        if source.feedback is not None and source.feedback.labels not in plain
    ]


DATA_RULES = (
    Rule(
        message="feedback takes its labels from another source",
        broken=_without_labels,
        cel=(
            "!has(self.sources) || self.sources.all(one, !has(one.feedback) || self.sources.exists(other,"
            " has(other.name) && other.name == one.feedback.labels && !has(other.feedback)))"
        ),
        cure="give the source with the labels a name, and name it",
    ),
)
"""Rules of `spec.data` for feedback."""


FEEDBACK_RULE = Rule(
    message="feedback is for tables",
    broken=lambda spec: [
        ("data", "sources", place, "feedback")
        for place, source in enumerate(spec.data.sources)
        if source.feedback is not None and spec.train.modality != "tabular"
    ],
    cel=(
        "!has(self.data) || !has(self.data.sources) || self.train.task.startsWith('tabular-')"
        " || !self.data.sources.exists(one, has(one.feedback))"
    ),
    cure="remove it; of texts, images and series export the requests with their labels as a source of their own",
)
"""The rule of `spec` for feedback."""
