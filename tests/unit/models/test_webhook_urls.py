from __future__ import annotations

import pytest

from models.errors import WebhookUrlRefused
from models.webhook_urls import WebhookPolicy, WebhookTarget, check_webhook_url

PUBLIC = ("1.1.1.1", "93.184.215.14", "172.15.255.255", "172.32.0.1", "100.63.255.255", "2606:4700::1111", "2a00::1")
CLOSED = (
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:93.184.215.14",
    "::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
)


@pytest.mark.parametrize("address", PUBLIC)
def test_every_public_address_may_be_reached(address: str) -> None:
    assert WebhookPolicy().permits(address)


@pytest.mark.parametrize("address", [*CLOSED, "localhost", "", "1.1.1"])
def test_nothing_else_may(address: str) -> None:
    assert not WebhookPolicy().permits(address)


def test_the_operator_may_open_a_network_and_opens_no_other() -> None:
    policy = WebhookPolicy.of(["10.1.0.0/16", "fd00::/8"])
    assert policy.permits("10.1.2.3")
    assert policy.permits("fd12::1")
    assert policy.permits("1.1.1.1")
    assert not policy.permits("10.2.0.1")
    assert not policy.permits("::ffff:10.1.2.3"), "the same address in disguise is another one"


@pytest.mark.parametrize("network", ["10.0.0.1/8", "nets", "10.0.0.0/33"])
def test_a_network_that_is_none_is_an_error(network: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|has host bits"):
        WebhookPolicy.of([network])


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com", ("https", "example.com", None, "/")),
        ("HTTPS://Example.COM:8443/a/b?c=d&e=%20#part", ("https", "example.com", 8443, "/a/b?c=d&e=%20")),
        ("http://hooks_1.example.com:80?x", ("http", "hooks_1.example.com", 80, "/?x")),
        ("https://[2606:4700::1111]:443/h", ("https", "2606:4700::1111", 443, "/h")),
        ("https://xn--bcher-kva.example/", ("https", "xn--bcher-kva.example", None, "/")),
    ],
)
def test_a_url_is_taken_apart_once(url: str, target: tuple[object, ...]) -> None:
    parsed = WebhookTarget.parse(url)
    assert (parsed.scheme, parsed.host, parsed.port, parsed.path) == target
    check_webhook_url(url)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://example.com/", "example.com"),
        ("https://example.com:443/", "example.com"),
        ("http://example.com:443/", "example.com:443"),
        ("http://example.com:80/", "example.com"),
        ("http://[2606:4700::1111]/", "[2606:4700::1111]"),
        ("https://[2606:4700::1111]:8443/", "[2606:4700::1111]:8443"),
    ],
)
def test_a_request_names_its_host(url: str, authority: str) -> None:
    assert WebhookTarget.parse(url).authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "https:///path",
        "https://jane@example.com/",
        "https://jane:pass@example.com/",
        "https://@example.com/",
        "https://1.1.1.1\\@example.com/",
        "https://example.com/a b",
        "https://example.com/\r\nX-Injected: 1",
        "https://exämple.com/",
        "https://example.com:22/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:x/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://exam%70le.com/",
        "https://-.example.com/",
        "https://example.com./",
        "https://" + "a" * 64 + ".com/",
        "https://example.com/" + "a" * 2000,
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(WebhookUrlRefused):
        WebhookTarget.parse(url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "localhost",
        "a.localhost",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "[fd00::1]",
    ],
)
def test_an_address_that_may_not_be_reached_is_refused_at_once(host: str) -> None:
    with pytest.raises(WebhookUrlRefused, match="private, loopback or link-local"):
        check_webhook_url(f"https://{host}/")


def test_a_name_is_not_looked_up_before_it_is_needed() -> None:
    check_webhook_url("https://nowhere.invalid/")


def test_what_the_operator_opened_is_not_refused() -> None:
    policy = WebhookPolicy.of(["127.0.0.0/8"])
    check_webhook_url("http://localhost:9000/", policy)
    check_webhook_url("http://127.0.0.1:9000/", policy)
    with pytest.raises(WebhookUrlRefused):
        check_webhook_url("http://10.0.0.1/", policy)
