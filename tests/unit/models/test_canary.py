"""A canary: whose jobs it gets, how it ends, and what it is judged by."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from queueing import KEY, document
from sqlalchemy import select

from models.canaries import Canaries
from models.canary import LIMIT, PROMOTED, Arm, Canary, Figures, Kind, Limits, figures
from models.canary_judge import CanaryJudge
from models.catalogue_tables import CanaryRow
from models.database import Database
from models.errors import ArtifactsMissing, ModelInUse, ModelNotInCatalogue, ModelRefused
from models.jobs import ClaimedJob, Owner
from models.model_catalogue import ModelCatalogue
from models.model_versions import BUILT_IN, ModelRef, StoredArtifact
from models.queue import JobQueue
from models.requests import AnalysisRequest

BASE, NEXT = str(BUILT_IN.ref), "net@2"
FIGURES = Figures(
    jobs=20,
    jobs_beside=20,
    failures=0,
    errors_more=0.0,
    nobody_more=0.0,
    found_ratio=1.0,
    measured_ratio=1.0,
    time_ratio=1.0,
)


@pytest.fixture
def catalogue(database: Database, clock: Any) -> ModelCatalogue:
    """With `net@2`, and `feet@1` of another skeleton."""
    made = ModelCatalogue(database, clock=clock)
    artifact = StoredArtifact(bucket="local", key="models/a.zip", sha256="a" * 64)
    made.add(replace(BUILT_IN, ref=ModelRef.parse(NEXT), artifact=artifact))
    skeleton = {**BUILT_IN.skeleton, "name": "halpe-26"}
    made.add(replace(BUILT_IN, ref=ModelRef.parse("feet@1"), artifact=artifact, skeleton=skeleton))
    return made


@pytest.fixture
def canaries(database: Database, clock: Any, catalogue: ModelCatalogue) -> Canaries:
    return Canaries(database, clock=clock)


def begun(canaries: Canaries, **how: Any) -> Canary:
    return canaries.begin(ModelRef.parse(NEXT), **{"share": 0.5, "by": "jane", **how})


def submitted(queue: JobQueue, owner: Owner, *players: str, deep: bool = False, **asked: Any) -> str:
    session = queue.create_session(owner, title="Nets", session_type="bowling", player_ids=list(players))
    queue.attach_upload(owner, session.id, "local", KEY, 1000)
    return queue.submit(owner, session.id, AnalysisRequest(analysis_mode="bowling", deep_enabled=deep, **asked)).id


def claimed(queue: JobQueue, canary: Canary | None, **worker: Any) -> ClaimedJob:
    job = queue.claim("one", **{"runs": BASE, "follows": "production", "canary": canary, **worker})
    assert job is not None
    assert queue.get(job.job.owner, job.id).resolved_model == job.job.resolved_model
    return job


# Pure.


def test_a_share_is_of_the_athletes_and_always_the_same_ones() -> None:
    canary = Canary(
        id="1",
        alias="production",
        model=ModelRef.parse(NEXT),
        base=BUILT_IN.ref,
        share=0.1,
        limits=Limits(),
        started_at=datetime(2026, 5, 4, tzinfo=UTC),
        started_by="jane",
        forced=False,
    )
    athletes = [f"coach:jane player:{number}" for number in range(10_000)]
    its = {athlete for athlete in athletes if canary.takes(athlete)}
    assert 900 < len(its) < 1100
    assert its < {athlete for athlete in athletes if replace(canary, share=0.2).takes(athlete)}
    assert "coach:jane player:103" in its, "its SHA-256 begins with 08, a tenth ends at 19"
    assert "coach:jane player:2" not in its, "its SHA-256 begins with 4f"
    for share in (0.0, 0.51):
        with pytest.raises(ValueError, match="share"):
            replace(canary, share=share)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"errors_more": 0.06}, "errors_more is 0.06, at most 0.05 is allowed"),
        ({"nobody_more": 0.0501}, "nobody_more is 0.0501, at most 0.05 is allowed"),
        ({"found_ratio": 0.94}, "found_ratio is 0.94, at least 0.95 is allowed"),
        ({"measured_ratio": 0.899}, "measured_ratio is 0.899, at least 0.9 is allowed"),
        ({"time_ratio": 2.1}, "time_ratio is 2.1, at most 1.5 is allowed"),
    ],
)
def test_a_limit_is_passed_only_where_both_have_jobs_enough(changed: dict[str, float], line: str) -> None:
    limits, bad = Limits(), FIGURES.model_copy(update=changed)
    assert limits.broken(bad) == (line,)
    assert limits.broken(bad.model_copy(update={"jobs": 19})) == ()
    assert limits.broken(bad.model_copy(update={"jobs_beside": 19})) == ()
    assert limits.broken(bad.model_copy(update=dict.fromkeys(changed))) == (), "nothing to compare"


def test_failures_count_from_the_first_job_on() -> None:
    few = FIGURES.model_copy(update={"jobs": 6, "jobs_beside": 0, "failures": 6, "errors_more": None})
    assert Limits().broken(few) == ("failures is 6, at most 5 is allowed",)
    assert Limits(failures_max=6).broken(few) == ()
    assert Limits().broken(FIGURES) == ()


def test_ratios_are_over_what_serves_on_the_same_kinds() -> None:
    """A canary's athletes bowl, which takes longer and shows less: that is not its fault."""
    slow = Kind(jobs=9, frames=900, seconds=90.0, found=450.0, measured=10, applicable=100)
    fast = Kind(jobs=1, frames=100, seconds=1.0, found=100.0, measured=10, applicable=10)
    ours = Arm(jobs=10, kinds={"bowling deep": slow, "fielding deep": fast, "batting deep": slow})
    twice = slow.model_copy(update={"frames": 1800, "seconds": 90.0, "found": 1000.0, "applicable": 50})
    theirs = Arm(jobs=40, kinds={"bowling deep": twice, "fielding deep": fast})
    found = figures(ours, theirs)
    assert found.time_ratio == pytest.approx((90 + 1) / (45 + 1))
    assert found.found_ratio == pytest.approx((450 + 100) / (500 + 100))
    assert found.measured_ratio == pytest.approx((10 + 10) / (20 + 10))
    assert figures(ours, Arm()).time_ratio is None
    assert figures(Arm(jobs=4, errors=1, nobody=2), Arm(jobs=8, errors=1)).errors_more == pytest.approx(1 / 8)
    assert figures(Arm(jobs=4, errors=1, nobody=2), Arm(jobs=8, errors=1)).nobody_more == pytest.approx(1 / 2)


# Whose jobs it gets.


def test_an_athlete_always_gets_the_same_of_two(queue: JobQueue, jane: Owner, canaries: Canaries) -> None:
    canary, names = begun(canaries), [f"p{number}" for number in range(8)]
    got: dict[str, set[str | None]] = {}
    for name in [*names, *names]:
        submitted(queue, jane, name, "another", model="production" if name in got else None)
        got.setdefault(name, set()).add(claimed(queue, canary).job.resolved_model)
    assert {name: models for name, models in got.items() if len(models) != 1} == {}
    its = {name for name in names if canary.takes(f"coach:jane player:{name}")}
    assert {name for name in names if got[name] == {NEXT}} == its
    assert 0 < len(its) < len(names)


def test_without_a_player_it_is_the_session(queue: JobQueue, jane: Owner, canaries: Canaries) -> None:
    canary = begun(canaries)
    for _ in range(6):
        submitted(queue, jane)
        job = claimed(queue, canary).job
        assert job.resolved_model == (NEXT if canary.takes(job.session_id) else BASE)


def its_player(canary: Canary, *, takes: bool = True) -> str:
    return next(name for name in map(str, range(100)) if canary.takes(f"coach:jane player:{name}") is takes)


def test_who_asks_for_another_model_gets_that(queue: JobQueue, jane: Owner, canaries: Canaries) -> None:
    canary = begun(canaries)
    player = its_player(canary)
    for asked, model in {"yolo11n-pose": BASE, BASE: BASE, NEXT: NEXT, None: NEXT, "production": NEXT}.items():
        submitted(queue, jane, player, model=asked)
        assert claimed(queue, canary).job.resolved_model == model
    submitted(queue, jane, player)
    assert claimed(queue, None).job.resolved_model == BASE, "a worker that has not loaded it"


def test_a_retry_keeps_its_model_until_the_canary_is_over(queue: JobQueue, jane: Owner, canaries: Canaries) -> None:
    canary = begun(canaries)
    submitted(queue, jane, its_player(canary))
    job, holds = claimed(queue, canary), (BASE, NEXT)
    assert job.job.resolved_model == NEXT
    queue.release(job.lease)
    job = claimed(queue, canary, holds=holds)
    assert job.job.resolved_model == NEXT
    assert [entry["model"] for entry in queue.get(jane, job.id).history] == [NEXT]
    canaries.end(by="jane")
    queue.release(job.lease)
    assert claimed(queue, canary, holds=holds).job.resolved_model == BASE, "the worker has not heard of its end"


def test_a_job_that_began_without_the_canary_goes_on_without_it(
    queue: JobQueue, jane: Owner, canaries: Canaries
) -> None:
    canary = begun(canaries)
    submitted(queue, jane, its_player(canary))
    job = claimed(queue, None)
    queue.release(job.lease)
    assert claimed(queue, canary, holds=(BASE, NEXT)).job.resolved_model == BASE


@pytest.mark.parametrize("code", ["no_person", "internal_error", "actor_died"])
def test_what_it_failed_goes_on_by_what_serves(
    queue: JobQueue, jane: Owner, canaries: Canaries, clock: Any, code: str
) -> None:
    """At once, at no cost of an attempt, and once."""
    canary, holds = begun(canaries), (BASE, NEXT)
    job_id = submitted(queue, jane, its_player(canary))
    failed = queue.fail(claimed(queue, canary, holds=holds).lease, code, "…", transient=code == "actor_died")
    assert (failed.status, failed.available_at, failed.max_attempts) == ("queued", clock.now, 4)
    job = claimed(queue, canary, holds=holds)
    assert (job.id, job.job.attempt, job.job.resolved_model) == (job_id, 2, BASE)
    assert [(one["model"], one["error_code"]) for one in queue.get(jane, job_id).history] == [(NEXT, code)]
    queue.release(job.lease)
    job = claimed(queue, canary, holds=holds)
    assert job.job.resolved_model == BASE
    assert queue.fail(job.lease, code, "…", transient=False).status == "failed", "so it was the clip"


def test_an_actor_of_it_that_dies_with_several_clips_leaves_them_to_what_serves(
    queue: JobQueue, jane: Owner, canaries: Canaries
) -> None:
    canary, holds = begun(canaries), (BASE, NEXT)
    submitted(queue, jane, its_player(canary))
    queue.release(claimed(queue, canary).lease, crashed=True)
    # By a worker too that has not loaded it, and by one that holds it yet and has heard of its end.
    job = claimed(queue, None, holds=holds).job
    assert job.resolved_model == BASE
    assert not job.crashes, "it need not run alone"


def test_a_job_of_it_that_the_guardrails_refuse_goes_on_by_what_serves(
    queue: JobQueue, jane: Owner, canaries: Canaries
) -> None:
    canary = begun(canaries)
    submitted(queue, jane, its_player(canary))
    lease = claimed(queue, canary).lease
    with pytest.raises(ArtifactsMissing) as refused:
        queue.finish(lease, stage="quick", document={"stage": "quick", "findings": {}, "report": {}}, s3_key="k")
    assert refused.value.retried
    job = claimed(queue, canary)
    assert (job.job.resolved_model, job.job.attempt) == (BASE, 2)
    with pytest.raises(ArtifactsMissing) as refused:
        queue.finish(job.lease, stage="quick", document={"stage": "quick", "findings": {}, "report": {}}, s3_key="k")
    assert not refused.value.retried
    assert queue.get(jane, job.id).status == "failed"


def test_it_begins_and_ends_by_the_databases_clock(
    database: Database, catalogue: ModelCatalogue, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which jobs ran while it was there is asked, and an operator's own clock may be minutes off."""
    monkeypatch.setattr("models.canaries.shared_now", lambda transaction, given: given or clock())
    canaries = Canaries(database)
    assert begun(canaries).started_at == clock.now
    clock.forward(60)
    assert canaries.end(by="jane").ended_at == clock.now


def test_what_a_version_fails_that_serves_by_now_is_its_own(
    queue: JobQueue, jane: Owner, canaries: Canaries, catalogue: ModelCatalogue
) -> None:
    """However its canary ended."""
    canary = begun(canaries)
    submitted(queue, jane, its_player(canary))
    job = claimed(queue, canary)
    canaries.end(by="jane", reason="good")
    catalogue.promote(ModelRef.parse(NEXT), by="jane")
    assert queue.fail(job.lease, "no_person", "…", transient=False).status == "failed"


def test_what_is_not_its_fault_is_not_begun_again(
    queue: JobQueue, jane: Owner, canaries: Canaries, catalogue: ModelCatalogue, clock: Any
) -> None:
    canary = begun(canaries)
    player, other = its_player(canary), its_player(canary, takes=False)

    def failed(player: str, code: str = "no_person", *, before: Any = None, **asked: Any) -> str:
        submitted(queue, jane, player, **asked)
        job = claimed(queue, canary)
        if before:
            before()
        return queue.fail(job.lease, code, "…", transient=False).status

    assert failed(player, "video_unreadable") == "failed", "of the clip"
    assert failed(other) == "failed", "of what serves"
    assert failed(player, model=NEXT) == "failed", "asked for by name"
    assert failed(player, model="production") == "queued"
    claimed(queue, canary)
    assert failed(player, before=lambda: canaries.end(by="jane")) == "queued", "it has ended meanwhile"
    claimed(queue, canary)
    clock.forward(60)
    canary = begun(canaries)
    assert failed(player, before=lambda: catalogue.promote(canary.model, by="jane")) == "failed", "it serves by now"


def test_a_worker_that_runs_nothing_else_fails_it_for_good(queue: JobQueue, jane: Owner, canaries: Canaries) -> None:
    """It follows another alias, say."""
    submitted(queue, jane, its_player(begun(canaries)))
    for status in ("queued", "failed"):
        job = claimed(queue, None, runs=NEXT, follows="candidate")
        assert queue.fail(job.lease, "no_person", "…", transient=False).status == status


def test_a_job_that_its_owner_gave_up_is_not_begun_again(queue: JobQueue, jane: Owner, canaries: Canaries) -> None:
    canary = begun(canaries)
    submitted(queue, jane, its_player(canary))
    job = claimed(queue, canary)
    queue.cancel(jane, job.id)
    assert queue.fail(job.lease, "no_person", "…", transient=False).status == "canceled"


# How it begins and ends.


def test_what_cannot_be_a_canary_is_refused(canaries: Canaries, catalogue: ModelCatalogue, database: Database) -> None:
    refused: dict[str, Any] = {"share": 0.1, "by": "jane"}
    with pytest.raises(ModelNotInCatalogue):
        canaries.begin(ModelRef.parse("nobody@1"), **refused)
    with pytest.raises(ModelRefused, match="is production already"):
        canaries.begin(BUILT_IN.ref, **refused)
    with pytest.raises(ModelRefused, match="skeleton"):
        canaries.begin(ModelRef.parse("feet@1"), **refused)
    with pytest.raises(ModelRefused, match="no canary"):
        canaries.end(by="jane")
    assert canaries.active() is None
    assert canaries.begin(ModelRef.parse("feet@1"), **refused, force=True).forced
    with pytest.raises(ModelRefused, match="feet@1 is the canary"):
        begun(canaries)
    with pytest.raises(ModelInUse, match="canary"):
        catalogue.retire(ModelRef.parse("feet@1"))
    canaries.end(by="jane", reason="toes")
    catalogue.retire(ModelRef.parse("feet@1"))
    with pytest.raises(ModelRefused, match="retired"):
        canaries.begin(ModelRef.parse("feet@1"), **refused, force=True)


def test_a_second_one_at_the_same_moment_is_refused(canaries: Canaries, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(canaries)
    monkeypatch.setattr("models.canaries.active_row", lambda *_: None)
    with pytest.raises(ModelRefused, match="has a canary already"):
        begun(canaries)


def test_it_ends_with_a_move_of_its_alias(canaries: Canaries, catalogue: ModelCatalogue, clock: Any) -> None:
    first = begun(canaries, limits=Limits(jobs_min=3))
    assert canaries.active() == first
    assert first.limits == Limits(jobs_min=3)
    catalogue.promote(ModelRef.parse("feet@1"), alias="candidate", by="jane")
    assert canaries.active() == first, "another alias"
    clock.forward(60)
    catalogue.promote(first.model, by="anna", reason="better knees")
    assert canaries.active() is None
    over = canaries.list()[0]
    assert over == replace(first, ended_at=clock.now, ended_by="anna", reason=PROMOTED)
    catalogue.rollback(by="jane")
    clock.forward(60)
    second = begun(canaries)
    catalogue.promote(ModelRef.parse("feet@1"), by="jane", force=True)
    assert [one.id for one in canaries.list()] == [second.id, first.id]
    assert canaries.list(NEXT)[0].reason == "production moved to feet@1"
    assert canaries.list("feet@1") == ()


# How it is judged.


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Jobs of a canary and of what serves, one after the other, and who judges them."""

    queue: JobQueue
    owner: Owner
    canaries: Canaries
    clock: Any
    judge: CanaryJudge

    def ended(self, canary: Canary, *, its: bool, **results: Any) -> None:
        """A job of the canary or not, done by these results after so many seconds; or failed with a code."""
        given = {"frames": 100, "seen": 0.9, "measured": 8, "seconds": 10.0, "error": None, "deep": False, **results}
        submitted(self.queue, self.owner, its_player(canary, takes=its), deep=given["deep"])
        job = claimed(self.queue, canary)
        assert job.job.resolved_model == (NEXT if its else BASE)
        if given["deep"]:
            self.clock.forward(3)
            self.queue.save_quick(job.lease, document=document("quick"), s3_key="key")
            self.queue.start_deep(job.lease)
        self.clock.forward(given["seconds"])
        if given["error"]:
            failed = self.queue.fail(job.lease, given["error"], "…", transient=False)
            if failed.status == "queued":  # it was the canary's: what serves is no better
                job = claimed(self.queue, canary)
                assert job.job.resolved_model == BASE
                self.queue.fail(job.lease, "video_unreadable", "…", transient=False)
            return
        coverage = {"measured": given["measured"], "applicable": 10}
        findings = {"findings": [], "overall_level": "low", "coverage": coverage}
        receipt, subject = {"inferred": given["frames"]}, {"visible_share": given["seen"]}
        stage: Literal["deep", "quick"] = "deep" if given["deep"] else "quick"
        stored = document(stage, receipt=receipt, subject=subject, findings=findings)
        self.queue.finish(job.lease, stage=stage, document=stored, s3_key="key")


@pytest.fixture
def traffic(queue: JobQueue, jane: Owner, canaries: Canaries, clock: Any, database: Database) -> Traffic:
    judge = CanaryJudge(database, every_s=30.0, clock=clock)
    return Traffic(queue=queue, owner=jane, canaries=canaries, clock=clock, judge=judge)


@pytest.mark.parametrize(
    ("results", "name", "value"),
    [
        ({"seconds": 16.0}, "time_ratio", 1.6),
        ({"seen": 0.45}, "found_ratio", 0.5),
        ({"seconds": 16.0, "deep": True}, "time_ratio", 1.6),
        ({"seen": 0.45, "deep": True}, "found_ratio", 0.5),
        ({"measured": 4}, "measured_ratio", 0.5),
        ({"error": "no_person"}, "nobody_more", 1.0),
        ({"error": "internal_error"}, "errors_more", 1.0),
    ],
)
def test_a_canary_that_falls_behind_is_ended(
    traffic: Traffic, results: dict[str, Any], name: str, value: float
) -> None:
    canary = begun(traffic.canaries, limits=Limits(jobs_min=2))
    traffic.ended(canary, its=True, **results)
    for _ in range(2):
        traffic.ended(canary, its=False, deep=results.get("deep", False))
    assert traffic.judge.judge() is None, "one job says nothing"
    traffic.ended(canary, its=True, **results)
    traffic.clock.forward(9)
    assert traffic.judge.judge() is None, "it was looked at a moment ago"
    traffic.clock.forward(30)
    over = traffic.judge.judge()
    assert over is not None
    assert over.figures is not None
    assert getattr(over.figures, name) == pytest.approx(value)
    assert (over.ended_by, over.ended_at, over.judged_at) == (LIMIT, traffic.clock.now, traffic.clock.now)
    assert over.reason == f"{name} is {value:g}, {over.reason.partition(', ')[2]}" if over.reason else False
    assert traffic.canaries.active() is None
    assert traffic.canaries.list() == (over,)
    assert traffic.judge.judge() is None
    submitted(traffic.queue, traffic.owner, its_player(canary))
    assert claimed(traffic.queue, canary).job.resolved_model == BASE


def test_a_canary_that_keeps_up_stays(traffic: Traffic, database: Database) -> None:
    for its in (True, False):  # of another canary's days: they do not count
        traffic.ended(begun(traffic.canaries), its=its, seconds=99.0, error="internal_error")
        traffic.canaries.end(by="jane")
        traffic.clock.forward(1)
    canary = begun(traffic.canaries, limits=Limits(jobs_min=2))
    for its in (True, False):
        for code in ("video_unreadable", None, None):
            traffic.ended(canary, its=its, error=code)
    submitted(traffic.queue, traffic.owner, its_player(canary))
    claimed(traffic.queue, canary)  # that is still running
    assert traffic.judge.judge() is None
    with database.transaction() as transaction:
        kept = transaction.scalars(select(CanaryRow.figures).where(CanaryRow.id == canary.id)).one()
    assert kept == FIGURES.model_copy(update={"jobs": 3, "jobs_beside": 3}).model_dump()


def test_what_it_failed_counts_though_another_model_ended_the_job(traffic: Traffic) -> None:
    """And before there are jobs enough to compare."""
    canary = begun(traffic.canaries, limits=Limits(failures_max=0))
    job_id = submitted(traffic.queue, traffic.owner, its_player(canary))
    traffic.queue.fail(claimed(traffic.queue, canary).lease, "out_of_memory", "…", transient=True)
    traffic.clock.forward(60)
    assert traffic.judge.judge() is None, "the job is not over"
    job = claimed(traffic.queue, None, runs="net@9")
    assert (job.id, job.job.resolved_model) == (job_id, "net@9")
    traffic.queue.finish(job.lease, stage="quick", document=document("quick"), s3_key="key")
    traffic.clock.forward(60)
    over = traffic.judge.judge()
    assert over is not None
    assert over.reason == "failures is 1, at most 0 is allowed"
    assert over.figures is not None
    assert (over.figures.jobs, over.figures.jobs_beside) == (1, 0)


def test_what_the_canary_alone_does_not_see_counts_against_it(traffic: Traffic) -> None:
    """Though what serves found somebody, and the job is done."""
    canary = begun(traffic.canaries, limits=Limits(jobs_min=1))
    submitted(traffic.queue, traffic.owner, its_player(canary))
    assert (
        traffic.queue.fail(claimed(traffic.queue, canary).lease, "no_person", "…", transient=False).status == "queued"
    )
    job = claimed(traffic.queue, canary)
    traffic.queue.finish(job.lease, stage="quick", document=document("quick"), s3_key="key")
    traffic.clock.forward(60)
    over = traffic.judge.judge()
    assert over is not None
    assert over.figures is not None
    assert (over.figures.jobs, over.figures.jobs_beside, over.figures.failures) == (1, 1, 0)
    assert over.reason == "nobody_more is 1, at most 0.05 is allowed"


def test_a_canary_that_another_worker_looks_at_is_passed_over(postgres_url: str) -> None:
    with closing(Database(postgres_url)) as database:
        ModelCatalogue(database).add(
            replace(BUILT_IN, ref=ModelRef.parse(NEXT), artifact=StoredArtifact(bucket="b", key="k", sha256="a" * 64))
        )
        canary, judge = begun(Canaries(database)), CanaryJudge(database, every_s=30.0)
        with database.transaction() as another:
            another.scalar(select(CanaryRow.id).where(CanaryRow.id == canary.id).with_for_update())
            began = time.monotonic()
            assert judge.judge() is None
            assert time.monotonic() < began + 1
        assert Canaries(database).list()[0].judged_at is None
        judge.judge()
        assert Canaries(database).list()[0].judged_at is not None
