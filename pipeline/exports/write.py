"""The one door out of this room: an analysis → files in the formats asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from inference.poses_io import poses_table
from pipeline.exports.analysis import Exportable
from pipeline.exports.coco import coco_document
from pipeline.exports.tables import events_table, metrics_table, signals_table
from pipeline.exports.trc import trc_text

Format = Literal["csv", "parquet", "coco", "trc"]
FORMATS: tuple[Format, ...] = get_args(Format)


def write_exports(analysis: Exportable, formats: Iterable[Format], out: Path) -> list[Path]:
    """Write the files of these formats into the folder `out`, which must exist, and return their paths in order.

    The same analysis gives the same bytes. csv and parquet are one file a table: poses, and of an analysis with results
    also signals, metrics and events. coco is `keypoints.coco.json`, trc is `poses.trc`.
    """
    written: list[Path] = []
    for wanted in dict.fromkeys(formats):
        if wanted == "coco":
            path = out / "keypoints.coco.json"
            path.write_text(json.dumps(coco_document(analysis.poses), allow_nan=False) + "\n", encoding="utf-8")
            written.append(path)
        elif wanted == "trc":
            path = out / "poses.trc"
            path.write_text(_trc(analysis, path.name), encoding="utf-8")
            written.append(path)
        else:
            written += [_write_table(table, out / f"{name}.{wanted}", wanted) for name, table in _tables(analysis)]
    return written


def _trc(analysis: Exportable, name: str) -> str:
    return trc_text(
        analysis.poses,
        slowmo_factor=analysis.options.slowmo_factor,
        metres_per_pixel=analysis.metres_per_pixel,
        name=name,
    )


def _tables(analysis: Exportable) -> list[tuple[str, pa.Table]]:
    tables = [("poses", poses_table(analysis.poses))]
    results = analysis.results
    if results is not None:
        tables += [
            ("signals", signals_table(analysis.signals, analysis.options.slowmo_factor, results)),
            ("metrics", metrics_table(results)),
            ("events", events_table(results)),
        ]
    return tables


def _write_table(table: pa.Table, path: Path, kind: Literal["csv", "parquet"]) -> Path:
    if kind == "parquet":
        pyarrow.parquet.write_table(table, path, compression="zstd")
    else:
        plain = [
            column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column for column in table.columns
        ]
        pyarrow.csv.write_csv(pa.table(plain, names=table.column_names), path)
    return path
