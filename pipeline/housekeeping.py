"""What a worker does beside its jobs: webhooks go out, what was deleted goes for good, what expired is forgotten.

Every worker does it, and what one has claimed the others leave alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from models.canary_judge import CanaryJudge
from models.cleaning import Cleaner
from models.errors import StoreError
from models.outbox import Outbox
from models.secrets import OwnerSecrets
from models.storage import Storage
from models.webhook_urls import WebhookPolicy
from pipeline.metrics import WorkerMetrics
from pipeline.webhooks import Courier

logger = logging.getLogger(__name__)

HALF_WRITTEN_S = 3600.0
"""A writer that was silent for this long is dead: an upload is given up much sooner."""
CLOSE_S = 3.0
"""How long a stop waits for what is under way; whatever is not finished then comes back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HousekeepingOptions:
    """How a worker keeps house."""

    pause_s: float = 2.0
    """Between two looks at what is urgent: webhooks and deletions."""
    rare_s: float = 60.0
    """Between two looks at the rest."""
    retry_s: float = 10.0
    """After a failure, at least."""
    canary_s: float = 30.0
    """Between two looks at what became of a canary; of several workers, one looks in half as long."""
    lease_s: float = 60.0
    keep_artifacts: timedelta | None = None
    """How long after a job's end its files are kept; None: for ever."""
    keep_jobs: timedelta | None = None
    """How long after a job's end its row is kept."""
    webhook_policy: WebhookPolicy = field(default_factory=WebhookPolicy)

    def __post_init__(self) -> None:
        if min(self.pause_s, self.rare_s, self.retry_s, self.canary_s, self.lease_s) <= 0:
            raise ValueError(f"pauses must be positive: {self}")


@dataclass(kw_only=True, slots=True)
class _Chore:
    """Something to do now and then."""

    name: str
    run: Callable[[], int]
    """Says how much it did."""
    every_s: float
    full: int | None
    """As much as it does at once: then there may be more."""
    due: float = 0.0
    """`time.monotonic`."""


class Housekeeper:
    """Two threads that keep house until it is closed. An outage of the database or the store costs log lines only.

    Webhooks have one of their own: a store that stalls does not hold them up.
    """

    def __init__(
        self, storage: Storage, options: HousekeepingOptions | None = None, *, metrics: WorkerMetrics | None = None
    ) -> None:
        options = options or HousekeepingOptions()
        self._retry_s = options.retry_s
        self._stop = threading.Event()
        outbox = Outbox(storage.database)
        self._courier = Courier(
            outbox,
            OwnerSecrets(storage.database),
            options.webhook_policy,
            on_outcome=metrics.webhook if metrics else None,
        )
        cleaner = Cleaner(storage.database, storage.store, lease_s=options.lease_s)
        often, rarely = options.pause_s, options.rare_s
        sending = [
            _Chore(name="webhooks", run=self._courier.run_once, every_s=often, full=None),
            _Chore(name="missed webhooks", run=outbox.reconcile, every_s=often, full=None),
        ]
        cleaning = [
            _Chore(name="deletions", run=partial(cleaner.deletions.carry_out_due, 20), every_s=often, full=20),
            _Chore(name="uploads", run=partial(cleaner.expire_uploads, 100), every_s=rarely, full=100),
            _Chore(name="keys", run=partial(cleaner.expire_idempotency_keys, 1000), every_s=rarely, full=1000),
            _Chore(name="half-written", run=partial(storage.store.sweep, HALF_WRITTEN_S), every_s=rarely, full=None),
        ]
        # Half of it, or who comes a moment early would be turned away and come again only after as long.
        judge = CanaryJudge(storage.database, every_s=options.canary_s / 2)
        cleaning.append(_Chore(name="canary", run=partial(_judge, judge), every_s=options.canary_s, full=None))
        if options.keep_artifacts is not None:
            give_up = partial(cleaner.give_up_artifacts, options.keep_artifacts, 100)
            cleaning.append(_Chore(name="artifacts", run=give_up, every_s=rarely, full=100))
        if options.keep_jobs is not None:
            give_up = partial(cleaner.give_up_jobs, options.keep_jobs, 100)
            cleaning.append(_Chore(name="jobs", run=give_up, every_s=rarely, full=100))

        self._threads = [
            threading.Thread(target=self._keep, args=(chores,), name=name, daemon=True)
            for name, chores in (("webhooks", sending), ("cleaning", cleaning))
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Begin nothing more, and wait a while for what is under way; whatever it leaves comes back."""
        self._stop.set()
        self._courier.close(CLOSE_S)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(CLOSE_S)

    def _keep(self, chores: Sequence[_Chore]) -> None:
        while not self._stop.is_set():
            for chore in chores:
                if chore.due <= time.monotonic() and not self._stop.is_set():
                    chore.due = time.monotonic() + self._do(chore)
            self._stop.wait(max(0.0, min(chore.due for chore in chores) - time.monotonic()))

    def _do(self, chore: _Chore) -> float:
        """Do it once. Returns after how many seconds to do it again."""
        try:
            did = chore.run()
        except StoreError as error:
            values = {"chore": chore.name, "code": error.code}
            logger.warning("Housekeeping failed, trying again: %s %s", _pairs(values), error.message, extra=values)
            return max(chore.every_s, self._retry_s)
        except Exception:  # the other chores, and this one's next time, must not depend on it
            logger.exception("Housekeeping failed, trying again: chore=%s", chore.name, extra={"chore": chore.name})
            return max(chore.every_s, self._retry_s)
        if did:
            values = {"chore": chore.name, "count": str(did)}
            logger.info("Housekeeping: %s", _pairs(values), extra=values)
        return 0.0 if did == chore.full else chore.every_s


def _judge(judge: CanaryJudge) -> int:
    """Have the canary judged, if there is one. Says how many broke a limit."""
    ended = judge.judge()
    if ended is None:
        return 0
    figures = ended.figures.model_dump() if ended.figures else {}
    extra = {"model": str(ended.model), "serves": str(ended.base), "reason": ended.reason, **figures}
    words = "Canary rolled back: model=%s serves=%s %s"
    logger.warning(words, ended.model, ended.base, ended.reason, extra=extra)
    return 1


def _pairs(values: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
