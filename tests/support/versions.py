"""More versions of the built-in weights in a catalogue, without converting them again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from inference.artifact import Manifest, pack
from inference.catalog import DEFAULT_MODEL, catalogued
from inference.conversion import openvino_model
from models.model_catalogue import ModelCatalogue
from models.model_versions import BUILT_IN, ModelRef, StoredArtifact
from models.storage import Storage


def converted(cache: Path) -> bytes:
    """The artifact of the built-in weights, out of what the cache holds of them."""
    folder = openvino_model(catalogued(DEFAULT_MODEL), cache).parent
    return pack(folder, Manifest(head="raw", one_at_a_time=False, coarse=True))


def entered(storage: Storage, ref: str, content: bytes, *, stored: bytes | None = None) -> ModelRef:
    """A version whose artifact is `content`; `stored` is what lies in the store instead of it."""
    version, sha256 = ModelRef.parse(ref), hashlib.sha256(content).hexdigest()
    key = f"models/{ref}.zip"
    storage.store.put_bytes(storage.store.bucket, key, content if stored is None else stored)
    artifact = StoredArtifact(bucket=storage.store.bucket, key=key, sha256=sha256)
    ModelCatalogue(storage.database).add(replace(BUILT_IN, ref=version, artifact=artifact))
    return version
