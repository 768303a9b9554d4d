"""The alias that a worker follows, if the settings name one: what it means, and what actors load of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontfoot import model_choice, wiring
from frontfoot.settings import Settings
from models.canaries import Canaries
from models.canary import Canary
from models.model_catalogue import ModelCatalogue
from models.model_versions import ModelRef
from models.storage import Storage

if TYPE_CHECKING:
    from inference.extract import ExtractorOptions


class FollowedAlias:
    """What `pipeline.follow.Models` asks for."""

    def __init__(self, settings: Settings, storage: Storage) -> None:
        self.alias = settings.model
        self._settings = settings
        self._storage = storage
        self._catalogue = ModelCatalogue(storage.database)
        self._canaries = Canaries(storage.database)
        self._sizes: dict[str, int] = {}

    def meant(self) -> str:
        """`name@version` that the alias means now. Raises StoreError."""
        return str(self._catalogue.resolve(self.alias).ref)

    def canary(self) -> Canary | None:
        """The alias's canary. Raises StoreError."""
        return self._canaries.active(self.alias)

    def size(self, model: str) -> int:
        """Bytes of what actors load of `name@version`; 0 of the built-in one. Raises StoreError."""
        if model not in self._sizes:  # a version never changes
            artifact = self._catalogue.find(ModelRef.parse(model)).artifact
            self._sizes[model] = self._storage.store.stat(artifact.bucket, artifact.key).size if artifact else 0
        return self._sizes[model]

    def fetch(self, model: str) -> ExtractorOptions:
        """What actors load of `name@version`. Raises StoreError and InferenceError."""
        version = self._catalogue.find(ModelRef.parse(model))
        return wiring.options_of(self._settings, version, self._storage.store)


def followed(settings: Settings, storage: Storage) -> FollowedAlias | None:
    """The alias; None where the settings name a version, a name alone, or a file: nobody can move what these mean.

    Raises StoreUnavailable.
    """
    if model_choice.is_file(settings) or settings.model not in ModelCatalogue(storage.database).aliases():
        return None
    return FollowedAlias(settings, storage)
