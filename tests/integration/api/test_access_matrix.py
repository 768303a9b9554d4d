"""Every route × everybody who may not: a route without a row here fails."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal
from uuid import uuid4

import httpx
import jwt
import pytest
from api_server import DOCUMENT, FILES, JWTS, MP4_HEAD, PREFIX, Backend, Served, client, problem
from fastapi.routing import iter_route_contexts

from models.access import OWNER_SCOPES, SCOPES, Scope
from models.database import Database
from models.jobs import Owner
from models.keys import KeyRegister

UTC_DAY = timedelta(days=1)


Things = Mapping[str, str]
"""Name of a path's parameter → what somebody owns under it."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one route asks of its callers, and a request that it understands."""

    needs: Scope | Literal["any", "nothing", "link"]
    """A scope; a token with whatever scope; no token at all; a signature in the URL."""
    body: Callable[[Things], Any] | None = None
    """JSON, or bytes as they are."""
    owned: bool = False
    """The body names a thing that must be the caller's own."""
    headers: Mapping[str, str] = field(default_factory=dict)
    shared: bool = False
    """It belongs to no owner."""


def bulk(things: Things) -> bytes:
    return json.dumps({"session_id": things["session_id"], "analysis_mode": "bowling"}).encode() + b"\n"


READ, WRITE, ADMIN = Row(needs="jobs:read"), Row(needs="jobs:write"), Row(needs="admin")
OPEN = Row(needs="nothing")
CATALOGUE = Row(needs="models", shared=True)
MOVE = Row(needs="models", shared=True, body=lambda _: {"reason": "matrix"})
PROMOTE = Row(needs="models", shared=True, body=lambda things: {"model": things["reference"]})


def writes(body: Callable[[Things], Any], *, owned: bool = False, **headers: str) -> Row:
    return Row(needs="jobs:write", body=body, owned=owned, headers=headers)


CATALOGUED = {"reference": "yolo11n-pose@1", "alias": "production"}
THINGS = ("session_id", "job_id", "batch_id", "upload_id", "delivery_id", "player_id")
SESSION = {"title": "Nets", "session_type": "bowling"}
BULK = {"Content-Type": "application/jsonl"}
ONE_SESSION, ONE_JOB = "/sessions/{session_id:uuid}", "/analysis-jobs/{job_id:uuid}"
ONE_BATCH, ONE_DELIVERY = "/batches/{batch_id:uuid}", "/webhooks/deliveries/{delivery_id:uuid}"
UPLOAD = "/videos/upload"

_ROWS: Mapping[str, Row] = {
    "POST /sessions": writes(lambda _: SESSION),
    "GET /sessions": READ,
    f"GET {ONE_SESSION}": READ,
    f"PATCH {ONE_SESSION}": writes(lambda _: {"title": "Garden"}),
    f"DELETE {ONE_SESSION}": WRITE,
    f"PUT {ONE_SESSION}/video": writes(lambda _: MP4_HEAD),
    f"POST {UPLOAD}/initiate": writes(
        lambda things: {"session_id": things["session_id"], "size_bytes": 99}, owned=True
    ),
    f"POST {UPLOAD}/complete": writes(lambda things: {"upload_id": things["upload_id"]}, owned=True),
    f"PUT {UPLOAD}/{{upload_id:uuid}}/content": Row(needs="link", body=lambda _: MP4_HEAD),
    f"POST {ONE_SESSION}/analysis-jobs": writes(lambda _: {"analysis_mode": "bowling"}),
    "GET /analysis-jobs": READ,
    f"GET {ONE_JOB}": READ,
    f"DELETE {ONE_JOB}": WRITE,
    f"GET {ONE_JOB}/events": READ,
    f"POST {ONE_JOB}/cancel": WRITE,
    f"POST {ONE_JOB}/retry": WRITE,
    f"GET {ONE_JOB}/artifacts": READ,
    f"GET {ONE_JOB}/artifacts/{{name}}": READ,
    "POST /analysis-jobs/bulk": Row(needs="jobs:write", body=bulk, headers=BULK),
    "GET /batches": READ,
    f"GET {ONE_BATCH}": READ,
    f"POST {ONE_BATCH}/cancel": WRITE,
    "GET /players/{player_id:path}/progress": READ,
    "GET /models": CATALOGUE,
    "GET /models/{reference}": CATALOGUE,
    "POST /models/{reference}/retire": CATALOGUE,
    "GET /models/aliases/{alias}": CATALOGUE,
    "POST /models/aliases/{alias}/promote": PROMOTE,
    "POST /models/aliases/{alias}/rollback": MOVE,
    "GET /webhooks/deliveries": READ,
    f"GET {ONE_DELIVERY}": READ,
    f"POST {ONE_DELIVERY}/redeliver": WRITE,
    "GET /webhooks/secret": ADMIN,
    "POST /webhooks/secret/rotate": ADMIN,
    "GET /openapi.json": Row(needs="any"),
    "GET /health/live": OPEN,
    "GET /health/ready": OPEN,
}
ROWS: Mapping[str, Row] = {
    **{name.replace(" ", f" {PREFIX}", 1): row for name, row in _ROWS.items()},
    "GET /health/live": OPEN,
    "GET /health/ready": OPEN,
}
GUARDED = [name for name, row in ROWS.items() if row.needs not in {"nothing", "link"}]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The served API, a coach who owns one of everything, and everybody who tries the door."""

    client: httpx.Client
    things: Things
    intruders: Mapping[str, str]
    """What is wrong → the token; each would be the coach's own."""
    by_scope: Mapping[Scope, str]
    """The coach's keys with one scope each."""
    jwt: Callable[..., str]
    stranger: str
    """Another owner's token, with all scopes."""

    def call(
        self, name: str, token: str | None, things: Things | None = None, params: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Make a row's request."""
        method, _, template = name.partition(" ")
        row, mine = ROWS[name], things or self.things
        body = row.body(mine) if row.body else None
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        headers = {**row.headers, **({"Authorization": f"Bearer {token}"} if token else {})}
        path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: mine[found[1]], template)
        request = self.client.build_request(method, path, headers=headers, params=params, **sent)
        with closing(self.client.send(request, stream=True)) as answer:
            # An event stream that is let in has no end: its head is enough.
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                answer.read()
            return answer


@pytest.fixture(scope="module")
def gate(served: Served, backend: Backend) -> Iterator[Gate]:
    database = Database(backend.database_url)
    keys = KeyRegister(database)
    coach = Owner(owner_type="coach", owner_id=f"matrix-{uuid4()}")
    by_scope: dict[Scope, str] = {scope: keys.create(coach, name=scope, scopes=[scope]).token for scope in SCOPES}
    admin = by_scope["admin"]

    def token(**changed: object) -> str:
        claims = {"sub": f"coach:{coach.owner_id}", "scope": " ".join(SCOPES), "aud": JWTS.audience}
        claims |= {"iss": JWTS.issuer, "exp": time.time() + 600, **changed}
        return jwt.encode(claims, JWTS.secret, algorithm="HS256")

    revoked = keys.create(coach, name="revoked", scopes=SCOPES)
    keys.revoke(revoked.key.id)
    long_ago = KeyRegister(database, clock=lambda: revoked.key.created_at - 2 * UTC_DAY)
    intruders = {
        "unknown": "not-a-token-of-ours",
        "unknown key": f"ff_00000000_{'x' * 43}",
        "cut key": admin[:-1],
        "digest": revoked.key.prefix,
        "revoked": revoked.token,
        "expired": long_ago.create(coach, name="old", scopes=SCOPES, expires_in=UTC_DAY).token,
        "expired JWT": token(exp=time.time() - 600),
        "JWT for others": token(aud="others"),
        "JWT of others": jwt.encode({"sub": "coach:jane"}, "z" * 40, algorithm="HS256"),
    }
    with httpx.Client(base_url=served.url, trust_env=False, timeout=20) as anybody:
        yield Gate(
            client=anybody,
            things=possessions(served, admin),
            intruders=intruders,
            by_scope=by_scope,
            jwt=token,
            stranger=next(served.tokens),
        )
    database.close()


def possessions(served: Served, token: str) -> dict[str, str]:
    """One of everything, the job `done` with its files."""
    with client(served.url, token) as coach:
        player = f"player-{uuid4()}"
        session = coach.post("/sessions", json=SESSION | {"player_ids": [player]}).json()
        coach.put(f"/sessions/{session['id']}/video", content=MP4_HEAD).raise_for_status()
        wanted = {"analysis_mode": "bowling", "deep_enabled": False, "priority": 100}
        wanted |= {"webhook_url": "https://example.com/hook"}
        job = coach.post(f"/sessions/{session['id']}/analysis-jobs", json=wanted).json()
        finish(served, job)
        batch = coach.post("/analysis-jobs/bulk", content=bulk({"session_id": session["id"]}), headers=BULK).json()
        upload = coach.post(f"{UPLOAD}/initiate", json={"session_id": session["id"], "size_bytes": 99}).json()
        (delivery,) = coach.get("/webhooks/deliveries").json()["deliveries"]
    return {
        "session_id": session["id"],
        "job_id": job["id"],
        "batch_id": batch["id"],
        "upload_id": upload["upload_id"],
        "delivery_id": delivery["id"],
        "player_id": player,
        "name": "report.html",
        **CATALOGUED,
    }


def finish(served: Served, job: Mapping[str, Any]) -> None:
    """What a worker does with a quick-only job."""
    claimed = served.queue.claim("worker-of-the-matrix")
    while claimed is not None and claimed.id != job["id"]:  # what other tests left
        claimed = served.queue.claim("worker-of-the-matrix")
    assert claimed is not None
    assert claimed.job.s3_bucket is not None
    assert claimed.job.s3_key is not None
    folder = f"{claimed.job.s3_key.rpartition('/')[0]}/analysis/{claimed.id}/{claimed.attempt}"
    for name, content in FILES.items():
        served.store.put_bytes(claimed.job.s3_bucket, f"{folder}/{name}", content)
    served.queue.finish(claimed.lease, stage="quick", document=DOCUMENT, s3_key=f"{folder}/quick_results.json")


def test_every_route_has_a_row(served: Served) -> None:
    routes = {
        f"{method} {route.path}" for route in iter_route_contexts(served.app.routes) for method in route.methods or ()
    }
    assert routes == set(ROWS)


def test_the_description_names_the_scope_of_every_route(served: Served) -> None:
    needs = {re.sub(r":\w+", "", name): row.needs for name, row in ROWS.items()}
    for path, operations in served.app.openapi()["paths"].items():
        for method, operation in operations.items():
            schemes = [scheme for scheme in operation.get("security", ()) if scheme]  # an empty one: a link will do
            scopes = [scope for scheme in schemes for wanted in scheme.values() for scope in wanted]
            needed = needs[f"{method.upper()} {path}"]
            assert scopes == ([] if needed in {"nothing", "link"} else [needed]), (method, path)


@pytest.mark.parametrize("name", GUARDED)
def test_nobody_comes_in_without_a_valid_token(gate: Gate, name: str) -> None:
    answer = gate.call(name, None)
    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="frontfoot"'
    for wrong, token in gate.intruders.items():
        answer = gate.call(name, token)
        detail = problem(answer, 401, "unauthorized")["detail"]
        assert answer.headers["www-authenticate"].startswith('Bearer realm="frontfoot", error="invalid_token"'), wrong
        assert ("expired" in detail) is wrong.startswith("expired"), wrong
        assert ("revoked" in detail) is (wrong == "revoked"), wrong
        assert token not in answer.text


@pytest.mark.parametrize("name", GUARDED)
def test_nobody_does_what_the_token_is_not_for(gate: Gate, name: str) -> None:
    needed = ROWS[name].needs
    for scope, key in gate.by_scope.items():
        for token in (key, gate.jwt(scope=scope)):
            answer = gate.call(name, token, things=NOBODYS)
            if needed in {scope, "any"} or (scope == "admin" and needed in OWNER_SCOPES):
                assert answer.status_code not in {401, 403}, scope
            else:
                assert f"`{needed}`" in problem(answer, 403, "forbidden")["detail"]
                challenge = answer.headers["www-authenticate"]
                assert challenge == f'Bearer realm="frontfoot", error="insufficient_scope", scope="{needed}"'
    if needed != "any":
        problem(gate.call(name, gate.jwt(scope="openid email")), 403, "forbidden")


def ends(name: str) -> int:
    """What ends other things comes behind them: the session with everything in it is the last."""
    return name.startswith("DELETE") + name.startswith(f"DELETE {PREFIX}/sessions")


NOBODYS = {**dict.fromkeys(THINGS, str(uuid4())), "name": "report.html", "reference": "nobody@1", "alias": "nobodys"}


@pytest.mark.parametrize("name", GUARDED)
def test_what_is_somebody_elses_is_not_found_nor_listed(gate: Gate, name: str) -> None:
    for token in (gate.stranger, gate.jwt(sub="org:strangers"), gate.jwt(owner="coach:nobody")):
        answer = gate.call(name, token)
        if ROWS[name].shared:
            assert answer.status_code == 403 if token == gate.stranger else answer.status_code not in {401, 403}
        elif "{" in name or ROWS[name].owned:
            problem(answer, 404, "not_found")
        for thing in THINGS:
            assert gate.things[thing] not in answer.text.replace(answer.request.url.path, "")


@pytest.mark.parametrize("name", sorted(GUARDED, key=ends))
def test_the_owner_is_let_in(gate: Gate, name: str) -> None:
    """Without this the tests above could be refused for any reason."""
    answer = gate.call(name, gate.by_scope["models" if ROWS[name].needs == "models" else "admin"])
    assert answer.status_code < 500
    assert answer.status_code not in {401, 403, 404, 405, 422}, answer.text


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.needs == "nothing"])
def test_what_is_open_is_open_to_everybody(gate: Gate, name: str) -> None:
    for token in (None, *gate.intruders.values()):
        assert gate.call(name, token).status_code == 200


@pytest.mark.parametrize(
    "name", [f"PUT {PREFIX}{UPLOAD}/{{upload_id:uuid}}/content", f"GET {PREFIX}{ONE_JOB}/artifacts/{{name}}"]
)
def test_a_link_that_nobody_signed_opens_nothing(gate: Gate, name: str) -> None:
    signed = {"expires": str(int(time.time()) + 600), "signature": "0" * 64}
    for token in (None, gate.stranger, gate.by_scope["admin"], gate.intruders["revoked"]):
        problem(gate.call(name, token, params=signed), 404, "not_found")
