"""The options that commands share, as Typer reads them, and the request that they make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from frontfoot.rules_option import RulesChoice, read_rules
from models.requests import AnalysisOptions, AnalysisRequest, Audience, Direction, Handedness, Mode, SubjectPoint, View


def _subject(text: str) -> SubjectPoint:
    """`X,Y@T` → a point on the athlete."""
    try:
        point, time_s = text.split("@")
        x, y = point.split(",")
        return SubjectPoint(x=float(x), y=float(y), time_s=float(time_s))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not X,Y@T: pixels and seconds, such as 1250,700@3.5") from None


def _positive(sample_fps: float | None) -> float | None:
    if sample_fps is not None and not sample_fps > 0:
        raise typer.BadParameter(f"{sample_fps:g} is not more than 0")
    return sample_fps


ClipArgument = Annotated[Path, typer.Argument(help="Video file.", exists=True, dir_okay=False, readable=True)]
MaybeClipArgument = Annotated[
    Path | None, typer.Argument(help="Video file.", exists=True, dir_okay=False, readable=True, show_default=False)
]
PosesOption = Annotated[
    Path | None,
    typer.Option(
        "--poses",
        help="Analyse poses that are there already instead of a clip: an .npz as `frontfoot poses` writes it, by any "
        "model (docs/poses.md). No stills, no overlay.",
        exists=True,
        dir_okay=False,
        readable=True,
    ),
]
ListPeopleOption = Annotated[
    bool,
    typer.Option("--list-people", help="Only list who is in the clip: a still and a --subject to copy for each."),
]
MaybeModeOption = Annotated[
    Mode | None, typer.Option("--mode", help="What the athlete does. Required, and never guessed.")
]
ModeOption = Annotated[Mode, typer.Option("--mode", help="What the athlete does. Never guessed.")]
ViewOption = Annotated[
    View | None,
    typer.Option("--view", help="Where the camera is: side = square of the pitch, front/behind = along it."),
]
HeightOption = Annotated[float | None, typer.Option("--height", help="The athlete's height in metres: allows m/s.")]
SlowmoOption = Annotated[
    float, typer.Option("--slowmo", help="Real frames a second = frames a second of the file × this.")
]
SubjectOption = Annotated[
    list[SubjectPoint],
    typer.Option("--subject", parser=_subject, metavar="X,Y@T", help="A point on the athlete: pixels, s; repeatable."),
]
HandednessOption = Annotated[Handedness | None, typer.Option(help="The bowling, batting or throwing hand.")]
DirectionOption = Annotated[
    Direction | None, typer.Option(help="To which side of the picture the athlete goes or looks; else it is estimated.")
]
AudienceOption = Annotated[Audience, typer.Option(help="Whose words the report uses.")]
SampleFpsOption = Annotated[
    float | None,
    typer.Option(
        "--sample-fps", callback=_positive, help="Infer at most so many frames a second; lowers what is measurable."
    ),
]
RulesOption = Annotated[
    RulesChoice | None,
    typer.Option("--rules", parser=read_rules, metavar="FILE|FOLDER", help="Rules of your own (TOML); else ours."),
]
FramesOption = Annotated[bool, typer.Option("--include-frames", help="List every frame's keypoints in the results.")]
QuickOption = Annotated[bool, typer.Option("--quick-only", help="The quick pass alone: 10 frames/s, no event metrics.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]
ModelOption = Annotated[str | None, typer.Option("--model", help="Catalogue name, or a weights file with --sha256.")]
ShaOption = Annotated[str | None, typer.Option("--sha256", help="Checksum that a weights file must have.")]
BackendOption = Annotated[
    Literal["auto", "torch", "openvino"] | None,
    typer.Option("--backend", help="What runs the model; auto: torch where there is a GPU, otherwise openvino."),
]
PrecisionOption = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"] | None,
    typer.Option("--precision", help="auto: the fastest that the processor has of its own."),
]


def require_one_source(clip: Path | None, poses: Path | None, **of_clips: object) -> None:
    """A clip or a file of poses, and with poses no option that says how a clip is to be looked at (`of_clips`)."""
    if (clip is None) == (poses is None):
        raise typer.BadParameter("give a video file, or --poses FILE: one of them")
    given = [f"--{name.replace('_', '-')}" for name, value in of_clips.items() if value]
    if poses is not None and given:
        raise typer.BadParameter(f"{', '.join(given)}: only of a clip, not of poses that are there already")


def request_of(
    mode: Mode,
    view: View | None,
    height: float | None,
    slowmo: float,
    subject: list[SubjectPoint],
    handedness: Handedness | None,
    direction: Direction | None,
    audience: Audience,
    rules: RulesChoice | None,
    sample_fps: float | None,
    include_frames: bool,
    quick_only: bool,
) -> AnalysisRequest:
    """What the options of `analyze` and `submit` ask for. Raises BadParameter with every fault."""
    from pydantic import ValidationError

    try:
        return AnalysisRequest(
            analysis_mode=mode,
            camera_view=view,
            sample_fps=sample_fps,
            include_frames=include_frames,
            deep_enabled=not quick_only,
            options=AnalysisOptions(
                height_m=height,
                slowmo_factor=slowmo,
                subject=tuple(subject),
                handedness=handedness,
                direction=direction,
                audience=audience,
                rules=None if rules is None else rules.asked,
            ),
        )
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
        raise typer.BadParameter(faults) from None
