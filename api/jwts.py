"""JSON Web Tokens of the operator's own identity provider: checked here, made elsewhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jwt

from models.access import SCOPES, Scope, parse_owner
from models.jobs import Owner

Algorithm = Literal["HS256", "RS256", "ES256"]

LEEWAY_S = 30
"""How far the clock of whoever made a token may be off."""
MIN_SECRET_BYTES = 32
MIN_RSA_BITS = 2048
_CLAIMS = ["exp", "iss", "aud"]
_UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
"""What a stranger's bytes can make of reading them: a deep header, an `exp` without end."""

log = logging.getLogger(__name__)


class Refused(Exception):
    """Why a token opens nothing; fit to be told to whoever sent it."""


@dataclass(frozen=True, kw_only=True)
class JwtOptions:
    """Which tokens are believed. The algorithm is the operator's word, never the token's."""

    algorithm: Algorithm
    issuer: str
    audience: str
    secret: str = field(default="", repr=False)
    """For HS256."""
    jwks_file: Path | None = None
    """Public keys for RS256 or ES256."""

    def __post_init__(self) -> None:
        if not self.issuer or not self.audience:
            raise ValueError("tokens need an issuer and an audience to be checked")
        if self.algorithm == "HS256" and (self.jwks_file or len(self.secret.encode()) < MIN_SECRET_BYTES):
            raise ValueError(f"HS256 needs a secret of at least {MIN_SECRET_BYTES} bytes, and no JWKS file")
        if self.algorithm != "HS256" and (self.secret or self.jwks_file is None):
            raise ValueError(f"{self.algorithm} needs a JWKS file, and no secret")


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """What a token that was believed says."""

    owner: Owner
    scopes: frozenset[Scope]
    expires_at: float
    """Seconds of the epoch, the leeway included."""


class JwtReader:
    """Checks tokens. The JWKS file is read again when it changes; one that cannot be read leaves the former keys."""

    def __init__(self, options: JwtOptions) -> None:
        """Raises ValueError or OSError where the keys cannot be read."""
        self._options = options
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[jwt.PyJWK, ...] = ()
        if options.jwks_file is not None:
            self._seen = _stamp(options.jwks_file)
            self._keys = _read_keys(options.jwks_file, options.algorithm)

    def read(self, token: str) -> Claims:
        """Believe a token or raise Refused."""
        options = self._options
        try:
            payload: dict[str, Any] = jwt.decode(
                token,
                self._key(token),
                algorithms=[options.algorithm],
                audience=options.audience,
                issuer=options.issuer,
                leeway=LEEWAY_S,
                options={"require": _CLAIMS},
            )
            expires_at = float(payload["exp"]) + LEEWAY_S
        except jwt.ExpiredSignatureError:
            raise Refused("The token has expired.") from None
        except jwt.ImmatureSignatureError:
            raise Refused("The token is not valid yet.") from None
        except (jwt.InvalidAudienceError, jwt.InvalidIssuerError):
            raise Refused("The token is not meant for this service.") from None
        except jwt.MissingRequiredClaimError as error:
            raise Refused(f"The token lacks the claim {error.claim}.") from None
        except _UNREADABLE:
            raise Refused("The token is not known.") from None
        return Claims(owner=_owner(payload), scopes=_scopes(payload), expires_at=expires_at)

    def _key(self, token: str) -> jwt.PyJWK | str:
        if self._options.jwks_file is None:
            return self._options.secret
        self._refresh(self._options.jwks_file)
        kid = jwt.get_unverified_header(token).get("kid")
        fitting = [key for key in self._keys if kid is None or key.key_id == kid]
        # Without a `kid` there is only an answer where there is only one key.
        if len(fitting) != 1:
            raise Refused("The token was signed with a key that is not known.")
        return fitting[0]

    def _refresh(self, path: Path) -> None:
        try:
            stamp = _stamp(path)
            if stamp == self._seen:
                return
            self._seen = stamp  # a file that cannot be read is complained of once, not at every request
            self._keys = _read_keys(path, self._options.algorithm)
            log.info("JWKS file read again: keys=%d", len(self._keys))
        except (OSError, ValueError) as error:
            log.warning("JWKS file cannot be read, the former keys stay: %s", type(error).__name__)


def _stamp(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _read_keys(path: Path, algorithm: Algorithm) -> tuple[jwt.PyJWK, ...]:
    """The keys that sign with `algorithm`. Raises ValueError where there is none."""
    document = json.loads(path.read_text())
    listed = document.get("keys") if isinstance(document, dict) else None
    keys = [_usable(entry, algorithm) for entry in listed] if isinstance(listed, list) else []
    found = tuple(key for key in keys if key is not None)
    if not found:
        raise ValueError(f"the JWKS file has no public key for {algorithm}")
    return found


def _usable(entry: object, algorithm: Algorithm) -> jwt.PyJWK | None:
    """A key of the file, None where it is not for us: another algorithm, for encrypting, private, too weak."""
    wanted = {"RS256": ("RSA", None), "ES256": ("EC", "P-256")}.get(algorithm)
    if not isinstance(entry, Mapping) or (entry.get("kty"), entry.get("crv")) != wanted:
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm or "d" in entry:
        return None
    try:
        key = jwt.PyJWK(dict(entry), algorithm)
    except jwt.PyJWTError:
        return None
    bits = getattr(key.key, "key_size", 0)
    return None if algorithm == "RS256" and bits < MIN_RSA_BITS else key


def _owner(payload: Mapping[str, Any]) -> Owner:
    """`coach:ID` or `org:ID`, in the claim `owner` or, without one, in `sub`."""
    try:
        return parse_owner(str(payload.get("owner", payload.get("sub", ""))))
    except ValueError:
        raise Refused("The token names no owner: `coach:ID` or `org:ID` in `owner` or `sub`.") from None


def _scopes(payload: Mapping[str, Any]) -> frozenset[Scope]:
    """Ours among the words of `scope`; others may be for somebody else."""
    given = str(payload.get("scope", "")).split(" ")
    return frozenset(scope for scope in SCOPES if scope in given)
