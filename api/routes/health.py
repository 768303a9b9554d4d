"""Is the process alive, and can it do its work? Under the root and under the prefix; neither needs a token."""

from __future__ import annotations

import logging
from collections import Counter

from fastapi import APIRouter

from api.context import PREFIX, Parts
from api.problems import Problem, responses
from api.schemas import Health, Readiness
from models.database import schema_state
from models.errors import SchemaBehind, StoreError

router = APIRouter(tags=["health"])

log = logging.getLogger(__name__)


@router.get("/health/live")
@router.get(f"{PREFIX}/health/live", include_in_schema=False)
async def live(parts: Parts) -> Health:
    """The process answers."""
    return Health(status="live", version=parts.version)


@router.get("/health/ready", responses=responses("schema_behind", "store_unavailable"))
@router.get(f"{PREFIX}/health/ready", include_in_schema=False)
def ready(parts: Parts) -> Readiness:
    """The database is reachable, its schema is current, and the artifact store answers; what workers say beside it."""
    state = schema_state(parts.database)
    if state == "behind":
        raise SchemaBehind
    if state == "unreachable":
        raise Problem("store_unavailable", "The database does not answer.")
    try:
        parts.store.check()
    except StoreError as error:  # a bucket that is not there, or not ours, is as little use as no answer
        log.error("Artifact store not ready: code=%s", error.code, exc_info=error)
        raise Problem("store_unavailable", "The artifact store cannot be used.") from error
    states = Counter(word.state for word in parts.worker_models.list())
    return Readiness(status="ready", version=parts.version, workers=dict(states))
