"""What an owner sees of webhooks over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from api_server import MISSING_ID, Served, Server, problem

from api.webhook_schemas import JobEvent
from models.outbox import Outbox, Try

URL = "https://hooks.example.com/frontfoot?token=1"


def canceled(server: Server, **fields: Any) -> dict[str, Any]:
    """A job that ended, and with it an event."""
    job = server.submitted(webhook_url=URL, **fields)
    answer = server.jane.post(f"/analysis-jobs/{job['id']}/cancel")
    assert answer.status_code == 200, answer.text
    return job


def deliveries(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/webhooks/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["deliveries"]
    return found


@pytest.fixture
def outbox(served: Served) -> Outbox:
    found: Outbox = served.app.state.services.outbox
    return found


def test_what_is_sent_is_what_openapi_says(server: Server) -> None:
    job = canceled(server, tags=["u16"], metadata={"ref": "42"})
    (shown,) = deliveries(server.jane)
    assert (shown["job_id"], shown["event"], shown["url"]) == (job["id"], "job.canceled", URL)
    assert (shown["status"], shown["attempts_count"], shown["delivered_at"]) == ("pending", 0, None)
    answer = server.jane.get(f"/webhooks/deliveries/{shown['id']}")
    assert answer.status_code == 200
    whole = answer.json()
    assert {name: whole[name] for name in shown} == shown
    assert whole["attempts"] == []
    event = JobEvent.model_validate_json(whole["body"])
    assert (event.id, event.job.tags, event.job.metadata) == (shown["id"], ["u16"], {"ref": "42"})
    assert server.jane.get(server.url + event.job.path).json()["id"] == job["id"]


def test_the_log_says_how_each_try_went(server: Server, outbox: Outbox) -> None:
    canceled(server)
    (shown,) = deliveries(server.jane)
    at = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
    outbox.settle(shown["id"], Try(at=at, status_code=None, error="timeout", duration_ms=10_000))
    outbox.settle(shown["id"], Try(at=at, status_code=204, error=None, duration_ms=12))
    whole = server.jane.get(f"/webhooks/deliveries/{shown['id']}").json()
    assert whole["attempts"] == [
        {"at": "2026-05-04T09:30:00Z", "status_code": None, "error": "timeout", "duration_ms": 10_000},
        {"at": "2026-05-04T09:30:00Z", "status_code": 204, "error": None, "duration_ms": 12},
    ]
    assert (whole["status"], whole["attempts_count"], whole["next_attempt_at"]) == ("delivered", 2, None)
    assert whole["delivered_at"] is not None


def test_a_call_sends_it_again(server: Server, outbox: Outbox) -> None:
    canceled(server)
    (shown,) = deliveries(server.jane)
    outbox.settle(shown["id"], Try(at=datetime.now(UTC), status_code=200, error=None, duration_ms=12))
    answer = server.jane.post(f"/webhooks/deliveries/{shown['id']}/redeliver")
    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["attempts_count"]) == ("pending", 1)
    (again,) = deliveries(server.jane, status="pending")
    assert again["id"] == shown["id"]


def test_a_list_is_paged_and_filtered(server: Server) -> None:
    jobs = [canceled(server)["id"] for _ in range(3)]
    first = server.jane.get("/webhooks/deliveries", params={"limit": 2}).json()
    rest = server.jane.get("/webhooks/deliveries", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [found["job_id"] for found in first["deliveries"] + rest["deliveries"]] == jobs[::-1]
    assert rest["next_cursor"] is None
    assert [found["job_id"] for found in deliveries(server.jane, job_id=jobs[1])] == [jobs[1]]
    assert deliveries(server.jane, status="dead") == []
    problem(server.jane.get("/webhooks/deliveries?status=lost"), 422, "validation_failed")
    problem(server.jane.get("/webhooks/deliveries?cursor=nonsense"), 422, "invalid_cursor")


def test_another_owner_finds_nothing(server: Server) -> None:
    job = canceled(server)
    (shown,) = deliveries(server.jane)
    assert deliveries(server.lions) == []
    for method, path in (
        ("GET", f"/webhooks/deliveries/{shown['id']}"),
        ("POST", f"/webhooks/deliveries/{shown['id']}/redeliver"),
        ("GET", f"/webhooks/deliveries?job_id={job['id']}"),
        ("GET", f"/webhooks/deliveries/{MISSING_ID}"),
    ):
        problem(server.lions.request(method, path), 404, "not_found")


def test_the_secret_is_shown_and_changed_and_never_kept_by_a_cache(server: Server) -> None:
    first = server.jane.get("/webhooks/secret")
    assert first.headers["Cache-Control"] == "no-store"
    assert server.jane.get("/webhooks/secret").json() == first.json()
    rotated = server.jane.post("/webhooks/secret/rotate")
    assert (rotated.status_code, rotated.headers["Cache-Control"]) == (200, "no-store")
    assert rotated.json()["secret"] != first.json()["secret"]
    assert server.jane.get("/webhooks/secret").json() == rotated.json()
    assert server.lions.get("/webhooks/secret").json() != rotated.json()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/", "https://jane:pw@example.com/", "https://[fd00::1]/"])
def test_a_url_that_can_never_be_sent_is_refused_at_once(server: Server, url: str) -> None:
    session = server.uploaded()
    answer = server.jane.post(
        f"/sessions/{session['id']}/analysis-jobs", json={"analysis_mode": "bowling", "webhook_url": url}
    )
    problem(answer, 422, "webhook_url_refused")
