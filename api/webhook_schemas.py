"""Webhooks as they go over the wire: what a receiver is sent, and what its owner may ask about it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from api import examples
from api.schemas import JobError
from models.outbox import Delivery, DeliveryStatus
from models.requests import WebhookEvent

DELIVERY_ID = "8c5f2b1e-94b7-5e0d-8f0c-6d0a2f4b7c11"

EVENT: dict[str, Any] = {
    "id": DELIVERY_ID,
    "event": "job.done",
    "created_at": "2026-05-04T09:32:05Z",
    "job": {
        "id": examples.JOB_ID,
        "path": f"/api/coaches/plus/analysis-jobs/{examples.JOB_ID}",
        "session_id": examples.SESSION_ID,
        "batch_id": None,
        "status": "done",
        "stage": "DONE",
        "attempt": 1,
        "error": None,
        "tags": ["u16"],
        "metadata": {"ref": "42"},
        "overall_level": "low",
        "findings_count": 0,
    },
}
_SUMMARY: dict[str, Any] = {
    "id": DELIVERY_ID,
    "job_id": examples.JOB_ID,
    "event": "job.done",
    "url": "https://example.org/hooks/frontfoot",
    "status": "delivered",
    "attempts_count": 1,
    "next_attempt_at": None,
    "created_at": "2026-05-04T09:32:05Z",
    "delivered_at": "2026-05-04T09:32:06Z",
}
_TRY: dict[str, Any] = {"at": "2026-05-04T09:32:06Z", "status_code": 204, "error": None, "duration_ms": 84}
_DELIVERY: dict[str, Any] = _SUMMARY | {
    "gives_up_at": "2026-05-05T09:32:05Z",
    "attempts": [_TRY],
    "body": json.dumps(EVENT, separators=(",", ":")),
}


def _example(values: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [values]})


class EventJob(BaseModel):
    """What the event says of its job; who wants to know more reads the job."""

    id: str
    path: str = Field(description="Of the job, on the API's own host.")
    session_id: str
    batch_id: str | None
    status: str
    stage: str
    attempt: int
    error: JobError | None
    tags: list[str]
    metadata: dict[str, str]
    overall_level: str | None = Field(description="`low`, `medium` or `high`, once there are findings.")
    findings_count: int | None


class JobEvent(BaseModel):
    """What a webhook brings. More fields may come."""

    model_config = _example(EVENT)

    id: str = Field(description="The same at every try: remember it, and do the work once.")
    event: WebhookEvent
    created_at: datetime = Field(description="When it happened. Events may arrive in another order.")
    job: EventJob


class DeliverySummary(BaseModel):
    """One event on its way to one receiver, as lists show it."""

    model_config = _example(_SUMMARY)

    id: str
    job_id: str
    event: str
    url: str
    status: DeliveryStatus = Field(description="`dead` is what nobody took within 24 hours.")
    attempts_count: int = Field(description="Tries in the log: at most the latest 100.")
    next_attempt_at: datetime | None = Field(description="Null unless it is pending.")
    created_at: datetime
    delivered_at: datetime | None = Field(description="When the receiver last took it.")

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Write a delivery down."""
        return cls.model_validate(
            {
                **{name: getattr(delivery, name) for name in cls.model_fields if hasattr(delivery, name)},
                "attempts_count": len(delivery.attempts),
                "next_attempt_at": delivery.next_attempt_at if delivery.status == "pending" else None,
            }
        )


class DeliveryPage(BaseModel):
    """Deliveries, the newest first."""

    model_config = _example({"deliveries": [_SUMMARY], "next_cursor": None})

    deliveries: list[DeliverySummary]
    next_cursor: str | None = Field(description="Hand it back as `cursor` for the next page; null on the last one.")


class DeliveryTry(BaseModel):
    """How sending it once went."""

    at: datetime
    status_code: int | None = Field(description="What the receiver answered: any 2xx takes it, a redirect does not.")
    error: str | None = Field(
        description="Why there was no answer.",
        json_schema_extra={
            "x-extensible-enum": [
                "address_refused",
                "name_unresolved",
                "connection_failed",
                "tls_failed",
                "timeout",
                "not_http",
                "internal",
            ]
        },
    )
    duration_ms: int


class DeliveryRead(DeliverySummary):
    """A delivery with the log of its tries."""

    model_config = _example(_DELIVERY)

    gives_up_at: datetime
    attempts: list[DeliveryTry] = Field(description="The oldest first; the latest 100.")
    body: str = Field(description="What is sent, byte for byte the same at every try.")


class WebhookSecret(BaseModel):
    """What the caller's webhooks are signed with."""

    model_config = _example({"secret": "ksiTv0PzW6iMSM0RCbcgQoBrYQ2NcXV4xV9hcAB1zqE"})

    secret: str
