"""Whose turn it is: the queued jobs of one owner at one priority are a lane, and the lanes take turns.

A job is in its lane from its admission on. Submitters touch no lane, so they wait neither for each other nor for a
worker; workers admit what has become due, jobs that v0.1.0 inserted or put back among them. A lane that waits holds a
job, or held one until a moment ago; a job that is admitted has a lane that waits. The second must never fail, or the
job were lost, so whoever lets a lane rest locks it first and looks then, in a statement of its own: what was admitted
before is seen, and what is admitted after waits for the lock and rouses the lane again.

Locks are taken in one order everywhere: session, job, lanes by owner and urgency.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from sqlalchemy import (
    Column,
    ColumnElement,
    ScalarSelect,
    Select,
    Table,
    case,
    func,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session as Transaction

from models.database import on_postgres
from models.jobs import Owner
from models.rows import NO_SYNC, lock
from models.tables import ADMITTED, NOT_ADMITTED, QueueLane, VideoAnalysisJob

T = TypeVar("T")

BATCH = 1000
"""Jobs that are admitted, or lanes that are looked at, in one transaction."""
NEVER = datetime(1970, 1, 1, tzinfo=UTC)

_PLAN = "; ".join(f"SET LOCAL enable_{name} = off" for name in ("seqscan", "bitmapscan", "sort", "incremental_sort"))
_WAITING = text("waiting")  # the partial index's own word: SQLite proves nothing from `waiting = 1`
_KEY = (QueueLane.owner_type, QueueLane.owner_id, QueueLane.urgency)
_TURN = (QueueLane.urgency, QueueLane.served_at, QueueLane.waiting_since)
# Aliases, and what is made of them, are made once: that takes longer than PostgreSQL takes for a claim.
_JOB = cast("Table", VideoAnalysisJob.__table__).alias("job")
_OTHER = cast("Table", QueueLane.__table__).alias("other")


def _in_lane(column: Column[T], without: Collection[str] = ()) -> Select[T]:
    """`column` of the oldest job in the lane of the enclosing statement that asks for none of these models."""
    oldest = (
        select(column)
        .where(
            _JOB.c.owner_type == QueueLane.owner_type,
            _JOB.c.owner_id == QueueLane.owner_id,
            # Equality said as a range: so the order below is one that no index has but the lanes' own, and no planner
            # walks through all that the owner ever had.
            _JOB.c.priority.between(-QueueLane.urgency, -QueueLane.urgency),
            text(ADMITTED),
        )
        .order_by(_JOB.c.priority, _JOB.c.created_at, _JOB.c.id)
        .limit(1)
        .correlate(QueueLane)
    )
    return oldest.where(or_(_JOB.c.model_name.is_(None), _JOB.c.model_name.not_in(without))) if without else oldest


_OLDEST: ScalarSelect[datetime] = _in_lane(_JOB.c.created_at).scalar_subquery()
"""When the oldest job in the lane of the enclosing statement was made; NULL where there is none."""


def _next_job(found: Select[str]) -> ScalarSelect[str]:
    """The first that is found, going through the lanes in the order of their turn."""
    return found.order_by(*_TURN).limit(1).scalar_subquery()


def _found_on_postgres(without: Collection[str] = ()) -> Select[str]:
    free = _in_lane(_JOB.c.id, without).with_for_update(key_share=True, skip_locked=True).lateral("free")
    return select(free.c.id).select_from(QueueLane).join(free, true()).where(_WAITING)


def _found_on_sqlite(without: Collection[str] = ()) -> Select[str]:
    # SQLite knows no LATERAL; its writers are alone.
    first = _in_lane(_JOB.c.id, without).scalar_subquery()
    return select(first).select_from(QueueLane).where(first.is_not(None), _WAITING)


_FOUND_ON_POSTGRES, _FOUND_ON_SQLITE = _found_on_postgres(), _found_on_sqlite()
_NEXT_ON_POSTGRES, _NEXT_ON_SQLITE = _next_job(_FOUND_ON_POSTGRES), _next_job(_FOUND_ON_SQLITE)


def walk_indexes(transaction: Transaction) -> None:
    """Until this transaction ends, read in the order of an index wherever there is one.

    Every statement here has its index and stops early. A queue changes faster than its statistics: a planner that
    believes a full queue to be empty would read and sort all of it instead.
    """
    if on_postgres(transaction):
        transaction.execute(text(_PLAN))


def admit(transaction: Transaction, now: datetime, above: int | None = None) -> int:
    """Put jobs that are due, and of a priority above that one, into their lanes. Returns how many: `BATCH` at most.

    The most urgent first, and of these the newest: whoever comes while an owner's hundred thousands are still being
    admitted does not queue behind all of them.
    """
    job = VideoAnalysisJob
    due = select(job.id).where(text(NOT_ADMITTED), job.available_at <= now)
    if above is not None:
        due = due.where(job.priority > above)
    chosen = due.order_by(job.priority.desc(), job.available_at.desc()).limit(BATCH)
    ids = transaction.scalars(chosen.with_for_update(key_share=True, skip_locked=True)).all()
    if ids:
        admitted = update(job).where(job.id.in_(ids)).values(admitted_attempt=job.attempt)
        transaction.execute(admitted, execution_options=NO_SYNC)
        _rouse(transaction, job.id.in_(ids))
    return len(ids)


def _rouse(transaction: Transaction, jobs: ColumnElement[bool]) -> None:
    """The lanes of these jobs wait for their turn, behind all that their owner was given meanwhile."""
    job = VideoAnalysisJob
    served = (
        select(func.max(_OTHER.c.served_at))
        .where(_OTHER.c.owner_type == job.owner_type, _OTHER.c.owner_id == job.owner_id)
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
    columns = (*_KEY, QueueLane.waiting, QueueLane.waiting_since, QueueLane.served_at)
    insert = dialect.insert(QueueLane).from_select(_names(columns), lanes)
    new = insert.excluded
    transaction.execute(
        insert.on_conflict_do_update(
            index_elements=_names(_KEY),
            set_={
                "waiting": True,
                "waiting_since": new.waiting_since,
                "served_at": case((new.served_at > QueueLane.served_at, new.served_at), else_=QueueLane.served_at),
            },
            # A lane that waits already is only locked: then whoever would let it rest sees these jobs.
            where=or_(~QueueLane.waiting, new.waiting_since < QueueLane.waiting_since),
        )
    )


def next_job(transaction: Transaction, above: int | None = None, without: Collection[str] = ()) -> ScalarSelect[str]:
    """The id of the job whose turn it is, locked; with `above`, of those of a higher priority than that.

    Jobs that somebody else has locked are passed over, and those that ask for a model `without` which it is to be: all
    of these that come first are read then. The lanes are walked in the order of their turn until one has a job to
    give: mostly the first.
    """
    postgres = on_postgres(transaction)
    if above is None and not without:
        return _NEXT_ON_POSTGRES if postgres else _NEXT_ON_SQLITE
    if without:
        found = _found_on_postgres(without) if postgres else _found_on_sqlite(without)
    else:
        found = _FOUND_ON_POSTGRES if postgres else _FOUND_ON_SQLITE
    return _next_job(found if above is None else found.where(QueueLane.urgency < -above))


def pass_turn(transaction: Transaction, owner: Owner, now: datetime) -> None:
    """The owner was served: all of its lanes step behind those of others, and rest where no job is left in them."""
    its = (QueueLane.owner_type == owner.owner_type, QueueLane.owner_id == owner.owner_id)
    # Those that rest too: one that is roused after this would else be passed as well, and locked out of order.
    locked = transaction.scalars(lock(select(QueueLane.urgency).where(*its).order_by(QueueLane.urgency))).all()
    passed = update(QueueLane).where(*its, QueueLane.urgency.in_(locked), _WAITING)
    transaction.execute(
        passed.values(
            served_at=now,
            waiting=_OLDEST.is_not(None),
            waiting_since=func.coalesce(_OLDEST, QueueLane.waiting_since),
        ),
        execution_options=NO_SYNC,
    )


def tidy(transaction: Transaction) -> int:
    """Let lanes rest whose jobs are gone: canceled, deleted, or claimed by v0.1.0. Returns how many.

    Looks at the `BATCH` that come next: these are the ones that claims walk past in vain.
    """
    ahead = select(*_KEY, _OLDEST.label("oldest")).where(_WAITING).order_by(*_TURN).limit(BATCH).subquery()
    empty = transaction.execute(select(*(ahead.c[name] for name in _names(_KEY))).where(ahead.c.oldest.is_(None))).all()
    if not empty:
        return 0
    chosen = select(*_KEY).where(tuple_(*_KEY).in_([tuple(key) for key in empty])).order_by(*_KEY)
    locked = transaction.execute(chosen.with_for_update(key_share=True, skip_locked=True)).all()
    rested = update(QueueLane).where(tuple_(*_KEY).in_([tuple(key) for key in locked]), _OLDEST.is_(None))
    rested_keys = rested.values(waiting=False).returning(QueueLane.urgency)
    return len(transaction.execute(rested_keys, execution_options=NO_SYNC).all())


def readmit_strays(transaction: Transaction) -> int:
    """Have jobs admitted again whose lane does not wait for them, as a hand in the database may leave them.

    Looks at `BATCH` jobs: all of them where the queue is all but empty, which is when a stray would be forgotten.
    Returns how many it found.
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
    transaction.execute(readmitted, execution_options=NO_SYNC)
    return len(locked)


def _names(columns: Iterable[Any]) -> list[str]:
    return [column.key for column in columns]
