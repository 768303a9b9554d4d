"""The model catalogue: every SQL statement about model versions and aliases. The built-in version needs no row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import cast

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Transaction

from models.announce import alias_moved
from models.canary import PROMOTED, active_row, end_canary
from models.catalogue_tables import AliasMoveRow, ModelVersionRow
from models.comparisons import newest_comparison
from models.database import Database, shared_now
from models.errors import ModelInUse, ModelNotInCatalogue, ModelRefused
from models.model_versions import (
    BUILT_IN,
    PRODUCTION,
    AliasMove,
    ModelFormat,
    ModelRef,
    ModelVersion,
    MoveKind,
    StoredArtifact,
    before_the_last_promotion,
    check_alias,
)
from models.promotion import Policy

TRIES = 5
"""Of a move whose number somebody else was faster to take."""


class ModelCatalogue:
    """Versions never change; aliases move, and every move is kept."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] | None = None) -> None:
        """`clock` replaces the database's, for tests: an operator's own may be off."""
        self._database = database
        self._clock = clock

    def add(self, version: ModelVersion) -> ModelVersion:
        """Enter a version. Returns it with its moment. Raises ModelRefused where there is one, or its name is an alias.

        `version` has an artifact; its own moments are not read.
        """
        if version.artifact is None:
            raise ValueError("a registered version has an artifact")
        try:
            with self._database.transaction() as transaction:
                self._check_new(transaction, version.ref)
                row = _row_of(version, version.artifact, shared_now(transaction, self._clock))
                transaction.add(row)
        except IntegrityError:
            raise _exists(version.ref) from None
        return _version_value(row)

    def check_new(self, ref: ModelRef) -> None:
        """Raises ModelRefused where `add` would, before anything is spent on it."""
        with self._database.transaction(read_only=True) as transaction:
            self._check_new(transaction, ref)

    def list(self) -> tuple[ModelVersion, ...]:
        """Every version, retired ones too: the built-in one, then by name and moment."""
        order = (ModelVersionRow.name, ModelVersionRow.created_at, ModelVersionRow.version)
        with self._database.transaction(read_only=True) as transaction:
            rows = transaction.scalars(select(ModelVersionRow).order_by(*order))
            return (BUILT_IN, *(_version_value(row) for row in rows))

    def aliases(self) -> dict[str, ModelRef]:
        """What each alias means now."""
        last = select(AliasMoveRow.alias, func.max(AliasMoveRow.number)).group_by(AliasMoveRow.alias)
        with self._database.transaction(read_only=True) as transaction:
            found = [_last_move(transaction, alias) for alias, _ in transaction.execute(last)]
        moved = {row.alias: ModelRef(name=row.to_name, version=row.to_version) for row in found if row}
        return {PRODUCTION: BUILT_IN.ref, **moved}

    def names(self) -> frozenset[str]:
        """Everything that `resolve` knows: aliases, names, and `name@version`."""
        ready = [version.ref for version in self.list() if version.retired_at is None]
        return frozenset({*self.aliases(), *(ref.name for ref in ready), *map(str, ready)})

    def resolve(self, reference: str) -> ModelVersion:
        """What `name@version`, an alias, or a name alone (its newest version) means now. Raises ModelNotInCatalogue."""
        with self._database.transaction(read_only=True) as transaction:
            return resolve(transaction, reference)

    def find(self, ref: ModelRef) -> ModelVersion:
        """One version, retired or not. Raises ModelNotInCatalogue."""
        with self._database.transaction(read_only=True) as transaction:
            return find(transaction, ref)

    def keeps(self, artifact_sha256: str) -> bool:
        """Whether any version is made of this artifact."""
        holds = select(ModelVersionRow.name).where(ModelVersionRow.artifact_sha256 == artifact_sha256).limit(1)
        with self._database.transaction(read_only=True) as transaction:
            return transaction.scalar(holds) is not None

    def history(self, alias: str) -> tuple[AliasMove, ...]:
        """Every move of an alias, the first one first."""
        with self._database.transaction(read_only=True) as transaction:
            return _moves(transaction, alias)

    def promote(
        self,
        ref: ModelRef,
        *,
        alias: str = PRODUCTION,
        by: str,
        force: bool = False,
        reason: str | None = None,
        policy: Policy | None = None,
    ) -> AliasMove | None:
        """Let an alias mean this version. None where it already does. A canary of the alias ends with its move.

        Raises ModelNotInCatalogue, and ModelRefused where the version is retired, the alias is a model's name, or, not
        forced, the skeleton is another one (what was measured with one could not be compared with the other) or
        `production` would move to a version whose newest comparison with the one before does not meet the `policy`.
        Other aliases are for trying.
        """
        check_alias(alias)

        def move(transaction: Transaction, current: ModelRef | None) -> ModelRef | None:
            version = find(transaction, ref, locked=True)
            if version.retired_at is not None:
                raise ModelRefused(f"{ref} is retired.")
            if alias == BUILT_IN.ref.name or _named(transaction, alias) is not None:
                raise ModelRefused(f"{alias} is the name of a model, so it cannot be an alias.")
            if current is not None and not force:
                check_comparable(version, find(transaction, current), alias)
                if policy is not None and alias == PRODUCTION and current != ref:
                    _check_policy(transaction, policy, current, ref)
            return None if current == ref else ref

        return self._move(alias, "promote", move, by=by, forced=force, reason=reason)

    def rollback(self, alias: str = PRODUCTION, *, by: str, reason: str | None = None) -> AliasMove:
        """Let an alias mean again what it meant before it was last promoted. Raises ModelRefused where it cannot."""

        def move(transaction: Transaction, current: ModelRef | None) -> ModelRef:
            before = before_the_last_promotion(_moves(transaction, alias))
            if before is None:
                raise ModelRefused(f"There is nothing to roll {alias} back to.")
            if find(transaction, before, locked=True).retired_at is not None:
                raise ModelRefused(f"{alias} was {before} before, which is retired; promote another one.")
            return before

        moved = self._move(alias, "rollback", move, by=by, forced=False, reason=reason)
        if moved is None:  # `move` never says so
            raise ModelRefused(f"There is nothing to roll {alias} back to.")
        return moved

    def retire(self, ref: ModelRef) -> ModelVersion:
        """Nobody can ask for the version any more. A second time changes nothing. Its artifact stays.

        Raises ModelNotInCatalogue, and ModelInUse where it is built in, an alias means it or it is a canary.
        """
        if ref == BUILT_IN.ref:
            raise ModelInUse(f"{ref} is built in: it is what a rollback can always go back to.")
        with self._database.transaction() as transaction:
            row = transaction.get(ModelVersionRow, (ref.name, ref.version), with_for_update=True)
            if row is None:
                raise _unknown(transaction, str(ref))
            meant = _aliases_of(transaction, ref)
            if meant:
                raise ModelInUse(f"{ref} is {', '.join(meant)}; promote another one first.")
            canary = active_row(transaction, PRODUCTION)
            if canary is not None and canary.model == str(ref):
                raise ModelInUse(f"{ref} is a canary; end it first.")
            row.retired_at = row.retired_at or shared_now(transaction, self._clock)
            return _version_value(row)

    def _move(
        self,
        alias: str,
        kind: MoveKind,
        choose: Callable[[Transaction, ModelRef | None], ModelRef | None],
        *,
        by: str,
        forced: bool,
        reason: str | None,
    ) -> AliasMove | None:
        """Write the alias's next move. Of two at once, one finds its number taken and looks again."""
        for _ in range(TRIES):
            try:
                with self._database.transaction() as transaction:
                    last = _last_move(transaction, alias)
                    current = _current(last, alias)
                    after = choose(transaction, current)
                    if after is None:
                        return None
                    row = AliasMoveRow(
                        alias=alias,
                        number=1 if last is None else last.number + 1,
                        kind=kind,
                        from_name=current.name if current else None,
                        from_version=current.version if current else None,
                        to_name=after.name,
                        to_version=after.version,
                        moved_by=by,
                        moved_at=shared_now(transaction, self._clock),
                        forced=forced,
                        reason=reason,
                    )
                    transaction.add(row)
                    alias_moved(transaction, alias)
                    canary = end_canary(transaction, alias, by=by, reason=f"{alias} moved to {after}", now=row.moved_at)
                    if canary is not None and canary.model == str(after):
                        canary.reason = PROMOTED
                return _move_value(row)
            except IntegrityError:
                continue
        raise ModelRefused(f"{alias} is being moved by others all the time.")

    def _check_new(self, transaction: Transaction, ref: ModelRef) -> None:
        if ref == BUILT_IN.ref or transaction.get(ModelVersionRow, (ref.name, ref.version)) is not None:
            raise _exists(ref)
        if ref.name == PRODUCTION or _last_move(transaction, ref.name) is not None:
            raise ModelRefused(f"{ref.name} is an alias, so it cannot be the name of a model.")


def meant(transaction: Transaction, reference: str, runs: str | None) -> str | None:
    """`name@version` that a job asks for; None where there is no such model. `runs` is the claiming worker's.

    A worker that runs an operator's own file, which no catalogue holds, is asked for by its name.
    """
    try:
        return str(resolve(transaction, reference).ref)
    except ModelNotInCatalogue:
        return runs if runs is not None and reference in {runs, runs.partition("@")[0]} else None


def resolve(transaction: Transaction, reference: str) -> ModelVersion:
    """See `ModelCatalogue.resolve`; within a transaction, for whoever claims a job."""
    if "@" in reference:
        try:
            version = find(transaction, ModelRef.parse(reference))
        except ValueError:
            raise _unknown(transaction, reference) from None
    else:
        meant = _current(_last_move(transaction, reference), reference)
        newest = _named(transaction, reference) if meant is None else None
        if meant is not None:
            version = find(transaction, meant)
        elif newest is not None:
            version = _version_value(newest)
        elif reference == BUILT_IN.ref.name:
            version = BUILT_IN
        else:
            raise _unknown(transaction, reference)
    if version.retired_at is not None:
        raise ModelNotInCatalogue(f"{version.ref} is retired.")
    return version


def find(transaction: Transaction, ref: ModelRef, *, locked: bool = False) -> ModelVersion:
    """`locked`: nobody retires it before this transaction ends."""
    if ref == BUILT_IN.ref:
        return BUILT_IN
    row = transaction.get(ModelVersionRow, (ref.name, ref.version), with_for_update=locked or None)
    if row is None:
        raise _unknown(transaction, str(ref))
    return _version_value(row)


def _named(transaction: Transaction, name: str) -> ModelVersionRow | None:
    """The newest version of a name that is not retired."""
    row = ModelVersionRow
    newest = select(row).where(row.name == name, row.retired_at.is_(None)).order_by(row.created_at.desc(), row.version)
    return transaction.scalar(newest.limit(1))


def current(transaction: Transaction, alias: str) -> ModelRef | None:
    """What an alias means now; None where there is no such alias."""
    return _current(_last_move(transaction, alias), alias)


def left_by_rollback(transaction: Transaction, alias: str, model: str) -> bool:
    """Whether the alias's last move was a `rollback` away from this `name@version`."""
    last = _last_move(transaction, alias)
    return last is not None and last.kind == "rollback" and f"{last.from_name}@{last.from_version}" == model


def _last_move(transaction: Transaction, alias: str) -> AliasMoveRow | None:
    row = AliasMoveRow
    return transaction.scalar(select(row).where(row.alias == alias).order_by(row.number.desc()).limit(1))


def _moves(transaction: Transaction, alias: str) -> tuple[AliasMove, ...]:
    rows = select(AliasMoveRow).where(AliasMoveRow.alias == alias).order_by(AliasMoveRow.number)
    return tuple(_move_value(row) for row in transaction.scalars(rows))


def _current(last: AliasMoveRow | None, alias: str) -> ModelRef | None:
    if last is not None:
        return ModelRef(name=last.to_name, version=last.to_version)
    return BUILT_IN.ref if alias == PRODUCTION else None


def _aliases_of(transaction: Transaction, ref: ModelRef) -> tuple[str, ...]:
    aliases = transaction.scalars(select(AliasMoveRow.alias).distinct().order_by(AliasMoveRow.alias)).all()
    return tuple(alias for alias in aliases if _current(_last_move(transaction, alias), alias) == ref)


def check_comparable(version: ModelVersion, current: ModelVersion, alias: str) -> None:
    """Raises ModelRefused where the skeletons differ."""
    theirs, ours = current.skeleton["name"], version.skeleton["name"]
    if theirs != ours:
        raise ModelRefused(
            f"{version.ref} has the skeleton {ours} and {alias}, {current.ref}, has {theirs}: what was measured before "
            "cannot be compared with what comes. Promote it with --force if that is meant."
        )


def _check_policy(transaction: Transaction, policy: Policy, current: ModelRef, ref: ModelRef) -> None:
    recorded = newest_comparison(transaction, current, ref)
    if recorded is None:
        raise ModelRefused(
            f"The policy asks for a comparison, and there is none: `frontfoot models compare {current} {ref} …`. "
            "--force promotes it all the same, and is recorded."
        )
    unmet = policy.unmet(recorded.totals)
    if unmet:
        moment = recorded.compared_at.isoformat(timespec="seconds")
        raise ModelRefused(f"By the comparison of {moment}: {'; '.join(unmet)}. --force promotes it all the same.")


def _exists(ref: ModelRef) -> ModelRefused:
    return ModelRefused(f"{ref} is in the catalogue already, and a version never changes; choose another one.")


def _unknown(transaction: Transaction, reference: str) -> ModelNotInCatalogue:
    rows = transaction.execute(select(ModelVersionRow.name, ModelVersionRow.version).order_by(ModelVersionRow.name))
    known = (str(BUILT_IN.ref), *(f"{name}@{version}" for name, version in rows))
    return ModelNotInCatalogue(f"There is no model {reference!r} in the catalogue; there are: {', '.join(known)}.")


def _row_of(version: ModelVersion, artifact: StoredArtifact, now: datetime) -> ModelVersionRow:
    return ModelVersionRow(
        name=version.ref.name,
        version=version.ref.version,
        source=version.source,
        source_sha256=version.source_sha256,
        format=version.format,
        input_sizes=dict(version.input_sizes),
        skeleton=dict(version.skeleton),
        licence=version.licence,
        notes=version.notes,
        report=dict(version.report),
        artifact_bucket=artifact.bucket,
        artifact_key=artifact.key,
        artifact_sha256=artifact.sha256,
        created_by=version.created_by,
        created_at=now,
        retired_at=None,
    )


def _version_value(row: ModelVersionRow) -> ModelVersion:
    return ModelVersion(
        ref=ModelRef(name=row.name, version=row.version),
        source=row.source,
        source_sha256=row.source_sha256,
        format=cast("ModelFormat", row.format),
        input_sizes=row.input_sizes,
        skeleton=row.skeleton,
        licence=row.licence,
        notes=row.notes,
        report=row.report,
        artifact=StoredArtifact(bucket=row.artifact_bucket, key=row.artifact_key, sha256=row.artifact_sha256),
        created_by=row.created_by,
        created_at=row.created_at,
        retired_at=row.retired_at,
    )


def _move_value(row: AliasMoveRow) -> AliasMove:
    before = row.from_name is not None and row.from_version is not None
    return AliasMove(
        alias=row.alias,
        number=row.number,
        kind=cast("MoveKind", row.kind),
        before=ModelRef(name=str(row.from_name), version=str(row.from_version)) if before else None,
        after=ModelRef(name=row.to_name, version=row.to_version),
        moved_by=row.moved_by,
        moved_at=row.moved_at,
        forced=row.forced,
        reason=row.reason,
    )
