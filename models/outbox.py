"""The outbox: every SQL statement about a webhook's way to its receiver."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

from sqlalchemy import and_, not_, or_, select, tuple_

from models.database import Database
from models.events import GIVES_UP, chosen, event_id, record
from models.jobs import TERMINAL, Owner, OwnerType, Page
from models.rows import WITHOUT_DOCUMENTS, find, lock, owned, read_page
from models.sessions import utc_now
from models.tables import VideoAnalysisJob, WebhookDelivery

DeliveryStatus = Literal["pending", "delivered", "dead"]

FIRST_WAIT_S = 10.0
LONGEST_WAIT_S = 3600.0
"""Between two tries: at least half of 10 s × 2ⁿ, and never more than an hour."""
HELD_S = 60.0
"""How long a delivery is its sender's. Longer than any try: then it is somebody else's, for its sender has died."""
KEPT_TRIES = 100
"""Of the log of a delivery, the latest."""
SETTLED = timedelta(minutes=5)
"""Jobs that ended less long ago are left to whoever ended them: the transaction may still be open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Try:
    """How sending a webhook once went."""

    at: datetime
    status_code: int | None
    """What the receiver answered; None where nothing was."""
    error: str | None
    """Why nothing was answered, in one word."""
    duration_ms: int

    def __post_init__(self) -> None:
        if (self.status_code is None) is (self.error is None):
            raise ValueError("a try ends with an answer or with an error")

    @property
    def taken(self) -> bool:
        """Whether the receiver has it now: any 2xx. A redirect is none."""
        return self.status_code is not None and 200 <= self.status_code < 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One event on its way to one receiver."""

    id: str
    owner: Owner
    job_id: str
    event: str
    url: str
    body: str
    """What is sent, byte for byte the same at every try."""
    status: DeliveryStatus
    attempts: tuple[Mapping[str, Any], ...]
    """The tries: `at`, `status_code`, `error`, `duration_ms`; the latest 100."""
    next_attempt_at: datetime
    gives_up_at: datetime
    created_at: datetime
    delivered_at: datetime | None


class Outbox:
    """Deliveries, for those who send them and for those whom they belong to. Somebody else's is NotFound."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime] = utc_now,
        uniform: Callable[[float, float], float] = random.uniform,
        held_s: float = HELD_S,
    ) -> None:
        self._database = database
        self._now = clock
        self._uniform = uniform
        self._held = timedelta(seconds=held_s)
        self._reconciled = (clock() - GIVES_UP, "")

    def claim_due(self, limit: int, *, busy: Collection[Owner] = ()) -> Sequence[Delivery]:
        """Deliveries whose time has come, the longest due first, for this sender alone: at most `limit`.

        Those of `busy` owners are left. What is not settled comes back after a minute, so a sender may die.
        """
        now = self._now()
        row = WebhookDelivery
        due = (
            select(row)
            .where(row.status == "pending", row.next_attempt_at <= now)
            .order_by(row.next_attempt_at)
            .limit(limit)
            .with_for_update(skip_locked=True, key_share=True)
        )
        if busy:
            passed = [and_(row.owner_type == owner.owner_type, row.owner_id == owner.owner_id) for owner in busy]
            due = due.where(not_(or_(*passed)))
        with self._database.transaction() as transaction:
            rows = transaction.scalars(due).all()
            for found in rows:
                found.next_attempt_at = now + self._held
            return [_value(found) for found in rows]

    def settle(self, delivery_id: str, made: Try) -> DeliveryStatus | None:
        """Write down how a try went: delivered, again later, or dead after 24 hours. None where it is gone meanwhile.

        What has arrived has arrived: the late failure of another sender changes nothing but the log.
        """
        with self._database.transaction() as transaction:
            row = transaction.scalar(lock(select(WebhookDelivery).where(WebhookDelivery.id == delivery_id)))
            if row is None:
                return None
            row.attempts = [*row.attempts, _entry(made)][-KEPT_TRIES:]
            if made.taken:
                row.status, row.delivered_at = "delivered", self._now()
            elif row.status == "pending":
                self._put_off(row)
            return cast("DeliveryStatus", row.status)

    def list(
        self,
        owner: Owner,
        *,
        job_id: str | None = None,
        status: DeliveryStatus | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Delivery]:
        """The owner's deliveries, the newest first. Raises InvalidCursor, and NotFound for a job of somebody else."""
        with self._database.transaction(read_only=True) as transaction:
            rows = owned(WebhookDelivery, owner)
            if job_id is not None:
                jobs = owned(VideoAnalysisJob, owner).options(*WITHOUT_DOCUMENTS)
                rows = rows.where(WebhookDelivery.job_id == find(transaction, jobs, VideoAnalysisJob, job_id).id)
            if status is not None:
                rows = rows.where(WebhookDelivery.status == status)
            found, following = read_page(transaction, rows, WebhookDelivery, limit, cursor)
            return Page(items=tuple(_value(row) for row in found), next_cursor=following)

    def get(self, owner: Owner, delivery_id: str) -> Delivery:
        """One delivery. Raises NotFound."""
        with self._database.transaction(read_only=True) as transaction:
            return _value(find(transaction, owned(WebhookDelivery, owner), WebhookDelivery, delivery_id))

    def redeliver(self, owner: Owner, delivery_id: str) -> Delivery:
        """Send it (again) now, and for 24 hours from now if need be; the log stays. Raises NotFound."""
        now = self._now()
        with self._database.transaction() as transaction:
            row = find(transaction, lock(owned(WebhookDelivery, owner)), WebhookDelivery, delivery_id)
            row.status = "pending"
            row.next_attempt_at, row.gives_up_at = now, now + GIVES_UP
            return _value(row)

    def reconcile(self, limit: int = 500) -> int:
        """Record what nobody announced: the ends of jobs of the last 24 hours that v0.1.0 code ended.

        Each call looks at the next `limit` ended jobs, so each job is looked at once by each process. Returns how many
        events were missing. For one thread at a time.
        """
        now = self._now()
        with self._database.transaction(read_only=True) as transaction:
            job, (since, last_id) = VideoAnalysisJob, self._reconciled
            ended = transaction.execute(
                select(job.id, job.completed_at, job.status, job.attempt, job.webhook_url, job.webhook_events)
                .where(
                    job.completed_at >= since,
                    job.completed_at <= now - SETTLED,
                    tuple_(job.completed_at, job.id) > (since, last_id),
                )
                .order_by(job.completed_at, job.id)
                .limit(limit)
            ).all()
            expected = {
                event_id(row.id, event, row.attempt, row.completed_at): row.id
                for row in ended
                if row.status in TERMINAL and (event := chosen(row.status, row.webhook_url, row.webhook_events))
            }
            known = select(WebhookDelivery.id).where(WebhookDelivery.id.in_(expected))
            recorded = set(transaction.scalars(known)) if expected else set()
        missing = [job_id for delivery_id, job_id in expected.items() if delivery_id not in recorded]
        count = sum(self._record(job_id, now) for job_id in missing)
        if ended:
            self._reconciled = (ended[-1].completed_at, ended[-1].id)
        return count

    def _record(self, job_id: str, now: datetime) -> bool:
        with self._database.transaction() as transaction:
            row = transaction.scalar(
                lock(select(VideoAnalysisJob).where(VideoAnalysisJob.id == job_id).options(*WITHOUT_DOCUMENTS))
            )
            return row is not None and record(transaction, row, at=now)

    def _put_off(self, row: WebhookDelivery) -> None:
        now = self._now()
        if now >= row.gives_up_at:
            row.status = "dead"
            return
        begun = row.gives_up_at - GIVES_UP
        tries = sum(datetime.fromisoformat(made["at"]) >= begun for made in row.attempts)
        longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(tries - 1, 16))
        wait = timedelta(seconds=self._uniform(longest / 2, longest))
        # The last try is made when the time is up, not an hour before.
        row.next_attempt_at = min(now + wait, row.gives_up_at)


def _entry(made: Try) -> dict[str, Any]:
    return {
        "at": made.at.astimezone(UTC).isoformat(),
        "status_code": made.status_code,
        "error": made.error,
        "duration_ms": made.duration_ms,
    }


def _value(row: WebhookDelivery) -> Delivery:
    return Delivery(
        id=row.id,
        owner=Owner(owner_type=cast("OwnerType", row.owner_type), owner_id=row.owner_id),
        job_id=row.job_id,
        event=row.event,
        url=row.url,
        body=row.body,
        status=cast("DeliveryStatus", row.status),
        attempts=tuple(row.attempts),
        next_attempt_at=row.next_attempt_at,
        gives_up_at=row.gives_up_at,
        created_at=row.created_at,
        delivered_at=row.delivered_at,
    )
