"""What is stored of one player: the sessions that name them, and what came of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Select, func, select
from sqlalchemy.orm import Session as Transaction

from models.database import Database
from models.errors import NotFound
from models.jobs import Owner, Session
from models.requests import Mode
from models.rows import owned, session_value
from models.tables import VideoAnalysisJob, VideoSession

_NAMES_OF = {"sqlite": func.json_each, "postgresql": func.json_array_elements_text}
"""By dialect: a JSON list as rows with the column `value`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlayerResult:
    """The last results of one session in one discipline."""

    job_id: str
    mode: str
    results: Mapping[str, Any]
    """The document, of the deep pass where there is one; without the keypoints of every frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlayerSession:
    """A session that names the player."""

    session: Session
    results: tuple[PlayerResult, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlayerHistory:
    """The newest sessions that name a player, the oldest of them first."""

    sessions: tuple[PlayerSession, ...]
    older: bool
    """Whether there are more before them."""


class PlayerRegister:
    """Reads only. A player is a name that an owner gave to their own sessions; it means nothing to anybody else."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def history(self, owner: Owner, player_id: str, *, mode: Mode | None = None, limit: int = 50) -> PlayerHistory:
        """What is stored of a player. Raises NotFound where no session of the owner names them."""
        if "\0" in player_id:  # PostgreSQL takes none, so no session has one
            raise NotFound
        with self._database.transaction(read_only=True) as transaction:
            newest = transaction.scalars(_naming(transaction, owner, player_id).limit(limit + 1)).all()
            if not newest:
                raise NotFound
            rows = newest[limit - 1 :: -1] if len(newest) > limit else newest[::-1]
            found = _last_results(transaction, [row.id for row in rows], mode)
            return PlayerHistory(
                sessions=tuple(
                    PlayerSession(session=session_value(row), results=tuple(found.get(row.id, ()))) for row in rows
                ),
                older=len(newest) > limit,
            )


def _naming(transaction: Transaction, owner: Owner, player_id: str) -> Select[VideoSession]:
    """The owner's sessions that name a player, the newest first; the owner's index has the order."""
    names = _NAMES_OF[transaction.get_bind().dialect.name](VideoSession.player_ids).table_valued("value")
    named = select(names.c.value).where(names.c.value == player_id).exists()
    return owned(VideoSession, owner).where(named).order_by(VideoSession.created_at.desc(), VideoSession.id.desc())


def _last_results(transaction: Transaction, session_ids: list[str], mode: Mode | None) -> dict[str, list[PlayerResult]]:
    """By session, of each discipline the job that was done last."""
    row = VideoAnalysisJob
    done = select(row.id, row.session_id, row.analysis_mode).where(row.session_id.in_(session_ids))
    done = done.where(row.status == "done", row.analysis_mode.is_not(None)).order_by(row.completed_at, row.id)
    if mode is not None:
        done = done.where(row.analysis_mode == mode)
    last = {(session_id, name): job_id for job_id, session_id, name in transaction.execute(done)}
    document = func.coalesce(row.deep_results, row.quick_results, type_=JSON)
    documents = transaction.execute(select(row.id, document).where(row.id.in_(last.values()))).all()
    known = {job_id: {**results, "frames": None} for job_id, results in documents if results is not None}
    found: dict[str, list[PlayerResult]] = {}
    for (session_id, name), job_id in last.items():
        if job_id in known:
            found.setdefault(session_id, []).append(PlayerResult(job_id=job_id, mode=str(name), results=known[job_id]))
    return found
