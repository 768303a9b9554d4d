"""Made on another thread, taken on this one: order, errors, how far ahead, and that nothing is left behind."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import islice

import pytest

from inference.ahead import ahead

PATIENCE_S = 30
"""Far longer than anything here takes; only a fault waits so long."""


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name == "clip"] == []


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.002)


class Source:
    """Numbers, with a look at who makes them, how many were made, and whether it was closed."""

    def __init__(self, *, fails_at: int | None = None) -> None:
        self.made: list[int] = []
        self.threads: set[int] = set()
        self.closed = threading.Event()
        self._fails_at = fails_at

    def numbers(self, count: int) -> Generator[int, None, None]:
        try:
            for number in range(count):
                if number == self._fails_at:
                    raise KeyError(number)
                self.threads.add(threading.get_ident())
                self.made.append(number)
                yield number
        finally:
            self.closed.set()


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_items_come_in_order_and_are_made_on_one_other_thread(depth: int) -> None:
    source = Source()
    assert list(ahead(source.numbers(100), depth=depth)) == list(range(100))
    assert len(source.threads) == 1
    assert threading.get_ident() not in source.threads
    assert source.closed.is_set()


def test_nothing_comes_of_nothing() -> None:
    assert list(ahead(Source().numbers(0))) == []


@pytest.mark.parametrize("fails_at", [0, 1, 5])
def test_an_error_comes_after_the_items_before_it(fails_at: int) -> None:
    source = Source(fails_at=fails_at)
    taken: list[int] = []
    with pytest.raises(KeyError, match=str(fails_at)):
        taken.extend(ahead(source.numbers(9)))
    assert taken == list(range(fails_at))
    assert source.closed.is_set()


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_is_made_ahead_than_was_said(depth: int) -> None:
    source = Source()
    with closing(ahead(source.numbers(50), depth=depth)) as items:
        assert next(items) == 0
        # One was taken, `depth` wait, one more is made and waits to join them.
        eventually(lambda: len(source.made) == depth + 2)
        time.sleep(0.05)
        assert len(source.made) == depth + 2
        assert list(items) == list(range(1, 50))


def test_leaving_early_ends_the_thread_and_closes_the_source() -> None:
    source = Source()
    with closing(ahead(source.numbers(10**9))) as items:
        assert list(islice(items, 5)) == [0, 1, 2, 3, 4]
    assert source.closed.is_set()
    assert len(source.made) <= 8


def test_an_error_of_whoever_takes_ends_the_thread_too() -> None:
    source = Source()
    with pytest.raises(ZeroDivisionError), closing(ahead(source.numbers(10**9))) as items:
        deque(1 // (item - 3) for item in items)
    assert source.closed.is_set()


def test_what_closing_the_source_raises_is_not_lost() -> None:
    def numbers() -> Generator[int, None, None]:
        try:
            yield 0
        finally:
            raise OSError("the file cannot be closed")

    taken: list[int] = []
    with pytest.raises(OSError, match="cannot be closed"):
        taken.extend(ahead(numbers()))
    assert taken == [0]


def test_a_generator_that_was_never_started_leaves_nothing_behind() -> None:
    source = Source()
    ahead(source.numbers(3)).close()
    assert source.made == []
