"""A player's stored sessions as their progress: a pure function of what is stored."""

from __future__ import annotations

from pydantic import ValidationError

from api.player_schemas import LeftOutRead, PlayerDiscipline, PlayerProgress, PlayerSessionRead
from models.documents import Results
from models.players import PlayerHistory
from models.progress import Session, progress

SEVERAL_PLAYERS = "the session names several players, so whose results these are is not known"
UNREADABLE = "another version wrote these results: derive them anew (frontfoot rederive)"


def player_progress(player_id: str, history: PlayerHistory) -> PlayerProgress:
    """Follow every discipline by itself; what cannot be followed is named with the reason."""
    left_out: list[LeftOutRead] = []
    known: dict[str, list[tuple[str, str, Session]]] = {}
    for one in history.sessions:
        session = one.session
        for result in one.results:
            if len(set(session.player_ids)) > 1:
                left_out.append(LeftOutRead(session_id=session.id, job_id=result.job_id, reason=SEVERAL_PLAYERS))
                continue
            try:
                results = Results.model_validate(result.results)
            except ValidationError:
                left_out.append(LeftOutRead(session_id=session.id, job_id=result.job_id, reason=UNREADABLE))
                continue
            made = session.created_at.date().isoformat()
            followed = Session(label=session.title, date=made, results=results)
            known.setdefault(results.mode, []).append((session.id, result.job_id, followed))
    disciplines = [_discipline(found) for _, found in sorted(known.items())]
    return PlayerProgress(player_id=player_id, disciplines=disciplines, left_out=left_out, older=history.older)


def _discipline(found: list[tuple[str, str, Session]]) -> PlayerDiscipline:
    followed = progress([session for _, _, session in found])
    sessions = [
        PlayerSessionRead(session_id=session_id, job_id=job_id, **document.model_dump())
        for (session_id, job_id, _), document in zip(found, followed.sessions, strict=True)
    ]
    return PlayerDiscipline(mode=followed.mode, sessions=sessions, metrics=followed.metrics)
