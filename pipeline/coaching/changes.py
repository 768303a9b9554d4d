"""What differs between two results of the same poses: findings that came, went or changed, and metrics that moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from models.documents import Basis, Claim, Document, Finding, Findings, Level, Metric, Number, Results, Status, Unit


class SaidDocument(Document):
    """A finding or a watch, as far as a diff shows it."""

    id: str
    kind: Literal["technique", "consistency", "change", "strength", "recording", "watch"]
    title: str
    severity: Level | None
    claim: Claim | None
    metric: str | None


class ChangedDocument(Document):
    """One that is in both and not the same."""

    before: SaidDocument
    after: SaidDocument


class MovedDocument(Document):
    """A metric that moved by more than its own expected error, or that can be measured in one of the two alone."""

    metric: str
    unit: Unit
    before: Number | str | None
    after: Number | str | None
    expected_error: Number | None
    """The larger of the two; None where neither has one."""
    status_before: Status | None
    """None: the metric was not there."""
    status_after: Status | None


class DiffDocument(Document):
    """Before → after. Empty lists: nothing that a coach would notice."""

    rules_before: str
    rules_after: str
    code_before: str
    code_after: str
    added: tuple[SaidDocument, ...]
    gone: tuple[SaidDocument, ...]
    changed: tuple[ChangedDocument, ...]
    moved: tuple[MovedDocument, ...]
    level_before: Level
    level_after: Level
    basis_before: Basis
    basis_after: Basis

    @property
    def empty(self) -> bool:
        """Whether both say the same."""
        same = (self.level_before, self.basis_before) == (self.level_after, self.basis_after)
        return same and not (self.added or self.gone or self.changed or self.moved)


def diff(before: Results, after: Results) -> DiffDocument:
    """What changed from one result to the other, in the order of the documents."""
    said, says = _said(before.findings), _said(after.findings)
    return DiffDocument(
        rules_before=before.findings.rules,
        rules_after=after.findings.rules,
        code_before=before.code_version,
        code_after=after.code_version,
        added=tuple(item for key, item in says.items() if key not in said),
        gone=tuple(item for key, item in said.items() if key not in says),
        changed=tuple(
            ChangedDocument(before=said[key], after=item)
            for key, item in says.items()
            if key in said and _weight(said[key]) != _weight(item)
        ),
        moved=_moved(before.metrics, after.metrics),
        level_before=before.findings.overall_level,
        level_after=after.findings.overall_level,
        basis_before=before.findings.basis,
        basis_after=after.findings.basis,
    )


def _said(findings: Findings) -> dict[tuple[str, int], SaidDocument]:
    """Findings, then watches, by id; the same id again gets the next number."""
    items = [_finding(finding) for finding in findings.findings]
    items += [
        SaidDocument(id=watch.id, kind="watch", title=watch.text, severity=None, claim=None, metric=watch.metric)
        for watch in findings.watches
    ]
    found: dict[tuple[str, int], SaidDocument] = {}
    for item in items:
        found[item.id, sum(name == item.id for name, _ in found)] = item
    return found


def _finding(finding: Finding) -> SaidDocument:
    return SaidDocument(
        id=finding.id,
        kind=finding.type,
        title=finding.title,
        severity=finding.severity,
        claim=finding.claim,
        metric=finding.metric,
    )


def _weight(item: SaidDocument) -> tuple[str, Level | None, Claim | None]:
    """What makes it another statement; its words alone do not."""
    return item.kind, item.severity, item.claim


def _moved(before: Mapping[str, Metric], after: Mapping[str, Metric]) -> tuple[MovedDocument, ...]:
    names = dict.fromkeys([*before, *after])
    pairs = ((name, before.get(name), after.get(name)) for name in names)
    return tuple(_movement(name, one, two) for name, one, two in pairs if _has_moved(one, two))


def _has_moved(one: Metric | None, two: Metric | None) -> bool:
    """By more than the larger expected error; a number that is there in one of them only has moved, too."""
    first, second = None if one is None else one.value, None if two is None else two.value
    if one is None or two is None or first is None or second is None or one.unit != two.unit:
        return first is not None or second is not None
    if isinstance(first, str) or isinstance(second, str):
        return first != second
    return abs(second - first) > (_error(one, two) or 0.0)


def _error(*metrics: Metric | None) -> float | None:
    errors = [metric.expected_error for metric in metrics if metric is not None and metric.expected_error is not None]
    return max(errors, default=None)


def _movement(name: str, one: Metric | None, two: Metric | None) -> MovedDocument:
    unit: Unit = two.unit if two is not None else one.unit if one is not None else "count"
    return MovedDocument(
        metric=name,
        unit=unit,
        before=None if one is None else one.value,
        after=None if two is None else two.value,
        expected_error=_error(one, two),
        status_before=None if one is None else one.status,
        status_after=None if two is None else two.status,
    )
