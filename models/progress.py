"""One athlete over time: the same metric in several sessions, and whether it has changed.

Two sessions are compared only where the camera, the model, the athlete's side and the frame rate were the same: then
what every clip gets wrong in the same way drops out of the difference. Changed:
|Δ| > 2·√(rand₁²/n₁ + rand₂²/n₂ + setup²), where `setup` is what putting up the camera anew may add: 2° for an angle,
1 % of height for a length. For other units no such number is known; there the whole `sys` of both sessions stands in
for it, which can hide a change and never makes one up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from models.documents import Document, Metric, Number, Results, Status, Unit
from models.requests import Mode

SETUP: Mapping[Unit, float] = {"deg": 2.0, "pct_height": 1.0}
VIEW_DEG = 10.0
"""How far the camera may stand elsewhere."""
RATE_SHARE = 0.1
"""How far the real frame rates may lie apart."""

Verdict = Literal["changed", "unchanged", "not_comparable"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One analysis in a row of them."""

    label: str
    """What it is called: a file, a job."""
    date: str | None
    """ISO 8601, as far as anybody said."""
    results: Results


class PointDocument(Document):
    """The metric in one session; no value where it could not be measured there."""

    session: int
    """Its place among the sessions, from 0."""
    value: Number | str | None
    expected_error: Number | None
    n: int
    status: Status


class StepDocument(Document):
    """From one session to another."""

    before: int
    """The places of the two among the sessions."""
    after: int
    verdict: Verdict
    delta: Number | None
    """After - before, in the metric's unit; None where the two cannot be compared."""
    threshold: Number | None
    """The size that a change must exceed."""
    reasons: tuple[str, ...] = ()
    """Why they cannot be compared."""


class MetricProgress(Document):
    """One metric over all sessions."""

    metric: str
    label: str
    unit: Unit
    points: tuple[PointDocument, ...]
    steps: tuple[StepDocument, ...]
    """From each session that shows it to the next that does."""
    overall: StepDocument | None
    """From the first that shows it to the last; None where fewer than two do."""


class SessionDocument(Document):
    """One session, as far as comparing needs it."""

    label: str
    date: str | None
    view: str | None
    off_square_deg: Number | None
    real_fps: Number | None
    model: str
    handedness: str | None
    repetitions: int


class ProgressDocument(Document):
    """Everything that can be followed over these sessions."""

    mode: Mode
    sessions: tuple[SessionDocument, ...]
    metrics: tuple[MetricProgress, ...]
    """Those that a session or more could measure, in the order of the documents."""


def progress(sessions: Sequence[Session]) -> ProgressDocument:
    """Follow every metric over the sessions, in their order. One at least, all of one discipline, or ValueError."""
    modes = {session.results.mode for session in sessions}
    if len(modes) != 1:
        raise ValueError(f"progress is that of one discipline; here are {', '.join(sorted(modes)) or 'none'}")
    names = dict.fromkeys(name for session in sessions for name in session.results.metrics)
    followed = (_follow(name, sessions) for name in names)
    return ProgressDocument(
        mode=modes.pop(),
        sessions=tuple(_described(session) for session in sessions),
        metrics=tuple(metric for metric in followed if metric is not None),
    )


def _follow(name: str, sessions: Sequence[Session]) -> MetricProgress | None:
    """One metric over time; None where no session could measure it."""
    found = [session.results.metrics.get(name) for session in sessions]
    seen = [(place, metric) for place, metric in enumerate(found) if metric is not None and metric.value is not None]
    if not seen:
        return None
    shown, last = [place for place, _ in seen], seen[-1][1]

    def step(before: int, after: int) -> StepDocument:
        return _step(before, after, sessions, found)

    return MetricProgress(
        metric=name,
        label=last.label or name,
        unit=last.unit,
        points=tuple(_point(place, metric) for place, metric in enumerate(found) if metric is not None),
        steps=tuple(step(before, after) for before, after in pairwise(shown)),
        overall=step(shown[0], shown[-1]) if len(shown) > 1 else None,
    )


def _step(before: int, after: int, sessions: Sequence[Session], found: Sequence[Metric | None]) -> StepDocument:
    one, two = found[before], found[after]
    reasons = differences(sessions[before].results, sessions[after].results)
    threshold = None
    if one is None or two is None or one.unit != two.unit:
        reasons = (*reasons, "the metric is in another unit")
    elif one.unit == "class":
        reasons = (*reasons, "a class has no size that could change")
    else:
        threshold = change_threshold(one, two)
        reasons = reasons if threshold is not None else (*reasons, "how far it may be off is not known")
    first, second = None if one is None else one.value, None if two is None else two.value
    if reasons or threshold is None or not isinstance(first, float) or not isinstance(second, float):
        return StepDocument(
            before=before, after=after, verdict="not_comparable", delta=None, threshold=None, reasons=reasons
        )
    delta = second - first
    return StepDocument(
        before=before,
        after=after,
        verdict="changed" if abs(delta) > threshold else "unchanged",
        delta=round(delta, 3) + 0.0,  # + 0.0 turns -0.0 into 0.0
        threshold=round(threshold, 3),
    )


def change_threshold(one: Metric, two: Metric) -> float | None:
    """2·√(rand₁²/n₁ + rand₂²/n₂ + setup²) in the metrics' unit; None where an error is not known."""
    if one.rand is None or two.rand is None or not one.n or not two.n:
        return None
    setup = SETUP.get(one.unit)
    if setup is None:
        if one.sys is None or two.sys is None:
            return None
        setup = math.hypot(one.sys, two.sys)
    return 2 * math.sqrt(one.rand**2 / one.n + two.rand**2 / two.n + setup**2)


def differences(one: Results, two: Results) -> tuple[str, ...]:
    """Why two sessions cannot be compared: view, model, side and rate; nothing where they can."""
    reasons = []
    views = {one.view.value, two.view.value}
    if len(views) > 1 or None in views:
        reasons.append(f"the camera's view differs or is not known ({_or_unknown(one)}, {_or_unknown(two)})")
    elif _apart(one.off_square_deg, two.off_square_deg) > VIEW_DEG:
        reasons.append(f"the camera stood {_apart(one.off_square_deg, two.off_square_deg):.0f}° elsewhere")
    if (one.model.name, one.model.sha256) != (two.model.name, two.model.sha256):
        reasons.append(f"the pose models differ ({one.model.name}, {two.model.name})")
    if one.stage != two.stage:
        reasons.append("one is of the quick pass alone")
    hands = {_hand(one), _hand(two)} - {None}
    if len(hands) > 1:
        reasons.append("the athlete's sides differ (left, right)")
    if one.real_fps is None or two.real_fps is None:
        reasons.append("the real frame rate is not known: an older version measured; derive it anew")
    elif not 1 / (1 + RATE_SHARE) <= one.real_fps / two.real_fps <= 1 + RATE_SHARE:
        reasons.append(f"the real frame rates differ ({one.real_fps:.4g}, {two.real_fps:.4g} a second)")
    return tuple(reasons)


def _apart(one: float | None, two: float | None) -> float:
    """Degrees between two cameras; 0 where one of them is not known: the view itself is all that is known then.

    Which way a camera is off square is not known either, so two on different sides of square seem nearer than they are.
    """
    return 0.0 if one is None or two is None else abs(one - two)


def _or_unknown(results: Results) -> str:
    return results.view.value or "unknown"


def _hand(results: Results) -> str | None:
    return None if results.options is None else results.options.handedness


def _point(place: int, metric: Metric) -> PointDocument:
    return PointDocument(
        session=place, value=metric.value, expected_error=metric.expected_error, n=metric.n, status=metric.status
    )


def _described(session: Session) -> SessionDocument:
    results = session.results
    return SessionDocument(
        label=session.label,
        date=session.date,
        view=results.view.value,
        off_square_deg=results.off_square_deg,
        real_fps=results.real_fps,
        model=results.model.name,
        handedness=_hand(results),
        repetitions=len(results.repetitions),
    )
