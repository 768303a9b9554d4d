"""What `frontfoot submit`, `status`, `wait`, `cancel`, `results` and `progress --player` do: a client of a server."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.markdown import Markdown

from frontfoot import exits, logs
from frontfoot.client import ClientError, FrontfootClient, is_terminal
from frontfoot.progress import progress_bar
from frontfoot.settings import Settings
from frontfoot.wire import Job, PlayerProgress
from models.requests import AnalysisRequest, Mode

RESULTS = ("report.html", "report.pdf", "overlay.mp4", "poses.parquet", "quick_results.json", "deep_results.json")


@contextmanager
def reported_errors(*, as_json: bool) -> Iterator[None]:
    """Turn a ClientError into one clear line (or JSON object) with its code, and exit."""
    logs.configure("WARNING", stream=sys.stderr)
    try:
        yield
    except ClientError as error:
        if as_json:
            typer.echo(json.dumps({"error": {"code": error.code, "status": error.status, "message": error.detail}}))
        else:
            typer.secho(f"{error.code}: {error.detail}", fg="red", err=True)
        raise typer.Exit(exits.SERVER) from None


@contextmanager
def connected() -> Iterator[FrontfootClient]:
    """The server and the token of the settings."""
    settings = Settings()
    if not settings.token.get_secret_value():
        raise typer.BadParameter("FRONTFOOT_TOKEN is empty: the server would refuse", param_hint="FRONTFOOT_TOKEN")
    with FrontfootClient(settings.url, settings.token.get_secret_value()) as client:
        yield client


def submit(clip: Path, request: AnalysisRequest, *, title: str, wait: bool, as_json: bool) -> Job:
    """Upload, submit, perhaps wait; print the job (or its report) and return it."""
    with connected() as client:
        session = client.create_session(
            title=title, session_type=request.analysis_mode, camera_view=request.camera_view
        )
        with progress_bar() as progress:
            task = progress.add_task("upload", total=clip.stat().st_size)
            client.upload(session["id"], clip, on_bytes=lambda count: progress.advance(task, count))
        job = client.submit(session["id"], request)
        if wait:
            job = follow(client, job["id"])
    return told(job, as_json=as_json)


def status(job_id: str, *, as_json: bool) -> Job:
    """Print how a job is doing and return it."""
    with connected() as client:
        return told(client.job(job_id), as_json=as_json)


def wait(job_id: str, *, timeout_s: float | None, as_json: bool) -> Job:
    """Wait for a job's end, print it and return it."""
    with connected() as client:
        return told(follow(client, job_id, timeout_s), as_json=as_json)


def cancel(job_id: str, *, as_json: bool) -> Job:
    """Ask for a job's end, print it and return it."""
    with connected() as client:
        return told(client.cancel(job_id), as_json=as_json)


def results(job_id: str, out: Path, *, as_json: bool) -> Job:
    """Fetch every file that a job has left so far, print their paths (or the job) and return the job."""
    with connected() as client:
        job = client.job(job_id, results=as_json)
        out.mkdir(parents=True, exist_ok=True)
        # Only names that we know become files here, whatever the server says.
        names = [name for name in RESULTS if name in {artifact["name"] for artifact in client.artifacts(job_id)}]
        paths = [client.download(job_id, name, out / name) for name in names]
    if as_json:
        typer.echo(json.dumps(job))
    elif paths:
        for path in paths:
            typer.echo(path)
    else:
        told(job, as_json=False)
    return job


def player_progress(player_id: str, *, mode: Mode | None, limit: int | None) -> PlayerProgress:
    """What the server's sessions say of a player."""
    with connected() as client:
        return client.player_progress(player_id, mode=mode, limit=limit)


def told(job: Job, *, as_json: bool) -> Job:
    """Print a job: one JSON object, or as a coach would read it."""
    if as_json:
        typer.echo(json.dumps(job))
    else:
        show(job)
    return job


def follow(client: FrontfootClient, job_id: str, timeout_s: float | None = None) -> Job:
    """Wait for a job's end with a progress bar on standard error."""
    with progress_bar() as progress:
        task = progress.add_task("QUEUED", total=100)
        return client.wait(
            job_id,
            on_progress=lambda job: progress.update(task, description=job["stage"], completed=job["progress_pct"]),
            timeout_s=timeout_s,
        )


def show(job: Job) -> None:
    """Print a job as a coach would read it."""
    report = job.get("deep_report") or job.get("quick_report")
    if job["status"] == "done" and report:
        Console().print(Markdown(report["text"]))
    elif job["status"] == "failed":
        typer.secho(f"{job['error_code']}: {job['error_message']}", fg="red", err=True)
    else:
        typer.echo(f"Job {job['id']} is {job['status']}{'' if is_terminal(job) else _outlook(job)}")


def _outlook(job: Job) -> str:
    """How far it is, and what is still to come, as far as the server knows."""
    position, eta_s = job.get("queue_position"), job.get("eta_s")
    words = [f"{job['progress_pct']} %"]
    if position is not None:
        words.append(f"position {position} in the queue")
    if eta_s is not None:
        words.append(f"about {eta_s:.0f} s to go")
    return f" ({', '.join(words)})"
