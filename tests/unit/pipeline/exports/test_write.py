"""The tables hold what the documents hold, and the same analysis gives the same bytes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import reports

from inference.poses_io import read_parquet
from models.documents import Event, Metric, Repetition
from models.requests import AnalysisOptions
from pipeline.exports.analysis import Exportable, exportable
from pipeline.exports.write import FORMATS, write_exports
from pipeline.measurements import Signal

POSES = reports.poses([0.0, 0.1, 0.2], unseen=[1])
READING = Metric(value=120.5, unit="deg", expected_error=8.0, sys=7.5, rand=3.0, status="measurable", n=1)
CLASS = Metric(value="flexor", unit="class", status="measurable", n=1)
RESULTS = reports.results(
    repetitions=[
        Repetition(
            index=0, start_s=0.0, end_s=0.2,
            events={"release": Event(time_s=0.2, half_width_s=0.01), "plant": Event(time_s=0.05, half_width_s=0.02)},
            steps=(Event(time_s=0.1, half_width_s=0.03),), metrics={"front_knee_min": READING, "knee_class": CLASS},
        )
    ]
)  # fmt: skip
SIGNAL = Signal(
    id="knee", label="Knee, left", unit="deg", times_s=np.array([0.0, 0.1]), values=np.array([170.0, np.nan])
)
ANALYSIS = Exportable(
    poses=POSES, results=RESULTS, signals=(SIGNAL,), options=AnalysisOptions(slowmo_factor=2.0), metres_per_pixel=None
)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_format_of_an_analysis(tmp_path: Path) -> None:
    written = write_exports(ANALYSIS, FORMATS, tmp_path)
    tables = ("poses", "signals", "metrics", "events")
    names = [f"{table}.{kind}" for kind in ("csv", "parquet") for table in tables]
    assert [path.name for path in written] == [*names, "keypoints.coco.json", "poses.trc"]
    assert sorted(written) == sorted(tmp_path.iterdir())


def test_of_poses_alone_there_are_no_results(tmp_path: Path) -> None:
    alone = exportable(POSES, None, AnalysisOptions())
    assert [path.name for path in write_exports(alone, ["trc", "csv", "trc"], tmp_path)] == ["poses.trc", "poses.csv"]


def test_the_metrics_of_the_clip_then_those_of_each_repetition(tmp_path: Path) -> None:
    write_exports(ANALYSIS, ["csv"], tmp_path)
    table = rows(tmp_path / "metrics.csv")
    assert [row["metric"] for row in table] == [*RESULTS.metrics, "front_knee_min", "knee_class"]
    assert [row["repetition"] for row in table[-2:]] == ["0", "0"]
    assert table[0] | {"label": ""} == {
        "repetition": "", "metric": "front_knee_min", "label": "", "value": "128.6", "class": "", "unit": "deg",
        "expected_error": "8.4", "sys": "8", "rand": "3", "status": "degraded", "reason": "30 frames a second",
        "n": "1", "spread": "",
    }  # fmt: skip
    assert (table[-1]["value"], table[-1]["class"]) == ("", "flexor")


def test_signals_and_events_over_both_clocks(tmp_path: Path) -> None:
    write_exports(ANALYSIS, ["csv"], tmp_path)
    first, second = rows(tmp_path / "signals.csv")
    assert (first["signal"], first["label"], first["unit"], first["value"]) == ("knee", "Knee, left", "deg", "170")
    assert (second["time_s"], second["real_time_s"], second["value"]) == ("0.1", "0.05", "")
    assert [(row["event"], row["time_s"]) for row in rows(tmp_path / "events.csv")] == [
        ("plant", "0.05"), ("step", "0.1"), ("release", "0.2"),
    ]  # fmt: skip


def test_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    write_exports(ANALYSIS, ["csv", "parquet"], tmp_path)
    for name in ("poses", "signals", "metrics", "events"):
        table = pq.read_table(tmp_path / f"{name}.parquet").to_pylist()
        told = rows(tmp_path / f"{name}.csv")
        assert [list(row) for row in table] == [list(row) for row in told]
        for row, text in zip(table, told, strict=True):
            for key, value in row.items():
                if isinstance(value, float):
                    assert np.float32(text[key]) == np.float32(value)
                else:
                    assert text[key] == ("" if value is None else str(value))
    back = read_parquet(tmp_path / "poses.parquet")
    np.testing.assert_array_equal(back.keypoints, POSES.keypoints)


def test_the_same_analysis_gives_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        contents.append([path.read_bytes() for path in write_exports(ANALYSIS, FORMATS, tmp_path / name)])
    assert contents[0] == contents[1]
