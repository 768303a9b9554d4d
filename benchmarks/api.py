"""Requests a second of `GET job` and `POST job` on PostgreSQL, beside bare FastAPI routes that do the same to the row.

    python benchmarks/api.py --json

The bare route selects the same row (or inserts one like it) and returns bytes recorded from ours: no authentication, no
limits, no log, no JSON to build. Both run as processes of their own on the same database; rounds alternate (A B A B),
figures are medians. Beside them stands where our process spends its time, by samples of its threads' stacks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT / "tests" / "support")  # instead of this folder, in which our package `api` would be this file

from servers import postgres_server

from migrations import upgrade
from models.database import Database
from models.jobs import Owner
from models.queue import JobQueue
from models.requests import AnalysisRequest

TOKEN = "benchmark-token-0001"  # noqa: S105 - of a server that lives for a minute
OWNER = Owner(owner_type="coach", owner_id="bench")
PREFIX = "/api/coaches/plus"
CONNECTIONS = 16
BODY = json.dumps({"analysis_mode": "bowling", "camera_view": "side", "deep_enabled": False}).encode()


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round of requests came to."""

    per_s: float
    p99_ms: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    figures = measure(arguments.rounds, arguments.seconds)
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name in ("get", "post"):
        row = figures[name]
        print(
            f"{name.upper():4} {row['ours_per_s']:7.0f}/s p99 {row['ours_p99_ms']:6.1f} ms   "
            f"bare {row['bare_per_s']:7.0f}/s p99 {row['bare_p99_ms']:6.1f} ms   ratio {row['ratio']:.2f}"
        )
        print("\n".join(f"     {share:5.1%}  {place}" for place, share in row["profile"].items()))


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """Both routes against their bare twins."""
    with postgres_server(durable=True) as server:
        url = server.url(server.create_database())
        upgrade(url)
        session_id, job_id = _fill(url)
        with _serving("ours", url) as ours, _serving("bare", url) as bare:
            requests = {
                "get": (f"GET {PREFIX}/analysis-jobs/{job_id}", b""),
                "post": (f"POST {PREFIX}/sessions/{session_id}/analysis-jobs", BODY),
            }
            figures = {}
            for name, (line, body) in requests.items():
                recorded = asyncio.run(_once(ours, line, body))
                asyncio.run(_once(bare, "PUT /recorded", recorded))
                bare_line = f"GET /job/{job_id}" if name == "get" else f"POST /job/{session_id}"
                _load(ours, line, body, 1.0), _load(bare, bare_line, body, 1.0)
                pairs = [
                    (_load(ours, line, body, seconds), _load(bare, bare_line, body, seconds)) for _ in range(rounds)
                ]
                asyncio.run(_once(ours, "PUT /profile", b""))
                _load(ours, line, body, seconds)
                profile = json.loads(asyncio.run(_once(ours, "GET /profile", b"")))
                figures[name] = {
                    "ours_per_s": round(statistics.median(mine.per_s for mine, _ in pairs), 1),
                    "bare_per_s": round(statistics.median(twin.per_s for _, twin in pairs), 1),
                    "ratio": round(statistics.median(mine.per_s / twin.per_s for mine, twin in pairs), 3),
                    "ours_p99_ms": round(statistics.median(mine.p99_ms for mine, _ in pairs), 1),
                    "bare_p99_ms": round(statistics.median(twin.p99_ms for _, twin in pairs), 1),
                    "bytes": len(recorded),
                    "profile": profile,
                }
            return figures


def _fill(url: str) -> tuple[str, str]:
    """A session with a video, and a finished job with documents of the usual size."""
    finding = {"id": "front_knee", "title": "Front knee bends", "severity": "medium", "text": "x" * 300}
    text = "**Overall Assessment**: one point to work on.\n\n" + "Words of a report. " * 80
    document = {
        "schema_version": 1,
        "findings": {"schema_version": 1, "findings": [finding] * 4, "watches": [], "overall_level": "medium"},
        "report": {
            "schema_version": 1,
            "text": text,
            "sections": [{"id": str(n), "text": text[:200]} for n in range(6)],
        },
    }
    database = Database(url)
    queue = JobQueue(database)
    session = queue.create_session(OWNER, title="Nets", session_type="bowling")
    queue.attach_upload(OWNER, session.id, "local", f"sessions/{session.id}/source/clip.mp4", 1000)
    queue.submit(OWNER, session.id, AnalysisRequest(analysis_mode="bowling"))
    claimed = queue.claim("bench")
    assert claimed is not None  # noqa: S101 - it was just submitted
    queue.save_quick(claimed.lease, document=document, s3_key="quick_results.json")
    queue.start_deep(claimed.lease)
    queue.finish(claimed.lease, stage="deep", document=document, s3_key="deep_results.json")
    database.close()
    return session.id, claimed.id


@contextmanager
def _serving(kind: str, database_url: str) -> Iterator[int]:
    """A server as a process of its own; yields its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.api_servers", kind],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"DATABASE_URL": database_url, "BENCHMARK_TOKEN": TOKEN},
    )
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def _load(port: int, line: str, body: bytes, seconds: float) -> Round:
    """As many requests as go through a few connections, one after the other on each."""
    return asyncio.run(_loaded(port, line, body, seconds))


async def _loaded(port: int, line: str, body: bytes, seconds: float) -> Round:
    started = time.perf_counter()
    took = await asyncio.gather(*(_repeat(port, line, body, started + seconds) for _ in range(CONNECTIONS)))
    elapsed = time.perf_counter() - started
    times = sorted(sample for samples in took for sample in samples)
    return Round(per_s=len(times) / elapsed, p99_ms=times[int(len(times) * 0.99)] * 1000)


async def _repeat(port: int, line: str, body: bytes, until: float) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request, took = _request(line, body), []
    while (begun := time.perf_counter()) < until:
        writer.write(request)
        await _answer(reader)
        took.append(time.perf_counter() - begun)
    writer.close()
    return took


async def _once(port: int, line: str, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request(line, body))
    answer = await _answer(reader)
    writer.close()
    return answer


def _request(line: str, body: bytes) -> bytes:
    head = f"{line} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """A client that costs next to nothing: the servers have one of two cores each."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    if not head.startswith("http/1.1 2"):
        raise RuntimeError(head)
    return await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))


if __name__ == "__main__":
    main()
