"""A caller's own rules at the door: taken with the job, or refused with the line that is wrong."""

from __future__ import annotations

import hashlib
import json

from api_server import Server, problem

CLUB = """name = "club"
version = 3
extends = "frontfoot"
disable = ["bowling_foot_line"]
mode = "bowling"

[[rule]]
id = "bowling_head_sideways"
finding = 14
"""


def asked(text: str, name: str = "club.toml") -> dict[str, object]:
    return {"analysis_mode": "bowling", "options": {"rules": {"files": [{"name": name, "text": text}]}}}


def test_own_rules_are_kept_with_the_job_and_shown_by_their_checksum(server: Server) -> None:
    answer = server.jane.post(f"/sessions/{server.session()}/analysis-jobs", json=asked(CLUB))
    assert answer.status_code == 201, answer.text
    shown = {"files": [{"name": "club.toml", "sha256": hashlib.sha256(CLUB.encode()).hexdigest()}]}
    job = answer.json()
    assert job["options"]["rules"] == shown
    assert server.jane.get(f"/analysis-jobs/{job['id']}").json()["options"]["rules"] == shown
    assert server.jane.get("/analysis-jobs").json()["jobs"][0]["options"]["rules"] == shown


def test_bad_rules_are_refused_with_every_fault_and_its_line(server: Server) -> None:
    bad = CLUB.replace("finding = 14", 'finding = "far"\nstep = 0')
    answer = server.jane.post(f"/sessions/{server.session()}/analysis-jobs", json=asked(bad))
    document = problem(answer, 422, "rules_invalid")
    faults = [(error["field"], error["code"], error["detail"].partition(" ")[0]) for error in document["errors"]]
    assert faults == [
        ("options.rules", "rules_invalid", "club.toml:9:"),
        ("options.rules", "rules_invalid", "club.toml:10:"),
    ]
    assert server.jane.get("/analysis-jobs").json()["jobs"] == []


def test_rules_that_are_too_large_or_no_file_are_no_valid_request(server: Server) -> None:
    session = server.session()
    for body in (asked("x" * 65_537), asked(CLUB, name="../club.toml"), asked(CLUB, name="club.txt"), asked("")):
        problem(server.jane.post(f"/sessions/{session}/analysis-jobs", json=body), 422, "validation_failed")


def test_a_line_of_a_batch_with_bad_rules_is_rejected_alone(server: Server) -> None:
    session = server.session()
    lines = [asked(CLUB) | {"session_id": session}, asked("name = 1") | {"session_id": session}]
    answer = server.jane.post(
        "/analysis-jobs/bulk",
        content="".join(f"{json.dumps(line)}\n" for line in lines),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 202
    (rejected,) = answer.json()["rejected"]
    assert (rejected["line"], rejected["code"]) == (2, "rules_invalid")
    assert "club.toml:1: name" in rejected["detail"]
