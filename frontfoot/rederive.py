"""What `frontfoot rederive` does: stored poses, today's code and other rules → new results, and what changed.

It reads jobs and their files and never writes to them: whatever it makes lies under `--out`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from frontfoot import exits, logs, wiring
from frontfoot.rules_option import RulesChoice
from frontfoot.settings import Settings
from inference.errors import InferenceError
from inference.given_poses import read_poses
from models.documents import Results
from models.errors import InvalidTransition, NotFound, StoreError
from models.requests import AnalysisOptions, AnalysisRequest
from models.storage import Storage
from models.stored import DoneJob, DoneJobs
from pipeline import stages
from pipeline.coaching.changes import DiffDocument, MovedDocument, SaidDocument, diff
from pipeline.coaching.datafiles import DataFileError
from pipeline.given_poses import extraction_of
from pipeline.rederive import POSES, rederive, stored_poses
from pipeline.results import json_bytes

RESULTS = ("results.json", "deep_results.json", "quick_results.json")
"""In which of them a folder's poses were judged: the first that is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Derived:
    """One analysis, before and after."""

    name: str
    """Of the job, or of the folder or file."""
    athlete: str
    """Whose it is, as far as anybody said."""
    before: Results
    after: Results

    @property
    def diff(self) -> DiffDocument:
        """What changed."""
        return diff(self.before, self.after)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What is left of one analysis when thousands are looked at."""

    name: str
    athlete: str
    title: str
    """What is before and what after."""
    diff: DiffDocument

    @classmethod
    def of(cls, derived: Derived) -> Change:
        """By other rules or code."""
        return cls(name=derived.name, athlete=derived.athlete, title=title(derived.diff), diff=derived.diff)


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """One that could not be derived anew, and why."""

    name: str
    reason: str


@contextmanager
def reported_errors(*, as_json: bool) -> Iterator[None]:
    """Turn an error into one clear line (or JSON object) with its code, and an exit code."""
    logs.configure("WARNING", stream=sys.stderr)
    try:
        yield
    except InferenceError as error:
        failure, code, message = exits.BAD_CLIP, error.code, error.message
    except (NotFound, InvalidTransition, DataFileError) as error:
        failure, code, message = exits.USAGE, error.code, str(error)
    except StoreError as error:
        failure, code, message = exits.ERROR, error.code, error.message
    except ValueError as error:
        failure, code, message = exits.BAD_CLIP, "results_unreadable", _first_line(error)
    except OSError as error:
        failure, code, message = exits.ERROR, "io_error", str(error)
    else:
        return
    if as_json:
        typer.echo(json.dumps({"error": {"code": code, "message": message}}))
    else:
        typer.secho(f"{code}: {message}", fg="red", err=True)
    raise typer.Exit(failure)


def folder(source: Path, said: Mapping[str, object], rules: RulesChoice | None) -> Derived:
    """A folder that `analyze` or `results` wrote, or one of its results with the poses beside it.

    `said` are fields of `AnalysisOptions` that are to differ from what the results say was said.
    """
    path = source
    if source.is_dir():
        path = next((source / name for name in RESULTS if (source / name).is_file()), source / RESULTS[0])
    before = Results.model_validate_json(path.read_bytes())
    known = (before.options or AnalysisOptions()).model_dump(exclude={"rules"})
    options = AnalysisOptions.model_validate({**known, **said}).model_copy(
        update={"rules": None if before.options is None else before.options.rules}
    )
    after = rederive(before, read_poses(path.parent / POSES), with_rules(options, rules))
    return Derived(name=str(source), athlete="", before=before, after=after)


def poses_alone(source: Path, request: AnalysisRequest, rules: RulesChoice | None) -> Derived:
    """A file of poses: what our own rules say of it, and what others do."""
    poses = read_poses(source)
    extraction = extraction_of(poses)
    measurements = stages.measure_poses(extraction, request, "deep")
    findings = stages.judge(measurements)
    report = stages.word(extraction, measurements, findings)
    before = stages.compose(extraction, measurements, findings, report, include_frames=False)
    after = rederive(before, poses, with_rules(request.options, rules))
    return Derived(name=str(source), athlete="", before=before, after=after)


def job(job_id: str, rules: RulesChoice | None) -> Derived:
    """A job of the settings' database and store."""
    with _storage() as storage:
        return _derived(storage, DoneJobs(storage.database).get(job_id), rules)


def everything(rules: RulesChoice | None) -> Iterator[Derived | Skipped]:
    """Every job that is done in the settings' database and store, the oldest first; what cannot be derived says why."""
    with _storage() as storage:
        jobs = DoneJobs(storage.database)
        for job_id in jobs.ids():
            try:
                yield _derived(storage, jobs.get(job_id), rules)
            except (NotFound, InvalidTransition, InferenceError, ValueError) as error:
                yield Skipped(name=job_id, reason=f"{type(error).__name__}: {_first_line(error)}")


def with_rules(options: AnalysisOptions, rules: RulesChoice | None) -> AnalysisOptions:
    """The same, judged by other rules; by those that it came with where none are given."""
    return options if rules is None else options.model_copy(update={"rules": rules.asked})


def write(derived: Derived, out: Path) -> None:
    """results.json, report.md and diff.json, in a folder of their own."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_bytes(json_bytes(derived.after))
    (out / "report.md").write_text(derived.after.report.text, encoding="utf-8")
    (out / "diff.json").write_text(derived.diff.model_dump_json(indent=2) + "\n", encoding="utf-8")


def document(change: Change) -> dict[str, Any]:
    """One analysis as JSON."""
    return {"name": change.name, "athlete": change.athlete, **change.diff.model_dump(mode="json")}


def grouped(found: Iterable[Derived | Skipped], out: Path | None) -> Iterator[Change | Skipped]:
    """Write each where `out` is given, and keep of it what changed."""
    for item in found:
        if isinstance(item, Derived) and out is not None:
            write(item, out / item.name)
        yield item if isinstance(item, Skipped) else Change.of(item)


def lines(change: DiffDocument) -> list[str]:
    """What changed, one line each, for a reader."""
    told = [f"+ {_said(item)}" for item in change.added]
    told += [f"- {_said(item)}" for item in change.gone]
    told += [f"~ {_said(item.before)}  →  {_weight(item.after)}" for item in change.changed]
    told += [f"Δ {_movement(item)}" for item in change.moved]
    if (change.level_before, change.basis_before) != (change.level_after, change.basis_after):
        before, after = (change.level_before, change.basis_before), (change.level_after, change.basis_after)
        told.append(f"~ overall: {' on '.join(before)} evidence  →  {' on '.join(after)} evidence")
    return told or ["nothing changed"]


def show(derived: Derived, out: Path | None, *, as_json: bool) -> None:
    """Write one analysis where `out` is given, and print what changed."""
    if out is not None:
        write(derived, out)
    change = Change.of(derived)
    if as_json:
        typer.echo(json.dumps(document(change)))
        return
    typer.echo("\n".join([change.title, *lines(change.diff)]))


def show_all(found: Iterable[Derived | Skipped], out: Path | None, *, as_json: bool) -> None:
    """Write all where `out` is given, and print what changed."""
    show_changes(grouped(found, out), as_json=as_json)


def show_changes(found: Iterable[Change | Skipped], *, as_json: bool) -> None:
    """Print what changed by athlete, in the order of their first; of analyses in which nothing did, only how many."""
    athletes: dict[str, list[Change]] = {}
    skipped: list[Skipped] = []
    for item in found:
        if isinstance(item, Skipped):
            skipped.append(item)
        else:
            athletes.setdefault(item.athlete, []).append(item)
    if as_json:
        groups = [{"athlete": name, "analyses": [document(it) for it in changes]} for name, changes in athletes.items()]
        left_out = [{"name": item.name, "reason": item.reason} for item in skipped]
        typer.echo(json.dumps({"athletes": groups, "skipped": left_out}))
        return
    for name, changes in athletes.items():
        typer.echo(name)
        for change in changes:
            if not change.diff.empty:
                typer.echo(f"  {change.name}: {change.title}")
                typer.echo("\n".join(f"    {line}" for line in lines(change.diff)))
        typer.echo(f"  unchanged: {sum(change.diff.empty for change in changes)} of {len(changes)}")
    for item in skipped:
        typer.secho(f"skipped {item.name}: {item.reason}", err=True)


def title(change: DiffDocument) -> str:
    """By what was judged, before and after."""
    return f"{change.rules_before} (code {change.code_before})  →  {change.rules_after} (code {change.code_after})"


def _derived(storage: Storage, done: DoneJob, rules: RulesChoice | None) -> Derived:
    before = Results.model_validate(done.results)
    poses = stored_poses(storage.store, done.job.s3_bucket or "", done.results_key)
    options = AnalysisOptions.model_validate(done.job.options)
    after = rederive(before, poses, with_rules(options, rules))
    return Derived(name=done.job.id, athlete=done.athlete, before=before, after=after)


@contextmanager
def _storage() -> Iterator[Storage]:
    storage = wiring.storage_options(Settings()).open()
    try:
        yield storage
    finally:
        storage.close()


def _said(item: SaidDocument) -> str:
    about = f" [{item.metric}]" if item.metric else ""
    return f"{item.id} ({_weight(item)}): {item.title}{about}"


def _weight(item: SaidDocument) -> str:
    return ", ".join(word for word in (item.kind, item.severity, item.claim) if word)


def _movement(moved: MovedDocument) -> str:
    error = "" if moved.expected_error is None else f" (± {moved.expected_error:g})"
    before = _number(moved.before, moved.status_before)
    return f"{moved.metric}: {before}  →  {_number(moved.after, moved.status_after)} {moved.unit}{error}"


def _number(value: float | str | None, status: str | None) -> str:
    if value is None:
        return (status or "not there").replace("_", " ")
    return value if isinstance(value, str) else f"{value:g}"


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        fault = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
    return (str(error) or type(error).__name__).splitlines()[0]
