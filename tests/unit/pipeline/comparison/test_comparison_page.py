"""The page of a comparison made by hand, its stills cut from a clip that the test makes."""

from __future__ import annotations

from pathlib import Path

import clips
import reports
from comparing import POSES, exchanged, extraction

from pipeline.comparison.differences import Failed, Outcome, compared
from pipeline.comparison.documents import ComparisonDocument, RoundDocument
from pipeline.comparison.page import build_page
from pipeline.comparison.pictures import draw_pairs, wanted_rows
from pipeline.rendering.render import AnalysedClip, RenderLimits


def test_what_flips_stands_on_the_page_with_stills_of_both(tmp_path: Path) -> None:
    clip = clips.make(tmp_path / "clip.mp4")
    one = Outcome(extraction=extraction(POSES), results=reports.results())
    new = reports.FINDING.model_copy(update={"id": "new", "title": "<b>Head falls</b>"})
    other = Outcome(extraction=extraction(exchanged(slice(0, 30))), results=reports.results(findings=(new,)))
    found = compared("net", "bowling", one, other)
    assert found.diff is not None
    rows = wanted_rows(found.diff, one.results, other.results, POSES)
    assert rows == {"run_up_slows": 6, "new": 6}
    pairs = draw_pairs(AnalysedClip(path=clip, poses=POSES, limits=RenderLimits()), other.extraction.poses, rows)
    assert pairs["new"].a.jpeg != pairs["new"].b.jpeg
    document = ComparisonDocument(
        a="net@1",
        b="net@2",
        code_version="1",
        clips=(found, compared("gone", "bowling", one, Failed(code="no_person"))),
        rounds=tuple(RoundDocument(model=f"net@{n}", seconds=n, frames=30, peak_mib=200) for n in (1, 2)),
    )
    page = build_page(document, {"net": pairs})
    assert page.count("data:image/jpeg") == 4
    assert "2 findings would differ" in page
    assert "Findings that appear, vanish or change <small>flips</small></th><td>2<" in page
    assert ">appears<" in page
    assert ">vanishes<" in page
    assert "<b>Head" not in page
    assert "net@2 could not analyse it: no_person." in page
