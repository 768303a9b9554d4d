"""Videos on their way in: stored byte for byte or not at all."""

from __future__ import annotations

import logging
import socket
import tracemalloc

import httpx
import pytest
from api_server import (
    MAX_UPLOAD,
    MIB,
    MP4_HEAD,
    PREFIX,
    Server,
    eventually,
    problem,
    statuses,
    stored,
    video,
)


def test_an_uploaded_video_is_stored_byte_for_byte(server: Server) -> None:
    video = MP4_HEAD + bytes(range(256)) * 4096
    session = server.uploaded(video)
    assert session["status"] == "uploaded"
    assert session["file_size_bytes"] == len(video)
    assert session["s3_bucket"] == server.store.bucket
    assert session["s3_key"].startswith(f"sessions/{session['id']}/source/")
    assert session["s3_key"].endswith(".mp4")
    assert stored(server.store, session["s3_key"]) == video


def test_content_names_the_key_and_each_upload_has_its_own(server: Server) -> None:
    session = server.uploaded()
    again = server.jane.put(
        f"/sessions/{session['id']}/video",
        content=b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm" + bytes(64),
        headers={"Content-Type": "video/mp4"},
    ).json()
    assert again["s3_key"].endswith(".webm")
    assert again["s3_key"] != session["s3_key"]
    assert stored(server.store, session["s3_key"]) == MP4_HEAD


def test_a_later_upload_does_not_move_a_jobs_input(server: Server) -> None:
    job = server.submitted()
    server.jane.put(f"/sessions/{job['session_id']}/video", content=MP4_HEAD + b"later")
    assert server.jane.get(f"/analysis-jobs/{job['id']}").json()["s3_key"] == job["s3_key"]


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", {}, 422, "video_empty"),
        (b"ffconcat version 1.0\nfile 'demo.mp4'\n", {"Content-Type": "video/mp4"}, 415, "not_a_video"),
        (b"#EXTM3U\n" + bytes(100_000), {}, 415, "not_a_video"),
        (b"\x89PNG\r\n\x1a\n" + bytes(2_000_000), {}, 415, "not_a_video"),
        (MP4_HEAD, {"Content-Type": "multipart/form-data; boundary=x"}, 415, "unsupported_media"),
        (MP4_HEAD, {"Content-Encoding": "gzip"}, 415, "unsupported_media"),
    ],
)
def test_what_is_no_video_is_refused_and_not_kept(
    server: Server, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    session_id = server.session()
    problem(server.jane.put(f"/sessions/{session_id}/video", content=content, headers=headers), status, code)
    assert server.jane.get(f"/sessions/{session_id}").json()["status"] == "pending"
    assert server.kept(session_id) == 0


@pytest.mark.parametrize("declared", [True, False])
def test_a_video_over_the_limit_is_refused_and_not_kept(server: Server, declared: bool) -> None:
    session_id = server.session()
    headers = {"Content-Length": str(MAX_UPLOAD + 1)} if declared else {}
    answer = server.jane.put(f"/sessions/{session_id}/video", content=video(MAX_UPLOAD + 1), headers=headers)
    problem(answer, 413, "upload_too_large")
    assert server.jane.get(f"/sessions/{session_id}").json()["status"] == "pending"
    assert server.kept(session_id) == 0


def test_memory_does_not_grow_with_the_upload(server: Server) -> None:
    """Client and server are both in this process. S3 holds a few parts of 16 MiB, however many there are."""
    peaks = []
    for size in (64 * MIB, MAX_UPLOAD):
        session_id = server.session()
        tracemalloc.start()
        try:
            answer = server.jane.put(f"/sessions/{session_id}/video", content=video(size))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert answer.json()["file_size_bytes"] == size
    assert peaks[1] - peaks[0] < (MAX_UPLOAD - 64 * MIB) / 2


def test_a_client_that_goes_away_leaves_nothing(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="api")
    session_id = server.session()
    with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0)) as connection:
        connection.sendall(
            f"PUT {PREFIX}/sessions/{session_id}/video HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Length: {8 * MIB}\r\n\r\n".encode()
        )
        connection.sendall(b"".join(video(MIB)))
    eventually(lambda: 499 in statuses(caplog))
    assert server.jane.get(f"/sessions/{session_id}").json()["status"] == "pending"
    assert server.kept(session_id) == 0


def test_an_upload_that_stalls_is_given_up(server: Server) -> None:
    session_id = server.session()
    with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0), timeout=10) as connection:
        connection.sendall(
            f"PUT {PREFIX}/sessions/{session_id}/video HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Length: {8 * MIB}\r\n\r\n".encode()
            + MP4_HEAD
        )
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"upload_stalled" in answer
    assert server.kept(session_id) == 0
