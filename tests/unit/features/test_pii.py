"""Personal data in texts: what is one and what only looks like it, and what stands in its place."""

import polars as pl
import pytest

from runwright_components.contract.config.pii import PII_KINDS, PiiKind
from runwright_components.features.pii import Masking
from runwright_components.features.pii_patterns import found, obscured

FOUND: list[tuple[PiiKind, str, str]] = [
    ("email", "write to Ann.Lee+shop@mail.example.co.uk, please", "Ann.Lee+shop@mail.example.co.uk"),
    ("email", "größe@müller.example", "größe@müller.example"),
    ("iban", "to DE89 3704 0044 0532 0130 00 until May", "DE89 3704 0044 0532 0130 00"),
    ("iban", "GB82WEST12345698765432", "GB82WEST12345698765432"),
    ("iban", "AT61 1904 3002 3457 3201 SOON", "AT61 1904 3002 3457 3201"),
    ("creditCard", "card 4111 1111 1111 1111, thanks", "4111 1111 1111 1111"),
    ("creditCard", "378282246310005", "378282246310005"),
    ("creditCard", "3782-822463-10005", "3782-822463-10005"),
    ("ip", "from 203.0.113.9.", "203.0.113.9"),
    ("ip", "host 2001:db8::8a2e:370:7334 answers", "2001:db8::8a2e:370:7334"),
    ("ssn", "SSN 219-09-9999", "219-09-9999"),
    ("phone", "call +49 (0)30 901820-0!", "+49 (0)30 901820-0"),
    ("phone", "(415) 555-2671", "(415) 555-2671"),
    ("phone", "415.555.2671 or later", "415.555.2671"),
]
NOT_FOUND: list[tuple[PiiKind, str]] = [
    ("email", "@home, a@b, me@localhost"),
    ("iban", "DE88 3704 0044 0532 0130 00"),
    ("iban", "ZZ89 3704 0044 0532 0130 00"),
    ("creditCard", "4111 1111 1111 1112"),
    ("creditCard", "1234567890123452"),
    ("creditCard", "x4111111111111111"),
    ("ip", "version 1.2.3.4"),
    ("ip", "v1.2.3.4 and 1.2.3.4.5"),
    ("ip", "300.1.1.1 at 12:34:56:78"),
    ("ssn", "000-12-3456, 666-12-3456, 900-12-3456, 123-00-4567 and 1-219-09-9999"),
    ("phone", "2024-01-31 10:11:12"),
    ("phone", "+1.5 and 3+12345678901"),
    ("phone", "115 555 2671"),
]


@pytest.mark.parametrize(("kind", "text", "expected"), FOUND)
def test_what_is_personal_is_found_whole(kind: PiiKind, text: str, expected: str) -> None:
    assert found(text, kind) == expected
    masked = Masking(action="mask", columns={"t": PII_KINDS}).text(text, PII_KINDS)
    assert masked == text.replace(expected, f"<{kind}>")


@pytest.mark.parametrize(("kind", "text"), NOT_FOUND)
def test_what_only_looks_personal_stays(kind: PiiKind, text: str) -> None:
    assert found(text, kind) is None
    assert Masking(action="mask", columns={"t": (kind,)}).text(text, (kind,)) == text


@pytest.mark.parametrize("action", ["mask", "hash"])
def test_a_column_a_request_and_a_second_pass_give_the_same(action: str) -> None:
    masking = Masking.model_validate({"action": action, "columns": {"t": PII_KINDS}, "salt": "of this test"})
    texts = [text for _, text, _ in FOUND] + [text for _, text in NOT_FOUND] + [None]
    frame = pl.DataFrame({"t": texts, "other": texts})
    masked = masking.frame(frame)
    assert masked["other"].equals(frame["other"])
    assert masking.cells({"t": texts})["t"] == masked["t"].to_list()
    assert masking.frame(masked).equals(masked)


def test_equal_addresses_have_equal_hashes_under_one_salt() -> None:
    one, other = (
        Masking(action="hash", columns={"t": ("email",)}, salt=salt) for salt in ("first salt", "second salt")
    )
    hashed = one.text("ann@example.com", ("email",))
    assert hashed.startswith("<email:")
    assert "ann" not in hashed
    assert one.text("Ann@Example.com", ("email",)) == hashed
    assert one.text("bob@example.com", ("email",)) != hashed
    assert other.text("ann@example.com", ("email",)) != hashed


def test_conversations_are_masked_within() -> None:
    talk = [{"role": "user", "content": "I am ann@example.com"}, {"role": "assistant", "content": "Hello"}]
    frame = pl.DataFrame({"messages": [talk, None]})
    masked = Masking(action="mask", columns={"messages": ("email",)}).frame(frame)
    assert masked.schema == frame.schema
    assert masked["messages"].to_list() == [[{"role": "user", "content": "I am <email>"}, talk[1]], None]


def test_what_is_shown_has_its_first_character_and_signs_alone() -> None:
    assert obscured("ann.lee@example.com") == "a**.***@*******.***"
