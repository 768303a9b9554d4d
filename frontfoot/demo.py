"""`make demo`: the main job on a real clip, through API, database, worker and Ray, as a coach would see it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from frontfoot import remote
from frontfoot.client import ClientError, FrontfootClient
from frontfoot.wire import Job
from models.requests import AnalysisRequest

ROOT = Path(__file__).resolve().parent.parent
CLIP = ROOT / ".samples" / "demo.mp4"
OUT = ROOT / ".demo"
ARTIFACTS = ("report.html", "report.pdf", "overlay.mp4", "poses.parquet", "deep_results.json")
START_TIMEOUT_S = 120.0


def main() -> int:
    """Start the embedded default, submit the sample clip, show what comes out, stop everything."""
    if not CLIP.exists():
        typer.secho(f"{CLIP} is missing: run `make samples`", fg="red", err=True)
        return 1
    OUT.mkdir(exist_ok=True)
    with _running() as (url, token), FrontfootClient(url, token) as client:
        typer.echo(f"Frontfoot is at {url}; submitting {CLIP.name} as bowling, seen from the side.\n")
        session = client.create_session(title="Demo", session_type="bowling", camera_view="side")
        client.upload(session["id"], CLIP)
        job = client.submit(session["id"], AnalysisRequest(analysis_mode="bowling", camera_view="side"))
        job = client.wait(job["id"], on_progress=_print_progress, timeout_s=300)
        if job["status"] != "done":
            typer.secho(f"The job {job['status']}: {job['error_code']}: {job['error_message']}", fg="red", err=True)
            return 1
        _print_findings(job)
        remote.show(job)
        typer.echo("\nFiles:")
        for name in ARTIFACTS:
            client.download(job["id"], name, OUT / name)
            typer.echo(f"  {OUT / name}")
    return 0


def _print_progress(job: Job) -> None:
    typer.echo(f"  {job['progress_pct']:>3} %  {job['stage']}")


def _print_findings(job: Job) -> None:
    findings = job["deep_findings"]
    if findings is None:
        return
    coverage = findings["coverage"]
    typer.echo(
        f"\nFindings: {len(findings['findings'])}, level {findings['overall_level']}, basis {findings['basis']} "
        f"({coverage['measured']} of {coverage['applicable']} {job['analysis_mode']} measures could be taken)"
    )
    for finding in findings["findings"]:
        typer.echo(f"  [{finding['severity']}] {finding['title']}")
    typer.echo("")


@contextmanager
def _running() -> Iterator[tuple[str, str]]:
    """`frontfoot up` as a process of its own; it is gone when the block is left, whatever happens in it."""
    log = OUT / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "frontfoot", "up", "--port", "0", "--data", str(OUT / "data")],
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches this process alone; it passes the wish on below, once.
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "FRONTFOOT_GRACE_S": "0"},
        )
    try:
        yield _address(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> tuple[str, str]:
    """URL and token, as `up` prints them."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        lines = log.read_text().splitlines()
        url = next((line.rpartition(" ")[2] for line in lines if line.startswith("Frontfoot is at ")), None)
        token = next((line.removeprefix("Token: ") for line in lines if line.startswith("Token: ")), None)
        if url and token:
            return url, token
        time.sleep(0.1)
    raise RuntimeError(f"`frontfoot up` did not start; its log is {log}")


def _exit(number: int, frame: object) -> None:
    """A signal ends the demo the way Ctrl-C does: through the block that stops what it started."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for wish in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(wish, _exit)
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        typer.echo("\nStopped.", err=True)
        raise SystemExit(130) from None
    except ClientError as error:
        typer.secho(f"{error.code}: {error.detail}", fg="red", err=True)
        raise SystemExit(1) from None
