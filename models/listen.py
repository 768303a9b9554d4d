"""Wake-ups from PostgreSQL: LISTEN on a connection of its own. They may be lost, so whoever waits polls as well."""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from models.database import Database

log = logging.getLogger(__name__)

RECONNECT_S = 2.0


class Listener:
    """Calls `on_notify(channel, payload)` on a thread of its own. On SQLite there is nothing to hear, and no thread.

    `on_notify` is called with an empty payload for every channel when a connection is made: whatever was said before
    was lost.
    """

    def __init__(self, database: Database, channels: Sequence[str], on_notify: Callable[[str, str], None]) -> None:
        self._database = database
        self._channels = tuple(channels)
        self._on_notify = on_notify
        self._stopping = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="listen", daemon=True)
        if database.engine.dialect.name == "postgresql":
            self._thread.start()

    def close(self) -> None:
        """End the thread and its connection."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        os.write(self._wake_write, b".")
        if self._thread.ident is not None:
            self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except (SQLAlchemyError, OSError) as error:
                log.warning("Listening for wake-ups failed, trying again: %s", type(error).__name__)
                self._stopping.wait(RECONNECT_S)

    def _listen(self) -> None:
        with self._database.engine.connect() as connection:
            connection.detach()  # its LISTENs must not go back to the pool with it
            for channel in self._channels:
                connection.execute(text(f"LISTEN {channel}"))
            connection.commit()
            driver: Any = connection.connection.dbapi_connection
            driver.autocommit = True
            for channel in self._channels:
                self._on_notify(channel, "")
            self._forward(driver)

    def _forward(self, driver: Any) -> None:
        """Hand on what arrives until the connection breaks or the listener is closed."""
        while not self._stopping.is_set():
            readable, _, _ = select.select([driver, self._wake_read], [], [], 60.0)
            if self._wake_read in readable:
                return
            try:
                driver.poll()
            except Exception as error:
                with suppress(Exception):
                    driver.close()
                raise OSError("the connection broke") from error
            while driver.notifies:
                heard = driver.notifies.pop(0)
                self._on_notify(heard.channel, heard.payload)
