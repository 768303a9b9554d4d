"""The stills of `analyze --list-people`: whole pictures with everybody who may be chosen in a numbered box."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2

from inference.lineup import Box, Candidate, Lineup
from inference.sampling import AFTER_WINDOW, NOT_SAMPLED
from inference.video import Frame, VideoLimits, open_video
from pipeline.rendering.skeleton import CENTRE, LEFT, OUTLINE, Colour, Image, resized

_WIDEST = 1280
"""Pixels of a still's longer side: somebody small must be known again."""
_JPEG_QUALITY = 85


def draw_lineup(clip: Path, lineup: Lineup, limits: VideoLimits, *, threads: int = 2) -> dict[int, bytes]:
    """Number → JPEG of every person, at the moment of their hint; `clip` is read once.

    Raises `InferenceError` where it cannot be decoded.
    """
    by_frame: dict[int, list[Candidate]] = {}
    for person in lineup.people:
        by_frame.setdefault(person.frame, []).append(person)
    return {
        person.number: _jpeg(_drawn(frame.image, person))
        for frame in _frames(clip, set(by_frame), limits, threads)
        for person in by_frame[frame.index]
    }


def _frames(clip: Path, indices: set[int], limits: VideoLimits, threads: int) -> Iterator[Frame]:
    """These frames, in order; only they are converted, and nothing after the last is decoded."""
    last = max(indices)

    def wanted(index: int, _timestamp_s: float) -> str | None:
        if index in indices:
            return None
        return AFTER_WINDOW if index > last else NOT_SAMPLED

    with open_video(clip, limits, threads=threads) as video:
        yield from video.frames(wanted)


def _drawn(image: Image, person: Candidate) -> Image:
    height, width = image.shape[:2]
    scale = min(1.0, _WIDEST / max(width, height))
    canvas = resized(image, (max(1, round(width * scale)), max(1, round(height * scale))))
    others = [(number, box) for number, box in person.boxes.items() if number != person.number]
    for number, box in others:
        _draw_box(canvas, _scaled(box, scale), str(number), CENTRE)
    _draw_box(canvas, _scaled(person.boxes[person.number], scale), str(person.number), LEFT)
    return canvas


def _scaled(box: Box, scale: float) -> tuple[int, ...]:
    return tuple(round(edge * scale) for edge in box)


def _draw_box(canvas: Image, box: tuple[int, ...], text: str, colour: Colour) -> None:
    """A box with its number on a plate at its upper left corner, inside the picture."""
    left, top, right, bottom = box
    for shade, width in ((OUTLINE, 4), (colour, 2)):
        cv2.rectangle(canvas, (left, top), (right, bottom), shade, width, cv2.LINE_AA)
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.9
    (width, height), below = cv2.getTextSize(text, font, size, 2)
    x = min(max(left, 0), canvas.shape[1] - width - 8)
    y = max(top - height - below - 4, 0)
    cv2.rectangle(canvas, (x, y), (x + width + 8, y + height + below + 4), colour, -1)
    cv2.putText(canvas, text, (x + 4, y + height + 3), font, size, OUTLINE, 2, cv2.LINE_AA)


def _jpeg(canvas: Image) -> bytes:
    flags = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR), flags)
    return bytes(jpeg.tobytes())
