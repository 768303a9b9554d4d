"""What is checked before a job is made, one or many; and what a repeated request is known by."""

from __future__ import annotations

import json
from collections.abc import Set
from hashlib import sha256
from typing import Annotated

from fastapi import Header

from api.problems import FieldError, Problem
from api.schemas import JobCreate
from models.idempotency import RequestKey
from models.requests import AnalysisRequest

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[ -~]+$",
        description="A word of the caller's own for this request, kept for 24 h: who repeats the request with it gets "
        "what the first one made (`Idempotency-Replayed: true`), and another request with it is a 409.",
    ),
]
REPLAYED = {"Idempotency-Replayed": "true"}
REPLAYED_HEADER = {
    "headers": {
        "Idempotency-Replayed": {
            "description": "`true` where an earlier request with this key made it.",
            "schema": {"type": "string", "enum": ["true"]},
        },
        "Location": {"description": "Where it is read.", "schema": {"type": "string"}},
    }
}


def request_key(key: str, session_id: str, body: JobCreate) -> RequestKey:
    """What a job's request is known by: its session and what the caller wrote, however it was spelled."""
    # Only what was sent: a release that knows more fields still knows this request.
    asked = {"session_id": session_id, "body": body.model_dump(mode="json", exclude_unset=True)}
    return RequestKey(key=key, sha256=sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest())


def check_model(request: AnalysisRequest, models: Set[str]) -> None:
    """Raises `model_unknown`."""
    if request.model is not None and request.model not in models:
        fault = FieldError(field="model", source="body", code="model_unknown", detail="Not in the catalogue.")
        raise Problem("model_unknown", f"Choose one of: {', '.join(sorted(models))}.", errors=[fault])
