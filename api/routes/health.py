"""Is the process alive, and can it do its work? Under the root and under the prefix; neither needs a token."""

from __future__ import annotations

from fastapi import APIRouter

from api.context import PREFIX, Parts
from api.problems import Problem, responses
from api.schemas import Health
from models.database import schema_state
from models.errors import SchemaBehind

router = APIRouter(tags=["health"])


@router.get("/health/live")
@router.get(f"{PREFIX}/health/live", include_in_schema=False)
async def live(parts: Parts) -> Health:
    """The process answers."""
    return Health(status="live", version=parts.version)


@router.get("/health/ready", responses=responses("schema_behind", "store_unavailable"))
@router.get(f"{PREFIX}/health/ready", include_in_schema=False)
def ready(parts: Parts) -> Health:
    """The database is reachable, its schema is current, and the artifact store answers."""
    state = schema_state(parts.database)
    if state == "behind":
        raise SchemaBehind
    if state == "unreachable":
        raise Problem("store_unavailable", "The database does not answer.")
    parts.store.exists(parts.store.bucket, "health")  # nothing is there; what counts is that the store answers
    return Health(status="ready", version=parts.version)
