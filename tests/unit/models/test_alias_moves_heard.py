"""Workers that follow an alias hear of its moves from PostgreSQL."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from models.announce import MODELS_CHANNEL
from models.database import Database
from models.listen import Listener
from models.model_catalogue import ModelCatalogue
from models.model_versions import BUILT_IN, ModelRef, StoredArtifact

NEW = ModelRef.parse("net@1")


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[Database]:
    database = Database(postgres_url)
    yield database
    database.close()


def test_every_move_is_heard_and_what_is_no_move_is_not(postgres_database: Database) -> None:
    catalogue, heard = ModelCatalogue(postgres_database), queue.Queue[str]()
    artifact = StoredArtifact(bucket="local", key="models/a.zip", sha256="a" * 64)
    catalogue.add(replace(BUILT_IN, ref=NEW, artifact=artifact))
    with closing(Listener(postgres_database, [MODELS_CHANNEL], lambda channel, payload: heard.put(payload))):
        assert heard.get(timeout=10) == "", "connected: whatever was said before was lost"
        catalogue.promote(BUILT_IN.ref, by="jane")
        catalogue.promote(NEW, alias="candidate", by="jane")
        catalogue.promote(NEW, by="jane")
        catalogue.rollback(by="jane")
        assert [heard.get(timeout=10) for _ in range(3)] == ["candidate", "production", "production"]
        assert heard.empty()
