"""What workers say of their models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from models.database import Database
from models.worker_models import WorkerModel, WorkerModels

ONE = WorkerModel(worker_id="one", follows="production", model="net@1", state="ready")


@pytest.fixture
def said(database: Database, clock: Any) -> WorkerModels:
    return WorkerModels(database, clock=clock)


def test_the_last_word_of_each_counts(said: WorkerModels) -> None:
    failed = replace(ONE, state="failed", wanted="net@2", error_code="weights_rejected", error_message="another one")
    two = replace(ONE, worker_id="two", follows=None, model=None, state="loading")
    for word in (ONE, two, failed):
        said.say(word)
    assert said.list() == (failed, two)
    said.forget("one")
    said.forget("one")
    assert said.list() == (two,)


def test_the_silent_are_not_listed_and_then_forgotten(said: WorkerModels, clock: Any, database: Database) -> None:
    said.say(ONE)
    clock.forward(120)
    assert said.list() == (ONE,)
    clock.forward(1)
    assert said.list() == ()
    clock.forward(86_400)
    said.say(replace(ONE, worker_id="two"))
    with database.engine.connect() as connection:
        kept = connection.exec_driver_sql("SELECT worker_id FROM worker_models").scalars().all()
    assert list(kept) == ["two"]


def test_a_word_is_as_old_as_the_database_says(database: Database, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By it claims know whether a job's version is still there, and a worker's own clock may be minutes off."""
    monkeypatch.setattr("models.worker_models.shared_now", lambda transaction, given: given or clock())
    said = WorkerModels(database)
    said.say(ONE)
    clock.forward(120)
    assert said.list() == (ONE,)
    clock.forward(1)
    assert said.list() == ()
