"""What `frontfoot models compare` does."""

from __future__ import annotations

import getpass
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import typer

from frontfoot import model_choice, wiring
from frontfoot.compared_clips import JobQuery, Shadowed, clips_of_folder, clips_of_jobs
from frontfoot.local import reported_errors
from frontfoot.settings import Settings
from models.comparisons import Comparisons
from models.errors import CatalogueMissing
from models.model_catalogue import ModelCatalogue
from models.model_versions import ModelRef
from models.promotion import Totals
from models.requests import AnalysisRequest
from models.storage import Storage
from models.trials import Trials
from pipeline.comparison.documents import totals
from pipeline.comparison.rounds import Case
from pipeline.comparison.run import Comparison
from pipeline.comparison.run import compare as compare_models
from pipeline.stages import Limits
from pipeline.trials.comparing import kept_comparison


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """Clips in a folder, with one request for all."""

    path: Path
    request: AnalysisRequest


def compare(a: str, b: str, clips: Folder | JobQuery | Shadowed, out: Path, *, as_json: bool) -> None:
    """Compare what two references mean now, write comparison.json and .html into `out`, and record the totals."""
    settings = Settings()
    with reported_errors(as_json=as_json), closing(wiring.storage_options(settings).open()) as storage:
        if not model_choice.has_catalogue(storage.database):
            raise CatalogueMissing("The database has no model catalogue yet: run `frontfoot migrate`.")
        catalogue = ModelCatalogue(storage.database)
        one, other = catalogue.resolve(a).ref, catalogue.resolve(b).ref
        made = _made(settings, storage, one, other, clips)
        _write(made, out)
        found = totals(made.document)
        Comparisons(storage.database).record(one, other, found, by=getpass.getuser())
    _print(made, found, out, as_json=as_json)


def _made(
    settings: Settings, storage: Storage, one: ModelRef, other: ModelRef, clips: Folder | JobQuery | Shadowed
) -> Comparison:
    a, b, limits = str(one), str(other), wiring.limits(settings)
    if not isinstance(clips, Shadowed):
        cases = _cases(storage, clips, limits)
        sides = ((a, wiring.version_options(settings, a)), (b, wiring.version_options(settings, b)))
        return compare_models(cases, *sides, limits)
    trials = tuple(Trials(storage.database).ended(b, base=a))
    if not trials:
        raise typer.BadParameter(f"{b} has measured no job that {a} had measured: `frontfoot models shadow {b}` does")
    return kept_comparison(storage.store, trials, a, b, limits)


def _cases(storage: Storage, clips: Folder | JobQuery, limits: Limits) -> tuple[Case, ...]:
    try:
        if isinstance(clips, JobQuery):
            return clips_of_jobs(storage, clips, limits)
        return clips_of_folder(clips.path, clips.request)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _write(made: Comparison, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "comparison.json").write_text(made.document.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (out / "comparison.html").write_text(made.page, encoding="utf-8")


def _print(made: Comparison, found: Totals, out: Path, *, as_json: bool) -> None:
    if as_json:
        typer.echo(made.document.model_dump_json())
        return
    for name, value in found:
        typer.echo(f"{name:<14} {'-' if value is None else f'{value:.4g}'}")
    typer.echo(f"wrote {out / 'comparison.json'}\nwrote {out / 'comparison.html'}")
