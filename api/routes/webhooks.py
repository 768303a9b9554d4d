"""Webhooks: the log of deliveries, another try, and the secret that they are signed with."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response

from api.context import PREFIX, Admin, Cursor, PageSize, Parts, Reader, Writer
from api.problems import responses
from api.webhook_schemas import DeliveryPage, DeliveryRead, DeliverySummary, JobEvent, WebhookSecret
from models.outbox import DeliveryStatus
from models.webhook_signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER

router = APIRouter(
    prefix=f"{PREFIX}/webhooks", tags=["webhooks"], responses=responses("unauthorized", "internal", "store_unavailable")
)
events = APIRouter(tags=["webhooks"])
"""What is sent, for the document's `webhooks`: nothing here answers."""


@router.get("/deliveries", responses=responses("not_found", "validation_failed", "invalid_cursor"))
def list_deliveries(
    *,
    parts: Parts,
    owner: Reader,
    job_id: Annotated[UUID | None, Query(description="Only events of this job.")] = None,
    status: Annotated[DeliveryStatus | None, Query(description="Only deliveries in this state.")] = None,
    cursor: Cursor = None,
    limit: PageSize = 50,
) -> DeliveryPage:
    """List the caller's deliveries, the newest first."""
    page = parts.outbox.list(owner, job_id=str(job_id) if job_id else None, status=status, cursor=cursor, limit=limit)
    return DeliveryPage(
        deliveries=[DeliverySummary.of(delivery) for delivery in page.items], next_cursor=page.next_cursor
    )


@router.get("/deliveries/{delivery_id:uuid}", responses=responses("not_found"))
def get_delivery(parts: Parts, owner: Reader, delivery_id: UUID) -> DeliveryRead:
    """Read a delivery: what is sent, and how each try went."""
    return DeliveryRead.of(parts.outbox.get(owner, str(delivery_id)))


@router.post("/deliveries/{delivery_id:uuid}/redeliver", status_code=202, responses=responses("not_found"))
def redeliver(parts: Parts, owner: Writer, delivery_id: UUID) -> DeliveryRead:
    """Send it (again) now, whatever became of it, with the same id and body; for another 24 hours if need be."""
    return DeliveryRead.of(parts.outbox.redeliver(owner, str(delivery_id)))


@router.get("/secret")
def get_webhook_secret(parts: Parts, owner: Admin, response: Response) -> WebhookSecret:
    """Read what the caller's webhooks are signed with; made when it is first needed."""
    return _shown(parts.secrets.get(owner, "webhooks"), response)


@router.post("/secret/rotate")
def rotate_webhook_secret(parts: Parts, owner: Admin, response: Response) -> WebhookSecret:
    """Sign with another secret from now on. What a receiver refuses until it knows the new one is tried again."""
    return _shown(parts.secrets.rotate(owner, "webhooks"), response)


def _shown(secret: str, response: Response) -> WebhookSecret:
    response.headers["Cache-Control"] = "no-store"
    return WebhookSecret(secret=secret)


@events.post(
    "job-event",
    operation_id="job_event",
    status_code=204,
    responses={
        204: {"description": "Taken, as by any 2xx."},
        "4XX": {"description": "Not taken, as by anything else: tried again for 24 hours, ever more rarely."},
    },
)
def job_event(
    body: JobEvent,
    webhook_id: Annotated[str, Header(alias=ID_HEADER, description="The event's `id`.")],
    timestamp: Annotated[int, Header(alias=TIMESTAMP_HEADER, description="When it was signed, in Unix seconds.")],
    signature: Annotated[
        str,
        Header(
            alias=SIGNATURE_HEADER,
            description="`v1=` and the HMAC-SHA256, in hexadecimal digits, of the timestamp, a full stop and the body, "
            "with the secret of `GET /webhooks/secret`.",
        ),
    ],
) -> None:
    """Say that a job's quick result is there, or that the job ended, where its `webhook_events` ask for it."""
