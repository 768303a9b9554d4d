"""What `frontfoot models canary` does: a version measures a share of the athletes for a while."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from frontfoot.catalogue_room import entered, operator
from models.canary import Canary, Limits
from models.limits import limits_of, read_limits
from models.model_versions import PRODUCTION, ModelRef
from models.worker_models import WorkerModel


def begin(reference: str, share: float, limits: Path | None, *, force: bool, as_json: bool) -> None:
    """Let a version measure a share of the athletes."""
    with entered(as_json=as_json) as room:
        chosen = Limits() if limits is None else read_limits(limits, Limits)
        ref = ModelRef.parse(reference)
        version = room.catalogue.find(ref)
        if version.artifact is not None:
            room.store.stat(version.artifact.bucket, version.artifact.key)  # workers must find it
        canary = room.canaries.begin(ref, share=share, by=operator(), limits=chosen, force=force)
    if as_json:
        typer.echo(json.dumps(shown(canary)))
        return
    typer.echo(sentence(canary))
    typer.secho("Workers load it now: `frontfoot models canary --status` says how far.", err=True)


def end(reason: str | None, *, as_json: bool) -> None:
    """Let everybody get what `production` means."""
    with entered(as_json=as_json) as room:
        canary = room.canaries.end(by=operator(), reason=reason)
    typer.echo(json.dumps(shown(canary)) if as_json else sentence(canary))


def status(*, as_json: bool) -> None:
    """The canary that is active, or else the last one: its limits, what it came to, and which workers run it."""
    with entered(as_json=as_json) as room:
        canary = room.canaries.active() or next(iter(room.canaries.list()), None)
        words = room.workers.list()
    concerned = [word for word in words if canary is not None and word.canary == str(canary.model)]
    if as_json:
        found = None if canary is None else shown(canary)
        typer.echo(json.dumps({"canary": found, "workers": [asdict(word) for word in concerned]}))
    elif canary is None:
        typer.echo(f"{PRODUCTION} never had a canary.")
    else:
        typer.echo("\n".join([sentence(canary), *_table(canary), *worker_sentences(concerned)]))


def shown(canary: Canary) -> dict[str, Any]:
    """A canary in plain JSON values."""
    return {
        "model": str(canary.model),
        "alias": canary.alias,
        "beside": str(canary.base),
        "share": canary.share,
        "limits": canary.limits.model_dump(),
        "started_at": canary.started_at.isoformat(),
        "started_by": canary.started_by,
        "forced": canary.forced,
        "ended_at": canary.ended_at.isoformat() if canary.ended_at else None,
        "ended_by": canary.ended_by,
        "reason": canary.reason,
        "judged_at": canary.judged_at.isoformat() if canary.judged_at else None,
        "figures": canary.figures.model_dump() if canary.figures else None,
    }


def sentence(canary: Canary) -> str:
    """When it began, and how it ended."""
    forced = " (forced)" if canary.forced else ""
    began = (
        f"{canary.started_at.isoformat()} {canary.started_by} canary of {canary.alias}: {canary.model} for "
        f"{canary.share:.3g} of the athletes, {canary.base} for the others{forced}"
    )
    if canary.ended_at is None:
        return f"{began}; active"
    reason = f": {canary.reason}" if canary.reason else ""
    return f"{began}; ended {canary.ended_at.isoformat()} by {canary.ended_by}{reason}"


def worker_sentences(words: Sequence[WorkerModel]) -> list[str]:
    """What workers say of their canary."""
    doing = {"ready": "runs", "loading": "loads", "failed": "could not load", "no_room": "has no room for"}
    lines = []
    for word in words:
        if word.canary is not None and word.canary_state is not None:
            why = f": {word.error_code}: {word.error_message}" if word.canary_state == "failed" else ""
            lines.append(f"worker {word.worker_id} {doing[word.canary_state]} the canary {word.canary}{why}")
    return lines


def _table(canary: Canary) -> list[str]:
    """Figures and their limits, as it was last judged."""
    values = canary.figures.model_dump() if canary.figures else {}
    lines = []
    for limit in limits_of(canary.limits):
        value = values.get(limit.figure)
        words = "–" if value is None else f"{value:.4g}"
        lines.append(f"{limit.figure:<15} {words:>8}   {limit}")
    return lines
