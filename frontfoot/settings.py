"""Every setting of Frontfoot. The only module that reads the environment; everything below is handed what it needs."""

from __future__ import annotations

import json
import os
import re
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from models.access import parse_owner
from models.database import normalise_url

TOKEN_PATTERN = r"^[A-Za-z0-9_.-]{16,}$"  # noqa: S105 - the shape of a token, not one


def _owners(value: object) -> object:
    """`token=coach:jane,token2=org:lions`, or a JSON object, as a mapping."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        return json.loads(value)
    pairs = [pair.strip() for pair in value.split(",") if pair.strip()]
    if not all("=" in pair for pair in pairs):
        raise ValueError("tokens are given as `token=coach:ID` or `token=org:ID`, separated by commas")
    return dict(pair.split("=", 1) for pair in pairs)


class Settings(BaseSettings):
    """What is in force. `FRONTFOOT_*` in the environment; `DATABASE_URL` and the AWS variables are respected too."""

    model_config = SettingsConfigDict(env_prefix="FRONTFOOT_", extra="ignore", frozen=True, populate_by_name=True)

    # Where things are kept.
    data_dir: Path = Path("~/.local/share/frontfoot")
    """Embedded default: SQLite file, artifacts."""
    cache_dir: Path = Path("~/.cache/frontfoot")
    """Converted weights and compiled models; safe to delete."""
    database_url: Annotated[str, Field(validation_alias=AliasChoices("FRONTFOOT_DATABASE_URL", "DATABASE_URL"))] = ""
    """Empty means SQLite in `data_dir`."""
    store: Literal["folder", "s3"] = "folder"
    s3_bucket: str = ""
    s3_endpoint_url: Annotated[
        str | None, Field(validation_alias=AliasChoices("FRONTFOOT_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))
    ] = None
    s3_allowed_buckets: tuple[str, ...] = ()
    """Buckets that jobs may read besides `s3_bucket`."""

    # The API and its clients.
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    tokens: Annotated[dict[str, str], NoDecode, BeforeValidator(_owners)] = {}
    """Token → owner, as `token=coach:jane,token2=org:lions`."""
    max_upload_bytes: Annotated[int, Field(gt=0)] = 4 * 1024**3
    rate_limit_per_minute: Annotated[int, Field(ge=0)] = 1200
    """Requests a minute and key (in one API process); 0 is no limit."""
    max_active_jobs: Annotated[int, Field(ge=0)] = 50_000
    """Jobs of one owner that are not terminal; 0 is no limit."""
    link_expiry_s: Annotated[int, Field(ge=60, le=7 * 86_400)] = 3600
    """How long a link to an artifact works."""
    upload_expiry_s: Annotated[int, Field(ge=60, le=7 * 86_400)] = 86_400
    """How long a caller may take between `initiate` and `complete`; then the upload is forgotten and deleted."""
    jwt_secret: SecretStr = SecretStr("")
    """HS256 secret, at least 32 bytes; empty: none."""
    jwt_jwks_file: Path | None = None
    """Public keys for RS256 or ES256."""
    jwt_algorithm: Literal["HS256", "RS256", "ES256"] = "HS256"
    """The only algorithm that is accepted, whatever a token says."""
    jwt_audience: str = "frontfoot"
    jwt_issuer: str = ""
    """Needed with `jwt_secret` or `jwt_jwks_file`."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Prometheus metrics of this process; 0 serves none."""
    metrics_host: str = "127.0.0.1"
    webhook_allowed_networks: tuple[str, ...] = ()
    """Private networks (CIDR) that webhooks may reach all the same."""
    url: str = "http://127.0.0.1:8000"
    """The client's server."""
    token: SecretStr = SecretStr("")
    """The client's token."""

    # Inference.
    model: str = "production"
    """An alias or `name@version` of the catalogue (`frontfoot models list`), or a weights file with `model_sha256`."""
    model_sha256: str | None = None
    """Needed when `model` is a path."""
    promotion_policy: Path | None = None
    """What `models promote` needs of a comparison before `production` moves (TOML, docs/models.md); unset: nothing."""
    backend: Literal["auto", "torch", "openvino"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    inference_threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads of the model; 0 means all cores."""
    max_clip_s: Annotated[float, Field(gt=0)] = 3600.0
    max_clip_pixels: Annotated[int, Field(gt=0)] = 6144 * 3456
    """Largest picture, width × height; 8K is refused."""

    # The worker and its cluster.
    ray_address: str = "local"
    """`local` starts Ray on this machine; otherwise the address of a cluster, `auto` for the one on this node."""
    actors: Annotated[int, Field(ge=0)] = 0
    """Pose actors; 0 means one a GPU, or one where there is none."""
    actor_gpus: Annotated[float, Field(ge=0)] = 0
    """GPUs (or a share) an actor asks Ray for; 0 runs on CPUs."""
    clips_per_actor: Annotated[int, Field(ge=1, le=64)] = 8
    """An actor has room for so many clips of every frame at 30 frames a second or more, so that frames of different
    clips share batches. Shorter and sampled ones take less, so more fit; and as much room again is kept for clips more
    urgent than the others."""
    lease_s: Annotated[float, Field(ge=3)] = 60.0
    max_attempts: Annotated[int, Field(ge=1)] = 3
    poll_s: Annotated[float, Field(gt=0)] = 1.0
    grace_s: Annotated[float, Field(ge=0)] = 15.0
    """How long SIGTERM waits for running jobs before it hands them back, which takes some seconds more."""
    stall_s: Annotated[float, Field(gt=0)] = 600.0
    """An extraction that makes no progress for this long is given up, and its actor is replaced."""
    warm_s: Annotated[float, Field(ge=0)] = 600.0
    """How long a model that another has replaced stays loaded after its last job: a rollback then takes no loading."""
    max_overlay_s: Annotated[float, Field(gt=0)] = 120.0

    # Cleaning; None keeps for ever.
    keep_artifacts_days: Annotated[float, Field(ge=0)] | None = None
    """After a job ended, its files; the row with its findings and reports stays."""
    keep_jobs_days: Annotated[float, Field(ge=0)] | None = None
    """After a job ended, its row and its files."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("data_dir", "cache_dir")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("tokens")
    @classmethod
    def _check_owners(cls, value: dict[str, str]) -> dict[str, str]:
        for token, owner in value.items():
            if not re.match(TOKEN_PATTERN, token):
                raise ValueError("a token has at least 16 letters, digits, `_`, `.` or `-`")
            parse_owner(owner)
        return value

    @model_validator(mode="after")
    def _resolve_database(self) -> Self:
        url = normalise_url(self.database_url or f"sqlite:///{self.data_dir / 'frontfoot.sqlite3'}")
        try:
            make_url(url)
        except ArgumentError:
            raise ValueError("DATABASE_URL cannot be read") from None  # its own message would show the password
        object.__setattr__(self, "database_url", url)
        return self

    @property
    def cpu_threads(self) -> int:
        """Threads a model may use, never 0."""
        return self.inference_threads or len(os.sched_getaffinity(0))

    def masked(self) -> dict[str, Any]:
        """What is in force, without secrets: for `frontfoot settings` and the first log line."""
        shown = self.model_dump(mode="json")
        shown["database_url"] = make_url(self.database_url).render_as_string(hide_password=True)
        shown["tokens"] = {f"********{index}": owner for index, owner in enumerate(self.tokens.values(), start=1)}
        shown["token"] = "********" if self.token.get_secret_value() else ""
        for name in ("url", "s3_endpoint_url"):
            shown[name] = re.sub(r"//[^/@]*@", "//********@", shown[name] or "") or None
        return shown


def new_token() -> str:
    """A fresh bearer token for the embedded default."""
    return secrets.token_urlsafe(24)
