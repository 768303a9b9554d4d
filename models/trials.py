"""Finished jobs measured once more, by another version of the model: which, whose turn it is, and what came of it.

A trial is a row of its own beside its job and goes with it. Nothing here changes a job, its queue or its webhooks;
`models.replacing` does, when it is told to. A claim carries a lease token as a job's does: a process that died loses
its trial to the next one, and one that lost its lease keeps nothing.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal, cast

from sqlalchemy import Select, Table, and_, func, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session as Transaction

from models.catalogue_tables import ModelTrialRow
from models.database import Database, on_postgres, shared_now
from models.errors import LeaseLost
from models.jobs import Owner
from models.stored import athlete_of
from models.tables import VideoAnalysisJob, VideoSession

Why = Literal["shadow", "rerun"]
"""`shadow`: a sample of what finishes. `rerun`: history, perhaps to replace results."""

PAGE = 200
SILENT = "lease_expired"
CHANGED = "job_changed"
"""The job's results were replaced, or its files given up, while it was measured."""

RESULTS_KEY = func.coalesce(VideoAnalysisJob.deep_results_s3_key, VideoAnalysisJob.quick_results_s3_key)
"""Where the results of a job's last stage are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedTrial:
    """The right to measure a job once more."""

    job_id: str
    model: str
    token: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialOutcome:
    """What came of a trial."""

    base: str | None = None
    """`name@version` that had measured the job; None: unknown."""
    base_key: str | None = None
    """Where the results are with which it was compared; None: it was not."""
    results_key: str | None = None
    """None: there are none."""
    error_code: str | None = None
    """Why there are none."""
    comparison: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Either results or a reason; raises ValueError."""
        if (self.results_key is None) == (self.error_code is None):
            raise ValueError("a trial ends with results or with a code")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A trial that has ended."""

    job_id: str
    model: str
    athlete: str
    bucket: str
    """The job's."""
    source_key: str
    outcome: TrialOutcome
    replaced_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialCounts:
    """How many trials there are in each state."""

    waiting: int
    running: int
    done: int
    failed: Mapping[str, int]
    """By code."""
    replaced: int
    """Of those that are done."""


def in_sample(job_id: str, share: float) -> bool:
    """Whether a job belongs to a sample of this share, 0..1: always the same ones, and a larger one holds them too."""
    return int.from_bytes(hashlib.sha256(job_id.encode()).digest()[:8], "big") < share * 2**64


class Trials:
    """Every SQL statement about trials but the one that replaces. Safe to share between threads.

    Leases are measured with the database's clock; `clock` replaces it, for tests.
    """

    def __init__(
        self,
        database: Database,
        *,
        lease_s: float = 60.0,
        max_attempts: int = 3,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._database = database
        self._lease = timedelta(seconds=lease_s)
        self._max_attempts = max_attempts
        self._clock = clock

    def enlist(self, model: str, why: Why, job_ids: Iterable[str]) -> int:
        """These jobs are to be measured by `model`, unless that is what measured them, or their files were given up.

        Returns how many are new. For a `rerun` trials of before count too from now on; and one that was compared with
        results that are the job's no longer, or that failed without a comparison, begins again.
        """
        count, waiting = 0, iter(job_ids)
        while page := list(islice(waiting, PAGE)):
            with self._database.transaction() as transaction:
                count += self._enlist(transaction, model, why, page)
        return count

    def _enlist(self, transaction: Transaction, model: str, why: Why, job_ids: Sequence[str]) -> int:
        job, row = VideoAnalysisJob, ModelTrialRow
        by_another = or_(job.resolved_model.is_(None), job.resolved_model != model)
        kept = RESULTS_KEY.is_not(None)  # otherwise there is nothing to compare with
        done = select(job.id, RESULTS_KEY).where(job.id.in_(job_ids), job.status == "done", kept, by_another)
        # None of them is deleted meanwhile: the new rows refer to them.
        keys: dict[str, str] = dict(
            transaction.execute(done.order_by(job.id).with_for_update(read=True, key_share=True)).all()
        )
        known = select(row).where(row.model == model, row.job_id.in_(keys)).order_by(row.job_id).with_for_update()
        for found in transaction.scalars(known):
            key = keys.pop(found.job_id)
            if why == "rerun":
                found.why = why
                if found.state in {"done", "failed"} and found.base_key != key:
                    found.state, found.attempts, found.error_code = "waiting", 0, None
        if not keys:
            return 0
        now = shared_now(transaction, self._clock)
        insert = postgresql.insert if on_postgres(transaction) else sqlite.insert
        table = cast("Table", row.__table__)
        fresh = [
            {"job_id": job_id, "model": model, "why": why, "state": "waiting", "created_at": now, "attempts": 0}
            for job_id in keys
        ]
        made = insert(table).values(fresh).on_conflict_do_nothing().returning(table.c.job_id)
        return len(transaction.execute(made).all())

    def begun_at(self, model: str, why: Why) -> datetime | None:
        """When the first of these was enlisted; None where there is none."""
        row = ModelTrialRow
        first = select(row.created_at).where(row.model == model, row.why == why).order_by(row.created_at).limit(1)
        with self._database.transaction(read_only=True) as transaction:
            return transaction.scalar(first)

    def claim(self, model: str, why: Why) -> ClaimedTrial | None:
        """The next one, the oldest first; None where none waits and no lease has run out. No two get the same."""
        row, token = ModelTrialRow, str(uuid.uuid4())
        with self._database.transaction() as transaction:
            now = shared_now(transaction, self._clock)
            due = or_(row.state == "waiting", and_(row.state == "running", row.lease_expires_at < now))
            turn = select(row).where(row.model == model, row.why == why, due).order_by(row.created_at, row.job_id)
            while found := transaction.scalar(turn.limit(1).with_for_update(skip_locked=True)):
                if found.attempts < self._max_attempts:
                    found.state, found.attempts, found.started_at = "running", found.attempts + 1, now
                    found.lease_token, found.lease_expires_at = token, now + self._lease
                    return ClaimedTrial(job_id=found.job_id, model=model, token=token)
                self._end(found, TrialOutcome(error_code=found.error_code or SILENT), now)
                transaction.flush()
            return None

    def renew(self, claimed: ClaimedTrial) -> None:
        """A sign of life. Raises LeaseLost: somebody else has it, or the job is gone."""
        with self._database.transaction() as transaction:
            row = self._held(transaction, claimed)
            if row is None:
                raise LeaseLost
            row.lease_expires_at = shared_now(transaction, self._clock) + self._lease

    def hand_back(self, claimed: ClaimedTrial, error_code: str | None = None) -> None:
        """For another process, or another time; with a code it was the attempt's own fault, and counts."""
        with self._database.transaction() as transaction:
            row = self._held(transaction, claimed)
            if row is None:
                return
            row.state, row.lease_token, row.lease_expires_at, row.error_code = "waiting", None, None, error_code
            row.attempts -= error_code is None

    def finish(self, claimed: ClaimedTrial, outcome: TrialOutcome) -> bool:
        """Keep what came of it. False where nothing was kept: the lease is lost, or the job is no longer what it was.

        Then whatever was stored for it is nobody's.
        """
        job = VideoAnalysisJob
        with self._database.transaction() as transaction:
            row = self._held(transaction, claimed)
            if row is None:
                return False
            shown = select(RESULTS_KEY).where(job.id == claimed.job_id)  # none where its files were given up
            same = outcome.base_key is None or transaction.scalar(shown) == outcome.base_key
            self._end(row, outcome if same else TrialOutcome(error_code=CHANGED), shared_now(transaction, self._clock))
            return same

    def counts(self, model: str, why: Why) -> TrialCounts:
        """How many there are in each state."""
        row = ModelTrialRow
        said = (row.state, row.error_code, row.replaced_at.is_not(None))
        by_state = select(*said, func.count()).where(row.model == model, row.why == why).group_by(*said)
        with self._database.transaction(read_only=True) as transaction:
            found = transaction.execute(by_state.order_by(*said)).all()
        states = Counter[str]()
        for state, _, _, count in found:
            states[state] += count
        return TrialCounts(
            waiting=states["waiting"],
            running=states["running"],
            done=states["done"],
            failed={code or "": count for state, code, _, count in found if state == "failed"},
            replaced=sum(count for _, _, replaced, count in found if replaced),
        )

    def ended(self, model: str, *, why: Why | None = None, base: str | None = None) -> Iterator[Trial]:
        """Those that are over, in the order of their jobs' making; no transaction is open between two pages."""
        row, job = ModelTrialRow, VideoAnalysisJob
        wanted = [row.model == model, row.state.in_(["done", "failed"])]
        wanted += [row.why == why] if why else []
        wanted += [row.base == base] if base else []
        rows: Select[Any] = (
            select(
                row, job.owner_type, job.owner_id, job.s3_bucket, job.s3_key, job.created_at, VideoSession.player_ids
            )
            .join(job, job.id == row.job_id)
            .join(VideoSession, VideoSession.id == job.session_id)
            .where(*wanted)
            .order_by(job.created_at, job.id)
            .limit(PAGE)
        )
        page = rows
        while True:
            with self._database.transaction(read_only=True) as transaction:
                found = transaction.execute(page).all()
            yield from (_value(one[0], one) for one in found)
            if len(found) < PAGE:
                return
            page = rows.where(tuple_(job.created_at, job.id) > tuple_(found[-1].created_at, found[-1][0].job_id))

    def _held(self, transaction: Transaction, claimed: ClaimedTrial) -> ModelTrialRow | None:
        row = transaction.get(ModelTrialRow, (claimed.job_id, claimed.model), with_for_update=True)
        return row if row is not None and row.lease_token == claimed.token else None

    def _end(self, row: ModelTrialRow, outcome: TrialOutcome, now: datetime) -> None:
        row.state = "failed" if outcome.error_code else "done"
        row.base, row.base_key, row.results_key = outcome.base, outcome.base_key, outcome.results_key
        row.error_code = outcome.error_code
        row.comparison = None if outcome.comparison is None else dict(outcome.comparison)
        row.finished_at, row.replaced_at, row.lease_token, row.lease_expires_at = now, None, None, None


def _value(row: ModelTrialRow, job: Any) -> Trial:
    """`job` has the columns that `ended` reads beside the trial."""
    return Trial(
        job_id=row.job_id,
        model=row.model,
        athlete=athlete_of(Owner(owner_type=job.owner_type, owner_id=job.owner_id), job.player_ids),
        bucket=job.s3_bucket,
        source_key=job.s3_key,
        outcome=TrialOutcome(
            base=row.base,
            base_key=row.base_key,
            results_key=row.results_key,
            error_code=row.error_code,
            comparison=row.comparison,
        ),
        replaced_at=row.replaced_at,
    )
