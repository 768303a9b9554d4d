"""JSON Web Tokens: the operator says whose and which algorithm; the token says the rest, and is checked."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from api.jwts import LEEWAY_S, Algorithm, JwtOptions, JwtReader, Refused
from models.access import parse_owner

SECRET = "a secret of the tests, thirty-two bytes and more"
ISSUER = "https://id.example"

RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def rsa_jwk(key: rsa.RSAPrivateKey, **fields: str) -> dict[str, Any]:
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), **fields}


def ec_jwk(key: ec.EllipticCurvePrivateKey, **fields: str) -> dict[str, Any]:
    return {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), **fields}


def claims(**changed: object) -> dict[str, Any]:
    wanted = {"sub": "coach:jane", "scope": "jobs:read", "aud": "frontfoot", "iss": ISSUER, "exp": time.time() + 60}
    return {name: value for name, value in (wanted | changed).items() if value is not None}


def hs256(**changed: object) -> str:
    return jwt.encode(claims(**changed), SECRET, algorithm="HS256")


def shared_secret() -> JwtReader:
    return JwtReader(JwtOptions(algorithm="HS256", issuer=ISSUER, audience="frontfoot", secret=SECRET))


def reader(path: Path, algorithm: Algorithm, *keys: Mapping[str, Any]) -> JwtReader:
    path.write_text(json.dumps({"keys": keys}))
    return JwtReader(JwtOptions(algorithm=algorithm, issuer=ISSUER, audience="frontfoot", jwks_file=path))


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    return tmp_path / "jwks.json"


def refused(read: Callable[[str], object], token: str) -> str:
    with pytest.raises(Refused) as refusal:
        read(token)
    return str(refusal.value)


def test_a_token_says_whose_it_is_and_what_for() -> None:
    read = shared_secret().read
    found = read(hs256(scope="openid jobs:read jobs:write email"))
    assert found.owner == parse_owner("coach:jane")
    assert found.scopes == {"jobs:read", "jobs:write"}
    assert found.expires_at == pytest.approx(time.time() + 60 + LEEWAY_S, abs=5)
    assert read(hs256(owner="org:lions")).owner == parse_owner("org:lions")
    assert read(hs256(scope=None)).scopes == set()
    assert read(hs256(exp=time.time() - LEEWAY_S + 5)).owner.owner_id == "jane"  # a clock that is a little off


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"exp": time.time() - LEEWAY_S - 5}, "expired"),
        ({"nbf": time.time() + 3600}, "not valid yet"),
        ({"aud": "somebody-else"}, "not meant for this service"),
        ({"iss": "https://evil.example"}, "not meant for this service"),
        ({"exp": None}, "lacks the claim exp"),
        ({"aud": None}, "lacks the claim aud"),
        ({"iss": None}, "lacks the claim iss"),
        ({"sub": None}, "names no owner"),
        ({"sub": "jane"}, "names no owner"),
        ({"owner": "admin:jane"}, "names no owner"),
        ({"exp": "tomorrow"}, "not known"),
        ({"exp": float("inf")}, "not known"),
        ({"exp": 10**400}, "not known"),
    ],
)
def test_what_a_token_must_not_say(changed: dict[str, object], words: str) -> None:
    assert words in refused(shared_secret().read, hs256(**changed))


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "..",
        f"{segment({'alg': 'none', 'typ': 'JWT'})}.{segment(claims())}.",
        jwt.encode(claims(), "another secret, just as long as the right one", algorithm="HS256"),
        jwt.encode(claims(), SECRET * 2, algorithm="HS512"),
        f"{base64.urlsafe_b64encode(b'[' * 20_000).rstrip(b'=').decode()}.e30.e30",
        f"{segment({'alg': ['HS256']})}.{segment(claims())}.e30",
        f"{segment({'alg': 'HS256', 'kid': {}})}.{segment(claims())}.e30",
        "tökén.tökén.tökén",
    ],
)
def test_what_is_no_token_of_ours(token: str, jwks: Path) -> None:
    assert refused(shared_secret().read, token) == "The token is not known."
    assert refused(reader(jwks, "RS256", rsa_jwk(RSA_KEY)).read, token) == "The token is not known."


def test_a_public_key_is_no_secret(jwks: Path) -> None:
    """The old trick: sign with HS256 and the public key, which everybody has."""
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header, body = segment({"alg": "HS256", "typ": "JWT", "kid": "one"}), segment(claims())
    import hashlib
    import hmac

    signature = hmac.new(pem, f"{header}.{body}".encode(), hashlib.sha256).digest()
    token = f"{header}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    assert refused(reader(jwks, "RS256", rsa_jwk(RSA_KEY, kid="one")).read, token) == "The token is not known."


def test_the_kid_chooses_the_key(jwks: Path) -> None:
    read = reader(jwks, "RS256", rsa_jwk(RSA_KEY, kid="one"), rsa_jwk(OTHER_RSA_KEY, kid="two")).read
    for key, kid in ((RSA_KEY, "one"), (OTHER_RSA_KEY, "two")):
        assert read(jwt.encode(claims(), key, algorithm="RS256", headers={"kid": kid})).owner.owner_id == "jane"
    crossed = jwt.encode(claims(), RSA_KEY, algorithm="RS256", headers={"kid": "two"})
    assert refused(read, crossed) == "The token is not known."
    for headers in ({"kid": "three"}, None):
        token = jwt.encode(claims(), RSA_KEY, algorithm="RS256", headers=headers)
        assert refused(read, token) == "The token was signed with a key that is not known."


def test_es256_and_a_token_without_kid_where_there_is_one_key(jwks: Path) -> None:
    read = reader(jwks, "ES256", ec_jwk(EC_KEY), rsa_jwk(RSA_KEY)).read  # an RSA key is none for ES256
    assert read(jwt.encode(claims(), EC_KEY, algorithm="ES256")).owner.owner_id == "jane"
    assert refused(read, jwt.encode(claims(), RSA_KEY, algorithm="RS256")) == "The token is not known."


def test_a_changed_file_is_read_again_and_a_broken_one_changes_nothing(
    jwks: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read = reader(jwks, "RS256", rsa_jwk(RSA_KEY, kid="one")).read
    old = jwt.encode(claims(), RSA_KEY, algorithm="RS256", headers={"kid": "one"})
    new = jwt.encode(claims(), OTHER_RSA_KEY, algorithm="RS256", headers={"kid": "two"})
    jwks.write_text("half a fi")
    assert read(old).owner.owner_id == "jane"
    assert read(old).owner.owner_id == "jane"
    assert caplog.text.count("JWKS file cannot be read") == 1
    replaced = jwks.with_suffix(".new")
    replaced.write_text(json.dumps({"keys": [rsa_jwk(OTHER_RSA_KEY, kid="two")]}))
    os.replace(replaced, jwks)  # noqa: PTH105 - as whoever rotates keys does it
    assert read(new).owner.owner_id == "jane"
    assert "not known" in refused(read, old)
    jwks.unlink()
    assert read(new).owner.owner_id == "jane"


@pytest.mark.parametrize(
    "entry",
    [
        rsa_jwk(RSA_KEY, use="enc"),
        rsa_jwk(RSA_KEY, alg="RS512"),
        rsa_jwk(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - weak on purpose
        RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True),
        ec_jwk(EC_KEY),
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "RSA", "n": "AQAB"},
        "not a key",
    ],
)
def test_a_file_without_a_fitting_public_key_does_not_start(jwks: Path, entry: Any) -> None:
    with pytest.raises(ValueError, match="no public key for RS256"):
        reader(jwks, "RS256", entry)


@pytest.mark.parametrize(
    "changed",
    [
        {"secret": "short"},
        {"issuer": ""},
        {"audience": ""},
        {"jwks_file": Path("jwks.json")},
        {"algorithm": "RS256"},
        {"algorithm": "RS256", "secret": "", "jwks_file": None},
    ],
)
def test_options_that_contradict_themselves(changed: dict[str, Any]) -> None:
    fitting: dict[str, Any] = {"algorithm": "HS256", "issuer": ISSUER, "audience": "frontfoot", "secret": SECRET}
    options = JwtOptions(**fitting)
    assert SECRET not in repr(options)
    with pytest.raises(ValueError, match=r"needs? an? "):
        JwtOptions(**(fitting | changed))
