"""`frontfoot models …` as Typer reads it; what it does is in `models.py`, imported when it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from frontfoot.options import JsonOption, ViewOption
from models.model_versions import ModelRef
from models.requests import AnalysisRequest, Mode

app = typer.Typer(
    help="The model catalogue: which pose models there are, and which one workers run.", no_args_is_help=True
)

VersionArgument = Annotated[str, typer.Argument(metavar="NAME@VERSION", help="Which version.")]
ReferenceArgument = Annotated[
    str, typer.Argument(metavar="NAME@VERSION|ALIAS", help="Which version, or what an alias means.")
]
AliasOption = Annotated[str, typer.Option("--alias", help="Which alias; workers run what `production` means.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why, for those who read the history.")]
NiceOption = Annotated[int, typer.Option("--nice", min=0, max=19, help="How far to step behind other processes.")]


@app.command()
def register(
    version: VersionArgument,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A path, s3://BUCKET/KEY, package:NAME/FILE, a name such as yolo11s-pose.pt, or entrypoint:NAME.",
        ),
    ],
    sha256: Annotated[
        str, typer.Option("--sha256", help="Checksum that the source must have: `frontfoot models checksum`.")
    ],
    skeleton: Annotated[
        Literal["coco17", "halpe26"], typer.Option("--skeleton", help="The order of its keypoints.")
    ] = "coco17",
    kind: Annotated[
        Literal["ultralytics", "onnx", "openvino", "simcc"] | None,
        typer.Option("--format", help="By the file's name unless it is given."),
    ] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="Of the weights, such as AGPL-3.0.")] = None,
    notes: Annotated[str | None, typer.Option("--notes", help="What somebody should know who chooses it.")] = None,
    precision: Annotated[
        Literal["fp32", "bf16", "fp16", "int8"] | None,
        typer.Option("--precision", help="The only one it is to run in; without: the fastest of the machine."),
    ] = None,
    made_from: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME@VERSION|ALIAS", help="With --precision: what it is compared with."),
    ] = None,
    clip: Annotated[
        Path | None, typer.Option("--clip", exists=True, dir_okay=False, help="With --precision: on which clip.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a model, convert it and enter it into the catalogue. It is refused with the reason, and then nothing stays.

    A pickle is opened here alone, in a process without secrets and from an allow-list of classes.
    Workers load what was converted. docs/models.md walks through it.
    """
    from frontfoot import models
    from frontfoot.model_admission import Wanted

    try:
        wanted = Wanted(
            ref=_ref(version),
            source=source,
            sha256=sha256,
            skeleton=skeleton,
            format=kind,
            licence=licence,
            notes=notes,
            precision=precision,
            made_from=made_from,
            clip=clip,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    models.register(wanted, as_json=as_json)


@app.command()
def checksum(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="As `register` takes it.")],
    as_json: JsonOption = False,
) -> None:
    """Print the checksum that `register` wants for a source. Nothing of it is opened or run."""
    from frontfoot import models

    models.checksum(source, as_json=as_json)


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List every version, retired ones too, and what the aliases mean."""
    from frontfoot import models

    models.show_all(as_json=as_json)


@app.command()
def show(reference: ReferenceArgument, as_json: JsonOption = False) -> None:
    """Show everything about a version: where it came from, what was measured, which aliases ever meant it."""
    from frontfoot import models

    models.show(reference, as_json=as_json)


@app.command()
def verify(reference: ReferenceArgument, as_json: JsonOption = False) -> None:
    """Compare what workers load with its checksum, and hold it against the keypoint contract anew."""
    from frontfoot import models

    models.verify(reference, as_json=as_json)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="What is there: NAME@VERSION or an alias.")],
    b: Annotated[str, typer.Argument(metavar="B", help="What might replace it: NAME@VERSION or an alias.")],
    clips: Annotated[
        Path | None, typer.Option("--clips", help="Every clip of this folder.", exists=True, file_okay=False)
    ] = None,
    jobs: Annotated[
        str | None,
        typer.Option("--jobs", metavar="QUERY", help="Finished jobs: mode=batting,since=2026-11-01,limit=20."),
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="What `models shadow` and `rerun` kept of B on jobs measured by A.")
    ] = False,
    mode: Annotated[Mode | None, typer.Option("--mode", help="Of --clips: what the athlete does.")] = None,
    view: ViewOption = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for comparison.json and .html.")] = Path("comparison"),
    as_json: JsonOption = False,
) -> None:
    """Run both models on the same clips and say what would differ: poses, numbers, findings, speed, memory.

    Each model has a process of its own, A B A B; with --shadow nothing is run, so nothing is said of speed and memory.
    What it came to is recorded, for `promote`'s policy.
    """
    from frontfoot import compare as comparing
    from frontfoot.compared_clips import JobQuery, Shadowed

    if (clips is not None) + (jobs is not None) + shadow != 1 or (clips is None) != (mode is None):
        raise typer.BadParameter("give --clips DIR with --mode, or --jobs QUERY, or --shadow: one of them")
    chosen: comparing.Folder | JobQuery | Shadowed = Shadowed()
    if jobs is not None:
        try:
            chosen = JobQuery.parse(jobs)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    elif clips is not None and mode is not None:
        chosen = comparing.Folder(path=clips, request=AnalysisRequest(analysis_mode=mode, camera_view=view))
    comparing.compare(a, b, chosen, out, as_json=as_json)


@app.command()
def shadow(
    reference: ReferenceArgument,
    share: Annotated[
        float, typer.Option("--share", min=0, max=1, help="How much of what finishes; always the same jobs.")
    ] = 0.1,
    since: Annotated[
        datetime | None,
        typer.Option("--since", help="Jobs that finished then or later (UTC); by default since this shadow first ran."),
    ] = None,
    yields: Annotated[
        bool, typer.Option("--yield/--no-yield", help="Begin no clip while a job waits for a worker.")
    ] = True,
    nice: NiceOption = 19,
) -> None:
    """Measure a sample of finished jobs by this version too, until SIGTERM, at the lowest priority. Nobody notices.

    What differs is kept, for `models compare A B --shadow`. Several processes share the work.
    """
    from frontfoot import trials

    moment = None if since is None else since.replace(tzinfo=UTC)
    trials.shadow(reference, trials.Manners(niceness=nice, yields=yields), share=share, since=moment)


@app.command()
def rerun(
    reference: ReferenceArgument,
    jobs: Annotated[
        str | None,
        typer.Option("--jobs", metavar="QUERY", help="Not all: mode=batting,since=2026-11-01,limit=200, as `compare`."),
    ] = None,
    yields: Annotated[
        bool, typer.Option("--yield/--no-yield", help="Begin no clip while a job waits for a worker.")
    ] = False,
    nice: NiceOption = 19,
    status: Annotated[bool, typer.Option("--status", help="Only say how far it has come.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Only say, by athlete, what replacing would change.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let the jobs show what was measured. Old results stay in the store.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure finished jobs again by this version, beside what they show; look at --diff, then --replace.

    Killed or stopped, it goes on where it was when it is run again. Several processes share the work.
    """
    from frontfoot import trials
    from frontfoot.compared_clips import JobQuery

    if status + diff + replace + (jobs is not None) > 1:
        raise typer.BadParameter("--jobs, --status, --diff and --replace do not go together")
    if status:
        trials.show_status(reference, as_json=as_json)
    elif diff:
        trials.show_diff(reference, as_json=as_json)
    elif replace:
        trials.replace_all(reference, as_json=as_json)
    else:
        try:
            query = JobQuery(limit=None) if jobs is None else JobQuery.parse(jobs, limit=None)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        trials.rerun(reference, query, trials.Manners(niceness=nice, yields=yields), as_json=as_json)


@app.command()
def promote(
    version: VersionArgument,
    alias: AliasOption = "production",
    reason: ReasonOption = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Even if skeleton or policy are against it. It is recorded."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Let an alias mean this version. Workers that follow it go over without a restart."""
    from frontfoot import models

    models.promote(str(_ref(version)), alias, reason, force=force, as_json=as_json)


@app.command()
def rollback(alias: AliasOption = "production", reason: ReasonOption = None, as_json: JsonOption = False) -> None:
    """Let an alias mean again what it meant before its last promotion."""
    from frontfoot import models

    models.rollback(alias, reason, as_json=as_json)


@app.command()
def canary(
    version: Annotated[str | None, typer.Argument(metavar="[NAME@VERSION]", help="Which version.")] = None,
    share: Annotated[
        float, typer.Option("--share", help="How many of the athletes, at most 0.5; always the same ones.")
    ] = 0.1,
    limits: Annotated[
        Path | None, typer.Option("--limits", help="How far it may fall behind (TOML).", exists=True, dir_okay=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Even if it has another skeleton. It is recorded.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Say how it does, and which workers run it.")] = False,
    end: Annotated[bool, typer.Option("--end", help="All athletes get what `production` means again.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="With --end: why.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Let a version measure a share of the athletes, beside `production`. Workers load it without a restart.

    It ends by itself where it falls behind the limits, and when `production` moves, to it or to another.
    """
    from frontfoot import canary as canaries

    if (version is not None) + status + end != 1 or (reason is not None and not end):
        raise typer.BadParameter("give NAME@VERSION, or --status, or --end: one of them; --reason goes with --end")
    if status:
        canaries.status(as_json=as_json)
    elif end:
        canaries.end(reason, as_json=as_json)
    else:
        canaries.begin(str(_ref(version or "")), share, limits, force=force, as_json=as_json)


@app.command()
def retire(version: VersionArgument, as_json: JsonOption = False) -> None:
    """Let nobody ask for this version any more. It stays readable, for the results that it made."""
    from frontfoot import models

    models.retire(str(_ref(version)), as_json=as_json)


def _ref(text: str) -> ModelRef:
    try:
        return ModelRef.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
