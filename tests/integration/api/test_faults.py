"""What a caller sees while something behind the API is broken: always a problem document, never a stack trace."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from serving import serving
from sqlalchemy.orm import Session as Transaction

from api.app import create_app
from models.artifacts import ArtifactStore, OpenedObject
from models.cleaning import Cleaner
from models.database import Database
from models.errors import StoreUnavailable
from models.folder import FolderStore
from models.jobs import Owner
from models.queue import JobQueue
from models.s3 import S3Options, S3Store
from models.tables import VideoSession

PREFIX = "/api/coaches/plus"
TOKEN = "token-of-jane-0001"
MP4_HEAD = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
NOBODY_LISTENS = "127.0.0.1:9"


@contextmanager
def api(database_url: str, store: ArtifactStore, database: Database | None = None) -> Iterator[httpx.Client]:
    database = database or Database(database_url)
    app = create_app(
        database=database,
        queue=JobQueue(database),
        store=store,
        owners={TOKEN: Owner(owner_type="coach", owner_id="jane")},
        models=set(),
        version="1.2.3",
    )
    with (
        serving(app) as url,
        httpx.Client(
            base_url=url + PREFIX, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=30
        ) as client,
    ):
        yield client
    database.close()


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    for secret in ("Traceback", NOBODY_LISTENS, "password", ".py"):
        assert secret not in answer.text
    return answer.status_code, answer.json()["code"]


def test_a_database_that_is_away_is_503_and_not_ready(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = f"postgresql://jane:password@{NOBODY_LISTENS}/frontfoot"
    with api(url, FolderStore(tmp_path)) as client:
        answer = client.get("/sessions")
        assert code(answer) == (503, "store_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert code(client.get("/health/ready")) == (503, "store_unavailable")
        assert client.get("/health/live").status_code == 200
    assert "Store unavailable" in caplog.text


def test_an_old_schema_is_not_ready(empty_database_url: str, tmp_path: Path) -> None:
    with api(empty_database_url, FolderStore(tmp_path)) as client:
        assert code(client.get("/health/ready")) == (503, "schema_behind")
        assert code(client.get("/sessions")) == (503, "schema_behind")
        assert client.get("/health/live").status_code == 200


def test_a_store_that_is_away_is_503_and_the_session_still_waits(sqlite_url: str) -> None:
    away = S3Store(
        S3Options(
            bucket="videos",
            endpoint_url=f"http://{NOBODY_LISTENS}",
            region="us-east-1",
            access_key_id="key",
            secret_access_key="password",
        )
    )
    with api(sqlite_url, away) as client:
        session_id = client.post("/sessions", json={"title": "Nets", "session_type": "bowling"}).json()["id"]
        assert code(client.put(f"/sessions/{session_id}/video", content=MP4_HEAD)) == (503, "store_unavailable")
        assert client.get(f"/sessions/{session_id}").json()["status"] == "pending"
        assert code(client.get("/health/ready")) == (503, "store_unavailable")


def test_a_bucket_that_is_not_there_is_not_ready(sqlite_url: str, s3_options: S3Options) -> None:
    with api(sqlite_url, S3Store(s3_options)) as client:
        assert client.get("/health/ready").status_code == 200
    with api(sqlite_url, S3Store(replace(s3_options, bucket="forgotten"))) as client:
        assert code(client.get("/health/ready")) == (503, "store_unavailable")


class Forgetful(Database):
    """A database that goes away when a session is about to take its video: before it did, or before it could say so."""

    def __init__(self, url: str, *, took_it: bool) -> None:
        super().__init__(url)
        self._took_it = took_it

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[Transaction]:
        with super().transaction(read_only=read_only) as transaction:
            yield transaction
            taken = any(isinstance(row, VideoSession) and row.s3_key for row in transaction.dirty)
            if taken and not self._took_it:
                raise StoreUnavailable
        if taken:
            raise StoreUnavailable


@pytest.mark.parametrize(("took_it", "kept"), [(False, 0), (True, 1)])
def test_a_video_is_kept_only_if_its_session_took_it(sqlite_url: str, tmp_path: Path, took_it: bool, kept: int) -> None:
    store = FolderStore(tmp_path)
    with api(sqlite_url, store, Forgetful(sqlite_url, took_it=took_it)) as client:
        session_id = client.post("/sessions", json={"title": "Nets", "session_type": "bowling"}).json()["id"]
        assert code(client.put(f"/sessions/{session_id}/video", content=MP4_HEAD)) == (503, "store_unavailable")
        assert client.get(f"/sessions/{session_id}").json()["status"] == ("uploaded" if took_it else "pending")
    database = Database(sqlite_url)
    Cleaner(database, store).deletions.carry_out_due()
    database.close()
    assert store.delete_prefix(store.bucket, f"sessions/{session_id}") == kept


class Startled(FolderStore):
    """A store with a fault that nobody foresaw."""

    def put_stream(self, *_: object, **__: object) -> None:  # type: ignore[override]  # never gets as far as an answer
        raise ZeroDivisionError("/secret/path.py")

    def open(self, bucket: str, key: str, *, start: int = 0, end: int | None = None) -> OpenedObject:
        raise ZeroDivisionError("/secret/path.py")


def test_a_fault_of_ours_is_a_500_that_only_the_log_explains(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with api(sqlite_url, Startled(tmp_path)) as client:
        session_id = client.post("/sessions", json={"title": "Nets", "session_type": "bowling"}).json()["id"]
        answer = client.put(f"/sessions/{session_id}/video", content=MP4_HEAD, headers={"X-Request-Id": "the-one"})
        assert code(answer) == (500, "internal")
        assert answer.headers["x-request-id"] == "the-one"
        assert client.get(f"/sessions/{session_id}").status_code == 200
    (failure,) = [record for record in caplog.records if record.exc_info and record.name == "api.middleware"]
    assert failure.levelno == logging.ERROR
    assert vars(failure)["request_id"] == "the-one"
    assert "ZeroDivisionError" in caplog.text
