"""JSON Lines, line by line."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from api.bulk import MAX_LINES, LineRules, Lines, read_lines
from api.middleware import MAX_JSON_BYTES
from api.problems import Problem
from models.batches import NewSession
from models.errors import BucketNotAllowed, WebhookUrlRefused

SESSION = "7f8b6c1e-6f0a-4a55-9a53-0d1c6f7f3c11"
GOOD = {"session_id": SESSION, "analysis_mode": "bowling"}


def check_url(url: str) -> None:
    if "private" in url:
        raise WebhookUrlRefused


def locate(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if bucket != "clips":
        raise BucketNotAllowed
    return bucket, key


RULES = LineRules(models={"yolo11n-pose"}, rule_faults=lambda rules: (), check_webhook_url=check_url, locate=locate)


def read(*lines: Any) -> Lines:
    raw = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    return read_lines(io.BytesIO(raw), RULES)


def test_a_line_says_what_a_single_request_would() -> None:
    asked = GOOD | {
        "camera_view": "side",
        "priority": 7,
        "model": "yolo11n-pose",
        "tags": ["nets"],
        "metadata": {"row": "1"},
        "webhook_url": "https://example.org/hook",
        "options": {"height_m": 1.8},
    }
    (item,) = read(asked).items
    assert (item.line, item.session, item.order.priority) == (1, SESSION, 7)
    assert (item.order.request.camera_view, item.order.request.options.height_m) == ("side", 1.8)
    assert (item.order.extras.tags, item.order.extras.metadata) == (("nets",), {"row": "1"})


def test_a_line_may_name_its_video() -> None:
    asked = {"source_uri": "s3://clips/may/nets.mp4", "analysis_mode": "batting", "camera_view": "front"}
    more = {"title": "Nets", "session_type": "bowling", "notes": "New bat.", "player_ids": ["p"]}
    first, second = read(asked, asked | more).items
    assert first.session == NewSession(
        title="nets.mp4",
        session_type="batting",
        notes=None,
        camera_view="front",
        player_ids=(),
        bucket="clips",
        key="may/nets.mp4",
    )
    assert isinstance(second.session, NewSession)
    assert (second.session.title, second.session.session_type, second.session.notes) == ("Nets", "bowling", "New bat.")


def test_lines_are_counted_as_an_editor_does() -> None:
    lines = read(GOOD, b"", b"  \r", GOOD, b"{", GOOD, b"")
    assert [item.line for item in lines.items] == [1, 4, 6]
    assert [rejection.line for rejection in lines.rejected] == [5]


@pytest.mark.parametrize(
    ("line", "code", "errors"),
    [
        (b"{", "validation_failed", [("line", "json_invalid")]),
        (b"\xff\xfe", "validation_failed", [("line", "json_invalid")]),
        (b"[" * 5000, "validation_failed", [("line", "json_invalid")]),
        ([], "validation_failed", [("line", "model_type")]),
        ({"session_id": SESSION}, "validation_failed", [("analysis_mode", "missing")]),
        (GOOD | {"session_id": "one"}, "validation_failed", [("session_id", "uuid_parsing")]),
        (GOOD | {"fps": 30}, "validation_failed", [("fps", "extra_forbidden")]),
        (GOOD | {"tags": ["*"]}, "validation_failed", [("tags.0", "string_pattern_mismatch")]),
        ({"analysis_mode": "bowling"}, "validation_failed", [("line", "value_error")]),
        (GOOD | {"source_uri": "s3://clips/a.mp4"}, "validation_failed", [("line", "value_error")]),
        (GOOD | {"title": "Nets"}, "validation_failed", [("line", "value_error")]),
        (GOOD | {"model": "yolo99"}, "model_unknown", [("model", "model_unknown")]),
        (GOOD | {"webhook_url": "https://private/"}, "webhook_url_refused", []),
        ({"source_uri": "s3://other/a.mp4", "analysis_mode": "bowling"}, "bucket_not_allowed", []),
        (GOOD | {"metadata": {"k": "x" * MAX_JSON_BYTES}}, "request_too_large", []),
    ],
)
def test_a_wrong_line_is_told_and_stops_no_other(line: Any, code: str, errors: list[tuple[str, str]]) -> None:
    lines = read(GOOD, line, GOOD)
    assert [item.line for item in lines.items] == [1, 3]
    (rejection,) = lines.rejected
    assert (rejection.line, rejection.code) == (2, code)
    assert rejection.detail
    assert [(error["field"], error["code"]) for error in rejection.errors] == errors


def test_what_is_told_of_a_line_is_bounded() -> None:
    (rejection,) = read(GOOD | {f"{number}{'x' * 1000}": 1 for number in range(100)}).rejected
    assert len(json.dumps(rejection.errors)) < 3000
    assert len(rejection.detail) < 3000


def test_ten_thousand_lines_are_the_end() -> None:
    assert len(read(*[GOOD] * MAX_LINES, b"").items) == MAX_LINES
    for more in (GOOD, b"{"):
        with pytest.raises(Problem, match="at most 10000 lines") as refused:
            read(*[GOOD] * MAX_LINES, more)
        assert refused.value.code == "batch_too_large"


@pytest.mark.parametrize("body", [b"", b"\n\n  \n"])
def test_nothing_is_no_batch(body: bytes) -> None:
    with pytest.raises(Problem) as refused:
        read_lines(io.BytesIO(body), RULES)
    assert refused.value.code == "validation_failed"
