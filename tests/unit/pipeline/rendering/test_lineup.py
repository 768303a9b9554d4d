"""Each person's still is the right frame, with everybody in it in a box of the right colour."""

from __future__ import annotations

from pathlib import Path

import clips
import cv2
import numpy as np

from inference.lineup import Candidate, Lineup
from inference.subject import SubjectHint
from inference.video import VideoLimits, open_video
from pipeline.rendering.lineup import draw_lineup
from pipeline.rendering.skeleton import CENTRE, LEFT

BOXES = {1: (40.0, 60.0, 90.0, 170.0), 2: (150.0, 50.0, 220.0, 180.0)}


def person(number: int, frame: int, *shown: int) -> Candidate:
    return Candidate(
        number=number, prominence=1.0, hint=SubjectHint(x=1.0, y=1.0, time_s=0.0), frame=frame,
        boxes={other: BOXES[other] for other in shown}, first_s=0.0, last_s=0.3, share=1.0,
    )  # fmt: skip


def near(picture: np.ndarray, x: float, y: float, colour: tuple[int, int, int]) -> bool:
    """Whether a box's line runs there: JPEG smears it a little."""
    patch = picture[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].reshape(-1, 3).astype(int)
    return bool(np.abs(patch - colour).max(axis=1).min() < 60)


def test_stills_of_two_people(tmp_path: Path) -> None:
    clip = clips.make(tmp_path / "clip.mp4", clips.Recipe(width=256, height=192, frames=12))
    lineup = Lineup(people=(person(1, 7, 1, 2), person(2, 3, 2)), chosen=1, confidence=1.0)
    stills = draw_lineup(clip, lineup, VideoLimits())
    assert sorted(stills) == [1, 2]
    pictures = {
        number: cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        for number, jpeg in stills.items()
    }
    with open_video(clip, VideoLimits()) as video:
        frames = {frame.index: frame.image.copy() for frame in video.frames(lambda index, time_s: None)}
    for number, frame in ((1, 7), (2, 3)):
        assert pictures[number].shape == (192, 256, 3)
        below = (slice(184, 192), slice(0, 256))  # no box reaches there
        apart = {
            index: float(np.abs(pictures[number][below].astype(int) - image[below]).mean())
            for index, image in frames.items()
        }
        assert min(apart, key=apart.__getitem__) == frame
    assert near(pictures[1], 40, 120, LEFT)
    assert near(pictures[1], 150, 120, CENTRE)
    assert near(pictures[2], 150, 120, LEFT)
    assert not near(pictures[2], 40, 120, LEFT)


def test_a_large_picture_is_shown_smaller(tmp_path: Path) -> None:
    clip = clips.make(tmp_path / "clip.mp4", clips.Recipe(width=2560, height=1440, frames=1))
    lineup = Lineup(people=(person(1, 0, 1),), chosen=1, confidence=1.0)
    picture = cv2.imdecode(np.frombuffer(draw_lineup(clip, lineup, VideoLimits())[1], np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (720, 1280, 3)
    assert near(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), 20, 60, LEFT)
