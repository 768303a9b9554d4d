"""v0.1.0 is replaced by today's code while jobs run: API and worker of both, as processes, on one PostgreSQL and S3.

The runbook's order is migrate, worker, API; the mixes in here are those that it, or any other order, passes through.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg2
import pytest
from footage import half_size_frames, write
from migrating import alembic
from ports import free_port
from released import unpacked
from servers import PostgresServer, S3Server
from world import AUDIT, Child, children, name_of

from migrations import upgrade

pytestmark = [pytest.mark.ray, pytest.mark.model]

TOKEN = "rolling-token-of-jane"
RELEASED = "h3i4j5k6l7m8"
LEASE_S = 4.0
SIX = ("quick_findings", "quick_report", "quick_results_s3_key", "deep_findings", "deep_report", "deep_results_s3_key")


@dataclass(frozen=True, kw_only=True)
class Api:
    """An API in a process of its own, and Jane who calls it."""

    child: Child
    client: httpx.Client

    def health(self) -> tuple[int, str]:
        answer = self.client.get("/health/ready")
        return answer.status_code, answer.json().get("code", "ready")

    def submit(self, clip: Path, *, deep: bool) -> str:
        session = self.client.post("/sessions", json={"title": "Nets", "session_type": "bowling"}).json()
        uploaded = self.client.put(f"/sessions/{session['id']}/video", content=clip.read_bytes())
        assert uploaded.status_code == 200, uploaded.text
        request = {"analysis_mode": "bowling", "camera_view": "side", "deep_enabled": deep}
        answer = self.client.post(f"/sessions/{session['id']}/analysis-jobs", json=request)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def job(self, job_id: str, **query: object) -> dict[str, Any]:
        answer = self.client.get(f"/analysis-jobs/{job_id}", params=query)
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def artifacts(self, job_id: str) -> set[str]:
        answer = self.client.get(f"/analysis-jobs/{job_id}/artifacts")
        return {artifact["name"] for artifact in answer.json()["artifacts"]}


@dataclass(frozen=True, kw_only=True)
class Production:
    """Both releases on one database and one bucket; it begins with the schema of the old one."""

    database_url: str
    old_api: Api
    new_api: Api
    old_worker: Child
    new_worker: Child
    clip: Path

    def migrate(self) -> None:
        """As often as anybody likes."""
        alembic(self.database_url, "upgrade", "head")

    def ready(self) -> None:
        """Migrated, and both workers at work."""
        self.migrate()
        for worker in (self.old_worker, self.new_worker):
            wait_for(lambda worker=worker: said(worker, "Worker started: "))  # type: ignore[misc]  # mypy knows no default

    def see_through(self, job_id: str) -> dict[str, Any]:
        """The job at its end, which is `done`: as the new API has it, after it was the same in the old one."""
        wait_for(lambda: self.old_api.job(job_id)["status"] in {"done", "failed", "canceled"})
        old, new = self.old_api.job(job_id), self.new_api.job(job_id)
        assert old.items() <= new.items(), "every field of v0.1.0 is still there, and says the same"
        assert new["status"] == "done", new
        assert self.old_api.artifacts(job_id) == self.new_api.artifacts(job_id) - {"report.pdf"}, "v0.1.0 knows no PDF"
        assert self.query("SELECT count(*) FROM audit WHERE job_id = %s AND what = 'done'", job_id) == [(1,)]
        return new

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self.database_url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()


@pytest.fixture(scope="module")
def production(
    tmp_path_factory: pytest.TempPathFactory,
    postgres: PostgresServer,
    s3: S3Server,
    sample_clip: Path,
    model_cache: Path,
) -> Iterator[Production]:
    folder = tmp_path_factory.mktemp("rolling")
    name = postgres.create_database()
    url = postgres.url(name)
    upgrade(url, RELEASED)
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(AUDIT)
        connection.commit()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("FRONTFOOT_")},
        "PYTHONUNBUFFERED": "1",
        "DATABASE_URL": url,
        "FRONTFOOT_STORE": "s3",
        "FRONTFOOT_S3_BUCKET": s3.bucket,
        "FRONTFOOT_S3_ENDPOINT_URL": s3.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3.secret_access_key,
        "AWS_DEFAULT_REGION": s3.region,
        "FRONTFOOT_CACHE_DIR": str(model_cache),
        "FRONTFOOT_TOKENS": f"{TOKEN}=coach:jane",
        "FRONTFOOT_LEASE_S": str(LEASE_S),
        "FRONTFOOT_POLL_S": "0.2",
        "FRONTFOOT_CLIPS_PER_ACTOR": "1",
        "FRONTFOOT_INFERENCE_THREADS": "1",
    }
    released = unpacked(folder)
    with ExitStack() as stack:

        def start(label: str, code: Path | None, *arguments: str) -> Child:
            child = Child(name=label, arguments=arguments, environment=environment, folder=folder, code=code)
            stack.callback(child.end)
            child.start()
            return child

        def serve(label: str, code: Path | None) -> Api:
            port = free_port()
            child = start(label, code, "api", "--port", str(port))
            client = httpx.Client(
                base_url=f"http://127.0.0.1:{port}/api/coaches/plus",
                headers={"Authorization": f"Bearer {TOKEN}"},
                timeout=30,
                trust_env=False,
            )
            return Api(child=child, client=stack.enter_context(client))

        made = Production(
            database_url=url,
            old_api=serve("old-api", released),
            new_api=serve("new-api", None),
            old_worker=start("old-worker", released, "worker"),
            new_worker=start("new-worker", None, "worker"),
            clip=write(folder / "clip.mp4", half_size_frames(sample_clip, 60, 76)),
        )
        for api in (made.old_api, made.new_api):
            wait_for(lambda api=api: said(api.child, "API listening"))  # type: ignore[misc]  # mypy knows no default
        yield made
    postgres.drop_database(name)
    s3.empty()


def test_new_code_waits_for_the_migration_and_old_code_does_not_mind_it(production: Production) -> None:
    wait_for(lambda: said(production.new_worker, "Worker waits: schema_behind: this code needs revision "))
    assert production.new_api.health() == (503, "schema_behind")
    assert production.old_api.health() == (200, "ready")
    job_id = production.old_api.submit(production.clip, deep=False)
    wait_for(lambda: production.old_api.job(job_id)["status"] == "quick_running")

    production.migrate()
    assert production.new_api.health() == (200, "ready")
    assert production.old_api.health() == (200, "ready")
    assert production.see_through(job_id)["attempt"] == 1
    wait_for(lambda: said(production.new_worker, "Worker started: "))


def test_the_processes_run_what_they_are_named_after(production: Production) -> None:
    """Drivers and the pose actors that Ray started for them."""
    production.ready()
    released = str(production.old_worker.code)
    for worker, expected in ((production.old_worker, True), (production.new_worker, False)):
        assert worker.process is not None
        actors = [child for child in children(worker.process.pid) if "ray::PoseActor" in name_of(child)]
        assert actors
        for process in (psutil.Process(worker.process.pid), *actors):
            assert (released in process.environ().get("PYTHONPATH", "")) is expected


def test_new_api_and_old_worker(production: Production) -> None:
    production.ready()
    with paused(production.new_worker):
        job_id = production.new_api.submit(production.clip, deep=True)
        while not (job := production.new_api.job(job_id, wait=10))["is_terminal"]:
            pass
        late_s = time.time() - datetime.fromisoformat(job["completed_at"]).timestamp()
    assert late_s < 5, "old code notifies nobody, so whoever waits is answered by the net beneath"
    job = production.see_through(job_id)
    assert all(job[name] for name in SIX)
    assert claims(production.old_worker, job_id) == [1]


def test_old_api_and_new_worker(production: Production) -> None:
    production.ready()
    with paused(production.old_worker):
        job_id = production.old_api.submit(production.clip, deep=True)
        wait_for(lambda: production.old_api.job(job_id)["status"] == "done")
    job = production.see_through(job_id)
    assert all(job[name] for name in SIX)
    assert claims(production.new_worker, job_id) == [1]


def test_both_workers_on_one_queue_that_both_apis_fill(production: Production) -> None:
    production.ready()
    apis = [production.old_api, production.new_api]
    job_ids = [apis[number % 2].submit(production.clip, deep=False) for number in range(6)]
    for job_id in job_ids:
        job = production.see_through(job_id)
        assert (job["attempt"], job["deep_findings"]) == (1, None)
        assert job["quick_report"]["text"].startswith("**Overall Assessment**:")
    old, new = [
        [job_id for job_id in job_ids if claims(worker, job_id)]
        for worker in (production.old_worker, production.new_worker)
    ]
    assert sorted(old + new) == sorted(job_ids)
    assert old, "it took part"
    assert new, "it took part"


def test_what_an_old_worker_leaves_behind_a_new_one_ends(production: Production) -> None:
    """The last test: the old worker is gone afterwards."""
    production.ready()
    with paused(production.new_worker):
        job_id = production.new_api.submit(production.clip, deep=False)
        wait_for(lambda: claims(production.old_worker, job_id) == [1])
        production.old_worker.kill()
    job = production.see_through(job_id)
    assert job["attempt"] == 2
    assert claims(production.new_worker, job_id) == [2]
    assert production.query("SELECT count(*) FROM audit WHERE what <> 'done'") == [(0,)]


@contextmanager
def paused(worker: Child) -> Iterator[None]:
    """It holds still, so that the other one must do it."""
    assert worker.process is not None
    worker.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        worker.process.send_signal(signal.SIGCONT)


def wait_for(condition: Callable[[], bool], timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def said(child: Child, words: str) -> bool:
    return any(words in record["message"] for record in child.records())


def claims(worker: Child, job_id: str) -> list[int]:
    """The attempts at a job that this worker began."""
    return [
        record["attempt"]
        for record in worker.records()
        if record["message"].startswith("Job claimed: ") and record["job_id"] == job_id
    ]
