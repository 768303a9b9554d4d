"""`frontfoot keys …`: the words of the commands; `keys.py` does what they say."""

from __future__ import annotations

from typing import Annotated

import typer

from frontfoot.options import JsonOption
from models.access import SCOPES, Scope, parse_owner
from models.jobs import Owner

app = typer.Typer(help="API keys, in the database that the settings name.", no_args_is_help=True)


def _owner(text: str) -> Owner:
    try:
        return parse_owner(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _scope(text: str) -> Scope:
    for scope in SCOPES:
        if scope == text:
            return scope
    raise typer.BadParameter(f"{text!r} is none of {', '.join(SCOPES)}")


@app.command("create")
def create_key(
    owner: Annotated[
        Owner, typer.Option("--owner", parser=_owner, metavar="coach:ID|org:ID", help="Whom the key stands for.")
    ],
    scope: Annotated[
        list[str],  # Typer makes no list of literals
        typer.Option(
            "--scope",
            metavar="|".join(SCOPES),
            help="What it may do; repeatable. admin includes the others but models, jobs:write not jobs:read.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="What it is for, to tell it from others.")],
    expires_in_days: Annotated[
        float | None, typer.Option("--expires-in-days", min=0.001, max=36_500, help="By default it does not expire.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key and print it, for the only time."""
    from datetime import timedelta

    from frontfoot import keys

    expires_in = None if expires_in_days is None else timedelta(days=expires_in_days)
    keys.create(owner, [_scope(text) for text in scope], name, expires_in, as_json=as_json)


@app.command("list")
def list_keys(
    owner: Annotated[
        Owner | None, typer.Option("--owner", parser=_owner, metavar="coach:ID|org:ID", help="Only this owner's.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List API keys, expired and revoked ones too."""
    from frontfoot import keys

    keys.show(owner, as_json=as_json)


@app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `list` shows it.")],
    as_json: JsonOption = False,
) -> None:
    """End an API key; the API lets nobody in with it within 5 seconds."""
    from frontfoot import keys

    keys.revoke(key_id, as_json=as_json)
