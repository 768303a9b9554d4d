"""What a request may name as its model, as a set: everything in the catalogue, read anew when it is older than that."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Set

from models.model_catalogue import ModelCatalogue

FRESH_S = 2.0
"""So that ten thousand lines of a batch ask the database once."""


class KnownModels(Set[str]):
    """Aliases, names, and `name@version` of what is not retired; and `besides`, an operator's own file.

    Safe to share between threads. Raises StoreUnavailable where the database does not answer.
    """

    def __init__(self, catalogue: ModelCatalogue, besides: Iterable[str] = ()) -> None:
        self._catalogue = catalogue
        self._besides = frozenset(besides)
        self._read: tuple[float, frozenset[str]] | None = None

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> frozenset[str]:
        read = self._read
        if read is None or time.monotonic() - read[0] > FRESH_S:
            read = self._read = time.monotonic(), self._besides | self._catalogue.names()
        return read[1]
