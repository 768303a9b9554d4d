"""A round that its process does not live to end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import pytest

from inference.errors import RuntimeBroken
from inference.extract import ExtractorOptions
from models.requests import AnalysisRequest
from pipeline.comparison.rounds import Case, run_rounds
from pipeline.stages import Limits


class Killer:
    """A clip whose very arrival ends the process that it is sent to."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


def test_the_death_of_a_round_has_a_code_and_names_the_model(tmp_path: Path) -> None:
    case = Case(name="clip", source=cast("Any", Killer()), request=AnalysisRequest(analysis_mode="bowling"))
    model = "net@1", ExtractorOptions(cache_dir=tmp_path)
    with pytest.raises(RuntimeBroken, match="net@1 died") as caught:
        run_rounds([case], model, model, Limits())
    assert caught.value.code == "runtime_broken"
