"""API keys in the database: digests only, one owner each, and an end."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from models.access import SCOPES, parse_owner
from models.database import Database
from models.errors import NotFound
from models.jobs import Owner
from models.keys import KeyRegister, digest_of

JANE = Owner(owner_type="coach", owner_id="jane")
LIONS = Owner(owner_type="org", owner_id="lions")


@pytest.fixture
def database(database_url: str) -> Database:
    return Database(database_url)


@pytest.fixture
def keys(database: Database) -> KeyRegister:
    return KeyRegister(database)


def test_a_key_is_shown_once_and_kept_as_its_digest(keys: KeyRegister, database: Database) -> None:
    made = keys.create(JANE, name="laptop", scopes=["jobs:write", "jobs:read"])
    assert re.fullmatch(r"ff_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", made.token)  # 43 characters: 256 bits
    assert made.token.startswith(f"{made.key.prefix}_")
    assert made.token not in repr(made)
    assert made.key.scopes == ("jobs:read", "jobs:write")
    assert keys.find(digest_of(made.token)) == made.key
    with database.transaction(read_only=True) as transaction:
        stored = str(transaction.execute(text("SELECT * FROM api_keys")).mappings().all())
    assert made.key.prefix in stored
    assert made.token not in stored
    assert made.token.removeprefix(made.key.prefix) not in stored


def test_no_two_keys_are_the_same(keys: KeyRegister) -> None:
    made = {keys.create(JANE, name="laptop", scopes=["admin"]).token for _ in range(20)}
    assert len(made) == 20


def test_keys_are_listed_by_owner_the_newest_first(database: Database) -> None:
    moments = iter(datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 10))
    keys = KeyRegister(database, clock=lambda: next(moments))
    first, other, last = (
        keys.create(owner, name=name, scopes=SCOPES).key
        for owner, name in ((JANE, "first"), (LIONS, "other"), (JANE, "last"))
    )
    assert keys.list() == (last, other, first)
    assert keys.list(JANE) == (last, first)
    assert keys.list(parse_owner("coach:nobody")) == ()


def test_a_revoked_key_stays_revoked_since_then(keys: KeyRegister) -> None:
    key = keys.create(JANE, name="laptop", scopes=["admin"]).key
    revoked = keys.revoke(key.id)
    assert revoked.revoked_at is not None
    assert keys.revoke(key.id) == revoked
    with pytest.raises(NotFound):
        keys.revoke("nobody's")


def test_whether_anybody_could_come_in(database: Database) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    keys = KeyRegister(database, clock=lambda: now)
    assert not keys.any_usable()
    trial = keys.create(JANE, name="trial", scopes=["admin"], expires_in=timedelta(hours=1)).key
    assert trial.expires_at == now + timedelta(hours=1)
    assert keys.any_usable()
    now += timedelta(hours=1)
    assert not keys.any_usable()
    lasting = keys.create(JANE, name="lasting", scopes=["admin"]).key
    assert keys.any_usable()
    keys.revoke(lasting.id)
    assert not keys.any_usable()


def test_use_is_written_down_to_the_minute(database: Database) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    keys = KeyRegister(database, clock=lambda: now)
    key = keys.create(JANE, name="laptop", scopes=["admin"]).key
    seen = []
    for _ in range(4):
        keys.touch(key.id)
        seen.append(keys.list()[0].last_used_at)
        now += timedelta(seconds=30)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert seen == [start, start, start + timedelta(minutes=1), start + timedelta(minutes=1)]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["jobs:delete"]}, "scopes"),
        ({"name": ""}, "name"),
        ({"expires_in": timedelta(0)}, "future"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(sqlite_url: str, changed: dict[str, object], words: str) -> None:
    keys = KeyRegister(Database(sqlite_url))
    arguments = {"name": "laptop", "scopes": ["admin"], **changed}
    with pytest.raises(ValueError, match=words):
        keys.create(JANE, **arguments)  # type: ignore[arg-type]  # that is the point
    assert keys.list() == ()


@pytest.mark.parametrize("text", ["jane", "coach:", "admin:jane", ":jane", "coach:\0", f"org:{'x' * 256}"])
def test_an_owner_is_a_coach_or_an_organisation(text: str) -> None:
    with pytest.raises(ValueError, match="coach:ID"):
        parse_owner(text)


def test_an_owners_name_may_have_colons() -> None:
    assert parse_owner("org:club:north") == Owner(owner_type="org", owner_id="club:north")
