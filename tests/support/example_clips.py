"""Two clips as a coach meets them, number by number, and the reports that they give.

The reports lie in tests/data/reports, so that a change of words is seen as a reader would see it. After such a change:
`PYTHONPATH=. python tests/support/example_clips.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from models.documents import Event, Evidence, Repetition, SubjectDocument, TimeSpan, ViewDocument
from models.requests import AnalysisOptions, Audience, Mode
from pipeline.biomechanics.gates import Verdict, judge_rate, judge_view, refused, worst
from pipeline.biomechanics.measure import ROOMS
from pipeline.biomechanics.readings import Found, Outcome, Reading, Spec, to_metric, to_repetition
from pipeline.biomechanics.recording import few_frames
from pipeline.coaching.findings import generate_findings
from pipeline.coaching.report import generate_report_text
from pipeline.measurements import Measurements, RecordingIssue

FOLDER = Path(__file__).resolve().parent.parent / "data" / "reports"
UNSEEN = refused("the keypoints that it needs were not seen at the moment", "Keep the whole athlete unobstructed.")
Numbers = Mapping[str, tuple[float, float, tuple[float | None, ...]]]
"""By metric: sys, rand, and the number in each repetition, None where it was not seen."""

# Six deliveries from behind the net at 30 frames a second: the head falls away in five of them.
BOWLING: Numbers = {
    "head_sideways_contact": (3.0, 0.6, (17.2, 18.4, 16.1, 17.9, 10.8, 19.3)),
    "foot_line_offset": (2.8, 0.5, (1.9, 2.3, 2.1, 1.5, 2.6, 2.0)),
    "trunk_lateral_flexion_release": (4.8, 0.7, (22.0, 25.4, 21.1, 24.2, 17.9, 26.0)),
}
# Five shots from the side at 60 frames a second: the head stays back, and in one the front foot was hidden.
BATTING: Numbers = {
    "head_forward_plant": (2.5, 0.6, (-11.2, -9.4, None, -12.1, -10.3)),
    "head_forward_impact": (2.5, 0.6, (-6.0, -5.1, -7.2, -6.6, -4.9)),
    "head_steadiness": (1.0, 0.2, (2.1, 2.6, None, 1.9, 2.4)),
    "front_knee_angle_impact": (8.1, 1.2, (138.0, 141.5, 135.2, 139.9, 137.1)),
    "base_width": (3.1, 0.4, (31.0, 31.6, 30.2, 31.9, 30.8)),
    "plant_before_impact": (0.022, 0.014, (0.18, 0.2, None, 0.17, 0.19)),
}
BEHIND = ViewDocument(value="behind", source="caller", confidence=1.0)
SIDE = ViewDocument(value="side", source="caller", confidence=1.0)
WALKING = frozenset({"cadence", "step_length", "travel_speed", "trunk_lean"})


def bowling_from_behind(audience: Audience = "player") -> tuple[Measurements, SubjectDocument]:
    """30 frames a second, as a parent films through the net."""
    slow = (few_frames("bowling", 30.0),)
    return _clip(BEHIND, 30.0, BOWLING, mode="bowling", audience=audience, count=6, issues=slow), _subject(2)


def batting_from_the_side(audience: Audience = "player") -> tuple[Measurements, SubjectDocument]:
    """60 frames a second, from square leg."""
    return _clip(SIDE, 60.0, BATTING, mode="batting", audience=audience, count=5), _subject(1)


def reports() -> dict[str, str]:
    """File name → text."""
    return {
        "bowling-behind-30-player.md": _written(*bowling_from_behind()),
        "batting-side-60-analyst.md": _written(*batting_from_the_side("analyst")),
    }


def _written(measurements: Measurements, subject: SubjectDocument) -> str:
    return generate_report_text(measurements, generate_findings(measurements), subject).text


def _subject(people: int) -> SubjectDocument:
    return SubjectDocument(
        source="automatic", confidence=0.9, people=people, visible_share=0.97, box=(600, 200, 760, 620), time_s=1.5
    )


def _clip(view: ViewDocument, fps: float, numbers: Numbers, *, mode: Mode, audience: Audience, count: int,
          issues: tuple[RecordingIssue, ...] = ()) -> Measurements:  # fmt: skip
    """The numbers as the biomechanics would hand them on, behind its own gates of view and rate."""
    specs = [spec for spec in ROOMS[mode][0] if spec.id not in WALKING]
    gates = {spec.id: _gate(spec, view, fps) for spec in specs}
    found = [
        Found(
            start_s=8.0 * i,
            end_s=8.0 * i + 4,
            events={"front_foot_contact": Event(time_s=8.0 * i + 2, half_width_s=0.03)},
            outcomes={name: _outcome(8.0 * i + 2, fps, one, i) for name, one in numbers.items()},
        )
        for i in range(count)
    ]
    metrics = {
        spec.id: to_metric(spec, gates[spec.id], [f.outcomes[spec.id] for f in found if spec.id in f.outcomes], UNSEEN)
        for spec in specs
    }
    repetitions: tuple[Repetition, ...] = tuple(to_repetition(i, one, specs, gates) for i, one in enumerate(found))
    return Measurements(
        mode=mode, stage="deep", view=view, options=AnalysisOptions(audience=audience), metrics=metrics,
        repetitions=repetitions, signals=(), recording=issues, real_fps=fps, visible_share=0.93,
    )  # fmt: skip


def _gate(spec: Spec, view: ViewDocument, fps: float) -> Verdict:
    if spec.not_built is not None:
        return refused(spec.not_built)
    return worst(judge_view(spec.view, view, None), judge_rate(spec.rate, fps))


def _outcome(time_s: float, fps: float, one: tuple[float, float, tuple[float | None, ...]], place: int) -> Outcome:
    sys, rand, values = one
    value = values[place]
    if value is None:
        return UNSEEN
    evidence = Evidence(
        spans=(TimeSpan(start_s=time_s, end_s=time_s + 0.2),), frames=(round(time_s * fps),), times_s=(time_s,)
    )
    return Reading(value=value, sys=sys, rand=rand, evidence=evidence)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in reports().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
