"""Reading a job over real sockets: entity tags, waiting for a change, and a stream of events."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest
from api_server import DOCUMENT, MISSING_ID, Served, Server, eventually, problem

from api.routes import reading
from api.schemas import JobRead
from models.queue import ClaimedJob

BLOBS = {"quick_results", "deep_results", "results"}


def claimed(server: Server, job: dict[str, Any]) -> ClaimedJob:
    """The job, in a worker's hands; those that other tests left go to the same worker."""
    while (found := server.queue.claim("worker-1")) is not None:
        if found.id == job["id"]:
            return found
    raise AssertionError("nobody can claim the job")


def quick_done(server: Server, job: ClaimedJob) -> None:
    server.queue.save_quick(job.lease, document=DOCUMENT, s3_key=f"{job.id}/quick_results.json")


def finished(server: Server, job: ClaimedJob) -> None:
    server.queue.start_deep(job.lease)
    server.queue.finish(job.lease, stage="deep", document=DOCUMENT, s3_key=f"{job.id}/deep_results.json")


@contextmanager
def later(seconds: float, act: Callable[[], object]) -> Iterator[None]:
    """Do something in a while, on another thread."""
    with ThreadPoolExecutor(max_workers=1) as pool:

        def run() -> None:
            time.sleep(seconds)
            act()

        done = pool.submit(run)
        yield
        done.result()


def test_every_answer_shows_a_job_in_the_same_words(server: Server) -> None:
    job = server.submitted(priority=7)
    path = f"/analysis-jobs/{job['id']}"
    answer = server.jane.get(path)
    read = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert JobRead.model_validate(read).model_dump(mode="json", exclude_unset=True) == read
    assert set(read) == set(JobRead.model_fields) - BLOBS
    assert read | job == read
    assert server.jane.get("/analysis-jobs").json()["jobs"] == [job]
    assert (read["status"], read["is_terminal"], read["error"], read["attempts"]) == ("queued", False, None, [])
    assert read["queue_position"] >= 1
    assert read["retry_after_ms"] >= 2000
    assert answer.headers["retry-after"] == str(-(-read["retry_after_ms"] // 1000))
    canceled = server.jane.post(f"{path}/cancel").json()
    ended = server.jane.get(path)
    assert ended.json() | canceled == ended.json()
    assert (ended.json()["is_terminal"], ended.json()["queue_position"]) == (True, None)
    assert "retry-after" not in ended.headers
    problem(server.lions.get(path), 404, "not_found")
    problem(server.jane.get(f"/analysis-jobs/{MISSING_ID}"), 404, "not_found")


def test_a_quick_result_is_read_while_the_job_goes_on(server: Server) -> None:
    job = claimed(server, server.submitted())
    path = f"/analysis-jobs/{job.id}"
    running = server.jane.get(path)
    assert (running.status_code, running.json()["status"]) == (200, "quick_running")
    assert running.json()["attempts"] == [{"attempt": 1, "status": "running", "ended_at": None, "error": None}]
    quick_done(server, job)
    read = server.jane.get(path).json()
    assert (read["quick_findings"], read["quick_report"]) == (DOCUMENT["findings"], DOCUMENT["report"])
    assert read["deep_findings"] is read["deep_report"] is None
    server.queue.fail(job.lease, "actor_died", "It died.", transient=True)
    waiting = server.jane.get(path).json()
    assert (waiting["status"], waiting["error"], waiting["quick_report"]) == ("queued", None, DOCUMENT["report"])
    (attempt,) = waiting["attempts"]
    assert (attempt["attempt"], attempt["status"]) == (1, "failed")
    assert attempt["error"] == {"code": "actor_died", "message": "It died.", "retryable": True}


def test_blobs_come_when_they_are_asked_for(server: Server) -> None:
    job = claimed(server, server.submitted())
    quick_done(server, job)
    finished(server, job)
    path = f"/analysis-jobs/{job.id}"
    whole = {"quick_results": DOCUMENT, "deep_results": DOCUMENT, "results": {"quick": DOCUMENT, "deep": DOCUMENT}}
    tags = set()
    for include, names in [
        (None, set()),
        ("quick_results", {"quick_results"}),
        ("deep_results,quick_results", {"quick_results", "deep_results"}),
        ("results", BLOBS),
        ("quick_results,deep_results,results", BLOBS),
    ]:
        answer = server.jane.get(path, params={"include": include} if include else None)
        assert {name: answer.json()[name] for name in answer.json().keys() & BLOBS} == {
            name: whole[name] for name in names
        }
        tags.add(answer.headers["etag"])
    assert len(tags) == 4  # one for each representation
    for nonsense in ("secrets", "", "results,", "results,secrets"):
        fault = problem(server.jane.get(path, params={"include": nonsense}), 422, "validation_failed")
        assert [(error["field"], error["source"]) for error in fault["errors"]] == [("include", "query")]


def test_what_is_known_is_not_sent_again(server: Server) -> None:
    job = claimed(server, server.submitted())
    path = f"/analysis-jobs/{job.id}"
    tag = server.jane.get(path).headers["etag"]
    for named in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        same = server.jane.get(path, headers={"If-None-Match": named})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
        assert same.headers["retry-after"] == "1"
    assert server.jane.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    quick_done(server, job)
    changed = server.jane.get(path, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["status"]) == (200, "quick_done")
    problem(server.lions.get(path, headers={"If-None-Match": "*"}), 404, "not_found")


def test_a_wait_ends_with_the_change(server: Server) -> None:
    job = claimed(server, server.submitted())
    path = f"/analysis-jobs/{job.id}"
    tag = {"If-None-Match": server.jane.get(path).headers["etag"]}
    for headers, change, states in [
        (tag, quick_done, {"quick_done"}),
        ({}, finished, {"deep_running", "done"}),  # it passes both, and either may be seen first
    ]:
        begun = time.monotonic()
        with later(0.4, partial(change, server, job)):
            answer = server.jane.get(path, params={"wait": 20}, headers=headers)
        assert 0.3 < time.monotonic() - begun < 5
        assert (answer.status_code, answer.json()["status"] in states) == (200, True)


def test_nobody_waits_for_what_is_known_or_over(server: Server) -> None:
    job = server.submitted()
    path = f"/analysis-jobs/{job['id']}"
    begun = time.monotonic()
    assert server.jane.get(path, params={"wait": 20}, headers={"If-None-Match": '"older"'}).status_code == 200
    problem(server.lions.get(path, params={"wait": 20}), 404, "not_found")
    server.jane.post(f"{path}/cancel")
    ended = server.jane.get(path, params={"wait": 20})
    assert ended.json()["is_terminal"] is True
    tag = {"If-None-Match": ended.headers["etag"]}
    assert server.jane.get(path, params={"wait": 20}, headers=tag).status_code == 304
    assert time.monotonic() - begun < 5


def test_a_wait_has_an_end(server: Server) -> None:
    path = f"/analysis-jobs/{server.submitted()['id']}"
    begun = time.monotonic()
    as_it_is = server.jane.get(path, params={"wait": 1})
    assert (as_it_is.status_code, as_it_is.json()["status"]) == (200, "queued")
    tag = {"If-None-Match": as_it_is.headers["etag"]}
    assert server.jane.get(path, params={"wait": 1}, headers=tag).status_code == 304
    assert 1.9 < time.monotonic() - begun < 5
    for wait in ("-1", "61", "long"):
        problem(server.jane.get(path, params={"wait": wait}), 422, "validation_failed")


def test_who_hangs_up_is_forgotten(server: Server, served: Served) -> None:
    path = f"/analysis-jobs/{server.submitted()['id']}"
    watches = served.app.state.services.watcher._watches
    with pytest.raises(httpx.ReadTimeout):
        server.jane.get(path, params={"wait": 30}, timeout=0.5)
    eventually(lambda: not watches)
    with server.jane.stream("GET", f"{path}/events"):
        eventually(lambda: len(watches) == 1)
    eventually(lambda: not watches)


@dataclass(frozen=True)
class Heard:
    """One server-sent event."""

    name: str
    id: str
    data: dict[str, Any]


class Stream:
    """A client of the event stream: reads on a thread of its own, until the server ends it."""

    def __init__(self, client: httpx.Client, path: str, last: str | None = None) -> None:
        self.heard: list[Heard] = []
        self.comments = 0
        self.response: httpx.Response | None = None
        self._client, self._path = client, path
        self._headers = {"Last-Event-ID": last} if last else {}
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with self._client.stream("GET", self._path, headers=self._headers, timeout=30) as response:
            self.response = response
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if line and not name:
                    self.comments += 1
                elif line:
                    fields[name] = value
                elif "data" in fields:
                    self.heard.append(Heard(fields["event"], fields["id"], json.loads(fields["data"])))
                    fields = {}

    def names(self) -> list[str]:
        return [event.name for event in self.heard]

    def ended(self) -> list[Heard]:
        self._thread.join(timeout=15)
        assert not self._thread.is_alive()
        return self.heard


def test_a_job_is_followed_to_its_end(server: Server) -> None:
    job = server.submitted()
    path = f"/analysis-jobs/{job['id']}/events"
    stream = Stream(server.jane, path)
    eventually(lambda: stream.names() == ["progress"])
    assert stream.response is not None
    assert stream.response.headers["content-type"].startswith("text/event-stream")
    assert stream.response.headers["cache-control"] == "no-store"
    assert stream.response.headers["x-accel-buffering"] == "no"
    running = claimed(server, job)
    eventually(lambda: stream.names()[1:] == ["progress"])
    quick_done(server, running)
    eventually(lambda: "quick_result" in stream.names())
    finished(server, running)
    heard = stream.ended()
    assert [event.name for event in heard if event.name != "progress"] == ["quick_result", "done"]
    assert len({event.id for event in heard}) == len(heard)
    quick = next(event for event in heard if event.name == "quick_result")
    assert (quick.data["quick_report"], quick.data["is_terminal"]) == (DOCUMENT["report"], False)
    assert heard[1].data | {"status": "quick_running", "stage": "QUICK", "attempt": 1} == heard[1].data
    assert heard[-1].data == server.jane.get(f"/analysis-jobs/{job['id']}").json()

    # Whoever comes back is told the rest, and whoever knows it all is told not to come back.
    again = Stream(server.jane, path, last=heard[1].id).ended()
    assert [event.name for event in again] == ["quick_result", "done"]
    assert Stream(server.jane, path, last=quick.id).ended() == heard[-1:]
    over = server.jane.get(path, headers={"Last-Event-ID": heard[-1].id})
    assert (over.status_code, over.content) == (204, b"")
    assert [event.name for event in Stream(server.jane, path, last="nonsense").ended()] == ["quick_result", "done"]


def test_other_ends_have_their_names(server: Server) -> None:
    canceled = server.submitted()
    stream = Stream(server.jane, f"/analysis-jobs/{canceled['id']}/events")
    eventually(lambda: bool(stream.heard))
    server.jane.post(f"/analysis-jobs/{canceled['id']}/cancel")
    assert [event.name for event in stream.ended()] == ["progress", "canceled"]
    failed = claimed(server, server.submitted())
    server.queue.fail(failed.lease, "no_person", "Nobody is in it.", transient=False)
    (last,) = Stream(server.jane, f"/analysis-jobs/{failed.id}/events").ended()
    assert (last.name, last.data["error"]["code"], last.data["error"]["retryable"]) == ("failed", "no_person", False)


def test_nobody_follows_somebody_elses_job(server: Server) -> None:
    job = server.submitted()
    for path in (f"/analysis-jobs/{job['id']}/events", f"/analysis-jobs/{MISSING_ID}/events"):
        problem(server.lions.get(path), 404, "not_found")


def test_a_job_that_is_deleted_meanwhile_ends_every_wait(server: Server) -> None:
    job = server.submitted()
    path = f"/analysis-jobs/{job['id']}"
    stream = Stream(server.jane, f"{path}/events")
    eventually(lambda: bool(stream.heard))
    with later(0.3, lambda: server.jane.delete(f"/sessions/{job['session_id']}")):
        problem(server.jane.get(path, params={"wait": 20}), 404, "not_found")
    assert [event.name for event in stream.ended()] == ["progress"]


def test_a_silent_stream_is_kept_alive(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "KEEP_ALIVE_S", 0.1)
    job = server.submitted()
    stream = Stream(server.jane, f"/analysis-jobs/{job['id']}/events")
    eventually(lambda: stream.comments >= 3)
    server.jane.post(f"/analysis-jobs/{job['id']}/cancel")
    assert stream.ended()[-1].name == "canceled"
