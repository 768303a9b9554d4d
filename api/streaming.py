"""Request bodies for code that runs in a thread: one chunk at a time, so memory is bounded by a chunk, not a video."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import anyio
import anyio.from_thread
from starlette.requests import Request

from api.problems import Problem


def body_chunks(request: Request, *, stall_timeout_s: float) -> Iterator[bytes]:
    """Pull the body of `request` from a worker thread started by anyio; the socket waits while nobody pulls.

    Raises `Problem("upload_stalled")` where no byte came for `stall_timeout_s`, and `ClientDisconnect` where the client
    went away: both reach whoever is writing the chunks, who then throws the half away.
    """
    stream = request.stream()

    async def next_chunk() -> bytes:
        try:
            with anyio.fail_after(stall_timeout_s):
                return await anext(stream, b"")
        except TimeoutError as error:
            raise Problem("upload_stalled", f"No byte arrived for {stall_timeout_s:g} s.") from error

    while chunk := anyio.from_thread.run(next_chunk):
        yield chunk


def peek(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Look at the first `size` bytes (fewer where there are no more); the second value still yields everything."""
    head = b""
    while len(head) < size and (chunk := next(chunks, b"")):
        head += chunk
    return head[:size], chain((head,) if head else (), chunks)
