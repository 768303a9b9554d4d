"""The long-running commands: the API, the worker, and both together on one machine."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
import uvicorn

from frontfoot import logs, wiring
from frontfoot.settings import Settings, new_token
from migrations import upgrade

if TYPE_CHECKING:
    from fastapi import FastAPI

logger = logging.getLogger(__name__)

API_GRACE_S = 10
"""How long a stop waits for requests in flight."""


def migrate() -> None:
    """Bring the database to the newest schema."""
    settings = Settings()
    logs.configure(settings.log_level)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database_url)
    logger.info("Database is at the newest schema")


def api(*, host: str | None, port: int | None) -> None:
    """Serve HTTP until SIGINT or SIGTERM."""
    settings = _settings(host=host, port=port)
    logs.configure(settings.log_level)
    if not settings.tokens:
        raise typer.BadParameter("FRONTFOOT_TOKENS is empty: nobody could call the API", param_hint="FRONTFOOT_TOKENS")
    with _stop_events() as (stop, _), _serving(settings) as url:
        logger.info("API listening: url=%s", url, extra={"url": url})
        stop.wait()


def worker() -> None:
    """Run jobs until SIGTERM or SIGINT; a second one hands running jobs back at once."""
    settings = Settings()
    logs.configure(settings.log_level)
    _run_worker(settings)


def up(*, host: str | None, port: int | None, data: Path | None) -> None:
    """SQLite, a folder, local Ray, API and worker: everything in one command."""
    settings = _settings(host=host, port=port, data_dir=data)
    logs.configure(settings.log_level)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database_url)
    if not settings.tokens:
        settings = settings.model_copy(update={"tokens": {_kept_token(settings.data_dir): "coach:local"}})
    with _serving(settings) as url:
        typer.echo(f"Frontfoot is at {url}")
        typer.echo(f"Token: {next(iter(settings.tokens))}")
        _run_worker(settings)


def _run_worker(settings: Settings) -> None:
    from pipeline.cluster import Cluster

    cluster = Cluster(wiring.cluster_options(settings))
    with _stop_events() as (stop, hand_back):
        try:
            cluster.start()
            # ray.init replaces the SIGTERM handler.
            _handle_signals(stop, hand_back)
            # Only now: what it imports loads ray, which reads its environment when it is loaded.
            from pipeline.worker import Worker, WorkerOptions

            Worker(
                storage_options=wiring.storage_options(settings),
                cluster=cluster,
                limits=wiring.limits(settings),
                options=WorkerOptions(poll_s=settings.poll_s, grace_s=settings.grace_s),
            ).run(stop, hand_back)
        finally:
            cluster.stop()


@contextmanager
def _stop_events() -> Iterator[tuple[threading.Event, threading.Event]]:
    """First signal → stop, second → hand back. The former handlers come back afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stop, hand_back = threading.Event(), threading.Event()
    _handle_signals(stop, hand_back)
    try:
        yield stop, hand_back
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle_signals(stop: threading.Event, hand_back: threading.Event) -> None:
    def handle(number: int, frame: object) -> None:
        (hand_back if stop.is_set() else stop).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _settings(**overrides: Any) -> Settings:
    chosen = {key: value for key, value in overrides.items() if value is not None}
    return Settings(**chosen)


def _app(settings: Settings) -> FastAPI:
    from api.app import create_app
    from api.context import Limits
    from models.queue import Owner

    storage = wiring.storage_options(settings).open()
    owners = {}
    for token, owner in settings.tokens.items():
        kind, _, name = owner.partition(":")
        owners[token] = Owner(owner_type="org" if kind == "org" else "coach", owner_id=name)
    return create_app(
        database=storage.database,
        queue=storage.queue,
        store=storage.store,
        owners=owners,
        models={settings.model},
        limits=Limits(max_upload_bytes=settings.max_upload_bytes),
        version=version("frontfoot"),
    )


@contextmanager
def _serving(settings: Settings) -> Iterator[str]:
    """The API on a thread of its own, listening before anybody is told its URL; signals stay ours."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # log_config None: our own JSON on standard output, not uvicorn's.
    config = uvicorn.Config(
        _app(settings), log_config=None, access_log=False, timeout_graceful_shutdown=API_GRACE_S, lifespan="on"
    )
    server = uvicorn.Server(config)
    with socket.create_server((settings.host, settings.port), family=family, backlog=2048) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="api", daemon=True)
        thread.start()
        try:
            yield _url(listener)
        finally:
            server.should_exit = True
            thread.join(timeout=API_GRACE_S + 5)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _kept_token(data_dir: Path) -> str:
    """The embedded default's token: made once, kept readable for its owner alone."""
    path = data_dir / "token"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(new_token())
    return path.read_text().strip()
