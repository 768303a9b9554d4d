"""Token buckets: how much at once, how fast again, and whose memory ends."""

from __future__ import annotations

import pytest

from api.limits import RateLimiter


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_quota_at_once_then_one_at_a_time() -> None:
    clock = Clock()
    limiter = RateLimiter(60, clock=clock)
    rates = [limiter.take("jane") for _ in range(61)]
    assert [rate.remaining for rate in rates if rate] == [*range(59, -1, -1), 0]
    assert [rate.wait_s for rate in rates if rate] == [0] * 60 + [1]
    clock.now += 1
    again, refused = limiter.take("jane"), limiter.take("jane")
    assert again is not None
    assert refused is not None
    assert (again.wait_s, refused.wait_s) == (0, 1)


def test_whoever_waits_as_long_as_told_is_let_in() -> None:
    clock = Clock()
    limiter = RateLimiter(7, clock=clock)
    for _ in range(200):
        rate = limiter.take("jane")
        assert rate is not None
        if rate.wait_s:
            clock.now += rate.wait_s
            after = limiter.take("jane")
            assert after is not None
            assert after.wait_s == 0


def test_a_refused_request_costs_nothing() -> None:
    clock = Clock()
    limiter = RateLimiter(1, clock=clock)
    waits = []
    for _ in range(7):
        rate = limiter.take("jane")
        assert rate is not None
        waits.append(rate.wait_s)
        clock.now += 10
    assert waits == [0, 50, 40, 30, 20, 10, 0]


def test_one_key_does_not_spend_anothers() -> None:
    limiter = RateLimiter(1, clock=Clock())
    rates = [limiter.take(key) for key in ("jane", "lions", "jane")]
    assert [rate.wait_s for rate in rates if rate] == [0, 0, 60]


def test_the_headers_are_the_drafts() -> None:
    limiter = RateLimiter(2, clock=Clock())
    first, second, third = (limiter.take("jane") for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.headers() == {"RateLimit-Policy": '"default";q=2;w=60', "RateLimit": '"default";r=1;t=30'}
    assert second.headers()["RateLimit"] == '"default";r=0;t=60'
    assert third.headers()["Retry-After"] == "30"


def test_zero_is_no_limit() -> None:
    assert RateLimiter(0).take("jane") is None


def test_memory_is_for_so_many_keys() -> None:
    clock = Clock()
    limiter = RateLimiter(1, clock=clock, max_keys=3)
    for key in ("a", "b", "c"):
        limiter.take(key)
    limiter.take("a")  # used again: "b" is now the longest unused
    limiter.take("d")
    assert set(limiter._buckets) == {"c", "a", "d"}


@pytest.mark.parametrize(("per_minute", "max_keys"), [(-1, 1), (1, 0)])
def test_what_makes_no_sense_is_refused(per_minute: int, max_keys: int) -> None:
    with pytest.raises(ValueError, match="per_minute"):
        RateLimiter(per_minute, max_keys=max_keys)
