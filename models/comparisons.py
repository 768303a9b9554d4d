"""Recorded comparisons of two model versions: what a promotion refers to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session as Transaction

from models.catalogue_tables import ModelComparisonRow
from models.database import Database
from models.model_versions import ModelRef
from models.promotion import Totals
from models.sessions import utc_now


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedComparison:
    """One comparison in a few numbers."""

    id: str
    a: ModelRef
    b: ModelRef
    totals: Totals
    compared_by: str
    compared_at: datetime


class Comparisons:
    """Written once each, and never changed."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._now = clock

    def record(self, a: ModelRef, b: ModelRef, totals: Totals, *, by: str) -> RecordedComparison:
        """Keep what a comparison came to."""
        row = ModelComparisonRow(
            id=str(uuid4()), a=str(a), b=str(b), totals=totals.model_dump(), compared_by=by, compared_at=self._now()
        )
        with self._database.transaction() as transaction:
            transaction.add(row)
        return _value(row)

    def newest(self, a: ModelRef, b: ModelRef) -> RecordedComparison | None:
        """The last one of these two, in this order."""
        with self._database.transaction(read_only=True) as transaction:
            return newest_comparison(transaction, a, b)


def newest_comparison(transaction: Transaction, a: ModelRef, b: ModelRef) -> RecordedComparison | None:
    """See `Comparisons.newest`; within a transaction, for whoever promotes."""
    row = ModelComparisonRow
    wanted = select(row).where(row.a == str(a), row.b == str(b)).order_by(row.compared_at.desc(), row.id).limit(1)
    found = transaction.scalar(wanted)
    return None if found is None else _value(found)


def _value(row: ModelComparisonRow) -> RecordedComparison:
    return RecordedComparison(
        id=row.id,
        a=ModelRef.parse(row.a),
        b=ModelRef.parse(row.b),
        totals=Totals.model_validate(row.totals),
        compared_by=row.compared_by,
        compared_at=row.compared_at,
    )
