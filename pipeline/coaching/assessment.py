"""The report's first paragraph: what could be judged, what matters most in it, and what is missing."""

from __future__ import annotations

from models.documents import Coverage, Finding, Findings, SubjectDocument
from pipeline.biomechanics.filming import choose_clip
from pipeline.biomechanics.gates import ADVISED_FPS
from pipeline.biomechanics.measure import ROOMS
from pipeline.biomechanics.metrics.common import described_ids
from pipeline.coaching.quantities import measured, varied
from pipeline.coaching.repeatable import most_repeatable
from pipeline.coaching.sentences import Line, follow, speak
from pipeline.coaching.speaker import Speaker

MOST_SHOWN = 4
"""Numbers in the assessment of a clip that could not be judged; all of them are in the list."""


MOST_NAMED = 4
"""Measures that the assessment names as not judged before it counts the rest; all of them are in the list."""


CLOSE_CALL = 0.6
"""Below this confidence in the choice of the athlete, the report says that it was close."""


def assess(speaker: Speaker, findings: Findings, subject: SubjectDocument) -> tuple[Line, tuple[str, ...]]:
    """The paragraph, and the ids of the metrics that it judges or describes.

    It follows a colon in the report's text, where its first letter is in lower case.
    """
    close = speak("recording", speaker.words.assessment.close_call) if is_close_call(subject) else ()
    if findings.basis == "insufficient":
        numbers = (name for name in with_value(speaker) if not isinstance(speaker.metric(name).value, str))
        shown = tuple(numbers)[:MOST_SHOWN]
        return _insufficient(speaker, findings.coverage, shown, close), shown
    lines = [
        _judged(speaker, findings.compared),
        close,
        *_main(speaker, findings),
        _repeatable(speaker, findings),
        _partial(speaker, findings),
        *_not_judged(speaker),
    ]
    return follow(lines), findings.compared


def with_value(speaker: Speaker) -> tuple[str, ...]:
    """Ids of the metrics that have a number or a class."""
    return tuple(name for name, metric in speaker.measurements.metrics.items() if metric.value is not None)


def is_close_call(subject: SubjectDocument) -> bool:
    """Whether somebody else might as well have been followed."""
    return subject.source == "automatic" and subject.confidence < CLOSE_CALL


def faults_of(findings: Findings) -> tuple[Finding, ...]:
    """What there is to work on, the worst first as the findings have it."""
    return tuple(finding for finding in findings.findings if finding.type not in ("strength", "recording"))


def _own(speaker: Speaker) -> tuple[str, ...]:
    """The mode's own metrics, of which coverage speaks."""
    described = described_ids(speaker.measurements.mode)
    return tuple(name for name in speaker.measurements.metrics if name not in described)


def _judged(speaker: Speaker, compared: tuple[str, ...]) -> Line:
    """From how many repetitions what was judged; what was measured in some of them only says in how many."""
    said, found = speaker.words.assessment, len(speaker.measurements.repetitions)
    if not found:
        return speaker.fact(said.judged_quick.format(labels=speaker.labels(compared)), compared)
    labels = []
    for name in compared:
        label, count = speaker.label(name), len(speaker.readings(name))
        labels.append(label if count in (0, found) else said.judged_in.format(label=label, k=count, n=found))
    text = said.judged.format(repetitions=speaker.repetitions(found), labels=speaker.words.listed(tuple(labels)))
    once = said.once.format(one=speaker.words.mode[speaker.measurements.mode].one) if found == 1 else ""
    return follow([speaker.over_repetitions(text, compared), speak("method", once)])


def _main(speaker: Speaker, findings: Findings) -> list[Line]:
    """The first thing to work on with its number; or that nothing went past a mark, and what came near."""
    said, faults = speaker.words.assessment, faults_of(findings)
    if faults:
        return [speaker.fact(_first(faults[0], speaker), (metric_of(faults[0]),), of=faults[0])]
    if not findings.watches:
        return [speaker.fact(said.within, findings.compared)]
    near = findings.watches[0]
    return [speaker.fact(said.watch.format(label=speaker.label(near.metric)), (near.metric,), of=near)]


def _first(fault: Finding, speaker: Speaker) -> str:
    """`First thing to work on: Head falls away (likely). We measured: 17 ± 3 % of your height to your left.`"""
    said, words, name = speaker.words.assessment, speaker.words, metric_of(fault)
    metric = speaker.metric(name)
    number = varied(metric, words) if fault.type == "consistency" else measured(name, metric, words)
    return said.main.format(title=fault.title, claim=words.claim[fault.claim or "likely"], measured=number)


def _repeatable(speaker: Speaker, findings: Findings) -> Line:
    """What repeats best over the repetitions, where one metric stands out."""
    said = speaker.words.assessment
    metrics = speaker.measurements.metrics
    in_each = tuple(name for name in findings.compared if len(speaker.readings(name)) == metrics[name].n)
    best = most_repeatable(in_each, metrics)
    if best is None:
        return ()
    label, one = speaker.label(best), speaker.words.mode[speaker.measurements.mode].one
    if metrics[best].status == "degraded":
        label = said.less_certain.format(label=label)
    told = varied(metrics[best], speaker.words)
    text = said.repeatable if told else said.steady
    return speaker.fact(text.format(label=label, varied=told, one=one), (best,))


def _partial(speaker: Speaker, findings: Findings) -> Line:
    """How much of the mode's own metrics came out, where that is but a part."""
    if findings.basis != "partial":
        return ()
    coverage = findings.coverage
    text = speaker.words.assessment.partial.format(measured=coverage.measured, applicable=coverage.applicable)
    return speaker.fact(text, _own(speaker))


def _not_judged(speaker: Speaker) -> list[Line]:
    """What this recording's view or rate forbids, as far as one other clip could add it, and that clip."""
    measurements, words = speaker.measurements, speaker.words
    if measurements.stage == "quick":  # its rate is its own choice, and the deep pass measures more
        return []
    missing = [
        spec
        for spec in ROOMS[measurements.mode][0]
        if spec.id in measurements.metrics and measurements.metrics[spec.id].value is None
    ]
    clip = choose_clip(missing, measurements.view, measurements.real_fps)
    if clip is None:
        return []
    labels = speaker.labels(clip.adds, MOST_NAMED)
    return [
        speaker.fact(words.assessment.not_judged.format(labels=labels), clip.adds),
        speaker.advice(words.assessment.one_clip.format(where=words.filming[clip.view], fps=ADVISED_FPS), clip.adds),
    ]


def _insufficient(speaker: Speaker, coverage: Coverage, shown: tuple[str, ...], close: Line) -> Line:
    """Why nothing was judged, what was seen all the same, and where to read on."""
    words, measurements = speaker.words, speaker.measurements
    said, mode = words.assessment, words.mode[measurements.mode]
    lines = [speak("recording", said.insufficient.format(activity=mode.activity)), close]
    if measurements.repetitions:
        found = speaker.repetitions(len(measurements.repetitions))
        lines.append(speaker.over_repetitions(said.not_comparable.format(repetitions=found), _own(speaker)))
    elif measurements.stage == "quick":
        lines.append(speak("recording", said.quick))
    else:
        lines.append(speak("recording", said.no_repetition.format(one=mode.one)))
    if measurements.stage == "deep":  # the quick pass has not tried most of them
        text = said.coverage.format(measured=coverage.measured, applicable=coverage.applicable)
        lines.append(speaker.fact(text, _own(speaker)))
    if shown:
        numbers = [f"{speaker.label(name)} {measured(name, speaker.metric(name), words)}" for name in shown]
        lines.append(speaker.fact(said.described.format(numbers=words.listed(tuple(numbers))), shown))
        lines.append(speak("method", said.no_score))
    if measurements.stage == "deep" and any(metric.advice for metric in measurements.metrics.values()):
        lines.append(speaker.advice(said.film_again))
    return follow(lines)


def metric_of(finding: Finding) -> str:
    """The metric behind a finding. Raises `ValueError` for a claim without one."""
    if finding.metric is None or finding.claim is None:
        raise ValueError(f"finding {finding.id} has no metric or no claim behind it")
    return finding.metric
