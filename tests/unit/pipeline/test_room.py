"""What a stage asks of an actor, of which clip, knowing what."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from inference.poses import ClipInfo
from inference.probe import Survey
from inference.segments import WHOLE
from inference.spans import LEAST_ROOM, ROOM
from models.requests import AnalysisOptions, AnalysisRequest
from pipeline.pool import Wish
from pipeline.stage_run import StageRun
from pipeline.stages import Limits, Stage, extract_request, room_for

QUICK = 24
"""What the quick pass of a clip takes of which nothing is known."""


def request_for(*, slowmo_factor: float = 1.0, sample_fps: float | None = None, deep: bool = True) -> AnalysisRequest:
    options = AnalysisOptions(slowmo_factor=slowmo_factor)
    return AnalysisRequest(analysis_mode="bowling", options=options, sample_fps=sample_fps, deep_enabled=deep)


def surveyed(fps: float, *, seconds: float = 60.0, size: tuple[int, int] = (1920, 1080)) -> Survey:
    clip = ClipInfo(
        width=size[0],
        height=size[1],
        rotation=0,
        duration_s=seconds,
        fps=fps,
        container="mp4",
        codec="h264",
        sha256="0",
    )
    return Survey(clip=clip, segments=(WHOLE,))


def room(stage: Stage, clip: Survey | None, **asked: Any) -> int:
    return room_for(extract_request(stage, request_for(**asked), Limits(), None), clip)


@pytest.mark.parametrize("slowmo_factor", [1.0, 3.0, 8.0])
def test_of_an_unknown_clip_quick_takes_its_ten_frames_a_second_and_deep_a_whole_clip(slowmo_factor: float) -> None:
    assert room("quick", None, slowmo_factor=slowmo_factor) == QUICK
    assert room("deep", None, slowmo_factor=slowmo_factor) == ROOM


def test_a_clip_of_fewer_frames_a_second_takes_less() -> None:
    assert [room("deep", surveyed(fps)) for fps in (240, 30, 25, 12)] == [ROOM, ROOM, 60, 32]
    assert room("quick", surveyed(240)) == QUICK


def test_a_short_clip_takes_its_own_frames() -> None:
    assert room("deep", surveyed(30, seconds=1.0)) == 30
    assert room("deep", surveyed(30, seconds=0.1)) == LEAST_ROOM
    assert room("deep", surveyed(240, seconds=0.1), sample_fps=100) == LEAST_ROOM


def test_a_caller_may_ask_for_fewer() -> None:
    assert room("deep", surveyed(240), sample_fps=12) == room("deep", None, sample_fps=12) == 32


def test_slow_motion_shows_more_frames_of_a_real_second() -> None:
    assert room("deep", surveyed(30), slowmo_factor=8.0) == ROOM
    assert room("deep", surveyed(5), slowmo_factor=4.0) == 48
    assert room("deep", surveyed(30), slowmo_factor=8.0, sample_fps=2) == 40


def test_a_short_window_takes_no_less_for_the_whole_clip_may_be_searched() -> None:
    assert room("quick", surveyed(30), slowmo_factor=8.0, sample_fps=0.7) == LEAST_ROOM
    assert room("quick", surveyed(30, seconds=3600), slowmo_factor=8.0) == QUICK


def test_4k_takes_what_a_whole_clip_does_though_its_spans_are_shorter() -> None:
    assert 56 < room("deep", surveyed(30, size=(3840, 2160))) <= ROOM
    assert room("deep", surveyed(30, seconds=0.2, size=(3840, 2160))) == 18


@pytest.mark.parametrize(
    ("stage", "deep", "clip", "expected"),
    [
        ("quick", True, None, Wish(frames=QUICK, later=ROOM, priority=7)),
        ("quick", False, None, Wish(frames=QUICK, priority=7)),
        ("deep", True, surveyed(30, seconds=1.0), Wish(frames=30, priority=7)),
    ],
)
def test_a_stage_wishes_for_its_own_room_and_says_what_its_job_will_want(
    stage: Stage, deep: bool, clip: Survey | None, expected: Wish
) -> None:
    run = _run(request_for(deep=deep))
    wanted = extract_request(stage, run.request, Limits(), None, priority=7)
    assert run._wish(stage, wanted, clip) == expected
    assert _run(run.request, crashes=1)._wish(stage, wanted, clip).alone


def _run(request: AnalysisRequest, crashes: int = 0) -> StageRun:
    tools: Any = SimpleNamespace(limits=Limits())
    claimed: Any = SimpleNamespace(job=SimpleNamespace(crashes=crashes))
    pulse: Any = None
    generation: Any = None
    return StageRun(
        tools=tools,
        generation=generation,
        claimed=claimed,
        request=request,
        pulse=pulse,
        hand_back=threading.Event(),
    )
