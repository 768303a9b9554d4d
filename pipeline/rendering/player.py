"""What the page's script is handed, and the script itself with the checksum that lets it run and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from inference.poses import Skeleton
from pipeline.rendering.encode import Piece
from pipeline.rendering.moments import EVENT_SHOWN_S, Moment
from pipeline.rendering.proxy import Proxy
from pipeline.rendering.skeleton import CENTRE, OUTLINE, Colour, side_colours

_TEMPLATES = Path(__file__).parent / "templates"


@cache
def script() -> str:
    """The player's source. It must not hold `</script`."""
    return (_TEMPLATES / "report.js").read_text(encoding="utf-8")


def policy(*, plays: bool) -> str:
    """The page's Content-Security-Policy: nothing is fetched, and no script runs but the player's own, if it plays."""
    rules = [
        "default-src 'none'",
        "img-src data:",
        "style-src 'unsafe-inline'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    if plays:
        digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
        rules += ["media-src blob:", f"script-src 'sha256-{digest}'"]
    return "; ".join(rules)


def player_data(proxy: Proxy, skeleton: Skeleton, events: Sequence[Moment]) -> str:
    """JSON for the player, without any words in it, so that nothing in it can become markup.

    `times` are little-endian doubles and `points` 16-bit integers (T, K, 2) in sixteenths of a pixel, as base64.
    """
    colours = side_colours(skeleton)
    return json.dumps(
        {
            "pieces": [_piece(piece) for piece in proxy.pieces],
            "times": _base64(proxy.times_s.astype("<f8").tobytes()),
            "points": _base64(proxy.points.astype("<i2").tobytes()),
            "limbs": [
                [first, second, _css(colours[first] if colours[first] == colours[second] else CENTRE)]
                for first, second in skeleton.limbs
            ],
            "joints": [_css(colour) for colour in colours],
            "outline": _css(OUTLINE),
            "events": [
                {"index": index, "time": event.time_s, "within": max(event.half_width_s, EVENT_SHOWN_S)}
                for index, event in enumerate(events)
            ],
        },
        separators=(",", ":"),
        allow_nan=False,
    )


def _piece(piece: Piece) -> dict[str, float]:
    return {"start": piece.start_s, "end": piece.end_s, "shown": piece.shown_s}


def _css(colour: Colour) -> str:
    return f"rgb({colour[0]} {colour[1]} {colour[2]})"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
