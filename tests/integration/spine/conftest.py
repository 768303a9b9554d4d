"""One local Ray with one pose actor for the tests of the spine, and an extractor in this process to compare with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from footage import Image, half_size_frames
from servers import S3Server
from workers import Bench

from frontfoot.following import FollowedAlias
from frontfoot.settings import Settings
from inference.extract import ExtractorOptions, PoseExtractor, load_extractor
from models.s3 import S3Options
from models.storage import StorageOptions
from pipeline.cluster import Cluster, ClusterOptions


@pytest.fixture(scope="session")
def extractor_options(model_cache: Path) -> ExtractorOptions:
    return ExtractorOptions(threads=2, cache_dir=model_cache)


@pytest.fixture(scope="session")
def extractor(extractor_options: ExtractorOptions) -> Iterator[PoseExtractor]:
    loaded = load_extractor(extractor_options)
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def site_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder from which Ray's processes, and not this one, import what a test installs there."""
    return tmp_path_factory.mktemp("site-packages")


@pytest.fixture(scope="session")
def cluster(extractor_options: ExtractorOptions, site_packages: Path) -> Iterator[Cluster]:
    started = Cluster(ClusterOptions(extractor=extractor_options))
    with pytest.MonkeyPatch.context() as patch:
        # Ray's processes get the variables that its start finds.
        patch.setenv("PYTHONPATH", str(site_packages), prepend=os.pathsep)
        started.start()
    yield started
    started.stop()


@pytest.fixture(params=["sqlite+folder", "postgresql+s3"])
def storage_options(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorageOptions]:
    """The embedded default and the production pair; the test runs once on each."""
    if request.param == "sqlite+folder":
        yield StorageOptions(database_url=request.getfixturevalue("sqlite_url"), folder=tmp_path / "artifacts")
        return
    server: S3Server = request.getfixturevalue("s3")
    yield StorageOptions(
        database_url=request.getfixturevalue("postgres_url"),
        folder=tmp_path / "unused",
        s3=S3Options(
            bucket=server.bucket,
            endpoint_url=server.endpoint_url,
            region=server.region,
            access_key_id=server.access_key_id,
            secret_access_key=server.secret_access_key,
        ),
    )
    server.empty()


@pytest.fixture
def bench(storage_options: StorageOptions, cluster: Cluster) -> Iterator[Bench]:
    """A worker's place on each pair of database and store."""
    storage = storage_options.open()
    yield Bench(options=storage_options, storage=storage, cluster=cluster)
    storage.close()


@pytest.fixture
def embedded(sqlite_url: str, tmp_path: Path, cluster: Cluster) -> Iterator[Bench]:
    """A worker's place on SQLite and a folder, where the store makes no difference."""
    options = StorageOptions(database_url=sqlite_url, folder=tmp_path / "artifacts")
    storage = options.open()
    yield Bench(options=options, storage=storage, cluster=cluster)
    storage.close()


@pytest.fixture
def alias(embedded: Bench, model_cache: Path) -> Iterator[FollowedAlias]:
    """`production`, which a test may move: at the end the cluster is what it was."""
    with following(embedded, model_cache) as followed:
        yield followed


@pytest.fixture
def bench_alias(bench: Bench, model_cache: Path) -> Iterator[FollowedAlias]:
    """The same of a `bench`."""
    with following(bench, model_cache) as followed:
        yield followed


@contextmanager
def following(bench: Bench, cache: Path) -> Iterator[FollowedAlias]:
    """`production`, as the block's workers follow it; the cluster is then made what it was."""
    settings = Settings(cache_dir=cache, inference_threads=2)
    before = bench.cluster.generations
    yield FollowedAlias(settings, bench.storage)
    (first,) = before
    bench.cluster.route(first)
    for generation in set(bench.cluster.generations) - {first}:
        bench.cluster.drop(generation)


@pytest.fixture(scope="session")
def footage(sample_clip: Path) -> list[Image]:
    """The sample's frames at half size."""
    return half_size_frames(sample_clip)
