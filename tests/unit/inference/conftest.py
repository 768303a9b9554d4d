"""Clips made on the spot, for the tests of what reads them."""

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
