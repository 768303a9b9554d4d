"""What `frontfoot models shadow` and `rerun` do: finished jobs measured by another version, beside the workers.

Jobs, results, webhooks and the queue stay as they are until `rerun --replace`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import typer

from frontfoot import logs, model_choice, wiring
from frontfoot.compared_clips import JobQuery
from frontfoot.local import reported_errors
from frontfoot.rederive import Change, Skipped, show_changes
from frontfoot.settings import Settings
from frontfoot.signals import Signals
from inference.errors import InferenceError
from inference.extract import load_extractor
from models.errors import CatalogueMissing, InvalidTransition, StoreError, StoreUnavailable
from models.model_catalogue import ModelCatalogue
from models.storage import Storage
from models.stored import DoneJobs
from models.trials import Trial, Trials
from pipeline.trials.comparing import compared_clip
from pipeline.trials.measuring import Bench
from pipeline.trials.replacing import replace
from pipeline.trials.working import Pace, Sampler, work_off


@dataclass(frozen=True, kw_only=True, slots=True)
class Manners:
    """How far a process steps back."""

    niceness: int
    """0..19; at 19 whatever else wants the processor has it first."""
    yields: bool
    """Begin no clip while a job waits to be claimed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Room:
    settings: Settings
    storage: Storage
    trials: Trials
    model: str


def shadow(reference: str, manners: Manners, *, share: float, since: datetime | None) -> None:
    """Measure a sample of what finishes, until SIGTERM or SIGINT."""
    with _room(reference, as_json=False) as room, Signals() as signals, _bench(room, manners) as bench:
        begun = since or room.trials.begun_at(room.model, "shadow") or datetime.now(UTC)
        sampler = Sampler(room.storage, room.trials, room.model, share=share, since=begun)
        pace = Pace(yields=manners.yields, until_done=False, poll_s=room.settings.poll_s)
        work_off(bench, "shadow", pace, signals.stop, sampler)


def rerun(reference: str, query: JobQuery, manners: Manners, *, as_json: bool) -> None:
    """Measure every finished job that the query means, as far as that was not done before; then say how it stands."""
    with _room(reference, as_json=as_json) as room:
        newest = islice(DoneJobs(room.storage.database).newest(query.mode, query.since), query.limit)
        room.trials.enlist(room.model, "rerun", (job.id for job in newest))
        counts = room.trials.counts(room.model, "rerun")
        if counts.waiting + counts.running:
            with Signals() as signals, _bench(room, manners) as bench:
                pace = Pace(yields=manners.yields, until_done=True, poll_s=room.settings.poll_s)
                work_off(bench, "rerun", pace, signals.stop)
        _print_status(room, as_json=as_json)


def show_status(reference: str, *, as_json: bool) -> None:
    """How far a rerun has come."""
    with _room(reference, as_json=as_json) as room:
        _print_status(room, as_json=as_json)


def show_diff(reference: str, *, as_json: bool) -> None:
    """What a rerun would change, by athlete: findings that appear, vanish or change, numbers that move."""
    with _room(reference, as_json=as_json) as room:
        show_changes(map(_change, room.trials.ended(room.model, why="rerun")), as_json=as_json)


def replace_all(reference: str, *, as_json: bool) -> None:
    """Let every job that a rerun measured show its results; where that cannot be, say why."""
    replaced, skipped = 0, []
    with _room(reference, as_json=as_json) as room:
        counts = room.trials.counts(room.model, "rerun")
        if counts.waiting + counts.running:
            raise InvalidTransition(
                f"{counts.waiting + counts.running} jobs are still to be measured: run `frontfoot models rerun` first."
            )
        for trial in room.trials.ended(room.model, why="rerun"):
            if trial.replaced_at is not None:
                continue
            reason = trial.outcome.error_code or _replace(room, trial)
            replaced += reason is None
            skipped += [] if reason is None else [Skipped(name=trial.job_id, reason=reason)]
    if as_json:
        left_out = [{"name": item.name, "reason": item.reason} for item in skipped]
        typer.echo(json.dumps({"model": room.model, "replaced": replaced, "skipped": left_out}))
        return
    typer.echo(f"replaced {replaced}")
    for item in skipped:
        typer.secho(f"skipped {item.name}: {item.reason}", err=True)


def _replace(room: _Room, trial: Trial) -> str | None:
    """Why it could not be; None: it was. Raises StoreUnavailable."""
    try:
        replace(room.storage, trial, wiring.limits(room.settings))
    except StoreUnavailable:
        raise
    except (StoreError, InferenceError) as error:
        return f"{error.code}: {error.message}"
    except ValueError as error:
        return f"results_unreadable: {error}"
    return None


def _change(trial: Trial) -> Change | Skipped:
    clip = compared_clip(trial)
    if clip is None or clip.diff is None:
        return Skipped(name=trial.job_id, reason=trial.outcome.error_code or "not compared")
    title = f"{trial.outcome.base or 'an unknown version'}  →  {trial.model}"
    if clip.diff.code_before != clip.diff.code_after:
        title += f", code {clip.diff.code_before}  →  {clip.diff.code_after}"
    if trial.replaced_at is not None:
        title += " (replaced)"
    return Change(name=trial.job_id, athlete=trial.athlete, title=title, diff=clip.diff)


def _print_status(room: _Room, *, as_json: bool) -> None:
    counts = room.trials.counts(room.model, "rerun")
    numbers = {
        "waiting": counts.waiting,
        "running": counts.running,
        "done": counts.done,
        "failed": sum(counts.failed.values()),
        "replaced": counts.replaced,
    }
    if as_json:
        typer.echo(json.dumps({"model": room.model, **numbers, "failures": dict(counts.failed)}))
        return
    for name, value in {"model": room.model, **numbers}.items():
        typer.echo(f"{name:<10}{value}")
    for code, count in counts.failed.items():
        typer.echo(f"failed with {code}: {count}")


@contextmanager
def _room(reference: str, *, as_json: bool) -> Iterator[_Room]:
    settings = Settings()
    with reported_errors(as_json=as_json), closing(wiring.storage_options(settings).open()) as storage:
        if not model_choice.has_catalogue(storage.database):
            raise CatalogueMissing("The database has no model catalogue yet: run `frontfoot migrate`.")
        version = ModelCatalogue(storage.database).resolve(reference)
        trials = Trials(storage.database, lease_s=settings.lease_s, max_attempts=settings.max_attempts)
        yield _Room(settings=settings, storage=storage, trials=trials, model=str(version.ref))


@contextmanager
def _bench(room: _Room, manners: Manners) -> Iterator[Bench]:
    """The version, loaded, in a process that steps back from here on."""
    logs.configure(room.settings.log_level, stream=sys.stderr)
    os.nice(manners.niceness)  # before the model's own threads begin
    extractor = load_extractor(wiring.version_options(room.settings, room.model))
    try:
        yield Bench(
            storage=room.storage,
            trials=room.trials,
            extractor=extractor,
            model=room.model,
            limits=wiring.limits(room.settings),
            lease_s=room.settings.lease_s,
        )
    finally:
        extractor.close()
