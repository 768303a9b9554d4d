"""One served API for each kind of backend, and two callers of its own for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from api_server import JWTS, MAX_UPLOAD, Backend, Served, Server, client
from serving import serving

from api.app import create_app
from api.context import Limits
from api.jwts import JwtReader
from models.database import Database
from models.folder import FolderStore
from models.jobs import Owner
from models.queue import JobQueue
from models.s3 import S3Options, S3Store
from pipeline.coaching.rules import rule_faults


@pytest.fixture(scope="session", params=["sqlite+folder", "postgresql+s3"])
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    folder = tmp_path_factory.mktemp("api")
    if request.param == "sqlite+folder":
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), folder / "frontfoot.sqlite3")
        yield Backend(database_url=f"sqlite:///{folder / 'frontfoot.sqlite3'}", store=FolderStore(folder / "store"))
        return
    postgres = request.getfixturevalue("postgres")
    name = postgres.create_database(request.getfixturevalue("migrated_postgres"))
    s3 = request.getfixturevalue("s3")
    options = S3Options(
        bucket=s3.bucket,
        endpoint_url=s3.endpoint_url,
        region=s3.region,
        access_key_id=s3.access_key_id,
        secret_access_key=s3.secret_access_key,
    )
    yield Backend(database_url=postgres.url(name), store=S3Store(options))
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def served(backend: Backend) -> Iterator[Served]:
    """The application on a real socket, once for all tests: each test is two owners of its own."""
    database = Database(backend.database_url)
    queue = JobQueue(database)
    owners = {f"token-{number:012}": Owner(owner_type="coach", owner_id=f"coach-{number}") for number in range(1500)}
    app = create_app(
        database=database,
        queue=queue,
        store=backend.store,
        owners=owners,
        models={"yolo11n-pose"},
        version="1.2.3",
        jwts=JwtReader(JWTS),
        rule_faults=rule_faults,
        limits=Limits(max_upload_bytes=MAX_UPLOAD, upload_stall_s=1.0),
    )
    with serving(app) as url:
        yield Served(url=url, app=app, queue=queue, store=backend.store, tokens=iter(owners))
    database.close()


@pytest.fixture
def server(served: Served) -> Iterator[Server]:
    """The application as two people see it who never met it before."""
    token = next(served.tokens)
    with client(served.url, token) as jane, client(served.url, next(served.tokens)) as lions:
        yield Server(url=served.url, queue=served.queue, store=served.store, token=token, jane=jane, lions=lions)
