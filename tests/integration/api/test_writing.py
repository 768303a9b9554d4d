"""What a caller writes over real sockets: keys, extras, filters, retry, delete."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from api_server import DOCUMENT, FILES, MISSING_ID, PREFIX, Server, eventually, problem

from models.artifacts import artifact_key
from models.ceiling import ActiveCeiling
from models.jobs import ClaimedJob

BODY = {"analysis_mode": "bowling"}


def claimed(server: Server, job_id: str) -> ClaimedJob:
    """That job, whatever other tests left in the queue."""
    while True:
        job = server.queue.claim("worker")
        assert job is not None
        if job.id == job_id:
            return job


class TestExtras:
    def test_they_are_echoed(self, server: Server) -> None:
        asked = {
            "tags": ["nets", "2026/05"],
            "metadata": {"row": "17", "é": "ü"},
            "webhook_url": "https://example.org/hook?x=1",
            "webhook_events": ["job.quick_done", "job.done"],
        }
        job = server.submitted(**asked)
        assert job | asked == job
        (listed,) = server.jane.get("/analysis-jobs").json()["jobs"]
        assert listed | asked == listed

    @pytest.mark.parametrize(
        ("extra", "field"),
        [
            ({"tags": ["no*stars"]}, "tags.0"),
            ({"tags": [f"tag-{number}" for number in range(21)]}, "tags"),
            ({"metadata": {"k": 1}}, "metadata.k"),
            ({"metadata": {"k": "nul \x00"}}, "metadata.k"),
            ({"metadata": {f"key-{number}": "" for number in range(51)}}, "metadata"),
            ({"webhook_events": ["job.born"]}, "webhook_events.0"),
            ({"webhook_url": "ftp://example.org/"}, "webhook_url"),
        ],
    )
    def test_what_cannot_be_kept_is_refused(self, server: Server, extra: dict[str, Any], field: str) -> None:
        answer = server.jane.post(f"/sessions/{server.session()}/analysis-jobs", json=BODY | extra)
        assert [error["field"] for error in problem(answer, 422, "validation_failed")["errors"]] == [field]

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1/hook", "http://169.254.169.254/", "https://user:pw@example.org/"]
    )
    def test_a_webhook_to_ourselves_is_refused(self, server: Server, url: str) -> None:
        answer = server.jane.post(f"/sessions/{server.session()}/analysis-jobs", json=BODY | {"webhook_url": url})
        problem(answer, 422, "webhook_url_refused")


class TestIdempotency:
    def submit(self, server: Server, url: str, key: str, body: dict[str, Any]) -> Any:
        return server.jane.post(url, json=body, headers={"Idempotency-Key": key})

    def test_the_same_request_gives_the_same_job(self, server: Server) -> None:
        url = f"/sessions/{server.session()}/analysis-jobs"
        first = self.submit(server, url, "a key", BODY | {"tags": ["a"], "camera_view": "side"})
        again = self.submit(server, url, "a key", {"camera_view": "side", "tags": ["a"]} | BODY)
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.json() == first.json()
        assert again.headers["location"] == first.headers["location"] == f"{PREFIX}/analysis-jobs/{first.json()['id']}"
        assert "idempotency-replayed" not in first.headers
        assert again.headers["idempotency-replayed"] == "true"

    def test_another_request_names_both(self, server: Server) -> None:
        session, other = server.session(), server.session()
        first = self.submit(server, f"/sessions/{session}/analysis-jobs", "key", BODY).json()
        for url, body in (
            (f"/sessions/{session}/analysis-jobs", BODY | {"priority": 1}),
            (f"/sessions/{session}/analysis-jobs", BODY | {"metadata": {"k": "v"}}),
            (f"/sessions/{other}/analysis-jobs", BODY),
        ):
            fault = problem(self.submit(server, url, "key", body), 409, "idempotency_conflict")
            assert "'key'" in fault["detail"]
            assert first["id"] in fault["detail"]
        assert len(server.jane.get("/analysis-jobs").json()["jobs"]) == 1

    def test_of_many_at_once_one_makes_it(self, server: Server) -> None:
        url = f"/sessions/{server.session()}/analysis-jobs"
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: self.submit(server, url, "key", BODY), range(16)))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1

    def test_a_key_is_its_owners(self, server: Server) -> None:
        self.submit(server, f"/sessions/{server.session()}/analysis-jobs", "key", BODY)
        session = server.lions.post("/sessions", json={"title": "Nets", "session_type": "bowling"}).json()["id"]
        answer = server.lions.post(
            f"/sessions/{session}/analysis-jobs", json={"analysis_mode": "batting"}, headers={"Idempotency-Key": "key"}
        )
        assert (answer.status_code, "idempotency-replayed" in answer.headers) == (201, False)

    @pytest.mark.parametrize("key", ["", "k" * 256, b"caf\xe9"])
    def test_a_key_has_its_shape(self, server: Server, key: str | bytes) -> None:
        answer = server.jane.post(
            f"/sessions/{server.session()}/analysis-jobs", json=BODY, headers={"Idempotency-Key": key}
        )
        (error,) = problem(answer, 422, "validation_failed")["errors"]
        assert (error["field"].lower(), error["source"]) == ("idempotency-key", "header")


class TestLists:
    def test_filters(self, server: Server) -> None:
        first = server.submitted(tags=["nets"])
        second = server.submitted(tags=["nets", "may"], analysis_mode="batting")
        waiting = server.jane.post(f"/sessions/{server.session()}/analysis-jobs", json=BODY).json()

        def listed(params: dict[str, Any]) -> list[str]:
            answer = server.jane.get("/analysis-jobs", params=params)
            assert answer.status_code == 200, answer.text
            return [job["id"] for job in answer.json()["jobs"]]

        assert listed({"status": ["queued", "awaiting_upload"]}) == [waiting["id"], second["id"], first["id"]]
        assert listed({"mode": "batting"}) == [second["id"]]
        assert listed({"tag": "nets"}) == [second["id"], first["id"]]
        assert listed({"tag": "may", "status": "done"}) == []
        assert listed({"created_after": second["created_at"]}) == [waiting["id"]]
        assert listed({"created_after": second["created_at"].replace("Z", "+00:00")}) == [waiting["id"]]
        page = server.jane.get("/analysis-jobs", params={"tag": "nets", "limit": 1}).json()
        assert listed({"tag": "nets", "limit": 1, "cursor": page["next_cursor"]}) == [first["id"]]

    @pytest.mark.parametrize(
        ("params", "field"),
        [
            ({"status": "resting"}, "status.0"),
            ({"mode": "juggling"}, "mode"),
            ({"created_after": "2026-05-04T09:30:00"}, "created_after"),
            ({"created_after": "yesterday"}, "created_after"),
            ({"tag": "no*stars"}, "tag"),
            ({"batch_id": "one"}, "batch_id"),
        ],
    )
    def test_a_filter_that_is_none(self, server: Server, params: dict[str, str], field: str) -> None:
        (error,) = problem(server.jane.get("/analysis-jobs", params=params), 422, "validation_failed")["errors"]
        assert (error["field"], error["source"]) == (field, "query")

    def test_a_batch_that_is_not_there(self, server: Server) -> None:
        problem(server.jane.get("/analysis-jobs", params={"batch_id": MISSING_ID}), 404, "not_found")


class TestRetry:
    def test_a_failed_job_begins_again(self, server: Server) -> None:
        job = server.submitted()
        url = f"/analysis-jobs/{job['id']}"
        fault = problem(server.jane.post(f"{url}/retry"), 409, "invalid_state")
        assert "queued" in fault["detail"]
        server.queue.fail(claimed(server, job["id"]).lease, "no_person", "Nobody there.", transient=False)
        assert server.jane.get(url).json()["error"]["code"] == "no_person"
        problem(server.lions.post(f"{url}/retry"), 404, "not_found")

        again = server.jane.post(f"{url}/retry")
        assert (again.status_code, again.json()["status"], again.json()["error"]) == (200, "queued", None)
        (attempt,) = again.json()["attempts"]
        assert (attempt["attempt"], attempt["status"], attempt["error"]["code"]) == (1, "failed", "no_person")
        assert claimed(server, job["id"]).attempt == 2
        problem(server.jane.post(f"{url}/retry"), 409, "invalid_state")


class TestDelete:
    def test_a_job_goes_with_its_files(self, server: Server) -> None:
        job = server.submitted(tags=["nets"])
        running = claimed(server, job["id"])
        for name, content in FILES.items():
            key = artifact_key(running.source_key, running.id, running.attempt, name)
            server.store.put_bytes(running.bucket, key, content)
        server.queue.save_quick(running.lease, document=DOCUMENT, s3_key="quick")
        problem(server.lions.delete(f"/analysis-jobs/{job['id']}"), 404, "not_found")
        answer = server.jane.delete(f"/analysis-jobs/{job['id']}")
        assert (answer.status_code, answer.content) == (204, b"")
        problem(server.jane.get(f"/analysis-jobs/{job['id']}"), 404, "not_found")
        problem(server.jane.delete(f"/analysis-jobs/{job['id']}"), 404, "not_found")
        assert server.jane.get("/analysis-jobs", params={"tag": "nets"}).json()["jobs"] == []
        report = artifact_key(running.source_key, running.id, running.attempt, "report.html")
        eventually(lambda: not server.store.exists(running.bucket, report))
        assert server.store.exists(running.bucket, running.source_key)
        assert server.jane.get(f"/sessions/{job['session_id']}").json()["s3_key"] == running.source_key


class TestCeiling:
    def test_too_many_unfinished_jobs(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server.queue, "ceiling", ActiveCeiling(2))
        url = f"/sessions/{server.session()}/analysis-jobs"
        for _ in range(2):
            assert server.jane.post(url, json=BODY).status_code == 201
        answer = server.jane.post(url, json=BODY)
        problem(answer, 429, "too_many_active_jobs")
        assert answer.headers["retry-after"] == "30"
        session = server.lions.post("/sessions", json={"title": "Nets", "session_type": "bowling"}).json()["id"]
        assert server.lions.post(f"/sessions/{session}/analysis-jobs", json=BODY).status_code == 201
