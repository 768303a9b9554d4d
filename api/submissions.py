"""What is checked before a job is made, one or many; and what a repeated request is known by."""

from __future__ import annotations

import json
from collections.abc import Callable, Set
from hashlib import sha256
from typing import Annotated

from fastapi import Header

from api.problems import FieldError, Problem
from api.schemas import JobCreate
from models.idempotency import RequestKey
from models.requests import AnalysisRequest, OwnRules

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
MAX_FAULTS, MAX_FAULT = 20, 300
"""What is told of bad rules: so many faults, each so long."""
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


RuleCheck = Callable[[OwnRules], tuple[str, ...]]
"""Says what is wrong with a caller's own rules, one `file:line: …` a fault; nothing where they can be used."""


def refuse_own_rules(_rules: OwnRules) -> tuple[str, ...]:
    """The check of an API that was handed none: what nobody can check is not taken."""
    return ("this server takes no rules of one's own",)


def check_rules(request: AnalysisRequest, faults_of: RuleCheck) -> None:
    """Raises `rules_invalid`, with every fault and its line."""
    rules = request.options.rules
    faults = faults_of(rules) if isinstance(rules, OwnRules) else ()
    if faults:
        shown = [fault[:MAX_FAULT] for fault in faults[:MAX_FAULTS]]
        errors = [FieldError(field="options.rules", source="body", code="rules_invalid", detail=it) for it in shown]
        raise Problem("rules_invalid", "; ".join(shown), errors=errors)


def check_model(request: AnalysisRequest, models: Set[str]) -> None:
    """Raises `model_unknown`."""
    if request.model is not None and request.model not in models:
        fault = FieldError(field="model", source="body", code="model_unknown", detail="Not in the catalogue.")
        raise Problem("model_unknown", f"Choose one of: {', '.join(sorted(models))}.", errors=[fault])
