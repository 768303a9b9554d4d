"""How many jobs are before one in the queue, and when it may be done: roughly, and cheaply whatever the backlog.

No statement looks at more than some thousand entries of an index, and what it says is kept for a few seconds. Of other
owners' jobs nothing is told but how long the queue is and how fast it moves.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar

from sqlalchemy import Boolean, ColumnElement, ScalarSelect, bindparam, exists, func, literal_column, select
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.orm import Session as Transaction

from models.database import Database
from models.jobs import RUNNING, Job
from models.lanes import walk_indexes
from models.sessions import utc_now
from models.tables import ADMITTED, QueueLane, VideoAnalysisJob

QueuePosition = int | Literal["1000+"]

MAX_POSITION = 1000
_ENOUGH = 5
"""Jobs that must have been done lately before their duration says anything (or gives nothing of one of them away)."""
_LATELY = 200
"""Jobs that ended last, among which the done ones are timed."""
_KEPT_S = 5.0
_KEPT_ANSWERS = 20_000

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What a job's owner may expect; None is unknown, or nothing to wait for."""

    queue_position: QueuePosition | None = None
    """1 is next."""
    eta_s: int | None = None
    """Seconds until the job is done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast jobs are done at the moment."""

    median_s: float | None
    """Seconds of a job from its first start to its end; None where too few were done lately."""
    running: int


class Forecaster:
    """Says what to expect of a job. Safe to share between threads."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._now = clock
        self._positions = _Kept[int](monotonic)
        self._pace = _Kept[Pace](monotonic)

    def outlook(self, job: Job) -> Outlook:
        """Where a job stands and when it may be done."""
        if job.status == "queued":
            ahead = self._positions.get(job.id, lambda: self._read(lambda transaction: _ahead(transaction, job)))
            position: QueuePosition = ahead + 1 if ahead < MAX_POSITION else "1000+"
            return Outlook(queue_position=position, eta_s=self._eta_s(job, ahead))
        return Outlook(eta_s=self._eta_s(job, None) if job.status in RUNNING else None)

    def _eta_s(self, job: Job, ahead: int | None) -> int | None:
        pace = self._pace.get("pace", lambda: self._read(_pace))
        return eta_s(job, ahead, pace, self._now())

    def _read(self, question: Callable[[Transaction], T]) -> T:
        with self._database.transaction(read_only=True) as transaction:
            walk_indexes(transaction)
            return question(transaction)


def eta_s(job: Job, ahead: int | None, pace: Pace, now: datetime) -> int | None:
    """Seconds until a job is done, `ahead` others being before it in the queue; None where nobody can say."""
    if pace.median_s is None:
        return None
    if ahead is None:
        return round(pace.median_s * (100 - job.progress_pct) / 100)
    if pace.running == 0 or ahead >= MAX_POSITION:
        return None  # nobody works, or the queue is longer than was counted
    waiting = max(pace.median_s * (ahead + 1) / pace.running, (job.available_at - now).total_seconds())
    return round(waiting + pace.median_s)


def _ahead(transaction: Transaction, job: Job) -> int:
    """How many jobs are likely to be claimed before this one: at most MAX_POSITION are counted.

    Owners take turns: before an owner's (r + 1)th job nobody else of the same priority gets more than r + 1 turns. A
    job that no worker has put into its lane yet is counted by age alone.
    """
    asked = {
        "job_id": job.id,
        "owner_type": job.owner_type,
        "owner_id": job.owner_id,
        "priority": job.priority,
        "urgency": -job.priority,
        "created_at": job.created_at,
    }
    urgent, older, own, lanes, is_admitted = transaction.execute(_AHEAD, asked).one()
    by_turns = own + max(lanes - 1, 0) * (own + 1)
    return min(urgent + (min(older, by_turns) if is_admitted else older), MAX_POSITION)


def _count(column: InstrumentedAttribute[int], *which: ColumnElement[bool]) -> ScalarSelect[int]:
    """How many rows there are, counted to MAX_POSITION; `column` is one that the index holds."""
    some = select(column).where(*which).limit(MAX_POSITION).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


_row = VideoAnalysisJob
_in_lane = literal_column(f"({ADMITTED})", Boolean)
_older = (_row.priority == bindparam("priority"), _row.created_at < bindparam("created_at"))
_own = (_row.owner_type == bindparam("owner_type"), _row.owner_id == bindparam("owner_id"))
_AHEAD = select(
    _count(_row.priority, _row.status == "queued", _row.priority > bindparam("priority")),
    _count(_row.priority, _row.status == "queued", *_older),
    _count(_row.priority, _in_lane, *_own, *_older),
    _count(QueueLane.urgency, literal_column("waiting", Boolean), QueueLane.urgency == bindparam("urgency")),
    exists().where(_row.id == bindparam("job_id"), _in_lane),
)


def _pace(transaction: Transaction) -> Pace:
    ended = select(_row.status, _row.started_at, _row.completed_at).where(_row.completed_at.is_not(None))
    lately = transaction.execute(ended.order_by(_row.completed_at.desc()).limit(_LATELY)).all()
    seconds = [
        (completed_at - started_at).total_seconds()
        for status, started_at, completed_at in lately
        if status == "done" and started_at is not None and completed_at is not None
    ]
    running = transaction.scalar(select(_count(_row.priority, _row.status.in_(RUNNING)))) or 0
    return Pace(median_s=statistics.median(seconds) if len(seconds) >= _ENOUGH else None, running=running)


class _Kept(Generic[T]):
    """Answers that stay good for a few seconds, the newest of them only."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._answers: dict[str, tuple[float, T]] = {}

    def get(self, key: str, ask: Callable[[], T]) -> T:
        """The answer that is kept, or a new one."""
        now = self._monotonic()
        with self._lock:
            kept = self._answers.get(key)
        if kept is not None and now < kept[0] + _KEPT_S:
            return kept[1]
        answer = ask()
        with self._lock:
            self._answers.pop(key, None)  # the newest come last
            self._answers[key] = (now, answer)
            if len(self._answers) > _KEPT_ANSWERS:
                del self._answers[next(iter(self._answers))]
        return answer
