"""The page of reasons and the closed list of reasons are one."""

import re
from pathlib import Path

from runwright_api.reasons import Reason

PAGE = Path(__file__).parents[3] / "docs" / "troubleshooting.md"
SECTION = re.compile(r"^### (\w+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)


def test_every_reason_has_its_section_and_there_is_no_other() -> None:
    names = [name for name, _ in SECTION.findall(PAGE.read_text())]
    assert sorted(names) == sorted(str(reason) for reason in Reason)


def test_sections_stand_in_the_order_of_the_list() -> None:
    names = [name for name, _ in SECTION.findall(PAGE.read_text())]
    assert names == [str(reason) for reason in Reason]


def test_every_section_says_what_it_means() -> None:
    for name, body in SECTION.findall(PAGE.read_text()):
        assert body.startswith("**Means** "), name
