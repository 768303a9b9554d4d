"""What `frontfoot keys` does: API keys, in the database that the settings name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from frontfoot import exits
from frontfoot.settings import Settings
from models.access import Scope
from models.database import Database
from models.errors import NotFound, StoreError
from models.jobs import Owner
from models.keys import Key, KeyRegister
from models.sessions import utc_now


def create(owner: Owner, scopes: Sequence[Scope], name: str, expires_in: timedelta | None, *, as_json: bool) -> None:
    """Make a key and print it, for the only time."""
    with _register(as_json=as_json) as keys:
        made = keys.create(owner, name=name, scopes=scopes, expires_in=expires_in)
    if as_json:
        typer.echo(json.dumps({**_shown(made.key), "token": made.token}))
        return
    typer.echo(made.token)
    typer.secho("This is the only time the key is shown; the database holds its digest.", err=True)


def show(owner: Owner | None, *, as_json: bool) -> None:
    """List keys, the newest first."""
    with _register(as_json=as_json) as keys:
        found = [_shown(key) for key in keys.list(owner)]
    if as_json:
        typer.echo(json.dumps({"keys": found}))
        return
    columns = ("id", "prefix", "name", "owner", "scopes", "state", "expires_at", "last_used_at")
    table = Table(box=None)
    for column in columns:  # an id is there to be copied
        table.add_column(column, no_wrap=column in {"id", "prefix"}, overflow="fold")
    for key in found:
        table.add_row(*(" ".join(key[column]) if column == "scopes" else key[column] or "" for column in columns))
    Console().print(table)


def revoke(key_id: str, *, as_json: bool) -> None:
    """End a key."""
    with _register(as_json=as_json) as keys:
        key = keys.revoke(key_id)
    typer.echo(json.dumps(_shown(key)) if as_json else f"Revoked: {key.id} {key.prefix} {key.name}")


@contextmanager
def _register(*, as_json: bool) -> Iterator[KeyRegister]:
    """The register of the settings' database; one clear line (or JSON object) and an exit code where it fails."""
    database = Database(Settings().database_url)
    try:
        yield KeyRegister(database)
    except StoreError as error:
        if as_json:
            typer.echo(json.dumps({"error": {"code": error.code, "message": error.message}}))
        else:
            typer.secho(f"{error.code}: {error.message}", fg="red", err=True)
        raise typer.Exit(exits.USAGE if isinstance(error, NotFound) else exits.ERROR) from None
    finally:
        database.close()


def _shown(key: Key) -> dict[str, Any]:
    """A key as it is printed."""
    return {
        "id": key.id,
        "prefix": key.prefix,
        "name": key.name,
        "owner": f"{key.owner.owner_type}:{key.owner.owner_id}",
        "scopes": list(key.scopes),
        "state": _state(key),
        "created_at": key.created_at.isoformat(),
        **{
            name: moment.isoformat() if moment else None
            for name, moment in (
                ("expires_at", key.expires_at),
                ("revoked_at", key.revoked_at),
                ("last_used_at", key.last_used_at),
            )
        },
    }


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= utc_now() else "usable"
