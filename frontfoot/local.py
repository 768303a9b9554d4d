"""What `frontfoot analyze` and `frontfoot poses` do: one clip (or its poses), one process."""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markdown import Markdown

from frontfoot import exits, logs, wiring
from frontfoot.progress import progress_bar
from frontfoot.settings import Settings
from inference.errors import BackendUnavailable, InferenceError, ModelUnknown, WeightsRejected
from inference.extract import Extraction, ExtractRequest, load_extractor
from inference.given_poses import read_poses
from inference.poses_io import write_npz
from inference.sources import LocalClip
from inference.tracking import SubjectHint
from models.errors import StoreError
from models.requests import AnalysisRequest, SubjectPoint
from pipeline.results import json_bytes
from pipeline.run import Analysis, run_given_poses, run_pose_metrics_findings_report


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelChoice:
    """What the command line says about the model; None leaves it to the settings."""

    model: str | None
    sha256: str | None
    backend: str | None
    precision: str | None

    def apply(self, settings: Settings) -> Settings:
        """Settings with the choice in force."""
        chosen = {
            key: value
            for key, value in {
                "model": self.model,
                "model_sha256": self.sha256,
                "backend": self.backend,
                "precision": self.precision,
            }.items()
            if value is not None
        }
        return Settings(**{**settings.model_dump(), **chosen})


@contextmanager
def reported_errors(*, as_json: bool) -> Iterator[None]:
    """Turn an error into one clear line (or JSON object) with its code, and an exit code."""
    logs.configure("WARNING", stream=sys.stderr)
    try:
        yield
    except InferenceError as error:
        failure, code, message = _exit_code(error), error.code, error.message
    except StoreError as error:  # of the model catalogue
        code, message = error.code, error.message
        failure = exits.ERROR if error.transient else exits.USAGE
    except OSError as error:
        failure, code, message = exits.ERROR, "io_error", str(error)
    else:
        return
    if as_json:
        typer.echo(json.dumps({"error": {"code": code, "message": message}}))
    else:
        typer.secho(f"{code}: {message}", fg="red", err=True)
    raise typer.Exit(failure)


def _exit_code(error: InferenceError) -> int:
    """Who can mend it: whoever chose the model, whoever filmed the clip, or we."""
    if isinstance(error, ModelUnknown | WeightsRejected | BackendUnavailable):
        return exits.USAGE
    return exits.ERROR if error.transient else exits.BAD_CLIP


def analyze(clip: Path, request: AnalysisRequest, out: Path, choice: ModelChoice, *, as_json: bool) -> None:
    """Run the whole analysis, write its files into `out` and print the report."""
    settings = choice.apply(Settings())
    out.mkdir(parents=True, exist_ok=True)
    extractor = load_extractor(wiring.extractor_options(settings))
    try:
        with progress_bar() as bar:
            task = bar.add_task("poses", total=1.0)
            analysis = run_pose_metrics_findings_report(
                LocalClip(path=clip),
                request,
                extractor=extractor,
                limits=wiring.limits(settings),
                on_progress=lambda stage, what, share: bar.update(
                    task, description=f"{stage}: {what}", completed=share
                ),
            )
    finally:
        extractor.close()
    _finish(analysis, out, as_json=as_json)


def analyze_poses(path: Path, request: AnalysisRequest, out: Path, *, as_json: bool) -> None:
    """Run everything after the extraction on a file of poses, write the files into `out` and print the report."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    analysis = run_given_poses(read_poses(path), sha256, request, limits=wiring.limits(Settings()))
    out.mkdir(parents=True, exist_ok=True)
    _finish(analysis, out, as_json=as_json)


def _finish(analysis: Analysis, out: Path, *, as_json: bool) -> None:
    written = _write(analysis, out)
    results = analysis.final.results
    if as_json:
        typer.echo(results.model_dump_json())
        return
    Console().print(Markdown(results.report.text))
    typer.echo("\n" + "\n".join(f"wrote {path}" for path in written))


def poses(
    clip: Path,
    out: Path,
    subject: tuple[SubjectPoint, ...],
    choice: ModelChoice,
    *,
    every_frame: bool,
    sample_fps: float | None,
    as_json: bool,
) -> None:
    """Extract poses alone, write them to `out` (.npz) and say how fast decoding and inference went."""
    settings = choice.apply(Settings())
    request = ExtractRequest(
        sample_fps=sample_fps if sample_fps or every_frame else 60.0,
        subject=tuple(SubjectHint(x=point.x, y=point.y, time_s=point.time_s) for point in subject),
        limits=wiring.limits(settings).video,
    )
    extractor = load_extractor(wiring.extractor_options(settings))
    try:
        with progress_bar() as bar:
            task = bar.add_task("poses", total=1.0)
            started = time.perf_counter()
            extraction = extractor.extract(clip, request, on_progress=lambda share: bar.update(task, completed=share))
            extract_s = time.perf_counter() - started
    finally:
        extractor.close()
    out.parent.mkdir(parents=True, exist_ok=True)
    write_npz(out, extraction.poses)
    summary = _summary(extraction, extract_s)
    if as_json:
        typer.echo(json.dumps(summary))
    else:
        typer.echo(
            f"{summary['poses']} poses in {summary['frames']} frames, {summary['fps']:.1f} frames/s "
            f"({summary['backend']} {summary['precision']}) → {out}"
        )


def _summary(extraction: Extraction, extract_s: float) -> dict[str, Any]:
    frames = extraction.receipt.inferred
    model = extraction.poses.model
    receipt = asdict(extraction.receipt)
    receipt["skipped"] = dict(extraction.receipt.skipped)
    # A single frame has no rate, and JSON no NaN.
    receipt["fps_measured"] = _number(extraction.receipt.fps_measured)
    return {
        "frames": frames,
        "poses": int(extraction.poses.seen.sum()),
        "extract_s": extract_s,
        "fps": frames / extract_s,
        "clip_fps": _number(extraction.clip.fps),
        "model": model.name,
        "backend": model.backend,
        "precision": model.precision,
        "receipt": receipt,
    }


def _number(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _write(analysis: Analysis, out: Path) -> list[Path]:
    """All files by name; results.json is the last stage's."""
    final = analysis.final.results
    contents = {
        "results.json": json_bytes(final),
        **analysis.files,
    }
    for name, content in contents.items():
        (out / name).write_bytes(content)
    return [out / name for name in sorted(contents)]
