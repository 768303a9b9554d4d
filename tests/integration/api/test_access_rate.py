"""How often one key may ask, as its holder sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import jwt
import pytest
from api_server import JWTS, PREFIX, problem
from serving import serving

from api.app import create_app
from api.context import Limits
from api.jwts import JwtReader
from models.database import Database
from models.folder import FolderStore
from models.jobs import Owner
from models.keys import KeyRegister
from models.queue import JobQueue

JANE = Owner(owner_type="coach", owner_id="jane")
SESSIONS = f"{PREFIX}/sessions"


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    database = Database(sqlite_url)
    yield database
    database.close()


@pytest.fixture
def api(database: Database, folder_store: FolderStore) -> Iterator[httpx.Client]:
    """An API that allows three requests a minute."""
    app = create_app(
        database=database,
        queue=JobQueue(database),
        store=folder_store,
        owners={"token-of-jane-0001": JANE},
        models=set(),
        version="1",
        limits=Limits(requests_per_minute=3),
        jwts=JwtReader(JWTS),
    )
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def ask(api: httpx.Client, token: str, path: str = SESSIONS) -> httpx.Response:
    return api.get(path, headers={"Authorization": f"Bearer {token}"})


def test_a_key_has_its_quota_and_hears_of_it_in_every_answer(api: httpx.Client) -> None:
    allowed = [ask(api, "token-of-jane-0001") for _ in range(2)]
    allowed.append(ask(api, "token-of-jane-0001", f"{SESSIONS}/00000000-0000-4000-8000-000000000000"))
    assert [answer.status_code for answer in allowed] == [200, 200, 404]
    for left, answer in zip((2, 1, 0), allowed, strict=True):
        assert answer.headers["ratelimit-policy"] == '"default";q=3;w=60'
        assert answer.headers["ratelimit"].startswith(f'"default";r={left};t=')
        assert "retry-after" not in answer.headers
    refused = ask(api, "token-of-jane-0001")
    problem(refused, 429, "rate_limited")
    assert refused.headers["ratelimit"].startswith('"default";r=0;t=')
    assert 0 < int(refused.headers["retry-after"]) <= 20


def test_each_key_and_each_owner_of_jwts_has_a_quota_of_its_own(api: httpx.Client, database: Database) -> None:
    keys = KeyRegister(database)
    tokens = ["token-of-jane-0001", *(keys.create(JANE, name="n", scopes=["jobs:read"]).token for _ in range(2))]
    claims = {"sub": "coach:jane", "scope": "jobs:read", "iss": JWTS.issuer, "aud": JWTS.audience}
    for token in (*tokens, jwt.encode({**claims, "exp": time.time() + 60}, JWTS.secret, algorithm="HS256")):
        assert [ask(api, token).status_code for _ in range(4)] == [200, 200, 200, 429]
    # Another token of the same owner is no new quota.
    another = jwt.encode({**claims, "exp": time.time() + 99}, JWTS.secret, algorithm="HS256")
    assert ask(api, another).status_code == 429


def test_what_needs_no_token_has_no_quota_and_wrong_tokens_spend_none(api: httpx.Client) -> None:
    for _ in range(5):
        health = api.get("/health/live")
        assert (health.status_code, "ratelimit" in health.headers) == (200, False)
        wrong = ask(api, "ff_00000000_nobody")
        assert (wrong.status_code, "ratelimit" in wrong.headers) == (401, False)
    assert ask(api, "token-of-jane-0001").status_code == 200


def test_a_key_that_lacks_the_scope_spends_its_quota_all_the_same(api: httpx.Client, database: Database) -> None:
    key = KeyRegister(database).create(JANE, name="camera", scopes=["jobs:write"]).token
    assert [ask(api, key).status_code for _ in range(4)] == [403, 403, 403, 429]
