"""One rule: what a number is held against, and what is said of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from models.documents import FindingType, ReferenceKind, Unit
from models.requests import Audience, View
from pipeline.coaching.datafiles import Entry, Text, placeholders

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Version = Annotated[int, Field(ge=1)]
Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]

Measured = Annotated[Text, placeholders("measured")]
"""A text that may say `{measured}`: the value ± its error, or the spread of a consistency rule."""


class Praise(Entry):
    """What a rule says of its good side; a strength under the fault's title would read as the fault."""

    title: Annotated[Text, placeholders()]
    text: Measured


class RuleWords(Entry):
    """What a rule says to one audience."""

    title: Annotated[Text, placeholders()]
    seen: Measured
    """What was seen, for a finding."""
    why: Annotated[Text, placeholders()]
    """Why it matters, worded as what coaches look for or what a study saw together, never as a diagnosis."""
    watch: Measured
    strength: Praise | None = None
    """For a metric on the good side; without it the rule never praises."""
    cue: Annotated[Text, placeholders()]
    drill: Annotated[Text, placeholders()]


class Rule(Entry):
    """One metric held against one reference. Numbers are in `unit`, the metric's own."""

    id: Id
    version: Version
    metric: Id
    unit: Unit
    views: tuple[View, ...] = ()
    """Views in which the rule holds; empty: any view, even an unknown one."""
    comparison: Literal["external", "within_clip"]
    """`external`: the mean against a study or convention. `within_clip`: the spread over repetitions."""
    direction: Literal["above", "below"]
    """The side of `finding` that is worth a finding."""
    absolute: bool = False
    """Compare the size of the value whatever its sign."""
    finding: Finite
    watch: Finite | None = None
    """Where the band of the reference begins, on the good side of `finding`; None where it has no width of its own."""
    tolerance: Positive | None = None
    """The reference is no sharper than this: the comparison's expected error is at least this."""
    step: Positive
    """The practical step: an excess of one step is `medium`, of two `high`."""
    reference: Annotated[Text, placeholders("finding", "watch")]
    reference_kind: ReferenceKind
    player: RuleWords
    analyst: RuleWords

    @model_validator(mode="after")
    def _consistent(self) -> Rule:
        """Check what no single field can know."""
        if self.reference_kind == "none":
            raise ValueError("a rule has a reference, so its kind is not none")
        if self.watch is not None and (self.finding - self.watch) * self.sign <= 0:
            raise ValueError("watch must lie on the good side of finding")
        if self.watch is None and "{watch}" in self.reference:
            raise ValueError("reference names {watch}, and the rule has none")
        if self.comparison == "within_clip" and (self.direction != "above" or self.finding <= 0):
            raise ValueError("a spread is compared upwards with a number above 0")
        if self.comparison == "within_clip" and self.watch is not None and self.watch <= 0:
            raise ValueError("the watch of a spread must be above 0")
        if (self.player.strength is None) != (self.analyst.strength is None):
            raise ValueError("strength must be there for both audiences or for neither")
        return self

    @property
    def sign(self) -> int:
        """+1 where more is worse, -1 where less is."""
        return 1 if self.direction == "above" else -1

    @property
    def type(self) -> FindingType:
        """The type of the findings that it makes."""
        return "technique" if self.comparison == "external" else "consistency"

    def words(self, audience: Audience) -> RuleWords:
        """What it says to `audience`."""
        return self.player if audience == "player" else self.analyst
