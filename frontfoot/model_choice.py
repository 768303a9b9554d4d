"""Which model this process runs: what the settings name, looked up in the catalogue and fetched from the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from frontfoot.settings import Settings
from models.database import Database, schema_state
from models.errors import ModelNotInCatalogue, StoreUnavailable
from models.model_catalogue import ModelCatalogue
from models.model_versions import BUILT_IN, PRODUCTION, ModelVersion

if TYPE_CHECKING:
    from inference.catalog import RegisteredModel
    from models.artifacts import ArtifactStore


def is_file(settings: Settings) -> bool:
    """Whether the settings name weights in a file instead of a model of the catalogue."""
    return Path(settings.model).suffix == ".pt"


def chosen_version(settings: Settings) -> ModelVersion:
    """The version that the settings' `model` means now.

    Where there is no catalogue yet (no database, or one of an older schema), only the built-in one is known. Raises
    ModelNotInCatalogue, and StoreUnavailable where the database does not answer.
    """
    database = Database(settings.database_url)
    try:
        if has_catalogue(database):
            return ModelCatalogue(database).resolve(settings.model)
    finally:
        database.close()
    if settings.model in {PRODUCTION, BUILT_IN.ref.name, str(BUILT_IN.ref)}:
        return BUILT_IN
    raise ModelNotInCatalogue(f"There is no catalogue to look {settings.model!r} up in: run `frontfoot migrate`.")


def registered(version: ModelVersion, store: ArtifactStore) -> RegisteredModel | None:
    """What is loaded of a version, with its bytes; None of the built-in one. Raises NotFound, StoreUnavailable."""
    from inference.catalog import RegisteredModel
    from inference.skeletons import from_json

    if version.artifact is None:
        return None
    return RegisteredModel(
        name=version.ref.name,
        version=version.ref.version,
        sha256=version.source_sha256,
        skeleton=from_json(version.skeleton),
        licence=version.licence or "unknown",
        artifact_sha256=version.artifact.sha256,
        content=b"".join(store.open(version.artifact.bucket, version.artifact.key).chunks),
    )


def has_catalogue(database: Database) -> bool:
    """Whether the database is there with the catalogue's tables. Raises StoreUnavailable where it does not answer."""
    prefix = "sqlite:///"
    if database.url.startswith(prefix) and not Path(database.url.removeprefix(prefix)).is_file():
        return False  # connecting would make one
    state = schema_state(database)
    if state == "unreachable":
        raise StoreUnavailable("The database did not answer, and it holds the model catalogue.")
    return state == "current"
