"""What is forgotten goes for good, and nothing else does: rows at once, objects after whatever happens in between."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from plans import explained
from queueing import BOWLING, QUICK_ONLY, document
from sqlalchemy import func, select, text

from models.artifacts import ArtifactStore, StoredObject, artifact_key
from models.cleaning import STRAGGLING, Cleaner
from models.database import Database
from models.deletions import Doomed, bury
from models.errors import LeaseLost, NotFound
from models.folder import FolderStore
from models.idempotency import RequestKey
from models.jobs import Beat, ClaimedJob, Owner
from models.queue import JobQueue
from models.requests import JobExtras
from models.s3 import S3Options, S3Store
from models.submission import Order
from models.tables import Deletion, IdempotencyKey, Upload, VideoAnalysisJob, VideoSession
from models.uploads import UploadRegister

LEASE_S = 60.0
MIB = 1024 * 1024
LIONS = Owner(owner_type="org", owner_id="lions")
FOREIGN = "2026/05/nets.mp4"


@dataclass
class House:
    """A queue, a store and a cleaner that share a clock."""

    database: Database
    queue: JobQueue
    store: ArtifactStore
    cleaner: Cleaner
    uploads: UploadRegister
    jane: Owner

    @property
    def bucket(self) -> str:
        return self.store.bucket

    def put(self, key: str) -> str:
        self.store.put_bytes(self.bucket, key, b"x")
        return key

    def uploaded(self) -> str:
        """A session with a video of its own."""
        session = self.queue.create_session(self.jane, title="Nets", session_type="bowling")
        self.upload(session.id)
        return session.id

    def upload(self, session_id: str) -> str:
        upload = self.uploads.begin(self.jane, session_id, bucket=self.bucket, size=9)
        self.put(upload.key)
        self.uploads.complete(upload, 1)
        return upload.key

    def foreign(self, owner: Owner | None = None, key: str = FOREIGN) -> str:
        """A session whose video was in the store before."""
        source = StoredObject(bucket=self.bucket, key=self.put(key), size=1, content_type="video/mp4")
        return self.queue.create_session(owner or self.jane, title="N", session_type="bowling", source=source).id

    def running(self, session_id: str) -> ClaimedJob:
        """A job of the session that has stored something."""
        self.queue.submit(self.jane, session_id, QUICK_ONLY)
        claimed = self.queue.claim("worker-1")
        assert claimed is not None
        self.artifact(claimed)
        return claimed

    def done(self, session_id: str) -> ClaimedJob:
        claimed = self.running(session_id)
        key = self.artifact(claimed)
        self.queue.finish(claimed.lease, stage="quick", document=document("quick"), s3_key=key)
        return claimed

    def artifact(self, claimed: ClaimedJob, name: str = "quick_results.json") -> str:
        return self.put(artifact_key(claimed.source_key, claimed.id, claimed.attempt, name))

    def clean(self) -> None:
        while self.cleaner.deletions.carry_out_due():
            pass

    def tombstones(self) -> int:
        return self.count(Deletion)

    def count(self, table: type[object]) -> int:
        with self.database.transaction(read_only=True) as transaction:
            return transaction.scalar(select(func.count()).select_from(table)) or 0

    def exists(self, key: str) -> bool:
        return self.store.exists(self.bucket, key)


@pytest.fixture(params=["sqlite+folder", "postgresql+s3"])
def pair(request: pytest.FixtureRequest) -> tuple[str, ArtifactStore]:
    """Database and store: the laptop's, and production's."""
    names = ("sqlite_url", "folder_store") if request.param == "sqlite+folder" else ("postgres_url", "s3_store")
    url, store = (request.getfixturevalue(name) for name in names)
    return url, store


@pytest.fixture
def database_url(pair: tuple[str, ArtifactStore]) -> str:
    return pair[0]


@pytest.fixture
def store(pair: tuple[str, ArtifactStore]) -> ArtifactStore:
    return pair[1]


@pytest.fixture
def house(database: Database, queue: JobQueue, store: ArtifactStore, clock: Any, jane: Owner) -> House:
    return House(
        database=database,
        queue=queue,
        store=store,
        cleaner=Cleaner(database, store, lease_s=LEASE_S, clock=clock),
        uploads=UploadRegister(database, expiry_s=3600, clock=clock),
        jane=jane,
    )


class TestSession:
    def test_it_goes_with_every_video_job_and_artifact(self, house: House) -> None:
        session_id, neighbour = house.uploaded(), house.uploaded()
        first = house.done(session_id)
        latest = house.upload(session_id)
        late = house.running(session_id)
        kept = house.done(neighbour)
        other = house.put(f"sessions/{session_id}2/source/clip.mp4")
        house.cleaner.forget_session(house.jane, session_id)
        with pytest.raises(NotFound):
            house.queue.get_session(house.jane, session_id)
        for job in (first, late):
            with pytest.raises(NotFound):
                house.queue.get(house.jane, job.id)
        assert house.count(VideoAnalysisJob) == 1
        house.clean()
        assert not house.exists(latest)
        assert house.store.delete_prefix(house.bucket, f"sessions/{session_id}") == 0
        assert house.queue.get(house.jane, kept.id).status == "done"
        assert house.exists(house.artifact(kept))
        assert house.exists(kept.source_key)
        assert house.exists(other)

    def test_its_worker_stops(self, house: House) -> None:
        running = house.running(house.uploaded())
        house.cleaner.forget_session(house.jane, running.job.session_id)
        reply = house.queue.beat([Beat(lease=running.lease, progress_pct=10)])[running.lease.token]
        assert not reply.held
        with pytest.raises(LeaseLost):
            house.queue.finish(running.lease, stage="quick", document=document("quick"), s3_key="k")

    def test_it_is_nobody_elses_to_delete(self, house: House) -> None:
        session_id = house.uploaded()
        with pytest.raises(NotFound):
            house.cleaner.forget_session(LIONS, session_id)
        assert house.queue.get_session(house.jane, session_id).status == "uploaded"
        assert house.tombstones() == 0

    def test_what_is_written_late_goes_too(self, house: House, clock: Any) -> None:
        """A worker that lost its lease stores one more artifact, after everything was deleted."""
        session_id = house.uploaded()
        running = house.running(session_id)
        house.cleaner.forget_session(house.jane, session_id)
        house.clean()
        late = house.artifact(running, "report.html")
        house.clean()
        assert house.exists(late)
        clock.forward(3600 + 3600 + 1)  # an upload's link may be used that long
        house.clean()
        assert not house.exists(late)
        assert house.tombstones() == 0

    def test_uploads_under_way_are_lost(self, house: House) -> None:
        session_id = house.uploaded()
        streaming = house.uploads.begin(house.jane, session_id, bucket=house.bucket, size=9)
        in_parts = house.uploads.begin(house.jane, session_id, bucket=house.bucket, size=64 * MIB + 1)
        links = house.store.upload_links(
            house.bucket, in_parts.key, size=in_parts.size_bytes, sha256=None, expires_s=60
        )
        if links is not None:  # a folder knows no parts
            assert httpx.put(links.parts[1].url, content=b"x", trust_env=False).status_code == 200
        house.cleaner.forget_session(house.jane, session_id)
        house.clean()
        if links is not None:
            assert httpx.put(links.parts[1].url, content=b"x", trust_env=False).status_code == 404
        house.put(streaming.key)  # its last byte arrives only now
        with pytest.raises(NotFound):
            house.uploads.complete(streaming, 1)
        house.cleaner.forget_upload(streaming)
        house.clean()
        assert not house.exists(streaming.key)

    def test_without_links_a_stragglers_time_is_enough(self, house: House, clock: Any) -> None:
        running = house.running(house.foreign())
        house.cleaner.forget_session(house.jane, running.job.session_id)
        house.clean()
        late = house.artifact(running, "report.html")
        clock.forward(STRAGGLING.total_seconds())
        house.clean()
        assert not house.exists(late)
        assert house.tombstones() == 0


class TestForeignSource:
    def test_it_goes_with_its_jobs_artifacts_and_nothing_beside_them(self, house: House) -> None:
        session_id = house.foreign()
        job = house.done(session_id)
        beside = [house.put(f"2026/05/analysis/{job.id}2/1/report.html"), house.put("2026/05/nets.mp4.txt")]
        house.cleaner.forget_session(house.jane, session_id)
        house.clean()
        assert not house.exists(FOREIGN)
        assert not house.exists(f"2026/05/analysis/{job.id}/1/quick_results.json")
        assert all(house.exists(key) for key in beside)

    def test_it_stays_if_asked(self, house: House) -> None:
        session_id = house.foreign()
        job = house.done(session_id)
        house.cleaner.forget_session(house.jane, session_id, keep_source=True)
        house.clean()
        assert house.exists(FOREIGN)
        assert house.store.delete_prefix(house.bucket, f"2026/05/analysis/{job.id}") == 0

    def test_it_stays_while_another_session_of_anybody_names_it(self, house: House) -> None:
        mine, theirs = house.foreign(), house.foreign(LIONS)
        house.cleaner.forget_session(house.jane, mine)
        house.clean()
        assert house.exists(FOREIGN)
        house.cleaner.forget_session(LIONS, theirs)
        house.clean()
        assert not house.exists(FOREIGN)

    def test_it_stays_while_another_job_names_it(self, house: House) -> None:
        mine, other = house.foreign(), house.foreign()
        house.done(other)
        house.upload(other)  # that session has another video now, its job has not
        house.cleaner.forget_session(house.jane, mine)
        house.clean()
        assert house.exists(FOREIGN)

    def test_of_two_that_are_deleted_at_once_the_last_takes_it_along(self, house: House) -> None:
        mine, theirs = house.foreign(), house.foreign(LIONS)
        doomed = house.cleaner.forget_session(house.jane, mine), house.cleaner.forget_session(LIONS, theirs)
        for tombstones in doomed:
            house.cleaner.deletions.carry_out(tombstones)
        assert not house.exists(FOREIGN)

    def test_a_second_time_it_is_somebody_elses(self, house: House, clock: Any) -> None:
        house.cleaner.forget_session(house.jane, house.foreign())
        house.clean()
        house.put(FOREIGN)
        clock.forward(86_400)
        house.clean()
        assert house.exists(FOREIGN)


class TestJob:
    def test_it_goes_and_its_video_stays(self, house: House) -> None:
        session_id = house.uploaded()
        mine, other = house.done(session_id), house.done(session_id)
        house.cleaner.forget_job(house.jane, mine.id)
        house.clean()
        assert not house.exists(artifact_key(mine.source_key, mine.id, 1, "quick_results.json"))
        assert house.exists(house.artifact(other))
        assert house.exists(mine.source_key)
        assert house.queue.get_session(house.jane, session_id).status == "ready"
        house.cleaner.forget_job(house.jane, other.id)
        assert house.queue.get_session(house.jane, session_id).status == "uploaded"

    def test_a_running_one_stops_and_one_that_waits_for_a_video_is_gone(self, house: House) -> None:
        running = house.running(house.uploaded())
        house.cleaner.forget_job(house.jane, running.id)
        assert not house.queue.beat([Beat(lease=running.lease, progress_pct=1)])[running.lease.token].held
        empty = house.queue.create_session(house.jane, title="N", session_type="bowling")
        waiting = house.queue.submit(house.jane, empty.id, BOWLING)
        assert house.cleaner.forget_job(house.jane, waiting.id) == ()
        assert house.queue.get_session(house.jane, empty.id).status == "pending"

    def test_somebody_elses_and_one_that_is_gone(self, house: House) -> None:
        job = house.done(house.uploaded())
        with pytest.raises(NotFound):
            house.cleaner.forget_job(LIONS, job.id)
        house.cleaner.forget_job(house.jane, job.id)
        with pytest.raises(NotFound):
            house.cleaner.forget_job(house.jane, job.id)


class TestDeletions:
    def test_a_crash_half_way_loses_none(self, house: House, database_url: str) -> None:
        """Killed for good between the commit and the objects; whoever keeps house next finishes it."""
        session_id = house.uploaded()
        job = house.done(session_id)
        house.database.close()  # no connection is shared with the process below

        def forget_and_die() -> None:
            Cleaner(Database(database_url), house.store).forget_session(house.jane, session_id)
            os.kill(os.getpid(), signal.SIGKILL)

        process = multiprocessing.get_context("fork").Process(target=forget_and_die)
        process.start()
        process.join(20)
        assert process.exitcode == -signal.SIGKILL
        assert house.count(VideoSession) == 0
        assert house.exists(job.source_key)
        house.cleaner = Cleaner(house.database, house.store)  # by the real clock, as the process that died
        house.clean()
        assert house.store.delete_prefix(house.bucket, f"sessions/{session_id}") == 0

    def test_a_store_that_is_away_is_asked_again(
        self, house: House, clock: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        away = S3Store(
            S3Options(
                bucket=house.bucket,
                endpoint_url="http://127.0.0.1:9",
                region="us-east-1",
                access_key_id="key",
                secret_access_key="secret",
            )
        )
        session_id = house.foreign()
        cleaner = Cleaner(house.database, away, clock=clock)
        tombstones = cleaner.forget_session(house.jane, session_id)
        assert cleaner.deletions.carry_out_due() == len(tombstones)
        assert "Deletion failed, trying again later" in caplog.text
        house.clean()
        assert house.exists(FOREIGN)  # not yet due again
        clock.forward(30)
        house.clean()
        assert not house.exists(FOREIGN)

    def test_one_that_cannot_succeed_holds_up_no_other(self, house: House, clock: Any) -> None:
        with house.database.transaction() as transaction:
            lost = Doomed(bucket="given-back", key="k", is_prefix=False, until=clock.now)
            bury(transaction, [lost], clock.now - timedelta(days=1))
        house.cleaner.forget_session(house.jane, house.foreign())
        house.clean()
        assert not house.exists(FOREIGN)
        clock.forward(59 * 60)
        assert house.cleaner.deletions.carry_out_due() == 1  # the session's folder, again
        clock.forward(60)
        assert house.cleaner.deletions.carry_out_due() == 1  # the lost one: never given up, once an hour

    def test_each_is_taken_by_one(self, house: House, database_url: str, clock: Any) -> None:
        with house.database.transaction() as transaction:
            bury(
                transaction,
                [Doomed(bucket=house.bucket, key=f"k{n}", is_prefix=False, until=clock.now) for n in range(24)],
                clock.now,
            )
        counts: list[int] = []

        def keep() -> None:
            database = Database(database_url)
            cleaner = Cleaner(database, house.store, clock=clock)
            while count := cleaner.deletions.carry_out_due(2):
                counts.append(count)
            database.close()

        threads = [threading.Thread(target=keep) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(counts) == 24
        assert house.tombstones() == 0


class TestExpiry:
    def test_an_upload_that_nobody_completed(self, house: House, clock: Any) -> None:
        session_id = house.uploaded()
        forgotten = house.uploads.begin(house.jane, session_id, bucket=house.bucket, size=9)
        house.put(forgotten.key)
        clock.forward(3599)
        assert house.cleaner.expire_uploads() == 0
        clock.forward(2)
        assert house.cleaner.expire_uploads() == 2
        assert house.count(Upload) == 0
        house.clean()
        assert not house.exists(forgotten.key)
        assert house.exists(house.queue.get_session(house.jane, session_id).s3_key or "")
        with pytest.raises(NotFound):
            house.uploads.complete(forgotten, 9)

    def test_idempotency_keys_that_are_free_again(self, house: House, clock: Any) -> None:
        session_id, order = house.uploaded(), Order(request=BOWLING, extras=JobExtras())
        for name in ("a", "b", "c"):
            house.queue.submit_order(house.jane, session_id, order, RequestKey(key=name, sha256="0" * 64))
            clock.forward(3600)
        clock.forward(22 * 3600 + 1)
        assert house.cleaner.expire_idempotency_keys(limit=1) == 1
        assert house.cleaner.expire_idempotency_keys() == 1
        assert house.cleaner.expire_idempotency_keys() == 0
        assert house.count(IdempotencyKey) == 1


class TestRetention:
    def test_files_go_and_findings_stay(self, house: House, clock: Any) -> None:
        session_id = house.uploaded()
        old = house.done(session_id)
        clock.forward(86_400)
        young = house.done(session_id)
        day = timedelta(days=1)
        assert house.cleaner.give_up_artifacts(day) == 0
        clock.forward(1)
        assert house.cleaner.give_up_artifacts(day) == 1
        assert house.cleaner.give_up_artifacts(day) == 0
        house.clean()
        job = house.queue.get(house.jane, old.id)
        assert (job.status, job.quick_results_s3_key, job.quick_findings) == (
            "done",
            None,
            document("quick")["findings"],
        )
        assert not house.exists(artifact_key(old.source_key, old.id, 1, "quick_results.json"))
        assert house.exists(artifact_key(young.source_key, young.id, 1, "quick_results.json"))
        assert house.exists(old.source_key)

    def test_what_a_job_leaves_that_is_tried_again_meanwhile_stays(self, house: House, clock: Any) -> None:
        failed = house.running(house.uploaded())
        folder = artifact_key(failed.source_key, failed.id, 1, "").removesuffix("/1")
        checkpoint = house.put(f"{folder}/checkpoints/q.npz")
        house.queue.fail(failed.lease, "no_person", "Nobody.", transient=False)
        clock.forward(10)
        assert house.cleaner.give_up_artifacts(timedelta(seconds=5)) == 1
        clock.forward(1)
        house.queue.retry(house.jane, failed.id)
        again = house.queue.claim("worker-1")
        assert again is not None
        key = house.artifact(again)
        house.queue.finish(again.lease, stage="quick", document=document("quick"), s3_key=key)
        house.clean()
        clock.forward(STRAGGLING.total_seconds())
        house.clean()
        assert not house.exists(artifact_key(failed.source_key, failed.id, 1, "quick_results.json"))
        assert not house.exists(checkpoint)
        assert house.exists(key)
        assert house.cleaner.give_up_artifacts(timedelta(seconds=5)) == 1  # it has ended once more

    def test_whole_jobs_go(self, house: House, clock: Any) -> None:
        session_id = house.uploaded()
        old = house.done(session_id)
        clock.forward(60)
        running = house.running(session_id)
        assert house.cleaner.give_up_jobs(timedelta(seconds=60)) == 0
        clock.forward(1)
        assert house.cleaner.give_up_jobs(timedelta(seconds=60)) == 1
        house.clean()
        with pytest.raises(NotFound):
            house.queue.get(house.jane, old.id)
        assert not house.exists(artifact_key(old.source_key, old.id, 1, "quick_results.json"))
        assert house.exists(old.source_key)
        assert house.queue.get(house.jane, running.id).status == "quick_running"
        assert house.queue.get_session(house.jane, session_id).status == "processing"

    def test_no_more_at_once_than_asked(self, house: House, clock: Any) -> None:
        session_id = house.uploaded()
        for _ in range(3):
            house.done(session_id)
        clock.forward(10)
        kept = timedelta(seconds=1)
        assert [house.cleaner.give_up_artifacts(kept, limit=2) for _ in range(2)] == [2, 1]
        assert [house.cleaner.give_up_jobs(kept, limit=2) for _ in range(2)] == [2, 1]


def test_no_look_costs_more_where_more_is_stored(postgres_url: str, folder_store: FolderStore, jane: Owner) -> None:
    """Ten thousand ended jobs, of which nothing is due: no table is read from its first row to its last."""
    database = Database(postgres_url)
    cleaner, queue = Cleaner(database, folder_store), JobQueue(database)
    session = queue.create_session(jane, title="N", session_type="bowling")
    job = queue.submit(jane, session.id, BOWLING)
    with database.transaction() as transaction:
        columns = [column.name for column in VideoAnalysisJob.__table__.columns]
        ended = {"id": "gen_random_uuid()::text", "status": "'done'", "completed_at": "now()", "s3_key": "'sessions/x'"}
        values = ", ".join(ended.get(name, name) for name in columns)
        insert = f"INSERT INTO video_analysis_jobs ({', '.join(columns)}) "
        copies = f"SELECT {values} FROM video_analysis_jobs, generate_series(1, 10000) WHERE id = :id"  # noqa: S608 - ours
        transaction.execute(text(insert + copies), {"id": job.id})
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE video_analysis_jobs")
    folder_store.put_bytes("local", FOREIGN, b"x")
    source = StoredObject(bucket="local", key=FOREIGN, size=1, content_type="video/mp4")
    lone = queue.create_session(jane, title="N", session_type="bowling", source=source)
    with explained(database.engine) as plans:
        assert cleaner.give_up_artifacts(timedelta(days=1)) == 0
        assert cleaner.give_up_jobs(timedelta(days=1)) == 0
        cleaner.deletions.carry_out(cleaner.forget_session(jane, lone.id))
    assert not folder_store.exists("local", FOREIGN)
    scans = set().union(*(plan.scans() for plan in plans))
    assert "Seq Scan video_analysis_jobs" not in scans, scans
    assert {"Index Scan ix_video_analysis_jobs_files", "Index Scan ix_video_analysis_jobs_ended"} <= scans
    assert max(plan.buffers for plan in plans) < 200
    database.close()
