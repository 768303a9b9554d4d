"""JSON Lines → what a batch is made of: each line by itself, so that a bad one stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import IO

import anyio
from pydantic import ValidationError
from starlette.requests import Request

from api.middleware import MAX_JSON_BYTES
from api.problems import Problem
from api.schemas import BatchLine
from api.submissions import RuleCheck, check_model, check_rules
from models.batches import BatchItem, NewSession, Rejection
from models.errors import StoreError
from models.submission import Order

MAX_LINES = 10_000
MAX_BYTES = 64 * 1024**2
MEDIA_TYPES = ("application/x-ndjson", "application/jsonl", "application/json-lines")

_IN_MEMORY = 1024**2
_MAX_ERRORS = 5
_MAX_WORDS = 200
"""What is told of a wrong line is bounded: a batch keeps all its rejected lines and sends them whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LineRules:
    """What a line may name."""

    models: Set[str]
    """Catalogue names."""
    rule_faults: RuleCheck
    """What is wrong with a line's own rules."""
    check_webhook_url: Callable[[str], None]
    """Raises a StoreError."""
    locate: Callable[[str], tuple[str, str]]
    """`source_uri` → bucket and key, without asking the store whether something is there. Raises a StoreError."""


@dataclass(kw_only=True, slots=True)
class Lines:
    """A body, read: what its lines ask for, and those that ask for nothing we can do."""

    items: list[BatchItem] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)


@contextmanager
def spooled() -> Iterator[IO[bytes]]:
    """A file for a body: in memory while it is small."""
    with SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        yield file


async def receive(request: Request, file: IO[bytes], *, stall_timeout_s: float) -> str:
    """Write the body to `file` and return its SHA-256. Raises `upload_stalled`; the middleware bounds the bytes."""
    chunks, digest = request.stream(), sha256()
    while True:
        try:
            with anyio.fail_after(stall_timeout_s):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            raise Problem("upload_stalled", f"No byte arrived for {stall_timeout_s:g} s.") from error
        if chunk is None:
            return digest.hexdigest()
        digest.update(chunk)
        file.write(chunk)


def read_lines(file: IO[bytes], rules: LineRules) -> Lines:
    """Read each line that is not empty. Raises `batch_too_large`, and `validation_failed` where there is none."""
    lines = Lines()
    file.seek(0)
    for number, line in enumerate(_lines(file), start=1):
        if line.isspace():
            continue
        if len(lines.items) + len(lines.rejected) == MAX_LINES:
            raise Problem("batch_too_large", f"A batch has at most {MAX_LINES} lines; nothing was made.")
        try:
            lines.items.append(_read_line(number, line, rules))
        except ValidationError as error:
            lines.rejected.append(_invalid(number, error))
        except StoreError as error:
            lines.rejected.append(Rejection(line=number, code=error.code, detail=error.message))
        except Problem as error:
            lines.rejected.append(_refused(number, error))
    if not lines.items and not lines.rejected:
        raise Problem("validation_failed", "The body has no line.")
    return lines


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file; of one that is too long only so much that it is seen to be."""
    while line := file.readline(MAX_JSON_BYTES + 1):
        yield line
        while len(line) > MAX_JSON_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_JSON_BYTES + 1)


def _read_line(number: int, line: bytes, rules: LineRules) -> BatchItem:
    if len(line) > MAX_JSON_BYTES:
        raise Problem("request_too_large", f"A line has at most {MAX_JSON_BYTES} bytes.")
    body = BatchLine.model_validate_json(line)
    check_model(body, rules.models)
    check_rules(body, rules.rule_faults)
    if body.webhook_url is not None:
        rules.check_webhook_url(body.webhook_url)
    return BatchItem(
        line=number,
        order=Order(request=body, extras=body, priority=body.priority),
        session=_new_session(body, rules) if body.source_uri is not None else str(body.session_id),
    )


def _new_session(body: BatchLine, rules: LineRules) -> NewSession:
    bucket, key = rules.locate(body.source_uri or "")
    return NewSession(
        title=body.title or PurePosixPath(key).name[:255],
        session_type=body.session_type or body.analysis_mode,
        notes=body.notes,
        camera_view=body.camera_view,
        player_ids=tuple(body.player_ids),
        bucket=bucket,
        key=key,
    )


def _invalid(number: int, error: ValidationError) -> Rejection:
    faults = [
        {
            "field": ".".join(str(part) for part in fault["loc"])[:_MAX_WORDS] or "line",
            "code": fault["type"],
            "detail": fault["msg"][:_MAX_WORDS],
        }
        for fault in error.errors(include_url=False, include_context=False, include_input=False)[:_MAX_ERRORS]
    ]
    detail = "; ".join(f"{fault['field']}: {fault['detail']}" for fault in faults)
    return Rejection(line=number, code="validation_failed", detail=detail, errors=tuple(faults))


def _refused(number: int, problem: Problem) -> Rejection:
    faults = ({"field": error.field, "code": error.code, "detail": error.detail} for error in problem.errors)
    return Rejection(line=number, code=problem.code, detail=problem.detail, errors=tuple(faults))
