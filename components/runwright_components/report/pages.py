"""Reads the artifacts and renders the pages."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from runwright_components.contract.artifacts import HISTORY, QUALITY, History, ModelManifest, PreparedManifest
from runwright_components.contract.evaluation import EVALUATION, Evaluation
from runwright_components.contract.tuning import tuning_of
from runwright_components.prepare.drift import Drift
from runwright_components.prepare.quality import Quality
from runwright_components.prepare.verdicts import EXPECTATIONS, Verdicts
from runwright_components.profile.document import Profile
from runwright_components.report import model_view, unsupervised_view, wording
from runwright_components.report.data_view import DataView, data_view
from runwright_components.report.evaluation_view import SMALL_SLICE, evaluation_view
from runwright_components.report.profile_view import profile_view
from runwright_components.report.tuning_view import TuningView, tuning_view


def report_page(*, run_name: str, prepared: Path, model: Path, evaluation: Path) -> str:
    """The whole report of a run as one HTML page. Raises StageError when an artifact is missing or altered."""
    manifest = ModelManifest.read(model)
    judged = Evaluation.read(evaluation, EVALUATION)
    return _render(
        "report.html.jinja",
        title=f"{run_name}: report",
        run_name=run_name,
        manifest=manifest,
        alone=unsupervised_view.ANSWERS.get(manifest.task, ""),
        judged=judged,
        evaluation=evaluation_view(judged),
        data=_data(prepared),
        training=model_view.training_view(manifest, History.read(model, HISTORY)),
        tuning=_tuning(model),
        lineage=model_view.lineage(judged),
        use=model_view.use_view(run_name, manifest.signature),
        small_slice=SMALL_SLICE,
    )


def quality_page(prepared: Path, drift: Sequence[Drift] = ()) -> str:
    """What the data were like before and after cleaning, as one HTML page; `drift` is against the former revision.

    Raises StageError.
    """
    manifest = PreparedManifest.read(prepared)
    changed = [each for each in drift if each.change != "same"]
    return _render(
        "quality.html.jinja",
        title="Data quality",
        manifest=manifest,
        data=_data(prepared),
        drift=[*changed, *(each for each in drift if each.change == "same")],
        drifted=len(changed),
    )


def profile_page(profile: Profile, section: str) -> str:
    """A profile as one HTML page, with the `prepare` section that it proposes."""
    return _render("profile.html.jinja", title=f"{profile.name}: profile", profile=profile_view(profile, section))


def curves_page(model: Path) -> str:
    """The learning curves as one HTML page. Raises StageError."""
    manifest = ModelManifest.read(model)
    return _render(
        "curves.html.jinja",
        title="Learning curves",
        manifest=manifest,
        training=model_view.training_view(manifest, History.read(model, HISTORY)),
        tuning=_tuning(model),
    )


def _data(prepared: Path) -> DataView:
    expected = (prepared / EXPECTATIONS).exists()
    verdicts = Verdicts.read(prepared, EXPECTATIONS) if expected else None
    return data_view(Quality.read(prepared, QUALITY), verdicts)


def _tuning(model: Path) -> TuningView | None:
    tuning = tuning_of(model)
    return None if tuning is None else tuning_view(tuning)


def _render(template: str, **context: Any) -> str:
    environment = Environment(
        loader=PackageLoader("runwright_components.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        number=wording.number, count=wording.count, rows=wording.rows, percent=wording.percent, short=wording.short
    )
    style = environment.get_template("style.css").render()
    # The browser runs nothing and loads nothing, whatever a label or a column name holds: the style is the only
    # content that the policy lets act, and it is named by its digest.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    page = environment.get_template(template)
    return page.render(style=Markup(style), policy=policy, **context)  # noqa: S704 (our own style sheet)
