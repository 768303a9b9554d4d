"""Make items on a thread of their own, a few ahead of whoever takes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


def ahead(items: Generator[T, None, None], *, depth: int = 1) -> Generator[T, None, None]:
    """Yield `items` in order; at most `depth` wait to be taken, and one more is in the making.

    What making them raises is raised here, after all items before it. The thread has ended when this generator has:
    exhausted, failed or closed, so close it (`contextlib.closing`) where you may leave early.
    """
    made: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
    room = threading.Semaphore(depth)
    unwanted = threading.Event()

    def produce() -> None:
        error: BaseException | None = None
        try:
            with closing(items):
                for item in items:
                    room.acquire()
                    if unwanted.is_set():
                        break
                    made.put(item)
        except BaseException as caught:  # noqa: BLE001  # whatever it is, it belongs to the thread that waits for us
            error = caught
        finally:
            made.put(_End(error))

    thread = threading.Thread(target=produce, name="clip", daemon=True)
    thread.start()
    try:
        while not isinstance(item := made.get(), _End):
            room.release()
            yield item
        if item.error is not None:
            raise item.error
    finally:
        unwanted.set()
        room.release()
        thread.join()
