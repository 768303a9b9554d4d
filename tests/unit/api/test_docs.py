"""`docs/api.md` lists what the code has: error codes and metrics."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from api.metrics import ApiMetrics
from api.problems import STATUS_AND_TITLE
from frontfoot.metrics import BacklogCollector
from inference.actor import ActorStatus
from inference.batcher import BatchStats
from inference.poses import ModelInfo
from models.backlog import UNFINISHED, Backlog
from pipeline.metrics import WorkerMetrics

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()

BUSY = ActorStatus(
    model=ModelInfo(name="m", version="1", sha256="0", backend="torch", precision="fp32", runtime="torch 2 cpu"),
    clips=1,
    batches=BatchStats(batches=1, frames=8, room=8, infer_s=0.5, thread_s=1.0),
)
"""Some metrics are absent before the first batch."""


def test_every_error_code_is_listed_with_its_status() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (\d{3}) \| (.+) \|$", PAGE, re.MULTILINE)
    assert {code: (int(status), title) for code, status, title in listed} == dict(STATUS_AND_TITLE)
    assert len(listed) == len(STATUS_AND_TITLE)


def test_every_metric_is_listed() -> None:
    registry = CollectorRegistry()
    ApiMetrics(registry).watch_waiting(lambda: 0)
    WorkerMetrics(registry).observe_actors([BUSY])
    registry.register(BacklogCollector(lambda: Backlog(jobs=dict.fromkeys(UNFINISHED, 0), oldest_ready_s=0)))
    shown = {f"{family.name}_total" if family.type == "counter" else family.name for family in registry.collect()}
    assert set(re.findall(r"`(frontfoot_[a-z_]+)[`{]", PAGE)) == shown
