"""Server-sent events of one job, as pure functions of its state: which are due, and what they are called.

An event's id says all that its reader has been told. It is made of the row alone, so that any process can go on where
another one stopped.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import NamedTuple, Self

from models.jobs import STAGES
from models.watching import JobState
from models.wire import moment

QUICK_RESULT = "quick_result"
PROGRESS = "progress"

_ID = re.compile(r"(\d{1,9})-([A-Z_]{1,16})-(\d{1,3})-(\d{1,15})", re.ASCII)


class EventId(NamedTuple):
    """What a client knows: how far the job was, and which quick result it has been given."""

    attempt: int
    stage: str
    progress_pct: int
    quick_ms: int
    """When the quick result was made, in milliseconds of the epoch; 0 for none."""

    @classmethod
    def of(cls, state: JobState) -> Self:
        """The id of the last event that is due in this state."""
        return cls(state.attempt, state.stage, state.progress_pct, _ms(state.quick_completed_at))

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Read a `Last-Event-ID`; None where it is none of ours."""
        found = _ID.fullmatch(text or "")
        return cls(int(found[1]), found[2], int(found[3]), int(found[4])) if found else None

    def __str__(self) -> str:
        return "-".join(map(str, self))


class Event(NamedTuple):
    """One event: `progress`, `quick_result`, or how the job ended (`done`, `failed`, `canceled`)."""

    name: str
    id: EventId


def due(told: EventId | None, state: JobState) -> list[Event]:
    """The events between what a client has been told and the state of the job; none where it knows it all.

    States that were passed meanwhile are left out; the quick result never is.
    """
    here = EventId.of(state)
    events = []
    if here.quick_ms and (told is None or told.quick_ms != here.quick_ms):
        low = EventId(state.attempt, STAGES["quick_done"], 50, here.quick_ms)
        events.append(Event(QUICK_RESULT, low))
    if here not in {told, *(event.id for event in events)}:
        events.append(Event(state.status if state.is_terminal else PROGRESS, here))
    return events


def progress_data(job_id: str, state: JobState) -> str:
    """The data of a `progress` event: one line of JSON, words as in `GET`."""
    data = {
        "id": job_id,
        "status": state.status,
        "stage": state.stage,
        "progress_pct": state.progress_pct,
        "attempt": state.attempt,
        "is_terminal": state.is_terminal,
        "cancel_requested_at": moment(state.cancel_requested_at),
        "updated_at": moment(state.updated_at),
    }
    return json.dumps(data)


def _ms(value: datetime | None) -> int:
    return 0 if value is None else round(value.timestamp() * 1000)
