"""What a worker says of its model: a word for its situation, written down when it changes and now and then."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import suppress

from models.database import Database
from models.errors import StoreError
from models.worker_models import CanaryState, WorkerModel, WorkerModels, WorkerState
from pipeline.failures import Failure
from pipeline.rollout import Situation

logger = logging.getLogger(__name__)

SAY_S = 30.0
"""How often a worker says what it runs although nothing has changed."""

Why = Callable[[str], Failure | None]
"""`name@version` → why it could not be loaded the last time."""


def word_of(now: Situation, *, worker_id: str, follows: str | None, why: Why) -> WorkerModel:
    """What there is to say of a worker in this situation, which has come to rest."""
    canary = None if now.canary == now.wanted else now.canary
    failure = why(now.wanted) or (why(canary) if canary else None)
    return WorkerModel(
        worker_id=worker_id,
        follows=follows,
        model=now.serving,
        state=_state(now, why),
        wanted=None if now.serving == now.wanted else now.wanted,
        error_code=failure.code if failure else None,
        error_message=failure.message if failure else None,
        canary=canary,
        canary_state=_canary_state(now, canary, why) if canary else None,
    )


def _state(now: Situation, why: Why) -> WorkerState:
    others = [one for one in now.held if one.model != now.serving and not one.canary]
    if now.serving == now.wanted:
        return "ready"
    if any(not one.former for one in others):
        return "loading"
    if why(now.wanted):
        return "failed"
    return "emptying" if any(now.serving is None or one.shut for one in others) else "loading"


def _canary_state(now: Situation, canary: str, why: Why) -> CanaryState:
    there = now.find(canary)
    if there is not None:
        return "ready" if there.proven and not there.shut else "loading"
    if why(canary):
        return "failed"
    return "no_room" if now.room == "none" else "loading"


class Speaker:
    """Writes down one worker's words."""

    def __init__(self, database: Database, worker_id: str, clock: Callable[[], float]) -> None:
        """`clock` says the seconds."""
        self._register = WorkerModels(database)
        self._worker_id = worker_id
        self._clock = clock
        self._said: WorkerModel | None = None
        self._said_at = -math.inf

    def say(self, word: WorkerModel, lacks: str | None) -> None:
        """Write it down, if it is new or was said long ago. `lacks`: of what there is too little, where there is."""
        now = self._clock()
        if word == self._said and now < self._said_at + SAY_S:
            return
        if word.canary_state == "no_room" and (self._said is None or self._said.canary_state != "no_room"):
            fields = {"canary": word.canary, "lacks": lacks}
            words = "No room for the canary, so this worker runs none: canary=%s %s"
            logger.warning(words, *fields.values(), extra=fields)
        try:
            self._register.say(word)
        except StoreError:
            return  # it is said again the next time
        self._said, self._said_at = word, now

    def take_back(self) -> None:
        """The worker has stopped, and nothing that it said is so any more."""
        with suppress(StoreError):
            self._register.forget(self._worker_id)
