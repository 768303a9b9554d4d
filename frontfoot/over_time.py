"""What `frontfoot progress` does: the results of several sessions of one athlete, metric by metric."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import typer

from frontfoot import exits
from models.documents import Results
from models.progress import MetricProgress, PointDocument, ProgressDocument, Session, StepDocument, progress

RESULTS = ("results.json", "deep_results.json", "quick_results.json")
"""What a folder of an analysis may hold, the first that is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A result that was named, and when it was filmed where that was said."""

    path: Path
    date: date | None


def given(text: str) -> Given:
    """`PATH` or `PATH@YYYY-MM-DD`. Raises BadParameter."""
    path, at, day = text.rpartition("@")
    if not at or Path(text).exists():
        return Given(path=Path(text), date=None)
    try:
        return Given(path=Path(path), date=date.fromisoformat(day))
    except ValueError:
        raise typer.BadParameter(f"{text!r}: {day!r} is no date such as 2026-05-31") from None


def show(named: Sequence[Given], *, as_json: bool) -> None:
    """Read the results, put them in order and print how each metric went; exits where they cannot be followed."""
    try:
        followed = progress(_sessions(named))
    except OSError as error:
        _fail("io_error", str(error), exits.ERROR, as_json=as_json)
    except ValueError as error:  # pydantic's for what is no results document, and those of `progress`
        _fail("results_unreadable", str(error).splitlines()[0], exits.USAGE, as_json=as_json)
    else:
        typer.echo(followed.model_dump_json() if as_json else "\n".join(lines(followed)))


def lines(followed: ProgressDocument) -> list[str]:
    """For a reader."""
    told = [f"{followed.mode}, {len(followed.sessions)} sessions"]
    for place, session in enumerate(followed.sessions):
        rate = "" if session.real_fps is None else f", {session.real_fps:g} frames/s"
        when = f"{session.date} " if session.date else ""
        told.append(f"  {place}: {when}{session.label} ({session.view or 'view unknown'}{rate})")
    for metric in followed.metrics:
        told.append(f"{metric.label} [{metric.metric}, {metric.unit}]: {_verdict(metric)}")
        told.append("  " + "   ".join(_point(point) for point in metric.points))
    return told


def _sessions(named: Sequence[Given]) -> list[Session]:
    """By date where all have one, otherwise as they were named. Raises ValueError for fewer than two."""
    if len(named) < 2:
        raise ValueError("progress needs two sessions or more")
    if any(one.date is not None for one in named):
        undated = [str(one.path) for one in named if one.date is None]
        if undated:
            raise ValueError(f"give a date for all or for none: {', '.join(undated)} has none")
        named = sorted(named, key=lambda one: one.date or date.min)
    return [
        Session(
            label=str(one.path),
            date=None if one.date is None else one.date.isoformat(),
            results=Results.model_validate_json(_document(one.path).read_bytes()),
        )
        for one in named
    ]


def _document(path: Path) -> Path:
    if not path.is_dir():
        return path
    return next((path / name for name in RESULTS if (path / name).is_file()), path / RESULTS[0])


def _verdict(metric: MetricProgress) -> str:
    if metric.overall is None:
        return "seen in one session only"
    return _step(metric.overall)


def _step(step: StepDocument) -> str:
    if step.delta is None or step.threshold is None:
        return f"not comparable: {'; '.join(step.reasons)}"
    if step.verdict == "changed":
        return f"changed by {step.delta:+g} (more than {step.threshold:g})"
    return f"no change that could be told ({step.delta:+g}, within {step.threshold:g})"


def _point(point: PointDocument) -> str:
    if point.value is None:
        return f"{point.session}: not measurable"
    if isinstance(point.value, str):
        return f"{point.session}: {point.value}"
    error = "" if point.expected_error is None else f" ± {point.expected_error:g}"
    return f"{point.session}: {point.value:g}{error} (n {point.n})"


def _fail(code: str, message: str, failure: int, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"error": {"code": code, "message": message}}))
    else:
        typer.secho(f"{code}: {message}", fg="red", err=True)
    raise typer.Exit(failure)
