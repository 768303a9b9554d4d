"""The worker's sign of life: one thread with a database connection of its own renews the leases of all running jobs.

A busy pool, a long transaction or a job's own thread that waits for Ray delays no beat.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from models.errors import JobCanceled, LeaseLost, StoreUnavailable
from models.jobs import Beat, BeatReply, Lease
from models.storage import StorageOptions

logger = logging.getLogger(__name__)

BEAT_S = 1.0
"""How often leases are renewed, and with them progress and cancellation travel; a third of a shorter lease."""
CLOSE_S = 5.0


@dataclass(slots=True, eq=False)
class Pulse:
    """What a job and the heart tell each other."""

    lease: Lease
    progress_pct: float = 0.0
    """Written by the job, brought to the database by the next beat."""
    canceled: threading.Event = field(default_factory=threading.Event)
    """The owner wants the job to stop."""
    lost: threading.Event = field(default_factory=threading.Event)
    """The job is not ours any more, or has ended."""

    def check(self) -> None:
        """Raises JobCanceled or LeaseLost where the last beat brought such news."""
        if self.canceled.is_set():
            raise JobCanceled
        if self.lost.is_set():
            raise LeaseLost


def beat_interval(lease_s: float) -> float:
    """Seconds between two beats for leases of this length."""
    return min(BEAT_S, lease_s / 3)


class Heart:
    """Beats for every job between `start` and `close`. May be started once."""

    def __init__(self, options: StorageOptions) -> None:
        self._storage = options.open()
        self._interval_s = beat_interval(options.lease_s)
        self._lock = threading.Lock()
        self._pulses: dict[str, Pulse] = {}
        self._stopping = threading.Event()
        self._away = False
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def close(self) -> None:
        """Stop beating; nobody waits long for a database that does not answer."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=CLOSE_S)
        self._storage.close()

    @contextmanager
    def beating(self, lease: Lease) -> Iterator[Pulse]:
        """Renew this lease for as long as the block runs."""
        pulse = Pulse(lease=lease)
        with self._lock:
            self._pulses[lease.token] = pulse
        try:
            yield pulse
        finally:
            with self._lock:
                del self._pulses[lease.token]

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self._beat()
            except Exception:  # whatever it was, without another beat every job would be lost
                logger.exception("Heartbeat failed")

    def _beat(self) -> None:
        """One beat for all jobs. A lease outlasts a database that is away for less than its length."""
        with self._lock:
            pulses = [pulse for pulse in self._pulses.values() if not pulse.lost.is_set()]
        beats = [Beat(lease=pulse.lease, progress_pct=pulse.progress_pct) for pulse in pulses]
        if not beats:
            return
        try:
            replies = self._storage.queue.beat(beats)
        except StoreUnavailable as error:
            if not self._away:
                logger.warning("Heartbeats not written, trying again: jobs=%d %s", len(beats), error.message)
            self._away = True
            return
        if self._away:
            logger.info("Heartbeats written again: jobs=%d", len(beats))
        self._away = False
        for pulse in pulses:
            _tell(pulse, replies.get(pulse.lease.token))


def _tell(pulse: Pulse, reply: BeatReply | None) -> None:
    if reply is None or not reply.held:
        pulse.lost.set()
    elif reply.cancel_requested:
        pulse.canceled.set()
