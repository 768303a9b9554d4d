from pathlib import Path

import pytest
from pydantic import ValidationError

from frontfoot.settings import TOKEN_PATTERN, Settings, new_token


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("FRONTFOOT_", "DATABASE_URL", "AWS_")):
            monkeypatch.delenv(name)


def test_the_embedded_default_is_sqlite_in_the_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRONTFOOT_DATA_DIR", str(tmp_path))
    assert Settings().database_url == f"sqlite:///{tmp_path}/frontfoot.sqlite3"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_database_url_is_respected_and_means_psycopg2(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://jane:secret@db/frontfoot")
    assert Settings().database_url == "postgresql+psycopg2://jane:secret@db/frontfoot"


def test_our_own_variable_wins_over_database_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://other/one")
    monkeypatch.setenv("FRONTFOOT_DATABASE_URL", "sqlite:///mine.db")
    assert Settings().database_url == "sqlite:///mine.db"


@pytest.mark.parametrize(
    "text",
    [
        "token-of-jane-0001=coach:jane, token-of-lions-002=org:lions",
        '{"token-of-jane-0001": "coach:jane", "token-of-lions-002": "org:lions"}',
    ],
)
def test_tokens_name_their_owners(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("FRONTFOOT_TOKENS", text)
    assert Settings().tokens == {"token-of-jane-0001": "coach:jane", "token-of-lions-002": "org:lions"}


@pytest.mark.parametrize(
    "text",
    [
        "token-of-jane-0001",
        "short=coach:jane",
        "token-of-jane-0001=jane",
        "token-of-jane-0001=admin:jane",
        "token-of-jane-0001=coach:",
        "{}x",
    ],
)
def test_a_token_without_a_proper_owner_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("FRONTFOOT_TOKENS", text)
    with pytest.raises(ValidationError):
        Settings()


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://jane:hunter2@db/frontfoot")
    monkeypatch.setenv("FRONTFOOT_TOKENS", "token-secret-0001=coach:jane")
    monkeypatch.setenv("FRONTFOOT_S3_ENDPOINT_URL", "http://key:s3cret@store:9000")
    monkeypatch.setenv("FRONTFOOT_TOKEN", "token-secret-0002")
    shown = str(Settings().masked())
    for secret in ("hunter2", "s3cret", "token-secret-0001", "token-secret-0002"):
        assert secret not in shown
    assert "coach:jane" in shown
    assert "db/frontfoot" in shown
    assert "store:9000" in shown


@pytest.mark.parametrize("url", ["mysql://jane:hunter2@db/x", "postgresql://jane:hunter2@db:port/x", "hunter2"])
def test_a_database_url_that_cannot_be_read_is_a_fault_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "hunter2" not in caught.value.errors()[0]["msg"]


def test_a_new_token_has_the_promised_shape() -> None:
    import re

    first, second = new_token(), new_token()
    assert first != second
    assert re.fullmatch(TOKEN_PATTERN, first)
