"""What the cleaning of data asks of the task: rules of `spec`."""

from __future__ import annotations

from runwright_api.part import Rule, unless
from runwright_api.spec.duplicates import DUPLICATE_RULES
from runwright_api.spec.expectations import REFERENCES_RULE
from runwright_api.spec.pii import PII_RULE

CLEANING_RULES = (
    *DUPLICATE_RULES,
    PII_RULE,
    REFERENCES_RULE,
    Rule(
        message="prepare.leakage is for tables",
        broken=lambda self: unless(
            self.train.modality == "tabular" or self.prepare.leakage == "warn", "prepare", "leakage"
        ),
        cel=(
            "!has(self.prepare) || !has(self.prepare.leakage) || self.prepare.leakage == 'warn'"
            " || self.train.task.startsWith('tabular-')"
        ),
        cure="remove it; nearDuplicates keeps the same text or image from standing in training and test",
    ),
    Rule(
        message="prepare.labelErrors is for tabular-classification",
        broken=lambda self: unless(
            self.train.task == "tabular-classification" or self.prepare.label_errors == "ignore",
            "prepare",
            "labelErrors",
        ),
        cel=(
            "!has(self.prepare) || !has(self.prepare.labelErrors) || self.prepare.labelErrors == 'ignore'"
            " || self.train.task == 'tabular-classification'"
        ),
        cure="remove it",
    ),
)
