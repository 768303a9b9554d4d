"""Trials in the database: whose turn it is, what is kept of whom, and that jobs notice nothing until they are told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hooked_jobs import DOCUMENT, Nets
from sqlalchemy import update

from models.cleaning import Cleaner
from models.database import Database
from models.errors import ArtifactsMissing, InvalidTransition, LeaseLost
from models.jobs import Job
from models.outbox import Outbox
from models.replacing import NewResult, replace_results
from models.stored import DoneJobs
from models.tables import VideoAnalysisJob, VideoSession
from models.trials import TrialCounts, TrialOutcome, Trials, in_sample

NET = "net@2"
COMPARISON = {"name": "nets", "flips": 0}
NEW: dict[str, Any] = {**DOCUMENT, "findings": {"findings": [{"id": "c"}], "overall_level": "low"}}


@pytest.fixture
def trials(database: Database, clock: Any) -> Trials:
    return Trials(database, lease_s=60, max_attempts=2, clock=clock)


def measured(job: Job, **changes: Any) -> TrialOutcome:
    made = TrialOutcome(base="net@1", base_key="deep", results_key=f"trial/{job.id}", comparison=COMPARISON)
    return replace(made, **changes)


def ran(trials: Trials, job: Job, why: Any = "rerun") -> None:
    trials.enlist(NET, why, [job.id])
    claimed = trials.claim(NET, why)
    assert claimed is not None
    assert trials.finish(claimed, measured(job))


def resolved(database: Database, job: Job, model: str) -> None:
    with database.transaction() as transaction:
        changed = update(VideoAnalysisJob).where(VideoAnalysisJob.id == job.id).values(resolved_model=model)
        transaction.execute(changed)


def counts(waiting: int = 0, running: int = 0, done: int = 0, replaced: int = 0, **failed: int) -> TrialCounts:
    return TrialCounts(waiting=waiting, running=running, done=done, failed=failed, replaced=replaced)


def test_a_sample_is_always_the_same_and_grows() -> None:
    names = [f"00000000-0000-4000-8000-{number:012}" for number in range(4000)]
    tenth, half = ({name for name in names if in_sample(name, share)} for share in (0.1, 0.5))
    assert tenth < half
    assert 340 < len(tenth) < 460
    assert all(in_sample(name, 1.0) and not in_sample(name, 0.0) for name in names)


def test_jobs_are_enlisted_once_and_only_where_another_version_measured_them(
    trials: Trials, nets: Nets, database: Database
) -> None:
    by_us, by_another, unknown, running = nets.done(), nets.done(), nets.done(), nets.claimed()
    resolved(database, by_us, NET)
    resolved(database, by_another, "net@1")
    everyone = [by_us.id, by_another.id, unknown.id, running.id, "nobody"]
    assert trials.enlist(NET, "shadow", everyone) == 2
    assert trials.enlist(NET, "shadow", everyone) == 0
    assert trials.enlist("net@3", "shadow", everyone) == 3
    assert trials.counts(NET, "shadow") == counts(waiting=2)


def test_two_processes_share_the_work(trials: Trials, nets: Nets) -> None:
    jobs = [nets.done().id for _ in range(6)]
    with ThreadPoolExecutor(4) as pool:
        made = sum(pool.map(lambda _: trials.enlist(NET, "rerun", jobs), range(4)))
        claimed = [one.job_id for one in pool.map(lambda _: trials.claim(NET, "rerun"), range(6)) if one]
    assert made == 6
    while one := trials.claim(NET, "rerun"):  # whoever found the next row locked came away with nothing
        claimed.append(one.job_id)
    assert sorted(claimed) == sorted(jobs)


def test_a_process_that_dies_loses_its_trial_to_the_next(trials: Trials, nets: Nets, clock: Any) -> None:
    job = nets.done()
    trials.enlist(NET, "rerun", [job.id])
    dead = trials.claim(NET, "rerun")
    assert dead is not None
    clock.forward(50)
    trials.renew(dead)
    clock.forward(50)
    assert trials.claim(NET, "rerun") is None
    clock.forward(11)
    alive = trials.claim(NET, "rerun")
    assert alive is not None
    with pytest.raises(LeaseLost):
        trials.renew(dead)
    assert not trials.finish(dead, measured(job, results_key="late"))
    assert trials.finish(alive, measured(job))
    assert [one.outcome.results_key for one in trials.ended(NET)] == [f"trial/{job.id}"]


def test_a_clip_that_kills_is_given_up_and_stands_in_nobodys_way(trials: Trials, nets: Nets, clock: Any) -> None:
    killer, other = nets.done(), nets.done()
    trials.enlist(NET, "rerun", [killer.id])
    for _ in range(2):
        assert trials.claim(NET, "rerun") is not None
        clock.forward(61)
    trials.enlist(NET, "rerun", [other.id])
    claimed = trials.claim(NET, "rerun")
    assert claimed is not None
    assert claimed.job_id == other.id
    assert trials.counts(NET, "rerun") == counts(running=1, lease_expired=1)
    assert trials.enlist(NET, "rerun", [killer.id]) == 0  # run again, it is tried again
    assert trials.counts(NET, "rerun") == counts(waiting=1, running=1)


def test_what_was_handed_back_costs_an_attempt_only_where_it_is_to_blame(trials: Trials, nets: Nets) -> None:
    trials.enlist(NET, "shadow", [nets.done().id])

    def handed_back(code: str | None) -> None:
        claimed = trials.claim(NET, "shadow")
        assert claimed is not None
        trials.hand_back(claimed, code)

    for code in (None, None, None, "source_unavailable", None, "out_of_memory"):
        handed_back(code)
    assert trials.claim(NET, "shadow") is None
    assert trials.counts(NET, "shadow") == counts(out_of_memory=1)


def test_what_ended_is_read_with_its_athlete_in_the_order_of_the_jobs(
    trials: Trials, nets: Nets, database: Database, clock: Any
) -> None:
    first = nets.done()
    clock.forward(1)
    second = nets.done()
    with database.transaction() as transaction:
        of_second = update(VideoSession).where(VideoSession.id == second.session_id)
        transaction.execute(of_second.values(player_ids=["p7", "p8"]))
    trials.enlist(NET, "shadow", [second.id, first.id])
    for _ in range(2):
        claimed = trials.claim(NET, "shadow")
        assert claimed is not None
        code = "no_person" if claimed.job_id == second.id else None
        outcome = measured(first) if code is None else measured(second, results_key=None, error_code=code)
        assert trials.finish(claimed, outcome)
    ended = list(trials.ended(NET, base="net@1"))
    assert [(one.job_id, one.athlete, one.outcome.error_code) for one in ended] == [
        (first.id, "coach:jane", None),
        (second.id, "coach:jane player:p7 player:p8", "no_person"),
    ]
    assert ended[0].outcome == measured(first)
    assert list(trials.ended(NET, base="net@0")) == list(trials.ended(NET, why="rerun")) == []


def test_a_trial_of_the_shadow_counts_for_a_rerun_from_then_on(trials: Trials, nets: Nets) -> None:
    job = nets.done()
    ran(trials, job, "shadow")
    assert trials.enlist(NET, "rerun", [job.id]) == 0
    assert trials.counts(NET, "rerun") == counts(done=1)
    assert trials.counts(NET, "shadow") == counts()


def new(key: str) -> NewResult:
    return NewResult(document=NEW, s3_key=key)


def test_a_trial_changes_nothing_of_its_job(trials: Trials, nets: Nets) -> None:
    job = nets.done()
    before = nets.queue.get(nets.owner, job.id), nets.queue.results(nets.owner, job.id)
    ran(trials, job)
    assert (nets.queue.get(nets.owner, job.id), nets.queue.results(nets.owner, job.id)) == before


def test_replacing_shows_the_new_results_and_nothing_else_changes(
    trials: Trials, nets: Nets, database: Database, outbox: Outbox, clock: Any
) -> None:
    job = nets.done()
    ran(trials, job)
    before = nets.queue.get(nets.owner, job.id)
    clock.forward(100)
    (trial,) = trials.ended(NET)
    replace_results(database, trial, new("trial/quick"), new(f"trial/{job.id}"), clock=clock)
    after = nets.queue.get(nets.owner, job.id)
    assert (after.deep_results_s3_key, after.quick_results_s3_key) == (f"trial/{job.id}", "trial/quick")
    assert after.deep_findings == after.quick_findings == NEW["findings"]
    assert (after.resolved_model, after.updated_at) == (NET, clock.now)
    assert nets.queue.results(nets.owner, job.id).results == {"quick": NEW, "deep": NEW}
    changed = (
        "quick_findings", "quick_report", "deep_findings", "deep_report", "quick_results_s3_key",
        "deep_results_s3_key", "resolved_model", "updated_at",
    )  # fmt: skip
    assert replace(after, **{name: getattr(before, name) for name in changed}) == before
    assert trials.counts(NET, "rerun") == counts(done=1, replaced=1)
    assert outbox.reconcile() == 0  # no event is missing: nobody is told of it

    with pytest.raises(InvalidTransition, match="other results"):
        replace_results(database, trial, new("trial/quick"), new("again"), clock=clock)
    assert trials.enlist(NET, "rerun", [job.id]) == 0
    assert trials.enlist("net@1", "rerun", [job.id]) == 1  # the way back
    assert trials.counts(NET, "rerun") == counts(done=1, replaced=1)


def test_what_no_guardrail_lets_through_replaces_nothing(trials: Trials, nets: Nets, database: Database) -> None:
    job = nets.done()
    ran(trials, job)
    before = nets.queue.get(nets.owner, job.id)
    (trial,) = trials.ended(NET)
    empty = NewResult(document={**NEW, "report": {"text": "", "sections": []}}, s3_key="trial/deep")
    with pytest.raises(ArtifactsMissing, match="findings=present report=MISSING"):
        replace_results(database, trial, new("trial/quick"), empty)
    with pytest.raises(InvalidTransition):
        replace_results(database, trial, new("trial/quick"), None)
    assert nets.queue.get(nets.owner, job.id) == before


def test_a_comparison_with_results_that_were_replaced_is_made_again(
    trials: Trials, nets: Nets, database: Database
) -> None:
    """Two versions measured it; the first to replace leaves the other compared with what nobody sees any more."""
    job = nets.done()
    ran(trials, job)
    trials.enlist("net@3", "rerun", [job.id])
    slow = trials.claim("net@3", "rerun")
    assert slow is not None
    (trial,) = trials.ended(NET)
    replace_results(database, trial, new("trial/quick"), new("trial/deep"))
    assert not trials.finish(slow, measured(job))
    assert trials.counts("net@3", "rerun") == counts(job_changed=1)
    trials.enlist("net@3", "rerun", [job.id])
    assert trials.counts("net@3", "rerun") == counts(waiting=1)


def test_a_job_takes_its_trials_with_it(
    trials: Trials, nets: Nets, database: Database, folder_store: Any, clock: Any
) -> None:
    cleaner = Cleaner(database, folder_store, clock=clock)
    kept, gone, stripped = nets.done(), nets.done(), nets.done()
    ran(trials, kept)
    trials.enlist(NET, "rerun", [gone.id])
    claimed = trials.claim(NET, "rerun")
    assert claimed is not None
    cleaner.forget_job(nets.owner, gone.id)
    with pytest.raises(LeaseLost):
        trials.renew(claimed)
    assert not trials.finish(claimed, measured(gone))
    trials.hand_back(claimed)
    assert [one.job_id for one in trials.ended(NET)] == [kept.id]

    trials.enlist(NET, "rerun", [stripped.id])
    claimed = trials.claim(NET, "rerun")
    assert claimed is not None
    clock.forward(100)
    assert cleaner.give_up_artifacts(timedelta(seconds=50)) == 2
    assert not trials.finish(claimed, measured(stripped))
    assert list(DoneJobs(database).ended(clock.now - timedelta(hours=1))) == []
    assert trials.enlist("net@3", "rerun", [stripped.id]) == 0


def test_files_of_trials_go_when_a_jobs_files_are_given_up(
    trials: Trials, nets: Nets, database: Database, folder_store: Any, clock: Any
) -> None:
    cleaner = Cleaner(database, folder_store, clock=clock)
    job = nets.done()
    key = f"sessions/{job.session_id}/analysis/{job.id}/trials/0123456789ab/deep_results.json"
    folder_store.put_bytes("local", key, b"{}")
    clock.forward(100)
    cleaner.give_up_artifacts(timedelta(seconds=50))
    cleaner.deletions.carry_out_due(20)
    assert not folder_store.exists("local", key)


def test_finished_jobs_in_the_order_of_their_ends(nets: Nets, database: Database, clock: Any) -> None:
    first, moment = nets.done(), clock.forward(1)
    second = nets.done()
    nets.claimed()
    jobs = DoneJobs(database)
    assert [job.id for job in jobs.ended(moment - timedelta(seconds=1))] == [first.id, second.id]
    assert [job.id for job in jobs.ended(moment)] == [second.id]


def test_an_outcome_is_results_or_a_reason() -> None:
    for wrong in ({}, {"results_key": "k", "error_code": "no_person"}):
        with pytest.raises(ValueError, match="results or with a code"):
            TrialOutcome(**wrong)
