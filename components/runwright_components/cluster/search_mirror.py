"""What a search keeps in storage while it runs: its study, and the models that the study speaks of."""

from __future__ import annotations

from pathlib import Path

from runwright_components.cluster.mirror import CHECKPOINT_SECONDS, Mirror
from runwright_components.cluster.storage import Place, fetch_folder, index_of, store_folder
from runwright_components.contract.artifacts import MANIFEST
from runwright_components.contract.files import write_bytes
from runwright_components.contract.tuning import JOURNAL, SEARCH

TRIAL_PREFIX = "trial-"
TRIAL_MODEL = "model"  # in a trial's folder


def fetch_search(there: Place, checkpoints: Path) -> bool:
    """Bring the study and the best model so far to the folder of checkpoints; tells whether there is a study."""
    stored, folder = there.under(SEARCH), checkpoints / SEARCH
    journal = stored.read(JOURNAL)
    if journal is None:
        return False
    write_bytes(folder / JOURNAL, journal)
    for name in _trials(stored):
        if index_of(stored.under(name)) is not None:
            fetch_folder(stored.under(name), folder / name / TRIAL_MODEL)
    return True


def _trials(there: Place) -> list[str]:
    return [name for name in there.folders() if name.startswith(TRIAL_PREFIX)]


class SearchMirror(Mirror):
    """Copies the study to storage whenever it has grown, the models that it speaks of before it."""

    def __init__(self, checkpoints: Path, there: Place, *, every: float = CHECKPOINT_SECONDS) -> None:
        super().__init__(every=every, enabled=True)
        self._folder = checkpoints / SEARCH
        self._there = there.under(SEARCH)
        self._stored: set[str] = set()
        self._size = 0

    def _pass(self) -> None:
        journal = self._folder / JOURNAL
        if not journal.exists() or journal.stat().st_size == self._size:
            return
        content = journal.read_bytes()
        models = {path.parents[1].name for path in self._folder.glob(f"{TRIAL_PREFIX}*/{TRIAL_MODEL}/{MANIFEST}")}
        for name in models - self._stored:
            try:
                store_folder(self._folder / name / TRIAL_MODEL, self._there.under(name))
            except FileNotFoundError:  # a better trial has ended meanwhile; the next pass stores its model
                return
        self._there.write(JOURNAL, content[: content.rfind(b"\n") + 1])
        self._stored, self._size = models, len(content)
        for name in set(_trials(self._there)) - models:
            self._there.under(name).remove()
