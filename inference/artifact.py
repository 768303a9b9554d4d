"""What a worker loads of a registered model: one zip of OpenVINO networks and a manifest, known by its checksum.

No pickle is in it. The same networks give the same bytes: no clock, no machine.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from inference.errors import WeightsRejected

Head = Literal["raw", "rows"]
"""`raw`: (N, 5 + 3K, A), a candidate an anchor. `rows`: (N, R, 6 + 3K), people already told from each other: x1 y1 x2
y2, score, class, keypoints; rows without anybody have the score 0."""

NETWORK, COARSE = "model.xml", "coarse.xml"
"""File names of the whole network and of the one without the finest level of its head."""
_MANIFEST = "manifest.json"
_FORMAT = 1
_ALLOWED = frozenset({_MANIFEST, NETWORK, "model.bin", COARSE, "coarse.bin"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """How the networks of an artifact are to be used."""

    head: Head
    one_at_a_time: bool
    """Whether the network takes one picture only, as an export with suppression inside does."""
    coarse: bool
    """Whether there is a network without the finest level too."""
    format: int = _FORMAT

    def __post_init__(self) -> None:
        """Check the words; raises ValueError."""
        if self.head not in {"raw", "rows"} or self.format != _FORMAT:
            raise ValueError(f"invalid Manifest: head {self.head!r}, format {self.format!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """An artifact in a local file. `sha256` is what the catalogue says of it."""

    path: Path
    sha256: str
    manifest: Manifest


def pack(folder: Path, manifest: Manifest) -> bytes:
    """The networks in `folder` as one artifact."""
    names = [NETWORK, "model.bin", *((COARSE, "coarse.bin") if manifest.coarse else ())]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_MANIFEST), json.dumps(asdict(manifest), sort_keys=True))
        for name in names:
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


def unpacked(artifact: Artifact) -> Path:
    """The folder of its networks. Its bytes are compared with its checksum every time, and then unpacked anew.

    Raises WeightsRejected.
    """
    try:
        content = artifact.path.read_bytes()
    except OSError as error:
        raise WeightsRejected(f"the converted model cannot be read: {error.strerror}") from error
    _check(content, artifact.sha256)
    folder = Path(tempfile.mkdtemp(prefix=f"{artifact.sha256[:12]}-", dir=artifact.path.parent))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():  # `keep` saw that these are the allowed ones
                (folder / name).write_bytes(archive.read(name))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _check(content: bytes, sha256: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise WeightsRejected(f"the converted model has the checksum {found}, not {sha256}")


def _manifest(content: bytes) -> Manifest:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            manifest = Manifest(**json.loads(archive.read(_MANIFEST)))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise WeightsRejected(f"this is no converted model: {error}") from error
    if not _ALLOWED.issuperset(names) or NETWORK not in names:
        raise WeightsRejected(f"this is no converted model: it holds {', '.join(sorted(names))}")
    return manifest
