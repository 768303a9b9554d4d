"""A TCP proxy before an HTTP server that can answer 500 in its place, or fall silent."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Literal
from urllib.parse import urlsplit

Mode = Literal["pass", "error", "stall"]

_ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class FaultProxy:
    """Hands bytes through while `mode` is `pass`. A context manager; runs on a thread of its own.

    `error`: open connections break, new ones get 500. `stall`: nothing moves any more, neither old nor new, until the
    mode changes.
    """

    def __init__(self, target_url: str) -> None:
        target = urlsplit(target_url)
        self._target = (target.hostname or "127.0.0.1", target.port or 80)
        self._mode: Mode = "pass"
        self._passing = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self.url = ""
        self.faults = 0
        """Connections that were answered with 500 or held back."""

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(timeout=10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def set(self, mode: Mode) -> None:
        """Change what happens to connections from now on."""
        asyncio.run_coroutine_threadsafe(self._set(mode), self._loop).result(timeout=10)

    async def _start(self) -> None:
        self._passing.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _stop(self) -> None:
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _set(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "stall":
            self._passing.clear()
        else:
            self._passing.set()
        if mode == "error":
            for writer in self._open:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode != "pass":
            self.faults += 1
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if self._mode == "error":
                await reader.readuntil(b"\r\n\r\n")
                writer.write(_ERROR)
                await writer.drain()
            else:
                await self._connect(reader, writer)
        writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passing.wait()
        to_read, to_write = await asyncio.open_connection(*self._target)
        ends = (writer, to_write)
        self._open.update(ends)
        try:
            await asyncio.gather(self._pipe(reader, to_write), self._pipe(to_read, writer))
        finally:
            self._open.difference_update(ends)
            to_write.close()

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(64 * 1024):
            await self._passing.wait()
            sink.write(chunk)
            await sink.drain()
        with suppress(OSError):
            sink.write_eof()
