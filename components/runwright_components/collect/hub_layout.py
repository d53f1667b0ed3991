"""Which files of a repository on the Hugging Face Hub are the rows of a configuration and a split; pure.

The rules are the hub's ("Data files configuration" and "File names and splits" in its documentation): the section
`configs` of README.md names files by pattern; without one, names of files and folders tell the split. A repository's
programs are never run.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from runwright_components.collect.files import file_format
from runwright_components.collect.patterns import compiled
from runwright_components.contract.outcome import Reason, StageError

_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for, and its name for messages."""

    where: str
    config: str | None
    split: str | None


def data_files(paths: Collection[str], readme: str, wanted: Wanted) -> list[str]:
    """The paths of the wanted configuration and split, sorted. `readme` is the text of README.md, or empty.

    Raises StageError: InvalidConfig when there is no such configuration or split, or several to choose from;
    DataUnreadable when README.md cannot be understood; Unsupported when a program would have to make the data.
    """
    known = [path for path in paths if _is_data(path)]
    configs = _configs(readme, wanted)
    splits = _by_metadata(known, _choose_config(configs, wanted), wanted) if configs else _by_names(known, wanted)
    splits = {split: files for split, files in splits.items() if files}
    if not splits:
        raise _nothing(paths, wanted)
    if wanted.split is None:
        return sorted({path for files in splits.values() for path in files})
    if wanted.split not in splits:
        raise _invalid(f"there is no split {wanted.split}", f"its splits are {_named(splits)}", wanted)
    return sorted(splits[wanted.split])


def _is_data(path: str) -> bool:
    hidden = any(part.startswith((".", "__")) for part in path.split("/"))
    return not hidden and file_format(path) is not None


# ---------------------------------------------------------------- by README.md


def _configs(readme: str, wanted: Wanted) -> list[Mapping[str, Any]]:
    """The section `configs` of the front matter; those of another form are left out."""
    found = _FRONT_MATTER.match(readme)
    if found is None:
        return []
    try:
        metadata = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"the metadata of README.md are no YAML: {str(error).splitlines()[0]}",
            where=wanted.where,
            cure="give a revision whose README.md is whole, or download the files and give their path",
        ) from error
    configs = metadata.get("configs") if isinstance(metadata, Mapping) else None
    listed = configs if isinstance(configs, list) else []
    return [one for one in listed if isinstance(one, Mapping) and ("data_files" in one or "data_dir" in one)]


def _choose_config(configs: list[Mapping[str, Any]], wanted: Wanted) -> Mapping[str, Any]:
    by_name = {str(one.get("config_name", DEFAULT)): one for one in configs}
    if wanted.config is not None:
        if wanted.config not in by_name:
            said = f"its configurations are {_named(by_name)}"
            raise _invalid(f"there is no configuration {wanted.config}", said, wanted)
        return by_name[wanted.config]
    marked = [one for one in configs if one.get("default") is True]
    if marked or DEFAULT in by_name or len(configs) == 1:
        return marked[0] if marked else by_name.get(DEFAULT, configs[0])
    raise _invalid("it has several configurations", f"set huggingFace.config to one of {_named(by_name)}", wanted)


def _by_metadata(known: list[str], config: Mapping[str, Any], wanted: Wanted) -> dict[str, list[str]]:
    folder = str(config.get("data_dir") or "").strip("/")
    root = f"{folder}/" if folder else ""
    given = config.get("data_files")
    if given is None:
        return _by_words([path for path in known if path.startswith(root)], len(root))
    return {
        split: [path for path in known if any(compiled(root + one).fullmatch(path) for one in patterns)]
        for split, patterns in _patterns(given, wanted)
    }


def _patterns(given: Any, wanted: Wanted) -> Iterator[tuple[str, list[str]]]:
    """(split, patterns) of `data_files`: a pattern, a list of them, a mapping by split, or a list of split and path."""
    if isinstance(given, Mapping):
        yield from ((str(split), _texts(paths)) for split, paths in given.items())
    elif isinstance(given, list) and given and all(isinstance(one, Mapping) and "path" in one for one in given):
        yield from ((str(one.get("split", "train")), _texts(one["path"])) for one in given)
    elif texts := _texts(given):
        yield "train", texts
    else:
        raise StageError(
            Reason.DATA_UNREADABLE,
            "data_files of README.md has a form that the hub does not describe",
            where=wanted.where,
            cure="download the files and give their path",
        )


def _texts(value: Any) -> list[str]:
    texts = value if isinstance(value, list) else [value] if isinstance(value, str) else []
    return [str(one).removeprefix("./") for one in texts]


# ---------------------------------------------------------------- by names


def _by_names(known: list[str], wanted: Wanted) -> dict[str, list[str]]:
    """Without metadata: a configuration is a folder at the top, as in the hub's own branch refs/convert/parquet."""
    if wanted.config in (None, DEFAULT) and not any(path.startswith(f"{DEFAULT}/") for path in known):
        return _by_words(known, 0)
    root = f"{wanted.config or DEFAULT}/"
    inside = [path for path in known if path.startswith(root)]
    if not inside:
        folders = {path.split("/")[0] for path in known if "/" in path}
        raise _invalid(f"there is no configuration {wanted.config}", f"its folders are {_named(folders)}", wanted)
    return _by_words(inside, len(root))


def _by_words(paths: Iterable[str], root: int) -> dict[str, list[str]]:
    """Files by the split that their names tell: `data/SPLIT-00000-of-00001.EXT`, a folder of the split's name, or one
    of the usual words in a name. What tells none is `train`, where nothing does."""
    found: dict[str, list[str]] = {}
    untold = []
    for path in paths:
        split = _split_of(path[root:])
        if split is None:
            untold.append(path)
        else:
            found.setdefault(split, []).append(path)
    return found or {"train": untold}


def _split_of(path: str) -> str | None:
    *folders, name = path.split("/")
    if sharded := re.match(r"(.+?)-\d{5}-of-\d{5}", name):
        return sharded[1]
    for part in (name, *reversed(folders)):
        words = set(re.split(r"[^a-z]+", part.lower()))
        for split, spellings in _WORDS.items():
            if words & set(spellings):
                return split
    return None


# ---------------------------------------------------------------- what is wrong


def _nothing(paths: Collection[str], wanted: Wanted) -> StageError:
    program = next((path for path in paths if "/" not in path and path.endswith(".py")), None)
    if program is not None:
        return StageError(
            Reason.UNSUPPORTED,
            f"its rows are made by a program, {program}, which is not run",
            where=wanted.where,
            cure="set huggingFace.revision to refs/convert/parquet, where the hub keeps them as Parquet",
        )
    return StageError(
        Reason.SOURCE_NOT_FOUND,
        f"none of its {len(paths)} file(s) holds rows that can be read here",
        where=wanted.where,
        cure="set huggingFace.revision to refs/convert/parquet, where the hub keeps many datasets as Parquet",
    )


def _invalid(message: str, cure: str, wanted: Wanted) -> StageError:
    return StageError(Reason.INVALID_CONFIG, message, where=wanted.where, cure=cure)


def _named(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:20]) + (", ..." if len(ordered) > 20 else "")
