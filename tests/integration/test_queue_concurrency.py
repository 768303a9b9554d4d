"""Many workers on one queue, in threads and in processes of their own."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from models.database import Database
from models.errors import LeaseLost
from models.jobs import Beat, ClaimedJob, Owner
from models.queue import JobQueue
from models.requests import AnalysisRequest

ROOT = Path(__file__).parents[2]
JANE = Owner(owner_type="coach", owner_id="jane")
DOCUMENT: dict[str, Any] = {
    "findings": {"findings": [], "overall_level": "low"},
    "report": {"text": "words", "sections": [{}]},
}
CLAIM_ALL = """
import sys
from models.database import Database
from models.queue import JobQueue
queue = JobQueue(Database(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
while (job := queue.claim(sys.argv[2])) or queue.counts()["queued"]:  # one that others are just taking may be left
    if job:
        print(job.id, flush=True)
"""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def submit(queue: JobQueue, count: int) -> set[str]:
    session = queue.create_session(JANE, title="Nets", session_type="bowling")
    queue.attach_upload(JANE, session.id, "local", "clip.mp4", 1)
    request = AnalysisRequest(analysis_mode="bowling", deep_enabled=False)
    return {queue.submit(JANE, session.id, request).id for _ in range(count)}


def test_processes_never_share_a_job(database: Database) -> None:
    jobs = submit(JobQueue(database), 200)  # more than one can take while the others are kept from the processor
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM_ALL, database.url, f"worker-{number}"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    claimed = [worker.communicate(timeout=60)[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert Counter(job for share in claimed for job in share) == Counter(dict.fromkeys(jobs, 1))
    assert sum(bool(share) for share in claimed) > 1


def test_threads_do_every_job_once_and_the_session_ends_ready(database: Database) -> None:
    queue = JobQueue(database)
    jobs = submit(queue, 40)
    finished: list[str] = []

    def work(number: int) -> None:
        while claimed := queue.claim(f"worker-{number}"):
            queue.beat([Beat(lease=claimed.lease, progress_pct=10)])
            queue.finish(claimed.lease, stage="quick", document=DOCUMENT, s3_key="k")
            finished.append(claimed.id)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert sorted(finished) == sorted(jobs)
    assert queue.counts()["done"] == 40
    # Jobs of one session that end at once: the last of them must see the others' ends.
    assert queue.list_sessions(JANE).items[0].status == "ready"


def test_jobs_that_end_at_once_see_each_other(database: Database) -> None:
    queue = JobQueue(database)
    submit(queue, 2)
    first, second = queue.claim("a"), queue.claim("b")
    assert first is not None
    assert second is not None

    def finish(claimed: ClaimedJob) -> None:
        queue.finish(claimed.lease, stage="quick", document=DOCUMENT, s3_key="k")

    with ThreadPoolExecutor(2) as pool:
        with database.transaction() as transaction:  # holds both up where they settle the session's status
            transaction.execute(text("UPDATE video_sessions SET notes = 'held'"))
            ends = [pool.submit(finish, claimed) for claimed in (first, second)]
            time.sleep(0.3)
            assert not any(end.done() for end in ends)
        for end in ends:
            end.result()
    assert queue.list_sessions(JANE).items[0].status == "ready"


def test_an_upload_leaves_no_job_waiting(database: Database) -> None:
    queue = JobQueue(database)
    request = AnalysisRequest(analysis_mode="bowling")
    for _ in range(10):
        session_id = queue.create_session(JANE, title="Nets", session_type="bowling").id
        start = threading.Barrier(2)

        def submit_some(session_id: str = session_id, start: threading.Barrier = start) -> None:
            start.wait()
            for _ in range(3):
                queue.submit(JANE, session_id, request)

        def upload(session_id: str = session_id, start: threading.Barrier = start) -> None:
            start.wait()
            queue.attach_upload(JANE, session_id, "local", "clip.mp4", 1)

        run_together(submit_some, upload)
    assert queue.counts()["awaiting_upload"] == 0
    assert queue.counts()["queued"] == 30


def test_two_housekeepers_count_each_job_once(database: Database) -> None:
    submit(JobQueue(database), 20)
    impatient = JobQueue(database, lease_s=0)
    while impatient.claim("gone"):
        pass
    time.sleep(0.01)
    with ThreadPoolExecutor(2) as pool:
        counts = [future.result() for future in [pool.submit(impatient.requeue_expired) for _ in range(2)]]
    assert sum(counts) == 20
    assert impatient.counts()["queued"] == 20


def test_chaos_ends_every_job_once(database: Database) -> None:
    """Workers that die, hand back, fail and dawdle behind each other's backs; owners that cancel."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    queue = JobQueue(database, lease_s=0.05, max_attempts=50, backoff_s=0.001)
    jobs = submit(queue, 25)
    deadline = time.monotonic() + 40
    finished: list[str] = []

    def work(number: int) -> None:
        chance = random.Random(seed + number)
        while time.monotonic() < deadline:
            queue.requeue_expired()
            claimed = queue.claim(f"worker-{number}")
            if claimed is None:
                if not any(queue.counts()[state] for state in ("queued", "quick_running")):
                    return
                time.sleep(0.005)
                continue
            try:
                fate = chance.random()
                if fate < 0.2:
                    continue  # died
                if fate < 0.4:
                    time.sleep(0.06)  # its lease runs out, and it finishes nevertheless or finds that it may not
                if fate < 0.5:
                    queue.release(claimed.lease)
                elif fate < 0.6:
                    queue.fail(claimed.lease, "actor_died", "gone", transient=True)
                else:
                    queue.finish(claimed.lease, stage="quick", document=DOCUMENT, s3_key=f"by-{number}")
                    finished.append(claimed.id)
            except LeaseLost:
                continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert sorted(finished) == sorted(jobs)
    assert queue.counts()["done"] == len(jobs)


def run_together(*calls: Callable[[], None]) -> None:
    with ThreadPoolExecutor(len(calls)) as pool:
        for future in [pool.submit(call) for call in calls]:
            future.result()
