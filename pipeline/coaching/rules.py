"""What a number is held against: rules as data, read from one folder with one file a mode.

A folder holds `ruleset.toml` (name and version of the whole) and any number of other `*.toml`, each with a `mode`, its
`version` and a list of `[[rule]]`. The built-in folder is `rules/` beside this file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from models.documents import FindingType, ReferenceKind, Unit
from models.requests import Audience, Mode, View
from pipeline.coaching.datafiles import DataFileError, Entry, Text, load, placeholders

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Version = Annotated[int, Field(ge=1)]
Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]

Measured = Annotated[Text, placeholders("measured")]
"""A text that may say `{measured}`: the value ± its error, or the spread of a consistency rule."""

BUILT_IN = Path(__file__).with_name("rules")


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


class _RuleFile(Entry):
    """One mode's file."""

    version: Version
    mode: Mode
    rule: tuple[Rule, ...]


class _Title(Entry):
    """`ruleset.toml`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    version: Version


class RuleSet(Entry):
    """Rules by mode, under a name and a version that end up in every findings document."""

    name: str
    version: int
    rules: dict[Mode, tuple[Rule, ...]]

    @property
    def label(self) -> str:
        """Such as `frontfoot@1`."""
        return f"{self.name}@{self.version}"

    def applicable(self, mode: Mode, view: View | None) -> tuple[Rule, ...]:
        """The rules that hold for `mode` seen from `view`, in file order."""
        return tuple(rule for rule in self.rules.get(mode, ()) if not rule.views or view in rule.views)


def load_rules(path: Path | None = None) -> RuleSet:
    """Read the rule set in the folder `path`, or the built-in one. Raises `DataFileError` that lists file and line."""
    return _built_in() if path is None else _read(path)


@cache
def _built_in() -> RuleSet:
    """The built-in rules, read once a process: they cannot change under it."""
    return _read(BUILT_IN)


def _read(folder: Path) -> RuleSet:
    """The rule set in `folder`; one mode may be spread over several files, and ids are unique over all of them."""
    title = load(folder / "ruleset.toml", _Title)
    rules: dict[Mode, tuple[Rule, ...]] = {}
    seen: dict[str, Path] = {}
    for path in sorted(folder.glob("*.toml")):
        if path.name == "ruleset.toml":
            continue
        file = load(path, _RuleFile)
        for rule in file.rule:
            if rule.id in seen:
                raise DataFileError(f"{path}: rule {rule.id} is already in {seen[rule.id]}")
            seen[rule.id] = path
        rules[file.mode] = rules.get(file.mode, ()) + file.rule
    if not rules:
        raise DataFileError(f"{folder}: no rule file")
    return RuleSet(name=title.name, version=title.version, rules=rules)
