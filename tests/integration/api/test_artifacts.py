"""What an analysis leaves, read back over HTTP."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api_server import DOCUMENT, FILES, MISSING_ID, Served, Server, problem

from api.signing import signed_link
from models.folder import FolderStore
from models.jobs import Owner


def finished(server: Server, *, deep: bool = True) -> dict[str, Any]:
    """A job that a worker took, with its files in the store, read back over HTTP."""
    job = server.submitted(deep_enabled=deep)
    claimed = server.queue.claim("worker-1")
    while claimed is not None and claimed.id != job["id"]:  # what other tests left
        claimed = server.queue.claim("worker-1")
    assert claimed is not None
    folder = f"{job['s3_key'].rpartition('/')[0]}/analysis/{job['id']}/{claimed.attempt}"
    for name, content in FILES.items():
        server.store.put_bytes(job["s3_bucket"], f"{folder}/{name}", content)
    quick, last = f"{folder}/quick_results.json", f"{folder}/deep_results.json"
    if deep:
        server.queue.save_quick(claimed.lease, document=DOCUMENT, s3_key=quick)
        server.queue.start_deep(claimed.lease)
        server.queue.finish(claimed.lease, stage="deep", document=DOCUMENT, s3_key=last)
    else:
        server.queue.finish(claimed.lease, stage="quick", document=DOCUMENT, s3_key=quick)
    read: dict[str, Any] = server.jane.get(f"/analysis-jobs/{job['id']}").json()
    return read


def test_findings_and_reports_are_at_the_top_level(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="api")
    job = finished(server)
    assert (job["status"], job["stage"], job["progress_pct"]) == ("done", "DONE", 100)
    for stage in ("quick", "deep"):
        assert job[f"{stage}_findings"] == DOCUMENT["findings"]
        assert job[f"{stage}_report"] == DOCUMENT["report"]
        assert job[f"{stage}_results_s3_key"].endswith(f"/analysis/{job['id']}/1/{stage}_results.json")
        assert f"{stage}_results" not in job
    assert "Response includes deep_findings and deep_report fields" in caplog.messages
    whole = server.jane.get(f"/analysis-jobs/{job['id']}", params={"include": "results"}).json()
    assert whole == job | {
        "quick_results": DOCUMENT,
        "deep_results": DOCUMENT,
        "results": {"quick": DOCUMENT, "deep": DOCUMENT},
    }
    problem(server.jane.get(f"/analysis-jobs/{job['id']}", params={"include": "secrets"}), 422, "validation_failed")
    problem(server.jane.post(f"/analysis-jobs/{job['id']}/cancel"), 409, "invalid_state")


def test_a_quick_only_job_has_no_deep_words(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="api")
    job = finished(server, deep=False)
    assert job["status"] == "done"
    assert job["quick_report"] == DOCUMENT["report"]
    assert job["deep_findings"] is job["deep_report"] is None
    assert not any("deep_findings" in message for message in caplog.messages)
    assert {artifact["name"] for artifact in artifacts(server, job)} == set(FILES) - {"deep_results.json"}


def artifacts(server: Server, job: dict[str, Any]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = server.jane.get(f"/analysis-jobs/{job['id']}/artifacts").json()["artifacts"]
    return listed


def test_artifacts_are_listed_and_fetched(server: Server) -> None:
    job = finished(server)
    listed = {artifact["name"]: artifact for artifact in artifacts(server, job)}
    assert set(listed) == set(FILES)
    for name, content in FILES.items():
        path = f"/analysis-jobs/{job['id']}/artifacts/{name}"
        answer = server.jane.get(path)
        assert answer.content == content
        assert listed[name]["size_bytes"] == len(content) == int(answer.headers["content-length"])
        assert answer.headers["content-type"] == listed[name]["media_type"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert f'filename="{name}"' in answer.headers["content-disposition"]
        problem(server.lions.get(path), 404, "not_found")
    report = server.jane.get(f"/analysis-jobs/{job['id']}/artifacts/report.html")
    assert "default-src 'none'" in report.headers["content-security-policy"]
    assert report.headers["content-security-policy"].endswith("sandbox allow-scripts"), "in an origin of its own"
    problem(server.lions.get(f"/analysis-jobs/{job['id']}/artifacts"), 404, "not_found")


def test_a_link_needs_no_token(server: Server) -> None:
    before = datetime.now(UTC)
    with httpx.Client(trust_env=False) as anybody:
        for artifact in artifacts(server, finished(server)):
            url, content = httpx.URL(server.url).join(artifact["url"]), FILES[artifact["name"]]
            answer = anybody.get(url)
            assert answer.status_code == 200, answer.text
            assert answer.content == content
            assert answer.headers["content-type"] == artifact["media_type"]
            shown_in_place = artifact["name"] in {"report.html", "report.pdf", "overlay.mp4"}
            kind, _, name = answer.headers["content-disposition"].partition("; ")
            assert (kind, name) == ("inline" if shown_in_place else "attachment", f'filename="{artifact["name"]}"')
            part = anybody.get(url, headers={"Range": "bytes=5-9"})
            assert (part.status_code, part.content) == (206, content[5:10])
            assert part.headers["content-range"] == f"bytes 5-9/{len(content)}"
            expires_at = datetime.fromisoformat(artifact["expires_at"])
            assert timedelta(seconds=3500) < expires_at - before < timedelta(seconds=3700)


def test_a_link_of_ours_lets_into_one_file_for_a_while(server: Server, served: Served) -> None:
    if not isinstance(server.store, FolderStore):
        pytest.skip("the store's own links are the store's business")
    job = finished(server)
    listed = {artifact["name"]: artifact["url"] for artifact in artifacts(server, job)}
    report = httpx.URL(listed["report.html"])
    secret = served.app.state.services.secrets.get(Owner(owner_type="coach", owner_id=job["owner_id"]), "links")
    expired = signed_link(secret, "artifact", report.path, expires=int(time.time()) - 1)
    with httpx.Client(base_url=server.url, trust_env=False) as anybody:
        whole = anybody.head(report)
        assert (whole.status_code, whole.content) == (200, b"")
        assert int(whole.headers["content-length"]) == len(FILES["report.html"])
        assert whole.headers["referrer-policy"] == "no-referrer"
        problem(anybody.get(expired), 403, "link_expired")
        for wrong in (
            report.copy_set_param("expires", int(report.params["expires"]) + 60),
            report.copy_set_param("signature", "A" * 43),
            report.copy_set_param("signature", "ä"),
            report.copy_with(path=report.path.replace("report.html", "overlay.mp4")),
            report.copy_with(path=report.path.replace(job["id"], finished(server)["id"])),
            report.copy_with(path=report.path.replace(job["id"], MISSING_ID)),
        ):
            problem(anybody.get(wrong), 404, "not_found")
        problem(anybody.get(report.copy_remove_param("signature")), 401, "unauthorized")
        problem(anybody.get(report.copy_set_param("expires", "soon")), 422, "validation_failed")
        served.app.state.services.secrets.rotate(Owner(owner_type="coach", owner_id=job["owner_id"]), "links")
        problem(anybody.get(report), 404, "not_found")


@pytest.mark.parametrize(
    "name", ["results.json", "..%2Fquick_results.json", "%2e%2e", "report.html%00", "source.mp4", "REPORT.HTML"]
)
def test_only_known_names_are_ever_looked_up(server: Server, name: str) -> None:
    job = finished(server)
    problem(server.jane.get(f"/analysis-jobs/{job['id']}/artifacts/{name}"), 404, "not_found")


def test_a_browser_can_seek_in_the_overlay(server: Server) -> None:
    url = f"/analysis-jobs/{finished(server)['id']}/artifacts/overlay.mp4"
    content = FILES["overlay.mp4"]
    whole = server.jane.get(url)
    assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
    for header, part in [("bytes=0-99", content[:100]), ("bytes=5000-", content[5000:]), ("bytes=-7", content[-7:])]:
        answer = server.jane.get(url, headers={"Range": header})
        assert answer.status_code == 206
        assert answer.content == part
        first = content.index(part) if header != "bytes=-7" else len(content) - 7
        assert answer.headers["content-range"] == f"bytes {first}-{first + len(part) - 1}/{len(content)}"
    behind = server.jane.get(url, headers={"Range": f"bytes={len(content)}-"})
    problem(behind, 416, "range_not_satisfiable")
    assert behind.headers["content-range"] == f"bytes */{len(content)}"
    etag = whole.headers["etag"]
    assert server.jane.get(url, headers={"If-None-Match": etag}).status_code == 304
    changed = server.jane.get(url, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
    assert (changed.status_code, changed.content) == (200, content)
    same = server.jane.get(url, headers={"Range": "bytes=0-9", "If-Range": etag})
    assert (same.status_code, same.content) == (206, content[:10])


def test_nothing_half_written_is_shown(server: Server) -> None:
    """Files are stored before the row says so; until it does they are nobody's."""
    job = server.submitted()
    folder = f"{job['s3_key'].rpartition('/')[0]}/analysis/{job['id']}/1"
    for name, content in FILES.items():
        server.store.put_bytes(job["s3_bucket"], f"{folder}/{name}", content)
    assert artifacts(server, job) == []
    problem(server.jane.get(f"/analysis-jobs/{job['id']}/artifacts/report.html"), 404, "not_found")
