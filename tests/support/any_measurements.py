"""Measurements at random: any mode, view, stage and audience, any mixture of what was measured and what was not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from models.documents import Evidence, Metric, Repetition, SubjectDocument, TimeSpan, ViewDocument
from models.requests import AnalysisOptions
from pipeline.biomechanics.gates import Verdict, judge_rate, judge_view
from pipeline.biomechanics.measure import ROOMS
from pipeline.biomechanics.readings import Spec
from pipeline.biomechanics.recording import few_frames
from pipeline.coaching.rules import load_rules
from pipeline.measurements import Measurements, RecordingIssue

MODES = tuple(ROOMS)
CLASSES = ("flexor", "flexor-extender", "extender", "constant brace", "between classes")
ISSUES = (
    RecordingIssue(id="CAMERA_MOVES", text="The camera seems to move: feet that should stand slide.",
                   advice="Put the camera on a tripod."),
    RecordingIssue(id="LITTLE_SEEN", text="The athlete was seen well enough to measure in 20 % of the frames.",
                   advice="Keep the whole athlete in the picture."),
)  # fmt: skip
UNSEEN = Verdict(
    status="not_measurable",
    reason="the keypoints that it needs were not seen at release",
    advice="Keep the whole athlete unobstructed.",
)


def all_measurements(count: int) -> Iterator[tuple[Measurements, SubjectDocument]]:
    """`count` of them, always the same ones."""
    for seed in range(count):
        yield any_measurements(seed)


def any_measurements(seed: int) -> tuple[Measurements, SubjectDocument]:
    """One clip's outcome, and whom it followed."""
    rng = np.random.default_rng(seed)
    mode = MODES[seed % len(MODES)]
    value = [None, "side", "front", "behind", "other"][rng.choice(5, p=[0.1, 0.35, 0.2, 0.25, 0.1])]
    view = ViewDocument(value=value, source="caller" if value else "unknown", confidence=1.0 if value else 0.0)
    fps = float(rng.choice([24.0, 30.0, 60.0, 120.0]))
    stage = "quick" if rng.random() < 0.15 else "deep"
    count = 0 if stage == "quick" or rng.random() < 0.15 else int(rng.integers(1, 9))
    metrics: dict[str, Metric] = {}
    repeated: list[dict[str, Metric]] = [{} for _ in range(count)]
    for spec in ROOMS[mode][0]:
        metrics[spec.id], ones = _metric(rng, spec, view, fps, count)
        for repetition, one in zip(repeated, ones, strict=True):
            if one is not None:
                repetition[spec.id] = one
    measurements = Measurements(
        mode=mode,
        stage=stage,
        view=view,
        options=AnalysisOptions(audience="player" if rng.random() < 0.5 else "analyst"),
        metrics=metrics,
        repetitions=tuple(
            Repetition(index=i, start_s=10.0 * i, end_s=10.0 * i + 4, metrics=own) for i, own in enumerate(repeated)
        ),
        signals=(),
        recording=tuple(issue for issue in (few_frames(mode, 30.0), *ISSUES) if rng.random() < 0.3),
        real_fps=fps,
        visible_share=round(float(rng.uniform(0.2, 1)), 3),
    )
    subject = SubjectDocument(
        source="automatic", confidence=round(float(rng.uniform(0.2, 1)), 2), people=int(rng.integers(1, 4)),
        visible_share=0.9, box=(10.0, 20.0, 60.0, 220.0), time_s=1.5,
    )  # fmt: skip
    return measurements, subject


def _metric(
    rng: np.random.Generator, spec: Spec, view: ViewDocument, fps: float, count: int
) -> tuple[Metric, list[Metric | None]]:
    """The clip's metric and those of its repetitions."""
    known = {"unit": spec.unit, "label": spec.label, "method": spec.method, "source": spec.source}
    gates = (judge_view(spec.view, view, None), judge_rate(spec.rate, fps))
    refusals = [gate for gate in gates if gate.status == "not_measurable"]
    if spec.not_built:
        refusals = [Verdict(status="not_measurable", reason=spec.not_built)]
    if not refusals and rng.random() < 0.2:
        refusals = [UNSEEN]
    if refusals:
        why = refusals[0]
        missing = Metric(value=None, status="not_measurable", reason=why.reason, advice=why.advice, **known)
        return missing, [None] * count
    worst = next((gate for gate in gates if gate.status == "degraded"), None)
    grade = {"status": worst.status if worst else "measurable", "reason": worst.reason if worst else None}
    sys, rand = (round(float(part), 3) for part in rng.uniform(0.05, 1.0, 2) * _size(spec) * 0.3)
    seen = [i for i in range(count) if rng.random() < 0.8] if rng.random() < 0.3 else list(range(count))
    seen = seen or list(range(min(count, 1)))
    values = rng.normal(_middle(rng, spec), rng.uniform(0.1, 2) * rand, max(len(seen), 1)).round(3)
    classes = spec.unit == "class"
    ones: list[Metric | None] = [None] * count
    for place, i in enumerate(seen):
        value = str(rng.choice(CLASSES)) if classes else float(values[place])
        ones[i] = Metric(
            value=value, n=1, sys=sys, rand=rand, expected_error=round(float(np.hypot(sys, rand)), 3),
            evidence=_evidence(10.0 * i), **grade, **known,
        )  # fmt: skip
    n = max(len(seen), 1)
    spans = tuple(span for one in ones if one for span in one.evidence.spans) or _evidence(0.0).spans
    evidence = Evidence(
        spans=spans,
        frames=tuple(frame for one in ones if one for frame in one.evidence.frames) or (40,),
        times_s=tuple(time for one in ones if one for time in one.evidence.times_s) or (1.333,),
    )
    whole = Metric(
        value=str(rng.choice(CLASSES)) if classes else round(float(values.mean()), 3),
        n=n, sys=sys, rand=rand, expected_error=round(float(np.sqrt(sys**2 + rand**2 / n)), 3),
        spread=round(float(values.std(ddof=1)), 3) if n > 1 and not classes else None,
        evidence=evidence, **grade, **known,
    )  # fmt: skip
    return whole, ones


def _size(spec: Spec) -> float:
    """How large its numbers are."""
    return {"deg": 15.0, "ratio": 0.3, "s": 0.1, "m_per_s": 3.0}.get(spec.unit, 12.0)


def _middle(rng: np.random.Generator, spec: Spec) -> float:
    """Around the mark of a rule of that metric, if there is one."""
    marks = [rule.finding for rules in load_rules().rules.values() for rule in rules
             if rule.metric == spec.id and rule.comparison == "external"]  # fmt: skip
    return float(rng.choice(marks or [2 * _size(spec)]) + rng.normal(0, 0.5) * _size(spec))


def _evidence(start_s: float) -> Evidence:
    """A span and a frame of a clip of 30 frames a second."""
    time = round(start_s + 4 / 3, 3)
    return Evidence(
        spans=(TimeSpan(start_s=start_s + 1, end_s=start_s + 2),), frames=(round(time * 30),), times_s=(time,)
    )
