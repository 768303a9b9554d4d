"""A worker keeps house: on its own, through outages, and without holding up a stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fault_proxy import FaultProxy
from queueing import QUICK_ONLY, document
from servers import S3Server, postgres_server
from sqlalchemy import func, update

from migrations import upgrade
from models.artifacts import artifact_key
from models.cleaning import Cleaner
from models.errors import NotFound
from models.jobs import Owner
from models.s3 import S3Options
from models.storage import Storage, StorageOptions
from models.tables import Deletion
from pipeline.housekeeping import Housekeeper, HousekeepingOptions

JANE = Owner(owner_type="coach", owner_id="jane")
QUICKLY = HousekeepingOptions(pause_s=0.05, rare_s=0.05, retry_s=0.1)


@contextmanager
def keeping(storage: Storage, options: HousekeepingOptions = QUICKLY) -> Iterator[None]:
    housekeeper = Housekeeper(storage, options)
    housekeeper.start()
    try:
        yield
    finally:
        begun = time.monotonic()
        housekeeper.close()
        assert time.monotonic() - begun < 5


def eventually(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def uploaded(storage: Storage) -> tuple[str, str]:
    """A session and the key of its video."""
    session = storage.queue.create_session(JANE, title="Nets", session_type="bowling")
    key = f"sessions/{session.id}/source/clip.mp4"
    storage.store.put_bytes(storage.store.bucket, key, b"x")
    storage.queue.attach_upload(JANE, session.id, storage.store.bucket, key, 1)
    return session.id, key


def done(storage: Storage, session_id: str) -> tuple[str, str]:
    """A job and the key of what it stored."""
    storage.queue.submit(JANE, session_id, QUICK_ONLY)
    claimed = storage.queue.claim("worker-1")
    assert claimed is not None
    key = artifact_key(claimed.source_key, claimed.id, claimed.attempt, "quick_results.json")
    storage.store.put_bytes(claimed.bucket, key, b"{}")
    storage.queue.finish(claimed.lease, stage="quick", document=document("quick"), s3_key=key)
    return claimed.id, key


@pytest.fixture
def embedded(sqlite_url: str, tmp_path: Path) -> Iterator[Storage]:
    storage = StorageOptions(database_url=sqlite_url, folder=tmp_path / "store").open()
    yield storage
    storage.close()


def test_nobody_keeps_anything_unless_told_to_let_it_go(embedded: Storage) -> None:
    session_id, _ = uploaded(embedded)
    job_id, key = done(embedded, session_id)
    with keeping(embedded):
        time.sleep(0.5)
    assert embedded.queue.get(JANE, job_id).quick_results_s3_key == key
    assert embedded.store.exists("local", key)


def test_files_go_before_rows(embedded: Storage) -> None:
    session_id, source = uploaded(embedded)
    job_id, key = done(embedded, session_id)
    with keeping(embedded, replace(QUICKLY, keep_artifacts=timedelta(0))):
        eventually(lambda: not embedded.store.exists("local", key))
    assert embedded.queue.get(JANE, job_id).quick_findings is not None
    with keeping(embedded, replace(QUICKLY, keep_jobs=timedelta(0))):
        eventually(lambda: not embedded.queue.list(JANE).items)
    with pytest.raises(NotFound):
        embedded.queue.get(JANE, job_id)
    assert embedded.store.exists("local", source)


def test_outages_cost_log_lines_only(s3: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """PostgreSQL goes and comes back, S3 answers 500: what was to be deleted is deleted all the same."""
    with postgres_server(durable=True) as server, FaultProxy(s3.endpoint_url) as proxy:
        url = server.url(server.create_database())
        upgrade(url)
        options = S3Options(
            bucket=s3.bucket,
            endpoint_url=proxy.url,
            region=s3.region,
            access_key_id=s3.access_key_id,
            secret_access_key=s3.secret_access_key,
        )
        storage = StorageOptions(database_url=url, folder=tmp_path, s3=options).open()
        session_id, key = uploaded(storage)
        with keeping(storage):
            server.service.process.send_signal(signal.SIGQUIT)
            eventually(lambda: "Housekeeping failed" in caplog.text)
            server.restart(signal.SIGQUIT)
            proxy.set("error")
            Cleaner(storage.database, storage.store).forget_session(JANE, session_id)
            eventually(lambda: "Deletion failed" in caplog.text)
            proxy.set("pass")
            assert storage.store.exists(s3.bucket, key)
            with storage.database.transaction() as transaction:  # the pause before the next try is over
                transaction.execute(update(Deletion).values(next_at=func.now()))
            eventually(lambda: not storage.store.exists(s3.bucket, key))
        storage.close()
        s3.empty()
