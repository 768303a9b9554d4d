"""The long-running commands: the API, the worker, and both together on one machine."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
import uvicorn
from alembic.util import CommandError

from frontfoot import exits, logs, metrics, model_choice, wiring
from frontfoot.following import followed
from frontfoot.settings import Settings, new_token
from frontfoot.signals import Signals
from migrations import upgrade
from models.access import parse_owner
from models.database import Database, SchemaState, schema_state
from models.errors import StoreError, StoreUnavailable
from models.keys import KeyRegister
from models.known_models import KnownModels
from models.model_catalogue import ModelCatalogue
from models.tables import SCHEMA_REVISIONS

if TYPE_CHECKING:
    from fastapi import FastAPI
    from prometheus_client import CollectorRegistry

    from api.jwts import JwtReader
    from models.promotion import Policy
    from pipeline.cluster import ClusterOptions

logger = logging.getLogger(__name__)

API_GRACE_S = 10
"""How long a stop waits for requests in flight."""
_NOT_YET: dict[SchemaState, str] = {
    "behind": f"schema_behind: this code needs revision {SCHEMA_REVISIONS[-1]}; run `alembic upgrade head`",
    "unreachable": "store_unavailable: the database does not answer",
}


def migrate() -> None:
    """Bring the database to the newest schema."""
    settings = Settings()
    logs.configure(settings.log_level)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        upgrade(settings.database_url)
    except CommandError as error:
        logger.error("Migration failed: %s", error)
        raise typer.Exit(exits.ERROR) from None
    logger.info("Database is at the newest schema")


def api(*, host: str | None, port: int | None) -> None:
    """Serve HTTP until SIGINT or SIGTERM."""
    settings = _settings(host=host, port=port)
    logs.configure(settings.log_level)
    _check_that_somebody_can_call(settings)
    with (
        Signals() as signals,
        metrics.serving(settings) as registry,
        _serving(settings, registry, signals.stop) as url,
    ):
        logger.info("API listening: url=%s", url, extra={"url": url})
        signals.stop.wait()


def worker() -> None:
    """Run jobs until SIGTERM or SIGINT; a second one hands running jobs back at once."""
    settings = Settings()
    logs.configure(settings.log_level)
    with Signals() as signals, metrics.serving(settings) as registry:
        _run_worker(settings, registry, signals)


def up(*, host: str | None, port: int | None, data: Path | None) -> None:
    """SQLite, a folder, local Ray, API and worker: everything in one command."""
    with Signals() as signals:
        settings = _settings(host=host, port=port, data_dir=data)
        logs.configure(settings.log_level)
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        upgrade(settings.database_url)
        if not settings.tokens:
            settings = settings.model_copy(update={"tokens": {_kept_token(settings.data_dir): "coach:local"}})
        with metrics.serving(settings) as registry, _serving(settings, registry, signals.stop) as url:
            typer.echo(f"Frontfoot is at {url}")
            typer.echo(f"Token: {next(iter(settings.tokens))}")
            _run_worker(settings, registry, signals)


def _run_worker(settings: Settings, registry: CollectorRegistry, signals: Signals) -> None:
    _wait_for_the_schema(settings, signals.stop)
    if signals.stop.is_set():
        return
    from pipeline.cluster import Cluster

    cluster = Cluster(_cluster_options(settings))
    try:
        cluster.start(signals.stop, on_connected=signals.install)
        # Only now: what it imports loads ray, which reads its environment when it is loaded.
        from pipeline.follow import FollowOptions
        from pipeline.metrics import WorkerMetrics
        from pipeline.worker import Worker, WorkerOptions

        storage_options = wiring.storage_options(settings)
        with closing(storage_options.open()) as storage:
            Worker(
                storage_options=storage_options,
                cluster=cluster,
                limits=wiring.limits(settings),
                options=WorkerOptions(
                    poll_s=settings.poll_s,
                    grace_s=settings.grace_s,
                    stall_s=settings.stall_s,
                    follow=FollowOptions(warm_s=settings.warm_s),
                ),
                housekeeping=wiring.housekeeping_options(settings),
                metrics=WorkerMetrics(registry),
                models=followed(settings, storage),
            ).run(signals.stop, signals.hand_back)
    finally:
        cluster.stop()


def _cluster_options(settings: Settings) -> ClusterOptions:
    """What the actors load is looked up and fetched here; one clear line and an end where there is nothing to load."""
    from inference.errors import WeightsRejected

    try:
        return wiring.cluster_options(settings)
    except (StoreError, WeightsRejected) as error:
        fields = {"model": settings.model, "error_code": error.code}
        logger.error("No model to run: model=%s error_code=%s %s", *fields.values(), error.message, extra=fields)
        raise typer.Exit(exits.ERROR if error.transient else exits.USAGE) from None


def _wait_for_the_schema(settings: Settings, stop: threading.Event) -> None:
    """A worker that was deployed before the migration has nothing to do yet: it says so, and claims nothing."""
    database = Database(settings.database_url)
    said = None
    while (state := schema_state(database)) != "current" and not stop.is_set():
        if state != said:
            sentence, said = _NOT_YET[state], state
            logger.warning("Worker waits: %s", sentence, extra={"schema": state, "needed": SCHEMA_REVISIONS[-1]})
        stop.wait(settings.poll_s)
    database.close()


def _settings(**overrides: Any) -> Settings:
    chosen = {key: value for key, value in overrides.items() if value is not None}
    return Settings(**chosen)


def _check_that_somebody_can_call(settings: Settings) -> None:
    """An API without tokens opens to nobody, so it does not start; a database that does not answer may hold keys."""
    if settings.tokens or wiring.jwt_wanted(settings):
        return
    database = Database(settings.database_url)
    try:
        callable_by_key = KeyRegister(database).any_usable()
    except StoreUnavailable:
        callable_by_key = not settings.database_url.startswith("sqlite")
    finally:
        database.close()
    if not callable_by_key:
        raise typer.BadParameter(
            "nobody could call the API: set FRONTFOOT_TOKENS or FRONTFOOT_JWT_…, or make a key: frontfoot keys create",
            param_hint="FRONTFOOT_TOKENS",
        )


def _jwt_reader(settings: Settings) -> JwtReader | None:
    from api.jwts import JwtReader

    try:
        options = wiring.jwt_options(settings)
        return None if options is None else JwtReader(options)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error), param_hint="FRONTFOOT_JWT_…") from None


def _promotion_policy(settings: Settings) -> Policy | None:
    try:
        return wiring.promotion_policy(settings)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="FRONTFOOT_PROMOTION_POLICY") from None


def _app(settings: Settings, registry: CollectorRegistry) -> FastAPI:
    from api.app import create_app
    from api.context import Limits
    from api.metrics import ApiMetrics
    from models.cleaning import Cleaner
    from pipeline.coaching.rules import rule_faults

    storage = wiring.storage_options(settings).open()
    return create_app(
        database=storage.database,
        queue=storage.queue,
        store=storage.store,
        owners={token: parse_owner(owner) for token, owner in settings.tokens.items()},
        jwts=_jwt_reader(settings),
        metrics=ApiMetrics(registry),
        webhook_policy=wiring.webhook_policy(settings),
        promotion_policy=_promotion_policy(settings),
        models=KnownModels(ModelCatalogue(storage.database), _own_file(settings)),
        limits=Limits(
            max_upload_bytes=settings.max_upload_bytes,
            upload_expiry_s=settings.upload_expiry_s,
            requests_per_minute=settings.rate_limit_per_minute,
            link_expiry_s=settings.link_expiry_s,
        ),
        rule_faults=rule_faults,
        cleaner=Cleaner(storage.database, storage.store, lease_s=settings.lease_s),
        version=version("frontfoot"),
    )


@contextmanager
def _serving(settings: Settings, registry: CollectorRegistry, stop: threading.Event) -> Iterator[str]:
    """The API on a thread of its own, listening before anybody is told its URL; signals stay ours.

    Raises RuntimeError at the end if the server ended by itself; it sets `stop` then, so that nothing outlives it.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # log_config None: our own JSON on standard output, not uvicorn's.
    app = _app(settings, registry)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=API_GRACE_S,
        lifespan="on",
    )
    server = uvicorn.Server(config)

    def serve() -> None:
        try:
            server.run(sockets=[listener])
        finally:
            stop.set()

    with socket.create_server((settings.host, settings.port), family=family, backlog=2048) as listener:
        # asyncio does this only for sockets that name their protocol; without it every answer on a kept connection
        # waits 40 ms for the client's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=serve, name="api", daemon=True)
        thread.start()
        try:
            yield _url(listener)
            if not thread.is_alive():
                raise RuntimeError("the API ended by itself")
        finally:
            app.state.services.watcher.close()  # or the stop would wait for everybody who waits for a job
            server.should_exit = True
            thread.join(timeout=API_GRACE_S + 5)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _kept_token(data_dir: Path) -> str:
    """The embedded default's token: made once, kept readable for its owner alone."""
    path = data_dir / "token"
    if not path.exists():
        # Whole or not at all, and only one of two that start at once wins.
        descriptor, fresh = tempfile.mkstemp(dir=data_dir, prefix=".token-")
        with os.fdopen(descriptor, "w") as file:
            file.write(new_token())
        with suppress(FileExistsError):
            os.link(fresh, path)
        Path(fresh).unlink()
    return path.read_text().strip()


def _own_file(settings: Settings) -> set[str]:
    """What a caller may ask for besides the catalogue: the operator's file, by its name."""
    return {Path(settings.model).stem} if model_choice.is_file(settings) else set()
