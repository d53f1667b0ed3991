"""What data about persons look like, and the checks that tell them from other words and numbers. Pure.

A candidate is found by a regular expression; a check then says how much of it counts: the digit of Luhn for cards, ISO
7064 for IBANs, the standard library's `ipaddress`, and which numbers are given out in the United States (SSA, NANP).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

from runwright_components.contract.config.pii import PiiKind

Match = re.Match[str]
_WORD = re.compile(r"\w")

# Characters of an IBAN by country, of the registry of ISO 13616.
_IBAN = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE", "18": "DK FI FO GL NL", "19": "MK SI", "20": "AT BA EE KZ LT LU XK",
        "21": "CH HR LI LV", "22": "BG BH CR DE GB GE IE ME RS VA", "23": "AE GI IL IQ TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST", "26": "IS TR", "27": "FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HU LB PL SV", "29": "BR EG PS QA UA", "30": "JO KW MU", "31": "MT SC", "32": "LC",
    }.items()
    for country in countries.split()
}  # fmt: skip


@dataclass(frozen=True)
class Pattern:
    """`hint` is a short expression, of Polars' engine, that every text with a candidate matches. `extent` says how many
    characters of a candidate are one, from its start; 0 for none."""

    hint: str
    candidate: str
    extent: Callable[[Match], int]


def _whole(match: Match) -> int:
    return len(match[0])


def _card(match: Match) -> int:
    digits = re.sub(r"[^0-9]", "", match[0])
    return len(match[0]) if _issued(digits) and _luhn(digits) else 0


def _issued(digits: str) -> bool:
    """Whether an issuer's range has numbers of this length (ISO/IEC 7812)."""
    length, four = len(digits), int(digits[:4])
    return (
        (digits[0] == "4" and length in (13, 16, 19))
        or ((51 <= four // 100 <= 55 or 2221 <= four <= 2720) and length == 16)
        or (four // 100 in (34, 37) and length == 15)
        or ((300 <= four // 10 <= 305 or four // 100 in (36, 38)) and length == 14)
        or ((four == 6011 or four // 100 in (62, 65) or 3528 <= four <= 3589) and 16 <= length <= 19)
    )


def _luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1."""
    doubled = [2 * int(digit) for digit in digits[-2::-2]]
    return (sum(map(int, digits[::-2])) + sum(number - 9 if number > 9 else number for number in doubled)) % 10 == 0


def _iban(match: Match) -> int:
    """Its country says how long it is; the remainder by 97 is 1 (ISO 7064)."""
    length = _IBAN.get(match[0][:2], 0)
    places = [place for place, letter in enumerate(match[0]) if letter != " "]
    if not length or len(places) < length:
        return 0
    text = "".join(match[0][place] for place in places[:length])
    end = places[length - 1] + 1
    cut_inside = end < len(match[0]) and match[0][end] != " "
    number = "".join(str(int(letter, 36)) for letter in text[4:] + text[:4])
    return end if not cut_inside and int(number) % 97 == 1 else 0


def _ip(match: Match) -> int:
    before, after = match.string[: match.start()], match.string[match.end() :]
    # 1.2.3.4.5 is no address, and v1.2.3.4 is a version.
    if before[-1:] in (".", ":") or _WORD.match(before[-1:]) or re.match(r"[.:]?\w", after):
        return 0
    if before.lower().endswith(("version ", "version: ", "release ")):
        return 0
    try:
        ipaddress.ip_address(match[0])
    except ValueError:
        return 0
    return len(match[0])


def _ssn(match: Match) -> int:
    area, group, serial = match[0].split("-")
    beside = match.string[match.end() : match.end() + 1] == "-" or match.string[: match.start()].endswith("-")
    given_out = area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
    return len(match[0]) if given_out and not beside else 0


def _phone(match: Match) -> int:
    """International with a plus (E.164: at most 15 digits), or of North America in groups."""
    before = match.string[: match.start()][-1:]
    if before == "." or before == "-" or _WORD.match(before):
        return 0
    digits = re.sub(r"[^0-9]", "", match[0])
    return len(match[0]) if not match[0].startswith("+") or 9 <= len(digits) <= 15 else 0


PATTERNS: dict[PiiKind, Pattern] = {
    "email": Pattern("@", r"[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}", _whole),
    "iban": Pattern(
        r"[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4}", r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b", _iban
    ),
    "creditCard": Pattern(
        r"[0-9]{4}[ -]?[0-9]{4}",
        r"\b(?:[0-9]{13,19}|[0-9]{4}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{4}|[0-9]{4}[ -][0-9]{6}[ -][0-9]{4,5})\b",
        _card,
    ),
    "ip": Pattern(
        r"[0-9]\.[0-9]{1,3}\.[0-9]|:[0-9A-Fa-f]{0,4}:",
        r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{0,4}",
        _ip,
    ),
    "ssn": Pattern(r"[0-9]-[0-9]{2}-[0-9]", r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b", _ssn),
    "phone": Pattern(
        r"\+[1-9]|[0-9][ .)-] ?[0-9]{3}[ .-][0-9]{4}",
        r"\+[1-9](?:[ ./()-]{0,2}[0-9]){6,14}\b"
        r"|(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}\b",
        _phone,
    ),
}
_COMPILED = {kind: re.compile(pattern.candidate) for kind, pattern in PATTERNS.items()}


def replaced(text: str, kind: PiiKind, into: Callable[[str], str]) -> str:
    """`text` with everything of this kind as `into` writes it."""
    extent = PATTERNS[kind].extent

    def one(match: Match) -> str:
        end = extent(match)
        return into(match[0][:end]) + match[0][end:] if end else match[0]

    return _COMPILED[kind].sub(one, text)


def found(text: str, kind: PiiKind) -> str | None:
    """The first of this kind in `text`."""
    extent = PATTERNS[kind].extent
    hits = ((match[0], extent(match)) for match in _COMPILED[kind].finditer(text))
    return next((shown[:end] for shown, end in hits if end), None)


def normal(text: str, kind: PiiKind) -> str:
    """One spelling of what is written in several: case of addresses, blanks and signs between digits."""
    if kind == "ip":
        return str(ipaddress.ip_address(text))
    return text.lower() if kind == "email" else re.sub(r"[^0-9A-Za-z]", "", text).upper()


def obscured(text: str) -> str:
    """`text` with its first character and its signs alone, to be shown."""
    return text[:1] + re.sub(r"\w", "*", text[1:])
