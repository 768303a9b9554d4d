"""Which server-sent events are due, by what a client has been told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.events import EventId, due, progress_data
from models.jobs import STAGES, JobStatus
from models.watching import JobState

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
QUICK_MS = 1777887000000


def state(
    status: JobStatus, progress_pct: int = 0, *, quick: bool = False, attempt: int = 1, **values: Any
) -> JobState:
    return JobState(
        status=status,
        stage=STAGES[status],
        progress_pct=progress_pct,
        attempt=attempt,
        cancel_requested_at=None,
        quick_completed_at=NOW if quick else None,
        updated_at=NOW,
    )._replace(**values)


def told(text: str | None, now: JobState) -> list[tuple[str, str]]:
    return [(event.name, str(event.id)) for event in due(EventId.parse(text), now)]


def test_a_whole_life_is_told_once() -> None:
    life = [
        state("queued", attempt=0),
        state("quick_running"),
        state("quick_running", 30),
        state("quick_done", 50, quick=True),
        state("deep_running", 50, quick=True),
        state("deep_running", 80, quick=True),
        state("done", 100, quick=True),
    ]
    heard: list[tuple[str, str]] = []
    for step in life:
        heard += told(heard[-1][1] if heard else None, step)
        assert told(heard[-1][1], step) == []
    assert heard == [
        ("progress", "0-QUEUED-0-0"),
        ("progress", "1-QUICK-0-0"),
        ("progress", "1-QUICK-30-0"),
        ("quick_result", f"1-QUICK_DONE-50-{QUICK_MS}"),
        ("progress", f"1-DEEP-50-{QUICK_MS}"),
        ("progress", f"1-DEEP-80-{QUICK_MS}"),
        ("done", f"1-DONE-100-{QUICK_MS}"),
    ]


def test_a_quick_result_that_was_passed_is_told_all_the_same() -> None:
    done = state("done", 100, quick=True)
    assert [name for name, _ in told("1-QUICK-30-0", done)] == ["quick_result", "done"]
    # A connection that broke between the two is not told the first one twice.
    (first, first_id), (_, last_id) = told(None, done)
    assert (first, told(first_id, done)) == ("quick_result", [("done", last_id)])


def test_a_retry_keeps_the_quick_result_and_tells_a_newer_one() -> None:
    waiting = state("queued", 0, quick=True)
    assert told(f"1-DEEP-80-{QUICK_MS}", waiting) == [("progress", f"1-QUEUED-0-{QUICK_MS}")]
    again = state("deep_running", 50, quick=True, attempt=2, quick_completed_at=NOW + timedelta(seconds=1))
    assert [name for name, _ in told(f"2-QUICK-40-{QUICK_MS}", again)] == ["quick_result", "progress"]


@pytest.mark.parametrize("status", ["done", "failed", "canceled"])
def test_the_last_event_is_called_by_how_the_job_ended(status: JobStatus) -> None:
    assert [name for name, _ in told("1-QUICK-30-0", state(status, 30))] == [status]


@pytest.mark.parametrize(
    "text", [None, "", "7", "1-QUICK-30", "1-quick-30-0", "1-QUICK-30-0-5", "٣-QUICK-30-0", "9" * 99]
)
def test_an_id_that_is_not_ours_tells_nothing(text: str | None) -> None:
    assert EventId.parse(text) is None


def test_progress_is_one_line_of_the_words_of_get() -> None:
    data = progress_data("job-1", state("quick_running", 30, cancel_requested_at=NOW))
    assert "\n" not in data
    assert json.loads(data) == {
        "id": "job-1",
        "status": "quick_running",
        "stage": "QUICK",
        "progress_pct": 30,
        "attempt": 1,
        "is_terminal": False,
        "cancel_requested_at": "2026-05-04T09:30:00Z",
        "updated_at": "2026-05-04T09:30:00Z",
    }
