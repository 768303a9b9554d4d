"""The thin HTTP face. Everything comes in as arguments; importing this loads no model, no cluster and no decoder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Set
from contextlib import asynccontextmanager
from typing import Any

import anyio
from fastapi import FastAPI

from api import problems
from api.auth import Authenticator, Tokens
from api.context import Limits, Services
from api.job_views import JobViews
from api.jwts import JwtReader
from api.limits import RateLimiter
from api.metrics import ApiMetrics
from api.middleware import HeadAsGet, RequestLog, SmallBodies
from api.routes import (
    artifacts,
    batches,
    description,
    health,
    jobs,
    model_catalogue,
    players,
    reading,
    sessions,
    upload_links,
    uploads,
    webhooks,
)
from api.submissions import RuleCheck, refuse_own_rules
from api.watch import Watcher
from models.artifacts import ArtifactStore
from models.batches import BatchRegister
from models.canaries import Canaries
from models.cleaning import Cleaner
from models.database import Database
from models.jobs import Owner
from models.keys import KeyRegister
from models.model_catalogue import ModelCatalogue
from models.outbox import Outbox
from models.players import PlayerRegister
from models.promotion import Policy
from models.queue import JobQueue
from models.secrets import OwnerSecrets
from models.uploads import UploadRegister
from models.webhook_urls import WebhookPolicy
from models.worker_models import WorkerModels

_DESCRIPTION = """Cricket video in, an honest coaching report out.

Make a session, `PUT` its video, ask for an analysis, read the job until its `status` is `done`, `failed` or `canceled`.
Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem documents; programs go by `code`.
"""

_TAGS = [
    {"name": "sessions", "description": "One coaching video and who owns it."},
    {"name": "uploads", "description": "A session's video by a link that needs no token, in parts where it is big."},
    {"name": "analysis jobs", "description": "One analysis of one session."},
    {"name": "batches", "description": "Many analyses asked for by one call."},
    {"name": "artifacts", "description": "The files that an analysis leaves."},
    {"name": "players", "description": "One player over the sessions that name them."},
    {"name": "models", "description": "Which pose models there are, and which one workers run; for operators."},
    {"name": "webhooks", "description": "What is sent when a job gets on, and how the sending went."},
    {"name": "health", "description": "For load balancers and people; needs no token."},
]


class _Application(FastAPI):
    """FastAPI, with our problems in its OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        """Describe the API; made once."""
        return problems.describe(super().openapi())


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    services: Services = app.state.services
    await services.watcher.stop()


def create_app(
    *,
    database: Database,
    queue: JobQueue,
    store: ArtifactStore,
    owners: Mapping[str, Owner],
    models: Set[str],
    version: str,
    limits: Limits | None = None,
    jwts: JwtReader | None = None,
    metrics: ApiMetrics | None = None,
    webhook_policy: WebhookPolicy | None = None,
    promotion_policy: Policy | None = None,
    cleaner: Cleaner | None = None,
    rule_faults: RuleCheck = refuse_own_rules,
) -> FastAPI:
    """Build the application.

    `owners` maps each bearer token to whom it stands for; `models` are the catalogue names that a caller may choose.
    `rule_faults` says what is wrong with a caller's own rules; `promotion_policy` is what moving `production` needs.
    API keys of the database are let in as well, and JSON Web Tokens where `jwts` believes them.
    """
    limits, metrics = limits or Limits(), metrics or ApiMetrics()
    watcher = Watcher(database)
    metrics.watch_waiting(lambda: watcher.waiting)
    app = _Application(
        title="Frontfoot",
        version=version,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        openapi_url=None,  # `routes/description.py` has it, behind the token; its viewers load from elsewhere
        generate_unique_id_function=lambda route: route.name,
        # A path with a slash too many is no path of ours; a redirect would drop an upload's body.
        redirect_slashes=False,
        lifespan=_lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.services = Services(
        database=database,
        queue=queue,
        store=store,
        authenticator=Authenticator(tokens=Tokens(owners), keys=KeyRegister(database), jwts=jwts),
        rates=RateLimiter(limits.requests_per_minute),
        models=models,
        rule_faults=rule_faults,
        limits=limits,
        version=version,
        views=JobViews(database),
        watcher=watcher,
        upload_slots=anyio.CapacityLimiter(limits.uploads_at_once),
        uploads=UploadRegister(database, expiry_s=limits.upload_expiry_s),
        cleaner=cleaner or Cleaner(database, store),
        secrets=OwnerSecrets(database),
        batches=BatchRegister(database, max_attempts=queue.max_attempts, ceiling=queue.ceiling),
        batch_slots=anyio.CapacityLimiter(limits.batches_at_once),
        webhook_policy=webhook_policy or WebhookPolicy(),
        outbox=Outbox(database),
        players=PlayerRegister(database),
        catalogue=ModelCatalogue(database),
        worker_models=WorkerModels(database),
        canaries=Canaries(database),
        promotion_policy=promotion_policy,
    )
    problems.install(app)
    app.add_middleware(SmallBodies)
    app.add_middleware(HeadAsGet)
    app.add_middleware(RequestLog, metrics=metrics)
    # The route that is asked for most comes first: they are tried one after the other.
    for routes in (
        reading,
        sessions,
        uploads,
        upload_links,
        jobs,
        batches,
        artifacts,
        players,
        model_catalogue,
        webhooks,
        description,
        health,
    ):
        app.include_router(routes.router)
    app.webhooks.include_router(webhooks.events)
    return app
