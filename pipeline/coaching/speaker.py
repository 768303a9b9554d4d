"""Measurements in the words of one audience: labels, counts, and sentences with the evidence of their metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from models.documents import Evidence, Finding, Metric, Repetition, TimeSpan, Watch
from pipeline.coaching.quantities import side_of
from pipeline.coaching.sentences import Line, joined, speak
from pipeline.coaching.words import Words, load_words
from pipeline.measurements import Measurements

KEY_EVENTS = ("release", "impact", "take", "pick_up", "throw_release", "front_foot_contact", "front_foot_plant")
"""The moment of an action that a coach looks for first, the most telling first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speaker:
    """Who says what was measured, and to whom."""

    measurements: Measurements
    words: Words

    @classmethod
    def of(cls, measurements: Measurements) -> Speaker:
        """For the audience that the options name."""
        return cls(measurements=measurements, words=words_for(measurements))

    def metric(self, name: str) -> Metric:
        """Raises `ValueError` where nothing of that name was tried: no sentence may stand on it."""
        try:
            return self.measurements.metrics[name]
        except KeyError:
            raise ValueError(f"no metric {name} in these measurements") from None

    # ---- sentences ---------------------------------------------------------------------------------------------

    def fact(self, text: str, names: Iterable[str], *, of: Finding | Watch | None = None) -> Line:
        """What is true of the athlete, with the metrics behind it and where the video shows them."""
        names = tuple(names)
        evidence = joined(self.metric(name).evidence for name in names)
        if of is not None:
            evidence = of.evidence
        return speak("fact", text, names, finding=None if of is None else of.id, evidence=evidence)

    def over_repetitions(self, text: str, names: Iterable[str]) -> Line:
        """A fact about all repetitions together: its evidence is where they are."""
        spans = (TimeSpan(start_s=one.start_s, end_s=one.end_s) for one in self.measurements.repetitions)
        names = tuple(names)
        for name in names:
            self.metric(name)
        return speak("fact", text, names, evidence=Evidence(spans=tuple(spans)))

    def advice(self, text: str, names: Iterable[str] = (), *, of: Finding | None = None) -> Line:
        """What to do."""
        return speak("advice", text, names, finding=None if of is None else of.id)

    # ---- words -------------------------------------------------------------------------------------------------

    def label(self, name: str) -> str:
        """A metric as this audience says it, within a sentence: without its capital, unless that belongs to it."""
        label = self.words.label.get(name) or self.metric(name).label or name.replace("_", " ")
        return label if label[1:2].isupper() or label[1:2] == "-" else label[0].lower() + label[1:]

    def labels(self, names: Iterable[str], most: int | None = None) -> str:
        """`front knee at contact, stride length and run-up speed`; beyond `most` + 1 of them the rest is counted."""
        said = [self.label(name) for name in names]
        if most is not None and len(said) > most + 1:
            said = [*said[:most], self.words.not_measured.more.format(n=len(said) - most)]
        return self.words.listed(tuple(said))

    def readings(self, name: str) -> list[float | str]:
        """The metric in each repetition that has it."""
        found = (repetition.metrics.get(name) for repetition in self.measurements.repetitions)
        return [metric.value for metric in found if metric is not None and metric.value is not None]

    def repetitions(self, count: int) -> str:
        """`6 deliveries`."""
        return self.words.counted(self.measurements.mode, count)

    def over(self, name: str) -> str:
        """`6 deliveries` where the metric has one reading in each; otherwise its count of samples, if several."""
        count = self.metric(name).n
        if 0 < len(self.readings(name)) == count:
            return self.repetitions(count)
        return self.words.measured.samples.format(n=count) if count > 1 else ""

    def mark(self, finding: Finding) -> str:
        """What a finding was held against, and whose number that is; empty where it was held against nothing."""
        if finding.reference is None:
            return ""
        kind = self.words.kind[finding.reference_kind]
        return self.words.finding.mark.format(reference=finding.reference, kind=kind)

    def way(self, name: str, said: str) -> str:
        """To which side the metric goes, and in how many repetitions: `behind your feet in 5 of 6 shots`; empty where
        it has no sides, lies on neither, or what is `said` already names the side.
        """
        side = side_of(name, self.metric(name), self.words)
        if side is None or side in said:
            return ""
        values = [value for value in self.readings(name) if isinstance(value, float)]
        if len(values) < 2:
            return self.words.finding.way_once.format(side=side)
        mean = self.metric(name).value
        same = sum(isinstance(mean, float) and value * mean > 0 for value in values)
        return self.words.finding.way.format(side=side, k=same, repetitions=self.repetitions(len(values)))


def words_for(measurements: Measurements) -> Words:
    """The words of the audience that the options name, as they hold for this clip."""
    options = measurements.options
    words = load_words(options.audience)
    return words.about(measurements.mode, measurements.view.value, hand_given=options.handedness is not None)


def moment_of(repetition: Repetition) -> float:
    """Clip seconds at which to look for it: its key event, or its beginning."""
    return next(
        (repetition.events[name].time_s for name in KEY_EVENTS if name in repetition.events), repetition.start_s
    )


def clock(time_s: float) -> str:
    """As players of video show it: `1:07`."""
    minutes, seconds = divmod(int(time_s), 60)
    return f"{minutes}:{seconds:02d}"


def capital(text: str) -> str:
    """The first letter in upper case, the others as they are."""
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """Begin with a capital and end with a full stop; an empty text stays empty."""
    text = text.strip()
    if not text:
        return ""
    return capital(text) + ("" if text[-1] in ".!?" else ".")
