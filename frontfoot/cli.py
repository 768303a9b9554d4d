"""The command line. Each command imports what it needs when it runs, so that `frontfoot api` never loads torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frontfoot import anew, exits, key_commands, model_commands
from frontfoot.options import (
    AudienceOption,
    BackendOption,
    ClipArgument,
    DirectionOption,
    FramesOption,
    HandednessOption,
    HeightOption,
    JsonOption,
    ListPeopleOption,
    MaybeClipArgument,
    MaybeModeOption,
    ModelOption,
    ModeOption,
    PosesOption,
    PrecisionOption,
    QuickOption,
    RulesOption,
    SampleFpsOption,
    ShaOption,
    SlowmoOption,
    SubjectOption,
    ViewOption,
    request_of,
    require_one_source,
)

if TYPE_CHECKING:
    from frontfoot.wire import Job

app = typer.Typer(
    name="frontfoot",
    help=(
        "Cricket video in, an honest coaching report out.\n\n"
        "Try it on one clip: `frontfoot analyze clip.mp4 --mode bowling --view side`. "
        "Run it as a service on this machine: `frontfoot up`."
    ),
    epilog=(
        "Exit codes: 0 done, 1 an error of ours, 2 wrong usage or settings, 3 this clip cannot be analysed, "
        "4 the job failed or was canceled, 5 the server cannot be reached or refuses, 130 interrupted."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def analyze(
    clip: MaybeClipArgument = None,
    mode: MaybeModeOption = None,
    poses: PosesOption = None,
    list_people: ListPeopleOption = False,
    view: ViewOption = None,
    height: HeightOption = None,
    slowmo: SlowmoOption = 1.0,
    subject: SubjectOption = [],  # noqa: B006 - Typer reads the default and hands over a list of its own
    handedness: HandednessOption = None,
    direction: DirectionOption = None,
    audience: AudienceOption = "player",
    rules: RulesOption = None,
    sample_fps: SampleFpsOption = None,
    include_frames: FramesOption = False,
    quick_only: QuickOption = False,
    out: Annotated[Path, typer.Option(help="Folder for the files; made if missing.")] = Path("out"),
    model: ModelOption = None,
    sha256: ShaOption = None,
    backend: BackendOption = None,
    precision: PrecisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Analyse one clip, or poses that are there already, here and now: no server, no Ray.

    Writes results.json, report.md, report.html, report.pdf, poses.parquet and, of a clip, overlay.mp4, and prints the
    report.
    """
    from frontfoot import local

    choice = local.ModelChoice(model=model, sha256=sha256, backend=backend, precision=precision)
    require_one_source(
        clip,
        poses,
        subject=subject,
        sample_fps=sample_fps,
        quick_only=quick_only,
        list_people=list_people,
        model=model,
        sha256=sha256,
        backend=backend,
        precision=precision,
    )
    if clip is not None and list_people:
        from frontfoot import people

        with local.reported_errors(as_json=as_json):
            people.list_people(clip, out, choice, slowmo=slowmo, as_json=as_json)
        return
    if mode is None:
        raise typer.BadParameter("it is required: batting, bowling, wicketkeeping or fielding", param_hint="--mode")
    request = request_of(
        mode,
        view,
        height,
        slowmo,
        subject,
        handedness,
        direction,
        audience,
        rules,
        sample_fps,
        include_frames,
        quick_only,
    )
    with local.reported_errors(as_json=as_json):
        if clip is not None:
            local.analyze(clip, request, out, choice, as_json=as_json)
        elif poses is not None:
            local.analyze_poses(poses, request, out, as_json=as_json)


@app.command()
def poses(
    clip: ClipArgument,
    out: Annotated[Path, typer.Option(help="File to write, .npz.")],
    every_frame: Annotated[bool, typer.Option("--every-frame", help="Infer every frame, interpolate none.")] = False,
    sample_fps: SampleFpsOption = None,
    subject: SubjectOption = [],  # noqa: B006 - as above
    model: ModelOption = None,
    sha256: ShaOption = None,
    backend: BackendOption = None,
    precision: PrecisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Extract the athlete's poses alone and say how fast it went.

    The file holds keypoints (T, K, 2) in source pixels, confidence (T, K), timestamps_s (T,), frame_indices (T,),
    box (T, 4) as x1 y1 x2 y2, frame_size (width, height) and keypoint_names (K,); NaN where nothing was seen. K is 17,
    or 26 for a model with feet.
    """
    from frontfoot import local

    if every_frame and sample_fps is not None:
        raise typer.BadParameter("--every-frame and --sample-fps exclude each other")
    choice = local.ModelChoice(model=model, sha256=sha256, backend=backend, precision=precision)
    with local.reported_errors(as_json=as_json):
        local.poses(clip, out, tuple(subject), choice, every_frame=every_frame, sample_fps=sample_fps, as_json=as_json)


@app.command()
def export(
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder that `analyze` or `results` wrote, or a file of poses.", exists=True, readable=True
        ),
    ],
    formats: Annotated[
        str, typer.Option("--format", metavar="csv,parquet,coco,trc", help="What to write, separated by commas.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the files; made if missing.")] = Path("export"),
    height: HeightOption = None,
    slowmo: Annotated[float | None, typer.Option("--slowmo", help="As of analyze; of poses alone.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write an analysis for other tools: tables (csv, parquet), COCO keypoints (coco), marker paths (trc).

    docs/poses.md describes the files. Of a job, fetch the folder first: `frontfoot results JOB --out DIR`.
    """
    from frontfoot import export, local

    wanted = export.formats(formats)
    with local.reported_errors(as_json=as_json):
        export.export(source, wanted, out, height=height, slowmo=slowmo, as_json=as_json)


@app.command()
def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on (FRONTFOOT_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for a free one (FRONTFOOT_PORT).")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder for everything that is kept (FRONTFOOT_DATA_DIR).")] = None,
) -> None:
    """Run everything on this machine: SQLite, a folder, local Ray, API and worker in one command.

    Prints its URL and one line `Token: …`. Stop it with Ctrl-C.
    """
    from frontfoot import services

    services.up(host=host, port=port, data=data)


@app.command()
def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on (FRONTFOOT_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for a free one (FRONTFOOT_PORT).")] = None,
) -> None:
    """Run the HTTP service alone. Needs FRONTFOOT_TOKENS, JWTs or API keys; loads no model and no Ray."""
    from frontfoot import services

    services.api(host=host, port=port)


@app.command()
def worker() -> None:
    """Run one worker: claims jobs from the database and runs them on Ray. SIGTERM drains, a second one hands back."""
    from frontfoot import services

    services.worker()


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema; the same as `alembic upgrade head`."""
    from frontfoot import services

    services.migrate()


@app.command()
def submit(
    clip: ClipArgument,
    mode: ModeOption,
    view: ViewOption = None,
    height: HeightOption = None,
    slowmo: SlowmoOption = 1.0,
    subject: SubjectOption = [],  # noqa: B006 - as above
    handedness: HandednessOption = None,
    direction: DirectionOption = None,
    audience: AudienceOption = "player",
    rules: RulesOption = None,
    sample_fps: SampleFpsOption = None,
    include_frames: FramesOption = False,
    quick_only: QuickOption = False,
    title: Annotated[str | None, typer.Option(help="Title of the session; the file's name by default.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the job is done, and show its progress.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Upload a clip to a running Frontfoot (FRONTFOOT_URL, FRONTFOOT_TOKEN) and ask for an analysis.

    With --json it prints the job as the API returns it.
    """
    from frontfoot import remote

    request = request_of(
        mode,
        view,
        height,
        slowmo,
        subject,
        handedness,
        direction,
        audience,
        rules,
        sample_fps,
        include_frames,
        quick_only,
    )
    with remote.reported_errors(as_json=as_json):
        job = remote.submit(clip, request, title=title or clip.stem, wait=wait, as_json=as_json)
    _exit_unless_done(job)


app.add_typer(key_commands.app, name="keys")
app.add_typer(model_commands.app, name="models")


JobArgument = Annotated[str, typer.Argument(help="The job's id, as `submit` prints it.", metavar="JOB")]


def _exit_unless_done(job: Job) -> None:
    from frontfoot.client import is_terminal

    if is_terminal(job) and job["status"] != "done":
        raise typer.Exit(exits.JOB_FAILED)


@app.command()
def status(job_id: JobArgument, as_json: JsonOption = False) -> None:
    """Say how a job is doing."""
    from frontfoot import remote

    with remote.reported_errors(as_json=as_json):
        job = remote.status(job_id, as_json=as_json)
    _exit_unless_done(job)


@app.command()
def wait(
    job_id: JobArgument,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait at most.", min=0)] = None,
    as_json: JsonOption = False,
) -> None:
    """Wait for a job's end, show its progress, and print its report."""
    from frontfoot import remote

    with remote.reported_errors(as_json=as_json):
        job = remote.wait(job_id, timeout_s=timeout, as_json=as_json)
    _exit_unless_done(job)


@app.command()
def cancel(job_id: JobArgument, as_json: JsonOption = False) -> None:
    """Ask for a job's end: a waiting one ends at once, a running one within two of its worker's heartbeats."""
    from frontfoot import remote

    with remote.reported_errors(as_json=as_json):
        remote.cancel(job_id, as_json=as_json)


@app.command()
def results(
    job_id: JobArgument,
    out: Annotated[Path, typer.Option(help="Folder for the files; made if missing.")] = Path("out"),
    as_json: JsonOption = False,
) -> None:
    """Fetch what a job has left so far: report, overlay video, poses, results. With --json, print the job with them."""
    from frontfoot import remote

    with remote.reported_errors(as_json=as_json):
        job = remote.results(job_id, out, as_json=as_json)
    _exit_unless_done(job)


app.command()(anew.rederive)
app.command()(anew.progress)


@app.command()
def settings() -> None:
    """Print the settings in force, secrets masked."""
    from frontfoot.settings import Settings

    typer.echo(json.dumps(Settings().masked(), indent=2))


def main() -> None:
    """Entry point of the `frontfoot` command."""
    from pydantic import ValidationError

    try:
        app()
    except ValidationError as error:
        if error.title != "Settings":
            raise
        # Never the value: it may be a token or a password.
        for fault in error.errors(include_input=False, include_url=False, include_context=False):
            name = ".".join(str(part) for part in fault["loc"])
            typer.secho(f"settings_invalid: {name}: {fault['msg']}", fg="red", err=True)
        raise SystemExit(exits.USAGE) from None
