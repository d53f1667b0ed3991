"""Stand-ins for libraries: they load where the real ones would, and say what is missing when they are called."""

import ctypes
import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from images import cuda, elf

LIBRARY = elf.Library(
    "libmade.so.1", ("made_alpha", "made_beta", "made_gamma"), "MADE_1", (("made_count", 4), ("made_buffer", 4096))
)
MESSAGE = "there is no libmade.so.1 here"


def written(tmp_path: Path, library: elf.Library) -> Path:
    path = tmp_path / library.soname
    path.write_bytes(elf.stand_in(library, MESSAGE))
    return path


@pytest.mark.parametrize("version", ["MADE_1", LIBRARY.soname, None])
def test_a_stand_in_has_the_functions_and_no_others(tmp_path: Path, version: str | None) -> None:
    loaded = ctypes.CDLL(str(written(tmp_path, replace(LIBRARY, version=version))))
    for name in LIBRARY.functions:
        assert getattr(loaded, name)
    with pytest.raises(AttributeError):
        _ = loaded.made_delta


def test_a_function_that_is_called_says_what_is_missing_and_ends_the_process(tmp_path: Path) -> None:
    path = written(tmp_path, LIBRARY)
    code = f"import ctypes; ctypes.CDLL({str(path)!r}).made_beta(); print('went on')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (70, "", f"{MESSAGE}\n")


def test_variables_are_zero_and_apart(tmp_path: Path) -> None:
    loaded = ctypes.CDLL(str(written(tmp_path, LIBRARY)))
    count = ctypes.c_int.in_dll(loaded, "made_count")
    buffer = (ctypes.c_char * 4096).in_dll(loaded, "made_buffer")
    assert (count.value, buffer.raw) == (0, bytes(4096))
    buffer.raw = b"x" * 4096
    assert count.value == 0


def test_nothing_of_a_stand_in_is_writable_and_executable(tmp_path: Path) -> None:
    data = written(tmp_path, LIBRARY).read_bytes()
    flags = [int.from_bytes(data[at + 4 : at + 8], "little") for at in range(64, 64 + 4 * 56, 56)]
    assert all(not (flag & 2 and flag & 1) for flag in flags)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no library at all, though it is long enough to hold a header of sixty-four bytes")
    with pytest.raises(ValueError, match="no 64-bit ELF file"):
        elf.read(tmp_path / "text")
    with pytest.raises(ValueError, match="no sections"):
        elf.needed(written(tmp_path, LIBRARY))


def test_what_a_program_needs_is_told() -> None:
    assert any(name.startswith("libc.so") for name in elf.needed(Path(sys.executable).resolve()))


@pytest.mark.parametrize("name", cuda.LINKED)
def test_nvidias_libraries_can_be_stood_in_for(tmp_path: Path, name: str) -> None:
    found = importlib.util.find_spec("nvidia")
    if found is None or found.submodule_search_locations is None:
        pytest.skip("torch was installed without NVIDIA's libraries")
    library = elf.read(Path(next(iter(found.submodule_search_locations))).parent / name)
    assert library.soname == Path(name).name
    loaded = ctypes.CDLL(str(written(tmp_path, library)))
    assert all(getattr(loaded, name) for name in library.functions)
    assert all(ctypes.c_char.in_dll(loaded, name) is not None for name, _ in library.variables)
