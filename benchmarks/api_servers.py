"""What `benchmarks/api.py` measures: our API with a sampling profiler, or two bare FastAPI routes on the same table."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
import uuid
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry
from sqlalchemy import insert, select

from frontfoot.services import _app
from frontfoot.settings import Settings
from models.database import make_engine
from models.tables import VideoAnalysisJob

SAMPLE_S = 0.002


class Profiler:
    """Shares of samples in which a function of ours, or a library's below it, was at work; waiting threads apart."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._samples = 0
        self._stop = threading.Event()

    def start(self) -> None:
        """Sample from now on."""
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> dict[str, float]:
        """End, and return the places seen most."""
        self._stop.set()
        total = max(self._samples, 1)
        return {place: round(count / total, 4) for place, count in self._counts.most_common(25)}

    def _run(self) -> None:
        mine = threading.get_ident()
        while not self._stop.wait(SAMPLE_S):
            for thread, top in sys._current_frames().items():  # noqa: SLF001 - there is no public door to other threads
                frame, seen = top, set()
                if thread == mine or top.f_code.co_name in {"wait", "select", "get", "poll", "accept"}:
                    continue
                self._samples += 1
                while frame is not None:
                    seen.add(f"{_short(frame.f_code.co_filename)}:{frame.f_code.co_qualname}")
                    frame = frame.f_back  # type: ignore[assignment]
                self._counts.update(seen)


def _short(path: str) -> str:
    return "/".join(Path(path).parts[-2:])


def ours(database_url: str, token: str) -> FastAPI:
    """The real application on a folder store, with two routes more for the profile."""
    settings = Settings(
        database_url=database_url,
        data_dir=Path(tempfile.mkdtemp(prefix="bench-")),
        tokens={token: "coach:bench"},
        rate_limit_per_minute=0,
    )
    app = _app(settings, CollectorRegistry())
    running: list[Profiler] = []

    @app.put("/profile")
    def start_profile() -> dict[str, Any]:
        running.append(Profiler())
        running[-1].start()
        return {}

    @app.get("/profile")
    def stop_profile() -> dict[str, float]:
        return running.pop().stop()

    return app


def bare(database_url: str) -> FastAPI:
    """Select the row, or insert one like it, and return the recorded bytes."""
    app, engine, table = FastAPI(), make_engine(database_url), VideoAnalysisJob.__table__
    recorded: dict[str, bytes] = {}

    @app.put("/recorded")
    async def record(request: Request) -> dict[str, Any]:
        recorded["answer"] = await request.body()
        return {}

    @app.get("/job/{job_id}")
    def get_job(job_id: str) -> Response:
        with engine.connect() as connection:
            connection.execute(select(table).where(table.c.id == job_id)).one()
        return Response(recorded["answer"], media_type="application/json")

    @app.post("/job/{session_id}")
    def post_job(session_id: str, body: dict[str, Any]) -> Response:
        with engine.begin() as connection:
            connection.execute(insert(table).values(_row(session_id, body["analysis_mode"])))
        return Response(recorded["answer"], status_code=201, media_type="application/json")

    return app


def _row(session_id: str, mode: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "id": str(uuid.uuid4()),
        "session_id": session_id,
        "owner_type": "coach",
        "owner_id": "bench",
        "created_at": now,
        "updated_at": now,
        "available_at": now,
        "analysis_mode": mode,
        "camera_view": "side",
        "include_frames": False,
        "deep_enabled": False,
        "priority": 0,
        "options": {"height_m": None, "slowmo_factor": 1.0, "subject": [], "handedness": None, "audience": "player"},
        "s3_bucket": "local",
        "s3_key": f"sessions/{session_id}/source/clip.mp4",
        "status": "queued",
        "stage": "QUEUED",
        "progress_pct": 0,
        "attempt": 0,
        "max_attempts": 3,
    }


def main() -> None:
    """Serve on a free port and print it."""
    database_url, token = os.environ["DATABASE_URL"], os.environ["BENCHMARK_TOKEN"]
    app = ours(database_url, token) if sys.argv[1] == "ours" else bare(database_url)
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as `frontfoot api` does
        print(listener.getsockname()[1], flush=True)
        uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[listener])


if __name__ == "__main__":
    main()
