"""Just enough of the ELF format (x86-64) to write a library that stands in for another one.

A stand-in has the name, the functions and the symbol versions of the library, so that programs linked to it load. Each
of its functions says what is missing and ends the process.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_PAGE = 0x1000
_GLOBAL, _WEAK = 1, 2  # bindings of symbols
_OBJECT, _FUNCTION = 1, 2  # kinds of symbols
_EXIT_STATUS = 70  # sysexits.h: internal software error
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_VERSION = struct.Struct("<HHHHIII")
_VERSION_NAME = struct.Struct("<II")
_DYNAMIC = struct.Struct("<qQ")
_DYNSYM, _VERDEF, _VERSYM, _DYNAMIC_SECTION = 11, 0x6FFFFFFD, 0x6FFFFFFF, 6  # types of sections
_LOAD, _DYNAMIC_SEGMENT, _STACK = 1, 2, 0x6474E551  # types of segments
_READ, _WRITE, _EXECUTE = 4, 2, 1
_NULL, _NEEDED, _HASH, _STRTAB, _SYMTAB, _STRSZ, _SYMENT, _SONAME = 0, 1, 4, 5, 6, 10, 11, 14  # tags of that section
_DT_VERSYM, _DT_VERDEF, _DT_VERDEFNUM = 0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFD


@dataclass(frozen=True)
class Library:
    """A shared library as who links to it sees it. Functions and variables are C's, all of one version."""

    soname: str
    functions: tuple[str, ...]
    version: str | None = None
    variables: tuple[tuple[str, int], ...] = ()
    """Names and sizes."""


class _Opened:
    """The sections of a library that tell what it offers and needs. Raises ValueError for a file of another kind."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
            if head[:6] != b"\x7fELF\x02\x01":
                raise ValueError(f"{path.name} is no 64-bit ELF file")
            header = _HEADER.unpack(head)

            def content(section: tuple[int, ...]) -> bytes:
                file.seek(section[4])
                return file.read(section[5])

            file.seek(header[6])
            sections = list(_SECTION.iter_unpack(file.read(header[11] * header[12])))
            kinds = {section[1]: section for section in sections}
            if not {_DYNSYM, _DYNAMIC_SECTION} <= set(kinds):
                raise ValueError(f"{path.name} has no sections that tell its symbols")
            self.symbols = content(kinds[_DYNSYM])
            self.strings = content(sections[kinds[_DYNSYM][6]])
            self.dynamic = list(_DYNAMIC.iter_unpack(content(kinds[_DYNAMIC_SECTION])))
            self.verdef = content(kinds[_VERDEF]) if _VERDEF in kinds else b""

    def named(self, tag: int) -> tuple[str, ...]:
        """The names that the dynamic section has under a tag."""
        return tuple(_text(self.strings, value) for found, value in self.dynamic if found == tag)


def read(path: Path) -> Library:
    """What a library offers. Raises ValueError for a file of another kind, or with more than one version."""
    opened = _Opened(path)
    soname = opened.named(_SONAME)[0]
    versions = _versions(opened.verdef, opened.strings) if opened.verdef else set()
    if len(versions) > 1:
        versions.discard(soname)  # the file's own
    if len(versions) > 1:
        raise ValueError(f"{path.name} has several versions: {sorted(versions)}")
    defined = sorted(set(_defined(opened.symbols, opened.strings)))
    functions = tuple(name for kind, name, _ in defined if kind == _FUNCTION)
    variables = tuple((name, size) for kind, name, size in defined if kind == _OBJECT and size)
    return Library(soname, functions, next(iter(versions), None), variables)


def needed(path: Path) -> tuple[str, ...]:
    """Names of the libraries that a program or library cannot be loaded without."""
    return _Opened(path).named(_NEEDED)


def _defined(symbols: bytes, strings: bytes) -> Iterator[tuple[int, str, int]]:
    """Kind, name and size of what the library defines, without C++'s: that comes with its standard library."""
    for name, info, _, section, _, size in _SYMBOL.iter_unpack(symbols):
        text = _text(strings, name)
        if info >> 4 in (_GLOBAL, _WEAK) and section and not text.startswith("_"):
            yield info & 15, text, size


def _versions(section: bytes, strings: bytes) -> set[str]:
    found, at = set(), 0
    while True:
        fields = _VERSION.unpack_from(section, at)
        found.add(_text(strings, _VERSION_NAME.unpack_from(section, at + fields[5])[0]))
        if not fields[6]:
            return found
        at += fields[6]


def _text(strings: bytes, at: int) -> str:
    return strings[at : strings.index(b"\0", at)].decode()


def stand_in(library: Library, message: str) -> bytes:
    """A library with the same names. Its variables are 0; each of its functions writes `message` to standard error and
    ends the process."""
    variables = dict(library.variables)
    names = [*library.functions, *variables]
    strings, places = b"\0", {}
    for name in (library.soname, library.version or library.soname, *names):
        places[name] = len(strings)
        strings += name.encode() + b"\0"
    room = _Room(_HEADER.size + 4 * _PROGRAM.size)
    code = room.add(_code(message.encode() + b"\n"))
    symbols = room.add(bytes(_SYMBOL.size * (1 + len(names))))
    entries = [
        (_SONAME, places[library.soname]),
        (_STRTAB, room.add(strings)),
        (_STRSZ, len(strings)),
        (_SYMTAB, symbols),
        (_SYMENT, _SYMBOL.size),
        (_HASH, room.add(_hash_table(["", *names]))),
    ]
    if library.version is not None:
        entries += [
            (_DT_VERSYM, room.add(struct.pack(f"<{1 + len(names)}H", 0, *[2] * len(names)))),
            (_DT_VERDEF, room.add(_version_table((library.soname, library.version), places))),
            (_DT_VERDEFNUM, 2),
        ]
    dynamic = b"".join(_DYNAMIC.pack(*entry) for entry in (*entries, (_NULL, 0)))
    begin = len(room.data) + -len(room.data) % _PAGE
    end = begin + len(dynamic)
    for index, name in enumerate(names, start=1):
        kind, address, size = _FUNCTION, code, 0
        if name in variables:
            kind, address, size = _OBJECT, end + -end % 16, variables[name]
            end = address + size
        at = symbols + index * _SYMBOL.size
        _SYMBOL.pack_into(room.data, at, places[name], _GLOBAL << 4 | kind, 0, 1, address, size)
    return _file(room.data, dynamic, begin, end)


class _Room:
    """The first segment as it grows: what is added gets the next address."""

    def __init__(self, begin: int) -> None:
        self.data = bytearray(begin)

    def add(self, content: bytes) -> int:
        self.data += bytes(-len(self.data) % 16)
        address = len(self.data)
        self.data += content
        return address


def _file(room: bytearray, dynamic: bytes, begin: int, end: int) -> bytes:
    """Two segments, for nothing may be writable and executable: names and code; from `begin` to `end`, the dynamic
    section and the variables."""
    size = len(dynamic)
    segments = (
        _PROGRAM.pack(_LOAD, _READ | _EXECUTE, 0, 0, 0, len(room), len(room), _PAGE),
        _PROGRAM.pack(_LOAD, _READ | _WRITE, begin, begin, begin, size, end - begin, _PAGE),
        _PROGRAM.pack(_DYNAMIC_SEGMENT, _READ | _WRITE, begin, begin, begin, size, size, 8),
        _PROGRAM.pack(_STACK, _READ | _WRITE, 0, 0, 0, 0, 0, 16),
    )
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = _HEADER.pack(
        identity, 3, 62, 1, 0, _HEADER.size, 0, 0, _HEADER.size, _PROGRAM.size, len(segments), 0, 0, 0
    )
    front = header + b"".join(segments)
    return front + bytes(room[len(front) :]) + bytes(begin - len(room)) + dynamic


def _code(message: bytes) -> bytes:
    """write(2, message, its length); exit_group(status)"""
    instructions = (
        b"\xb8\x01\x00\x00\x00",  # mov eax, 1
        b"\xbf\x02\x00\x00\x00",  # mov edi, 2
        b"\x48\x8d\x35" + struct.pack("<i", 5 + 2 + 5 + 5 + 2),  # lea rsi, [what follows the code]
        b"\xba" + struct.pack("<i", len(message)),  # mov edx, length
        b"\x0f\x05",  # syscall
        b"\xb8\xe7\x00\x00\x00",  # mov eax, 231
        b"\xbf" + struct.pack("<i", _EXIT_STATUS),  # mov edi, status
        b"\x0f\x05",  # syscall
    )
    return b"".join(instructions) + message


def _hash(name: str) -> int:
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high
    return value & 0xFFFFFFFF


def _hash_table(names: Sequence[str]) -> bytes:
    """System V's hash table: for each bucket the first symbol, for each symbol the next one in its bucket."""
    buckets, chain = [0] * len(names), [0] * len(names)
    for index, name in enumerate(names[1:], start=1):
        bucket = _hash(name) % len(buckets)
        buckets[bucket], chain[index] = index, buckets[bucket]
    return struct.pack(f"<{2 + 2 * len(names)}I", len(names), len(names), *buckets, *chain)


def _version_table(versions: tuple[str, str], places: dict[str, int]) -> bytes:
    """The file's own version, which every file has, and the one of its functions."""
    size = _VERSION.size + _VERSION_NAME.size
    return b"".join(
        _VERSION.pack(1, flags, index, 1, _hash(version), _VERSION.size, follows)
        + _VERSION_NAME.pack(places[version], 0)
        for version, flags, index, follows in zip(versions, (1, 0), (1, 2), (size, 0), strict=True)
    )
