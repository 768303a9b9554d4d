"""How many requests a key may make: a token bucket a key, in this process, with memory for so many keys and no more."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

WINDOW_S = 60
MAX_KEYS = 10_000
"""A key that was not used for a minute has a full bucket again, so forgetting the longest unused one costs nothing."""

_HAIR = 1e-6
"""A refill that ends a hair below a whole request is one: the client did wait as long as it was told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """What a key has left after a request, as the `RateLimit` headers say it."""

    quota: int
    """Requests a minute; also how many may come at once."""
    remaining: int
    reset_s: int
    """Seconds until the quota is whole again."""
    wait_s: int
    """Seconds until another request is allowed; 0: this one is."""

    def headers(self) -> Mapping[str, str]:
        """The fields of draft-ietf-httpapi-ratelimit-headers, and `Retry-After` where the request is refused."""
        fields = {
            "RateLimit-Policy": f'"default";q={self.quota};w={WINDOW_S}',
            "RateLimit": f'"default";r={self.remaining};t={self.reset_s}',
        }
        return {**fields, "Retry-After": str(self.wait_s)} if self.wait_s else fields


class RateLimiter:
    """Buckets of `per_minute` requests that fill again at that rate; for one event loop, not for threads."""

    def __init__(
        self, per_minute: int, *, clock: Callable[[], float] = time.monotonic, max_keys: int = MAX_KEYS
    ) -> None:
        if per_minute < 0 or max_keys < 1:
            raise ValueError(f"per_minute {per_minute}, max_keys {max_keys}")
        self._quota = per_minute
        self._per_s = per_minute / WINDOW_S
        self._now = clock
        self._max_keys = max_keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Key → what its bucket held at a moment, the longest unused first."""

    def take(self, key: str) -> Rate | None:
        """Count one request of a key; a refused one costs nothing. None where there is no limit."""
        if not self._quota:
            return None
        now = self._now()
        held, at = self._buckets.pop(key, (float(self._quota), now))
        held = min(float(self._quota), held + (now - at) * self._per_s)
        allowed = held >= 1 - _HAIR
        held = max(0.0, held - 1) if allowed else held
        self._buckets[key] = (held, now)
        if len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)
        return Rate(
            quota=self._quota,
            remaining=int(held) if allowed else 0,
            reset_s=self._seconds_for(self._quota - held),
            wait_s=0 if allowed else max(1, self._seconds_for(1 - held)),
        )

    def _seconds_for(self, requests: float) -> int:
        return math.ceil(requests / self._per_s - _HAIR)
