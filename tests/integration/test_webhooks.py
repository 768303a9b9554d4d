"""Webhooks from the job's last transaction to the receiver: real databases, sockets, TLS; a killed sender."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from receivers import Received, Receiver, receiver

from frontfoot.webhooks import verify_webhook
from models.database import Database
from models.jobs import Job, Owner
from models.outbox import Outbox
from models.queue import JobQueue
from models.requests import AnalysisRequest, JobExtras
from models.secrets import OwnerSecrets
from models.webhook_urls import WebhookPolicy
from pipeline.webhooks import Courier

JANE = Owner(owner_type="coach", owner_id="jane")
LOOPBACK = WebhookPolicy.of(["127.0.0.1/32"])


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


class Nets:
    """Jobs that end, with a webhook each."""

    def __init__(self, database: Database) -> None:
        self.queue = JobQueue(database)

    def done(self, url: str, owner: Owner = JANE) -> Job:
        session = self.queue.create_session(owner, title="Nets", session_type="bowling")
        self.queue.attach_upload(owner, session.id, "local", f"sessions/{session.id}/clip.mp4", 1000)
        asked = AnalysisRequest(analysis_mode="bowling")
        job = self.queue.submit(owner, session.id, asked, extras=JobExtras(webhook_url=url))
        return self.queue.cancel(owner, job.id)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def couriers(database: Database) -> Iterator[Callable[..., Courier]]:
    """Makes couriers whose threads end with the test."""
    made: list[Courier] = []

    def make(**options: Any) -> Courier:
        options = {"policy": LOOPBACK, "outbox": Outbox(database)} | options
        made.append(Courier(secrets=OwnerSecrets(database), **options))
        return made[-1]

    yield make
    for courier in made:
        courier.close()


def eventually(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestCourier:
    def test_a_commit_reaches_its_receiver_and_can_be_verified(
        self,
        database: Database,
        couriers: Callable[..., Courier],
        hook: Receiver,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO)
        job = Nets(database).done(hook.url)
        outcomes: list[str] = []
        courier = couriers(on_outcome=outcomes.append)
        assert courier.run_once() == 1
        eventually(lambda: outcomes)
        assert courier.run_once() == 0
        (arrived,) = hook.received
        secret = OwnerSecrets(database).get(JANE, "webhooks")
        event = verify_webhook(arrived.headers, arrived.body, secret)
        assert event["job"]["id"] == job.id
        delivery_id = event["id"]
        assert delivery_id == arrived.headers["Frontfoot-Webhook-Id"]
        kept = Outbox(database).get(JANE, delivery_id)
        assert (kept.status, outcomes) == ("delivered", ["delivered"])
        assert kept.attempts[0]["status_code"] == 204
        assert f"Webhook delivered: delivery_id={delivery_id} job_id={job.id}" in caplog.text
        assert "/hook" not in caplog.text, "a URL may hold a secret"

    def test_a_failure_is_tried_again_and_redelivery_sends_it_once_more(
        self, database: Database, couriers: Callable[..., Courier], hook: Receiver
    ) -> None:
        Nets(database).done(hook.url)
        hook.answer = lambda _: (503, {})
        outcomes: list[str] = []
        courier = couriers(on_outcome=outcomes.append)
        courier.run_once()
        eventually(lambda: outcomes == ["failed"])
        assert courier.run_once() == 0, "not before its time"
        later = couriers(
            outbox=Outbox(database, clock=lambda: datetime.now(UTC) + timedelta(seconds=11)), on_outcome=outcomes.append
        )
        hook.answer = lambda _: (200, {})
        later.run_once()
        eventually(lambda: outcomes == ["failed", "delivered"])
        (kept,) = Outbox(database).list(JANE).items
        Outbox(database).redeliver(JANE, kept.id)
        courier.run_once()
        eventually(lambda: len(outcomes) == 3)
        assert len({(request.body, request.headers["Frontfoot-Webhook-Id"]) for request in hook.received}) == 1
        assert [made["status_code"] for made in Outbox(database).get(JANE, kept.id).attempts] == [503, 200, 200]

    def test_who_is_slow_holds_up_nobody_else(
        self, database: Database, couriers: Callable[..., Courier], hook: Receiver
    ) -> None:
        release = threading.Event()

        def stall(_: Received) -> tuple[int, dict[str, str]]:
            release.wait(5)
            return 200, {}

        lions = Owner(owner_type="org", owner_id="lions")
        with receiver() as slow:
            slow.answer = stall
            nets = Nets(database)
            for _ in range(6):
                nets.done(slow.url)
            for _ in range(6):
                nets.done(hook.url, lions)
            courier = couriers(threads=4)
            begun = time.monotonic()
            courier.run_once()
            assert time.monotonic() - begun < 2, "it waits for no receiver"
            eventually(lambda: len(hook.received) == 6)  # with no further round: they go on while there is more
            assert len(slow.received) == 2, "one owner has half of the threads"
            release.set()
            eventually(lambda: len(slow.received) == 6)
            courier.close()
        assert Counter(found.status for found in Outbox(database).list(JANE).items) == {"delivered": 6}

    def test_many_senders_send_each_once(
        self, database: Database, couriers: Callable[..., Courier], hook: Receiver
    ) -> None:
        nets = Nets(database)
        for _ in range(20):
            nets.done(hook.url)
        together = [couriers() for _ in range(3)]
        for courier in together:
            courier.run_once()
        eventually(lambda: len(hook.received) == 20)
        for courier in together:
            courier.close()
        assert len({request.headers["Frontfoot-Webhook-Id"] for request in hook.received}) == 20

    def test_what_is_closed_begins_nothing(
        self, database: Database, couriers: Callable[..., Courier], hook: Receiver
    ) -> None:
        Nets(database).done(hook.url)
        courier = couriers()
        courier.close()
        assert courier.run_once() == 0
        assert hook.received == []

    def test_a_database_that_goes_away_loses_nothing(
        self, tmp_path: Path, sqlite_url: str, hook: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        database = Database(sqlite_url)
        Nets(database).done(hook.url)
        path, away = Path(sqlite_url.removeprefix("sqlite:///")), tmp_path / "away"

        def take_away(_: Received) -> tuple[int, dict[str, str]]:
            database.close()
            path.rename(away)
            path.mkdir()
            return 200, {}

        hook.answer = take_away
        courier = Courier(Outbox(database), OwnerSecrets(database), LOOPBACK)
        courier.run_once()
        eventually(lambda: "Webhook not settled" in caplog.text)
        courier.close()
        path.rmdir()
        away.rename(path)
        (kept,) = Outbox(database).list(JANE).items
        assert (kept.status, kept.attempts) == ("pending", ())
        database.close()


SENDER = """
import sys, time
from models.database import Database
from models.outbox import Outbox
from models.secrets import OwnerSecrets
from models.webhook_urls import WebhookPolicy
from pipeline.webhooks import Courier

database = Database(sys.argv[1])
Courier(Outbox(database), OwnerSecrets(database), WebhookPolicy.of(["127.0.0.1/32"])).run_once()
time.sleep(60)
"""


def test_a_sender_that_is_killed_loses_nothing(
    database_url: str, database: Database, couriers: Callable[..., Courier], hook: Receiver
) -> None:
    """It dies between the receiver's having it and our knowing: so it is sent again, as the same event."""
    Nets(database).done(hook.url)
    release = threading.Event()

    def stall(_: Received) -> tuple[int, dict[str, str]]:
        release.wait(10)
        return 200, {}

    hook.answer = stall
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", SENDER, database_url], env=environment) as process:
        try:
            eventually(lambda: hook.received, seconds=30)
        finally:
            process.send_signal(signal.SIGKILL)
    release.set()
    assert couriers().run_once() == 0, "still the dead one's"
    later = couriers(outbox=Outbox(database, clock=lambda: datetime.now(UTC) + timedelta(seconds=61)))
    assert later.run_once() == 1
    eventually(lambda: Outbox(database).list(JANE).items[0].status == "delivered")
    assert len(hook.received) == 2
    assert len({(request.body, request.headers["Frontfoot-Webhook-Id"]) for request in hook.received}) == 1
