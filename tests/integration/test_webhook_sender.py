"""One webhook sent once: real sockets, real TLS, addresses that may not be reached."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from receivers import Received, Receiver, receiver

from frontfoot.webhooks import verify_webhook
from models.jobs import Owner
from models.outbox import Delivery
from models.webhook_urls import WebhookPolicy, check_webhook_url
from pipeline.webhooks import Sender

JANE = Owner(owner_type="coach", owner_id="jane")
LOOPBACK = WebhookPolicy.of(["127.0.0.1/32"])
SECRET = "a-secret-of-this-test"
BODY = '{"id":"5f0c7a52-0000-4000-8000-000000000001","event":"job.done","tags":["n\\u00e4chste"]}'


def delivery(url: str, body: str = BODY) -> Delivery:
    now = datetime.now(UTC)
    return Delivery(
        id="5f0c7a52-0000-4000-8000-000000000001",
        owner=JANE,
        job_id="job",
        event="job.done",
        url=url,
        body=body,
        status="pending",
        attempts=(),
        next_attempt_at=now,
        gives_up_at=now + timedelta(hours=24),
        created_at=now,
        delivered_at=None,
    )


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


class TestSender:
    def test_what_arrives_is_the_body_and_its_signature(self, hook: Receiver) -> None:
        made = Sender(LOOPBACK).deliver(delivery(hook.url), SECRET)
        assert (made.status_code, made.error, made.taken) == (204, None, True)
        (arrived,) = hook.received
        assert (arrived.path, arrived.body) == ("/hook?from=frontfoot", BODY.encode())
        sent = arrived.headers["Frontfoot-Webhook-Timestamp"]
        expected = hmac.new(SECRET.encode(), f"{sent}.{BODY}".encode(), hashlib.sha256).hexdigest()
        assert arrived.headers["Frontfoot-Webhook-Signature"] == f"v1={expected}"
        assert abs(int(sent) - time.time()) < 5
        assert arrived.headers["Content-Type"] == "application/json"
        assert arrived.headers["Host"] == hook.url.split("/")[2]
        assert arrived.headers["Frontfoot-Webhook-Id"] == delivery(hook.url).id
        assert verify_webhook(arrived.headers, arrived.body, SECRET) == json.loads(BODY)

    def test_every_try_is_signed_anew_over_the_same_body(self, hook: Receiver) -> None:
        moments = iter([datetime(2026, 5, 4, tzinfo=UTC), datetime(2026, 5, 5, tzinfo=UTC)])
        sender = Sender(LOOPBACK, clock=lambda: next(moments))
        sender.deliver(delivery(hook.url), SECRET)
        sender.deliver(delivery(hook.url), SECRET)
        first, second = hook.received
        assert first.body == second.body
        assert first.headers["Frontfoot-Webhook-Id"] == second.headers["Frontfoot-Webhook-Id"]
        for name in ("Frontfoot-Webhook-Timestamp", "Frontfoot-Webhook-Signature"):
            assert first.headers[name] != second.headers[name]

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed_wherever_it_leads(self, hook: Receiver, status: int) -> None:
        with receiver() as behind:
            hook.answer = lambda _: (status, {"Location": behind.url})
            made = Sender(LOOPBACK).deliver(delivery(hook.url), SECRET)
            assert (made.status_code, made.taken) == (status, False)
            assert behind.received == []

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0x7f000001"])
    def test_this_machine_is_not_reached_unless_the_operator_allows_it(self, hook: Receiver, host: str) -> None:
        url = hook.url.replace("127.0.0.1", host)
        made = Sender(WebhookPolicy()).deliver(delivery(url), SECRET)
        assert (made.status_code, made.error) == (None, "address_refused")
        assert hook.received == []

    def test_a_name_that_is_private_when_it_counts_is_refused(self, hook: Receiver) -> None:
        """Nobody looked it up when the job was submitted, or it meant a public address then."""
        url = hook.url.replace("127.0.0.1", "rebinds.example")
        check_webhook_url(url)
        sender = Sender(WebhookPolicy(), resolve=lambda *_: ["127.0.0.1"])
        assert sender.deliver(delivery(url), SECRET).error == "address_refused"
        assert hook.received == []

    def test_a_proxy_of_the_environment_is_not_used(self, hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        with receiver() as proxy:
            for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            assert Sender(LOOPBACK).deliver(delivery(hook.url), SECRET).taken
            assert (len(hook.received), len(proxy.received)) == (1, 0)

    def test_a_stored_url_that_is_no_longer_allowed_is_not_sent(self) -> None:
        for url in ("ftp://example.com/", "https://jane:pw@example.com/", "https://example.com:25/"):
            assert Sender(LOOPBACK).deliver(delivery(url), SECRET).error == "address_refused"

    def test_who_does_not_answer_is_given_up(self, hook: Receiver) -> None:
        release = threading.Event()

        def stall(_: Received) -> tuple[int, dict[str, str]]:
            release.wait(5)
            return 200, {}

        hook.answer = stall
        made = Sender(LOOPBACK, timeout_s=0.3).deliver(delivery(hook.url), SECRET)
        release.set()
        assert made.error == "timeout"
        assert 250 <= made.duration_ms < 1500

    def test_an_answer_without_end_is_not_read(self, hook: Receiver) -> None:
        hook.answer = lambda _: (200, {"X-Filler": "x" * 60_000})
        assert Sender(LOOPBACK).deliver(delivery(hook.url), SECRET).taken
        hook.answer = lambda _: (200, {f"X-Filler-{number}": "x" * 60_000 for number in range(5)})
        assert Sender(LOOPBACK).deliver(delivery(hook.url), SECRET).error == "not_http"

    def test_nobody_there(self, hook: Receiver) -> None:
        with receiver() as gone:
            url = gone.url
        assert Sender(LOOPBACK).deliver(delivery(url), SECRET).error == "connection_failed"

    def test_an_error_of_our_own_counts_as_a_try(self, hook: Receiver, caplog: pytest.LogCaptureFixture) -> None:
        def broken(host: str, port: int) -> Sequence[str]:
            raise LookupError

        assert Sender(LOOPBACK, resolve=broken).deliver(delivery(hook.url), SECRET).error == "internal"
        assert "Webhook cannot be sent" in caplog.text
        assert SECRET not in caplog.text


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        """For hooks.example, signed by itself; the key beside it in one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.DNSName("hooks.example"), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]
                ),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        path = tmp_path / "hooks.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
        return path

    def test_the_receiver_proves_to_be_the_name_in_the_url(self, certificate: Path) -> None:
        names: list[str | None] = []
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificate)
        server.sni_callback = lambda _socket, name, _context: names.append(name)
        trusting = ssl.create_default_context(cafile=str(certificate))
        with receiver(tls=server) as hook:

            def send(host: str, context: ssl.SSLContext | None) -> str | int | None:
                sender = Sender(LOOPBACK, resolve=lambda *_: ["127.0.0.1"], ssl_context=context)
                made = sender.deliver(delivery(hook.url.replace("127.0.0.1", host)), SECRET)
                return made.error or made.status_code

            assert send("hooks.example", trusting) == 204
            assert names == ["hooks.example"]
            assert send("other.example", trusting) == "tls_failed"
            assert send("127.0.0.1", trusting) == "tls_failed"
            assert send("hooks.example", None) == "tls_failed", "nobody vouches for it"
            assert len(hook.received) == 1
