"""Rules of the house that no linter knows."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = ("operator", "pipelines", "components")
SOURCES = sorted(path for folder in PACKAGES for path in (ROOT / folder).rglob("*.py"))


def test_there_are_sources() -> None:
    assert len(SOURCES) > 50


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_says_what_it_is_for_and_fits_on_a_few_screens(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a module begins with a docstring"
    assert len(text.splitlines()) <= 420, "a file is a room with one purpose: split it"


def test_nothing_unpickles_or_starts_a_shell() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _is_unsafe(node)
    ]
    assert found == []


def _is_unsafe(node: ast.AST) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
        return bool(names & {"pickle", "joblib", "cloudpickle", "dill", "marshal", "shelve"})
    if not isinstance(node, ast.Call):
        return False
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    name = ast.unparse(node.func)
    return (
        given.get("shell") == "True"
        or given.get("allow_pickle") == "True"
        or (name == "torch.load" and given.get("weights_only") != "True")
        or name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system", "eval", "exec")
    )


def test_requirements_are_pinned_with_hashes_and_name_no_index() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "--hash=sha256:" in text
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text), path.name


def test_there_is_no_util_module() -> None:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not re.search(r"(^|/)(utils?|helpers?|misc|common)\.py$", listed, re.MULTILINE)
