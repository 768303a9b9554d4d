"""Players: what the sessions that name one say together."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.context import PREFIX, Parts, Reader
from api.player_schemas import PlayerProgress
from api.players import player_progress
from api.problems import responses
from models.requests import Mode

router = APIRouter(
    prefix=f"{PREFIX}/players", tags=["players"], responses=responses("unauthorized", "internal", "store_unavailable")
)


@router.get("/{player_id:path}/progress", responses=responses("not_found", "validation_failed"))
def get_player_progress(
    *,
    parts: Parts,
    owner: Reader,
    player_id: Annotated[str, Path(min_length=1, max_length=255, description="As in a session's `player_ids`.")],
    mode: Annotated[Mode | None, Query(description="Only this discipline.")] = None,
    limit: Annotated[int, Query(ge=2, le=100, description="At most so many sessions, the newest.")] = 50,
) -> PlayerProgress:
    """Follow a player over the caller's sessions: each metric, and whether it changed by more than it may be off.

    Of each session the job that was done last counts, once for each discipline. Sessions that name several players are
    left out: a result does not say whom of them it shows.
    """
    return player_progress(player_id, parts.players.history(owner, player_id, mode=mode, limit=limit))
