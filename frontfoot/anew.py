"""The commands that look at analyses that are there already: judged anew, and one athlete over time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from frontfoot.options import DirectionOption, HandednessOption, JsonOption, RulesOption, ViewOption
from models.requests import AnalysisOptions, AnalysisRequest, Audience, Mode

SourceArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="JOB|FOLDER|FILE",
        help="A job's id; or a folder that `analyze` or `results` wrote, or results in it; or a file of poses.",
    ),
]


def check(said: Mapping[str, object]) -> None:
    """Raises BadParameter for what nobody can be."""
    from pydantic import ValidationError

    try:
        AnalysisOptions.model_validate(said)
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
        raise typer.BadParameter(faults) from None


def rederive(
    source: SourceArgument = None,
    every: Annotated[bool, typer.Option("--all", help="Every job of the database that is done.")] = False,
    rules: RulesOption = None,
    mode: Annotated[Mode | None, typer.Option("--mode", help="Of a file of poses: what the athlete does.")] = None,
    view: ViewOption = None,
    height: Annotated[float | None, typer.Option("--height", help="Instead of what was said: metres.")] = None,
    slowmo: Annotated[float | None, typer.Option("--slowmo", help="Instead of what was said.")] = None,
    handedness: HandednessOption = None,
    direction: DirectionOption = None,
    audience: Annotated[Audience | None, typer.Option(help="Instead of what was asked for.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the new results and the differences; by default nothing is written.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge stored poses anew, by today's code and other rules, and say what changes. Nothing is inferred.

    JOB and --all read the database and the store that the settings name, and change nothing there. Without --rules each
    analysis is judged by the rules that it came with. Of a file of poses alone, our rules are compared with others.
    """
    from frontfoot import rederive as deriving

    given = {
        "height_m": height,
        "slowmo_factor": slowmo,
        "handedness": handedness,
        "direction": direction,
        "audience": audience,
    }
    said = {name: value for name, value in given.items() if value is not None}
    if every == (source is not None):
        raise typer.BadParameter("give a job, a folder or a file, or --all: one of them")
    path = None if source is None else Path(source)
    is_file = path is not None and path.exists()
    is_poses = is_file and path is not None and path.suffix != ".json" and not path.is_dir()
    if is_poses == (mode is None) or (view is not None and not is_poses):
        raise typer.BadParameter("--mode is for a file of poses, and required there; --view is for it alone")
    if said and not is_file:
        raise typer.BadParameter("of a job, what was said stays: height, slow motion, hand, direction, audience")
    check(said)
    with deriving.reported_errors(as_json=as_json):
        if path is None:
            deriving.show_all(deriving.everything(rules), out, as_json=as_json)
            return
        if mode is not None:
            request = AnalysisRequest(
                analysis_mode=mode, camera_view=view, options=AnalysisOptions.model_validate(said)
            )
            derived = deriving.poses_alone(path, request, rules)
        elif is_file:
            derived = deriving.folder(path, said, rules)
        else:
            derived = deriving.job(str(path), rules)
        deriving.show(derived, out, as_json=as_json)


def progress(
    results: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RESULT[@DATE] RESULT[@DATE] …",
            help="results.json of two sessions or more of one athlete, or the folders that hold them.",
            show_default=False,
        ),
    ] = None,
    player: Annotated[
        str | None, typer.Option(metavar="ID", help="Instead: the sessions of the server that name this player.")
    ] = None,
    mode: Annotated[Mode | None, typer.Option(help="Of a player: only this discipline.")] = None,
    limit: Annotated[int | None, typer.Option(help="Of a player: at most so many sessions.", min=2, max=100)] = None,
    as_json: JsonOption = False,
) -> None:
    """Follow each metric of one athlete over sessions, and say whether it changed by more than it may be off.

    In the order of the dates (such as nets/results.json@2026-05-31) where all have one, otherwise as they are named.
    Sessions are compared only where view, model, the athlete's side and frame rate are the same.
    """
    from frontfoot import over_time, remote

    if (player is None) == (not results):
        raise typer.BadParameter("name results, or a player of the server with --player")
    if player is None:
        if mode is not None or limit is not None:
            raise typer.BadParameter("--mode and --limit go with --player")
        over_time.show([over_time.given(text) for text in results or []], as_json=as_json)
        return
    with remote.reported_errors(as_json=as_json):
        followed = remote.player_progress(player, mode=mode, limit=limit)
    over_time.show_player(followed, as_json=as_json)
