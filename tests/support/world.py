"""A small production: PostgreSQL, S3 behind a faulty network, an API, workers with a Ray each; all can be killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg2
from fault_proxy import FaultProxy
from ports import free_port
from servers import NOBODY_TRUSTED, PostgresServer, postgres_server, s3_server
from workers import descendants

from migrations import upgrade

TOKEN = "chaos-token-of-jane-0001"
LEASE_S = 6.0

# What the database itself saw: a job that is done twice, or changed after it was, cannot hide.
AUDIT = """
CREATE TABLE audit (job_id text, what text, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.status = 'done' AND OLD.status <> 'done' THEN
    INSERT INTO audit (job_id, what) VALUES (NEW.id, 'done');
  ELSIF OLD.status IN ('done', 'failed', 'canceled') THEN
    INSERT INTO audit (job_id, what) VALUES (NEW.id, 'changed after its end');
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER audit AFTER UPDATE ON video_analysis_jobs FOR EACH ROW EXECUTE FUNCTION audit();
"""


@dataclass
class Child:
    """One of our processes: started, killed, started again; everything it said is kept."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    folder: Path
    code: Path | None = None
    """Where its code is; by default what is installed."""
    within: Sequence[str] = ()
    """A command that becomes the one that stands behind it, once it has put itself where that is to run."""
    starts: int = 0
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.starts += 1
        # Files of their own for every start: a killed process may leave half a line behind.
        with self._file("log").open("w") as log, self._file("err").open("w") as errors:
            self.process = subprocess.Popen(
                [*self.within, sys.executable, "-m", "frontfoot", *self.arguments],
                stdout=log,
                stderr=errors,
                text=True,
                env={**self.environment, "PYTHONPATH": str(self.code)} if self.code else self.environment,
                cwd=self.code,  # `-m` looks there first
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL to the process alone: what it started must find out by itself."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def end(self) -> None:
        """The process and whatever it started, by force."""
        if self.process is None:
            return
        victims = descendants(self.process.pid)
        self.kill()
        for victim in victims:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)

    def records(self) -> Iterator[dict[str, Any]]:
        """Its JSON log lines, over all starts."""
        for path in sorted(self.folder.glob(f"{self.name}-*.log")):
            for line in path.read_text().splitlines():
                if line.startswith("{") and line.endswith("}"):
                    yield json.loads(line)

    def _file(self, suffix: str) -> Path:
        return self.folder / f"{self.name}-{self.starts:03}.{suffix}"


@dataclass
class World:
    """Everything that runs, and the faults that can be made in it."""

    database_url: str
    postgres: PostgresServer
    proxy: FaultProxy
    api: Child
    workers: list[Child]
    url: str
    chance: random.Random
    faults: list[tuple[float, str]] = field(default_factory=list)
    to_come: list[Callable[[], None]] = field(default_factory=list)

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"{self.url}/api/coaches/plus",
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=20,
            trust_env=False,
            verify=NOBODY_TRUSTED,
        )

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows, however often PostgreSQL is away meanwhile."""
        for _ in range(100):
            try:
                with closing(psycopg2.connect(self.database_url)) as connection, connection.cursor() as cursor:
                    cursor.execute(statement, values)
                    return cursor.fetchall()
            except psycopg2.OperationalError:
                time.sleep(0.2)
        raise AssertionError("PostgreSQL did not come back")

    def kill_worker(self) -> None:
        worker = self.chance.choice(self.workers)
        worker.kill()
        worker.start()

    def kill_actor(self) -> None:
        actors = [
            process
            for worker in self.workers
            if worker.process is not None
            for process in children(worker.process.pid)
            if "ray::PoseActor" in name_of(process)
        ]
        if actors:
            self.chance.choice(actors).kill()

    def kill_api(self) -> None:
        self.api.kill()
        self.api.start()

    def restart_postgres(self) -> None:
        self.postgres.restart(self.chance.choice([signal.SIGINT, signal.SIGQUIT]))

    def break_s3(self) -> None:
        self.proxy.set("error")
        time.sleep(self.chance.uniform(0.5, 3))
        self.proxy.set("pass")

    def stall_s3(self) -> None:
        self.proxy.set("stall")
        time.sleep(self.chance.uniform(1, 5))
        self.proxy.set("pass")

    def strike(self, started: float) -> None:
        """One fault, now: each kind once in an order of chance, then all of them again."""
        if not self.to_come:
            kinds = (
                self.kill_worker,
                self.kill_actor,
                self.kill_actor,
                self.kill_api,
                self.restart_postgres,
                self.break_s3,
                self.stall_s3,
            )
            self.to_come = self.chance.sample(kinds, len(kinds))
        fault = self.to_come.pop()
        self.faults.append((round(time.monotonic() - started, 1), fault.__name__))
        fault()


def children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def name_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@contextmanager
def world(
    folder: Path, cache: Path, *, workers: int, seed: int, within: Sequence[str] = (), **settings: str
) -> Iterator[World]:
    """Start everything on a fresh database and bucket; end everything with the block. `within` is where workers run."""
    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_server(durable=True))
        s3 = stack.enter_context(s3_server())
        proxy = stack.enter_context(FaultProxy(s3.endpoint_url))
        database_url = postgres.url(postgres.create_database())
        upgrade(database_url)
        with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
            cursor.execute(AUDIT)
            connection.commit()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FRONTFOOT_")},
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": database_url,
            "FRONTFOOT_STORE": "s3",
            "FRONTFOOT_S3_BUCKET": s3.bucket,
            "FRONTFOOT_S3_ENDPOINT_URL": proxy.url,
            "AWS_ACCESS_KEY_ID": s3.access_key_id,
            "AWS_SECRET_ACCESS_KEY": s3.secret_access_key,
            "AWS_DEFAULT_REGION": s3.region,
            "FRONTFOOT_DATA_DIR": str(folder / "data"),
            "FRONTFOOT_CACHE_DIR": str(cache),
            "FRONTFOOT_TOKENS": f"{TOKEN}=coach:jane",
            "FRONTFOOT_LEASE_S": str(LEASE_S),
            # The faults come far more often than anywhere else; what counts is that each is explained.
            "FRONTFOOT_MAX_ATTEMPTS": "100",
            "FRONTFOOT_RATE_LIMIT_PER_MINUTE": "0",
            "FRONTFOOT_INFERENCE_THREADS": "1",
            **settings,
        }
        port = free_port()
        api = Child(name="api", arguments=("api", "--port", str(port)), environment=environment, folder=folder)
        made = [
            Child(name=f"worker{number}", arguments=("worker",), environment=environment, folder=folder, within=within)
            for number in range(workers)
        ]
        for child in (api, *made):
            stack.callback(child.end)
            child.start()
        yield World(
            database_url=database_url,
            postgres=postgres,
            proxy=proxy,
            api=api,
            workers=made,
            url=f"http://127.0.0.1:{port}",
            chance=random.Random(seed),
        )
