"""Models that could not be loaded: why, and when each may be tried again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ray.exceptions import ActorDiedError

from models.errors import INTERNAL_ERROR
from pipeline.failures import Failure, failure_of

RETRY_S, LONGEST_RETRY_S = 10.0, 600.0
"""After what may go well the next time; twice as long after each further failure."""
LONGEST_MESSAGE = 2000


@dataclass(frozen=True, slots=True)
class _Refusal:
    failure: Failure
    tries: int
    until: float


class Refusals:
    """Of one worker. `clock` says the seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._refusals: dict[str, _Refusal] = {}

    def note(self, model: str, error: BaseException, *, needed: bool = False) -> Failure:
        """It could not be loaded. Returns what there is to say of that. `needed`: it is tried again in any case."""
        failure = _failure(error)
        tries = self._refusals[model].tries + 1 if model in self._refusals else 1
        again = failure.transient or needed
        delay = min(RETRY_S * 2 ** (tries - 1), LONGEST_RETRY_S) if again else math.inf
        self._refusals[model] = _Refusal(failure, tries, self._clock() + delay)
        return failure

    def why(self, model: str) -> Failure | None:
        """Why it could not be loaded the last time."""
        refusal = self._refusals.get(model)
        return refusal.failure if refusal else None

    def in_force(self) -> frozenset[str]:
        """What is not to be tried now."""
        now = self._clock()
        return frozenset(model for model, refusal in self._refusals.items() if refusal.until > now)

    def tried(self) -> frozenset[str]:
        """What could not be loaded, whether or not it may be tried again by now."""
        return frozenset(self._refusals)

    def forget(self, model: str | None = None) -> None:
        """It is loaded; None: nothing of what was counts any more."""
        if model is None:
            self._refusals.clear()
        else:
            self._refusals.pop(model, None)


def _failure(error: BaseException) -> Failure:
    failure = failure_of(error)
    message, transient = failure.message, failure.transient
    if isinstance(error, ActorDiedError):  # Ray's text ends with what the constructor raised
        message, transient = str(error).strip().splitlines()[-1], True
    elif failure.code == INTERNAL_ERROR:  # its words are of jobs
        message = f"{type(error).__name__}: {error}"
    return Failure(code=failure.code, message=message.replace("\0", "")[:LONGEST_MESSAGE], transient=transient)
