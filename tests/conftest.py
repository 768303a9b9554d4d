"""What all tests share: real databases, real stores, the sample clip. Each server starts on first use, once a run."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from servers import PostgresServer, S3Server, postgres_server, s3_server
from xdist.scheduler import LoadFileScheduling

from models.artifacts import ArtifactStore
from models.folder import FolderStore
from models.s3 import S3Options, S3Store

ROOT = Path(__file__).parents[1]
SAMPLE_CLIP = ROOT / ".samples" / "demo.mp4"
SLOWEST = ("ray", "model")
SPINE = "tests/integration/spine/"


class ByFile(LoadFileScheduling):
    """A file's tests run in one worker of xdist; all of the spine in one, for they share a local Ray with its actor."""

    def _split_scope(self, nodeid: str) -> str:
        return SPINE if nodeid.startswith(SPINE) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_configure() -> None:
    """Threads of torch and of BLAS that wait for one another spin, and every core has a worker of xdist on it already.

    Both read this when they are loaded, here and in the processes that tests start.
    """
    for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(pool, "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, or one worker of xdist would still be at it when the other has nothing left."""
    files: dict[Path, int] = {}
    for item in items:
        files[item.path] = min(files.get(item.path, len(SLOWEST)), _tier(item))
    items.sort(key=lambda item: files[item.path])


def _tier(item: pytest.Item) -> int:
    """How long its kind takes: 0 is the longest."""
    return next((tier for tier, mark in enumerate(SLOWEST) if item.get_closest_marker(mark)), len(SLOWEST))


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command run in this process sends all logs to a stream that ends with its test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    if root.handlers != handlers:
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.fixture(scope="session")
def sample_clip() -> Path:
    """A woman walks, a man jumps off a roof: 1768 × 994, 30 fps, 230 frames."""
    if not SAMPLE_CLIP.is_file():
        pytest.fail(f"{SAMPLE_CLIP} is missing: run `make samples`", pytrace=False)
    return SAMPLE_CLIP


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the weights are converted by whoever needs them first: one for all workers of xdist."""
    of_the_run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        of_the_run = of_the_run.parent
    cache = of_the_run / "models"
    cache.mkdir(exist_ok=True)
    return cache


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file at the newest revision, to be copied."""
    from migrations import upgrade

    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite3"
    upgrade(f"sqlite:///{path}")
    return path


@dataclass
class PostgresDatabases:
    """Databases at the newest revision: one that a test left as it should be serves the next one too."""

    server: PostgresServer
    template: str
    schema: list[tuple[object, ...]]
    free: list[str] = field(default_factory=list)

    @contextmanager
    def lend(self) -> Iterator[str]:
        """URL of an empty one."""
        name = self.free.pop() if self.free else self.server.create_database(self.template)
        yield self.server.url(name)
        if self.server.empty(name, self.schema):
            self.free.append(name)
        else:
            self.server.drop_database(name)


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer) -> str:
    """Name of a PostgreSQL database at the newest revision, to be copied."""
    from migrations import upgrade

    name = postgres.create_database()
    upgrade(postgres.url(name))
    return name


@pytest.fixture(scope="session")
def postgres_databases(postgres: PostgresServer, migrated_postgres: str) -> PostgresDatabases:
    return PostgresDatabases(server=postgres, template=migrated_postgres, schema=postgres.schema(migrated_postgres))


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A SQLite database of this test's own, built by the migrations."""
    path = tmp_path / "frontfoot.sqlite3"
    shutil.copyfile(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_databases: PostgresDatabases) -> Iterator[str]:
    """A PostgreSQL database of this test's own, built by the migrations."""
    with postgres_databases.lend() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database of this test's own, built by the migrations; the test runs once on each kind."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database in which no migration ever ran; the test runs once on each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite3'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.create_database()
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
def folder_store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "artifacts")


@pytest.fixture(scope="session")
def s3_options(s3: S3Server) -> S3Options:
    return S3Options(
        bucket=s3.bucket,
        endpoint_url=s3.endpoint_url,
        region=s3.region,
        access_key_id=s3.access_key_id,
        secret_access_key=s3.secret_access_key,
    )


@pytest.fixture(scope="session")
def connected_s3_store(s3_options: S3Options) -> Iterator[S3Store]:
    store = S3Store(s3_options)
    yield store
    store.close()


@pytest.fixture
def s3_store(s3: S3Server, connected_s3_store: S3Store) -> Iterator[S3Store]:
    """The run's bucket, empty; objects do not outlive the test."""
    yield connected_s3_store
    s3.empty()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest) -> ArtifactStore:
    """An empty artifact store; the test runs once on each kind."""
    chosen: ArtifactStore = request.getfixturevalue("folder_store" if request.param == "folder" else "s3_store")
    return chosen
