"""The way out to strangers, against real sockets on this machine; only the resolver is the test's."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import httpcore
import pytest
from receivers import receiver

from models.webhook_urls import WebhookPolicy
from pipeline.guarded_network import AddressRefused, GuardedNetwork, NameUnresolved, system_resolve

LOOPBACK = WebhookPolicy.of(["127.0.0.1/32"])


def network(
    resolve: Callable[[str, int], Sequence[str]], *, policy: WebhookPolicy = LOOPBACK, seconds: float = 5.0
) -> GuardedNetwork:
    return GuardedNetwork(policy, deadline=time.monotonic() + seconds, resolve=resolve)


@contextmanager
def listening() -> Iterator[tuple[int, list[socket.socket]]]:
    """A port that accepts and says nothing; and whom it accepted."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    accepted.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1], accepted
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in accepted:
                connection.close()


def read_for_ever(stream: httpcore.NetworkStream) -> None:
    while True:
        stream.read(1)


def test_a_name_is_looked_up_once_and_what_was_checked_is_what_is_connected_to() -> None:
    """Rebinding: the name means a public address when asked first, and a private one from then on."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    with listening() as (port, accepted):
        stream = network(rebinding).connect_tcp("rebinds.example", port)
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", port)
        while not accepted:
            time.sleep(0.01)
        stream.close()
        assert asked == ["rebinds.example"]
        with pytest.raises(AddressRefused):
            network(rebinding).connect_tcp("rebinds.example", port)
        assert len(accepted) == 1


@pytest.mark.parametrize(
    "addresses", [["127.0.0.2"], ["127.0.0.1", "10.0.0.1"], ["169.254.169.254", "127.0.0.1"], ["::ffff:127.0.0.1"]]
)
def test_one_address_that_may_not_be_reached_spoils_them_all(addresses: list[str]) -> None:
    with listening() as (port, accepted):
        with pytest.raises(AddressRefused):
            network(lambda *_: addresses).connect_tcp("mixed.example", port)
        assert accepted == []


def test_without_the_operators_word_this_machine_cannot_be_reached() -> None:
    with listening() as (port, accepted):
        for host in ("localhost", "127.0.0.1", "127.1", "0"):
            with pytest.raises(AddressRefused):
                network(system_resolve, policy=WebhookPolicy()).connect_tcp(host, port)
        assert accepted == []


def test_a_name_that_means_nothing_is_said_so() -> None:
    def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for host, resolve in (
        ("a" * 64 + ".example", system_resolve),
        ("a.example", unknown),
        ("b.example", lambda *_: []),
    ):
        with pytest.raises(NameUnresolved):
            network(resolve).connect_tcp(host, 443)


def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    policy = WebhookPolicy.of(["127.0.0.0/8"])
    with listening() as (port, _):
        stream = network(lambda *_: ["127.0.0.2", "127.0.0.1"], policy=policy).connect_tcp("two.example", port)
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", port)
        stream.close()


def test_nobody_there_is_an_error_of_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(httpcore.ConnectError):
        network(lambda *_: ["127.0.0.1"]).connect_tcp("gone.example", port)


def test_every_wait_ends_at_the_deadline_however_slowly_something_comes() -> None:
    with listening() as (port, accepted):
        begun = time.monotonic()
        stream = network(lambda *_: ["127.0.0.1"], seconds=0.5).connect_tcp("slow.example", port)
        while not accepted:
            time.sleep(0.01)

        def drip() -> None:
            while time.monotonic() - begun < 1:
                accepted[0].send(b".")
                time.sleep(0.05)

        dripping = threading.Thread(target=drip)
        dripping.start()
        with pytest.raises(httpcore.ReadTimeout):
            read_for_ever(stream)
        assert 0.4 < time.monotonic() - begun < 0.9
        with pytest.raises(httpcore.WriteTimeout):
            stream.write(b"late")
        with pytest.raises(httpcore.ConnectTimeout):
            stream.start_tls(httpcore.default_ssl_context(), "slow.example", 10)
        dripping.join()
        stream.close()


def test_it_speaks_http() -> None:
    with receiver() as hook:
        way_out = network(lambda *_: ["127.0.0.1"])
        url = hook.url.replace("127.0.0.1", "hooks.example")
        with httpcore.ConnectionPool(network_backend=way_out) as pool:
            assert pool.request("POST", url, content=b"hello").status == 204
        assert hook.received[0].body == b"hello"
