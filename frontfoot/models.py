"""What `frontfoot models` does: the model catalogue, in the database and the store that the settings name.

Only `register` and `verify` load what looks at pixels, so that the others work where nothing of that is installed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from frontfoot import canary, model_admission, model_choice, wiring
from frontfoot.catalogue_room import entered, operator
from frontfoot.model_admission import Wanted
from frontfoot.settings import Settings
from models.artifacts import ArtifactStore
from models.errors import StoreError
from models.model_catalogue import ModelCatalogue
from models.model_versions import AliasMove, ModelRef, ModelVersion, StoredArtifact
from models.worker_models import WorkerModel

if TYPE_CHECKING:
    from inference.admission import Admitted

_LINE = 1000
"""Columns of `list`, more than it ever takes: a version has one line, to read and to search."""


def register(wanted: Wanted, *, as_json: bool) -> None:
    """Check a model, convert it, keep what workers load, and enter it. Of what is refused nothing is kept."""
    with entered(as_json=as_json) as (catalogue, _, _, store):
        catalogue.check_new(wanted.ref)
        version = _keep(catalogue, store, wanted, model_admission.admitted(wanted, catalogue, store))
    _print(version, as_json=as_json)


def checksum(source: str, *, as_json: bool) -> None:
    """The checksum that `register` wants for a source."""
    with entered(as_json=as_json) as (_, _, _, store):
        found = model_admission.checksum(source, store)
    typer.echo(json.dumps({"source": source, "sha256": found}) if as_json else found)


def show_all(*, as_json: bool) -> None:
    """List every version and what the aliases mean."""
    with entered(as_json=as_json) as (catalogue, workers, canaries, _):
        versions, aliases, words = catalogue.list(), catalogue.aliases(), workers.list()
        past = canaries.list()
    if as_json:
        meant = {alias: str(ref) for alias, ref in aliases.items()}
        shown = {"models": [_shown(version) for version in versions], "aliases": meant, "workers": _words(words)}
        typer.echo(json.dumps({**shown, "canaries": [canary.shown(one) for one in past]}))
        return
    columns = ("model", "aliases", "state", "format", "precision", "skeleton", "licence", "created_at", "created_by")
    table = Table(*columns, box=None)
    for version in versions:
        names = sorted(alias for alias, ref in aliases.items() if ref == version.ref)
        moment = version.created_at.isoformat(timespec="seconds") if version.created_at else "built in"
        runs_in = version.precision or "fastest"
        row = (str(version.ref), " ".join(names), version.state, version.format, runs_in, version.skeleton["name"])
        table.add_row(*row, version.licence or "", moment, version.created_by)
    Console(width=_LINE).print(table)  # a terminal that is narrower breaks lines, not words
    for one in past:
        if one.ended_at is None:
            typer.echo(canary.sentence(one))


def show(reference: str, *, as_json: bool) -> None:
    """Everything about a version, the moves of the aliases that ever meant it, its canaries, and workers concerned."""
    with entered(as_json=as_json) as (catalogue, workers, canaries, _):
        version = catalogue.find(ModelRef.parse(reference)) if "@" in reference else catalogue.resolve(reference)
        moves = [move for alias in sorted(catalogue.aliases()) for move in catalogue.history(alias)]
        words = [word for word in workers.list() if word.concerns(str(version.ref))]
        past = canaries.list(str(version.ref))
    concerned = [_move(move) for move in moves if version.ref in {move.before, move.after}]
    if as_json:
        told = {"moves": concerned, "canaries": [canary.shown(one) for one in past], "workers": _words(words)}
        typer.echo(json.dumps({**_shown(version), **told}))
        return
    _print(version, as_json=False)
    for move in concerned:
        forced, reason = " (forced)" if move["forced"] else "", f": {move['reason']}" if move["reason"] else ""
        moved = f"{move['kind']} {move['alias']}: {move['from'] or 'nothing'} → {move['to']}"
        typer.echo(f"{move['moved_at']} {move['moved_by']} {moved}{forced}{reason}")
    for one in reversed(past):
        typer.echo(canary.sentence(one))
    for word in words:
        typer.echo(_sentence(word))
    for line in canary.worker_sentences([word for word in words if word.canary == str(version.ref)]):
        typer.echo(line)


def verify(reference: str, *, as_json: bool) -> None:
    """Fetch what workers load of a version, compare its checksum, and hold it against the keypoint contract anew."""
    from inference.admission import measure
    from inference.catalog import catalogued

    with (
        entered(as_json=as_json) as (catalogue, _, _, store),
        tempfile.TemporaryDirectory(prefix="frontfoot-verify-") as name,
    ):
        version = catalogue.find(ModelRef.parse(reference)) if "@" in reference else catalogue.resolve(reference)
        model = model_choice.registered(version, store)
        spec = catalogued(version.ref.name) if model is None else model.spec(Path(name))
        cache = Settings().cache_dir if model is None else Path(name)
        found = {"model": str(version.ref), "sha256": spec.artifact.sha256 if spec.artifact else spec.sha256}
        found |= measure(spec, cache)
    if as_json:
        typer.echo(json.dumps({**found, "ok": True}))
        return
    typer.echo(f"{found['model']} is whole ({found['sha256']}) and keeps the keypoint contract: {found['contract']}")


def promote(reference: str, alias: str, reason: str | None, *, force: bool, as_json: bool) -> None:
    """Let an alias mean a version."""
    with entered(as_json=as_json) as (catalogue, _, _, store):
        ref = ModelRef.parse(reference)
        version = catalogue.find(ref)
        if version.artifact is not None:
            store.stat(version.artifact.bucket, version.artifact.key)  # workers must find it
        moved = catalogue.promote(
            ref, alias=alias, by=operator(), force=force, reason=reason, policy=wiring.promotion_policy(Settings())
        )
    if moved is None:
        typer.echo(json.dumps({"alias": alias, "unchanged": str(ref)}) if as_json else f"{alias} already is {ref}")
        return
    _print_move(moved, as_json=as_json)


def rollback(alias: str, reason: str | None, *, as_json: bool) -> None:
    """Let an alias mean again what it meant before its last promotion."""
    with entered(as_json=as_json) as (catalogue, *_):
        moved = catalogue.rollback(alias, by=operator(), reason=reason)
    _print_move(moved, as_json=as_json)


def retire(reference: str, *, as_json: bool) -> None:
    """Let nobody ask for a version any more."""
    with entered(as_json=as_json) as (catalogue, *_):
        version = catalogue.retire(ModelRef.parse(reference))
    typer.echo(json.dumps(_shown(version)) if as_json else f"Retired: {version.ref}")


def _keep(catalogue: ModelCatalogue, store: ArtifactStore, wanted: Wanted, admitted: Admitted) -> ModelVersion:
    """Store the artifact, then enter the version; where that fails, the artifact goes again."""
    from inference.skeletons import SKELETONS, as_json

    artifact = StoredArtifact(bucket=store.bucket, key=f"models/{admitted.sha256}.zip", sha256=admitted.sha256)
    store.put_bytes(artifact.bucket, artifact.key, admitted.content)
    try:
        return catalogue.add(
            ModelVersion(
                ref=wanted.ref,
                source=wanted.source,
                source_sha256=wanted.sha256.strip().lower(),
                format=admitted.format,
                input_sizes=admitted.input_sizes,
                skeleton=as_json(SKELETONS[wanted.skeleton]),
                licence=admitted.licence,
                notes=wanted.notes,
                report=admitted.report,
                artifact=artifact,
                created_by=operator(),
                created_at=None,
            )
        )
    except StoreError:
        if not catalogue.keeps(artifact.sha256):
            store.delete(artifact.bucket, artifact.key)
        raise


def _print(version: ModelVersion, *, as_json: bool) -> None:
    shown = _shown(version)
    if as_json:
        typer.echo(json.dumps(shown))
        return
    for name, value in shown.items():
        typer.echo(f"{name:<14} {_cell(name, value)}")


def _cell(name: str, value: Any) -> str:
    if name == "skeleton":
        return f"{value['name']}, {len(value['keypoints'])} keypoints"
    return json.dumps(value) if isinstance(value, dict) else value or ""


def _print_move(move: AliasMove, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_move(move)))
        return
    typer.echo(f"{move.alias}: {move.before or 'nothing'} → {move.after}")
    typer.secho(
        f"Workers that follow {move.alias} load it now: `frontfoot models show {move.after}` says how far.", err=True
    )


def _shown(version: ModelVersion) -> dict[str, Any]:
    artifact = version.artifact
    return {
        "model": str(version.ref),
        "state": version.state,
        "source": version.source,
        "source_sha256": version.source_sha256,
        "format": version.format,
        "precision": version.precision,
        "input_sizes": dict(version.input_sizes),
        "skeleton": dict(version.skeleton),
        "licence": version.licence,
        "notes": version.notes,
        "report": dict(version.report),
        "artifact": None if artifact is None else f"{artifact.bucket}/{artifact.key}",
        "created_by": version.created_by,
        "created_at": version.created_at.isoformat() if version.created_at else None,
        "retired_at": version.retired_at.isoformat() if version.retired_at else None,
    }


def _move(move: AliasMove) -> dict[str, Any]:
    return {
        "alias": move.alias,
        "number": move.number,
        "kind": move.kind,
        "from": None if move.before is None else str(move.before),
        "to": str(move.after),
        "moved_by": move.moved_by,
        "moved_at": move.moved_at.isoformat(),
        "forced": move.forced,
        "reason": move.reason,
    }


def _words(words: Sequence[WorkerModel]) -> list[dict[str, Any]]:
    return [asdict(word) for word in words]


def _sentence(word: WorkerModel) -> str:
    """What a worker says of its model."""
    runs = f"runs {word.model}" if word.model else "runs none"
    follows = f" for {word.follows}" if word.follows else ""
    doing = {
        "ready": "",
        "loading": f", loads {word.wanted}",
        "emptying": f", waits for running jobs to end before it loads {word.wanted}",
        "failed": f", could not load {word.wanted}",
    }[word.state]
    why = f": {word.error_code}: {word.error_message}" if word.error_code and word.wanted else ""
    return f"worker {word.worker_id} {runs}{follows}{doing}{why}"
