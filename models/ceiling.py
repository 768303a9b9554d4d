"""How many unfinished jobs one owner may have."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sqlalchemy import func, literal, select, text
from sqlalchemy.orm import Session as Transaction

from models.errors import TooManyActiveJobs
from models.jobs import Owner
from models.lanes import walk_indexes
from models.tables import ACTIVE, VideoAnalysisJob

REMEMBERED_S = 1.0
"""For how long a count is trusted, less what was admitted since."""
MAX_REMEMBERED = 10_000
"""Owners; beyond it all are forgotten and counted anew."""


class ActiveCeiling:
    """Counts an owner's unfinished jobs at most once a second.

    What other processes admit meanwhile is not seen, so the ceiling may be passed by what they take in a second.
    """

    def __init__(self, limit: int = 0, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        if limit < 0:
            raise ValueError("a ceiling is a number of jobs; 0 is none")
        self.limit = limit
        self._monotonic = monotonic
        self._room: dict[Owner, tuple[int, float]] = {}
        """How many more fit, and until when that is believed."""
        self._lock = threading.Lock()

    def admit(self, transaction: Transaction, owner: Owner, wanted: int = 1) -> None:
        """Let `wanted` more jobs in. Raises TooManyActiveJobs where not all of them fit."""
        if self.limit == 0:
            return
        known = self._known(owner) or (
            self.limit - self._count(transaction, owner),
            self._monotonic() + REMEMBERED_S,
        )
        with self._lock:
            if owner not in self._room and len(self._room) >= MAX_REMEMBERED:
                self._room.clear()
            room, until = self._room.setdefault(owner, known)  # somebody else may have counted meanwhile
            if wanted > room:
                raise TooManyActiveJobs(
                    f"{wanted} more would be too many: at most {self.limit} jobs may be unfinished, "
                    f"there is room for {max(0, room)}."
                )
            self._room[owner] = (room - wanted, until)

    def _known(self, owner: Owner) -> tuple[int, float] | None:
        with self._lock:
            found = self._room.get(owner)
            if found is not None and self._monotonic() >= found[1]:
                del self._room[owner]
                return None
            return found

    def _count(self, transaction: Transaction, owner: Owner) -> int:
        """The owner's unfinished jobs, as far as they matter: never more than the ceiling is looked at."""
        walk_indexes(transaction)  # not the table from its beginning, where the jobs of years ago are
        row = VideoAnalysisJob
        active = (
            select(literal(1))
            .where(row.owner_type == owner.owner_type, row.owner_id == owner.owner_id, text(ACTIVE))
            .limit(self.limit)
        )
        return transaction.scalar(select(func.count()).select_from(active.subquery())) or 0
