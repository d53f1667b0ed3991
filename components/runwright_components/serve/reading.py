"""Words in a request, such as "12,5 kg" or "yes", read by the very expressions that read the training data."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from runwright_components.features.tabular import TabularPreprocessing

_REMEMBERED = 65_536  # words a field
_FEW = 256


class WordReader:
    """The reader of a table's numbers, truth values and dates, by field. An expression costs far more than one word, so
    what was read of few words at a time is remembered."""

    def __init__(self, preprocessing: TabularPreprocessing) -> None:
        words = preprocessing.state.words
        self._expressions = {
            reader.name: reader.expression(pl.String(), words) for reader in preprocessing.state.columns
        }
        self._seen: dict[str, dict[str, float | None]] = {name: {} for name in self._expressions}

    def read(self, field: str, texts: Sequence[str]) -> list[float | None]:
        """Numbers; None is missing, NaN does not read."""
        if len(texts) > _FEW:
            return self._work_out(field, texts)
        seen = self._seen[field]
        try:
            return [seen[text] for text in texts]
        except KeyError:
            numbers = self._work_out(field, texts)
        if len(seen) > _REMEMBERED:
            seen.clear()
        seen.update(zip(texts, numbers, strict=True))
        return numbers

    def _work_out(self, field: str, texts: Sequence[str]) -> list[float | None]:
        frame = pl.DataFrame({field: texts}, schema={field: pl.String})
        return frame.select_seq(self._expressions[field]).to_series().to_list()


def no_words(field: str, texts: Sequence[str]) -> list[float | None]:
    """Texts and images have no field whose words are numbers."""
    raise LookupError(f"{field}: {texts[:1]}")
