"""Measurements and findings as a text that a coach reads. No sentence states a fact without a metric behind it."""

from __future__ import annotations

from collections.abc import Iterable

from models.documents import Evidence, Finding, Findings, Report, ReportSection, SubjectDocument, TimeSpan, Watch
from pipeline.biomechanics.filming import Place
from pipeline.biomechanics.gates import judge_view
from pipeline.biomechanics.measure import ROOMS
from pipeline.coaching.assessment import assess, faults_of, is_close_call, metric_of, with_value
from pipeline.coaching.quantities import digits, measured, spread, varied
from pipeline.coaching.sentences import Line, follow, items, lead, speak, text_of
from pipeline.coaching.speaker import Speaker, capital, clock, moment_of, sentence
from pipeline.measurements import NO_VIDEO, Measurements

MOST_PRIORITIES = 3

MOST_TIMES = 12
"""Moments of repetitions that a line lists before it counts the rest."""

PARTS_OF_HEIGHT = ("pct_height", "pct_height_per_s")
"""Units of which a reader wants to know how long they are."""

OPENING = "**Overall Assessment**: "
"""The contract's first words, whatever the audience."""


def generate_report_text(measurements: Measurements, findings: Findings, subject: SubjectDocument) -> Report:
    """Write the report for the audience that the options name; the same input gives the same bytes.

    Sections that would be empty are left out: strengths, priorities, watches, what was not measured. Section texts are
    Markdown without their headings; `text` is all of them, the assessment first and without a heading. Every section
    holds its sentences too, each with the metrics and the evidence that it stands on.
    """
    speaker = Speaker.of(measurements)
    faults, strengths = faults_of(findings), [one for one in findings.findings if one.type == "strength"]
    missing = tuple(name for name, metric in measurements.metrics.items() if metric.value is None)
    opening, judged = assess(speaker, findings, subject)
    first = opening[0].model_copy(update={"text": capital(opening[0].text)})
    sections = (
        _section("assessment", (first, *opening[1:]), judged, speaker),
        _section("strengths", _strengths(strengths, speaker), _metrics_of(strengths), speaker),
        _section("priorities", _priorities(faults, speaker), _metrics_of(faults), speaker),
        _section("watches", _watches(findings, speaker), tuple(one.metric for one in findings.watches), speaker),
        _section("measured", _measured(speaker), with_value(speaker), speaker),
        _section("not_measured", _not_measured(missing, speaker), missing, speaker),
        _section("recording", _recording(findings, subject, speaker), (), speaker),
        _section("method", _method(findings, speaker), (), speaker),
    )
    written = tuple(section for section in sections if section.text)
    text = OPENING + text_of(opening)
    return Report(
        text="\n\n".join([text, *(f"## {section.title}\n\n{section.text}" for section in written[1:])]) + "\n",
        sections=written,
    )


def _section(name: str, sentences: Line, metrics: tuple[str, ...], speaker: Speaker) -> ReportSection:
    """A section under its heading, each metric named once."""
    return ReportSection(
        id=name,
        title=getattr(speaker.words.section, name),
        text=text_of(sentences),
        metrics=tuple(dict.fromkeys(metrics)),
        sentences=sentences,
    )


def _strengths(strengths: list[Finding], speaker: Speaker) -> Line:
    """What is clearly on the good side."""
    return items(
        follow(speaker.fact(text, (one.metric or "",), of=one) for text in (f"**{one.title}.**", one.text))
        for one in strengths
    )


def _priorities(faults: tuple[Finding, ...], speaker: Speaker) -> Line:
    """Up to three findings in full, the rest by title."""
    parts: list[Line] = []
    for place, finding in enumerate(faults[:MOST_PRIORITIES], start=1):
        title = speaker.fact(finding.title, (metric_of(finding),), of=finding)
        parts += [lead(title, f"### {place}. "), *_priority(finding, speaker)]
    if len(faults) > MOST_PRIORITIES:
        others = faults[MOST_PRIORITIES:]
        titles = speaker.words.listed(tuple(finding.title for finding in others))
        parts.append(speaker.fact(speaker.words.finding.also.format(titles=titles), _metrics_of(list(others))))
    return follow(parts, "\n\n")


def _priority(finding: Finding, speaker: Speaker) -> tuple[Line, Line]:
    """What was seen and why it matters; how we know, and what to do."""
    name = metric_of(finding)
    said, words, metric = speaker.words.finding, speaker.words, speaker.metric(name)
    over = speaker.over(name) or said.once
    known = said.known.format(over=over, claim=words.claim[finding.claim or "likely"])
    lines = [speaker.fact(f"{known} {speaker.mark(finding)}", (name,), of=finding)]
    if finding.type == "technique" and (way := speaker.way(name, finding.seen or "")):
        lines.append(speaker.fact(way, (name,), of=finding))
    if finding.type == "consistency" and metric.sys and said.ours:
        ours = said.ours.format(varied=varied(metric, words))
        lines.append(speaker.fact(ours, (name,), of=finding))
    if metric.status == "degraded" and metric.reason:
        reason = sentence(words.say(metric.reason))
        lines.append(speaker.fact(said.less_certain.format(reason=reason), (name,), of=finding))
    if finding.cue:
        lines.append(speaker.advice(said.cue.format(cue=finding.cue), (name,), of=finding))
    if finding.drill:
        lines.append(speaker.advice(said.drill.format(drill=finding.drill), (name,), of=finding))
    return speaker.fact(finding.text, (name,), of=finding), items(lines)


def _watches(findings: Findings, speaker: Speaker) -> Line:
    """Near a reference, within the error."""
    return items(speaker.fact(watch.text, (watch.metric,), of=watch) for watch in findings.watches)


def _measured(speaker: Speaker) -> Line:
    """Every number with its error: the measurable first, the degraded under their reasons."""
    used, said, recording = with_value(speaker), speaker.words.measured, speaker.measurements.recording
    if not used:
        return speak("recording", said.nothing)
    trusted = [name for name in used if speaker.metric(name).status != "degraded"]
    parts = [items(_measured_line(name, speaker) for name in trusted)]
    groups: dict[tuple[str, str], list[str]] = {}
    for name in used:
        metric = speaker.metric(name)
        if metric.status == "degraded":
            groups.setdefault((metric.reason or "", metric.advice or ""), []).append(name)
    for (reason, advice), names in groups.items():
        why = said.less_certain.format(reason=speaker.words.say(reason).rstrip("."))
        better = speaker.advice(sentence(speaker.words.say(advice)), names)
        new = _unless_said(better, (*_remedies(speaker), *(issue.advice for issue in recording)), speaker)
        parts.append(follow([speaker.fact(why, names), new]))
        parts.append(items(_measured_line(name, speaker) for name in names))
    return follow(parts, "\n\n")


def _remedies(speaker: Speaker) -> tuple[str, ...]:
    """The advice for what is missing."""
    metrics = speaker.measurements.metrics.values()
    return tuple(metric.advice for metric in metrics if metric.value is None and metric.advice)


def _unless_said(line: Line, elsewhere: Iterable[str], speaker: Speaker) -> Line:
    """The sentences that are none of what is told `elsewhere` in the report."""
    told = {one.text for text in elsewhere for one in speaker.advice(sentence(speaker.words.say(text)))}
    return follow((one.model_copy(update={"before": ""}),) for one in line if one.text not in told)


def _measured_line(name: str, speaker: Speaker) -> Line:
    """`Stride length: 88 ± 6 % of height (6 deliveries, varied by 4.1 % of height). Only described: …`."""
    metric, words, said = speaker.metric(name), speaker.words, speaker.words.measured
    notes = [speaker.over(name), varied(metric, words)]
    if said.raw_spread and metric.spread is not None:
        notes.append(said.raw_spread.format(spread=spread(metric.spread, metric.unit, words)))
    if said.errors and metric.sys is not None and metric.rand is not None and metric.unit != "class":
        sys, rand = (spread(part, metric.unit, words) for part in (metric.sys, metric.rand))
        notes.append(said.errors.format(sys=sys, rand=rand))
    text = f"{capital(speaker.label(name))}: {measured(name, metric, words)}"
    if any(notes):
        text += f" ({', '.join(note for note in notes if note)})"
    more = [words.context.get(name, "")]
    if said.method and metric.method:
        more.append(said.method.format(method=metric.method))
    if said.source and metric.source:
        more.append(said.source.format(source=metric.source))
    return follow(speaker.fact(one, (name,)) for one in (f"{text}.", *more))


def _not_measured(missing: tuple[str, ...], speaker: Speaker) -> Line:
    """What is missing, one item an advice: the recording that adds most comes first, what no recording adds last."""
    by_advice: dict[str, list[str]] = {}
    by_reason: dict[str, list[str]] = {}
    for name in missing:
        metric = speaker.metric(name)
        group, key = (by_advice, metric.advice) if metric.advice else (by_reason, metric.reason or "")
        group.setdefault(key, []).append(name)
    said, most = speaker.words.not_measured, speaker.words.not_measured.most
    lines = [
        _missing_line(advice, names, speaker)
        for advice, names in sorted(by_advice.items(), key=lambda group: -len(group[1]))
    ]
    for reason, names in by_reason.items():
        why = sentence(speaker.words.say(reason))
        text = said.otherwise.format(labels=speaker.labels(names, most), reason=why)
        lines.append(speaker.fact(text, names))
    return items(lines)


def _missing_line(advice: str, names: list[str], speaker: Speaker) -> Line:
    """Why, how to film it, what that could add; and what it could add only from another place."""
    words, said, most = speaker.words, speaker.words.not_measured, speaker.words.not_measured.most
    reasons = {speaker.metric(name).reason or "" for name in names}
    here, elsewhere = _by_place(names, speaker.measurements)
    lines = [
        speaker.fact(sentence(words.say(reasons.pop())), names) if len(reasons) == 1 else (),
        speaker.advice(sentence(words.say(advice)), names),
        speaker.fact(said.adds.format(labels=speaker.labels(here, most)), here) if here else (),
    ]
    for place, others in elsewhere.items():
        text = said.from_there.format(where=words.filming[place], labels=speaker.labels(others, most))
        lines.append(speaker.fact(text, others))
    return follow(lines)


def _by_place(names: list[str], measurements: Measurements) -> tuple[list[str], dict[Place, list[str]]]:
    """What another clip as advised could add, and what only one from elsewhere than the advice has it.

    Told apart where no repetition was found: then all share one advice, and no place of the camera shows all of them.
    """
    view = measurements.view
    if measurements.stage == "quick" or measurements.repetitions or view.value is None:
        return names, {}
    specs = {spec.id: spec for spec in ROOMS[measurements.mode][0]}
    here: list[str] = []
    elsewhere: dict[Place, list[str]] = {}
    for name in names:
        need = specs[name].view if name in specs else "any"
        gate = judge_view(need, view, None)
        asks_for_it = gate.advice == measurements.metrics[name].advice
        if need in ("side", "along") and gate.status == "not_measurable" and not asks_for_it:
            elsewhere.setdefault(need, []).append(name)
        else:
            here.append(name)
    return here, elsewhere


def _recording(findings: Findings, subject: SubjectDocument, speaker: Speaker) -> Line:
    """Whom the report judges, from where and how fast it was filmed, and what was wrong with it."""
    said, words, measurements = speaker.words.recording, speaker.words, speaker.measurements
    shares = {"found": subject.visible_share, "share": measurements.visible_share}
    shown = {name: digits(100 * share, 0) + " %" for name, share in shares.items()}
    left, top, right, bottom = subject.box
    place = f"{digits((left + right) / 2, 0)},{digits((top + bottom) / 2, 0)}"
    time = digits(subject.time_s, 1)
    if _without_video(measurements):
        lines = [speak("recording", said.given.format(**shown))]
    else:
        chosen = said.chosen if subject.people == 1 else said.several
        whom = chosen.format(**shown, people=subject.people, place=place, time=time)
        moment = TimeSpan(start_s=subject.time_s, end_s=subject.time_s)
        lines = [speak("recording", whom, evidence=Evidence(spans=(moment,)))]
        if subject.source == "caller":
            lines.append(speak("recording", said.pointed))
    texts = [said.close_call] if is_close_call(subject) else []
    view = measurements.view
    if view.value is None:
        if not any(issue.id == "VIEW_UNKNOWN" for issue in measurements.recording):  # which says the same
            texts.append(said.view_unknown)
    else:
        known = said.view_caller if view.source == "caller" else said.view_estimate
        texts.append(known.format(view=words.view[view.value]))
    if not any(issue.id == "LOW_FRAME_RATE" for issue in measurements.recording):  # which says it too
        texts.append(said.rate.format(fps=digits(measurements.real_fps, 0)))
    if measurements.stage == "quick":
        texts.append(said.quick)
    lines += [_found(speaker), *(speak("recording", text) for text in texts)]
    lines += [_issue(finding, speaker) for finding in findings.findings if finding.type == "recording"]
    return items(lines)


def _found(speaker: Speaker) -> Line:
    """How many repetitions were found, and when; a reader who counts more knows that the others were missed."""
    found = speaker.measurements.repetitions
    if not found:
        return ()
    times = [clock(moment_of(one)) for one in found[:MOST_TIMES]]
    if len(found) > MOST_TIMES:
        times.append(speaker.words.not_measured.more.format(n=len(found) - MOST_TIMES))
    listed = speaker.words.listed(tuple(times))
    text = speaker.words.recording.found.format(repetitions=speaker.repetitions(len(found)), times=listed)
    spans = tuple(TimeSpan(start_s=one.start_s, end_s=one.end_s) for one in found)
    return speak("recording", text, evidence=Evidence(spans=spans))


def _issue(finding: Finding, speaker: Speaker) -> Line:
    """What was wrong with the recording, and what to do next time."""
    say = speaker.words.say
    texts = (f"**{finding.title}.**", sentence(say(finding.text)))
    lines = [speak("recording", text, finding=finding.id, evidence=finding.evidence) for text in texts]
    advice = speaker.advice(sentence(say(finding.cue or "")), of=finding)
    return follow([*lines, _unless_said(advice, _remedies(speaker), speaker)])


def _method(findings: Findings, speaker: Speaker) -> Line:
    """What the numbers mean, whose they are compared with, and what is never claimed."""
    said, measurements = speaker.words.method, speaker.measurements
    limit = speaker.words.mode[measurements.mode].limit
    judged = [said.certainty, said.references] if findings.compared else []
    used = with_value(speaker)
    numbers = [said.error] if used else []
    if any(speaker.metric(name).unit in PARTS_OF_HEIGHT for name in used) and (size := _size(speaker)):
        numbers.append(size)
    if any(varied(speaker.metric(name), speaker.words) for name in used):
        numbers.append(said.varied)
    pictures = not _without_video(measurements)
    camera = f"{said.camera} {said.check}" if said.check and pictures else said.camera
    texts = [*numbers, *judged, camera, *([limit] if limit else []), said.rules.format(rules=findings.rules)]
    return items(speak("method", text) for text in texts)


def _size(speaker: Speaker) -> str:
    """What a tenth of the athlete's height is in centimetres, where this audience is told."""
    said, height_m = speaker.words.method, speaker.measurements.options.height_m
    if height_m is None:
        return said.height_unknown or ""
    return (said.height or "").format(tenth=digits(10 * height_m, 0), height=digits(100 * height_m, 0))


def _without_video(measurements: Measurements) -> bool:
    """Whether there are poses and no pictures."""
    return any(issue.id == NO_VIDEO.id for issue in measurements.recording)


def _metrics_of(findings: list[Finding] | tuple[Finding | Watch, ...]) -> tuple[str, ...]:
    """The metrics behind findings."""
    return tuple(finding.metric for finding in findings if finding.metric is not None)
