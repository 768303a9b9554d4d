"""Where the commands about models work: catalogue, canaries, what workers say, and store of the settings."""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import typer

from frontfoot import exits, logs, model_choice, wiring
from frontfoot.settings import Settings
from inference.errors import InferenceError, SourceUnavailable
from models.artifacts import ArtifactStore
from models.canaries import Canaries
from models.errors import CatalogueMissing, StoreError, StoreUnavailable
from models.model_catalogue import ModelCatalogue
from models.worker_models import WorkerModels


class Room(NamedTuple):
    """What a command about models may need."""

    catalogue: ModelCatalogue
    workers: WorkerModels
    canaries: Canaries
    store: ArtifactStore


@contextmanager
def entered(*, as_json: bool) -> Iterator[Room]:
    """The room, for as long as the block runs. One clear line (or JSON object) and an exit code where it fails."""
    logs.configure("WARNING", stream=sys.stderr)
    storage = wiring.storage_options(Settings()).open()
    database = storage.database
    try:
        if not model_choice.has_catalogue(database):
            raise CatalogueMissing("The database has no model catalogue yet: run `frontfoot migrate`.")
        yield Room(ModelCatalogue(database), WorkerModels(database), Canaries(database), storage.store)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    except (StoreError, InferenceError) as error:
        if as_json:
            typer.echo(json.dumps({"error": {"code": error.code, "message": error.message}}))
        else:
            typer.secho(f"{error.code}: {error.message}", fg="red", err=True)
        ours = isinstance(error, StoreUnavailable | SourceUnavailable)
        raise typer.Exit(exits.ERROR if ours else exits.USAGE) from None
    finally:
        storage.close()


def operator() -> str:
    """Who runs this, as the system knows it."""
    return pwd.getpwuid(os.getuid()).pw_name
