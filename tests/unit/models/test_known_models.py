"""What a request may name, as a set that asks the database once in a while."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models import known_models
from models.database import Database
from models.known_models import KnownModels
from models.model_catalogue import ModelCatalogue
from models.model_versions import BUILT_IN, ModelRef, StoredArtifact


def test_it_holds_aliases_names_and_versions_and_what_comes_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = ModelCatalogue(database)
    known = KnownModels(catalogue, {"mine"})
    assert set(known) == {"production", "yolo11n-pose", "yolo11n-pose@1", "mine"}
    assert len(known) == 4
    artifact = StoredArtifact(bucket="local", key="models/a.zip", sha256="a" * 64)
    ref = catalogue.add(replace(BUILT_IN, ref=ModelRef.parse("net@1"), artifact=artifact)).ref
    catalogue.promote(ref, alias="candidate", by="jane")
    assert "net@1" not in known  # read a moment ago
    monkeypatch.setattr(known_models, "FRESH_S", -1.0)
    assert {"net@1", "net", "candidate"} <= set(known)
    assert "net@2" not in known
