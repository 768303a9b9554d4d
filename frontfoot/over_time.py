"""What `frontfoot progress` does: several sessions of one athlete, metric by metric, from files or from a server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import cast

import typer

from frontfoot import exits
from frontfoot.wire import Discipline, PlayerProgress, ProgressPoint, ProgressStep
from models.documents import Results
from models.progress import Session, progress

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
        told = cast("Discipline", followed.model_dump())
        typer.echo(followed.model_dump_json() if as_json else "\n".join(lines(told)))


def show_player(followed: PlayerProgress, *, as_json: bool) -> None:
    """Print what a server says of a player: every discipline, and what could not be followed."""
    if as_json:
        typer.echo(json.dumps(followed))
        return
    told = [line for discipline in followed["disciplines"] for line in lines(discipline)]
    told += [
        f"left out: session {one['session_id']}, job {one['job_id']}: {one['reason']}" for one in followed["left_out"]
    ]
    if followed["older"]:
        told.append("there are older sessions: ask for more with --limit")
    typer.echo("\n".join(told or ["nothing is done yet"]))


def lines(followed: Discipline) -> list[str]:
    """For a reader."""
    told = [f"{followed['mode']}, {len(followed['sessions'])} sessions"]
    for place, session in enumerate(followed["sessions"]):
        rate = "" if session["real_fps"] is None else f", {session['real_fps']:g} frames/s"
        when = f"{session['date']} " if session["date"] else ""
        told.append(f"  {place}: {when}{session['label']} ({session['view'] or 'view unknown'}{rate})")
    for metric in followed["metrics"]:
        told.append(f"{metric['label']} [{metric['metric']}, {metric['unit']}]: {_verdict(metric['overall'])}")
        told.append("  " + "   ".join(_point(point) for point in metric["points"]))
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


def _verdict(overall: ProgressStep | None) -> str:
    if overall is None:
        return "seen in one session only"
    delta, threshold = overall["delta"], overall["threshold"]
    if delta is None or threshold is None:
        return f"not comparable: {'; '.join(overall['reasons'])}"
    if overall["verdict"] == "changed":
        return f"changed by {delta:+g} (more than {threshold:g})"
    return f"no change that could be told ({delta:+g}, within {threshold:g})"


def _point(point: ProgressPoint) -> str:
    value, error = point["value"], point["expected_error"]
    if value is None:
        return f"{point['session']}: not measurable"
    if isinstance(value, str):
        return f"{point['session']}: {value}"
    return f"{point['session']}: {value:g}{'' if error is None else f' ± {error:g}'} (n {point['n']})"


def _fail(code: str, message: str, failure: int, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"error": {"code": code, "message": message}}))
    else:
        typer.secho(f"{code}: {message}", fg="red", err=True)
    raise typer.Exit(failure)
