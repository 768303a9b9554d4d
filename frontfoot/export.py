"""What `frontfoot export` does: the folder of an analysis, or a file of poses → files for other tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer
from pydantic import ValidationError

from inference.given_poses import read_poses
from models.documents import Results
from models.requests import AnalysisOptions
from pipeline.exports.analysis import exportable
from pipeline.exports.write import FORMATS, Format, write_exports

RESULTS = ("results.json", "deep_results.json", "quick_results.json")
"""In which of them the poses of a folder were judged: the first that is there."""
POSES = "poses.parquet"


def formats(text: str) -> tuple[Format, ...]:
    """`csv,trc` → what is wanted. Raises BadParameter."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in FORMATS]
    if unknown or not words:
        raise typer.BadParameter(f"{', '.join(unknown) or text!r} is none of {', '.join(FORMATS)}")
    return tuple(known for known in FORMATS if known in words)


def export(
    source: Path,
    wanted: Sequence[Format],
    out: Path,
    *,
    height: float | None,
    slowmo: float | None,
    as_json: bool,
) -> None:
    """Export what `analyze`, `results` or `poses` wrote, and print the files."""
    results = _results(source) if source.is_dir() else None
    options = _options(results, height, slowmo)
    analysis = exportable(read_poses(source / POSES if source.is_dir() else source), results, options)
    out.mkdir(parents=True, exist_ok=True)
    written = write_exports(analysis, wanted, out)
    if as_json:
        typer.echo(json.dumps({"files": [str(path) for path in written]}))
        return
    typer.echo("\n".join(f"wrote {path}" for path in written))
    if results is None and {"csv", "parquet"} & set(wanted):
        typer.echo("poses alone: signals, metrics and events come with the folder of an analysis", err=True)


def _results(folder: Path) -> Results:
    for name in RESULTS:
        if (folder / name).is_file():
            try:
                return Results.model_validate_json((folder / name).read_bytes())
            except ValidationError as error:
                raise typer.BadParameter(f"{folder / name} is no results document of this version") from error
    raise typer.BadParameter(f"{folder} holds none of {', '.join(RESULTS)}")


def _options(results: Results | None, height: float | None, slowmo: float | None) -> AnalysisOptions:
    """Those of the analysis; where it does not say, those of the command line."""
    if results is not None and results.options is not None:
        if height is not None or slowmo is not None:
            raise typer.BadParameter("the analysis has its own --height and --slowmo")
        return results.options
    try:
        return AnalysisOptions(height_m=height, slowmo_factor=1.0 if slowmo is None else slowmo)
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
        raise typer.BadParameter(faults) from None
