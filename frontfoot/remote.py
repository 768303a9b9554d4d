"""What `frontfoot submit` does: a client of a running Frontfoot."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markdown import Markdown

from frontfoot import exits, logs
from frontfoot.client import ClientError, FrontfootClient
from frontfoot.progress import progress_bar
from frontfoot.settings import Settings
from models.requests import AnalysisRequest

Job = dict[str, Any]


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


def submit(clip: Path, request: AnalysisRequest, *, title: str, wait: bool, as_json: bool) -> Job:
    """Upload, submit, perhaps wait; print the job (or its report) and return it."""
    settings = Settings()
    if not settings.token.get_secret_value():
        raise typer.BadParameter("FRONTFOOT_TOKEN is empty: the server would refuse", param_hint="FRONTFOOT_TOKEN")
    with FrontfootClient(settings.url, settings.token.get_secret_value()) as client:
        session = client.create_session(
            title=title, session_type=request.analysis_mode, camera_view=request.camera_view
        )
        with progress_bar() as progress:
            task = progress.add_task("upload", total=clip.stat().st_size)
            client.upload(session["id"], clip, on_bytes=lambda count: progress.advance(task, count))
        job = client.submit(session["id"], request)
        if wait:
            job = follow(client, job["id"])
    if as_json:
        typer.echo(json.dumps(job))
    else:
        show(job)
    return job


def follow(client: FrontfootClient, job_id: str) -> Job:
    """Wait for a job's end with a progress bar on standard error."""
    with progress_bar() as progress:
        task = progress.add_task("QUEUED", total=100)
        return client.wait(
            job_id,
            on_progress=lambda job: progress.update(task, description=job["stage"], completed=job["progress_pct"]),
        )


def show(job: Job) -> None:
    """Print a job as a coach would read it."""
    report = job.get("deep_report") or job.get("quick_report")
    if job["status"] == "done" and report:
        Console().print(Markdown(report["text"]))
    elif job["status"] == "failed":
        typer.secho(f"{job['error_code']}: {job['error_message']}", fg="red", err=True)
    else:
        typer.echo(f"Job {job['id']} is {job['status']}")
