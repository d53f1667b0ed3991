"""Datasets of the Hugging Face Hub: the files of one commit, brought here; nothing of a repository is run."""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from runwright_components.collect.files import SourceFile
from runwright_components.collect.hub_layout import Wanted, data_files
from runwright_components.collect.transfer import Downloaded, Sign
from runwright_components.contract.config import HubConfig, Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

README = "README.md"
LARGEST_README = 4 << 20  # bytes


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Files of one commit: path to (size, digest)."""

    commit: str
    files: dict[str, tuple[int, str]]


def hub_files(source: Source, *, scratch: Callable[[], Path], progress: Progress) -> list[SourceFile]:
    """The files of the wanted configuration and split; names are their paths below the folder that has them all."""
    hub, api = _of(source), _api()
    with _hub_errors(hub):
        chosen = _choose(hub, api)
        folder = scratch()
        counted = Downloaded(progress, source.name, sum(size for size, _ in chosen.files.values()))
        api.snapshot_download(
            hub.dataset,
            repo_type="dataset",
            revision=chosen.commit,
            local_dir=folder,
            allow_patterns=[glob.escape(path) for path in chosen.files],
            tqdm_class=_silent(counted),
        )
    place = f"hf://datasets/{hub.dataset}@{chosen.commit[:12]}"
    root = os.path.commonpath([f"/{PurePosixPath(path).parent}" for path in chosen.files]).strip("/.")
    names = {path: path.removeprefix(f"{root}/") if root else path for path in chosen.files}
    return [SourceFile(names[path], folder / path, f"{place}/{path}") for path in sorted(chosen.files)]


def hub_signs(source: Source) -> list[Sign]:
    """Path, size and digest of each file: a commit that changes others changes nothing here."""
    hub = _of(source)
    with _hub_errors(hub):
        chosen = _choose(hub, _api())
    return [(path, *sign) for path, sign in sorted(chosen.files.items())]


def _of(source: Source) -> HubConfig:
    if source.hub is None:
        raise StageError(
            Reason.INVALID_CONFIG, f"{source.uri} names no dataset", where=source.name, cure="use huggingFace.dataset"
        )
    return source.hub


def _api() -> HfApi:
    from huggingface_hub import HfApi

    # Read at the call: the library's own constants are those of its first import.
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=os.environ.get("HF_TOKEN") or None)


def _choose(hub: HubConfig, api: HfApi) -> _Chosen:
    from huggingface_hub.hf_api import RepoFile

    info = api.dataset_info(hub.dataset, revision=hub.revision)
    assert info.sha is not None
    tree = api.list_repo_tree(hub.dataset, repo_type="dataset", revision=info.sha, recursive=True)
    found = {one.path: one for one in tree if isinstance(one, RepoFile)}
    readme = _readme(hub, api, info.sha) if README in found and found[README].size <= LARGEST_README else ""
    chosen = data_files(list(found), readme, Wanted(_place(hub), hub.config, hub.split))
    return _Chosen(info.sha, {path: _sign(found[path]) for path in chosen})


def _readme(hub: HubConfig, api: HfApi, commit: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = api.hf_hub_download(hub.dataset, README, repo_type="dataset", revision=commit, local_dir=folder)
        return Path(path).read_text(encoding="utf-8", errors="replace")


def _sign(file: RepoFile) -> tuple[int, str]:
    return (file.lfs.size, file.lfs.sha256) if file.lfs is not None else (file.size, file.blob_id)


def _silent(counted: Downloaded) -> type[Any]:
    """A progress bar that draws nothing and tells the stage's progress of the bytes."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            self._bytes = options.get("name") == "huggingface_hub.snapshot_download"  # written; another counts the wire
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> bool | None:
            if self._bytes and n:
                counted.add(int(n))
            return None

    return Bar


def _place(hub: HubConfig) -> str:
    return f"hf://datasets/{hub.dataset}" + (f"@{hub.revision}" if hub.revision else "")


@contextmanager
def _hub_errors(hub: HubConfig) -> Iterator[None]:
    """What the hub's client raises, in words that a person can act on."""
    from huggingface_hub import errors

    def error(reason: Reason, message: str, cure: str) -> StageError:
        return StageError(reason, message, where=_place(hub), cure=cure)

    try:
        yield
    except StageError:
        raise
    except errors.GatedRepoError as cause:
        said = "the dataset is gated"
        cure = "accept its terms on the hub with the account of HF_TOKEN, and give that token"
        raise error(Reason.SOURCE_DENIED, said, cure) from cause
    except errors.RevisionNotFoundError as cause:
        said = f"it has no revision {hub.revision or 'main'}"
        raise error(Reason.SOURCE_NOT_FOUND, said, "give a branch, a tag or a whole commit") from cause
    except errors.RepositoryNotFoundError as cause:
        said = "the hub has no such dataset, or it is private"
        cure = "check huggingFace.dataset (OWNER/NAME); a private one needs HF_TOKEN"
        raise error(Reason.SOURCE_NOT_FOUND, said, cure) from cause
    except errors.HFValidationError as cause:
        raise error(Reason.INVALID_CONFIG, "no name of a dataset", "write OWNER/NAME") from cause
    except errors.HfHubHTTPError as cause:
        status = cause.response.status_code
        if status in (401, 403):
            raise error(Reason.SOURCE_DENIED, f"the hub answered {status}", "check HF_TOKEN and its rights") from cause
        raise error(Reason.SOURCE_UNAVAILABLE, f"the hub answered {status}", "try again later") from cause
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, ConnectionError, TimeoutError) as cause:
        raise _away(hub, cause) from cause
    except Exception as cause:
        if type(cause).__module__.split(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2"):
            raise
        raise _away(hub, cause) from cause


def _away(hub: HubConfig, cause: Exception) -> StageError:
    return StageError(
        Reason.SOURCE_UNAVAILABLE,
        f"cannot reach the hub: {type(cause).__name__}",
        where=_place(hub),
        cure="check the network, HF_ENDPOINT and HF_HUB_OFFLINE, then try again",
    )
