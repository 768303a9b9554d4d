"""What a worker loads of a registered model: one zip of OpenVINO networks and a manifest, known by its checksum.

Of Ultralytics' own networks it also holds the weights as plain tensors, which torch loads. Of a model by entry point
the manifest is all there is: it says what must be installed. No pickle is in it. The same
networks give the same bytes: no clock, no machine.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from inference.errors import WeightsRejected

Head = Literal["raw", "rows", "simcc"]
"""`raw`: (N, 5 + 3K, A), a candidate an anchor. `rows`: (N, R, 6 + 3K), people already told from each other: x1 y1 x2
y2, score, class, keypoints; rows without anybody have the score 0. `simcc`: the network's boxes alone count, and a
second one poses each person's crop; the backend makes rows of both."""

Precision = Literal["fp32", "bf16", "fp16", "int8"]
"""In which a network's layers compute; of `int8` those that are not quantised compute in fp32."""

NETWORK, COARSE, TOP_DOWN = "model.xml", "coarse.xml", "top_down.xml"
"""File names of the whole network, of the one without the finest level of its head, and of the one that poses crops."""
TENSORS = "tensors.npz"
"""File name of the weights that torch loads: see `inference.tensors`."""
_MANIFEST = "manifest.json"
_FORMAT = 1

Family = Literal["yolov8-pose", "yolov8-pose-p6", "yolo11-pose", "yolo26-pose"]
Scale = Literal["n", "s", "m", "l", "x"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """One of Ultralytics' own pose networks, by name: nothing else is ever built from what an artifact says."""

    family: Family
    scale: Scale

    def __post_init__(self) -> None:
        """Check the words; raises ValueError."""
        if self.family not in get_args(Family) or self.scale not in get_args(Scale):
            raise ValueError(f"invalid Architecture: family {self.family!r}, scale {self.scale!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """A model that an installed distribution brings, by an entry point."""

    name: str
    """Of the entry point."""
    distribution: str
    version: str
    """Of the distribution."""
    sha256: str
    """Of the distribution's files: see `inference.entry_points`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """How the networks of an artifact are to be used."""

    head: Head
    one_at_a_time: bool
    """Whether the network takes one picture only, as an export with suppression inside does."""
    coarse: bool
    """Whether there is a network without the finest level too."""
    precision: Precision | None = None
    """The only one that it may run in; None: the fastest that the machine has."""
    installed: Installed | None = None
    """What is imported instead of a network."""
    torch: Architecture | None = None
    """What torch builds and gives the tensors beside it to; None: there are none, and OpenVINO alone runs it."""
    format: int = _FORMAT

    def __post_init__(self) -> None:
        """Check the words; raises ValueError."""
        if (
            self.head not in get_args(Head)
            or self.precision not in {None, *get_args(Precision)}
            or self.format != _FORMAT
            or (self.torch is not None and (self.head != "raw" or self.installed is not None))
        ):
            raise ValueError(
                f"invalid Manifest: head {self.head!r}, precision {self.precision!r}, format {self.format!r}, "
                f"torch {self.torch!r}"
            )

    @property
    def files(self) -> tuple[str, ...]:
        """What lies beside it in the artifact."""
        if self.installed is not None:
            return ()
        networks = (NETWORK, *([COARSE] if self.coarse else []), *([TOP_DOWN] if self.head == "simcc" else []))
        tensors = (TENSORS,) if self.torch is not None else ()
        return (*(name for network in networks for name in (network, network.replace(".xml", ".bin"))), *tensors)

    def as_json(self) -> dict[str, Any]:
        """The manifest as it is stored; what is None is left out, so that older workers read what they know."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Manifest:
        """The way back. Raises TypeError or ValueError for what `as_json` never wrote."""
        installed, torch = stored.get("installed"), stored.get("torch")
        read = {
            "installed": None if installed is None else Installed(**installed),
            "torch": None if torch is None else Architecture(**torch),
        }
        return cls(**{**stored, **read})


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """An artifact in a local file. `sha256` is what the catalogue says of it."""

    path: Path
    sha256: str
    manifest: Manifest


def pack(folder: Path | None, manifest: Manifest) -> bytes:
    """The networks in `folder` as one artifact. Raises ValueError where there is no folder and should be."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_MANIFEST), json.dumps(manifest.as_json(), sort_keys=True))
        for name in manifest.files:
            if folder is None:
                raise ValueError(f"no folder to take {name} from")
            archive.writestr(zipfile.ZipInfo(name), (folder / name).read_bytes())
    return packed.getvalue()


def keep(content: bytes, sha256: str, cache_dir: Path) -> Artifact:
    """Put an artifact into the cache and look at its manifest. Raises WeightsRejected where it is another one."""
    _check(content, sha256)
    manifest = _manifest(content)
    path = cache_dir / "models" / f"{sha256}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(partial).replace(path)
    return Artifact(path=path, sha256=sha256, manifest=manifest)


def stored_tensors(artifact: Artifact) -> bytes:
    """Its file of tensors. Its bytes are compared with its checksum every time. Raises WeightsRejected."""
    with zipfile.ZipFile(io.BytesIO(_content(artifact))) as archive:
        try:
            return archive.read(TENSORS)
        except KeyError as error:
            raise WeightsRejected("the converted model holds no tensors") from error


def unpacked(artifact: Artifact) -> Path:
    """The folder of its networks. Its bytes are compared with its checksum every time, and then unpacked anew.

    Raises WeightsRejected.
    """
    content = _content(artifact)
    folder = Path(tempfile.mkdtemp(prefix=f"{artifact.sha256[:12]}-", dir=artifact.path.parent))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():  # `keep` saw that these are the allowed ones
                (folder / name).write_bytes(archive.read(name))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _content(artifact: Artifact) -> bytes:
    """Its bytes, compared with its checksum. Raises WeightsRejected."""
    try:
        content = artifact.path.read_bytes()
    except OSError as error:
        raise WeightsRejected(f"the converted model cannot be read: {error.strerror}") from error
    _check(content, artifact.sha256)
    return content


def _check(content: bytes, sha256: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise WeightsRejected(f"the converted model has the checksum {found}, not {sha256}")


def _manifest(content: bytes) -> Manifest:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            manifest = Manifest.from_json(json.loads(archive.read(_MANIFEST)))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
        raise WeightsRejected(f"this is no converted model: {error}") from error
    if sorted(names) != sorted((_MANIFEST, *manifest.files)):
        raise WeightsRejected(f"this is no converted model: it holds {', '.join(sorted(names))}")
    return manifest
