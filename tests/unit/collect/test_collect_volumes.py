"""Files of a mounted volume: no link leads out of it."""

import pytest

from runwright_components.collect import fingerprint
from runwright_components.contract.outcome import Reason


@pytest.fixture
def volume(workplace, tmp_path):
    """A volume with two files, and a secret beside it."""
    workplace.write({"sales/2025/a.csv": "n\n1\n", "sales/2026/b.csv": "n\n2\n"})
    (tmp_path / "secret.csv").write_text("n\n3\n")
    return workplace.sources / "sales"


@pytest.mark.parametrize(
    ("path", "expected"), [(".", ["1", "2"]), ("2026", ["2"]), ("2026/b.csv", ["2"]), ("*/*.csv", ["1", "2"])]
)
def test_a_folder_a_file_or_a_pattern(workplace, volume, path, expected):
    manifest = workplace.collect(str(volume / path), volume=str(volume))
    assert [row["n"] for row in workplace.rows(manifest)] == expected


def test_a_link_within_the_volume(workplace, volume):
    (volume / "newest.csv").symlink_to("2026/b.csv")
    assert len(workplace.rows(workplace.collect(str(volume / "newest.csv"), volume=str(volume)))) == 1


def test_a_volume_may_be_behind_a_link_itself(workplace, volume, tmp_path):
    (tmp_path / "mounted").symlink_to(volume)
    manifest = workplace.collect(str(tmp_path / "mounted/2026"), volume=str(tmp_path / "mounted"))
    assert manifest.rows == 1


@pytest.mark.parametrize(("link", "target", "path"), [
    ("c.csv", "secret.csv", "."),
    ("c.csv", "secret.csv", "c.csv"),
    ("c.csv", "secret.csv", "*.csv"),
    ("out", "", "out/secret.csv"),
    ("out", "", "out/*.csv"),
])  # fmt: skip
def test_links_that_lead_out_are_refused(workplace, volume, tmp_path, link, target, path):
    (volume / link).symlink_to(tmp_path / target)
    error = workplace.refusal(str(volume / path), volume=str(volume))
    assert error.reason is Reason.SOURCE_DENIED
    assert "leads out of the volume" in error.message


def test_a_volume_that_is_not_mounted(workplace):
    error = workplace.refusal("/runwright/volumes/sales/a.csv", volume="/runwright/volumes/sales")
    assert (error.reason, error.message) == (Reason.SOURCE_NOT_FOUND, "the claim sales is not mounted here")
    assert "give the files as `path`" in error.cure


def test_the_fingerprint_follows_the_files(workplace, volume):
    config = workplace.config(str(volume), volume=str(volume))
    first = fingerprint(config)
    assert fingerprint(config) == first
    (volume / "2026/c.csv").write_text("n\n4\n")
    assert fingerprint(config) != first
