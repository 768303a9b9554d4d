"""A video by a link that needs no token: on S3 its own, on the folder store ours, to the same effect."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from api_server import MAX_UPLOAD, MIB, MISSING_ID, MP4_HEAD, PREFIX, Served, Server, problem, stored, video

from api.signing import signed_link
from models import s3
from models.folder import FolderStore

CLIP = MP4_HEAD + bytes(range(256)) * 64
SHA256 = hashlib.sha256(CLIP).hexdigest()


@pytest.fixture
def web() -> Iterator[httpx.Client]:
    """Somebody without a token."""
    with httpx.Client(trust_env=False, timeout=20) as client:
        yield client


def initiated(server: Server, session_id: str, content: bytes = CLIP, **fields: Any) -> dict[str, Any]:
    body = {"session_id": session_id, "size_bytes": len(content)} | fields
    answer = server.jane.post("/videos/upload/initiate", json=body)
    assert answer.status_code == 201, answer.text
    ticket: dict[str, Any] = answer.json()
    return ticket


def sent(server: Server, web: httpx.Client, ticket: dict[str, Any], content: bytes = CLIP) -> httpx.Response:
    return web.put(urljoin(server.url, ticket["url"]), content=content, headers=ticket["headers"])


def complete(server: Server, ticket: dict[str, Any], **fields: Any) -> httpx.Response:
    return server.jane.post("/videos/upload/complete", json={"upload_id": ticket["upload_id"]} | fields)


class TestOnePut:
    @pytest.mark.parametrize("announced", [{}, {"sha256": SHA256}, {"sha256": SHA256.upper()}])
    def test_the_video_becomes_the_sessions(self, server: Server, web: httpx.Client, announced: dict[str, str]) -> None:
        session_id = server.session()
        job = server.jane.post(f"/sessions/{session_id}/analysis-jobs", json={"analysis_mode": "bowling"}).json()
        ticket = initiated(server, session_id, content_type="video/mp4", filename="C:\\nets.MP4", **announced)
        assert (ticket["method"], ticket["parts"]) == ("PUT", None)
        assert sent(server, web, ticket).is_success
        assert server.jane.get(f"/sessions/{session_id}").json()["status"] == "pending"
        answer = complete(server, ticket)
        assert answer.status_code == 200, answer.text
        session = answer.json()
        assert (session["id"], session["status"], session["file_size_bytes"]) == (session_id, "uploaded", len(CLIP))
        assert session["s3_key"].startswith(f"sessions/{session_id}/source/")
        assert session["s3_key"].endswith(".mp4")
        assert stored(server.store, session["s3_key"]) == CLIP
        queued = server.jane.get(f"/analysis-jobs/{job['id']}").json()
        assert (queued["status"], queued["s3_key"]) == ("queued", session["s3_key"])

    def test_a_repeated_complete_answers_the_same(self, server: Server, web: httpx.Client) -> None:
        ticket = initiated(server, server.session())
        sent(server, web, ticket)
        assert complete(server, ticket).json() == complete(server, ticket).json()

    def test_nothing_is_sent_twice(self, server: Server, web: httpx.Client) -> None:
        ticket = initiated(server, server.session())
        for _ in range(2):
            sent(server, web, ticket)
            again = sent(server, web, ticket, CLIP[::-1])
            assert again.status_code in {409, 412}  # ours, S3's
            session = complete(server, ticket).json()
        assert stored(server.store, session["s3_key"]) == CLIP

    def test_another_size_or_checksum_is_not_taken(self, server: Server, web: httpx.Client) -> None:
        ticket = initiated(server, server.session(), sha256=SHA256)
        for content in (CLIP + b"!", CLIP[:-1], CLIP[::-1]):
            assert 400 <= sent(server, web, ticket, content).status_code < 500
        document = problem(complete(server, ticket), 409, "upload_invalid")
        assert "Nothing has arrived yet" in document["detail"]
        assert sent(server, web, ticket).is_success
        assert complete(server, ticket).status_code == 200

    def test_what_is_no_video_is_said_so_and_not_kept(self, server: Server, web: httpx.Client) -> None:
        session_id, playlist = server.session(), b"#EXTM3U\n" + bytes(100)
        ticket = initiated(server, session_id, playlist, content_type="video/mp4")
        assert sent(server, web, ticket, playlist).is_success
        document = problem(complete(server, ticket), 409, "upload_invalid")
        assert "MP4" in document["detail"]
        problem(complete(server, ticket), 404, "not_found")
        assert server.jane.get(f"/sessions/{session_id}").json()["status"] == "pending"

    def test_what_came_by_another_way_than_announced(self, server: Server) -> None:
        """Behind the link's back, as a store would let it that checks nothing."""
        for content, fault in ((CLIP + b"!", "were announced"), (CLIP[:-1] + b"!", "SHA-256")):
            session_id = server.session()
            ticket = initiated(server, session_id, sha256=SHA256)
            key = f"sessions/{session_id}/source/{ticket['upload_id']}"
            server.store.put_bytes(server.store.bucket, key, content)
            assert fault in problem(complete(server, ticket), 409, "upload_invalid")["detail"]

    def test_it_is_nobody_elses(self, server: Server, web: httpx.Client) -> None:
        session_id = server.session()
        body = {"session_id": session_id, "size_bytes": 9}
        problem(server.lions.post("/videos/upload/initiate", json=body), 404, "not_found")
        ticket = initiated(server, session_id)
        sent(server, web, ticket)
        answer = server.lions.post("/videos/upload/complete", json={"upload_id": ticket["upload_id"]})
        problem(answer, 404, "not_found")
        assert server.jane.get(f"/sessions/{session_id}").json()["status"] == "pending"

    @pytest.mark.parametrize(
        ("fields", "status", "code"),
        [
            ({"size_bytes": MAX_UPLOAD + 1}, 413, "upload_too_large"),
            ({"size_bytes": 0}, 422, "validation_failed"),
            ({"sha256": "abc"}, 422, "validation_failed"),
            ({"session_id": MISSING_ID}, 404, "not_found"),
            ({"key": "sessions/other"}, 422, "validation_failed"),
        ],
    )
    def test_what_cannot_begin(self, server: Server, fields: dict[str, Any], status: int, code: str) -> None:
        body = {"session_id": server.session(), "size_bytes": 9} | fields
        problem(server.jane.post("/videos/upload/initiate", json=body), status, code)


class TestOwnLink:
    """What S3 does by itself."""

    @pytest.fixture
    def ticket(self, server: Server) -> dict[str, Any]:
        if not isinstance(server.store, FolderStore):
            pytest.skip("S3 has links of its own")
        return initiated(server, server.session())

    def test_only_what_was_signed_lets_in(self, server: Server, web: httpx.Client, ticket: dict[str, Any]) -> None:
        url = urljoin(server.url, ticket["url"])
        query = dict(httpx.QueryParams(urlsplit(url).query))
        other = initiated(server, server.session())
        path = f"{server.url}{PREFIX}/videos/upload/{other['upload_id']}/content"
        for changed in (
            web.put(url, params=query | {"expires": str(int(query["expires"]) + 1)}, content=CLIP),
            web.put(url, params=query | {"signature": "0" * 64}, content=CLIP),
            web.put(path, params=query, content=CLIP),
            web.put(path.replace(other["upload_id"], MISSING_ID), params=query, content=CLIP),
        ):
            problem(changed, 404, "not_found")
        problem(web.put(url.partition("?")[0], content=CLIP), 422, "validation_failed")
        assert web.put(url, content=CLIP).status_code == 204

    def test_after_its_time_it_lets_in_nobody(
        self, server: Server, served: Served, web: httpx.Client, ticket: dict[str, Any]
    ) -> None:
        services = served.app.state.services
        secret = services.secrets.get(services.uploads.find(ticket["upload_id"]).owner, "links")
        path = urlsplit(ticket["url"]).path
        late = web.put(server.url + signed_link(secret, "upload", path, expires=1), content=CLIP)
        problem(late, 403, "link_expired")
        other = web.put(server.url + signed_link(secret, "artifact", path, expires=2**39), content=CLIP)
        problem(other, 404, "not_found")

    def test_a_slower_one_beside_it_changes_nothing(
        self, server: Server, web: httpx.Client, ticket: dict[str, Any]
    ) -> None:
        def dripping() -> Iterator[bytes]:
            yield CLIP[:8]
            assert sent(server, web, ticket).is_success
            assert complete(server, ticket).status_code == 200
            yield bytes(len(CLIP) - 8)

        with httpx.Client(trust_env=False) as slow:
            problem(slow.put(urljoin(server.url, ticket["url"]), content=dripping()), 409, "invalid_state")
        session = server.jane.get(f"/sessions/{ticket['session_id']}").json()
        assert stored(server.store, session["s3_key"]) == CLIP

    def test_more_than_announced_is_cut_off(self, server: Server, web: httpx.Client, ticket: dict[str, Any]) -> None:
        answer = web.put(urljoin(server.url, ticket["url"]), content=video(len(CLIP) + 1))
        problem(answer, 413, "upload_too_large")
        assert sent(server, web, ticket).is_success


class TestParts:
    """Only S3 wants them: a folder takes a big file in one PUT."""

    def test_a_big_video(self, server: Server, web: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(s3, "LINKED_PART_BYTES", 5 * MIB)
        content = MP4_HEAD + bytes(5 * MIB + 1000)
        for named in (True, False):
            ticket = initiated(server, server.session(), content, sha256=hashlib.sha256(content).hexdigest())
            if isinstance(server.store, FolderStore):
                assert ticket["parts"] is None
                assert sent(server, web, ticket, content).is_success
                etags = None
            else:
                assert ticket["url"] is None
                assert [part["size_bytes"] for part in ticket["parts"]] == [5 * MIB, len(content) - 5 * MIB]
                problem(complete(server, ticket), 409, "upload_invalid")
                etags, start = [], 0
                for part in ticket["parts"]:
                    piece = content[start : start + part["size_bytes"]]
                    start += len(piece)
                    answer = web.put(part["url"], content=piece, headers=ticket["headers"])
                    etags.append({"number": part["number"], "etag": answer.headers["etag"]})
                wrong = [entry | {"etag": '"0"'} for entry in etags]
                problem(complete(server, ticket, parts=wrong), 409, "upload_invalid")
            session = complete(server, ticket, **({"parts": etags} if named and etags else {})).json()
            assert stored(server.store, session["s3_key"]) == content
            assert complete(server, ticket).json() == session
