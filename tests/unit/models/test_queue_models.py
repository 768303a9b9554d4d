"""Which model a job means: decided when it is claimed, written down, and decided anew at the next claim."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from queueing import BOWLING, submitted

from models.canaries import Canaries
from models.canary import Limits
from models.database import Database
from models.jobs import ClaimedJob, Owner
from models.model_catalogue import ModelCatalogue
from models.model_versions import BUILT_IN, ModelRef, StoredArtifact
from models.queue import JobQueue
from models.worker_models import WorkerModel, WorkerModels

RUNS = "yolo11n-pose@1"


@pytest.fixture
def catalogue(database: Database, clock: Any) -> ModelCatalogue:
    return ModelCatalogue(database, clock=clock)


def entered(catalogue: ModelCatalogue, text: str) -> ModelRef:
    artifact = StoredArtifact(bucket="local", key="models/a.zip", sha256="a" * 64)
    return catalogue.add(replace(BUILT_IN, ref=ModelRef.parse(text), artifact=artifact)).ref


def claimed(queue: JobQueue, jane: Owner, asked: str | None, runs: str | None = RUNS) -> ClaimedJob:
    submitted(queue, jane, BOWLING.model_copy(update={"model": asked}))
    job = queue.claim("worker", runs=runs)
    assert job is not None
    assert queue.get(jane, job.id).resolved_model == job.job.resolved_model
    return job


def test_before_it_is_claimed_it_means_nothing(queue: JobQueue, jane: Owner) -> None:
    assert submitted(queue, jane).resolved_model is None


def test_a_job_that_asks_for_none_gets_what_the_worker_runs(queue: JobQueue, jane: Owner) -> None:
    assert claimed(queue, jane, None).job.resolved_model == RUNS
    assert claimed(queue, jane, None, runs="net@7").job.resolved_model == "net@7"
    assert claimed(queue, jane, None, runs=None).job.resolved_model is None


@pytest.mark.parametrize("asked", ["production", "yolo11n-pose", "yolo11n-pose@1"])
def test_every_word_for_the_built_in_version_means_it(queue: JobQueue, jane: Owner, asked: str) -> None:
    assert claimed(queue, jane, asked, runs="net@7").job.resolved_model == "yolo11n-pose@1"


def test_an_alias_means_at_each_claim_what_it_means_then(
    queue: JobQueue, jane: Owner, catalogue: ModelCatalogue
) -> None:
    one, two = entered(catalogue, "net@1"), entered(catalogue, "net@2")
    catalogue.promote(one, by="jane")
    job = claimed(queue, jane, "production")
    assert job.job.resolved_model == "net@1"
    pinned = claimed(queue, jane, "net@1")
    catalogue.promote(two, by="jane")
    for before in (job, pinned):
        queue.release(before.lease)
    again = [queue.claim("worker", runs=RUNS) for _ in range(2)]
    assert {one.id: one.job.resolved_model for one in again if one} == {job.id: "net@2", pinned.id: "net@1"}


def test_the_alias_that_a_worker_follows_means_what_it_runs(
    queue: JobQueue, jane: Owner, catalogue: ModelCatalogue
) -> None:
    """A worker that is still loading what the alias means now fails no job for it."""
    catalogue.promote(entered(catalogue, "net@1"), by="jane")
    catalogue.promote(catalogue.find(BUILT_IN.ref).ref, alias="candidate", by="jane")
    meant = {"production": RUNS, "candidate": RUNS, "net": "net@1", None: RUNS}
    for asked, model in meant.items():
        submitted(queue, jane, BOWLING.model_copy(update={"model": asked}))
        job = queue.claim("worker", runs=RUNS, follows="production")
        assert job is not None
        assert job.job.resolved_model == model
    submitted(queue, jane, BOWLING.model_copy(update={"model": "production"}))
    job = queue.claim("worker", runs=RUNS, follows="candidate")
    assert job is not None
    assert job.job.resolved_model == "net@1"


def test_what_is_retired_or_was_never_there_is_nothing(queue: JobQueue, jane: Owner, catalogue: ModelCatalogue) -> None:
    catalogue.retire(entered(catalogue, "net@1"))
    for asked in ("net@1", "net", "nobody"):
        assert claimed(queue, jane, asked).job.resolved_model is None


def test_an_operators_own_file_is_asked_for_by_its_name(queue: JobQueue, jane: Owner) -> None:
    assert claimed(queue, jane, "mine", runs="mine@0123456789ab").job.resolved_model == "mine@0123456789ab"
    assert claimed(queue, jane, "mine", runs=RUNS).job.resolved_model is None


@pytest.mark.parametrize("asked", [None, "production", "candidate"])
def test_a_retry_keeps_its_model_where_the_worker_still_holds_it(
    queue: JobQueue, jane: Owner, catalogue: ModelCatalogue, asked: str | None
) -> None:
    for alias in ("production", "candidate"):
        catalogue.promote(BUILT_IN.ref, alias=alias, by="jane")
    job = claimed(queue, jane, asked)
    assert job.job.resolved_model == RUNS
    catalogue.promote(entered(catalogue, "net@2"), alias="candidate", by="jane")

    def again(before: ClaimedJob, *holds: str) -> ClaimedJob:
        queue.release(before.lease)
        found = queue.claim("worker", runs="net@2", follows="production", holds=holds)
        assert found is not None
        return found

    kept = again(job, RUNS, "net@2")
    assert kept.job.resolved_model == RUNS
    gone = again(kept, "net@2")
    assert gone.job.resolved_model == "net@2"
    assert again(gone).job.resolved_model == "net@2", "the worker runs it, though it says nothing of holding it"


@pytest.mark.parametrize("asked", [None, "production"])
def test_a_retry_does_not_keep_what_a_rollback_has_left(
    queue: JobQueue, jane: Owner, catalogue: ModelCatalogue, asked: str | None
) -> None:
    """Only who asks for that very version goes on with it."""
    catalogue.promote(entered(catalogue, "net@2"), by="jane")
    jobs = [claimed(queue, jane, model, runs="net@2") for model in (asked, "net@2")]
    catalogue.rollback(by="jane")
    for job in jobs:
        queue.release(job.lease)
    offer: dict[str, Any] = {"runs": RUNS, "follows": "production", "holds": ["net@2", RUNS]}
    again = [queue.claim("worker", **offer) for _ in jobs]
    assert {job.job.model: job.job.resolved_model for job in again if job} == {asked: RUNS, "net@2": "net@2"}


class TestAVersionThatAnotherWorkerHas:
    """Or is about to have: whoever lacks it leaves the job where it is."""

    @pytest.fixture(autouse=True)
    def setting(self, queue: JobQueue, jane: Owner, catalogue: ModelCatalogue, database: Database, clock: Any) -> None:
        self.queue, self.jane, self.catalogue, self.clock = queue, jane, catalogue, clock
        self.ref = entered(catalogue, "net@2")
        self.words = WorkerModels(database, clock=clock)
        self.canaries = Canaries(database, clock=clock)

    def say(self, **said: Any) -> None:
        word = {"worker_id": "one", "follows": "production", "model": RUNS, "state": "ready", **said}
        self.words.say(WorkerModel(**word))

    def submitted(self, asked: str | None) -> str:
        return submitted(self.queue, self.jane, BOWLING.model_copy(update={"model": asked})).id

    def claim(self, *holds: str) -> ClaimedJob | None:
        return self.queue.claim("one", runs=RUNS, follows="production", holds=(RUNS, *holds))

    def test_the_job_waits_uncharged_until_it_is_there(self) -> None:
        pinned, other = self.submitted("net@2"), self.submitted(None)
        before = self.queue.get(self.jane, pinned)
        self.say(state="loading", wanted="net@2")
        found = self.claim()
        assert found is not None
        assert found.id == other, "those behind it need not wait"
        assert self.claim() is None
        waits = self.queue.get(self.jane, pinned)
        assert (waits.status, waits.attempt, waits.max_attempts, waits.history) == ("queued", 0, 3, ())
        assert (waits.started_at, waits.quick_started_at, waits.resolved_model) == (None, None, None)
        assert (waits.available_at, waits.updated_at) == (before.available_at, before.updated_at)
        there = self.claim("net@2")
        assert there is not None
        assert (there.id, there.attempt, there.job.resolved_model) == (pinned, 1, "net@2")

    @pytest.mark.parametrize(
        ("said", "waits"),
        [
            ({"state": "loading", "wanted": "net@2"}, True),
            ({"state": "emptying", "model": None, "wanted": "net@2"}, True),
            ({"state": "failed", "wanted": "net@2", "error_code": "weights_rejected"}, False),
            ({"worker_id": "two", "model": "net@2", "follows": None}, True),
            ({"canary": "net@2", "canary_state": "loading"}, True),
            ({"canary": "net@2", "canary_state": "ready"}, True),
            ({"canary": "net@2", "canary_state": "no_room"}, False),
            ({"canary": "net@2", "canary_state": "failed"}, False),
            ({}, False),
        ],
    )
    def test_it_waits_for_whoever_lives_and_can(self, said: dict[str, Any], waits: bool) -> None:
        self.submitted("net@2")
        self.say(**said)
        assert (self.claim() is None) == waits
        self.clock.forward(121)
        self.say(worker_id="three")
        if waits:
            late = self.claim()
            assert late is not None, "nobody has heard of them since"
            assert late.job.resolved_model == "net@2"

    @pytest.mark.parametrize("begun", ["promote", "canary"])
    def test_a_worker_that_has_not_looked_yet_is_waited_for(self, begun: str) -> None:
        self.submitted("net@2")
        self.say(worker_id="two", follows=None)
        self.say(worker_id="three", follows="candidate")
        if begun == "promote":
            self.catalogue.promote(self.ref, by="jane")
        else:
            self.canaries.begin(self.ref, share=0.1, by="jane", limits=Limits(), force=False)
        job = self.claim()
        assert job is not None, "nobody follows it"
        self.queue.release(job.lease)
        self.say()
        assert self.claim() is None

    def test_one_that_could_not_load_what_its_alias_means_is_not_waited_for(self) -> None:
        self.submitted("net@2")
        self.catalogue.promote(self.ref, by="jane")
        self.say(state="failed", wanted="net@2", error_code="weights_rejected")
        assert self.claim() is not None

    def test_it_is_looked_at_again_after_a_while(self) -> None:
        self.submitted("net@2")
        self.say(state="loading", wanted="net@2")
        assert self.claim() is None
        self.say(state="failed", wanted="net@2", error_code="weights_rejected")
        self.clock.forward(4)
        assert self.claim() is None
        self.clock.forward(1)
        assert self.claim() is not None, "so that its owner is told"

    def test_whoever_has_it_gets_it_however_often_others_look(self) -> None:
        """They leave it in its place: when it was put off instead, whoever looked first again always had it first."""
        pinned = self.submitted("net@2")
        self.say(worker_id="two", model="net@2", follows=None)
        for _ in range(20):
            assert self.claim() is None
            self.clock.forward(0.5)
        has = self.queue.claim("two", runs="net@2", holds=("net@2",))
        assert has is not None
        assert has.id == pinned

    def test_however_many_wait_nobody_waits_behind_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("models.claims.PASSED_OVER", 2)
        for _ in range(4):
            self.submitted("net@2")
        own, others = self.submitted(None), submitted(self.queue, Owner(owner_type="coach", owner_id="joe")).id
        self.say(state="loading", wanted="net@2")
        found = [self.claim(), self.claim()]
        assert {job.id for job in found if job} == {own, others}
        assert self.claim() is None
