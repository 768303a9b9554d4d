"""`frontfoot keys` on a database of its own, and when the API starts with nothing but keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from frontfoot import exits, services
from frontfoot.cli import app
from frontfoot.settings import Settings
from models.database import Database
from models.keys import KeyRegister, digest_of


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sqlite_url: str) -> None:
    for name in list(os.environ):
        if name.startswith(("FRONTFOOT_", "DATABASE_URL", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FRONTFOOT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DATABASE_URL", sqlite_url)


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "250"}).invoke(app, ["keys", *arguments])


def created(*arguments: str) -> dict[str, Any]:
    result = run("create", "--name", "laptop", "--json", *arguments)
    assert result.exit_code == 0, result.output
    key: dict[str, Any] = json.loads(result.stdout)
    return key


JANES = ("--owner", "coach:jane", "--scope", "jobs:read")


def test_a_key_is_made_shown_once_listed_and_revoked(sqlite_url: str) -> None:
    made = created(*JANES, "--scope", "jobs:write", "--expires-in-days", "1.5")
    kept = KeyRegister(Database(sqlite_url)).find(digest_of(made.pop("token")))
    assert kept is not None
    assert (made["id"], made["owner"], made["state"]) == (kept.id, "coach:jane", "usable")
    assert made["scopes"] == ["jobs:read", "jobs:write"]
    assert kept.expires_at is not None
    assert (kept.expires_at - kept.created_at).total_seconds() == 1.5 * 86_400
    assert json.loads(run("list", "--json").stdout) == {"keys": [made]}
    assert json.loads(run("revoke", made["id"], "--json").stdout)["state"] == "revoked"
    assert json.loads(run("list", "--owner", "coach:jane", "--json").stdout)["keys"][0]["revoked_at"]
    assert json.loads(run("list", "--owner", "org:lions", "--json").stdout) == {"keys": []}


def test_for_people_the_key_alone_is_on_standard_output() -> None:
    result = run("create", "--name", "laptop", *JANES)
    (line,) = result.stdout.splitlines()
    assert line.startswith("ff_")
    assert "only time" in result.stderr
    table = run("list").stdout
    assert line not in table
    for word in ("laptop", "coach:jane", "jobs:read", "usable", line[:11]):
        assert word in table
    narrow = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["keys", "list"]).stdout
    key_id = table.splitlines()[-1].split()[0]
    assert len(key_id) == 36
    assert key_id in narrow
    assert run("revoke", key_id).stdout.startswith(f"Revoked: {key_id}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "--name", "x", "--owner", "jane", "--scope", "admin"), "coach:ID"),
        (("create", "--name", "x", "--owner", "coach:jane", "--scope", "jobs:all"), "jobs:read, jobs:write, admin"),
        (("create", "--name", "x", "--owner", "coach:jane"), "--scope"),
        (("create", "--name", "x", *JANES, "--expires-in-days", "0"), "--expires-in-days"),
        (("revoke", "nobody's"), "not_found"),
    ],
)
def test_wrong_usage_is_named(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (exits.USAGE, "")
    assert words in result.stderr


def test_a_database_without_the_table_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    result = run("list", "--json")
    assert (result.exit_code, json.loads(result.stdout)["error"]["code"]) == (exits.ERROR, "schema_behind")


def test_keys_or_jwts_are_enough_for_the_api_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(typer.BadParameter, match="nobody could call"):
        services._check_that_somebody_can_call(Settings())
    key = created(*JANES)
    services._check_that_somebody_can_call(Settings())
    run("revoke", key["id"])
    with pytest.raises(typer.BadParameter, match="nobody could call"):
        services._check_that_somebody_can_call(Settings())
    monkeypatch.setenv("FRONTFOOT_JWT_ISSUER", "https://id.example")
    services._check_that_somebody_can_call(Settings())


def test_a_server_that_does_not_answer_may_hold_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://jane:secret@127.0.0.1:1/frontfoot")
    services._check_that_somebody_can_call(Settings())


def test_jwts_that_cannot_be_checked_do_not_start() -> None:
    variables = {**os.environ, "FRONTFOOT_JWT_SECRET": "too short to be one", "FRONTFOOT_PORT": "0"}
    result = subprocess.run(
        [sys.executable, "-m", "frontfoot", "api"],
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == exits.USAGE
    assert "FRONTFOOT_JWT_" in result.stderr
    assert "too short to be one" not in result.stdout + result.stderr
