"""What `frontfoot models register` lets in: a file in some format, or an installed package's entry point."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from frontfoot import model_choice
from frontfoot.model_sources import local_source
from models.artifacts import ArtifactStore
from models.model_catalogue import ModelCatalogue
from models.model_versions import FileFormat, ModelRef

if TYPE_CHECKING:
    from inference.admission import Admitted
    from inference.artifact import Precision
    from inference.parity import Reference

_ENTRY_POINT = "entrypoint:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What `register` is told."""

    ref: ModelRef
    source: str
    sha256: str
    skeleton: str
    format: FileFormat | None
    licence: str | None
    notes: str | None
    precision: Precision | None = None
    made_from: str | None = None
    """Version or alias that a version of another precision was made from."""
    clip: Path | None = None
    """On which both are compared."""

    def __post_init__(self) -> None:
        """Check that a precision comes with what it is measured by; raises ValueError."""
        if len({self.precision is None, self.made_from is None, self.clip is None}) > 1:
            raise ValueError("--precision, --from and --clip go together: a precision is a version with parity figures")


def admitted(wanted: Wanted, catalogue: ModelCatalogue, store: ArtifactStore) -> Admitted:
    """Check and convert what is wanted. Raises what the catalogue, the store and `inference.admission` raise."""
    from inference.admission import Declaration, admit, admit_entry_point
    from inference.skeletons import SKELETONS

    with _reference(wanted, catalogue, store) as reference:
        declared = Declaration(
            name=wanted.ref.name,
            version=wanted.ref.version,
            sha256=wanted.sha256.strip().lower(),
            skeleton=SKELETONS[wanted.skeleton],
            licence=wanted.licence,
            format=wanted.format,
            precision=wanted.precision,
            reference=reference,
        )
        if wanted.source.startswith(_ENTRY_POINT):
            return admit_entry_point(wanted.source.removeprefix(_ENTRY_POINT), declared)
        with local_source(wanted.source, store) as path:
            return admit(path, declared)


def checksum(source: str, store: ArtifactStore) -> str:
    """SHA-256 of a source as `register` compares it; nothing of it is opened or run. Raises WeightsRejected."""
    from inference import admission, entry_points
    from inference.formats import format_of

    if source.startswith(_ENTRY_POINT):
        return entry_points.find(source.removeprefix(_ENTRY_POINT)).sha256
    with local_source(source, store) as path:
        return admission.checksum(path, format_of(path))


@contextmanager
def _reference(wanted: Wanted, catalogue: ModelCatalogue, store: ArtifactStore) -> Iterator[Reference | None]:
    if wanted.made_from is None or wanted.clip is None:
        yield None
        return
    from inference.catalog import catalogued
    from inference.parity import Reference

    version = catalogue.resolve(wanted.made_from)
    model = model_choice.registered(version, store)
    with tempfile.TemporaryDirectory(prefix="frontfoot-reference-") as folder:
        spec = catalogued(version.ref.name) if model is None else model.spec(Path(folder))
        yield Reference(spec=spec, clip=wanted.clip)
