"""Where a webhook may go: what its URL may look like, and which addresses it may reach.

The URL is looked at when a job is submitted, the address at every connection: a name may stand for another address by
then.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal, Self
from urllib.parse import urlsplit

from models.errors import WebhookUrlRefused

MAX_URL = 2000
"""Characters of a webhook's URL."""
LOWEST_FREE_PORT = 1024
"""Below it only the ports of HTTP itself: a webhook must not talk to a mail server."""

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")

# Spelled out, for what Python calls global differs between its patch releases. IANA's special-purpose registries.
_CLOSED_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # Azure's host agent: a public number that every machine there reaches
            "169.254.0.0/16",  # link-local, and the clouds' metadata
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
# Loopback, mapped IPv4, NAT64, unique-local, link-local and multicast all lie outside.
_OPEN_V6 = IPv6Network("2000::/3")
_CLOSED_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, Teredo among them
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: an IPv4 address within
            "3fff::/20",  # documentation
        ),
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookPolicy:
    """Which addresses webhooks may reach: every public one, and the networks that the operator allows."""

    allowed: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, networks: Iterable[str]) -> Self:
        """From CIDR notation. Raises ValueError."""
        return cls(allowed=tuple(ip_network(network) for network in networks))

    def permits(self, address: str) -> bool:
        """Whether a connection to this address (not a name) may be made."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return is_public(found) or any(
            found.version == network.version and found in network for network in self.allowed
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookTarget:
    """A webhook's URL, taken apart once: what was checked is what is connected to."""

    scheme: Literal["http", "https"]
    host: str
    """A name or an address, in lower case; no brackets."""
    port: int | None
    """None is the scheme's own."""
    path: str
    """With the query."""

    @property
    def authority(self) -> str:
        """The `Host` of a request: a port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port in {None, 443 if self.scheme == "https" else 80} else f"{host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL. Raises WebhookUrlRefused."""
        if len(url) > MAX_URL or not re.fullmatch(r"[!-\[\]-~]+", url):
            raise WebhookUrlRefused(
                f"A webhook's URL has at most {MAX_URL} printable ASCII characters: write others as %XX, and a name in "
                "Punycode."
            )
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme, parts.hostname or "", parts.port
        except ValueError:
            raise WebhookUrlRefused("The webhook's URL cannot be read.") from None
        if scheme not in {"http", "https"}:
            raise WebhookUrlRefused("A webhook's URL begins with https:// or http://.")
        if "@" in parts.netloc:
            raise WebhookUrlRefused("A webhook's URL holds no user name and no password.")
        if not _is_host(host):
            raise WebhookUrlRefused("The webhook's URL names no host.")
        if port is not None and port not in {80, 443} and port < LOWEST_FREE_PORT:
            raise WebhookUrlRefused(f"A webhook's port is 80, 443, or {LOWEST_FREE_PORT} and above.")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(scheme="https" if scheme == "https" else "http", host=host, port=port, path=path)


def check_webhook_url(url: str, policy: WebhookPolicy | None = None) -> None:
    """Refuse what can never be sent: not HTTP, a password within, an address that may not be reached.

    Nothing is resolved here: that counts when the webhook is sent. Raises WebhookUrlRefused.
    """
    host = WebhookTarget.parse(url).host
    address = _literal(host)
    if address is not None and not (policy or WebhookPolicy()).permits(address):
        raise WebhookUrlRefused("A webhook cannot reach private, loopback or link-local addresses.")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is a global unicast address, and not one that stands for another."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    return address in _OPEN_V6 and not any(address in network for network in _CLOSED_V6)


def _is_host(host: str) -> bool:
    if ":" not in host:
        return _NAME.fullmatch(host) is not None
    try:
        return IPv6Address(host).scope_id is None
    except ValueError:
        return False


def _literal(host: str) -> str | None:
    """The address that a host is without being looked up; None where it is a name."""
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1"
    if ":" in host:
        return host
    try:
        return socket.inet_ntoa(socket.inet_aton(host))  # 127.1 and 0x7f000001 are addresses too
    except OSError:
        return None
