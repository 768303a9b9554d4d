"""What the routes are handed: the application's parts, and who is asking."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Annotated

import anyio
from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from api.auth import Authenticator
from api.job_views import JobViews
from api.jwts import Refused
from api.limits import RateLimiter
from api.problems import Problem
from api.submissions import RuleCheck
from api.watch import Watcher
from models.artifacts import ArtifactStore
from models.batches import BatchRegister
from models.canaries import Canaries
from models.cleaning import Cleaner
from models.database import Database
from models.jobs import Owner
from models.model_catalogue import ModelCatalogue
from models.outbox import Outbox
from models.players import PlayerRegister
from models.promotion import Policy
from models.queue import JobQueue
from models.secrets import OwnerSecrets
from models.uploads import UploadRegister
from models.webhook_urls import WebhookPolicy
from models.worker_models import WorkerModels

PREFIX = "/api/coaches/plus"

bearer = HTTPBearer(
    auto_error=False,
    description=(
        "A token of the operator, an API key (`ff_…`) or a JSON Web Token; it stands for one coach or organisation. "
        "The scope beside an operation is the one it needs; `admin` includes all but `models`, `jobs:write` does not "
        "include `jobs:read`."
    ),
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one caller may ask of the API."""

    max_upload_bytes: int = 4 * 1024**3
    upload_stall_s: float = 30.0
    """An upload that sends nothing for this long is given up."""
    uploads_at_once: int = 16
    """Each holds one thread; more wait their turn, and other requests are not held up."""
    upload_expiry_s: int = 86_400
    """How long a caller may take between `initiate` and `complete`."""
    requests_per_minute: int = 0
    """Of one key, in this process; 0 is no limit."""
    link_expiry_s: int = 3600
    """How long a link to an artifact works."""
    batches_at_once: int = 2
    """Each holds one thread and its lines in memory; more wait their turn."""

    def __post_init__(self) -> None:
        if self.max_upload_bytes < 1 or self.upload_stall_s <= 0 or self.uploads_at_once < 1:
            raise ValueError(f"limits must be positive: {self}")


@dataclass(frozen=True, kw_only=True)
class Services:
    """The parts of the running application, made once at start."""

    database: Database
    queue: JobQueue
    store: ArtifactStore
    authenticator: Authenticator
    rates: RateLimiter
    models: Set[str]
    """Catalogue names that a caller may choose."""
    rule_faults: RuleCheck
    limits: Limits
    version: str
    views: JobViews
    watcher: Watcher
    upload_slots: anyio.CapacityLimiter
    uploads: UploadRegister
    cleaner: Cleaner
    secrets: OwnerSecrets
    batches: BatchRegister
    batch_slots: anyio.CapacityLimiter
    webhook_policy: WebhookPolicy
    outbox: Outbox
    players: PlayerRegister
    catalogue: ModelCatalogue
    worker_models: WorkerModels
    canaries: Canaries
    promotion_policy: Policy | None


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def admit(
    request: Request,
    wanted: SecurityScopes,
    services: Annotated[Services, Depends(_services)],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Owner:
    """Let in whoever may do this and has not asked too often."""
    if credentials is None:
        raise Problem("unauthorized", "Send `Authorization: Bearer <token>`.", headers=_challenge())
    try:
        identity = await services.authenticator.identify(credentials.credentials)
    except Refused as refused:
        headers = _challenge(error="invalid_token", error_description=str(refused))
        raise Problem("unauthorized", str(refused), headers=headers) from None
    rate = services.rates.take(identity.key_id)
    if rate is not None:
        request.state.answer_headers = rate.headers()  # whatever the answer will be, the middleware adds them
        if rate.wait_s:
            raise Problem("rate_limited", f"{rate.quota} requests a minute are allowed; wait {rate.wait_s} s.")
    for scope in wanted.scopes:
        if not identity.may(scope):
            headers = _challenge(error="insufficient_scope", scope=scope)
            raise Problem("forbidden", f"The token lacks the scope `{scope}`.", headers=headers)
    request.state.identity = identity  # for the few routes in which the scope depends on what is there
    return identity.owner


def _challenge(**parameters: str) -> dict[str, str]:
    """What RFC 6750 wants beside a refusal."""
    words = ", ".join(f'{name}="{value}"' for name, value in {"realm": "frontfoot", **parameters}.items())
    return {"WWW-Authenticate": f"Bearer {words}"}


Parts = Annotated[Services, Depends(_services)]
Caller = Annotated[Owner, Security(admit)]
"""Whoever holds a token, whatever its scopes."""
Reader = Annotated[Owner, Security(admit, scopes=["jobs:read"])]
"""Whoever may read (`jobs:read`)."""
Writer = Annotated[Owner, Security(admit, scopes=["jobs:write"])]
"""Whoever may submit and change (`jobs:write`)."""
Operator = Annotated[Owner, Security(admit, scopes=["models"])]
"""Whoever may see and change what all owners are measured with (`models`)."""
Admin = Annotated[Owner, Security(admit, scopes=["admin"])]
"""Whoever may see and change secrets (`admin`)."""
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")]
PageSize = Annotated[int, Query(ge=1, le=200, description="At most this many.")]
