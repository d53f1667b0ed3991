"""Pages for people: links lead somewhere, and the commands, options, values and fields that they name exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from runwright_cli.main import COMMANDS, LazyGroup

ROOT = Path(__file__).parents[3]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("docs/data/*.md")),
    *sorted(ROOT.glob("docs/models/*.md")),
    *sorted(ROOT.glob("docs/decisions/*.md")),
    *sorted(ROOT.glob("examples/*.md")),
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FOREIGN = ("spec.predictor.", "pipelines.kubeflow.org")  # of an InferenceService; a group
DOTTED = re.compile(r"[a-z][A-Za-z0-9]*(?:\.[A-Za-z][A-Za-z0-9]*(?:\[\w*\])?)+")


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    titles = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in HEADING.findall(page.read_text())]
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def commands(page: str, *programs: str) -> Iterator[list[str]]:
    """The words of each command of a program: in blocks, with lines joined, and between backticks."""
    text = text_of(page)
    lines = [line for block in FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *CODE.findall(FENCE.sub("", text))]:
        for part in re.split(r"\s(?:&&|\|\||;|#|\|)\s", re.sub(r"^\$ ", "", line.strip())):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:  # a quotation that goes on in the next line
                continue
            if words and words[0] in programs:
                yield words


@cache
def values() -> dict[str, Any]:
    """The chart's values."""
    return dict(yaml.safe_load((ROOT / "charts/runwright/values.yaml").read_text()))


@cache
def spec_schema() -> dict[str, Any]:
    crd = yaml.safe_load((ROOT / "manifests/crd/trainingruns.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return dict(schema["properties"]["spec"])


def has_value(path: str) -> bool:
    """Whether the chart knows the value; one that is a map takes any key."""
    found: Any = values()
    for part in path.split("."):
        if not isinstance(found, dict):
            return False
        if not found:
            return True
        if part not in found:
            return False
        found = found[part]
    return True


def has_field(path: str) -> bool:
    """Whether a TrainingRun's spec has the field."""
    schema = spec_schema()
    for part in path.removeprefix("spec.").split("."):
        schema = schema.get("items", schema)
        if schema.get("additionalProperties") or schema.get("x-kubernetes-preserve-unknown-fields"):
            return True
        name = part.partition("[")[0]
        if name not in schema.get("properties", {}):
            return False
        schema = schema["properties"][name]
    return True


@pytest.mark.parametrize("page", NAMES)
def test_links_lead_somewhere(page: str) -> None:
    here = ROOT / page
    for target in LINK.findall(FENCE.sub("", text_of(page))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = here if not path else (here.parent / path).resolve()
        assert found.exists(), target
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), target


@pytest.mark.parametrize("page", NAMES)
def test_commands_of_ours_have_the_options_that_pages_give_them(page: str) -> None:
    for words in commands(page, "runwright"):
        if len(words) == 1 or words[1].startswith("-"):
            continue
        assert words[1] in COMMANDS, words
        command = runwright_command(words[1])
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for word in words[2:]:
            if word.startswith("-") and word != "-" and not word.lstrip("-").isdigit():
                assert word.partition("=")[0] in known | {"--help"}, words


def runwright_command(name: str) -> click.Command:
    group = LazyGroup()
    found = group.get_command(click.Context(group), name)
    assert found is not None
    return found


@pytest.mark.parametrize("page", NAMES)
def test_the_chart_knows_the_values_that_pages_set(page: str) -> None:
    for words in commands(page, "helm"):
        if "charts/runwright" not in words:
            continue
        for flag, given in pairwise(words):
            if flag.startswith("--set"):
                assert has_value(given.partition("=")[0]), given


@pytest.mark.parametrize("page", NAMES)
def test_values_and_fields_that_pages_name_exist(page: str) -> None:
    """`storage.uri` between backticks is a value of the chart or a field of a TrainingRun."""
    for code in CODE.findall(FENCE.sub("", text_of(page))):
        name = re.split(r"[=: ]", code, maxsplit=1)[0]
        if not DOTTED.fullmatch(name) or name.split(".")[0] not in {"spec", *values(), *spec_schema()["properties"]}:
            continue
        if name.startswith(FOREIGN) or re.search(r"\.(py|md|json|yaml|onnx)$", name):
            continue
        assert has_value(name) or has_field(name), name


@pytest.mark.parametrize("page", NAMES)
def test_targets_of_make_exist(page: str) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in commands(page, "make"):
        for word in words[1:]:
            assert word in targets or "=" in word, words


@pytest.mark.parametrize("page", NAMES)
def test_programs_of_this_repository_have_the_options_that_pages_give_them(page: str) -> None:
    for words in commands(page, "python", "python3.11"):
        if not words[1].endswith(".py"):
            continue
        assert (ROOT / words[1]).is_file(), words
        options = [word for word in words[2:] if word.startswith("--")]
        if options:
            told = help_of(words[1])
            assert all(option in told for option in options), words


@cache
def help_of(program: str) -> str:
    done = subprocess.run([sys.executable, program, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("page", NAMES)
def test_files_that_commands_apply_exist(page: str) -> None:
    """Those of this repository; `penguins.yaml` is a reader's own."""
    for words in commands(page, "kubectl", "runwright"):
        for word in words:
            if re.match(r"(examples|manifests|charts)/[\w./-]+$", word):
                assert (ROOT / word).exists(), words
