"""What `models compare` runs models on: the clips of a folder, or stored jobs that a query names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, cast, get_args

from inference.containers import identify
from inference.errors import InferenceError
from inference.sources import LocalClip
from models.errors import SourceMissing
from models.requests import AnalysisRequest, Mode
from models.storage import Storage
from models.stored import DoneJobs
from pipeline.comparison.rounds import Case
from pipeline.sources import clip_source
from pipeline.stages import Limits

DEFAULT_LIMIT = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Shadowed:
    """What `models shadow` and `models rerun` kept: nothing is run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobQuery:
    """Which finished jobs: `mode=batting,since=2026-11-01,limit=20`, each part once or not at all."""

    mode: Mode | None = None
    since: datetime | None = None
    """Made at that moment or later."""
    limit: int | None = DEFAULT_LIMIT
    """The newest ones; None: all."""

    @classmethod
    def parse(cls, text: str, *, limit: int | None = DEFAULT_LIMIT) -> Self:
        """The query that the words mean; `limit` unless they say one. Raises ValueError naming what does not fit."""
        words = [part.partition("=") for part in text.split(",")]
        said = {key.strip(): value.strip() for key, _, value in words}
        if len(said) != len(words) or said.keys() - {"mode", "since", "limit"}:
            raise ValueError(f"{text!r} is not mode=…,since=YYYY-MM-DD,limit=N, each once or not at all")
        mode, most = said.get("mode"), said.get("limit")
        if mode is not None and mode not in get_args(Mode):
            raise ValueError(f"mode={mode}: it is one of {', '.join(get_args(Mode))}")
        if most is not None and (not most.isdecimal() or int(most) < 1):
            raise ValueError(f"limit={most}: it is a number from 1")
        since = datetime.fromisoformat(said["since"]) if "since" in said else None
        if since is not None and since.tzinfo is None:
            since = since.replace(tzinfo=UTC)
        return cls(mode=cast("Mode | None", mode), since=since, limit=limit if most is None else int(most))


def clips_of_folder(folder: Path, request: AnalysisRequest) -> tuple[Case, ...]:
    """Every file of the folder that begins as a clip does, by name. Raises ValueError where there is none."""
    cases = tuple(
        Case(name=path.name, source=LocalClip(path=path), request=request)
        for path in sorted(folder.iterdir())
        if path.is_file() and _is_clip(path)
    )
    if not cases:
        raise ValueError(f"there is no clip in {folder}")
    return cases


def clips_of_jobs(storage: Storage, query: JobQuery, limits: Limits) -> tuple[Case, ...]:
    """The newest finished jobs that the query means, with their own requests, oldest first; without a clip, left out.

    Raises ValueError where there is none.
    """
    found: list[Case] = []
    for job in DoneJobs(storage.database).newest(query.mode, query.since):
        if len(found) == query.limit:
            break
        if job.s3_bucket is None or job.s3_key is None or job.analysis_mode is None:
            continue
        try:
            source = clip_source(storage.store, job.s3_bucket, job.s3_key, limits)
        except SourceMissing:  # forgotten since
            continue
        found.append(Case(name=job.id, source=source, request=job.request()))
    if not found:
        raise ValueError("no finished job whose clip is still stored fits the query")
    return tuple(reversed(found))


def _is_clip(path: Path) -> bool:
    try:
        identify(path)
    except InferenceError:
        return False
    return True
