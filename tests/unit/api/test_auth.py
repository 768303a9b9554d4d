"""Three kinds of token behind one door, and what is remembered of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from api.auth import CACHE_S, CACHED, Authenticator, Identity, Tokens
from api.jwts import JwtOptions, JwtReader, Refused
from models.access import OWNER_SCOPES, SCOPES
from models.database import Database
from models.errors import StoreUnavailable
from models.jobs import Owner
from models.keys import Key, KeyRegister

JANE = Owner(owner_type="coach", owner_id="jane")
LIONS = Owner(owner_type="org", owner_id="lions")
SECRET = "a secret of the tests, thirty-two bytes and more"
JWTS = JwtReader(JwtOptions(algorithm="HS256", issuer="https://id.example", audience="frontfoot", secret=SECRET))


class CountingKeys(KeyRegister):
    """Counts how often the database is asked."""

    asked = 0

    def find(self, digest: str) -> Key | None:
        self.asked += 1
        return super().find(digest)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def moment(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(sqlite_url: str, clock: Clock) -> CountingKeys:
    return CountingKeys(Database(sqlite_url), clock=clock.moment)


@pytest.fixture
def door(keys: CountingKeys, clock: Clock) -> Authenticator:
    tokens = Tokens({"token-of-jane-0001": JANE})
    return Authenticator(tokens=tokens, keys=keys, jwts=JWTS, clock=clock.seconds)


def identify(door: Authenticator, *tokens: str) -> Identity:
    """Ask on one event loop; whatever it left to other threads has ended when this returns."""

    async def ask() -> Identity:
        for token in tokens[:-1]:
            await door.identify(token)
        return await door.identify(tokens[-1])

    return asyncio.run(ask())


def refusal(door: Authenticator, token: str) -> str:
    with pytest.raises(Refused) as refused:
        identify(door, token)
    return str(refused.value)


def test_a_token_stands_for_its_owner_alone() -> None:
    tokens = Tokens({"token-of-jane-0001": JANE, "token-of-lions-001": LIONS})
    jane, lions = tokens.identity_of("token-of-jane-0001"), tokens.identity_of("token-of-lions-001")
    assert jane is not None
    assert lions is not None
    assert (jane.owner, lions.owner) == (JANE, LIONS)
    assert jane.key_id != lions.key_id
    assert jane.scopes == set(OWNER_SCOPES)
    for wrong in ("", "token-of-jane-000", "token-of-jane-00011", "TOKEN-OF-JANE-0001", "tökén"):
        assert tokens.identity_of(wrong) is None


def test_without_tokens_nobody_comes_in() -> None:
    assert Tokens({}).identity_of("") is None


def test_a_token_is_never_shown() -> None:
    tokens = Tokens({"token-of-jane-0001": JANE})
    assert "token-of-jane" not in repr(tokens)
    assert "token-of-jane" not in repr(vars(tokens))


def test_admin_includes_the_others_and_writing_does_not_include_reading() -> None:
    admin = Identity(owner=JANE, scopes=frozenset({"admin"}), key_id="a")
    writer = Identity(owner=JANE, scopes=frozenset({"jobs:write"}), key_id="w")
    assert [admin.may(scope) for scope in SCOPES] == [True, True, True, False]
    assert [writer.may(scope) for scope in SCOPES] == [False, True, False, False]


def test_a_key_is_looked_up_once_and_its_revocation_noticed_in_time(
    door: Authenticator, keys: CountingKeys, clock: Clock
) -> None:
    made = keys.create(JANE, name="laptop", scopes={"jobs:read"})
    identity = identify(door, made.token, made.token, made.token)
    assert (identity.owner, identity.scopes, keys.asked) == (JANE, {"jobs:read"}, 1)
    assert made.key.id in identity.key_id
    keys.revoke(made.key.id)
    clock.pass_by(CACHE_S - 0.1)
    identify(door, made.token)
    clock.pass_by(0.1)
    assert refusal(door, made.token) == "The key was revoked."
    assert keys.asked == 2


def test_a_key_does_not_outlive_its_expiry_in_the_cache(door: Authenticator, keys: CountingKeys, clock: Clock) -> None:
    made = keys.create(JANE, name="trial", scopes=["admin"], expires_in=timedelta(seconds=2))
    identify(door, made.token)
    clock.pass_by(2)
    assert refusal(door, made.token) == "The key has expired."


def test_the_same_unknown_key_costs_one_look(door: Authenticator, keys: CountingKeys) -> None:
    for _ in range(3):
        assert refusal(door, "ff_0000_nobody") == "The token is not known."
    assert keys.asked == 1
    assert refusal(door, "neither a key nor a token") == "The token is not known."
    assert keys.asked == 1


def test_use_is_written_down_once_a_minute(door: Authenticator, keys: CountingKeys, clock: Clock) -> None:
    made, first = keys.create(JANE, name="laptop", scopes=["admin"]), clock.now
    for _ in range(3):
        identify(door, made.token)
        clock.pass_by(20)
    assert keys.list()[0].last_used_at == first
    identify(door, made.token)
    assert keys.list()[0].last_used_at == clock.now


def test_a_use_that_cannot_be_written_down_refuses_nobody(
    door: Authenticator, keys: CountingKeys, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = keys.create(JANE, name="laptop", scopes=["admin"])

    def away(key_id: str) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(keys, "touch", away)
    assert identify(door, made.token).owner == JANE


def test_a_database_away_is_no_refusal(clock: Clock, tmp_path: Path) -> None:
    keys = KeyRegister(Database(f"sqlite:///{tmp_path}/no-such-folder/f.sqlite3"))
    with pytest.raises(StoreUnavailable):
        identify(Authenticator(tokens=Tokens({}), keys=keys, clock=clock.seconds), "ff_0000_somebody")


def test_memory_has_an_end(door: Authenticator) -> None:
    for number in range(CACHED + 50):
        refusal_of(door, f"unknown-{number}")
    assert len(door._known) == CACHED


def refusal_of(door: Authenticator, token: str) -> None:
    """As `refusal`, without an event loop a time: nothing here has to wait."""
    with pytest.raises(Refused):
        door.identify(token).send(None)


def test_a_jwt_comes_in_with_its_scopes_and_goes_with_its_expiry(door: Authenticator, clock: Clock) -> None:
    expires = clock.seconds() + 60
    token = jwt.encode(
        {"sub": "org:lions", "scope": "jobs:read", "aud": "frontfoot", "iss": "https://id.example", "exp": expires},
        SECRET,
        algorithm="HS256",
    )
    identity = identify(door, token, token)
    assert (identity.owner, identity.scopes) == (LIONS, {"jobs:read"})
    assert identity.key_id == "jwt:org:lions"


def test_where_no_jwt_is_believed_none_is_read(keys: CountingKeys) -> None:
    door = Authenticator(tokens=Tokens({}), keys=keys)
    assert refusal(door, jwt.encode({"sub": "coach:jane"}, SECRET, algorithm="HS256")) == "The token is not known."
