"""The report's own sentences, as data: one file an audience in `words/`. What a rule says lives with the rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field

from models.documents import Claim, ReferenceKind, Unit
from models.requests import Audience, Mode, View
from pipeline.coaching.datafiles import Entry, Text, load, placeholders

Plain = Annotated[Text, placeholders()]

FOLDER = Path(__file__).with_name("words")
T = TypeVar("T")


class SectionTitles(Entry):
    """Headings, in the order of the report."""

    assessment: Plain
    strengths: Plain
    priorities: Plain
    watches: Plain
    measured: Plain
    not_measured: Plain
    recording: Plain
    method: Plain


class ModeWords(Entry):
    """How one mode is spoken of."""

    activity: Plain
    one: Plain
    """One repetition: a delivery."""
    many: Plain
    limit: Plain | None = None
    """What one camera must never be asked about in this mode."""


class AssessmentWords(Entry):
    """The first paragraph. It follows a colon, so each first sentence begins in lower case."""

    insufficient: Annotated[Text, placeholders("activity")]
    close_call: Plain
    """Whom to follow was a close call."""
    no_repetition: Annotated[Text, placeholders("one")]
    quick: Plain
    """Instead of `no_repetition`, where nobody has looked for one yet."""
    not_comparable: Annotated[Text, placeholders("repetitions")]
    coverage: Annotated[Text, placeholders("measured", "applicable")]
    """Of the mode's own metrics."""
    described: Annotated[Text, placeholders("numbers")]
    no_score: Plain
    """After `described`."""
    film_again: Plain
    judged: Annotated[Text, placeholders("repetitions", "labels")]
    once: Annotated[Text, placeholders("one")]
    """After `judged`, of a single repetition."""
    judged_in: Annotated[Text, placeholders("label", "k", "n")]
    """A label among `labels`, of what was measured in some of the repetitions only."""
    judged_quick: Annotated[Text, placeholders("labels")]
    main: Annotated[Text, placeholders("title", "claim", "measured")]
    watch: Annotated[Text, placeholders("label")]
    within: Plain
    repeatable: Annotated[Text, placeholders("label", "varied", "one")]
    steady: Annotated[Text, placeholders("label", "one")]
    """Instead of `repeatable`, where the measuring alone explains what little it varied by."""
    less_certain: Annotated[Text, placeholders("label")]
    """For the label of either, where the number is degraded."""
    partial: Annotated[Text, placeholders("measured", "applicable")]
    not_judged: Annotated[Text, placeholders("labels")]
    one_clip: Annotated[Text, placeholders("where", "fps")]
    """The recording that could add what was not judged."""


class FindingWords(Entry):
    """What every finding, watch and strength shares."""

    share: Annotated[Text, placeholders("k", "repetitions")]
    known: Annotated[Text, placeholders("over", "claim")]
    once: Plain
    """For `over`, where there is but one sample."""
    mark: Annotated[Text, placeholders("reference", "kind")]
    way: Annotated[Text, placeholders("side", "k", "repetitions")]
    """For a metric with sides: which one, and how often."""
    way_once: Annotated[Text, placeholders("side")]
    compared: Annotated[Text, placeholders("text", "reference", "kind")]
    """A watch or a strength with what it was held against."""
    less_certain: Annotated[Text, placeholders("reason")]
    """A degraded metric is behind it."""
    ours: Annotated[Text, placeholders("varied")] | None = None
    """Of a spread: how much of it may be the measurement's own, where `measured.between` has not said so."""
    cue: Annotated[Text, placeholders("cue")]
    drill: Annotated[Text, placeholders("drill")]
    also: Annotated[Text, placeholders("titles")]


class MeasuredWords(Entry):
    """The list of numbers."""

    nothing: Plain
    either: Plain
    """Which way, of a number that is smaller than its error."""
    samples: Annotated[Text, placeholders("n")]
    spread: Annotated[Text, placeholders("spread")]
    spread_least: Annotated[Text, placeholders("spread", "least")]
    """The same, where the error may have changed from repetition to repetition: `least` is what all of it leaves."""
    between: Annotated[Text, placeholders("spread", "least")] | None = None
    """The same in a sentence that has the verb; None: such a sentence tells the most alone."""
    less_certain: Annotated[Text, placeholders("reason")]
    """Above the degraded ones that share a reason."""
    errors: Annotated[Text, placeholders("sys", "rand")] | None = None
    raw_spread: Annotated[Text, placeholders("spread")] | None = None
    """The standard deviation with the measurement's own in it."""
    method: Annotated[Text, placeholders("method")] | None = None
    source: Annotated[Text, placeholders("source")] | None = None


class NotMeasuredWords(Entry):
    """What the clip could not show."""

    most: Annotated[int, Field(ge=1)]
    """Names in a line before `more`."""
    more: Annotated[Text, placeholders("n")]
    adds: Annotated[Text, placeholders("labels")]
    """After the advice: what it could let us measure."""
    from_there: Annotated[Text, placeholders("where", "labels")]
    """The same, for what asks for another view too."""
    otherwise: Annotated[Text, placeholders("labels", "reason")]
    """Where no recording would help."""


class RecordingWords(Entry):
    """Whom and what the clip shows."""

    several: Annotated[Text, placeholders("found", "share", "people", "place", "time")]
    """`place` is the middle of the athlete in pixels, x,y as a caller would mark it. `found`: share of frames with
    the athlete in them; `share`: with enough of the body to measure."""
    chosen: Annotated[Text, placeholders("found", "share", "place", "time")]
    given: Annotated[Text, placeholders("found", "share")]
    pointed: Plain
    """Of an athlete whom the caller pointed out."""
    close_call: Plain
    """What to do about a close call."""
    found: Annotated[Text, placeholders("repetitions", "times")]
    """How many were found, and when: a reader counts those that were missed."""
    view_caller: Annotated[Text, placeholders("view")]
    view_estimate: Annotated[Text, placeholders("view")]
    view_unknown: Plain
    rate: Annotated[Text, placeholders("fps")]
    quick: Plain


class MethodWords(Entry):
    """How it was done, and what it cannot do."""

    height: Annotated[Text, placeholders("tenth", "height")] | None = None
    """What lengths in % of height are in centimetres, where the height was given; of both None: not said."""
    height_unknown: Plain | None = None
    error: Plain
    varied: Plain
    """Where a spread is told."""
    certainty: Plain
    references: Plain
    camera: Plain
    check: Plain | None = None
    """After `camera`, where there are pictures to look at."""
    rules: Annotated[Text, placeholders("rules")]


class Direction(Entry):
    """The two ways of a metric that readers know by words and not by signs."""

    plus: Plain
    minus: Plain
    either: Plain | None = None
    """Of a number smaller than its error; None: as of any other metric."""


class Words(Entry):
    """Everything that the report says to one audience."""

    conjunction: str
    """Between the last two of a list, spaces included."""
    section: SectionTitles
    unit: dict[Unit, str]
    unit_of: dict[str, str]
    """By metric: its unit, where that of its kind says too little."""
    percent: tuple[Unit, ...] = ()
    """Units whose numbers are shown in hundredths."""
    view: dict[View, Plain]
    filming: dict[Literal["side", "along"], Plain]
    """Where to put the camera."""
    mode: dict[Mode, ModeWords]
    claim: dict[Claim, Plain]
    kind: dict[ReferenceKind, Plain]
    assessment: AssessmentWords
    finding: FindingWords
    measured: MeasuredWords
    not_measured: NotMeasuredWords
    recording: RecordingWords
    method: MethodWords
    issue: dict[str, Plain]
    """Titles of recording findings."""
    direction: dict[str, Direction]
    """By metric: said instead of a sign."""
    context: dict[str, Plain]
    """By metric: what is known about a number that is described and not judged."""
    classes: dict[str, Plain]
    """By class: what this audience is told instead of its name."""
    label: dict[str, Plain]
    """By metric: what this audience calls it, where that is not the metric's own label."""
    event: dict[str, Plain]
    """By the name of a moment of a repetition: what this audience calls it, where that is not the name itself."""
    plain: dict[str, str]
    """Wordings of reasons and advice, in which `#` is any number, and what this audience is told instead; used in
    their order.
    """

    def about(self, mode: Mode, view: View | None, *, hand_given: bool) -> Self:
        """The words for one clip: of the keys by metric, `id@batting-side` holds for that mode and view, `id@hand`
        where the athlete's hand was given, and either comes before `id` alone.
        """
        asked = (f"{mode}-{view}", *(("hand",) if hand_given else ()))
        tables = ("direction", "context", "label")
        return self.model_copy(update={name: _resolved(getattr(self, name), asked) for name in tables})

    def say(self, text: str) -> str:
        """A reason or an advice in this audience's words."""
        for technical, plain in self.plain.items():
            pattern = re.escape(technical).replace(re.escape("#"), r"\d+(?:\.\d+)?")
            text = re.sub(pattern, plain, text)
        return text

    def moment(self, event: str) -> str:
        """A moment of a repetition by its name in results.json: `front foot lands`, `front foot contact`."""
        return self.event.get(event) or event.replace("_", " ")

    def listed(self, parts: tuple[str, ...]) -> str:
        """`a, b and c`; with semicolons where a part has a comma of its own."""
        between = "; " if any("," in part for part in parts) else ", "
        return between.join(parts[:-1]) + self.conjunction + parts[-1] if len(parts) > 1 else "".join(parts)

    def counted(self, mode: Mode, count: int) -> str:
        """`1 delivery`, `6 deliveries`."""
        return f"{count} {self.mode[mode].one if count == 1 else self.mode[mode].many}"


def _resolved(table: Mapping[str, T], asked: tuple[str, ...]) -> dict[str, T]:
    """The entries that hold, the special ones under the metric's own id."""
    named = [(*key.partition("@"), said) for key, said in table.items()]
    special = {name: said for name, _, where, said in named if where in asked}
    return {name: said for name, _, where, said in named if not where} | special


@cache
def load_words(audience: Audience) -> Words:
    """The words for `audience`, read once a process. Raises `DataFileError`."""
    return load(FOLDER / f"{audience}.toml", Words)
