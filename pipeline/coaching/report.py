"""Measurements and findings as a text that a coach reads. No sentence states a fact without a metric behind it."""

from __future__ import annotations

from models.documents import Coverage, Finding, Findings, Report, ReportSection, SubjectDocument
from pipeline.coaching.compare import own_spread
from pipeline.coaching.quantities import digits, measured, spread
from pipeline.coaching.words import Words, load_words
from pipeline.measurements import NO_VIDEO, Measurements

MOST_PRIORITIES = 3

MOST_SHOWN = 4
"""Numbers in the assessment of a clip that could not be judged; all of them are in the list."""

CLOSE_CALL = 0.6
"""Below this confidence in the choice of the athlete, the report says that it was close."""

OPENING = "**Overall Assessment**: "
"""The contract's first words, whatever the audience."""


def generate_report_text(measurements: Measurements, findings: Findings, subject: SubjectDocument) -> Report:
    """Write the report for the audience that the options name; the same input gives the same bytes.

    Sections that would be empty are left out: strengths, priorities, watches, what was not measured. Section texts are
    Markdown without their headings; `text` is all of them, the assessment first and without a heading.
    """
    words = load_words(measurements.options.audience)
    sections = [
        _assessment(measurements, findings, words),
        _strengths(findings, words),
        _priorities(measurements, findings, words),
        _watches(findings, words),
        _measured(measurements, words),
        _not_measured(measurements, words),
        _recording(measurements, findings, subject, words),
        _method(measurements, findings, words),
    ]
    written = tuple(section for section in sections if section.text)
    first, *others = written
    text = OPENING + first.text[0].lower() + first.text[1:]
    return Report(
        text="\n\n".join([text, *(f"## {section.title}\n\n{section.text}" for section in others)]) + "\n",
        sections=written,
    )


def _assessment(measurements: Measurements, findings: Findings, words: Words) -> ReportSection:
    """The first paragraph: what could be judged, and what matters most in it."""
    said = words.assessment
    if findings.basis == "insufficient":
        used = _with_value(measurements)[:MOST_SHOWN]
        parts = _insufficient(measurements, findings.coverage, used, words)
    else:
        used = findings.compared
        labels = _labels(used, measurements, words)
        if measurements.repetitions:
            repetitions = words.counted(measurements.mode, len(measurements.repetitions))
            parts = [said.judged.format(repetitions=repetitions, labels=labels)]
        else:
            parts = [said.judged_quick.format(labels=labels)]
        faults = _faults(findings)
        if faults:
            parts.append(said.main.format(title=faults[0].title))
        else:
            parts.append(said.watch if findings.watches else said.within)
        if findings.basis == "partial":
            coverage = findings.coverage
            parts.append(said.partial.format(measured=coverage.measured, applicable=coverage.applicable))
    text = " ".join(parts)
    return _section("assessment", _capital(text), used, words)


def _insufficient(measurements: Measurements, coverage: Coverage, shown: tuple[str, ...], words: Words) -> list[str]:
    """Why nothing was judged, what was seen all the same, and where to read on."""
    said, mode = words.assessment, measurements.mode
    if measurements.repetitions:
        why = said.not_comparable.format(repetitions=words.counted(mode, len(measurements.repetitions)))
    elif measurements.stage == "quick":
        why = said.quick
    else:
        why = said.no_repetition.format(one=words.mode[mode].one)
    parts = [said.insufficient.format(activity=words.mode[mode].activity), why]
    if measurements.stage == "deep":  # the quick pass has not tried most of them
        parts.append(said.coverage.format(measured=coverage.measured, applicable=coverage.applicable))
    if shown:
        numbers = [
            f"{_in_sentence(name, measurements)} {measured(name, measurements.metrics[name], words)}" for name in shown
        ]
        parts.append(said.described.format(numbers=words.listed(tuple(numbers))))
    else:
        parts.append(said.nothing)
    if measurements.stage == "deep" and any(metric.advice for metric in measurements.metrics.values()):
        parts.append(said.film_again)
    return parts


def _strengths(findings: Findings, words: Words) -> ReportSection:
    """What is clearly on the good side."""
    strengths = [finding for finding in findings.findings if finding.type == "strength"]
    lines = [f"- **{finding.title}.** {finding.text}" for finding in strengths]
    return _section("strengths", "\n".join(lines), _metrics_of(strengths), words)


def _priorities(measurements: Measurements, findings: Findings, words: Words) -> ReportSection:
    """Up to three findings in full, the rest by title."""
    faults = _faults(findings)
    blocks = []
    for place, finding in enumerate(faults[:MOST_PRIORITIES], start=1):
        blocks.append("\n".join([f"### {place}. {finding.title}", "", *_priority(finding, measurements, words)]))
    if len(faults) > MOST_PRIORITIES:
        titles = words.listed(tuple(finding.title for finding in faults[MOST_PRIORITIES:]))
        blocks.append(words.finding.also.format(titles=titles))
    return _section("priorities", "\n\n".join(blocks), _metrics_of(faults), words)


def _priority(finding: Finding, measurements: Measurements, words: Words) -> list[str]:
    """What was seen and why it matters, how we know, what to do. Raises `ValueError` for a claim without a metric."""
    if finding.metric is None or finding.claim is None:
        raise ValueError(f"finding {finding.id} has no metric or no claim behind it")
    said = words.finding
    metric = measurements.metrics[finding.metric]
    known = said.known.format(
        over=_over(finding.metric, measurements, words) or said.once,
        reference=finding.reference,
        kind=words.kind[finding.reference_kind],
        claim=words.claim[finding.claim],
    )
    lines = [finding.text, "", f"- {known}"]
    if metric.status == "degraded" and metric.reason:
        lines.append(f"- {said.less_certain.format(reason=_sentence(metric.reason))}")
    if finding.cue:
        lines.append(f"- {said.cue.format(cue=finding.cue)}")
    if finding.drill:
        lines.append(f"- {said.drill.format(drill=finding.drill)}")
    return lines


def _watches(findings: Findings, words: Words) -> ReportSection:
    """Near a reference, within the error."""
    lines = [f"- {watch.text}" for watch in findings.watches]
    return _section("watches", "\n".join(lines), tuple(watch.metric for watch in findings.watches), words)


def _measured(measurements: Measurements, words: Words) -> ReportSection:
    """Every number with its error: the measurable first, the degraded under their reasons."""
    used = _with_value(measurements)
    if not used:
        return _section("measured", words.measured.nothing, (), words)
    groups: dict[str, list[str]] = {}
    for name in used:
        metric = measurements.metrics[name]
        reason = (metric.reason or "") if metric.status == "degraded" else ""
        groups.setdefault(reason, []).append(_measured_line(name, measurements, words))
    # The measurable come first whatever the order of the metrics.
    blocks = ["\n".join(groups.pop("", []))]
    for reason, lines in groups.items():
        intro = words.measured.less_certain.format(reason=reason.rstrip("."))
        blocks.append("\n".join([intro, "", *lines]))
    return _section("measured", "\n\n".join(block for block in blocks if block), used, words)


def _measured_line(name: str, measurements: Measurements, words: Words) -> str:
    """`- Stride length: 88 ± 6 % of height (6 deliveries, varied by 4.1 % of height). Only described: …`."""
    metric = measurements.metrics[name]
    notes = [_over(name, measurements, words)]
    own = own_spread(metric)
    if own:  # a spread that the measurement alone explains is no news
        notes.append(words.measured.spread.format(spread=spread(own, metric.unit, words)))
    line = f"- {_capital(_label(name, measurements))}: {measured(name, metric, words)}"
    if any(notes):
        line += f" ({', '.join(note for note in notes if note)})"
    context = words.context.get(name)
    return f"{line}. {context}" if context else line


def _not_measured(measurements: Measurements, words: Words) -> ReportSection:
    """What is missing, one line an advice: the recording that adds most comes first, what no recording adds last."""
    missing = tuple(name for name, metric in measurements.metrics.items() if metric.value is None)
    by_advice: dict[str, list[str]] = {}
    by_reason: dict[str, list[str]] = {}
    for name in missing:
        metric = measurements.metrics[name]
        group, key = (by_advice, metric.advice) if metric.advice else (by_reason, metric.reason or "")
        group.setdefault(key, []).append(name)
    lines = []
    for advice, names in sorted(by_advice.items(), key=lambda group: -len(group[1])):
        reasons = {measurements.metrics[name].reason or "" for name in names}
        why = _sentence(reasons.pop()) if len(reasons) == 1 else ""
        adds = words.not_measured.adds.format(labels=_some_labels(names, measurements, words))
        lines.append("- " + " ".join(part for part in (why, _sentence(advice), adds) if part))
    for reason, names in by_reason.items():
        labels = _some_labels(names, measurements, words)
        lines.append(f"- {words.not_measured.otherwise.format(labels=labels, reason=_sentence(reason))}".rstrip())
    return _section("not_measured", "\n".join(lines), missing, words)


def _some_labels(names: list[str], measurements: Measurements, words: Words) -> str:
    """The labels, as many as the audience wants to read."""
    said = words.not_measured
    if len(names) <= said.most + 1:
        return _labels(tuple(names), measurements, words)
    return _labels(tuple(names[: said.most]), measurements, words, said.more.format(n=len(names) - said.most))


def _recording(measurements: Measurements, findings: Findings, subject: SubjectDocument, words: Words) -> ReportSection:
    """Whom the report judges, from where and how fast it was filmed, and what was wrong with it."""
    said = words.recording
    shares = {"found": subject.visible_share, "share": measurements.visible_share}
    shown = {name: digits(100 * share, 0) + " %" for name, share in shares.items()}
    left, top, right, bottom = subject.box
    place = f"{digits((left + right) / 2, 0)},{digits((top + bottom) / 2, 0)}"
    time = digits(subject.time_s, 1)
    if any(issue.id == NO_VIDEO.id for issue in measurements.recording):
        lines = [said.given.format(**shown)]
    elif subject.people == 1:
        lines = [said.chosen.format(**shown, place=place, time=time)]
    else:
        lines = [said.several.format(**shown, people=subject.people, place=place, time=time)]
    if subject.source == "automatic" and subject.confidence < CLOSE_CALL:
        lines.append(said.close_call)
    view = measurements.view
    if view.value is None:
        if not any(issue.id == "VIEW_UNKNOWN" for issue in measurements.recording):  # which says the same
            lines.append(said.view_unknown)
    else:
        known = said.view_caller if view.source == "caller" else said.view_estimate
        lines.append(known.format(view=words.view[view.value]))
    lines.append(said.rate.format(fps=digits(measurements.real_fps, 0)))
    if measurements.stage == "quick":
        lines.append(said.quick)
    lines.extend(
        f"**{finding.title}.** {_sentence(finding.text)} {_sentence(finding.cue or '')}".strip()
        for finding in findings.findings
        if finding.type == "recording"
    )
    return _section("recording", "\n".join(f"- {line}" for line in lines), (), words)


def _method(measurements: Measurements, findings: Findings, words: Words) -> ReportSection:
    """What the numbers mean, whose they are compared with, and what is never claimed."""
    said = words.method
    limit = words.mode[measurements.mode].limit
    judged = [said.certainty, said.references] if findings.compared else []
    numbers = [said.error] if _with_value(measurements) else []
    lines = [*numbers, *judged, said.camera, *([limit] if limit else []), said.rules.format(rules=findings.rules)]
    return _section("method", "\n".join(f"- {line}" for line in lines), (), words)


def _section(name: str, text: str, metrics: tuple[str, ...], words: Words) -> ReportSection:
    """A section under its heading, each metric named once."""
    return ReportSection(id=name, title=getattr(words.section, name), text=text, metrics=tuple(dict.fromkeys(metrics)))


def _faults(findings: Findings) -> list[Finding]:
    """What there is to work on, the worst first as the findings have it."""
    return [finding for finding in findings.findings if finding.type not in ("strength", "recording")]


def _metrics_of(findings: list[Finding]) -> tuple[str, ...]:
    """The metrics behind findings."""
    return tuple(finding.metric for finding in findings if finding.metric is not None)


def _with_value(measurements: Measurements) -> tuple[str, ...]:
    """Ids of the metrics that have a number or a class."""
    return tuple(name for name, metric in measurements.metrics.items() if metric.value is not None)


def _label(name: str, measurements: Measurements) -> str:
    """A metric as a coach would say it."""
    return measurements.metrics[name].label or name.replace("_", " ")


def _labels(names: tuple[str, ...], measurements: Measurements, words: Words, *more: str) -> str:
    """`front knee at contact, stride length and run-up speed`."""
    return words.listed((*(_in_sentence(name, measurements) for name in names), *more))


def _in_sentence(name: str, measurements: Measurements) -> str:
    """A label within a sentence: without its capital, unless that belongs to it (X-factor)."""
    label = _label(name, measurements)
    return label if label[1:2].isupper() or label[1:2] == "-" else label[0].lower() + label[1:]


def _over(name: str, measurements: Measurements, words: Words) -> str:
    """`6 deliveries` where the metric has one reading in each of them; otherwise its count of samples, if several."""
    count = measurements.metrics[name].n
    readings = [repetition.metrics.get(name) for repetition in measurements.repetitions]
    if 0 < sum(metric is not None and metric.value is not None for metric in readings) == count:
        return words.counted(measurements.mode, count)
    return words.measured.samples.format(n=count) if count > 1 else ""


def _sentence(text: str) -> str:
    """Begin with a capital and end with a full stop."""
    text = text.strip()
    if not text:
        return ""
    return _capital(text) + ("" if text[-1] in ".!?" else ".")


def _capital(text: str) -> str:
    """The first letter in upper case, the others as they are."""
    return text[:1].upper() + text[1:]
