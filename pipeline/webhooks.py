"""Webhooks on their way: signed, sent where they may go, tried again until taken."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime

import httpcore

from models.errors import StoreUnavailable, WebhookUrlRefused
from models.jobs import Owner
from models.outbox import Delivery, Outbox, Try
from models.secrets import OwnerSecrets
from models.sessions import utc_now
from models.webhook_signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, signature
from models.webhook_urls import WebhookPolicy, WebhookTarget
from pipeline.guarded_network import AddressRefused, GuardedNetwork, NameUnresolved, Resolve, TlsFailed, system_resolve
from pipeline.metrics import WebhookOutcome

TIMEOUT_S = 10.0
"""From the connection to the answer's status, all together."""

logger = logging.getLogger(__name__)


class Sender:
    """Sends one webhook once. Reads no proxy from the environment and follows no redirect."""

    def __init__(
        self,
        policy: WebhookPolicy,
        *,
        timeout_s: float = TIMEOUT_S,
        resolve: Resolve = system_resolve,
        ssl_context: ssl.SSLContext | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._policy = policy
        self._timeout_s = timeout_s
        self._resolve = resolve
        self._ssl_context = ssl_context or httpcore.default_ssl_context()
        self._now = clock

    def deliver(self, delivery: Delivery, secret: str) -> Try:
        """Send it, signed at this moment. Whatever goes wrong on the way is part of the answer."""
        at, begun = self._now(), time.monotonic()
        status_code = error = None
        try:
            status_code = self._post(delivery, secret, int(at.timestamp()))
        except (AddressRefused, WebhookUrlRefused):
            error = "address_refused"
        except NameUnresolved:
            error = "name_unresolved"
        except TlsFailed:
            error = "tls_failed"
        except httpcore.TimeoutException:
            error = "timeout"
        except httpcore.NetworkError:
            error = "connection_failed"
        except httpcore.ProtocolError:
            error = "not_http"
        except Exception:
            # Unsettled it would come back for ever; like this it is dead one day.
            logger.exception("Webhook cannot be sent: delivery_id=%s", delivery.id)
            error = "internal"
        return Try(at=at, status_code=status_code, error=error, duration_ms=round((time.monotonic() - begun) * 1000))

    def _post(self, delivery: Delivery, secret: str, timestamp: int) -> int:
        target = WebhookTarget.parse(delivery.url)
        body = delivery.body.encode()
        headers = [
            ("Host", target.authority),
            ("Content-Type", "application/json"),
            ("User-Agent", "Frontfoot-Webhooks"),
            ("Connection", "close"),
            (ID_HEADER, delivery.id),
            (TIMESTAMP_HEADER, str(timestamp)),
            (SIGNATURE_HEADER, signature(secret, timestamp, body)),
        ]
        url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        network = GuardedNetwork(self._policy, deadline=time.monotonic() + self._timeout_s, resolve=self._resolve)
        # A pool a delivery: a connection that is kept would skip the next one's check. Only the status counts: what
        # else a stranger may want to tell is not read.
        with (
            httpcore.ConnectionPool(ssl_context=self._ssl_context, network_backend=network) as pool,
            pool.stream("POST", url, headers=headers, content=body) as response,
        ):
            return response.status


class Courier:
    """Sends what is due, a thread a webhook; who answers slowly holds up nobody but itself.

    One owner has at most half of the threads. `on_outcome` is told how each try ended, from any thread.
    """

    def __init__(
        self,
        outbox: Outbox,
        secrets: OwnerSecrets,
        policy: WebhookPolicy,
        *,
        threads: int = 8,
        on_outcome: Callable[[WebhookOutcome], None] | None = None,
        sender: Sender | None = None,
    ) -> None:
        self._outbox = outbox
        self._secrets = secrets
        self._sender = sender or Sender(policy)
        self._threads = threads
        self._share = max(1, threads // 2)
        self._on_outcome = on_outcome or (lambda _: None)
        self._lock = threading.Lock()
        self._flying: Counter[Owner] = Counter()
        self._carriers: set[threading.Thread] = set()
        self._closed = False

    def run_once(self) -> int:
        """Begin to send what is due, as far as threads are free; they go on by themselves while there is more.

        Waits for no receiver. Returns how many webhooks were begun here. Raises StoreError.
        """
        begun = 0
        while (delivery := self._claim()) is not None:
            carrier = threading.Thread(target=self._carry, args=(delivery,), name="webhook", daemon=True)
            self._carriers.add(carrier)
            carrier.start()
            begun += 1
        self._carriers = {carrier for carrier in self._carriers if carrier.is_alive()}
        return begun

    def close(self, timeout_s: float = TIMEOUT_S) -> None:
        """Begin nothing more, and wait a while for what is on its way; what is not settled then comes back."""
        with self._lock:
            self._closed = True
        deadline = time.monotonic() + timeout_s
        for carrier in tuple(self._carriers):
            carrier.join(timeout=max(0.0, deadline - time.monotonic()))

    def _claim(self) -> Delivery | None:
        with self._lock:
            if self._closed or self._flying.total() >= self._threads:
                return None
            busy = [owner for owner, count in self._flying.items() if count >= self._share]
            claimed = self._outbox.claim_due(1, busy=busy)
            if not claimed:
                return None
            self._flying[claimed[0].owner] += 1
            return claimed[0]

    def _carry(self, delivery: Delivery | None) -> None:
        while delivery is not None:
            try:
                self._send(delivery)
            finally:
                with self._lock:
                    self._flying[delivery.owner] -= 1
                    self._flying += Counter()  # forgets owners with nothing on its way
            delivery = self._next()

    def _send(self, delivery: Delivery) -> None:
        try:
            made = self._sender.deliver(delivery, self._secrets.get(delivery.owner, "webhooks"))
            status = self._outbox.settle(delivery.id, made)
        except StoreUnavailable as error:
            # Nothing is lost: nobody settled it, so it comes back.
            logger.warning("Webhook not settled: delivery_id=%s %s", delivery.id, error.message)
            return
        outcome: WebhookOutcome = "delivered" if made.taken else "dead" if status == "dead" else "failed"
        self._on_outcome(outcome)
        values = {
            "delivery_id": delivery.id,
            "job_id": delivery.job_id,
            "event": delivery.event,
            "status_code": made.status_code,
            "error": made.error,
            "duration_ms": made.duration_ms,
        }
        pairs = " ".join(f"{key}={value}" for key, value in values.items())
        # A receiver that is down for an hour is its owner's affair; an event that nobody got is worth a look.
        logger.log(
            logging.WARNING if outcome == "dead" else logging.INFO, "Webhook %s: %s", outcome, pairs, extra=values
        )

    def _next(self) -> Delivery | None:
        try:
            return self._claim()
        except StoreUnavailable:
            return None  # the next round finds it
