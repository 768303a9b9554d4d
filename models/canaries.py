"""What an operator does with canaries: begin one, end it, see what became of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Transaction

from models.announce import alias_moved
from models.canary import Canary, Limits, active_row, canary_value, end_canary
from models.catalogue_tables import CanaryRow
from models.database import Database, shared_now
from models.errors import ModelRefused
from models.model_catalogue import check_comparable, find, resolve
from models.model_versions import PRODUCTION, ModelRef

SHOWN = 50


class Canaries:
    """An alias has one at a time; those of the past are kept."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] | None = None) -> None:
        """`clock` replaces the database's, for tests: when a job began and a canary ended is compared."""
        self._database = database
        self._clock = clock

    def begin(
        self, ref: ModelRef, *, share: float, by: str, limits: Limits | None = None, force: bool = False
    ) -> Canary:
        """Let a version measure a share of the athletes.

        Raises ModelNotInCatalogue, ValueError where the share is not above 0 and at most `MAX_SHARE`, and ModelRefused
        where the version is retired, is what `production` means, another canary is active, or, not forced, its skeleton
        is another one.
        """
        try:
            with self._database.transaction() as transaction:
                return self._begin(transaction, ref, share=share, by=by, limits=limits or Limits(), force=force)
        except IntegrityError:  # of two at once
            raise ModelRefused(f"{PRODUCTION} has a canary already; end it first.") from None

    def _begin(
        self, transaction: Transaction, ref: ModelRef, *, share: float, by: str, limits: Limits, force: bool
    ) -> Canary:
        version, base = find(transaction, ref, locked=True), resolve(transaction, PRODUCTION)
        if version.retired_at is not None:
            raise ModelRefused(f"{ref} is retired.")
        if base.ref == ref:
            raise ModelRefused(f"{ref} is {PRODUCTION} already.")
        if not force:
            check_comparable(version, base, PRODUCTION)
        other = active_row(transaction, PRODUCTION)
        if other is not None:
            raise ModelRefused(f"{other.model} is the canary of {PRODUCTION}; end it first.")
        canary = Canary(
            id=str(uuid4()),
            alias=PRODUCTION,
            model=ref,
            base=base.ref,
            share=share,
            limits=limits,
            started_at=shared_now(transaction, self._clock),
            started_by=by,
            forced=force,
        )
        transaction.add(
            CanaryRow(
                id=canary.id,
                alias=canary.alias,
                model=str(ref),
                base=str(base.ref),
                share=share,
                limits=limits.model_dump(),
                forced=force,
                started_at=canary.started_at,
                started_by=by,
            )
        )
        alias_moved(transaction, PRODUCTION)
        return canary

    def end(self, *, by: str, reason: str | None = None) -> Canary:
        """Everybody gets what `production` means again. Raises ModelRefused where there is none."""
        with self._database.transaction() as transaction:
            row = end_canary(transaction, PRODUCTION, by=by, reason=reason, now=shared_now(transaction, self._clock))
            if row is None:
                raise ModelRefused(f"{PRODUCTION} has no canary.")
            return canary_value(row)

    def active(self, alias: str = PRODUCTION) -> Canary | None:
        """The alias's canary."""
        with self._database.transaction(read_only=True) as transaction:
            row = active_row(transaction, alias)
            return None if row is None else canary_value(row)

    def list(self, model: str | None = None) -> tuple[Canary, ...]:
        """The newest first, at most `SHOWN`; of one `name@version` or of all."""
        row = CanaryRow
        rows = select(row).order_by(row.started_at.desc(), row.id).limit(SHOWN)
        with self._database.transaction(read_only=True) as transaction:
            found = transaction.scalars(rows if model is None else rows.where(row.model == model))
            return tuple(canary_value(one) for one in found)
