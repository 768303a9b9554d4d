"""Signals, metrics and events as tidy tables; null where there is no number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version

import numpy as np
import pyarrow as pa

from models.documents import Metric, Results
from pipeline.measurements import Signal

_METADATA_KEY = b"frontfoot"


def _schema(**types: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in types.items()])


_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int32()

METRICS = _schema(
    repetition=_COUNT, metric=_TEXT, label=_TEXT, value=_NUMBER, **{"class": _TEXT}, unit=_TEXT, expected_error=_NUMBER,
    sys=_NUMBER, rand=_NUMBER, status=_TEXT, reason=_TEXT, n=_COUNT, spread=_NUMBER,
)  # fmt: skip
"""`repetition` is null in the rows about the whole clip; `class` holds the value where the unit is `class`."""

EVENTS = _schema(repetition=_COUNT, event=_TEXT, time_s=_NUMBER, half_width_s=_NUMBER)

SIGNALS = _schema(signal=_TEXT, label=_TEXT, unit=_TEXT, time_s=_NUMBER, real_time_s=_NUMBER, value=_NUMBER)
"""`time_s` is the clip's clock, `real_time_s` the athlete's, with slow motion undone."""


def signals_table(signals: Sequence[Signal], slowmo_factor: float, results: Results) -> pa.Table:
    """One row a signal and frame, filtered and in the metrics' units."""
    columns: dict[str, list[object]] = {name: [] for name in SIGNALS.names}
    for signal in signals:
        count = len(signal.times_s)
        for name, text in (("signal", signal.id), ("label", signal.label), ("unit", signal.unit)):
            columns[name] += [text] * count
        columns["time_s"] += signal.times_s.tolist()
        columns["real_time_s"] += (signal.times_s / slowmo_factor).tolist()
        columns["value"] += [None if np.isnan(value) else value for value in signal.values.tolist()]
    # Signals are no part of the results: they come from the version that exports.
    return _table(columns, SIGNALS, results, code_version=version("frontfoot"))


def metrics_table(results: Results) -> pa.Table:
    """One row a metric of the whole clip, then one a metric of each repetition."""
    rows = list(_metric_rows(None, results.metrics))
    for repetition in results.repetitions:
        rows += _metric_rows(repetition.index, repetition.metrics)
    columns = {name: [row[place] for row in rows] for place, name in enumerate(METRICS.names)}
    return _table(columns, METRICS, results)


def events_table(results: Results) -> pa.Table:
    """One row an event of each repetition, steps among them, in the order of time."""
    rows = sorted(
        (repetition.index, event.time_s, name, event.half_width_s)
        for repetition in results.repetitions
        for name, event in (*repetition.events.items(), *(("step", step) for step in repetition.steps))
    )
    columns: dict[str, list[object]] = {
        "repetition": [row[0] for row in rows],
        "event": [row[2] for row in rows],
        "time_s": [row[1] for row in rows],
        "half_width_s": [row[3] for row in rows],
    }
    return _table(columns, EVENTS, results)


def _metric_rows(repetition: int | None, metrics: dict[str, Metric]) -> Iterator[tuple[object, ...]]:
    for name, metric in metrics.items():
        classified = isinstance(metric.value, str)
        yield (
            repetition, name, metric.label, None if classified else metric.value, metric.value if classified else None,
            metric.unit, metric.expected_error, metric.sys, metric.rand, metric.status, metric.reason, metric.n,
            metric.spread,
        )  # fmt: skip


def _table(
    columns: dict[str, list[object]], schema: pa.Schema, results: Results, code_version: str | None = None
) -> pa.Table:
    said = {
        "code_version": code_version or results.code_version,
        "mode": results.mode,
        "view": results.view.value,
        "clip_sha256": results.clip.sha256,
        "model_sha256": results.model.sha256,
    }
    metadata = {_METADATA_KEY: json.dumps(said, sort_keys=True).encode()}
    return pa.table(columns, schema=schema.with_metadata(metadata))
