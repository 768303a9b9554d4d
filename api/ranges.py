"""HTTP byte ranges (RFC 9110, section 14), as far as seeking in a video needs them: one range a request."""

from __future__ import annotations

import re
from dataclasses import dataclass

from api.problems import Problem

_ONE_RANGE = re.compile(r"bytes=(?P<first>\d{1,18})?-(?P<last>\d{1,18})?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ByteRange:
    """Bytes `first` to `last`, both included, of `size`."""

    first: int
    last: int
    size: int

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last < self.size:
            raise ValueError(f"no such range: {self.first}-{self.last}/{self.size}")

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.last - self.first + 1

    @property
    def content_range(self) -> str:
        """Value of the `Content-Range` header."""
        return f"bytes {self.first}-{self.last}/{self.size}"


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """Read a `Range` header for something of `size` bytes; None means the whole.

    A header we do not understand (another unit, several ranges, last before first) is ignored, as the RFC allows. One
    that starts behind the end raises `Problem("range_not_satisfiable")`.
    """
    found = _ONE_RANGE.fullmatch(header.replace(" ", "")) if header else None
    if found is None or found["first"] is found["last"] is None:
        return None
    if found["first"] is None:
        first, last = max(size - int(found["last"]), 0), size - 1
    else:
        first, last = int(found["first"]), size - 1
        if found["last"] is not None:
            if int(found["last"]) < first:
                return None
            last = min(int(found["last"]), last)
    if first > last:
        raise Problem("range_not_satisfiable", headers={"Content-Range": f"bytes */{size}"})
    return ByteRange(first=first, last=last, size=size)
