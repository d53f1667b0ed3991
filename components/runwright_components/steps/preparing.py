"""The steps up to the prepared data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from runwright_components.contract.artifacts import PreparedManifest, RawManifest
from runwright_components.contract.config import CollectConfig, PrepareConfig, ReachConfig, parse
from runwright_components.contract.databases import address_variable
from runwright_components.contract.files import write_bytes
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import Progress
from runwright_components.steps import clustered, fingerprints, metadata
from runwright_components.steps.artifact import Artifact
from runwright_components.steps.running import Surroundings
from runwright_components.steps.surroundings import in_cluster


def collect(*, config: str, base: str, raw_data: Artifact) -> None:
    given: CollectConfig = parse(CollectConfig, config)
    parsed = given.model_copy(update={"base": base})
    out = Path(raw_data.path)
    here = Surroundings.of(os.environ)
    if (cluster := in_cluster()) is not None:
        parsed = parsed.within(ReachConfig(private=False, allowed=cluster.run.sources_allowed))
        headers = (name for source in parsed.sources for name in source.headers_env.values())
        cluster.record("collect").hide(os.environ.get(name, "") for name in headers)
        cluster.record("collect").hide(_addresses(parsed))

    def sources() -> dict[str, str]:
        from runwright_components.collect import fingerprint

        return {"sources": fingerprint(parsed)}

    def make(progress: Progress, _key: str) -> None:
        from runwright_components.collect import collect as run
        from runwright_components.collect import left_for_the_next

        run(parsed, out=out, progress=progress, former=_read_before(parsed, here, progress))
        if left := left_for_the_next(out):
            here.leave("collect", "raw_data", left)

    def say() -> str:
        manifest = RawManifest.read(out)
        metadata.show(raw_data, metadata.raw_data(manifest))
        return f"{manifest.rows:,} rows, {len(manifest.columns)} columns"

    here.kept("collect", config=given.digest(), inputs=sources, outputs={"raw_data": out}, make=make, say=say)


def _read_before(config: CollectConfig, here: Surroundings, progress: Progress) -> Path | None:
    """The raw data of the revision before, where a source is read on from them."""
    if not here.use_cache or not config.reads_on:
        return None
    try:
        return here.former("collect", "raw_data")
    except StageError as error:
        progress.warning(f"all is read again: what the revision before has read cannot be had: {error}")
        return None


def _addresses(config: CollectConfig) -> Iterator[str]:
    """What the addresses of databases have that no record may show."""
    for source in config.sources:
        if source.sql is not None and source.sql.path is None:
            from runwright_components.collect.sql.addresses import secrets_of

            yield from secrets_of(os.environ.get(address_variable(source.name), ""))


def prepare(*, config: str, base: str, raw_data: Artifact, prepared_data: Artifact, data_quality: Artifact) -> None:
    given: PrepareConfig = parse(PrepareConfig, config)
    parsed = given.model_copy(update={"base": base})
    raw, out, page = Path(raw_data.path), Path(prepared_data.path), Path(data_quality.path)
    here, cluster = Surroundings.of(os.environ), in_cluster()

    def inputs() -> dict[str, str]:
        return {"raw_data": RawManifest.read(raw).digest, **fingerprints.pretrained(parsed.pretrained, base)}

    def make(progress: Progress, _key: str) -> None:
        from runwright_components.prepare import left_for_the_next
        from runwright_components.prepare import prepare as run
        from runwright_components.prepare.drift import drift_since, sentences
        from runwright_components.report import quality_page

        former = here.former("prepare", "prepared_data")
        if cluster is not None and cluster.run.data is not None:
            clustered.prepare(cluster, given, raw=raw, former=former, out=out, progress=progress)
        else:
            run(parsed, raw=raw, out=out, progress=progress, former=former)
        found = drift_since(former, out)
        for sentence in sentences(found):
            progress.warning(sentence)
        write_bytes(page, quality_page(out, found).encode())
        here.leave("prepare", "prepared_data", left_for_the_next(out))

    def say() -> str:
        manifest = PreparedManifest.read(out)
        metadata.show(prepared_data, metadata.prepared_data(manifest))
        rows = manifest.rows
        return f"{rows['train']:,} training, {rows['validation']:,} validation, {rows['test']:,} test rows"

    outputs = {"prepared_data": out, "data_quality": page}
    here.kept("prepare", config=given.digest(), inputs=inputs, outputs=outputs, make=make, say=say)


def data(
    *,
    collect_config: str,
    prepare_config: str,
    base: str,
    raw_data: Artifact,
    prepared_data: Artifact,
    data_quality: Artifact,
) -> None:
    collect(config=collect_config, base=base, raw_data=raw_data)
    prepare(config=prepare_config, base=base, raw_data=raw_data, prepared_data=prepared_data, data_quality=data_quality)
