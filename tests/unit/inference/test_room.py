"""How much of an actor a clip takes: what it holds, and nothing less than what it costs anyway."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing

import pytest
from lamps import Lamp, LampNetwork, lamp_estimator, pictures

from inference.batcher import FairBatcher
from inference.pictures import Picture
from inference.spans import LEAST_ROOM, ROOM, SPAN_BYTES, SpanReader, SpanRules, room_of

HD = 1920 * 1080 * 3 // 2
UHD = 3840 * 2160 * 3 // 2
LARGEST = 6144 * 3456 * 3 // 2


@pytest.mark.parametrize(
    ("fps", "room"), [(1, 16), (6, 16), (10, 24), (12.5, 32), (25, 60), (30, ROOM), (240, ROOM), (float("inf"), ROOM)]
)
def test_fewer_pictures_a_second_take_less(fps: float, room: int) -> None:
    assert room_of(fps=fps) == room_of(fps=fps, picture_bytes=HD) == room


@pytest.mark.parametrize("slowmo_factor", [3.0, 7.0, 8.0])
def test_rates_that_floats_cannot_hold_take_no_more(slowmo_factor: float) -> None:
    assert room_of(fps=10 / slowmo_factor * slowmo_factor) == 24


@pytest.mark.parametrize(("frames", "room"), [(0, LEAST_ROOM), (5, LEAST_ROOM), (17, 17), (40.2, 41), (1e9, ROOM)])
def test_no_clip_holds_more_than_it_has(frames: float, room: int) -> None:
    assert room_of(fps=30, frames=frames) == room


def test_what_the_file_does_not_say_may_be_anything() -> None:
    assert room_of(fps=float("nan"), frames=float("nan")) == ROOM


@pytest.mark.parametrize(("picture_bytes", "pictures"), [(HD, 64), (UHD, 4 * 5), (LARGEST, 4 * 4)])
def test_large_pictures_take_the_room_of_the_memory_they_need(picture_bytes: int, pictures: int) -> None:
    held = pictures * picture_bytes
    room = room_of(fps=60, picture_bytes=picture_bytes)
    assert held <= room * SPAN_BYTES / 16 < held + 2 * SPAN_BYTES


@pytest.mark.parametrize(("fps", "slowmo_factor"), [(12.5, 1.0), (30, 1.0), (2, 4.0), (30, 4.0)])
def test_no_more_pictures_are_held_than_it_says(fps: float, slowmo_factor: float) -> None:
    """Decoded and not yet handed out, where every batch is slow: the decoder runs ahead as far as it may."""
    decoded = handed_out = most = 0

    def source(frames: Iterator[Picture]) -> Generator[Picture, None, None]:
        nonlocal decoded, most
        for picture in frames:
            decoded += 1
            most = max(most, decoded - handed_out)
            yield picture

    estimator = lamp_estimator(LampNetwork())

    def slowly(frames: object) -> object:
        time.sleep(0.02)
        return estimator.infer(frames)  # type: ignore[arg-type]

    batcher = FairBatcher(slowly, max_batch=estimator.best_batch)  # type: ignore[arg-type]
    scene = pictures(200, lambda index: [Lamp(x=250 + index, y=380)], fps=fps)
    with closing(batcher), batcher.lane() as lane:
        reader = SpanReader(estimator, lane, SpanRules(slowmo_factor=slowmo_factor))
        with closing(reader.people(source(scene))) as people:
            for _ in people:
                handed_out += 1
    assert not [thread for thread in threading.enumerate() if thread.name == "clip"]
    room = room_of(fps=fps * slowmo_factor)
    assert room / 2 < most <= room + 1, "and the picture that ended the last span"
