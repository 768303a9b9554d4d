"""A player's progress through HTTP: whose sessions count, what is compared, what is left out and why."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import quote

import pytest
import reports
from api_server import MP4_HEAD, Server, problem

from models.documents import Metric
from models.requests import Mode


def document(value: float | None, *, mode: Mode = "bowling", **changed: Any) -> dict[str, Any]:
    """Results with the front knee at a value ± 3° at random, from four deliveries."""
    known = None if value is None else math.sqrt(64 + 9 / 4)
    status = "not_measurable" if value is None else "measurable"
    knee = Metric(
        value=value, unit="deg", expected_error=known, sys=8, rand=3, n=0 if value is None else 4, status=status
    )
    made = reports.results(metrics={"front_knee_min": knee}).model_copy(
        update={"real_fps": 60.0, "mode": mode, **changed}
    )
    return made.model_dump(mode="json")


def analysed(server: Server, results: dict[str, Any], *, players: list[str], title: str = "Nets", deep: bool = True,
             session_id: str | None = None) -> tuple[str, str]:  # fmt: skip
    """A job that is done with these results: (session, job)."""
    if session_id is None:
        session_id = server.session(title=title, player_ids=players, session_type=results["mode"])
        server.jane.put(f"/sessions/{session_id}/video", content=MP4_HEAD).raise_for_status()
    wanted = {"analysis_mode": results["mode"], "deep_enabled": deep, "priority": 100}
    job = server.jane.post(f"/sessions/{session_id}/analysis-jobs", json=wanted).json()
    claimed = server.queue.claim("worker")
    while claimed is not None and claimed.id != job["id"]:  # what other tests left
        claimed = server.queue.claim("worker")
    assert claimed is not None
    quick = {"document": results | {"stage": "quick"}, "s3_key": f"sessions/{session_id}/quick.json"}
    if not deep:
        server.queue.finish(claimed.lease, stage="quick", **quick)
    else:
        server.queue.save_quick(claimed.lease, **quick)
        server.queue.start_deep(claimed.lease)
        server.queue.finish(claimed.lease, stage="deep", document=results, s3_key=f"sessions/{session_id}/deep.json")
    return session_id, job["id"]


def progress(server: Server, player: str, **asked: Any) -> dict[str, Any]:
    answer = server.jane.get(f"/players/{player}/progress", params=asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_the_same_metric_over_two_sessions(server: Server) -> None:
    first = analysed(server, document(130.0), players=["p"], title="Spring")
    second = analysed(server, document(141.0), players=["p"], title="Summer")
    told = progress(server, "p")
    (bowling,) = told["disciplines"]
    assert (told["player_id"], bowling["mode"], told["left_out"], told["older"]) == ("p", "bowling", [], False)
    assert [(one["session_id"], one["job_id"]) for one in bowling["sessions"]] == [first, second]
    assert [one["label"] for one in bowling["sessions"]] == ["Spring", "Summer"]
    made = server.jane.get(f"/sessions/{first[0]}").json()["created_at"]
    assert bowling["sessions"][0]["date"] == made[:10]
    (knee,) = bowling["metrics"]
    assert [point["value"] for point in knee["points"]] == [130.0, 141.0]
    # 2·√(3²/4 + 3²/4 + 2²) degrees
    assert (knee["overall"]["delta"], knee["overall"]["threshold"]) == (11.0, 5.831)
    assert knee["overall"]["verdict"] == "changed"


def test_recordings_that_differ_are_not_compared(server: Server) -> None:
    analysed(server, document(130.0), players=["p"])
    analysed(server, document(141.0, real_fps=30.0), players=["p"])
    (knee,) = progress(server, "p")["disciplines"][0]["metrics"]
    assert (knee["overall"]["verdict"], knee["overall"]["delta"]) == ("not_comparable", None)
    assert knee["overall"]["reasons"] == ["the real frame rates differ (60, 30 a second)"]


def test_the_last_job_of_a_session_counts_and_each_discipline_by_itself(server: Server) -> None:
    session, _ = analysed(server, document(130.0), players=["p"])
    _, again = analysed(server, document(133.0), players=["p"], session_id=session)
    analysed(server, document(120.0, mode="batting"), players=["p"])
    told = {one["mode"]: one for one in progress(server, "p")["disciplines"]}
    assert sorted(told) == ["batting", "bowling"]
    assert [one["job_id"] for one in told["bowling"]["sessions"]] == [again]
    assert told["bowling"]["metrics"][0]["points"][0]["value"] == 133.0
    assert told["bowling"]["metrics"][0]["overall"] is None
    assert [one["mode"] for one in progress(server, "p", mode="batting")["disciplines"]] == ["batting"]


def test_a_job_of_the_quick_pass_alone_counts_as_that(server: Server) -> None:
    analysed(server, document(130.0), players=["p"])
    analysed(server, document(131.0) | {"stage": "quick"}, players=["p"], deep=False)
    (knee,) = progress(server, "p")["disciplines"][0]["metrics"]
    assert knee["overall"]["reasons"] == ["one is of the quick pass alone"]


def test_of_several_players_nobody_knows_whom_the_results_show(server: Server) -> None:
    session, job = analysed(server, document(130.0), players=["p", "q"])
    told = progress(server, "q")
    assert told["disciplines"] == []
    assert [(one["session_id"], one["job_id"]) for one in told["left_out"]] == [(session, job)]
    assert "several players" in told["left_out"][0]["reason"]


def test_what_another_version_wrote_is_named_and_breaks_nothing(server: Server) -> None:
    _, unreadable = analysed(server, document(130.0) | {"a_field_of_later": 1}, players=["p"])
    _, readable = analysed(server, document(131.0), players=["p"])
    told = progress(server, "p")
    assert [one["job_id"] for one in told["disciplines"][0]["sessions"]] == [readable]
    assert [one["job_id"] for one in told["left_out"]] == [unreadable]
    assert "frontfoot rederive" in told["left_out"][0]["reason"]


def test_keypoints_of_every_frame_are_no_hindrance(server: Server) -> None:
    frames = {"keypoint_names": ["nose"], "frame_indices": [0], "timestamps_s": [0.0], "keypoints": [[[1.0, 2.0]]],
              "confidence": [[0.9]]}  # fmt: skip
    analysed(server, document(130.0) | {"frames": frames}, players=["p"])
    assert len(progress(server, "p")["disciplines"][0]["sessions"]) == 1


def test_the_newest_sessions_are_shown_and_that_there_are_others(server: Server) -> None:
    jobs = [analysed(server, document(value), players=["p"])[1] for value in (130.0, 131.0, 132.0)]
    told = progress(server, "p", limit=2)
    assert [one["job_id"] for one in told["disciplines"][0]["sessions"]] == jobs[1:]
    assert told["older"] is True
    assert progress(server, "p", limit=3)["older"] is False
    problem(server.jane.get("/players/p/progress", params={"limit": 1}), 422, "validation_failed")


@pytest.mark.parametrize("player", ["p/7 ä", '"p"', "p%", "%5B"])
def test_any_name_that_a_session_may_have_is_found_and_no_other(server: Server, player: str) -> None:
    server.session(player_ids=[player])
    analysed(server, document(130.0), players=["else", "pp"])
    asked = server.jane.build_request("GET", "/players/x/progress").url
    url = asked.copy_with(raw_path=asked.raw_path.replace(b"/x/", f"/{quote(player, safe='')}/".encode()))
    assert server.jane.get(url).json() == {"player_id": player, "disciplines": [], "left_out": [], "older": False}
    problem(server.jane.get("/players/nobody/progress"), 404, "not_found")
    problem(server.jane.get("/players/%00/progress"), 404, "not_found")


def test_a_player_of_somebody_else_is_not_found_though_both_name_one(server: Server) -> None:
    analysed(server, document(130.0), players=["p"])
    problem(server.lions.get("/players/p/progress"), 404, "not_found")
    server.lions.post("/sessions", json={"title": "Theirs", "session_type": "bowling", "player_ids": ["p"]})
    theirs = server.lions.get("/players/p/progress").json()
    assert (theirs["disciplines"], theirs["left_out"]) == ([], [])
