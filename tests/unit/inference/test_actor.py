"""What of an actor needs no Ray."""

from __future__ import annotations

from pathlib import Path

from inference.actor import PoseActor
from inference.extract import ExtractorOptions

SCORE = Path("/proc/self/oom_score_adj")


def test_the_kernel_may_end_an_actor_before_others_until_it_has_had_a_clip(tmp_path: Path) -> None:
    before = SCORE.read_text()
    actor = PoseActor(ExtractorOptions(model="none-such", cache_dir=tmp_path))
    assert int(SCORE.read_text()) == 1000
    actor._enter("clip")
    assert SCORE.read_text() == before
