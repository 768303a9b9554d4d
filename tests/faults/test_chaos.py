"""A minute of chaos; `make chaos` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos import Plan, run


@pytest.mark.ray
@pytest.mark.model
def test_a_minute_of_chaos_loses_doubles_and_mixes_up_nothing(
    tmp_path: Path, model_cache: Path, sample_clip: Path
) -> None:
    plan = Plan(jobs=12, workers=1, calm_s=(1.5, 4.0), faults=7, seed=11)
    account = run(plan, tmp_path, model_cache, sample_clip)
    assert account["done"] == 12
    assert sum(account["faults"].values()) == 7, account
