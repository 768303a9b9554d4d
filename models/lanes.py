"""Whose turn it is: the queued jobs of one owner at one priority are a lane, and the lanes take turns.

A job is in its lane from its admission on. Submitters touch no lane, so they wait neither for each other nor for a
worker; workers admit what has become due, jobs that v0.1.0 inserted or put back among them. A lane that waits holds a
job, or held one until a moment ago; a job that is admitted has a lane that waits. The second must never fail, or the
job were lost, so whoever lets a lane rest locks it first and looks then, in a statement of its own: what was admitted
before is seen, and what is admitted after waits for the lock and rouses the lane again.

Locks are taken in one order everywhere: session, job, lanes by owner and urgency.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, case, func, literal, or_, select, text, true, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session as Transaction
from sqlalchemy.orm import aliased

from models.database import on_postgres
from models.jobs import Owner
from models.rows import lock
from models.tables import ADMITTED, NOT_ADMITTED, QueueLane, VideoAnalysisJob

BATCH = 1000
"""Jobs that are admitted, or lanes that are looked at, in one transaction."""
NEVER = datetime(1970, 1, 1, tzinfo=UTC)

_TURN = (QueueLane.urgency, QueueLane.served_at, QueueLane.waiting_since)
_KEY = (QueueLane.owner_type, QueueLane.owner_id, QueueLane.urgency)
_WAITING = text("waiting")  # the partial index's own word: SQLite proves nothing from `waiting = 1`
_PLAN = "; ".join(f"SET LOCAL enable_{name} = off" for name in ("seqscan", "bitmapscan", "sort", "incremental_sort"))


def walk_indexes(transaction: Transaction) -> None:
    """Until this transaction ends, read in the order of an index wherever there is one.

    Every statement here has its index and stops early. A queue changes faster than its statistics: a planner that
    believes a full queue to be empty would read and sort all of it instead.
    """
    if on_postgres(transaction):
        transaction.execute(text(_PLAN))


def admit(transaction: Transaction, now: datetime) -> int:
    """Put jobs that are due into their lanes. Returns how many: `BATCH` at most.

    The most urgent first, and of these the newest: whoever comes while an owner's hundred thousands are still being
    admitted does not queue behind all of them.
    """
    job = VideoAnalysisJob
    due = (
        select(job.id)
        .where(text(NOT_ADMITTED), job.available_at <= now)
        .order_by(job.priority.desc(), job.available_at.desc())
        .limit(BATCH)
        .with_for_update(key_share=True, skip_locked=True)
    )
    ids = transaction.scalars(due).all()
    if ids:
        admitted = update(job).where(job.id.in_(ids)).values(admitted_attempt=job.attempt)
        transaction.execute(admitted.execution_options(synchronize_session=False))
        _rouse(transaction, job.id.in_(ids))
    return len(ids)


def _rouse(transaction: Transaction, jobs: ColumnElement[bool]) -> None:
    """The lanes of these jobs wait for their turn, behind all that their owner was given meanwhile."""
    job, other = VideoAnalysisJob, aliased(QueueLane)
    served = (
        select(func.max(other.served_at))
        .where(other.owner_type == job.owner_type, other.owner_id == job.owner_id)
        .scalar_subquery()
    )
    key = (job.owner_type, job.owner_id, -job.priority)
    lanes = (
        select(*key, literal(True), func.min(job.created_at), func.coalesce(served, NEVER))
        .where(jobs)
        .group_by(*key)
        .order_by(*key)
    )
    dialect = postgresql if on_postgres(transaction) else sqlite
    insert = dialect.insert(QueueLane).from_select([*_names(_KEY), "waiting", "waiting_since", "served_at"], lanes)
    new = insert.excluded
    transaction.execute(
        insert.on_conflict_do_update(
            index_elements=_names(_KEY),
            set_={
                "waiting": True,
                "waiting_since": new.waiting_since,
                "served_at": case((new.served_at > QueueLane.served_at, new.served_at), else_=QueueLane.served_at),
            },
            where=or_(~QueueLane.waiting, new.waiting_since < QueueLane.waiting_since),
        )
    )


def next_job(transaction: Transaction) -> ScalarSelect[str]:
    """The id of the job whose turn it is, locked. Jobs that somebody else has locked are passed over.

    The lanes are walked in the order of their turn until one has a job to give: mostly the first.
    """
    job = aliased(VideoAnalysisJob)
    front = _in_lane(job, job.id)
    if on_postgres(transaction):
        given = front.with_for_update(key_share=True, skip_locked=True).lateral("front")
        found = select(given.c.id).select_from(QueueLane).join(given, true())
    else:  # SQLite knows no LATERAL; its writers are alone
        front_id = front.scalar_subquery()
        found = select(front_id).select_from(QueueLane).where(front_id.is_not(None))
    return found.where(_WAITING).order_by(*_TURN).limit(1).scalar_subquery()


def pass_turn(transaction: Transaction, owner: Owner, now: datetime) -> None:
    """The owner was served: all of its lanes step behind those of others, and rest where no job is left in them."""
    lanes = (QueueLane.owner_type == owner.owner_type, QueueLane.owner_id == owner.owner_id, _WAITING)
    transaction.execute(lock(select(QueueLane.urgency).where(*lanes).order_by(QueueLane.urgency)))
    oldest = _oldest()
    transaction.execute(
        update(QueueLane)
        .where(*lanes)
        .values(
            served_at=now,
            waiting=oldest.is_not(None),
            waiting_since=func.coalesce(oldest, QueueLane.waiting_since),
        )
        .execution_options(synchronize_session=False)
    )


def tidy(transaction: Transaction) -> int:
    """Let lanes rest whose jobs are gone: canceled, deleted, or claimed by v0.1.0. Returns how many.

    Looks at those that come next, which are the ones that claims walk past in vain.
    """
    ahead = select(*_KEY, _oldest().label("oldest")).where(_WAITING).order_by(*_TURN).limit(BATCH).subquery()
    columns = [ahead.c[name] for name in _names(_KEY)]
    empty = transaction.execute(select(*columns).where(ahead.c.oldest.is_(None))).all()
    if not empty:
        return 0
    chosen = select(*_KEY).where(tuple_(*_KEY).in_([tuple(key) for key in empty])).order_by(*_KEY)
    locked = transaction.execute(chosen.with_for_update(key_share=True, skip_locked=True)).all()
    rested = (
        update(QueueLane)
        .where(tuple_(*_KEY).in_([tuple(key) for key in locked]), _oldest().is_(None))
        .values(waiting=False)
        .returning(QueueLane.urgency)
    )
    return len(transaction.execute(rested.execution_options(synchronize_session=False)).all())


def readmit_strays(transaction: Transaction) -> int:
    """Have jobs admitted again whose lane does not wait for them: a hand in the database can do that. How many?

    Looks at `BATCH` jobs: all of them where the queue is all but empty, which is when a stray would be forgotten.
    """
    job = VideoAnalysisJob
    some = select(job.id, job.owner_type, job.owner_id, job.priority).where(text(ADMITTED)).limit(BATCH).subquery()
    lane = select(literal(1)).where(
        QueueLane.owner_type == some.c.owner_type,
        QueueLane.owner_id == some.c.owner_id,
        QueueLane.urgency == -some.c.priority,
        _WAITING,
    )
    strays = transaction.scalars(select(some.c.id).where(~lane.exists())).all()
    if not strays:
        return 0
    chosen = select(job.id).where(job.id.in_(strays), text(ADMITTED))
    locked = transaction.scalars(chosen.with_for_update(key_share=True, skip_locked=True)).all()
    readmitted = update(job).where(job.id.in_(locked)).values(admitted_attempt=None)
    transaction.execute(readmitted.execution_options(synchronize_session=False))
    return len(locked)


def _in_lane(job: Any, column: Any) -> Any:
    """`column` of the oldest job in the lane of the enclosing statement."""
    return (
        select(column)
        .where(
            job.owner_type == QueueLane.owner_type,
            job.owner_id == QueueLane.owner_id,
            job.priority == -QueueLane.urgency,
            text(ADMITTED),
        )
        .order_by(job.created_at, job.id)
        .limit(1)
        .correlate(QueueLane)
    )


def _oldest() -> ScalarSelect[datetime]:
    """When the oldest job in the lane of the enclosing statement was made; NULL where there is none."""
    job = aliased(VideoAnalysisJob)
    oldest: ScalarSelect[datetime] = _in_lane(job, job.created_at).scalar_subquery()
    return oldest


def _names(columns: Any) -> list[str]:
    return [column.key for column in columns]
