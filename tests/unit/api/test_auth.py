from api.auth import Tokens
from models.jobs import Owner

JANE = Owner(owner_type="coach", owner_id="jane")
LIONS = Owner(owner_type="org", owner_id="lions")


def test_a_token_stands_for_its_owner_alone() -> None:
    tokens = Tokens({"token-of-jane-0001": JANE, "token-of-lions-001": LIONS})
    assert tokens.owner_of("token-of-jane-0001") == JANE
    assert tokens.owner_of("token-of-lions-001") == LIONS
    for wrong in ("", "token-of-jane-000", "token-of-jane-00011", "TOKEN-OF-JANE-0001", "tökén"):
        assert tokens.owner_of(wrong) is None


def test_without_tokens_nobody_comes_in() -> None:
    assert Tokens({}).owner_of("") is None


def test_a_token_is_never_shown() -> None:
    tokens = Tokens({"token-of-jane-0001": JANE})
    assert "token-of-jane" not in repr(tokens)
    assert "token-of-jane" not in repr(vars(tokens))
