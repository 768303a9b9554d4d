"""Rules as data: the built-in set, and a coach's own that stands alone or extends it.

A set is a folder or one file. A folder holds `ruleset.toml` (`name` and `version` of the whole, `extends`, `disable`)
and any number of other `*.toml`, each with its `version`, a `mode` and a list of `[[rule]]`. In one file all of that
stands together. With `extends = "frontfoot"` a rule with the id of a built-in one replaces what it names of it (another
`finding`, say) and keeps the rest, `disable` lists ids that are not to hold, and other rules come on top. The built-in
folder is `rules/` beside this file. Every fault of every file is told at once, with file and line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError

from models.documents import RuleSetDocument
from models.requests import Mode, OwnRules, View
from pipeline.coaching.datafiles import DataFileError, DataText, Entry, read_text
from pipeline.coaching.measured import misfit
from pipeline.coaching.rule import Id, Praise, Rule, RuleWords, Version

__all__ = [
    "BUILT_IN",
    "Praise",
    "Rule",
    "RuleSet",
    "RuleWords",
    "load_rules",
    "own_rules",
    "read_rules",
    "rule_faults",
    "rules_of",
]

BUILT_IN = Path(__file__).with_name("rules")
BUILT_IN_NAME = "frontfoot"
TITLE = "ruleset.toml"
T = TypeVar("T")


class _Title(Entry):
    """`ruleset.toml`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    version: Version
    extends: Literal["frontfoot"] | None = None
    disable: tuple[Id, ...] = ()


class _RuleFile(Entry):
    """The rules of one mode: a file beside a `ruleset.toml`, or what a set in one file holds beside its title."""

    version: Version
    mode: Mode
    rule: tuple[Rule, ...]


class RuleSet(Entry):
    """Rules by mode, under a name and a version that end up in every findings document."""

    name: str
    version: int
    extends: str | None = None
    """The label of the set that it builds on."""
    sha256: str | None = None
    """Of its one file, or of its files' checksums and names as `sha256sum` lists them."""
    rules: dict[Mode, tuple[Rule, ...]]

    @property
    def label(self) -> str:
        """Such as `frontfoot@1`, or `club@3+frontfoot@1` where it extends that."""
        own = f"{self.name}@{self.version}"
        return own if self.extends is None else f"{own}+{self.extends}"

    @property
    def document(self) -> RuleSetDocument | None:
        """What results say of it; None for a set that was not read from files."""
        if self.sha256 is None:
            return None
        return RuleSetDocument(name=self.name, version=self.version, sha256=self.sha256, extends=self.extends)

    def applicable(self, mode: Mode, view: View | None) -> tuple[Rule, ...]:
        """The rules that hold for `mode` seen from `view`, in file order."""
        return tuple(rule for rule in self.rules.get(mode, ()) if not rule.views or view in rule.views)


def load_rules(path: Path | None = None) -> RuleSet:
    """Read the rule set at `path`, or the built-in one. Raises `DataFileError` that lists file and line."""
    return _built_in() if path is None else read_rules(_files_at(path))


def own_rules(path: Path) -> OwnRules:
    """A file or folder of rules as it travels with a request, checked. Raises `DataFileError`."""
    files = _files_at(path)
    read_rules(files)
    try:
        return OwnRules.model_validate(
            {"files": tuple({"name": Path(file.name).name, "text": file.text} for file in files)}
        )
    except ValidationError as error:
        faults = (f"{path}: {fault['msg']}" for fault in error.errors(include_url=False, include_input=False))
        raise DataFileError("\n".join(faults)) from error


def rules_of(asked: OwnRules | Literal["frontfoot"] | None) -> RuleSet:
    """The rules that a request names or brings along. Raises `DataFileError`."""
    if not isinstance(asked, OwnRules):
        return _built_in()
    return read_rules([DataText(name=file.name, text=file.text) for file in asked.files])


def rule_faults(asked: OwnRules) -> tuple[str, ...]:
    """What is wrong with rules that came with a request, one `file:line: …` each; nothing where they can be used."""
    try:
        rules_of(asked)
    except DataFileError as error:
        return tuple(str(error).splitlines())
    return ()


@cache
def _built_in() -> RuleSet:
    """The built-in rules, read once a process: they cannot change under it."""
    return _read(_files_at(BUILT_IN), base=None)


def read_rules(files: Sequence[DataText]) -> RuleSet:
    """A coach's own set. Raises `DataFileError` that lists every fault of every file."""
    return _read(files, base=_built_in())


def _files_at(path: Path) -> list[DataText]:
    """The one file, or every `*.toml` of a folder. Raises `DataFileError`."""
    if path.is_file():
        return [read_text(path)]
    read_text(path / TITLE)  # says what is missing
    return _all(partial(read_text, one) for one in sorted(path.glob("*.toml")))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """What is to be read of one file: the title, or rules."""

    file: DataText
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Group:
    """The rules of one file, all of one mode."""

    file: DataText
    mode: Mode
    rules: tuple[Rule, ...]


def _read(files: Sequence[DataText], base: RuleSet | None) -> RuleSet:
    """The set in `files`; it may extend `base`. Only the built-in set has none."""
    head, parts = _parts(files)
    extended = base if head.data.get("extends") == BUILT_IN_NAME else None
    readers: list[Callable[[], _Title | _Group]] = [partial(_title, head, base, extended)]
    readers += [partial(_group, part, extended) for part in parts]
    read = _all(readers)
    title = next(one for one in read if isinstance(one, _Title))
    groups = [one for one in read if isinstance(one, _Group)]
    if faults := _clashes(groups, title, extended):
        raise DataFileError("\n".join(faults))
    rules = _merged(groups, title, extended)
    if not any(rules.values()):
        raise DataFileError(head.file.fault((), "no rule in the whole set"))
    return RuleSet(
        name=title.name,
        version=title.version,
        extends=None if extended is None else extended.label,
        sha256=_digest(files),
        rules=rules,
    )


def _parts(files: Sequence[DataText]) -> tuple[_Part, list[_Part]]:
    """The title, and where rules are. Raises `DataFileError` for what is not TOML and for a set without a title."""
    data = dict(zip(files, _all(file.read for file in files), strict=True))
    titles = [file for file in files if Path(file.name).name == TITLE]
    if not titles and len(files) > 1:
        raise DataFileError(f"{files[0].name}:1: of several files one is {TITLE}, with name and version of the set")
    if titles:
        others = [_Part(file=file, data=data[file]) for file in files if file is not titles[0]]
        return _Part(file=titles[0], data=data[titles[0]]), others
    (file,), named = files, _Title.model_fields
    title = {key: value for key, value in data[file].items() if key in named}
    rest = {key: value for key, value in data[file].items() if key not in named}
    return _Part(file=file, data=title), [_Part(file=file, data={"version": 1, **rest})] if rest else []


def _title(part: _Part, base: RuleSet | None, extended: RuleSet | None) -> _Title:
    """The title of a set. Raises `DataFileError`."""
    title = part.file.check(part.data, _Title)
    known = set() if extended is None else _by_id(extended).keys()
    faults = [
        part.file.fault(("disable",), f"{rule_id} is no rule of {BUILT_IN_NAME}" if extended else "nothing is extended")
        for rule_id in title.disable
        if rule_id not in known
    ]
    if base is not None and title.name == BUILT_IN_NAME:
        faults.append(part.file.fault(("name",), f"{BUILT_IN_NAME} is the built-in set; an own one has its own name"))
    if faults:
        raise DataFileError("\n".join(dict.fromkeys(faults)))
    return title


def _group(part: _Part, extended: RuleSet | None) -> _Group:
    """The rules of one file, each checked against what is measured. Raises `DataFileError`."""
    known = {} if extended is None else _by_id(extended)
    written = part.data.get("rule")
    rules = [_inherited(rule, known) for rule in written] if isinstance(written, list) else written
    read = part.file.check(part.data if rules is None else {**part.data, "rule": rules}, _RuleFile)
    faults = []
    for place, rule in enumerate(read.rule):
        wrong = misfit(read.mode, rule.metric, rule.unit, rule.views)
        if wrong is not None:
            key, what = wrong
            faults.append(part.file.fault(("rule", place, key), what))
    if faults:
        raise DataFileError("\n".join(faults))
    return _Group(file=part.file, mode=read.mode, rules=read.rule)


def _inherited(written: object, known: Mapping[str, Rule]) -> object:
    """A rule as written, completed by the one that it replaces: its words too, one by one."""
    if not isinstance(written, dict) or not isinstance(written.get("id"), str) or written["id"] not in known:
        return written
    replaced = known[written["id"]].model_dump(exclude_none=True)
    words = {
        audience: {**replaced[audience], **written[audience]}
        for audience in ("player", "analyst")
        if isinstance(written.get(audience), dict)
    }
    return {**replaced, **written, **words}


def _clashes(groups: Sequence[_Group], title: _Title, extended: RuleSet | None) -> list[str]:
    """What no file can know by itself: ids used twice, replaced in another mode, or replaced and disabled at once."""
    modes = {} if extended is None else {rule.id: mode for mode, rules in extended.rules.items() for rule in rules}
    seen: dict[str, str] = {}
    faults = []
    for group in groups:
        for place, rule in enumerate(group.rules):
            what = None
            if rule.id in seen:
                what = f"rule {rule.id} is already in {seen[rule.id]}"
            elif modes.get(rule.id, group.mode) != group.mode:
                what = f"rule {rule.id} of {BUILT_IN_NAME} is about {modes[rule.id]}"
            elif rule.id in title.disable:
                what = f"rule {rule.id} is disabled, so it cannot be replaced"
            if what is not None:
                faults.append(group.file.fault(("rule", place, "id"), what))
            seen.setdefault(rule.id, group.file.name)
    return faults


def _merged(groups: Sequence[_Group], title: _Title, extended: RuleSet | None) -> dict[Mode, tuple[Rule, ...]]:
    """The rules that hold: those extended in their order, replaced where an own one has the id, then the new ones."""
    own: dict[Mode, dict[str, Rule]] = {}
    for group in groups:
        own.setdefault(group.mode, {}).update({rule.id: rule for rule in group.rules})
    if extended is None:
        return {mode: tuple(rules.values()) for mode, rules in own.items()}
    merged: dict[Mode, tuple[Rule, ...]] = {}
    for mode, rules in extended.rules.items():
        kept = {rule.id: rule for rule in rules if rule.id not in title.disable}
        merged[mode] = tuple({**kept, **own.get(mode, {})}.values())
    return merged


def _by_id(rules: RuleSet) -> dict[str, Rule]:
    return {rule.id: rule for of_mode in rules.rules.values() for rule in of_mode}


def _digest(files: Sequence[DataText]) -> str:
    """Of one file: its SHA-256. Of several: that of the list that `sha256sum` prints of them, by name."""
    sums = {Path(file.name).name: hashlib.sha256(file.text.encode()).hexdigest() for file in files}
    if len(sums) == 1:
        return next(iter(sums.values()))
    return hashlib.sha256("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()).hexdigest()


def _all(readers: Iterable[Callable[[], T]]) -> list[T]:
    """What each of them gives. Raises `DataFileError` with the faults of all those that give nothing."""
    found, faults = [], []
    for read in readers:
        try:
            found.append(read())
        except DataFileError as error:
            faults.append(str(error))
    if faults:
        raise DataFileError("\n".join(faults))
    return found
