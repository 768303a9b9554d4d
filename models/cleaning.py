"""Everything that forgets: sessions, jobs and uploads with all their objects, and what is kept no longer.

Rows go at once, and the same transaction writes down which objects must go (`models.deletions`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, delete, func, select, text, tuple_, update
from sqlalchemy.orm import Session as Transaction

from models.announce import JOBS_CHANNEL
from models.artifacts import TRIALS, ArtifactStore, artifact_folder
from models.database import Database, on_postgres
from models.deletions import Deletions, Doomed, Tombstone, bury
from models.errors import NotFound
from models.jobs import Owner
from models.rows import find, lock, owned
from models.sessions import settle_session, utc_now
from models.tables import HAS_FILES, IdempotencyKey, Upload, VideoAnalysisJob, VideoSession
from models.uploads import UPLOADS, session_folder
from models.uploads import Upload as UploadValue

STRAGGLING = timedelta(minutes=15)
"""No put of an artifact takes longer, however the store stalls: a few of them in turn, four tries of a minute each."""
LATE_PUT = timedelta(hours=1)
"""How long after a link's end a PUT that began before it may still arrive."""
CHECKPOINTS = "checkpoints"
"""In a job's folder, beside those of its attempts: what a later attempt may go on from."""


class _Source(NamedTuple):
    """Where a video is; the artifacts of its jobs are beside it."""

    bucket: str
    key: str


class Cleaner:
    """Forgets what it is told to, and what nobody keeps. Safe to share between threads.

    What `forget_…` returns is handed to `deletions.carry_out` by whoever wants it gone at once; housekeeping does the
    same a little later, and the rest as well.
    """

    def __init__(
        self,
        database: Database,
        store: ArtifactStore,
        *,
        lease_s: float = 60.0,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._own_bucket = store.bucket
        self.deletions = Deletions(database, store, clock=clock)
        self._straggling = max(timedelta(seconds=2 * lease_s), STRAGGLING)
        """How long a worker that lost its job may go on writing."""
        self._now = clock

    def forget_session(self, owner: Owner, session_id: str, *, keep_source: bool = False) -> tuple[Tombstone, ...]:
        """The session, its jobs, its uploads and all their objects go; running jobs stop. Raises NotFound.

        A source that was not uploaded here goes too, unless `keep_source`, or another session or job names it.
        """
        now = self._now()
        with self._database.transaction() as transaction:
            # From here on no job and no upload is added.
            session = find(transaction, lock(owned(VideoSession, owner)), VideoSession, session_id)
            tombstones = bury(transaction, self._session_objects(transaction, session, now, keep_source), now)
            jobs = VideoAnalysisJob.session_id == session.id
            _say_gone(transaction, jobs)
            # The jobs first: a beat that is just being written may want a look at its session, and must get it.
            transaction.execute(delete(VideoAnalysisJob).where(jobs))
            transaction.execute(delete(VideoSession).where(VideoSession.id == session.id))
        return tombstones

    def forget_job(self, owner: Owner, job_id: str) -> tuple[Tombstone, ...]:
        """The job and all its objects go, whatever its state; the source stays its session's. Raises NotFound."""
        row = VideoAnalysisJob
        mine = select(row.session_id).where(
            row.id == job_id, row.owner_type == owner.owner_type, row.owner_id == owner.owner_id
        )
        with self._database.transaction() as transaction:
            session_id = transaction.scalar(mine)
            # The session first, as everywhere; then the job, if nobody else deleted it meanwhile.
            transaction.execute(lock(select(VideoSession.id).where(VideoSession.id == session_id)))
            count, tombstones = self._delete_jobs(transaction, and_(row.id == job_id, row.session_id == session_id))
            if count == 0:
                raise NotFound
        return tombstones

    def forget_upload(self, upload: UploadValue) -> None:
        """What arrived of an upload goes, within seconds, unless its session took it."""
        now = self._now()
        with self._database.transaction() as transaction:
            status = transaction.scalar(lock(select(Upload.status).where(Upload.id == upload.id)))
            if status != "completed":
                transaction.execute(delete(Upload).where(Upload.id == upload.id))
                bury(transaction, [_arrived(upload.bucket, upload.key, upload.expires_at)], now)

    def expire_uploads(self, limit: int = 100) -> int:
        """Forget uploads whose time is up: nobody completed them, or nobody will ask about them. Returns how many."""
        now = self._now()
        due = (
            select(Upload.id, Upload.status, Upload.s3_bucket, Upload.s3_key, Upload.expires_at)
            .where(Upload.expires_at < now)
            .order_by(Upload.expires_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._database.transaction() as transaction:
            expired = transaction.execute(due).all()
            doomed = [
                _arrived(row.s3_bucket, row.s3_key, row.expires_at)
                for row in expired
                if row.status == "initiated"  # a completed one's object is the session's
            ]
            bury(transaction, doomed, now)
            transaction.execute(delete(Upload).where(Upload.id.in_([row.id for row in expired])))
            return len(expired)

    def expire_idempotency_keys(self, limit: int = 1000) -> int:
        """Forget keys that are free again. Returns how many."""
        row = IdempotencyKey
        key = tuple_(row.owner_type, row.owner_id, row.key)
        due = (
            select(row.owner_type, row.owner_id, row.key)
            .where(row.expires_at < self._now())
            .order_by(row.expires_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._database.transaction() as transaction:
            return len(transaction.execute(delete(row).where(key.in_(due)).returning(row.key)).all())

    def give_up_artifacts(self, kept: timedelta, limit: int = 100) -> int:
        """Jobs that ended longer ago than `kept` lose their files; findings and reports stay. Returns how many."""
        now, row = self._now(), VideoAnalysisJob
        ended = (
            select(row.id, row.s3_bucket, row.s3_key, row.attempt)
            .where(text(HAS_FILES), row.completed_at < now - kept)
            .order_by(row.completed_at)
            .limit(limit)
            .with_for_update(skip_locked=True, key_share=True)
        )
        with self._database.transaction() as transaction:
            jobs = transaction.execute(ended).all()
            doomed = [
                # Attempt by attempt: the owner may have it tried again meanwhile, and what comes of that is not ours.
                Doomed(bucket=bucket, key=f"{folder}/{name}", is_prefix=True, until=now + self._straggling)
                for job_id, bucket, key, attempt in jobs
                if bucket and key and (folder := artifact_folder(key, job_id))
                for name in (CHECKPOINTS, TRIALS, *range(1, attempt + 1))
            ]
            bury(transaction, doomed, now)
            transaction.execute(
                update(row)
                .where(row.id.in_([job.id for job in jobs]))
                .values(quick_results_s3_key=None, deep_results_s3_key=None, artifacts_removed_at=now, updated_at=now)
            )
            return len(jobs)

    def give_up_jobs(self, kept: timedelta, limit: int = 100) -> int:
        """Jobs that ended longer ago than `kept` go, with their files. Returns how many."""
        row = VideoAnalysisJob
        old = and_(row.completed_at.is_not(None), row.completed_at < self._now() - kept)
        with self._database.transaction() as transaction:
            found = transaction.execute(
                select(row.id, row.session_id).where(old).order_by(row.completed_at).limit(limit)
            ).all()
            sessions = select(VideoSession.id).where(VideoSession.id.in_({job.session_id for job in found}))
            locked = transaction.scalars(
                sessions.order_by(VideoSession.id).with_for_update(key_share=True, skip_locked=True)
            ).all()
            jobs = [job.id for job in found if job.session_id in locked]
            return self._delete_jobs(transaction, and_(row.id.in_(jobs), old))[0]

    def _delete_jobs(self, transaction: Transaction, which: ColumnElement[bool]) -> tuple[int, tuple[Tombstone, ...]]:
        """Delete jobs, whose sessions the caller has locked, and all their objects. Returns how many there were."""
        now, row = self._now(), VideoAnalysisJob
        _say_gone(transaction, which)
        gone = transaction.execute(
            delete(row).where(which).returning(row.id, row.session_id, row.s3_bucket, row.s3_key)
        ).all()
        doomed = [
            self._job_folder(_Source(bucket, key), job_id, now) for job_id, _, bucket, key in gone if bucket and key
        ]
        tombstones = bury(transaction, doomed, now)
        for session_id in sorted({job.session_id for job in gone}):
            settle_session(transaction, session_id, now)
        return len(gone), tombstones

    def _session_objects(
        self, transaction: Transaction, session: VideoSession, now: datetime, keep_source: bool
    ) -> Iterator[Doomed]:
        """Everything that goes with a session."""
        job, folder = VideoAnalysisJob, session_folder(session.id)
        jobs = {
            row.id: _Source(row.s3_bucket, row.s3_key)
            for row in transaction.execute(
                select(job.id, job.s3_bucket, job.s3_key).where(job.session_id == session.id, job.s3_key.is_not(None))
            )
        }
        uploads = transaction.execute(
            select(Upload.s3_bucket, Upload.expires_at).where(Upload.session_id == session.id)
        ).all()
        sources = set(jobs.values())
        if session.s3_bucket and session.s3_key:
            sources.add(_Source(session.s3_bucket, session.s3_key))
        uploaded = {source for source in sources if source.key.startswith(f"{folder}/")}

        links_end = max((expires_at + LATE_PUT for _, expires_at in uploads), default=now)
        until = max(now + self._straggling, links_end)
        for bucket in {self._own_bucket, *(bucket for bucket, _ in uploads), *(source.bucket for source in uploaded)}:
            yield Doomed(bucket=bucket, key=folder, is_prefix=True, until=until)
        for job_id, source in jobs.items():
            if source not in uploaded:
                yield self._job_folder(source, job_id, now)
        if not keep_source:
            yield from _foreign(sources, now)

    def _job_folder(self, source: _Source, job_id: str, now: datetime) -> Doomed:
        folder = artifact_folder(source.key, job_id)
        return Doomed(bucket=source.bucket, key=folder, is_prefix=True, until=now + self._straggling)


def _arrived(bucket: str, key: str, links_end: datetime) -> Doomed:
    return Doomed(bucket=bucket, key=key, is_prefix=False, until=links_end + LATE_PUT)


def _foreign(sources: Collection[_Source], now: datetime) -> Iterator[Doomed]:
    """Sources that were not uploaded here. Nobody of ours writes there, so once is enough."""
    for bucket, key in sources:
        if not key.startswith(f"{UPLOADS}/"):
            yield Doomed(bucket=bucket, key=key, is_prefix=False, until=now)


def _say_gone(transaction: Transaction, which: ColumnElement[bool]) -> None:
    """Whoever waits for one of these jobs looks again, and finds nothing."""
    if on_postgres(transaction):
        transaction.execute(select(func.pg_notify(JOBS_CHANNEL, VideoAnalysisJob.id)).where(which))
