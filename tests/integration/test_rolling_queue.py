"""The queue of v0.1.0 and today's on one PostgreSQL: whatever the one does to a job, the other goes on with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from queueing import QUICK_ONLY, document, session_with_upload
from released import OldQueue, old_queue, unpacked

from models.cleaning import Cleaner
from models.database import Database
from models.folder import FolderStore
from models.jobs import Beat, ClaimedJob, Owner
from models.queue import JobQueue

JANE = Owner(owner_type="coach", owner_id="jane")
LEASE_S = 0.3


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(tmp_path_factory.mktemp("released"))


@pytest.fixture
def new(postgres_url: str) -> Iterator[JobQueue]:
    database = Database(postgres_url)
    yield JobQueue(database, lease_s=LEASE_S, backoff_s=0)
    database.close()


@pytest.fixture
def old(new: JobQueue, postgres_url: str, released: Path) -> Iterator[OldQueue]:
    with old_queue(released, postgres_url, lease_s=LEASE_S) as queue:
        yield queue


def claimed_by_new(new: JobQueue) -> ClaimedJob:
    claimed = new.claim("new")
    assert claimed is not None
    return claimed


def finished_by_new(new: JobQueue, claimed: ClaimedJob) -> None:
    done = new.finish(claimed.lease, stage="quick", document=document("quick"), s3_key="new")
    assert done.status == "done"


def test_the_old_code_finds_the_schema_current(old: OldQueue) -> None:
    assert old("schema") == "current"


class TestOldHandsOver:
    """Submitted by the new API, claimed by an old worker, ended by a new one."""

    @pytest.mark.parametrize(
        ("left", "code"),
        [
            (lambda old, new, job: old("fail", job), ["io_error"]),
            (lambda old, new, job: old("release", job), []),
            (lambda old, new, job: _silent() or old("requeue_expired"), ["lease_expired"]),
            (lambda old, new, job: _silent() or new.requeue_expired(), ["lease_expired"]),
        ],
        ids=[
            "it fails",
            "it is handed back",
            "its worker dies, an old one sweeps",
            "its worker dies, a new one sweeps",
        ],
    )
    def test_to_new(
        self, old: OldQueue, new: JobQueue, left: Callable[[OldQueue, JobQueue, str], object], code: list[str]
    ) -> None:
        session = session_with_upload(new, JANE)
        earlier, job_id = (new.submit(JANE, session, QUICK_ONLY).id for _ in range(2))
        claimed = claimed_by_new(new)  # which puts both into their lane: the old worker takes one out of it
        assert claimed.id == earlier
        finished_by_new(new, claimed)
        assert old("claim") == [job_id, 1]
        assert new.claim("new") is None
        left(old, new, job_id)
        claimed = claimed_by_new(new)
        assert (claimed.id, claimed.attempt) == (job_id, 2)
        assert old("finish", job_id) == "lease_lost"
        finished_by_new(new, claimed)
        assert old("read", job_id) == ["done", 2, True]
        assert [attempt["error_code"] for attempt in new.get(JANE, job_id).history] == code


class TestNewHandsOver:
    """Submitted by the old API, claimed by a new worker, ended by an old one."""

    @pytest.mark.parametrize(
        ("left", "code"),
        [
            (lambda old, new, job: new.fail(job.lease, "io_error", "Full.", transient=True), ["io_error"]),
            (lambda old, new, job: new.release(job.lease), ["handed_back"]),
            (lambda old, new, job: _silent() or old("requeue_expired"), ["lease_expired"]),
            (lambda old, new, job: _silent() or new.requeue_expired(), ["lease_expired"]),
        ],
        ids=[
            "it fails",
            "it is handed back",
            "its worker dies, an old one sweeps",
            "its worker dies, a new one sweeps",
        ],
    )
    def test_to_old(
        self, old: OldQueue, new: JobQueue, left: Callable[[OldQueue, JobQueue, ClaimedJob], object], code: list[str]
    ) -> None:
        job_id = old("submit", session_with_upload(new, JANE))
        claimed = claimed_by_new(new)
        assert (claimed.id, claimed.attempt) == (job_id, 1)
        assert old("claim") is None
        left(old, new, claimed)
        assert old("claim") == [job_id, 2]
        assert new.claim("new") is None
        assert old("finish", job_id) == "done"
        job = new.get(JANE, job_id)
        assert (job.status, job.quick_results_s3_key) == ("done", "old")
        assert [attempt["error_code"] for attempt in job.history] == code


class TestCancel:
    def test_old_cancels_what_new_would_claim(self, old: OldQueue, new: JobQueue) -> None:
        job_id = new.submit(JANE, session_with_upload(new, JANE), QUICK_ONLY).id
        assert old("cancel", job_id) == "canceled"
        assert new.claim("new") is None

    def test_old_cancels_what_new_runs(self, old: OldQueue, new: JobQueue) -> None:
        job_id = old("submit", session_with_upload(new, JANE))
        claimed = claimed_by_new(new)
        assert old("cancel", job_id) == "quick_running"
        (reply,) = new.beat([Beat(lease=claimed.lease, progress_pct=1)]).values()
        assert reply.cancel_requested
        assert new.mark_canceled(claimed.lease).status == "canceled"
        assert old("read", job_id) == ["canceled", 1, False]

    def test_new_cancels_what_old_would_claim(self, old: OldQueue, new: JobQueue) -> None:
        new.cancel(JANE, old("submit", session_with_upload(new, JANE)))
        assert old("claim") is None

    def test_new_cancels_what_old_runs(self, old: OldQueue, new: JobQueue) -> None:
        job_id = new.submit(JANE, session_with_upload(new, JANE), QUICK_ONLY).id
        assert old("claim") == [job_id, 1]
        new.cancel(JANE, job_id)
        assert old("cancel_requested", job_id) is True

    def test_new_deletes_what_old_runs(
        self, old: OldQueue, new: JobQueue, postgres_url: str, folder_store: FolderStore
    ) -> None:
        job_id = new.submit(JANE, session_with_upload(new, JANE), QUICK_ONLY).id
        assert old("claim") == [job_id, 1]
        database = Database(postgres_url)
        Cleaner(database, folder_store).forget_job(JANE, job_id)
        database.close()
        assert old("finish", job_id) == "lease_lost"
        assert (old("claim"), new.claim("new")) == (None, None)


def test_both_work_off_one_backlog_each_job_once(old: OldQueue, new: JobQueue) -> None:
    session = session_with_upload(new, JANE)
    submitted = [
        old("submit", session) if number % 2 else new.submit(JANE, session, QUICK_ONLY).id for number in range(60)
    ]

    def worked_off(work: Callable[[], str | None]) -> list[str]:
        done = []
        while new.counts()["queued"]:  # a claim that finds every job locked comes again
            if job_id := work():
                done.append(job_id)
        return done

    def by_old() -> str | None:
        claimed = old("claim")
        if claimed is None:
            return None
        assert old("finish", claimed[0]) == "done"
        return str(claimed[0])

    def by_new() -> str | None:
        claimed = new.claim("new")
        if claimed is None:
            return None
        finished_by_new(new, claimed)
        return claimed.id

    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.submit(worked_off, by_new), pool.submit(worked_off, by_old)
    assert sorted(ours.result() + theirs.result()) == sorted(submitted)
    assert min(len(ours.result()), len(theirs.result())) > 0
    assert new.counts()["done"] == len(submitted)


def _silent() -> None:
    """No beat for longer than a lease and the sweep's patience."""
    time.sleep(LEASE_S * 1.5)
