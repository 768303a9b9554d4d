"""Leases live as long as the heart beats, on real databases."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from models.errors import JobCanceled, LeaseLost
from models.jobs import ClaimedJob, Owner
from models.requests import AnalysisRequest
from models.storage import Storage, StorageOptions
from pipeline.heart import Heart, beat_interval

OWNER = Owner(owner_type="coach", owner_id="jane")
LEASE_S = 0.9


@pytest.fixture
def options(database_url: str, tmp_path: Path) -> StorageOptions:
    return StorageOptions(database_url=database_url, folder=tmp_path / "artifacts", lease_s=LEASE_S)


@pytest.fixture
def storage(options: StorageOptions) -> Iterator[Storage]:
    opened = options.open()
    yield opened
    opened.close()


@pytest.fixture
def heart(options: StorageOptions) -> Iterator[Heart]:
    beating = Heart(options)
    beating.start()
    yield beating
    beating.close()


def _claimed(storage: Storage) -> ClaimedJob:
    session = storage.queue.create_session(OWNER, title="Nets", session_type="bowling")
    storage.queue.attach_upload(OWNER, session.id, "local", f"sessions/{session.id}/source/clip.mp4", 10)
    storage.queue.submit(OWNER, session.id, AnalysisRequest(analysis_mode="bowling"))
    claimed = storage.queue.claim("worker-1")
    assert claimed is not None
    return claimed


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_leases_of_all_jobs_outlast_their_length_and_progress_travels(storage: Storage, heart: Heart) -> None:
    one, two = _claimed(storage), _claimed(storage)
    with heart.beating(one.lease) as pulse, heart.beating(two.lease):
        pulse.progress_pct = 17.9
        time.sleep(2 * LEASE_S)
        assert storage.queue.requeue_expired() == 0
        assert [storage.queue.get(OWNER, job.id).progress_pct for job in (one, two)] == [17, 0]
        pulse.check()


def test_without_a_heart_the_job_is_taken(storage: Storage, heart: Heart) -> None:
    job = _claimed(storage)
    with heart.beating(job.lease):
        pass
    time.sleep(1.5 * LEASE_S)
    assert storage.queue.requeue_expired() == 1


def test_a_cancel_comes_back_with_the_next_beat(storage: Storage, heart: Heart) -> None:
    job = _claimed(storage)
    with heart.beating(job.lease) as pulse:
        storage.queue.cancel(OWNER, job.id)
        began = time.monotonic()
        _until(pulse.canceled.is_set)
        assert time.monotonic() - began < 2 * beat_interval(LEASE_S) + 0.5
        with pytest.raises(JobCanceled):
            pulse.check()


def test_a_lost_lease_is_known_to_its_job_alone(storage: Storage, heart: Heart) -> None:
    mine, other = _claimed(storage), _claimed(storage)
    with heart.beating(mine.lease) as pulse, heart.beating(other.lease) as untouched:
        storage.queue.release(mine.lease)
        _until(pulse.lost.is_set)
        with pytest.raises(LeaseLost):
            pulse.check()
        time.sleep(LEASE_S)
        untouched.check()


def test_a_database_that_comes_back_in_time_costs_nothing(
    options: StorageOptions, storage: Storage, heart: Heart, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="pipeline.heart")
    job = _claimed(storage)

    def rename(before: str, after: str) -> None:
        with storage.database.transaction() as transaction:
            transaction.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))

    with heart.beating(job.lease) as pulse:
        rename("video_analysis_jobs", "away")
        _until(lambda: "not written" in caplog.text)
        time.sleep(3 * beat_interval(LEASE_S))
        rename("away", "video_analysis_jobs")
        pulse.progress_pct = 30
        _until(lambda: "written again" in caplog.text)
        _until(lambda: storage.queue.get(OWNER, job.id).progress_pct == 30)
        pulse.check()
    assert caplog.text.count("not written") == 1, "said once, not at every beat"


def test_it_beats_at_least_three_times_a_lease() -> None:
    assert [beat_interval(lease_s) for lease_s in (0.9, 3.0, 60.0)] == pytest.approx([0.3, 1.0, 1.0])


def test_closing_ends_its_thread(options: StorageOptions) -> None:
    heart = Heart(options)
    heart.start()
    heart.close()
    assert "heart" not in {thread.name for thread in threading.enumerate()}
