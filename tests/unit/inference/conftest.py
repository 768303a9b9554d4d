"""Clips made on the spot, for the tests of what reads them; and one cache of converted weights for all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from clips import Recipe, make

MakeClip = Callable[..., Path]


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """`make_clip(codec="libx265", frames=10)` → a new file; the name says nothing about what is in it."""

    def build(**recipe: object) -> Path:
        return make(tmp_path / f"clip{len(list(tmp_path.iterdir()))}.bin", Recipe(**recipe))

    return build


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the weights are converted by whoever needs them first."""
    return tmp_path_factory.mktemp("models")
