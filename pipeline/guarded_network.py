"""Connections to strangers: the very address that was checked, and an end to every wait."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpcore

from models.webhook_urls import WebhookPolicy

Resolve = Callable[[str, int], Sequence[str]]
"""A name and a port → addresses, the preferred first. Raises OSError."""


class AddressRefused(Exception):
    """The name stands for an address that may not be reached."""


class NameUnresolved(Exception):
    """The name stands for no address."""


class TlsFailed(Exception):
    """The receiver did not prove to be who it should be, or speaks another TLS."""


class GuardedNetwork(httpcore.NetworkBackend):
    """One delivery's way out: it looks a name up once, checks all it stands for, and connects to what it checked.

    So a name that means another address a moment later gains nothing by it. Everything ends at `deadline`
    (`time.monotonic`), however slowly the receiver answers; only the resolver has a patience of its own.
    """

    def __init__(self, policy: WebhookPolicy, *, deadline: float, resolve: Resolve) -> None:
        self._policy = policy
        self._deadline = deadline
        self._resolve = resolve
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers. One that may not be reached spoils them all."""
        addresses = self._checked(host, port)
        for left in range(len(addresses), 0, -1):
            address = addresses[-left]
            # Each gets its share of the time, or one that is silent would hide the one that answers.
            share = _left(self._deadline, httpcore.ConnectTimeout) / left
            try:
                stream = self._network.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if left == 1:
                    raise
            else:
                return _Stream(stream, self._deadline)
        raise NameUnresolved

    def _checked(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise NameUnresolved from error
        if not all(self._policy.permits(address) for address in addresses):
            raise AddressRefused
        return addresses


class _Stream(httpcore.NetworkStream):
    """A connection whose every wait ends at the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Receive."""
        return self._stream.read(max_bytes, _left(self._deadline, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send."""
        self._stream.write(buffer, _left(self._deadline, httpcore.WriteTimeout))

    def close(self) -> None:
        """Close."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Go on in TLS, with whoever can prove to be `server_hostname`."""
        try:
            left = _left(self._deadline, httpcore.ConnectTimeout)
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)
        except httpcore.ConnectError as error:
            raise TlsFailed from error

    def get_extra_info(self, info: str) -> Any:
        """What is known of the connection."""
        return self._stream.get_extra_info(info)


def system_resolve(host: str, port: int) -> Sequence[str]:
    """What the machine's own resolver says."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _left(deadline: float, too_late: type[Exception]) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise too_late
    return left
